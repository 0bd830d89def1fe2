//! Intrinsics of x86, where compilers do not turn plain loops over lanes into these instructions.

use std::arch::x86_64::*;

use super::Column;

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
