//! `paint`: grey images of packed bytes in seven colours, at indices in any order.

use smoothenc::method::ops::paint;

use crate::gather::{byte, indices, packed, rows_of};
use crate::harness::Case;

/// The colours by name, so that the oracle has nothing of the kernel's arithmetic.
const RED_GREEN_BLUE: [[f64; 3]; 7] = [
    [1.0, 0.0, 0.0],
    [0.0, 1.0, 0.0],
    [1.0, 1.0, 0.0],
    [0.0, 0.0, 1.0],
    [1.0, 0.0, 1.0],
    [0.0, 1.0, 1.0],
    [1.0, 1.0, 1.0],
];

/// `n` grey images of `pixels`, so `7 n` in colours.
fn colored(rows: usize, [n, pixels]: [usize; 2]) -> Case {
    let mut images = Vec::new();
    for image in 0..n {
        for color in RED_GREEN_BLUE {
            for lit in color {
                images.extend((0..pixels).map(|p| lit * f64::from(byte(image * pixels + p)) / 255.0));
            }
        }
    }
    Case::new(
        format!("{rows}of{n}x{pixels}"),
        move |g, x| Ok(vec![paint(g, x[0], x[1], pixels)?]),
        move |x| vec![rows_of(&images, &x[1], 3 * pixels, f64::NAN)],
    )
    .input(packed(n * pixels))
    .input(indices(rows, 7 * n))
    .tolerance(1e-7, 4e-7)
    .nonfinite()
}

pub fn cases() -> Vec<Case> {
    let sizes = [(1, [1, 1]), (21, [3, 1]), (9, [2, 7]), (70, [11, 784]), (5, [3, 785])];
    sizes.into_iter().map(|(rows, sides)| colored(rows, sides)).collect()
}
