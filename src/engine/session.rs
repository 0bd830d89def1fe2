//! A session: one device, and named variables that its programs share.

use std::collections::BTreeMap;

use bytemuck::Pod;

use crate::engine::device::{Buffer, Device, Program};
use crate::engine::graph::{self, Graph};
use crate::engine::recording::BufferId;
use crate::error::{Error, Result};
use crate::memory;

/// A device with its variables. A training program and an evaluation program compiled in one
/// session see the same weights when they call them by one name.
#[derive(Debug)]
pub struct Session {
    device: Device,
    variables: BTreeMap<String, Buffer>,
}

impl Session {
    pub fn new(device: Device) -> Self {
        Session { device, variables: BTreeMap::new() }
    }

    pub fn device(&self) -> &Device {
        &self.device
    }

    /// Plans `graph` and makes it ready to run. Variables not seen before are made, zeroed.
    pub fn compile(&mut self, graph: &Graph) -> Result<Program> {
        let plan = graph::plan(graph);
        log::debug!(
            "planned {} kernel calls, {} KiB of scratch memory ({} KiB unshared)",
            plan.recording.dispatches(),
            plan.scratch_words / 256,
            plan.unshared_words / 256
        );
        let mut bound = Vec::new();
        for (i, spec) in plan.recording.buffers.iter().enumerate() {
            if let Some(name) = &spec.variable {
                bound.push((BufferId(i as u32), self.variable(name, spec.words)?));
            }
        }
        self.device.compile(plan.recording, &bound)
    }

    /// The variable's buffer, made zeroed on first use.
    fn variable(&mut self, name: &str, words: usize) -> Result<Buffer> {
        if let Some(buffer) = self.variables.get(name) {
            if buffer.words() != words {
                let have = buffer.words();
                return Err(Error::device(format!(
                    "variable {name} has {have} words, a program wants {words}"
                )));
            }
            return Ok(buffer.clone());
        }
        let buffer = self.device.buffer(name, words)?;
        self.variables.insert(name.to_string(), buffer.clone());
        Ok(buffer)
    }

    fn existing(&self, name: &str) -> Result<&Buffer> {
        self.variables.get(name).ok_or_else(|| Error::device(format!("no variable named {name}")))
    }

    /// Fills a variable (made if new) with `data`.
    pub fn set<T: Pod>(&mut self, name: &str, data: &[T]) -> Result<()> {
        self.variable(name, data.len())?.write(0, data)
    }

    /// Overwrites part of a variable, from word `offset` on.
    pub fn write<T: Pod>(&self, name: &str, offset: usize, data: &[T]) -> Result<()> {
        self.existing(name)?.write(offset, data)
    }

    /// The content of a variable.
    pub fn get<T: Pod>(&self, name: &str) -> Result<Vec<T>> {
        let buffer = self.existing(name)?;
        let words = buffer.words();
        let mut data = memory::zeroed(format_args!("a copy of {name}"), words)?;
        buffer.read(0, &mut data)?;
        Ok(data)
    }

    /// Drops a variable; programs that use it keep its memory.
    pub fn forget(&mut self, name: &str) {
        self.variables.remove(name);
    }
}
