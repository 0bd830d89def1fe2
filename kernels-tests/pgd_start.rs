//! `pgd_start`: random points of the ball in either norm.

use smoothenc::method::ops::{StartNoise, pgd_start};

use crate::harness::{Case, Input};
use crate::pgd_step::norm_of;

fn linf([rows, cols]: [usize; 2], eps: f32) -> Case {
    let case = Case::new(
        format!("Linf_{rows}x{cols}_eps{eps}"),
        move |g, x| {
            pgd_start(g, x[2], x[0], StartNoise::Linf(x[1]), eps)?;
            Ok(vec![x[2]])
        },
        move |x| {
            let pixel = |(x, n): (&f64, &f64)| (x + f64::from(eps) * (2.0 * n - 1.0)).clamp(0.0, 1.0);
            vec![x[0].iter().zip(&x[1]).map(pixel).collect()]
        },
    );
    let image = || Input::uniform([rows, cols], 0.0, 1.0);
    case.input(image()).input(image()).input(Input::normal([rows, cols])).tolerance(1e-4, 1e-4)
}

fn l2([rows, cols]: [usize; 2], eps: f32) -> Case {
    let case = Case::new(
        format!("L2_{rows}x{cols}_eps{eps}"),
        move |g, x| {
            pgd_start(g, x[3], x[0], StartNoise::L2 { normals: x[1], radius: x[2] }, eps)?;
            Ok(vec![x[3]])
        },
        move |x| {
            let rows = x[0].chunks(cols).zip(x[1].chunks(cols)).zip(&x[2]);
            let row = |((x, noise), radius): ((&[f64], &[f64]), &f64)| -> Vec<f64> {
                let length = f64::from(eps) * radius.powf(1.0 / cols as f64) / norm_of(noise);
                x.iter().zip(noise).map(|(x, n)| (x + length * n).clamp(0.0, 1.0)).collect()
            };
            vec![rows.flat_map(row).collect()]
        },
    );
    case.input(Input::uniform([rows, cols], 0.0, 1.0))
        .input(Input::normal([rows, cols]))
        .input(Input::uniform([rows], 1e-6, 1.0))
        .input(Input::normal([rows, cols]))
        .tolerance(1e-4, 1e-4)
}

pub fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for sides in [[1, 1], [5, 7], [37, 200], [3, 784], [2, 785]] {
        for eps in [0.1, 2.5] {
            cases.extend([linf(sides, eps), l2(sides, eps)]);
        }
    }
    cases
}
