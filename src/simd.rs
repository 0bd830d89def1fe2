//! Vector arithmetic for CPU kernels: plain Rust over arrays of lanes, compiled once for each
//! instruction set and chosen when the program runs.

mod exp;
mod panel;
mod product;

pub use exp::exp_and_exp_m1;
pub use panel::{Column, LANES, copy_lanes, transpose, transpose_back, words};
pub use product::{Active, Matrix, masked_product, product, sparse_product};

/// An instruction set that [`run`] has a version for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Path {
    Avx512,
    Avx2Fma,
    Neon,
    Portable,
}

impl Path {
    pub fn name(self) -> &'static str {
        match self {
            Path::Avx512 => "AVX-512",
            Path::Avx2Fma => "AVX2+FMA",
            Path::Neon => "NEON",
            Path::Portable => "portable",
        }
    }
}

/// The widest instruction set of this machine; part of what fixes a run's bits.
pub fn path() -> Path {
    #[cfg(target_arch = "x86_64")]
    {
        if std::arch::is_x86_feature_detected!("avx512f") {
            return Path::Avx512;
        }
        if std::arch::is_x86_feature_detected!("avx2") && std::arch::is_x86_feature_detected!("fma") {
            return Path::Avx2Fma;
        }
    }
    if cfg!(target_arch = "aarch64") { Path::Neon } else { Path::Portable }
}

/// Work that [`run`] compiles for every instruction set.
///
/// `run` must be `#[inline(always)]`, and so must what it calls in its inner loops: code is compiled
/// for the instruction set of the function that it is inlined into.
pub trait Work {
    /// `FMA`: multiply and add in one instruction. `ROWS`: columns that a register tile sums at once,
    /// at most 6.
    fn run<const FMA: bool, const ROWS: usize>(self);
}

/// Runs `work` with the widest instruction set of this machine.
pub fn run(work: impl Work) {
    run_on(path(), work);
}

/// Runs `work` with the instruction set `path`, which this machine must have.
fn run_on(path: Path, work: impl Work) {
    match path {
        // SAFETY: `path` is one that this machine was found to have.
        #[cfg(target_arch = "x86_64")]
        Path::Avx512 => unsafe { avx512(work) },
        #[cfg(target_arch = "x86_64")]
        Path::Avx2Fma => unsafe { avx2(work) },
        // Part of every 64-bit ARM processor, so nothing needs to be switched on.
        Path::Neon => work.run::<true, 4>(),
        _ => work.run::<false, 2>(),
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
fn avx512(work: impl Work) {
    work.run::<true, 6>();
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn avx2(work: impl Work) {
    work.run::<true, 4>();
}

/// `a b + c`, rounded once where the processor can.
#[inline(always)]
pub fn multiply_add<const FMA: bool>(a: f32, b: f32, c: f32) -> f32 {
    // Without the instruction `mul_add` is a slow call.
    if FMA { a.mul_add(b, c) } else { a * b + c }
}
