//! `relax`: coefficients of one image and of several, shared and not.

use smoothenc::method::ops::relax;

use crate::harness::{Case, Input};

/// What each row takes: its own coefficients, and the two values of its image.
pub fn rows<T>(
    x: &[Vec<f64>],
    [images, rows_an_image, cols]: [usize; 3],
    of: impl Fn([&[f64]; 3]) -> T,
) -> Vec<T> {
    let row = |values: &[f64], r: usize| values[r * cols..(r + 1) * cols].to_vec();
    let period = x[0].len() / cols;
    let rows = (0..images * rows_an_image).map(|r| {
        let image = r / rows_an_image;
        of([&row(&x[0], r % period), &row(&x[1], image), &row(&x[2], image)])
    });
    rows.collect()
}

/// Images, rows of each and columns; whether images share the coefficients.
pub const SHAPES: [([usize; 3], bool); 6] = [
    ([1, 1, 1], false),
    ([1, 5, 200], false),
    ([3, 7, 17], true),
    ([4, 10, 33], false),
    ([2, 130, 16], true),
    ([2, 3, 785], true),
];

pub fn cases() -> Vec<Case> {
    let case = |(shape, shared): ([usize; 3], bool)| {
        let [images, rows_an_image, cols] = shape;
        let name = format!("{images}x{rows_an_image}x{cols}{}", if shared { "_shared" } else { "" });
        let case = Case::new(
            name,
            move |g, x| Ok(vec![relax(g, x[0], x[1], x[2], rows_an_image)?]),
            move |x| {
                let scaled = |[a, positive, negative]: [&[f64]; 3]| -> Vec<f64> {
                    let slope = |j: usize| if a[j] > 0.0 { positive[j] } else { negative[j] };
                    (0..cols).map(|j| a[j] * slope(j)).collect()
                };
                vec![rows(x, shape, scaled).concat()]
            },
        );
        let of_images = if shared { 1 } else { images };
        case.input(Input::normal([of_images * rows_an_image, cols]))
            .input(Input::uniform([images, cols], 0.0, 1.0))
            .input(Input::uniform([images, cols], 0.0, 1.0))
    };
    SHAPES.into_iter().map(case).collect()
}
