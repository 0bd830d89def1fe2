//! `box_minimum`: coefficients of one image and of several, shared and not.

use smoothenc::method::ops::box_minimum;

use crate::harness::Case;
use crate::relax::cases_of;

pub fn cases() -> Vec<Case> {
    let least = |[a, low, high]: [&[f64]; 3]| -> Vec<f64> {
        vec![(0..a.len()).map(|j| (a[j] * low[j]).min(a[j] * high[j])).sum()]
    };
    cases_of(|g, [a, low, high], rows| box_minimum(g, a, low, high, rows), least, [(-1.0, 0.2), (0.2, 1.0)])
}
