//! `conv2d_transpose`: transposes of the convolutions that `conv2d` is tested on.

use smoothenc::engine::graph::{Graph, Tensor};
use smoothenc::engine::ops::conv2d_transpose;

use crate::conv2d::{EPILOGUES, epilogue, joins, len, name, nan_bias, of_several_channels, shapes};
use crate::harness::{Case, Input};

pub fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for (rows, c) in shapes() {
        for (label, bias, relu) in EPILOGUES {
            let case = Case::new(
                format!("{label}_{}", name(rows, &c)),
                move |g, x| Ok(vec![conv2d_transpose(g, c, x[0], x[1], bias.then(|| x[2]), relu)?]),
                move |x| {
                    let mut y = vec![0.0; rows * len(c.large)];
                    joins(rows, &c, |large, small, weight| y[large] += x[0][small] * x[1][weight]);
                    epilogue(&mut y, c.large, bias.then(|| &x[2]), relu);
                    vec![y]
                },
            )
            .input(Input::normal([rows, len(c.small)]))
            .input(Input::normal(c.weight_shape()))
            .tolerance(1e-4, 1e-4);
            let case = if bias { case.input(Input::normal([c.large[0]])) } else { case };
            let inputs: &[usize] = if bias { &[0, 1, 2] } else { &[0, 1] };
            let small = rows * len(c.small) * len(c.large) < 100_000;
            cases.push(if small { case.gradient(inputs) } else { case });
        }
    }
    let (rows, c) = of_several_channels();
    let spoilt =
        move |g: &mut Graph, x: &[Tensor]| Ok(vec![conv2d_transpose(g, c, x[0], x[1], Some(x[2]), true)?]);
    cases.push(nan_bias(rows, c, spoilt, [c.small, c.large]));
    cases
}
