//! Pairs that nearly agree keep their digits; pairs that are singular have the values that are finite.

use super::*;
use crate::engine::rng::{Key, threefry};

/// Uniform in [-1, 1), the same for the same numbers.
fn draw(case: usize, i: usize) -> f64 {
    let ([x], [y]) = threefry([case as u32], [i as u32], Key([24, 7]));
    (((u64::from(x) << 32 | u64::from(y)) >> 11) as f64) / (1_u64 << 52) as f64 - 1.0
}

type Matrix = Vec<Vec<f64>>;

fn matrix(n: usize, entry: impl Fn(usize, usize) -> f64) -> Matrix {
    (0..n).map(|i| (0..n).map(|j| entry(i, j)).collect()).collect()
}

fn diagonal(variances: &[f64]) -> Matrix {
    matrix(variances.len(), |i, j| if i == j { variances[i] } else { 0.0 })
}

/// `Q diag(variances) Q'`, symmetric to the bit.
fn turned(q: &Matrix, variances: &[f64]) -> Matrix {
    let entry = |i: usize, j: usize| (0..q.len()).map(|k| q[i][k] * variances[k] * q[j][k]).sum::<f64>();
    matrix(q.len(), |i, j| entry(i.max(j), i.min(j)))
}

fn pair(gamma: f64, cov_a: Matrix, cov_b: Matrix) -> FullOut {
    let mu = vec![0.0; cov_a.len()];
    FullCase { gamma, mu_a: mu.clone(), cov_a, mu_b: mu, cov_b }.evaluate().unwrap()
}

/// `x - log(1 + x)`.
fn apart(x: f64) -> f64 {
    match x.abs() < 0.1 {
        true => (2..30).rev().map(|k| (-x).powi(k) / f64::from(k)).sum(),
        false => x - x.ln_1p(),
    }
}

/// `w2` and `kl_ab` of zero means and these variances, whose differences are exact where they are small.
fn factorised(a: &[f64], b: &[f64]) -> [f64; 2] {
    let each = || a.iter().zip(b);
    let w2 = each().map(|(a, b)| ((a - b) / (a.sqrt() + b.sqrt())).powi(2)).sum();
    [w2, each().map(|(a, b)| apart((a - b) / b)).sum::<f64>() / 2.0]
}

#[track_caller]
fn close(what: &str, got: f64, want: f64, relative: f64) {
    assert!((got - want).abs() <= relative * want.abs(), "{what}: got {got:e}, want {want:e}");
}

#[test]
fn diagonal_covariances_keep_their_digits_at_every_distance() {
    for k in 0..=14 {
        for case in 0..20 {
            let n = 1 + case % 6;
            let b: Vec<f64> = (0..n).map(|i| (10.0 * draw(case, i)).exp()).collect();
            let distance = 0.9 * 10_f64.powi(-k);
            let a: Vec<f64> =
                b.iter().enumerate().map(|(i, b)| b + b * distance * draw(case, 100 + i)).collect();
            let (out, [w2, kl]) = (pair(1.0, diagonal(&a), diagonal(&b)), factorised(&a, &b));
            close(&format!("w2 at 1e-{k}, case {case}"), out.w2, w2, 1e-12);
            close(&format!("kl_ab at 1e-{k}, case {case}"), out.kl_ab, kl, 1e-12);
        }
    }
}

#[test]
fn turned_covariances_keep_their_digits_at_every_distance() {
    // Hadamard's rotation by halves, and variances of few bits: no entry is rounded.
    let q = [[1, 1, 1, 1], [1, -1, 1, -1], [1, 1, -1, -1], [1, -1, -1, 1]];
    let q: Matrix = q.iter().map(|row| row.iter().map(|&x| f64::from(x) / 2.0).collect()).collect();
    let b = [1.0, 2.5, 0.75, 3.0];
    for bits in 0..=46 {
        let step = 0.5_f64.powi(bits);
        let a = [b[0] + step, b[1] - 2.0 * step, b[2], b[3] + 3.0 * step];
        let (out, [w2, kl]) = (pair(1.0, turned(&q, &a), turned(&q, &b)), factorised(&a, &b));
        close(&format!("w2 at 2^-{bits}"), out.w2, w2, 1e-13);
        close(&format!("kl_ab at 2^-{bits}"), out.kl_ab, kl, 1e-13);
    }
}

#[test]
fn rounding_of_turned_covariances_is_all_that_is_lost() {
    for k in 0..=14 {
        for case in 0..20 {
            let n = 2 + case % 7;
            // A reflection; its entries, and with them those of the covariances, are rounded.
            let v: Vec<f64> = (0..n).map(|i| draw(case, i)).collect();
            let norm: f64 = v.iter().map(|x| x * x).sum();
            let q = matrix(n, |i, j| f64::from(i == j) - 2.0 * v[i] * v[j] / norm);
            let b: Vec<f64> = (0..n).map(|i| 1.25 + 0.75 * draw(case, 50 + i)).collect();
            let distance = 0.9 * 10_f64.powi(-k);
            let a: Vec<f64> =
                b.iter().enumerate().map(|(i, b)| b + b * distance * draw(case, 100 + i)).collect();
            let (out, [w2, kl]) = (pair(1.0, turned(&q, &a), turned(&q, &b)), factorised(&a, &b));
            // With variances from 0.5 to 2, an error e of a covariance moves either root by some 2 e at most.
            let bound = 4.0 * n as f64 * f64::EPSILON;
            let lost = (out.w2.sqrt() - w2.sqrt()).abs();
            assert!(lost <= bound, "root of w2 at 1e-{k}, case {case}: {lost:e}");
            let lost = (out.kl_ab.sqrt() - kl.sqrt()).abs();
            assert!(lost <= bound, "root of kl_ab at 1e-{k}, case {case}: {lost:e}");
        }
    }
}

#[test]
fn covariances_that_do_not_commute_keep_their_digits() {
    // The first digits of values by mpmath with 60, for S_a = S_b + 2^-bits T.
    let b = [[2.0, 1.0, 0.0], [1.0, 3.0, -1.0], [0.0, -1.0, 1.5]];
    let t = [[1.0, -2.0, 0.5], [-2.0, -1.0, 1.0], [0.5, 1.0, 0.25]];
    let wanted = [
        (2, 0.0912926188652107, 0.0648456355815461),
        (10, 1.56034535920312e-6, 1.25612886089327e-6),
        (25, 1.45404781006804e-15, 1.17123937186622e-15),
        (46, 3.30612200842541e-28, 2.66309010384028e-28),
    ];
    for (bits, w2, kl) in wanted {
        let a = matrix(3, |i, j| b[i][j] + t[i][j] * 0.5_f64.powi(bits));
        let out = pair(1.0, a, matrix(3, |i, j| b[i][j]));
        close(&format!("w2 at 2^-{bits}"), out.w2, w2, 1e-13);
        close(&format!("kl_ab at 2^-{bits}"), out.kl_ab, kl, 1e-13);
    }
}

#[test]
fn a_strong_coupling_loses_no_digits() {
    // The cost nearly cancels against the entropies: half of gamma w2 is about 1e-7.
    let logvar_b = [0.3, -1.0, 2.0];
    let logvar_a = logvar_b.map(|l| l + 1e-8);
    let mu = vec![0.0; 3];
    let case = DiagonalCase {
        gamma: 1e9,
        mu_a: mu.clone(),
        logvar_a: logvar_a.to_vec(),
        mu_b: mu,
        logvar_b: logvar_b.to_vec(),
    };
    let out = pair(1e9, diagonal(&logvar_a.map(f64::exp)), diagonal(&logvar_b.map(f64::exp)));
    close("wd", out.wd, case.evaluate().wd, 1e-14);
}

#[test]
fn nothing_is_below_zero() {
    for case in 0..400 {
        let n = 1 + case % 8;
        let root = matrix(n, |i, j| draw(case, n * i + j));
        let b = turned(&root, &vec![1.0; n]);
        let distance = 10_f64.powi(-(case as i32 % 18));
        let a = matrix(n, |i, j| root[i][j] + distance * draw(case, 100 + n * i + j));
        let a = turned(&a, &vec![1.0; n]);
        for out in [pair(1.0, a.clone(), b.clone()), pair(1.0, b.clone(), a.clone())] {
            assert!(out.w2 >= 0.0 && out.kl_ab >= 0.0, "case {case}: {out:?}");
        }
        let same = pair(1.0, b.clone(), b);
        assert!(same.w2 == 0.0 && (same.kl_ab == 0.0 || same.reason.is_some()), "case {case}: {same:?}");
    }
}

#[test]
fn the_exponential_without_its_line_keeps_its_digits() {
    for d in [1e-12, 1e-8, 1e-4, 0.01, 0.0999999, 0.1, 0.1000001, 0.5].into_iter().flat_map(|d| [d, -d]) {
        // All of the series that float64 can see.
        let series = (0..20).rev().fold(0.0, |sum, k| (1.0 + sum) * d / (f64::from(k) + 3.0));
        close(&format!("{d}"), expm1_minus(d), d * d / 2.0 * (1.0 + series), 1e-14);
    }
    assert_eq!(expm1_minus(0.0), 0.0);
    assert!((0..1000).all(|i| expm1_minus(10_f64.powi(-(i % 20)) * draw(0, i as usize)) >= 0.0));
}

#[test]
fn singular_covariances_have_what_is_finite() {
    let of = |rows: [[f64; 2]; 2]| rows.map(|row| row.to_vec()).to_vec();
    let (ones, unit, zero) = (of([[1.0; 2]; 2]), diagonal(&[1.0; 2]), diagonal(&[0.0; 2]));
    let check = |a: &Matrix, b: &Matrix, w2: f64, trace_psi: f64, reason: &str| {
        let out = pair(1.0, a.clone(), b.clone());
        assert!((out.w2 - w2).abs() <= 1e-14 && (out.trace_psi - trace_psi).abs() <= 1e-14, "{out:?}");
        assert!(out.wd == f64::INFINITY && out.kl_ab == f64::INFINITY);
        assert!(out.reason.unwrap().starts_with(reason));
    };
    // At gamma 1 the singular values sqrt(2) and 0 give 4/(1 + 3) = 1.
    check(&ones, &unit, 4.0 - 2.0 * 2_f64.sqrt(), 1.0, "cov_a is singular");
    check(&unit, &ones, 4.0 - 2.0 * 2_f64.sqrt(), 1.0, "cov_b is singular");
    check(&zero, &unit, 2.0, 0.0, "cov_a is singular");
    check(&zero, &zero, 0.0, 0.0, "cov_a and cov_b are singular");
    check(&zero, &ones, 2.0, 0.0, "cov_a and cov_b are singular");
    check(&ones, &ones, 0.0, (17_f64.sqrt() - 1.0) / 2.0, "cov_a and cov_b are singular");
    // The unit does not matter, nor how small one variance is beside another.
    let small = diagonal(&[1.0, 1e-30]);
    assert!(pair(1.0, small.clone(), small).wd.is_finite());
    let scaled = of([[1.0, 1e-15], [1e-15, 1e-30]]);
    check(&scaled, &unit, 1.0, (5_f64.sqrt() - 1.0) / 2.0, "cov_a is");
    // Rounded to float32, a covariance of three samples has a negative eigenvalue, and its mirrored entries differ.
    let rounded = matrix(3, |i, j| f64::from((draw(1, i) * draw(1, j)) as f32) * (1.0 + 1e-7 * draw(i, j)));
    let out = pair(1.0, rounded, diagonal(&[1.0; 3]));
    assert!(out.w2.is_finite() && out.reason.is_some());
}
