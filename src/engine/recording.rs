//! A recording: the flat list of kernel calls over numbered buffers that a back end runs.
//!
//! It names kernels and buffers only and knows no wgpu, threads, graphs or models. So both back ends run the same list,
//! and a test can run a single call.

use crate::engine::kernel::{Access, Arg, CallParts, Kernel, NONE, Scope};
use crate::engine::tensor::{DType, Shape};
use crate::error::{Error, Result};

/// Sides of the cooperative matrices that kernels use, the larger first.
pub const COOPERATIVE_SIDES: [u32; 2] = [16, 8];

/// Which devices a variant of a call is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// Every GPU.
    Any,
    /// Devices with workgroups of [`LARGE_INVOCATIONS`] and [`LARGE_BYTES`].
    LargeWorkgroups,
    /// Software devices only: they have few threads, and barriers cost them the most.
    Software,
    /// Devices with cooperative matrices of `side` x `side` halves that are summed in floats. They run
    /// [`Kernel::cooperative`] in place of [`Kernel::wgsl`].
    CooperativeMatrix {
        /// One of [`COOPERATIVE_SIDES`].
        side: u32,
    },
}

impl Target {
    /// The side of the cooperative matrices that it needs, if it needs any.
    pub fn cooperative_side(self) -> Option<u32> {
        match self {
            Target::CooperativeMatrix { side } => Some(side),
            _ => None,
        }
    }
}

/// One of the variants in which a GPU can run a call: its kernel with other tiles, say. All of them compute the same,
/// up to the order of their sums; with cooperative matrices `pgd_mlp` rounds its points and activations to halves too.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Variant {
    /// The devices that run it.
    pub target: Target,
    /// More of the shader's `override` constants.
    pub constants: Vec<(&'static str, u32)>,
    /// Workgroups of the dispatch.
    pub workgroups: [u32; 3],
}

/// The most invocations of a large workgroup. Every device has 256.
pub const LARGE_INVOCATIONS: u32 = 512;
/// The most bytes of memory of a large workgroup. Every device has 16 KiB.
pub const LARGE_BYTES: u32 = 32 * 1024;

/// One call of a kernel: its parameters, arguments and grid.
#[derive(Debug, Clone)]
pub struct Call {
    /// The kernel.
    pub kernel: &'static Kernel,
    /// Values of the shader's `override` constants: those of the kernel's declaration, in order, then those of a
    /// variant.
    pub constants: Vec<(&'static str, u32)>,
    /// The uniform block, word by word (floats as their bits).
    pub params: Vec<u32>,
    /// One for each of the kernel's bindings.
    pub args: Vec<Arg>,
    /// Workgroups of the GPU dispatch.
    pub workgroups: [u32; 3],
    /// What a GPU may choose from in place of `workgroups`; empty where there is nothing to choose. The first that it
    /// runs is the usual one. The last, which every software device runs, has the largest tiles, since software devices
    /// have few threads. Those with cooperative matrices come after these, the usual one first.
    pub variants: Vec<Variant>,
    /// That of the variant chosen.
    pub target: Target,
    /// Rows of work for the CPU; 1 where they depend on each other.
    pub rows: usize,
    /// Rows of the smallest tile that the CPU gives to one thread at a time; the call's shape fixes it.
    pub tile: usize,
    /// Rows of the largest tile, which fewer threads take; `tile` where a row's results depend on the rows that share
    /// its tile, so that they do not depend on the number of threads.
    pub most: usize,
    /// Floating-point operations, for reports.
    pub flops: u64,
}

/// Invocations of the workgroups of flat kernels, which have one invocation an element.
pub const FLAT_WORKGROUP: usize = 256;

/// Workgroups for `invocations` of a flat kernel. A device allows 65,535 in one dimension, so a large grid is folded
/// into two; `common/flat.wgsl` unfolds it.
pub fn flat_grid(invocations: usize) -> [u32; 3] {
    let groups = invocations.div_ceil(FLAT_WORKGROUP).max(1);
    let y = groups.div_ceil(32768);
    [groups.div_ceil(y) as u32, y as u32, 1]
}

/// Rows of `cols` words in a tile of a cheap elementwise kernel: 8,192 words, some microseconds of a thread, so that
/// the tiles of a layer are shared evenly.
pub fn flat_tile(cols: usize) -> usize {
    (8192 / cols.max(1)).max(1)
}

/// One workgroup a row, folded like [`flat_grid`].
pub fn row_grid(rows: usize) -> [u32; 3] {
    flat_grid(rows * FLAT_WORKGROUP)
}

impl Call {
    /// A call of `kernel` with one row of work and one workgroup. `params` is its uniform block word by word; constants
    /// and arguments are in the order of its declaration. The `Args` that [`kernel!`](crate::kernel) declares make it.
    pub fn new(
        kernel: &'static Kernel,
        params: Vec<u32>,
        constants: Vec<(&'static str, u32)>,
        args: Vec<Arg>,
    ) -> Self {
        Call {
            kernel,
            constants,
            params,
            args,
            workgroups: [1, 1, 1],
            variants: Vec::new(),
            target: Target::Any,
            rows: 1,
            tile: 1,
            most: 1,
            flops: 0,
        }
    }

    /// The parts that a CPU tile needs.
    pub(crate) fn parts(&self) -> CallParts<'_> {
        let Call { kernel, params, constants, args, rows, .. } = self;
        CallParts { kernel, params, constants, args, rows: *rows }
    }

    /// Sets the rows the CPU may cut the call into, `tile` at a time, and the GPU's workgroups.
    pub fn grid(mut self, rows: usize, tile: usize, workgroups: [u32; 3]) -> Self {
        self.rows = rows;
        self.tile = tile.max(1);
        self.most = self.tile;
        self.workgroups = workgroups;
        self
    }

    /// Lets the CPU give a thread up to `most` rows at a time, in whole tiles.
    pub fn up_to(mut self, most: usize) -> Self {
        self.most = most.max(self.tile);
        self
    }

    /// The rows, tiles and workgroups of a kernel with one invocation an element of a tensor of `shape`.
    pub fn elementwise(self, shape: &Shape) -> Self {
        self.grid(shape.rows(), flat_tile(shape.cols()), flat_grid(shape.len()))
    }

    /// Offers a GPU one more variant.
    pub fn variant(
        mut self,
        target: Target,
        constants: &[(&'static str, u32)],
        workgroups: [u32; 3],
    ) -> Self {
        self.variants.push(Variant { target, constants: constants.to_vec(), workgroups });
        self
    }

    /// The call as its variant number `i`, without other variants.
    ///
    /// # Panics
    /// Where there is no such variant.
    pub fn chosen(&self, i: usize) -> Self {
        let mut call = self.clone();
        let variant = call.variants.swap_remove(i);
        call.variants.clear();
        call.constants.extend(variant.constants);
        (call.workgroups, call.target) = (variant.workgroups, variant.target);
        call
    }

    fn check(&self, buffers: &[BufferSpec]) -> std::result::Result<(), String> {
        let (args, bindings) = (self.args.len(), self.kernel.bindings.len());
        if args != bindings {
            return Err(format!("{args} arguments for {bindings} bindings"));
        }
        let declared = self.kernel.constants;
        if self.constants.len() < declared.len()
            || !self.constants.iter().zip(declared).all(|((n, _), d)| n == d)
        {
            return Err(format!("constants {:?} for {declared:?}", self.constants));
        }
        let mut targets = self.variants.iter().map(|variant| variant.target).chain([self.target]);
        if self.kernel.cooperative.is_empty() && targets.any(|target| target.cooperative_side().is_some()) {
            return Err("has no text for cooperative matrices".into());
        }
        let words: usize = self.kernel.params.iter().map(|member| member.words).sum();
        if self.params.len() != words {
            return Err(format!("a uniform block of {} words for {words}", self.params.len()));
        }
        let Call { rows, tile, most, .. } = *self;
        if rows == 0 || tile == 0 || most < tile {
            return Err(format!("{rows} rows in tiles of {tile} to {most}"));
        }
        for (i, (arg, binding)) in self.args.iter().zip(self.kernel.bindings).enumerate() {
            let Arg { view, scope } = arg;
            let (name, spec) = (binding.name, &buffers[view.buffer.0 as usize]);
            let buffer = spec.name();
            if view.offset > spec.words || view.words > spec.words - view.offset {
                return Err(format!("{name} ends beyond {buffer}"));
            }
            if *view == NONE {
                continue;
            }
            let cut = match scope {
                Scope::Row => view.words.is_multiple_of(self.rows),
                Scope::Pair => view.words.is_multiple_of(2 * self.rows),
                Scope::Whole => binding.access == Access::Read || self.rows <= self.tile,
            };
            if !cut {
                let (words, rows, tile) = (view.words, self.rows, self.tile);
                return Err(format!(
                    "{name} of {words} words by {scope:?}, for {rows} rows in tiles of {tile}"
                ));
            }
            // A binding that is read may not share a buffer with one that is written, even where they do not overlap:
            // wgpu tracks a buffer as a whole.
            let mut others = self.args.iter().zip(self.kernel.bindings).enumerate();
            let clash = others.any(|(j, (other, its))| {
                let one_buffer = i != j && other.view.buffer == view.buffer;
                one_buffer && (its.access == Access::Read || other.view.overlaps(view))
            });
            if binding.access == Access::Write && clash {
                return Err(format!("reads and writes {buffer} through different bindings"));
            }
        }
        Ok(())
    }

    /// Sets the floating-point operations, for reports.
    pub fn flops(mut self, flops: usize) -> Self {
        self.flops = flops as u64;
        self
    }

    /// Bytes of all bound views: those moved if each word is touched once.
    pub fn bytes(&self) -> u64 {
        self.args.iter().filter(|a| a.view != NONE).map(|a| 4 * a.view.words as u64).sum()
    }
}

/// A call, or a body of calls repeated in order.
#[derive(Debug, Clone)]
pub enum Step {
    /// One call.
    Call(Call),
    /// The calls `body`, in order, `times` times.
    Repeat {
        /// How often the body runs.
        times: usize,
        /// The calls.
        body: Vec<Call>,
    },
}

/// A buffer that a recording needs.
#[derive(Debug, Clone)]
pub struct BufferSpec {
    /// Its size in 32-bit words.
    pub words: usize,
    /// `None` for scratch memory of the recording itself.
    pub variable: Option<Variable>,
}

impl BufferSpec {
    /// Scratch memory of this size.
    pub fn scratch(words: usize) -> Self {
        BufferSpec { words, variable: None }
    }

    /// Its name in messages.
    pub fn name(&self) -> &str {
        self.variable.as_ref().map_or("scratch memory", |variable| &variable.name)
    }
}

/// A buffer that programs share.
#[derive(Debug, Clone)]
pub struct Variable {
    /// One buffer a name.
    pub name: String,
    /// What its words are.
    pub dtype: DType,
}

/// A whole program. Buffer 0 is [`NONE`]'s.
#[derive(Debug, Clone, Default)]
pub struct Recording {
    /// The buffers, by number.
    pub buffers: Vec<BufferSpec>,
    /// The steps, in order.
    pub steps: Vec<Step>,
}

impl Recording {
    /// Every call in order, those of a loop's body once, each with its number of repetitions.
    pub fn calls(&self) -> impl Iterator<Item = (&Call, usize)> {
        self.steps.iter().flat_map(|step| match step {
            Step::Call(call) => std::slice::from_ref(call).iter().map(with_times(1)),
            Step::Repeat { times, body } => body.iter().map(with_times(*times)),
        })
    }

    /// Floating-point operations of one run.
    pub fn flops(&self) -> u64 {
        self.calls().map(|(call, times)| call.flops * times as u64).sum()
    }

    /// Checks what every back end relies on. Each call has the constants and arguments that its kernel declares. These
    /// lie inside their buffers and divide evenly into its rows. What it writes is bound by no other of its arguments.
    ///
    /// # Errors
    /// [`Error::Device`] naming the kernel and what is wrong.
    pub fn check(&self) -> Result<()> {
        self.calls().try_for_each(|(call, _)| {
            let fail = |text| Error::device(format!("kernel {}: {text}", call.kernel.name));
            call.check(&self.buffers).map_err(fail)
        })
    }

    /// Kernel calls of one run, repetitions counted.
    pub fn dispatches(&self) -> usize {
        self.calls().map(|(_, times)| times).sum()
    }
}

fn with_times(times: usize) -> impl Fn(&Call) -> (&Call, usize) {
    move |call| (call, times)
}
