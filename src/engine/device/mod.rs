//! Back ends: each runs a recording over its own memory.
//!
//! The CPU back end is the reference for every kernel and what runs where there is no GPU. All
//! three types are plain enums, so that a program reads the same on either.

pub mod cpu;
pub mod gpu;

use std::path::PathBuf;

use bytemuck::Pod;

use self::gpu::adapter::{self, Choice};
use crate::engine::recording::{BufferId, Recording};
use crate::error::{Error, Result};

/// Something that runs recordings.
#[derive(Debug, Clone)]
pub enum Device {
    Cpu(cpu::Cpu),
    Gpu(gpu::Gpu),
}

/// Device memory, counted in 32-bit words. Clones share it.
#[derive(Debug, Clone)]
pub enum Buffer {
    Cpu(cpu::Buffer),
    Gpu(gpu::Buffer),
}

/// A recording made ready to run: memory, pipelines and bindings exist.
#[derive(Debug)]
pub enum Program {
    Cpu(cpu::Program),
    Gpu(gpu::Program),
}

/// Whether the variants of a GPU's kernels are measured at first use, and in which file the choices are kept.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Tuning {
    /// Never; each call has its usual variant.
    #[default]
    Off,
    /// On real GPUs, for a few seconds of a process.
    Brief(PathBuf),
    /// On software devices too, however long it takes.
    Everything(PathBuf),
}

/// Opens a device by its name, without tuning: `auto`, `cpu`, `gpu` or `gpu:N`. `checked` puts bounds checks in a GPU's
/// kernels.
///
/// # Errors
/// [`Error::Request`] for a name that is unknown or of no device here; [`Error::Device`] for one that does not open.
pub fn open(choice: &str, checked: bool) -> Result<Device> {
    open_tuned(choice, checked, &Tuning::Off)
}

/// The same with tuning.
///
/// # Errors
/// As [`open`].
pub fn open_tuned(choice: &str, checked: bool, tuning: &Tuning) -> Result<Device> {
    match choice.parse()? {
        Choice::Cpu => Ok(Device::Cpu(cpu::Cpu)),
        Choice::Gpu(number) => Ok(Device::Gpu(open_gpu(&adapter::pick(number)?, checked, tuning)?)),
        Choice::Auto => {
            let adapters = adapter::adapters();
            let Some(best) = adapter::best_real(&adapters) else { return Ok(Device::Cpu(cpu::Cpu)) };
            match open_gpu(&adapters[best], checked, tuning) {
                Ok(gpu) => Ok(Device::Gpu(gpu)),
                Err(error) => {
                    log::warn!("{error}; running on the CPU");
                    Ok(Device::Cpu(cpu::Cpu))
                }
            }
        }
    }
}

/// With bounds checks in them, all kernels have their usual variants: checks change the times, and whoever looks for an
/// error wants the same kernels every time.
fn open_gpu(adapter: &wgpu::Adapter, checked: bool, tuning: &Tuning) -> Result<gpu::Gpu> {
    let gpu = gpu::Gpu::open(adapter, checked)?;
    match tuning {
        _ if checked => {}
        Tuning::Brief(file) if adapter::is_real(&adapter.get_info()) => gpu.tune(file.clone(), false),
        Tuning::Everything(file) => gpu.tune(file.clone(), true),
        Tuning::Off | Tuning::Brief(_) => {}
    }
    Ok(gpu)
}

impl Device {
    /// One line for people: the back end and the hardware.
    pub fn description(&self) -> String {
        match self {
            Device::Cpu(d) => d.description(),
            Device::Gpu(d) => d.description(),
        }
    }

    /// Waits until all work handed over is done.
    pub fn finish(&self) -> Result<()> {
        match self {
            Device::Cpu(_) => Ok(()),
            Device::Gpu(d) => d.finish(),
        }
    }

    /// True for the CPU back end and for software Vulkan.
    pub fn is_software(&self) -> bool {
        match self {
            Device::Cpu(_) => true,
            Device::Gpu(d) => d.is_software(),
        }
    }

    /// New memory, zeroed, for what errors call `name`.
    pub fn buffer(&self, name: &str, words: usize) -> Result<Buffer> {
        match self {
            Device::Cpu(d) => Ok(Buffer::Cpu(d.buffer(name, words)?)),
            Device::Gpu(d) => Ok(Buffer::Gpu(d.buffer(name, words)?)),
        }
    }

    /// Makes `recording` ready to run. `variables` are the buffers of its variables; scratch
    /// memory is made here.
    pub fn compile(&self, recording: Recording, variables: &[(BufferId, Buffer)]) -> Result<Program> {
        match self {
            Device::Cpu(d) => {
                let own = variables.iter().filter_map(|(id, b)| match b {
                    Buffer::Cpu(b) => Some((*id, b.clone())),
                    Buffer::Gpu(_) => None,
                });
                Ok(Program::Cpu(d.compile(recording, own.collect())?))
            }
            Device::Gpu(d) => {
                let own = variables.iter().filter_map(|(id, b)| match b {
                    Buffer::Gpu(b) => Some((*id, b.clone())),
                    Buffer::Cpu(_) => None,
                });
                Ok(Program::Gpu(d.compile(recording, own.collect())?))
            }
        }
    }
}

impl Buffer {
    pub fn words(&self) -> usize {
        match self {
            Buffer::Cpu(b) => b.words(),
            Buffer::Gpu(b) => b.words(),
        }
    }

    /// Copies `data` (32-bit elements) to the device, from word `offset` on.
    pub fn write<T: Pod>(&self, offset: usize, data: &[T]) -> Result<()> {
        let words: &[u32] = bytemuck::cast_slice(data);
        self.check(offset, words.len())?;
        match self {
            Buffer::Cpu(b) => b.write(offset, words),
            Buffer::Gpu(b) => b.write(offset, words)?,
        }
        Ok(())
    }

    /// Copies words `offset ..` back from the device, waiting for the work before it.
    pub fn read<T: Pod>(&self, offset: usize, data: &mut [T]) -> Result<()> {
        let words: &mut [u32] = bytemuck::cast_slice_mut(data);
        self.check(offset, words.len())?;
        match self {
            Buffer::Cpu(b) => b.read(offset, words),
            Buffer::Gpu(b) => b.read(offset, words)?,
        }
        Ok(())
    }

    fn check(&self, offset: usize, words: usize) -> Result<()> {
        if offset + words > self.words() {
            let end = offset + words;
            return Err(Error::device(format!("words {offset}..{end} of a buffer of {}", self.words())));
        }
        Ok(())
    }
}

impl Program {
    /// Runs the recording once. On a GPU this returns when the work is submitted.
    pub fn run(&mut self) -> Result<()> {
        match self {
            Program::Cpu(p) => p.run(),
            Program::Gpu(p) => return p.run(),
        }
        Ok(())
    }

    /// Runs the recording once to its end; the seconds that took by the device's own clock, where
    /// it has one that a program can read (without a run where not).
    pub fn run_timed(&mut self) -> Result<Option<f64>> {
        match self {
            Program::Cpu(_) => Ok(None),
            Program::Gpu(p) => p.run_timed(),
        }
    }

    /// Kernel calls of one run.
    pub fn dispatches(&self) -> usize {
        match self {
            Program::Cpu(p) => p.recording().dispatches(),
            Program::Gpu(p) => p.recording().dispatches(),
        }
    }
}
