//! A session: one device, and named variables that its programs share.

use std::collections::BTreeMap;

use crate::engine::device::{Buffer, Device, Program};
use crate::engine::graph::{self, Graph};
use crate::engine::kernel::BufferId;
use crate::engine::recording::Variable;
use crate::engine::tensor::{DType, Element};
use crate::error::{Error, Result};
use crate::memory;

/// A device with its variables. Programs compiled in one session share variables of the same name, such as a training
/// and an evaluation program their weights.
#[derive(Debug)]
pub struct Session {
    device: Device,
    variables: BTreeMap<String, (Buffer, DType)>,
}

impl Session {
    /// A session without variables.
    pub fn new(device: Device) -> Self {
        Session { device, variables: BTreeMap::new() }
    }

    /// The device.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// Plans and compiles `graph`. New variables are made and zeroed. A variable that the program reads before it
    /// writes it must have been written before the first run; one that it updates, such as a moment of Adam's, may
    /// start at zero.
    ///
    /// # Errors
    /// [`Error::Device`] for a variable that is there with another size or type; [`Error::TooLarge`].
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
            if let Some(Variable { name, dtype }) = &spec.variable {
                bound.push((BufferId(i as u32), self.variable(name, spec.words, *dtype)?));
            }
        }
        self.device.compile(plan.recording, &bound)
    }

    /// The variable's buffer, made zeroed on first use.
    fn variable(&mut self, name: &str, words: usize, dtype: DType) -> Result<Buffer> {
        if let Some((buffer, its)) = self.variables.get(name) {
            let have = buffer.words();
            if (have, *its) != (words, dtype) {
                let text =
                    format!("variable {name} is {have} words of {its:?}, asked for {words} of {dtype:?}");
                return Err(Error::device(text));
            }
            return Ok(buffer.clone());
        }
        let buffer = self.device.buffer(name, words)?;
        self.variables.insert(name.to_string(), (buffer.clone(), dtype));
        Ok(buffer)
    }

    fn existing<T: Element>(&self, name: &str) -> Result<&Buffer> {
        match self.variables.get(name) {
            Some((buffer, dtype)) if *dtype == T::DTYPE => Ok(buffer),
            Some((_, dtype)) => {
                Err(Error::device(format!("variable {name} is of {dtype:?}, asked for as {:?}", T::DTYPE)))
            }
            None => Err(Error::device(format!("no variable named {name}"))),
        }
    }

    /// Sets a variable to `data`, making it on first use.
    ///
    /// # Errors
    /// [`Error::Device`] for a variable that is there with another size or type; [`Error::TooLarge`].
    pub fn set<T: Element>(&mut self, name: &str, data: &[T]) -> Result<()> {
        self.variable(name, data.len(), T::DTYPE)?.write(0, data)
    }

    /// Overwrites part of a variable, from word `offset` on.
    ///
    /// # Errors
    /// [`Error::Device`] for a variable that is not there or of another type, and for words beyond its end.
    pub fn write<T: Element>(&self, name: &str, offset: usize, data: &[T]) -> Result<()> {
        self.existing::<T>(name)?.write(offset, data)
    }

    /// The content of a variable.
    ///
    /// # Errors
    /// [`Error::Device`] for a variable that is not there or of another type; [`Error::TooLarge`].
    pub fn get<T: Element>(&self, name: &str) -> Result<Vec<T>> {
        let buffer = self.existing::<T>(name)?;
        let words = buffer.words();
        let mut data = memory::zeroed(format_args!("a copy of {name}"), words)?;
        buffer.read(0, &mut data)?;
        Ok(data)
    }

    /// Removes a variable. Programs that use it keep its memory.
    pub fn forget(&mut self, name: &str) {
        self.variables.remove(name);
    }

    /// Removes the variables whose names start with `prefix`.
    pub fn forget_all(&mut self, prefix: &str) {
        self.variables.retain(|name, _| !name.starts_with(prefix));
    }
}
