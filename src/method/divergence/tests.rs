use serde::Deserialize;

use super::*;

/// The parts of `golden/golden.json` this module answers for.
#[derive(Deserialize)]
struct Golden {
    diag: Vec<GoldenDiagonal>,
    full: Vec<GoldenFull>,
}

#[derive(Deserialize)]
struct GoldenDiagonal {
    #[serde(flatten)]
    case: DiagonalCase,
    out: GoldenDiagonalOut,
}

#[derive(Deserialize)]
struct GoldenDiagonalOut {
    #[serde(flatten)]
    values: DiagonalOut,
    loglik: f64,
    prior_a: f64,
    prior_b: f64,
    elbo: f64,
    se_elbo: f64,
}

#[derive(Deserialize)]
struct GoldenFull {
    #[serde(flatten)]
    case: FullCase,
    out: FullOut,
}

fn golden() -> Golden {
    serde_json::from_str(include_str!("../../../golden/golden.json")).unwrap()
}

/// 1e-9 of the larger of the value and 1 % of the largest term; written so that NaN fails.
#[track_caller]
fn close(what: &str, got: f64, want: f64, largest_term: f64) {
    let tolerance = 1e-9 * want.abs().max(0.01 * largest_term);
    let error = (got - want).abs();
    assert!(error <= tolerance, "{what}: got {got}, want {want}, error {error} above {tolerance}");
}

/// As [`close`], 1e-9 of each value itself.
#[track_caller]
fn all_close(what: &str, got: &[f64], want: &[f64]) {
    assert_eq!(got.len(), want.len(), "{what}");
    for (i, (got, want)) in got.iter().zip(want).enumerate() {
        close(&format!("{what}[{i}]"), *got, *want, 0.0);
    }
}

#[test]
fn factorised_values_are_the_golden_ones() {
    let cases = golden().diag;
    assert_eq!(cases.len(), 21);
    for (at, GoldenDiagonal { case, out: want }) in cases.iter().enumerate() {
        let got = case.evaluate();
        let name = |key: &str| format!("diag case {at} {key}");
        let want_values = &want.values;
        close(&name("wd"), got.wd, want_values.wd, 0.0);
        close(&name("w2"), got.w2, want_values.w2, 0.0);
        let (grad, want_grad) = (&got.wd_grad, &want_values.wd_grad);
        all_close(&name("d_mu_a"), &grad.d_mu_a, &want_grad.d_mu_a);
        all_close(&name("d_mu_b"), &grad.d_mu_b, &want_grad.d_mu_b);
        all_close(&name("d_logvar_a"), &grad.d_logvar_a, &want_grad.d_logvar_a);
        all_close(&name("d_logvar_b"), &grad.d_logvar_b, &want_grad.d_logvar_b);
        let (w2, want_w2) = (&got.w2_grad, &want_values.w2_grad);
        all_close(&name("w2 d_mu_b"), &w2.d_mu_b, &want_w2.d_mu_b);
        all_close(&name("w2 d_logvar_b"), &w2.d_logvar_b, &want_w2.d_logvar_b);
        close(&name("kl_ab"), got.kl_ab, want_values.kl_ab, 0.0);
        close(&name("kl_a_std"), got.kl_a_std, want_values.kl_a_std, 0.0);
        close(&name("kl_b_std"), got.kl_b_std, want_values.kl_b_std, 0.0);
        // The objectives of docs/method.md, section 2 from the parts.
        let (prior_a, prior_b) =
            (prior_term(&case.mu_a, &case.logvar_a), prior_term(&case.mu_b, &case.logvar_b));
        close(&name("prior_a"), prior_a, want.prior_a, 0.0);
        close(&name("prior_b"), prior_b, want.prior_b, 0.0);
        let elbo = want.loglik + prior_a + entropy(&case.logvar_a);
        close(&name("elbo"), elbo, want.elbo, prior_a);
        close(&name("elbo by KL"), want.loglik - got.kl_a_std, want.elbo, prior_a);
        let se_elbo = want.loglik + prior_a + prior_b - got.wd;
        close(&name("se_elbo"), se_elbo, want.se_elbo, got.wd.abs().max(prior_a.abs()).max(prior_b.abs()));
        assert!(se_elbo <= elbo + 1e-9 * elbo.abs(), "{}: {se_elbo} > {elbo}", name("SE-ELBO <= ELBO"));
    }
}

#[test]
fn full_values_are_the_golden_ones() {
    let cases = golden().full;
    assert_eq!(cases.len(), 8);
    for (at, GoldenFull { case, out: want }) in cases.iter().enumerate() {
        let got = case.evaluate().unwrap();
        let name = |key: &str| format!("full case {at} {key}");
        close(&name("trace_psi"), got.trace_psi, want.trace_psi, 0.0);
        close(&name("wd"), got.wd, want.wd, 0.0);
        close(&name("w2"), got.w2, want.w2, 0.0);
        close(&name("kl_ab"), got.kl_ab, want.kl_ab, 0.0);
    }
}

fn sample() -> DiagonalCase {
    DiagonalCase {
        gamma: 5.0,
        mu_a: vec![0.3, -1.2, 2.0],
        logvar_a: vec![-3.0, 0.4, 1.5],
        mu_b: vec![0.1, 0.7, 2.0],
        logvar_b: vec![-2.5, -6.0, 1.5],
    }
}

fn diagonal(logvar: &[f64]) -> Vec<Vec<f64>> {
    let n = logvar.len();
    (0..n).map(|i| (0..n).map(|j| if i == j { logvar[i].exp() } else { 0.0 }).collect()).collect()
}

#[test]
fn no_coupling_leaves_the_two_entropies() {
    let expected = -entropy(&sample().logvar_a) - entropy(&sample().logvar_b);
    for gamma in [0.0, 1e-12] {
        close("wd", DiagonalCase { gamma, ..sample() }.evaluate().wd, expected, 1.0);
    }
}

#[test]
fn strong_coupling_costs_the_unregularised_distance() {
    let case = DiagonalCase { gamma: 1e12, ..sample() };
    let cost: f64 = case
        .dimensions()
        .map(|(ma, la, mb, lb)| (ma - mb).powi(2) + la.exp() + lb.exp() - 2.0 * psi(case.gamma, la, lb))
        .sum();
    let w2 = case.evaluate().w2;
    assert!((cost - w2).abs() <= 1e-9 * w2, "{cost} {w2}");
}

#[test]
fn diagonal_covariances_give_the_factorised_values() {
    for gamma in [0.0, 0.01, 1.0, 50.0] {
        let case = DiagonalCase { gamma, ..sample() };
        let full = FullCase {
            gamma,
            mu_a: case.mu_a.clone(),
            cov_a: diagonal(&case.logvar_a),
            mu_b: case.mu_b.clone(),
            cov_b: diagonal(&case.logvar_b),
        };
        let (got, want) = (full.evaluate().unwrap(), case.evaluate());
        let trace: f64 = case.dimensions().map(|(_, la, _, lb)| psi(gamma, la, lb)).sum();
        close("trace_psi", got.trace_psi, trace, 0.0);
        close("wd", got.wd, want.wd, 5.0);
        close("w2", got.w2, want.w2, 5.0);
        close("kl_ab", got.kl_ab, want.kl_ab, 0.5);
    }
}

#[test]
fn psi_solves_its_equation() {
    for gamma in [0.01, 1.0, 50.0, 1e6] {
        for (la, lb) in [(-3.0, 0.5), (-20.0, 10.0), (10.0, 10.0), (-8.0, -20.0)] {
            let psi = psi(gamma, la, lb);
            assert!(psi > 0.0);
            // S_a S_b = psi^2 + psi / gamma: a sum, so the check does not cancel.
            close("psi", psi * psi + psi / gamma, f64::exp(la + lb), 0.0);
        }
    }
    assert_eq!(psi(0.0, 1.0, 1.0), 0.0);
}

#[test]
fn a_copy_without_coupling_is_the_beta_vae_with_beta_two() {
    let case = sample();
    let case = DiagonalCase { gamma: 0.0, mu_b: case.mu_a.clone(), logvar_b: case.logvar_a.clone(), ..case };
    let out = case.evaluate();
    let prior = prior_term(&case.mu_a, &case.logvar_a);
    // Both without the reconstruction, which they share.
    close("SE-ELBO", 2.0 * prior - out.wd, -2.0 * out.kl_a_std, 2.0 * prior.abs());
    assert_eq!(out.kl_ab, 0.0);
    assert_eq!(out.w2, 0.0);
}

#[test]
fn gradients_are_finite_differences() {
    let case = sample();
    let out = case.evaluate();
    let step = 1e-5;
    let difference = |change: &dyn Fn(&mut DiagonalCase, f64), value: &dyn Fn(DiagonalOut) -> f64| {
        let [up, down] = [step, -step].map(|h| {
            let mut moved = case.clone();
            change(&mut moved, h);
            value(moved.evaluate())
        });
        (up - down) / (2.0 * step)
    };
    type Change = fn(&mut DiagonalCase) -> &mut Vec<f64>;
    let wd: [(&[f64], Change); 4] = [
        (&out.wd_grad.d_mu_a, |c| &mut c.mu_a),
        (&out.wd_grad.d_logvar_a, |c| &mut c.logvar_a),
        (&out.wd_grad.d_mu_b, |c| &mut c.mu_b),
        (&out.wd_grad.d_logvar_b, |c| &mut c.logvar_b),
    ];
    let w2: [(&[f64], Change); 2] =
        [(&out.w2_grad.d_mu_b, |c| &mut c.mu_b), (&out.w2_grad.d_logvar_b, |c| &mut c.logvar_b)];
    let check = |which: &str, gradient: &[f64], list: Change, value: &dyn Fn(DiagonalOut) -> f64| {
        for (i, &analytic) in gradient.iter().enumerate() {
            let numeric = difference(&|c, h| list(c)[i] += h, value);
            let error = (numeric - analytic).abs();
            assert!(error <= 1e-7 * analytic.abs().max(1.0), "{which} {i}: {numeric} {analytic}");
        }
    };
    for (gradient, list) in wd {
        check("wd", gradient, list, &|o| o.wd);
    }
    for (gradient, list) in w2 {
        check("w2", gradient, list, &|o| o.w2);
    }
}

#[test]
fn near_equal_gaussians_do_not_cancel() {
    // Relative error against the leading term of the series in d, which is exact to d itself.
    for d in [1e-3_f64, 1e-6, 1e-9] {
        let case = DiagonalCase {
            gamma: 1.0,
            mu_a: vec![0.0],
            logvar_a: vec![2.0 + d],
            mu_b: vec![0.0],
            logvar_b: vec![2.0],
        };
        let out = case.evaluate();
        let d = case.logvar_a[0] - 2.0;
        assert!((out.kl_ab / (d * d / 4.0) - 1.0).abs() <= d, "{d}");
        assert!((out.w2 / (2.0_f64.exp() * d * d / 4.0) - 1.0).abs() <= d, "{d}");
    }
}

#[test]
fn covariances_that_are_none_are_named() {
    let good = || vec![vec![1.0, 0.2], vec![0.2, 1.0]];
    let case = |cov_a, cov_b| FullCase { gamma: 1.0, mu_a: vec![0.0; 2], cov_a, mu_b: vec![0.0; 2], cov_b };
    assert!(case(good(), good()).evaluate().is_ok());
    let bad =
        [vec![vec![1.0, 0.2], vec![0.3, 1.0]], vec![vec![1.0, 2.0], vec![2.0, 1.0]], vec![vec![1.0, 0.2]]];
    let reasons = ["are 9.9", "not positive semidefinite: its smallest eigenvalue is -", "must be 2x2"];
    for (bad, reason) in bad.into_iter().zip(reasons) {
        let error = case(bad.clone(), good()).evaluate().unwrap_err();
        assert!(error.starts_with("cov_a") && error.contains(reason), "{error}");
        let error = case(good(), bad).evaluate().unwrap_err();
        assert!(error.starts_with("cov_b") && error.contains(reason), "{error}");
    }
    let negative = vec![vec![-1.0, 0.0], vec![0.0, -1e-9]];
    assert!(case(negative, good()).evaluate().unwrap_err().contains("semidefinite"));
}
