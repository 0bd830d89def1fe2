//! The registers of an instruction set, as all kernels see them.

use std::ops::Range;

use super::product::Tile;
use super::{LANES, Panels, product};

/// [`LANES`] floats in the registers of one instruction set.
///
/// Its methods need that instruction set. Only [`run`](super::run) names its types, where the machine has it.
pub trait Vector: Copy {
    /// The most vectors that a convolution sums at once, and the most channels of these, a power of two.
    const CONVOLUTION: [usize; 2];

    /// The first words from `from` on.
    ///
    /// # Safety
    /// So many words must be there.
    unsafe fn load(from: *const f32) -> Self;

    /// Writes the words from `to` on.
    ///
    /// # Safety
    /// There must be room for them.
    unsafe fn store(self, to: *mut f32);

    /// `value` in every lane.
    fn splat(value: f32) -> Self;

    /// `self + a b`, rounded once where the processor can.
    fn add_product(self, a: Self, b: Self) -> Self;

    /// Runs `work` on a panel of the first of `rows`, as many as suit the registers, and returns the rest.
    #[inline(always)]
    fn panel(work: &mut impl Panels, rows: Range<usize>) -> Range<usize> {
        work.panel_of::<Self, LANES>(rows)
    }

    /// The outputs of a register tile over `N` examples, at most [`product::MOST_OUTPUTS`].
    fn outputs<const N: usize>() -> usize;

    /// [`product::add_to`] for this instruction set. A function of its own, so that each size of a register tile is
    /// compiled once for all kernels.
    fn add_to<const N: usize>(tile: Tile<N>) {
        product::add_to::<Self, N>(tile);
    }
}

/// Plain Rust, without fused multiply-adds.
#[derive(Debug, Clone, Copy)]
pub(super) struct Portable([f32; LANES]);

impl Vector for Portable {
    const CONVOLUTION: [usize; 2] = [2, 2];

    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        // SAFETY: the caller's.
        Portable(unsafe { from.cast::<[f32; LANES]>().read_unaligned() })
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        // SAFETY: the caller's.
        unsafe { to.cast::<[f32; LANES]>().write_unaligned(self.0) }
    }

    #[inline(always)]
    fn splat(value: f32) -> Self {
        Portable([value; LANES])
    }

    #[inline(always)]
    fn add_product(mut self, a: Self, b: Self) -> Self {
        for e in 0..LANES {
            self.0[e] += a.0[e] * b.0[e];
        }
        self
    }

    #[inline(always)]
    fn outputs<const N: usize>() -> usize {
        // SSE has 16 registers of four lanes: eight of sums, four of examples.
        2
    }
}

/// NEON, of 64-bit ARM: four registers of four lanes.
#[cfg(target_arch = "aarch64")]
#[derive(Debug, Clone, Copy)]
pub(super) struct Neon([std::arch::aarch64::float32x4_t; 4]);

// NEON is part of every 64-bit ARM processor, so no target feature has to be enabled.
#[cfg(target_arch = "aarch64")]
impl Vector for Neon {
    const CONVOLUTION: [usize; 2] = [4, 4];

    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        // SAFETY: the caller's.
        Neon(std::array::from_fn(|i| unsafe { std::arch::aarch64::vld1q_f32(from.add(4 * i)) }))
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        for (i, quarter) in self.0.into_iter().enumerate() {
            // SAFETY: the caller's.
            unsafe { std::arch::aarch64::vst1q_f32(to.add(4 * i), quarter) }
        }
    }

    #[inline(always)]
    fn splat(value: f32) -> Self {
        // SAFETY: the processor has the instructions.
        Neon([unsafe { std::arch::aarch64::vdupq_n_f32(value) }; 4])
    }

    #[inline(always)]
    fn add_product(self, a: Self, b: Self) -> Self {
        // SAFETY: as above.
        Neon(std::array::from_fn(|i| unsafe { std::arch::aarch64::vfmaq_f32(self.0[i], a.0[i], b.0[i]) }))
    }

    #[inline(always)]
    fn outputs<const N: usize>() -> usize {
        // 32 registers of four lanes: 24 of sums, four of examples.
        6
    }
}
