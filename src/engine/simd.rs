//! Vector arithmetic for CPU kernels: plain Rust over arrays of lanes, compiled for each instruction set, one of which
//! is chosen at run time.

mod exp;
mod panel;
mod product;
#[cfg(target_arch = "x86_64")]
mod x86;

pub use exp::exp_and_exp_m1;
pub use panel::{Column, LANES, copy_lanes, transpose, transpose_back, transpose4x4, words};
pub use product::{Active, Matrix, masked_product, product, sparse_product};

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

/// The widest instruction set of this machine. Results depend on it in their last bits.
pub fn instruction_set() -> InstructionSet {
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
    /// Does the work. `FMA`: whether the instruction set multiplies and adds in one instruction. `COLUMNS`: the columns
    /// that a register tile sums at once, at most 6.
    fn run<const FMA: bool, const COLUMNS: usize>(self);
}

/// Runs `work` with the widest instruction set of this machine.
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
        // NEON is part of every 64-bit ARM processor, so no target feature has to be enabled.
        InstructionSet::Neon => work.run::<true, 4>(),
        _ => work.run::<false, 2>(),
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
fn avx512(work: impl Work) {
    work.run::<true, AVX512_COLUMNS>();
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn avx2(work: impl Work) {
    work.run::<true, AVX2_COLUMNS>();
}

/// `a b + c`, rounded once where the processor can.
#[inline(always)]
fn multiply_add<const FMA: bool>(a: f32, b: f32, c: f32) -> f32 {
    // Without the instruction, `mul_add` calls a slow function.
    if FMA { a.mul_add(b, c) } else { a * b + c }
}

/// `sum += weight x` in every lane. `FMA` and `COLUMNS` as in [`Work::run`].
///
/// In register tiles of more than a few columns, compilers turn plain loops over lanes into scalars or into vectors
/// across the columns, so on x86 this calls the intrinsics.
#[inline(always)]
pub(crate) fn add_scaled<const FMA: bool, const COLUMNS: usize>(sum: &mut Column, weight: f32, x: &Column) {
    #[cfg(target_arch = "x86_64")]
    match COLUMNS {
        // SAFETY: only `avx512` and `avx2` run with this many columns.
        AVX512_COLUMNS => return unsafe { x86::add_scaled_512(sum, weight, x) },
        AVX2_COLUMNS => return unsafe { x86::add_scaled_256(sum, weight, x) },
        _ => {}
    }
    for e in 0..LANES {
        sum[e] = multiply_add::<FMA>(weight, x[e], sum[e]);
    }
}

/// The columns of a register tile for each instruction set of x86; [`add_scaled`] tells the instruction sets apart by
/// them.
#[cfg(target_arch = "x86_64")]
const AVX512_COLUMNS: usize = 6;
#[cfg(target_arch = "x86_64")]
const AVX2_COLUMNS: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;

    struct Scaled<'a>(&'a mut Column);

    impl Work for Scaled<'_> {
        #[inline(always)]
        fn run<const FMA: bool, const COLUMNS: usize>(self) {
            add_scaled::<FMA, COLUMNS>(self.0, 0.5, &Column(std::array::from_fn(|e| e as f32)));
        }
    }

    #[test]
    fn every_instruction_set_adds_every_lane() {
        let mut sets = vec![InstructionSet::Portable, instruction_set()];
        if instruction_set() == InstructionSet::Avx512 {
            sets.push(InstructionSet::Avx2Fma);
        }
        for set in sets {
            let mut sum = Column([3.0; LANES]);
            run_on(set, Scaled(&mut sum));
            assert_eq!(sum.0, std::array::from_fn(|e| 3.0 + 0.5 * e as f32), "{set:?}");
        }
    }
}
