//! `pgd_step`: one step in either norm, for gradients of any size.

use smoothenc::method::ops::{Norm, StepLength, pgd_step};

use crate::harness::{Case, Input};
use crate::inputs::{Rng, seed};

pub fn norm_of(row: &[f64]) -> f64 {
    row.iter().map(|v| v * v).sum::<f64>().sqrt()
}

/// docs/method.md, section 4, one row: x', its gradient, x.
pub fn oracle_row(norm: Norm, eps: f64, step: f64, x_adv: &[f64], grad: &[f64], x: &[f64]) -> Vec<f64> {
    let length = norm_of(grad);
    let direction = |g: f64| match norm {
        Norm::Linf if g == 0.0 => 0.0,
        Norm::Linf => g.signum(),
        Norm::L2 if length == 0.0 => 0.0,
        Norm::L2 => g / length,
    };
    let moved: Vec<_> = x_adv.iter().zip(grad).map(|(a, &g)| a + step * direction(g)).collect();
    let away: Vec<_> = moved.iter().zip(x).map(|(a, x)| a - x).collect();
    let shrink = match norm {
        Norm::L2 if norm_of(&away) > eps => eps / norm_of(&away),
        _ => 1.0,
    };
    let back = |(away, x): (&f64, &f64)| {
        if away.is_nan() {
            return f64::NAN;
        }
        let away = if norm == Norm::Linf { away.clamp(-eps, eps) } else { away * shrink };
        (x + away).clamp(0.0, 1.0)
    };
    away.iter().zip(x).map(back).collect()
}

struct Setting {
    norm: Norm,
    sides: [usize; 2],
    eps: f32,
    step: f32,
    /// Each row has a length of its own, `step` and more.
    by_row: bool,
}

fn case(name: String, setting: Setting, grad: Vec<f32>) -> Case {
    let Setting { norm, sides: [rows, cols], eps, step, by_row } = setting;
    let length = move |r: usize| step * if by_row { 1.0 + 0.25 * r as f32 } else { 1.0 };
    let mut rng = Rng::new(seed(), &name);
    // Half the pixels at 0, like MNIST's, and points that lie within the ball or on its border.
    let x: Vec<f32> = (0..rows * cols).map(|_| (2.0 * rng.uniform() - 1.0).max(0.0) as f32).collect();
    let mut near = |x: &f32| (x + eps * (2.0 * rng.uniform() as f32 - 1.0)).clamp(0.0, 1.0);
    let x_adv = x.iter().map(&mut near).collect();
    let case = Case::new(
        name,
        move |g, x| {
            let step = if by_row { StepLength::ByRow(x[3]) } else { StepLength::Same(step) };
            pgd_step(g, norm, x[0], x[1], x[2], eps, step)?;
            Ok(vec![x[0]])
        },
        move |x| {
            let rows = x[0].chunks(cols).zip(x[1].chunks(cols)).zip(x[2].chunks(cols)).enumerate();
            let row = |(r, ((a, g), x))| oracle_row(norm, f64::from(eps), f64::from(length(r)), a, g, x);
            vec![rows.flat_map(row).collect()]
        },
    );
    case.input(Input::values([rows, cols], x_adv))
        .input(Input::values([rows, cols], grad))
        .input(Input::values([rows, cols], x))
        .input(Input::values([rows], (0..rows).map(length).collect()))
        .nonfinite()
        .tolerance(1e-4, 1e-4)
}

/// Normal gradients of this size, every 7th element 0.
fn gradient(name: &str, n: usize, size: f32) -> Vec<f32> {
    let mut rng = Rng::new(seed(), name);
    (0..n).map(|i| if i % 7 == 3 { 0.0 } else { size * rng.normal() as f32 }).collect()
}

pub fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for norm in [Norm::Linf, Norm::L2] {
        let setting = |sides, eps, step| Setting { norm, sides, eps, step, by_row: false };
        for [rows, cols] in [[1, 1], [5, 7], [37, 200], [3, 784], [2, 785]] {
            for (eps, step) in [(0.1, 0.05), (0.3, 0.01), (2.0, 0.7)] {
                let name = format!("{norm:?}_{rows}x{cols}_eps{eps}");
                let grad = gradient(&name, rows * cols, 1.0);
                cases.push(case(name.clone(), setting([rows, cols], eps, step), grad.clone()));
                let by_row = Setting { by_row: true, ..setting([rows, cols], eps, step) };
                cases.push(case(format!("{name}_by_row"), by_row, grad));
            }
        }
        // Squares of the gradients under- or overflow, or their sizes are at the format's ends.
        for size in [1e-36, 1e-22, 1e-13, 1e-8, 1e13, 1e18, 3e37] {
            let name = format!("{norm:?}_gradient{size:e}");
            let grad = gradient(&name, 3 * 300, size);
            cases.push(case(name, setting([3, 300], 2.0, 0.7), grad));
        }
        let mut grad = gradient("zero", 3 * 300, 1.0);
        grad[300..600].fill(0.0);
        cases.push(case(format!("{norm:?}_zero_row"), setting([3, 300], 2.0, 0.7), grad));
        let mut grad = gradient("nan", 3 * 300, 1.0);
        grad[310] = f32::NAN;
        cases.push(case(format!("{norm:?}_nan"), setting([3, 300], 2.0, 0.7), grad.clone()));
        grad[300..600].fill(f32::NAN);
        cases.push(case(format!("{norm:?}_nan_row"), setting([3, 300], 2.0, 0.7), grad));
    }
    cases
}
