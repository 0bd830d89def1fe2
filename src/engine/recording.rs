//! A recording: the flat list of kernel calls over numbered buffers that a back end runs.
//!
//! It names kernels and buffers only. Nothing here knows wgpu, threads, graphs or models, so
//! the CPU and the GPU run the very same list, and a test can run one call of it by hand.

use std::ops::Range;

use crate::engine::tensor::{DType, Element};
use crate::error::{Error, Result};

/// How a kernel touches one of its storage bindings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    Read,
    /// Written, and possibly read first.
    Write,
}

/// Runs rows `rows` of one call on the CPU. See [`CpuCall`] for what it may touch.
pub type CpuKernel = fn(&CpuCall, rows: Range<usize>);

/// A kernel: one WGSL file and its CPU twin, found by one name.
#[derive(Debug)]
pub struct Kernel {
    /// `shaders/NAME.wgsl`, `src/engine/ops/NAME.rs` and `kernels-tests/NAME.rs` carry this name.
    pub name: &'static str,
    /// Shared WGSL files first, the kernel's own file last. The entry point is `main`;
    /// binding 0 is the uniform block `Params`, bindings 1.. are the storage buffers below.
    pub wgsl: &'static [&'static str],
    /// Access of storage bindings 1, 2, ... in order.
    pub bindings: &'static [Access],
    /// The CPU twin.
    pub cpu: CpuKernel,
    /// Whether devices may compile it without bounds checks: this crate's own, which its tests run with them.
    pub(crate) trusted: bool,
}

impl Kernel {
    /// A kernel of your own. Its texts say all that they use, as in `examples/custom_kernel.rs`; devices always check
    /// its bounds.
    pub const fn new(
        name: &'static str,
        wgsl: &'static [&'static str],
        bindings: &'static [Access],
        cpu: CpuKernel,
    ) -> Self {
        Kernel { name, wgsl, bindings, cpu, trusted: false }
    }
}

/// A buffer of a recording, by number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BufferId(pub u32);

/// Words `offset .. offset + words` of a buffer. Offsets are multiples of [`ALIGN_WORDS`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct View {
    pub buffer: BufferId,
    pub offset: usize,
    pub words: usize,
}

/// Views start at multiples of 64 words (256 bytes), the largest storage-offset alignment
/// that WebGPU allows a device to ask for.
pub const ALIGN_WORDS: usize = 64;

/// The buffer every recording has, of [`ALIGN_WORDS`] zero words: bound where a variant of a
/// kernel leaves a binding unused.
pub const NONE: View = View { buffer: BufferId(0), offset: 0, words: ALIGN_WORDS };

/// Which part of a bound view a range of rows of the call touches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// Row `r` of the call touches row `r` of the view and no other; the view's words are spread
    /// evenly over the call's rows.
    Row,
    /// Every row of the call may touch all of it (weights, seeds, reductions).
    Whole,
}

/// One bound view.
#[derive(Debug, Clone, Copy)]
pub struct Arg {
    pub view: View,
    pub scope: Scope,
}

/// A kernel's text for matrix units: what multiplies squares of halves and sums in floats.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MatrixUnits {
    /// The squares' side, one of [`UNIT_SIDES`].
    pub side: u32,
    /// As [`Kernel::wgsl`]; `shaders/cooperative/NAME.wgsl` is the last. The back end puts in front what
    /// `common/matrix_units_N.wgsl` says of the side. It has the kernel's bindings, and an `override` constant
    /// `SUBGROUP`: the most invocations of a subgroup, for the back end to set.
    pub wgsl: &'static [&'static str],
}

/// Sides of the squares that matrix units multiply, the larger first.
pub const UNIT_SIDES: [u32; 2] = [16, 8];

impl MatrixUnits {
    /// One text for units of every side.
    pub fn of_every_side(wgsl: &'static [&'static str]) -> [Self; 2] {
        UNIT_SIDES.map(|side| MatrixUnits { side, wgsl })
    }
}

/// One of the ways to run a call on a GPU: its kernel with other tiles, say. All of them compute the
/// same, up to the order of their sums; on matrix units `pgd_mlp` rounds its points and activations to halves too.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Variant {
    /// More of the shader's `override` constants.
    pub constants: Vec<(&'static str, u32)>,
    pub workgroups: [u32; 3],
    /// Whether it is for devices with large workgroups only, [`LARGE_INVOCATIONS`] with [`LARGE_BYTES`] of memory.
    pub large: bool,
    /// Whether it is for software devices only, which have few threads and for which waiting costs the most.
    pub software: bool,
    /// Where it is for devices with such units only: the text to run.
    pub units: Option<MatrixUnits>,
}

/// Invocations, at most, of a large workgroup. Every device has 256.
pub const LARGE_INVOCATIONS: u32 = 512;
/// Bytes of memory, at most, of a large workgroup. Every device has 16 KiB.
pub const LARGE_BYTES: u32 = 32 * 1024;

/// One kernel call.
#[derive(Debug, Clone)]
pub struct Call {
    pub kernel: &'static Kernel,
    /// Values of the shader's `override` constants that choose the variant. CPU twins read
    /// them with [`CpuCall::constant`].
    pub constants: Vec<(&'static str, u32)>,
    /// The uniform block, word by word (floats as their bits).
    pub params: Vec<u32>,
    /// One for each of the kernel's bindings.
    pub args: Vec<Arg>,
    /// Workgroups of the GPU dispatch.
    pub workgroups: [u32; 3],
    /// What a GPU may choose from in place of `workgroups`; empty where there is one way only. The first that it runs
    /// is the usual choice; the last, which every software device runs, has the largest tiles, for software devices,
    /// which have few threads. Those for matrix units come after these, the usual one first.
    pub variants: Vec<Variant>,
    /// The text to run in place of the kernel's, of a variant for matrix units.
    pub units: Option<MatrixUnits>,
    /// Rows of work for the CPU; a call whose rows depend on each other has 1.
    pub rows: usize,
    /// Rows the CPU gives to one thread at a time. Fixed by the call's shape and not by the
    /// number of threads, so that results do not depend on the machine's size.
    pub tile: usize,
    /// Floating-point operations, for reports.
    pub flops: u64,
}

/// Invocations of the flat kernels' workgroups: one invocation an element.
pub const FLAT_WORKGROUP: usize = 256;

/// Workgroups for `invocations` of a flat kernel. A device allows 65,535 in one dimension, so
/// a large grid is folded; `common/flat.wgsl` unfolds it.
pub fn flat_grid(invocations: usize) -> [u32; 3] {
    let groups = invocations.div_ceil(FLAT_WORKGROUP).max(1);
    let y = groups.div_ceil(32768);
    [groups.div_ceil(y) as u32, y as u32, 1]
}

/// Rows of `cols` words that make a tile worth a thread for a cheap elementwise kernel.
pub fn flat_tile(cols: usize) -> usize {
    (16384 / cols.max(1)).max(1)
}

/// Workgroups for one workgroup a row, folded like [`flat_grid`].
pub fn row_grid(rows: usize) -> [u32; 3] {
    flat_grid(rows * FLAT_WORKGROUP)
}

impl Call {
    /// A call of `kernel` with its uniform block: a `repr(C)` struct of 32-bit words. One row
    /// of work, one workgroup, no arguments yet.
    pub fn new<P: bytemuck::NoUninit>(kernel: &'static Kernel, params: &P) -> Self {
        let params = bytemuck::bytes_of(params).chunks_exact(4);
        let words = params.map(|w| u32::from_ne_bytes([w[0], w[1], w[2], w[3]])).collect();
        Call {
            kernel,
            constants: Vec::new(),
            params: words,
            args: Vec::new(),
            workgroups: [1, 1, 1],
            variants: Vec::new(),
            units: None,
            rows: 1,
            tile: 1,
            flops: 0,
        }
    }

    /// Chooses a variant by an `override` constant.
    pub fn constant(mut self, name: &'static str, value: u32) -> Self {
        self.constants.push((name, value));
        self
    }

    /// Binds the next argument, touched row by row.
    pub fn row(mut self, view: View) -> Self {
        self.args.push(Arg { view, scope: Scope::Row });
        self
    }

    /// Binds the next argument, of which every row may touch all.
    pub fn whole(mut self, view: View) -> Self {
        self.args.push(Arg { view, scope: Scope::Whole });
        self
    }

    /// Sets the rows the CPU may cut the call into, `tile` at a time, and the GPU's workgroups.
    pub fn grid(mut self, rows: usize, tile: usize, workgroups: [u32; 3]) -> Self {
        self.rows = rows;
        self.tile = tile.max(1);
        self.workgroups = workgroups;
        self
    }

    /// Offers a GPU one more way to run the call.
    pub fn variant(mut self, constants: &[(&'static str, u32)], workgroups: [u32; 3]) -> Self {
        let constants = constants.to_vec();
        self.variants.push(Variant { constants, workgroups, large: false, software: false, units: None });
        self
    }

    /// The variant offered last is for software devices only.
    pub fn for_software(mut self) -> Self {
        if let Some(variant) = self.variants.last_mut() {
            variant.software = true;
        }
        self
    }

    /// The variant offered last is for devices with large workgroups only.
    pub fn large(mut self) -> Self {
        if let Some(variant) = self.variants.last_mut() {
            variant.large = true;
        }
        self
    }

    /// Offers a GPU with such matrix units one more way to run the call.
    pub fn unit_variant(
        mut self,
        units: MatrixUnits,
        constants: &[(&'static str, u32)],
        workgroups: [u32; 3],
    ) -> Self {
        let constants = constants.to_vec();
        self.variants.push(Variant {
            constants,
            workgroups,
            large: false,
            software: false,
            units: Some(units),
        });
        self
    }

    /// The call as its variant number `i`, with nothing left to choose.
    pub fn chosen(&self, i: usize) -> Self {
        let mut call = self.clone();
        let variant = call.variants.swap_remove(i);
        call.variants.clear();
        call.constants.extend(variant.constants);
        (call.workgroups, call.units) = (variant.workgroups, variant.units);
        call
    }

    /// Floating-point operations, for reports; the bytes are those of the bound views.
    pub fn flops(mut self, flops: usize) -> Self {
        self.flops = flops as u64;
        self
    }

    /// Bytes moved if every bound view is touched once.
    pub fn bytes(&self) -> u64 {
        self.args.iter().filter(|a| a.view != NONE).map(|a| 4 * a.view.words as u64).sum()
    }
}

/// A call, or a body of calls repeated in order.
#[derive(Debug, Clone)]
pub enum Step {
    Call(Call),
    Repeat { times: usize, body: Vec<Call> },
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

    /// What messages call it.
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
    pub buffers: Vec<BufferSpec>,
    pub steps: Vec<Step>,
}

impl Recording {
    /// Every call in the order written, bodies once, each with its repetitions.
    pub fn calls(&self) -> impl Iterator<Item = (&Call, usize)> {
        self.steps.iter().flat_map(|step| match step {
            Step::Call(call) => std::slice::from_ref(call).iter().map(with_times(1)),
            Step::Repeat { times, body } => body.iter().map(with_times(*times)),
        })
    }

    /// What every back end relies on: each call has the arguments of its kernel, inside their
    /// buffers, and what it writes it reaches through no other argument.
    pub fn check(&self) -> Result<()> {
        for (call, _) in self.calls() {
            let name = call.kernel.name;
            let fail = |text: String| Err(Error::device(format!("kernel {name}: {text}")));
            let (args, bindings) = (call.args.len(), call.kernel.bindings.len());
            if args != bindings {
                return fail(format!("{args} arguments for {bindings} bindings"));
            }
            for (i, (Arg { view, .. }, access)) in call.args.iter().zip(call.kernel.bindings).enumerate() {
                let spec = &self.buffers[view.buffer.0 as usize];
                let buffer = spec.name();
                if view.offset > spec.words || view.words > spec.words - view.offset {
                    return fail(format!("argument {i} ends beyond {buffer}"));
                }
                // Bindings that are read may not share a buffer with one that is written, even
                // where they do not overlap: wgpu tracks a buffer as a whole.
                let clash = |(j, (other, its)): (usize, (&Arg, &Access))| {
                    let one_buffer = i != j && other.view.buffer == view.buffer;
                    one_buffer && (*its == Access::Read || overlap(&other.view, view))
                };
                let mut others = call.args.iter().zip(call.kernel.bindings).enumerate();
                if *access == Access::Write && *view != NONE && others.any(clash) {
                    return fail(format!("reads and writes {buffer} through different bindings"));
                }
            }
        }
        Ok(())
    }

    /// Kernel calls that one run makes, repetitions counted.
    pub fn dispatches(&self) -> usize {
        self.calls().map(|(_, times)| times).sum()
    }
}

fn overlap(a: &View, b: &View) -> bool {
    a.offset < b.offset + b.words && b.offset < a.offset + a.words
}

fn with_times(times: usize) -> impl Fn(&Call) -> (&Call, usize) {
    move |call| (call, times)
}

/// What a CPU kernel sees of its call: the uniform block, the constants, and its views.
///
/// A back end may run disjoint row ranges of one call on several threads at once. A kernel
/// therefore takes [`rows`](Self::rows) and [`rows_mut`](Self::rows_mut) of row-scoped
/// arguments, for the range it was given, and [`whole`](Self::whole) of the others.
pub struct CpuCall<'a> {
    call: &'a Call,
    base: &'a [*mut u32],
}

// SAFETY: the pointers are to buffers that outlive the run; `rows_mut` hands out disjoint rows.
unsafe impl Sync for CpuCall<'_> {}

impl<'a> CpuCall<'a> {
    /// Binds a call to memory.
    ///
    /// # Safety
    /// `base[b]` must point to `buffers[b].words` initialised words for every buffer `b` of the
    /// call, valid and not touched by anyone else while the call runs.
    pub unsafe fn new(call: &'a Call, base: &'a [*mut u32]) -> Self {
        CpuCall { call, base }
    }

    /// The uniform block, as the struct the call was made with.
    pub fn params<P: bytemuck::AnyBitPattern>(&self) -> P {
        bytemuck::pod_read_unaligned(bytemuck::cast_slice(&self.call.params))
    }

    /// An `override` constant of the variant; 0 where the call does not set it.
    pub fn constant(&self, name: &str) -> u32 {
        self.call.constants.iter().find(|(n, _)| *n == name).map_or(0, |(_, v)| *v)
    }

    /// Words of one row of argument `i`, where every row of the call has its own.
    pub fn row_width(&self, i: usize) -> usize {
        self.call.args[i].view.words / self.call.rows
    }

    /// Rows `rows` of argument `i`, `width` words each.
    pub fn rows<T: Element>(&self, i: usize, rows: &Range<usize>, width: usize) -> &[T] {
        let arg = &self.call.args[i];
        assert!(rows.end * width <= arg.view.words, "{}: argument {i} is too short", self.call.kernel.name);
        // SAFETY: in bounds by the assertion; nobody writes these rows but this range's thread.
        unsafe {
            let start = self.pointer(i).add(rows.start * width);
            std::slice::from_raw_parts(start.cast::<T>(), rows.len() * width)
        }
    }

    /// Rows `rows` of argument `i`, to be written. Must not overlap another slice in use.
    #[allow(clippy::mut_from_ref)]
    pub fn rows_mut<T: Element>(&self, i: usize, rows: &Range<usize>, width: usize) -> &mut [T] {
        let arg = &self.call.args[i];
        assert!(
            self.call.kernel.bindings[i] == Access::Write,
            "{}: argument {i} is read-only",
            self.call.kernel.name
        );
        assert!(rows.end * width <= arg.view.words, "{}: argument {i} is too short", self.call.kernel.name);
        // SAFETY: in bounds by the assertion; row ranges of one call are disjoint.
        unsafe {
            let start = self.pointer(i).add(rows.start * width);
            std::slice::from_raw_parts_mut(start.cast::<T>(), rows.len() * width)
        }
    }

    /// All of argument `i`, read only.
    pub fn whole<T: Element>(&self, i: usize) -> &[T] {
        // SAFETY: the view lies inside its buffer; a whole-scoped argument has no writer.
        unsafe { std::slice::from_raw_parts(self.pointer(i).cast::<T>(), self.call.args[i].view.words) }
    }

    fn pointer(&self, i: usize) -> *mut u32 {
        let view = &self.call.args[i].view;
        // SAFETY: `Recording::check` has found the view inside its buffer.
        unsafe { self.base[view.buffer.0 as usize].add(view.offset) }
    }
}
