//! A kernel: its WGSL and its CPU twin, declared once by [`kernel!`](crate::kernel).

mod binding;
mod declare;
mod params;
mod tile;

pub use binding::{ALIGN_WORDS, Access, Arg, Binding, BufferId, NONE, Scope, UNUSED, View};
pub use params::{Member, Param};
pub(crate) use tile::CallParts;
pub use tile::CpuTile;

/// Runs one tile of a call on the CPU.
pub type CpuKernel = fn(CpuTile<'_>);

/// A kernel. [`kernel!`](crate::kernel) declares it, with the types of its uniform block, its constants, its arguments
/// and its CPU tiles; `tests/shaders.rs` compares the declaration with the WGSL.
#[derive(Debug)]
pub struct Kernel {
    /// `shaders/NAME.wgsl`, `src/engine/ops/NAME.rs` and `kernels-tests/NAME.rs` carry this name.
    pub name: &'static str,
    /// Shared WGSL files first, the kernel's own file last. The entry point is `main`.
    pub wgsl: &'static [&'static str],
    /// The text for cooperative matrices, empty where there is none; `shaders/cooperative/NAME.wgsl` is the last file.
    /// It has the same bindings, and an `override` constant `SUBGROUP`, the most invocations of a subgroup, which the
    /// back end sets. The back end puts `common/cooperative_N.wgsl` of the matrices' side in front.
    pub cooperative: &'static [&'static str],
    /// Binding 0, the uniform block: its members in order.
    pub params: &'static [Member],
    /// The `override` constants that an op sets, in order.
    pub constants: &'static [&'static str],
    /// Bindings 1, 2, ...: the storage buffers in order.
    pub bindings: &'static [Binding],
    /// The CPU twin.
    pub cpu: CpuKernel,
    /// Whether devices may compile it without bounds checks. Only this crate's kernels are: its tests run them checked.
    pub(crate) trusted: bool,
}

impl Kernel {
    /// A kernel that devices always compile with bounds checks. [`kernel!`](crate::kernel) is the usual way to make
    /// one.
    pub const fn new(
        name: &'static str,
        wgsl: &'static [&'static str],
        params: &'static [Member],
        constants: &'static [&'static str],
        bindings: &'static [Binding],
        cpu: CpuKernel,
    ) -> Self {
        Kernel { name, wgsl, cooperative: &[], params, constants, bindings, cpu, trusted: false }
    }

    /// The kernel with a text for cooperative matrices.
    pub(crate) const fn with_cooperative(mut self, wgsl: &'static [&'static str]) -> Self {
        self.cooperative = wgsl;
        self
    }

    /// The kernel, to be compiled without bounds checks: it indexes inside its bindings, divides by sizes of at least 1
    /// and ends all loops, as the kernel suite shows with checks on.
    pub(crate) const fn trusted(mut self) -> Self {
        self.trusted = true;
        self
    }
}
