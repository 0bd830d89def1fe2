//! Vector arithmetic for CPU kernels: plain Rust over arrays of lanes, compiled for each instruction set, one of which
//! is chosen at run time.

use std::sync::OnceLock;

mod elementary;
mod panel;
mod product;
mod vector;
#[cfg(target_arch = "x86_64")]
mod x86;

pub use elementary::{exp, exp_and_exp_m1, flush, ln};
pub use panel::{
    Column, LANES, Panels, WIDEST, columns, copy_lanes, first, for_panels, transpose, transpose_back,
    transpose4x4, words,
};
pub use product::{Active, Matrix, product};
pub use vector::Vector;

/// An instruction set that [`run`] has a version for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InstructionSet {
    /// AVX-512F.
    Avx512,
    /// AVX2 with FMA.
    Avx2Fma,
    /// NEON, of 64-bit ARM.
    Neon,
    /// Plain Rust, without fused multiply-adds.
    Portable,
}

impl InstructionSet {
    /// Its name, for people.
    pub fn name(self) -> &'static str {
        match self {
            InstructionSet::Avx512 => "AVX-512",
            InstructionSet::Avx2Fma => "AVX2+FMA",
            InstructionSet::Neon => "NEON",
            InstructionSet::Portable => "portable",
        }
    }
}

/// What [`limit`] has set.
static LIMIT: OnceLock<InstructionSet> = OnceLock::new();

/// Lets kernels use `set` in place of the widest instruction set, to see what a machine without that gets. The first
/// call counts.
///
/// # Errors
/// The sets that this machine has, where `set` is none of them.
pub fn limit(set: InstructionSet) -> Result<(), Vec<InstructionSet>> {
    let sets = instruction_sets();
    if !sets.contains(&set) {
        return Err(sets);
    }
    LIMIT.get_or_init(|| set);
    Ok(())
}

/// The instruction sets of this machine, the widest first.
pub fn instruction_sets() -> Vec<InstructionSet> {
    let mut sets = vec![widest()];
    if widest() == InstructionSet::Avx512 {
        sets.push(InstructionSet::Avx2Fma);
    }
    if widest() != InstructionSet::Portable {
        sets.push(InstructionSet::Portable);
    }
    sets
}

/// The instruction set that kernels use: the widest of this machine, unless [`limit`] has set another. Results depend
/// on it in their last bits.
pub fn instruction_set() -> InstructionSet {
    LIMIT.get().copied().unwrap_or_else(widest)
}

fn widest() -> InstructionSet {
    #[cfg(target_arch = "x86_64")]
    {
        if std::arch::is_x86_feature_detected!("avx512f") {
            return InstructionSet::Avx512;
        }
        if std::arch::is_x86_feature_detected!("avx2") && std::arch::is_x86_feature_detected!("fma") {
            return InstructionSet::Avx2Fma;
        }
    }
    if cfg!(target_arch = "aarch64") { InstructionSet::Neon } else { InstructionSet::Portable }
}

/// Work that [`run`] compiles for every instruction set.
///
/// `run` must be `#[inline(always)]`, and so must the functions that it calls in inner loops: code is compiled for the
/// instruction set of the function that it is inlined into.
pub trait Work {
    /// Does the work with the registers `V`.
    fn run<V: Vector>(self);
}

/// Runs `work` with the [`instruction_set`].
pub fn run(work: impl Work) {
    run_on(instruction_set(), work);
}

/// Runs `work` with the instruction set `set`, which this machine must have.
fn run_on(set: InstructionSet, work: impl Work) {
    match set {
        // SAFETY: `set` is one that this machine was found to have.
        #[cfg(target_arch = "x86_64")]
        InstructionSet::Avx512 => unsafe { avx512(work) },
        #[cfg(target_arch = "x86_64")]
        InstructionSet::Avx2Fma => unsafe { avx2(work) },
        #[cfg(target_arch = "aarch64")]
        InstructionSet::Neon => work.run::<vector::Neon>(),
        _ => work.run::<vector::Portable>(),
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
fn avx512(work: impl Work) {
    work.run::<x86::Avx512>();
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn avx2(work: impl Work) {
    work.run::<x86::Avx2>();
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Scaled<'a>(&'a mut Column);

    impl Work for Scaled<'_> {
        #[inline(always)]
        fn run<V: Vector>(self) {
            let x = Column(std::array::from_fn(|e| e as f32));
            *self.0 = Column::of(self.0.vector::<V>().add_product(V::splat(0.5), x.vector()));
        }
    }

    #[test]
    fn every_instruction_set_adds_every_lane() {
        for set in instruction_sets() {
            let mut sum = Column([3.0; LANES]);
            run_on(set, Scaled(&mut sum));
            assert_eq!(sum.0, std::array::from_fn(|e| 3.0 + 0.5 * e as f32), "{set:?}");
        }
    }
}
