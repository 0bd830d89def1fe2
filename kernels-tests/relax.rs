//! `relax`: coefficients of one image and of several, shared and not.

use smoothenc::engine::graph::{Graph, Tensor};
use smoothenc::error::Result;
use smoothenc::method::ops::relax;

use crate::harness::{Case, Input};

/// What each row takes: its own coefficients, and the two values of its image.
fn rows<T>(
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
const SHAPES: [([usize; 3], bool); 6] = [
    ([1, 1, 1], false),
    ([1, 5, 200], false),
    ([3, 7, 17], true),
    ([4, 10, 33], false),
    ([2, 130, 16], true),
    ([2, 3, 785], true),
];

/// A case for each shape: an op, what it computes of a row, and what the two values of an image are drawn from.
pub fn cases_of(
    op: fn(&mut Graph, [Tensor; 3], usize) -> Result<Tensor>,
    of_row: fn([&[f64]; 3]) -> Vec<f64>,
    [first, second]: [(f64, f64); 2],
) -> Vec<Case> {
    let case = |(shape, shared): ([usize; 3], bool)| {
        let [images, rows_an_image, cols] = shape;
        let name = format!("{images}x{rows_an_image}x{cols}{}", if shared { "_shared" } else { "" });
        let case = Case::new(
            name,
            move |g, x| Ok(vec![op(g, [x[0], x[1], x[2]], rows_an_image)?]),
            move |x| vec![rows(x, shape, of_row).concat()],
        );
        let of_images = if shared { 1 } else { images };
        case.input(Input::normal([of_images * rows_an_image, cols]))
            .input(Input::uniform([images, cols], first.0, first.1))
            .input(Input::uniform([images, cols], second.0, second.1))
    };
    SHAPES.into_iter().map(case).collect()
}

pub fn cases() -> Vec<Case> {
    let scaled = |[a, positive, negative]: [&[f64]; 3]| -> Vec<f64> {
        let slope = |j: usize| if a[j] > 0.0 { positive[j] } else { negative[j] };
        (0..a.len()).map(|j| a[j] * slope(j)).collect()
    };
    cases_of(
        |g, [a, positive, negative], rows| relax(g, a, positive, negative, rows),
        scaled,
        [(0.0, 1.0); 2],
    )
}
