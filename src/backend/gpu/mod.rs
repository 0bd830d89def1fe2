//! The GPU back end, on wgpu.

use crate::error::{Error, Result};
use crate::recording::{BufferId, Recording};

#[derive(Debug, Clone)]
pub struct Gpu;

#[derive(Debug, Clone)]
pub struct Buffer;

#[derive(Debug)]
pub struct Program {
    recording: Recording,
}

fn missing<T>() -> Result<T> {
    Err(Error::Device("no GPU backend yet".into()))
}

impl Gpu {
    pub fn description(&self) -> String {
        String::new()
    }
    pub fn buffer(&self, _: usize) -> Result<Buffer> {
        missing()
    }
    pub fn compile(&self, _: Recording, _: Vec<(BufferId, Buffer)>) -> Result<Program> {
        missing()
    }
}

impl Buffer {
    pub fn words(&self) -> usize {
        0
    }
    pub fn write(&self, _: usize, _: &[u32]) -> Result<()> {
        missing()
    }
    pub fn read(&self, _: usize, _: &mut [u32]) -> Result<()> {
        missing()
    }
}

impl Program {
    pub fn recording(&self) -> &Recording {
        &self.recording
    }
    pub fn run(&mut self) -> Result<()> {
        missing()
    }
}
