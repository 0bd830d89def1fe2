//! The registers of x86.

use std::arch::x86_64::*;
use std::ops::Range;

use super::product::Tile;
use super::vector::Vector;
use super::{LANES, Panels, product};

/// AVX-512F: one register.
#[derive(Debug, Clone, Copy)]
pub(super) struct Avx512(__m512);

impl Vector for Avx512 {
    const CONVOLUTION: [usize; 2] = [24, 8];

    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        // SAFETY: the caller's.
        Avx512(unsafe { _mm512_loadu_ps(from) })
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        // SAFETY: the caller's.
        unsafe { _mm512_storeu_ps(to, self.0) }
    }

    #[inline(always)]
    fn splat(value: f32) -> Self {
        // SAFETY: the machine has the instructions.
        Avx512(unsafe { _mm512_set1_ps(value) })
    }

    #[inline(always)]
    fn add_product(self, a: Self, b: Self) -> Self {
        // SAFETY: as above.
        Avx512(unsafe { _mm512_fmadd_ps(a.0, b.0, self.0) })
    }

    #[inline(always)]
    fn panel(work: &mut impl Panels, rows: Range<usize>) -> Range<usize> {
        match rows.len().div_ceil(LANES) {
            0 | 1 => work.panel_of::<Self, 16>(rows),
            2 => work.panel_of::<Self, 32>(rows),
            // Five vectors are three and two: a panel of one is half as fast.
            3 | 5 => work.panel_of::<Self, 48>(rows),
            _ => work.panel_of::<Self, 64>(rows),
        }
    }

    #[inline(always)]
    fn outputs<const N: usize>() -> usize {
        // Two units with a latency of four cycles need eight sums. A weight that is loaded once serves all vectors of
        // its tile, so tiles of four vectors are the fastest: 24 of the 32 registers then hold sums. Tiles of three
        // vectors take no more outputs, since compilers keep a register for each weight.
        if N / LANES > 2 { 6 } else { 8 }
    }

    fn add_to<const N: usize>(tile: Tile<N>) {
        #[target_feature(enable = "avx512f")]
        fn compiled<const N: usize>(tile: Tile<N>) {
            product::add_to::<Avx512, N>(tile);
        }
        // SAFETY: the machine has the instructions.
        unsafe { compiled(tile) }
    }
}

/// AVX2 with FMA: two registers.
#[derive(Debug, Clone, Copy)]
pub(super) struct Avx2([__m256; 2]);

impl Vector for Avx2 {
    const CONVOLUTION: [usize; 2] = [4, 4];

    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        // SAFETY: the caller's.
        Avx2(unsafe { [_mm256_loadu_ps(from), _mm256_loadu_ps(from.add(8))] })
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        // SAFETY: the caller's.
        unsafe {
            _mm256_storeu_ps(to, self.0[0]);
            _mm256_storeu_ps(to.add(8), self.0[1]);
        }
    }

    #[inline(always)]
    fn splat(value: f32) -> Self {
        // SAFETY: the machine has the instructions.
        Avx2([unsafe { _mm256_set1_ps(value) }; 2])
    }

    #[inline(always)]
    fn add_product(self, a: Self, b: Self) -> Self {
        let [low, high] = self.0;
        // SAFETY: as above.
        Avx2(unsafe { [_mm256_fmadd_ps(a.0[0], b.0[0], low), _mm256_fmadd_ps(a.0[1], b.0[1], high)] })
    }

    #[inline(always)]
    fn outputs<const N: usize>() -> usize {
        // 16 registers: 12 of sums, two of examples, one of a weight.
        6
    }

    fn add_to<const N: usize>(tile: Tile<N>) {
        #[target_feature(enable = "avx2,fma")]
        fn compiled<const N: usize>(tile: Tile<N>) {
            product::add_to::<Avx2, N>(tile);
        }
        // SAFETY: the machine has the instructions.
        unsafe { compiled(tile) }
    }
}
