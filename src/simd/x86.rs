//! The instructions of x86 by name, where plain loops over lanes would not become them.

use std::arch::x86_64::*;

use super::{Column, LANES};

#[inline]
#[target_feature(enable = "avx512f")]
pub unsafe fn add_scaled_512(sum: &mut Column, weight: f32, x: &Column) {
    let (to, x) = (sum.0.as_mut_ptr(), x.0.as_ptr());
    // SAFETY: columns are 16 aligned floats.
    unsafe {
        let added = _mm512_fmadd_ps(_mm512_set1_ps(weight), _mm512_load_ps(x), _mm512_load_ps(to));
        _mm512_store_ps(to, added);
    }
}

#[inline]
#[target_feature(enable = "avx2,fma")]
pub unsafe fn add_scaled_256(sum: &mut Column, weight: f32, x: &Column) {
    let (to, x) = (sum.0.as_mut_ptr(), x.0.as_ptr());
    let weight = _mm256_set1_ps(weight);
    for half in [0, 8] {
        // SAFETY: columns are 16 aligned floats.
        unsafe {
            let (to, x) = (to.add(half), x.add(half));
            _mm256_store_ps(to, _mm256_fmadd_ps(weight, _mm256_load_ps(x), _mm256_load_ps(to)));
        }
    }
}

/// Within 128 bits by pairs of rows and of pairs, then the 128 bits themselves.
#[inline]
#[target_feature(enable = "avx512f")]
pub unsafe fn transpose_block(block: &mut [Column; LANES]) {
    // SAFETY: columns are 16 aligned floats.
    let r: [__m512; LANES] = std::array::from_fn(|i| unsafe { _mm512_load_ps(block[i].0.as_ptr()) });
    let mut pairs = [_mm512_setzero_pd(); LANES];
    for i in 0..8 {
        pairs[2 * i] = _mm512_castps_pd(_mm512_unpacklo_ps(r[2 * i], r[2 * i + 1]));
        pairs[2 * i + 1] = _mm512_castps_pd(_mm512_unpackhi_ps(r[2 * i], r[2 * i + 1]));
    }
    // quads[4 i + j]: in lane l, rows 4 i .. 4 i + 4 of column 4 l + j.
    let mut quads = [_mm512_setzero_ps(); LANES];
    for i in 0..4 {
        for j in 0..2 {
            let (a, b) = (pairs[4 * i + j], pairs[4 * i + j + 2]);
            quads[4 * i + 2 * j] = _mm512_castpd_ps(_mm512_unpacklo_pd(a, b));
            quads[4 * i + 2 * j + 1] = _mm512_castpd_ps(_mm512_unpackhi_pd(a, b));
        }
    }
    for j in 0..4 {
        let [a, b, c, d] = [quads[j], quads[4 + j], quads[8 + j], quads[12 + j]];
        // Lanes 0 and 2, and 1 and 3, of two.
        let (ab_even, ab_odd) = (_mm512_shuffle_f32x4::<0x88>(a, b), _mm512_shuffle_f32x4::<0xdd>(a, b));
        let (cd_even, cd_odd) = (_mm512_shuffle_f32x4::<0x88>(c, d), _mm512_shuffle_f32x4::<0xdd>(c, d));
        let columns = [
            _mm512_shuffle_f32x4::<0x88>(ab_even, cd_even),
            _mm512_shuffle_f32x4::<0x88>(ab_odd, cd_odd),
            _mm512_shuffle_f32x4::<0xdd>(ab_even, cd_even),
            _mm512_shuffle_f32x4::<0xdd>(ab_odd, cd_odd),
        ];
        for (l, column) in columns.into_iter().enumerate() {
            // SAFETY: as above.
            unsafe { _mm512_store_ps(block[4 * l + j].0.as_mut_ptr(), column) };
        }
    }
}
