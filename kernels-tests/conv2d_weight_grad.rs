//! `conv2d_weight_grad`: the convolutions that `conv2d` is tested on, and more than one chunk of rows.

use smoothenc::engine::ops::conv2d_weight_grad;

use crate::conv2d::{joins, len, name, shapes, sizes};
use crate::harness::{Case, Input};

pub fn cases() -> Vec<Case> {
    let mut all = shapes();
    all.extend([(64, sizes([1, 4, 5], 2, [3, 3], [1, 1])), (71, sizes([3, 6, 5], 17, [4, 4], [2, 1]))]);
    let case = |(rows, c)| {
        Case::new(
            name(rows, &c),
            move |g, x| Ok(vec![conv2d_weight_grad(g, c, x[0], x[1])?]),
            move |x| {
                let mut d = vec![0.0; c.weight_shape().iter().product()];
                joins(rows, &c, |large, small, weight| d[weight] += x[0][small] * x[1][large]);
                vec![d]
            },
        )
        .input(Input::normal([rows, len(c.small)]))
        .input(Input::normal([rows, len(c.large)]))
        .tolerance(1e-4, 1e-4)
    };
    all.into_iter().map(case).collect()
}
