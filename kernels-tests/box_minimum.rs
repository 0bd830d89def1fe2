//! `box_minimum`: coefficients of one image and of several, shared and not.

use smoothenc::method::ops::box_minimum;

use crate::harness::{Case, Input};
use crate::relax::{SHAPES, rows};

pub fn cases() -> Vec<Case> {
    let case = |(shape, shared): ([usize; 3], bool)| {
        let [images, rows_an_image, cols] = shape;
        let name = format!("{images}x{rows_an_image}x{cols}{}", if shared { "_shared" } else { "" });
        let case = Case::new(
            name,
            move |g, x| Ok(vec![box_minimum(g, x[0], x[1], x[2], rows_an_image)?]),
            move |x| {
                let least = |[a, low, high]: [&[f64]; 3]| -> f64 {
                    (0..cols).map(|j| (a[j] * low[j]).min(a[j] * high[j])).sum()
                };
                vec![rows(x, shape, least)]
            },
        );
        let of_images = if shared { 1 } else { images };
        case.input(Input::normal([of_images * rows_an_image, cols]))
            .input(Input::uniform([images, cols], -1.0, 0.2))
            .input(Input::uniform([images, cols], 0.2, 1.0))
    };
    SHAPES.into_iter().map(case).collect()
}
