//! Back ends: each runs a recording over its own memory.
//!
//! The CPU back end is the reference for every kernel and runs where there is no GPU. [`Device`], [`Buffer`] and
//! [`Program`] are the same types on either.

pub mod cpu;
pub mod gpu;

use std::cell::Cell;
use std::path::PathBuf;
use std::rc::Rc;

use self::gpu::adapter::{self, Choice};
use crate::engine::kernel::{Access, BufferId};
use crate::engine::recording::Recording;
use crate::engine::tensor::Element;
use crate::error::{Error, Result};

/// Something that runs recordings.
#[derive(Debug, Clone)]
pub enum Device {
    /// The CPU back end.
    Cpu(cpu::Cpu),
    /// A GPU, through wgpu.
    Gpu(gpu::Gpu),
}

/// Device memory, counted in 32-bit words. Clones share it.
#[derive(Debug, Clone)]
pub struct Buffer {
    memory: Memory,
    /// Whether the host or a program has written to it.
    written: Rc<Cell<bool>>,
}

#[derive(Debug, Clone)]
enum Memory {
    Cpu(cpu::Buffer),
    Gpu(gpu::Buffer),
}

/// A recording made ready to run: memory, pipelines and bindings exist.
#[derive(Debug)]
pub struct Program {
    made: Made,
    /// The variables that it uses, until the first run.
    uses: Vec<Use>,
}

#[derive(Debug)]
enum Made {
    Cpu(cpu::Program),
    Gpu(gpu::Program),
}

/// How a program uses a variable.
#[derive(Debug)]
struct Use {
    name: String,
    /// The first use in the order of the calls.
    first: Access,
    /// Whether any call writes it.
    writes: bool,
    written: Rc<Cell<bool>>,
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
        Choice::Cpu => Ok(Device::Cpu(cpu::Cpu::default())),
        Choice::Gpu(number) => Ok(Device::Gpu(open_gpu(&adapter::pick(number)?, checked, tuning)?)),
        Choice::Auto => {
            let adapters = adapter::adapters();
            let Some(best) = adapter::best_real(&adapters) else {
                return Ok(Device::Cpu(cpu::Cpu::default()));
            };
            match open_gpu(&adapters[best], checked, tuning) {
                Ok(gpu) => Ok(Device::Gpu(gpu)),
                Err(error) => {
                    log::warn!("{error}; running on the CPU");
                    Ok(Device::Cpu(cpu::Cpu::default()))
                }
            }
        }
    }
}

/// With bounds checks, all kernels have their usual variants: checks change the times, and who looks for an error wants
/// the same kernels every time.
fn open_gpu(adapter: &wgpu::Adapter, checked: bool, tuning: &Tuning) -> Result<gpu::Gpu> {
    let gpu = gpu::Gpu::open(adapter, gpu::Options { checked, ..gpu::Options::default() })?;
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

    /// Waits until all submitted work is done.
    ///
    /// # Errors
    /// [`Error::Device`] for what fails on a GPU.
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

    /// New zeroed memory of `words` words. Errors call it `name`.
    ///
    /// # Errors
    /// [`Error::TooLarge`] where there is no such memory; [`Error::Device`] for what fails on a GPU.
    pub fn buffer(&self, name: &str, words: usize) -> Result<Buffer> {
        let memory = match self {
            Device::Cpu(d) => Memory::Cpu(d.buffer(name, words)?),
            Device::Gpu(d) => Memory::Gpu(d.buffer(name, words)?),
        };
        Ok(Buffer { memory, written: Rc::new(Cell::new(false)) })
    }

    /// Makes `recording` ready to run. `variables` are the buffers of its variables; scratch memory is made here.
    ///
    /// # Errors
    /// [`Error::Device`] for a variable without a buffer, and for a buffer that is too small or another device's;
    /// [`Error::TooLarge`].
    pub fn compile(&self, recording: Recording, variables: &[(BufferId, Buffer)]) -> Result<Program> {
        let uses = uses(&recording, variables)?;
        let foreign = || Error::device("a buffer of another device is given to a program");
        let made = match self {
            Device::Cpu(d) => {
                let own = variables.iter().map(|(id, buffer)| match &buffer.memory {
                    Memory::Cpu(memory) => Ok((*id, memory.clone())),
                    Memory::Gpu(_) => Err(foreign()),
                });
                Made::Cpu(d.compile(recording, own.collect::<Result<_>>()?)?)
            }
            Device::Gpu(d) => {
                let own = variables.iter().map(|(id, buffer)| match &buffer.memory {
                    Memory::Gpu(memory) if memory.is_of(d) => Ok((*id, memory.clone())),
                    _ => Err(foreign()),
                });
                Made::Gpu(d.compile(recording, own.collect::<Result<_>>()?)?)
            }
        };
        Ok(Program { made, uses })
    }
}

/// How `recording` uses its variables, all of which must be bound.
fn uses(recording: &Recording, variables: &[(BufferId, Buffer)]) -> Result<Vec<Use>> {
    let mut uses = Vec::new();
    for (i, spec) in recording.buffers.iter().enumerate() {
        let bound = variables.iter().find(|(id, _)| id.0 as usize == i).map(|(_, buffer)| buffer);
        match bound {
            Some(buffer) if buffer.words() < spec.words => {
                let (have, name) = (buffer.words(), spec.name());
                let text = format!("{name} has {have} words, a program wants {}", spec.words);
                return Err(Error::device(text));
            }
            None if spec.variable.is_some() => {
                return Err(Error::device(format!("no buffer is bound for the variable {}", spec.name())));
            }
            _ => {}
        }
        let Some(buffer) = bound.filter(|_| spec.variable.is_some()) else { continue };
        let calls = recording.calls().filter(|(_, times)| *times > 0);
        let calls = calls.flat_map(|(call, _)| call.args.iter().zip(call.kernel.bindings));
        let mut accesses =
            calls.filter(|(arg, _)| arg.view.buffer.0 as usize == i).map(|(_, binding)| binding.access);
        let Some(first) = accesses.next() else { continue };
        let writes = first == Access::Write || accesses.any(|access| access == Access::Write);
        uses.push(Use { name: spec.name().into(), first, writes, written: buffer.written.clone() });
    }
    Ok(uses)
}

impl Buffer {
    /// Its size in words.
    pub fn words(&self) -> usize {
        match &self.memory {
            Memory::Cpu(b) => b.words(),
            Memory::Gpu(b) => b.words(),
        }
    }

    /// Copies `data` to words `offset ..` of the device's memory.
    ///
    /// # Errors
    /// [`Error::Device`] for words beyond the buffer's end.
    pub fn write<T: Element>(&self, offset: usize, data: &[T]) -> Result<()> {
        let words: &[u32] = bytemuck::cast_slice(data);
        self.check(offset, words.len())?;
        match &self.memory {
            Memory::Cpu(b) => b.write(offset, words),
            Memory::Gpu(b) => b.write(offset, words)?,
        }
        self.written.set(true);
        Ok(())
    }

    /// Copies words `offset ..` from the device to `data`, after all work submitted before.
    ///
    /// # Errors
    /// [`Error::Device`] for words beyond the buffer's end.
    pub fn read<T: Element>(&self, offset: usize, data: &mut [T]) -> Result<()> {
        let words: &mut [u32] = bytemuck::cast_slice_mut(data);
        self.check(offset, words.len())?;
        match &self.memory {
            Memory::Cpu(b) => b.read(offset, words),
            Memory::Gpu(b) => b.read(offset, words)?,
        }
        Ok(())
    }

    fn check(&self, offset: usize, words: usize) -> Result<()> {
        let whole = self.words();
        if offset.checked_add(words).is_none_or(|end| end > whole) {
            return Err(Error::device(format!("{words} words from {offset} of a buffer of {whole}")));
        }
        Ok(())
    }
}

impl Program {
    /// Runs the recording once. On a GPU this returns when the work is submitted.
    ///
    /// # Errors
    /// [`Error::Device`] where it would read a variable that nothing has written, and for what fails on a GPU.
    pub fn run(&mut self) -> Result<()> {
        self.check_inputs()?;
        match &mut self.made {
            Made::Cpu(p) => p.run(),
            Made::Gpu(p) => return p.run(),
        }
        Ok(())
    }

    /// Before the first run, checks that every variable read first has been written; marks those that it writes.
    fn check_inputs(&mut self) -> Result<()> {
        let unset = |used: &&Use| used.first == Access::Read && !used.written.get();
        if let Some(used) = self.uses.iter().find(unset) {
            let text = format!("the variable {} is read, and nothing has been written to it", used.name);
            return Err(Error::device(text));
        }
        self.uses.drain(..).filter(|used| used.writes).for_each(|used| used.written.set(true));
        Ok(())
    }

    /// Runs the recording once to its end and returns the seconds by the device's own clock. `None`, without a run,
    /// where the device has no clock that a program can read.
    ///
    /// # Errors
    /// As [`run`](Self::run).
    pub fn run_timed(&mut self) -> Result<Option<f64>> {
        if let Made::Cpu(_) = self.made {
            return Ok(None);
        }
        self.check_inputs()?;
        match &mut self.made {
            Made::Cpu(_) => Ok(None),
            Made::Gpu(p) => p.run_timed(),
        }
    }

    /// Kernel calls of one run.
    pub fn dispatches(&self) -> usize {
        match &self.made {
            Made::Cpu(p) => p.recording().dispatches(),
            Made::Gpu(p) => p.recording().dispatches(),
        }
    }
}
