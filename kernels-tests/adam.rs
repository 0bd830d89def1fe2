//! `adam`: several steps, from the first to late ones, with the rate falling.

use smoothenc::engine::ops::{AdamSettings, adam};

use crate::harness::{Case, Input};

/// m, v and w after steps `clocks` with gradients `grads`, by Kingma and Ba's algorithm 1, with Loshchilov and Hutter's
/// weight decay (their algorithm 2).
fn oracle(s: AdamSettings, clocks: &[f64], grads: &[&[f64]], start: [&[f64]; 3]) -> Vec<Vec<f64>> {
    let [mut m, mut v, mut w] = start.map(<[f64]>::to_vec);
    let (rate, last) = (f64::from(s.rate), f64::from(s.last));
    for (&step, grads) in clocks.iter().zip(grads) {
        let t = step + 1.0;
        let share = (step / f64::from(s.total)).min(1.0);
        let rate = rate + share * (last * rate - rate);
        for (i, scaled) in grads.iter().enumerate() {
            let g = scaled / f64::from(s.loss_scale);
            m[i] = s.beta1 * m[i] + (1.0 - s.beta1) * g;
            v[i] = s.beta2 * v[i] + (1.0 - s.beta2) * g * g;
            let mean = m[i] / (1.0 - s.beta1.powf(t));
            let square = v[i] / (1.0 - s.beta2.powf(t));
            w[i] -= rate * mean / (square.sqrt() + f64::from(s.epsilon))
                + rate * f64::from(s.weight_decay) * w[i];
        }
    }
    vec![m, v, w]
}

/// Steps at these clocks, one after the other, each with its own gradients.
fn case(
    name: &str,
    settings: AdamSettings,
    n: usize,
    clocks: &'static [u32],
    grads: fn([usize; 1]) -> Input,
) -> Case {
    let case = Case::new(
        format!("{name}_{n}"),
        move |g, x| {
            for pair in x[3..].chunks(2) {
                adam(g, settings, pair[0], pair[1], x[0], x[1], x[2])?;
            }
            Ok(x[..3].to_vec())
        },
        move |x| {
            let clocks: Vec<f64> = x[3..].iter().step_by(2).map(|clock| clock[0]).collect();
            let grads: Vec<&[f64]> = x[4..].iter().step_by(2).map(Vec::as_slice).collect();
            oracle(settings, &clocks, &grads, [&x[0], &x[1], &x[2]])
        },
    );
    let first = clocks[0] == 0;
    let m = if first { Input::values([n], vec![0.0; n]) } else { grads([n]) };
    let v = if first { Input::values([n], vec![0.0; n]) } else { Input::uniform([n], 0.5, 2.0) };
    // Weights of 0, so that the update is compared and not the weight it is added to, unless that decays.
    let w = if settings.weight_decay == 0.0 { Input::values([n], vec![0.0; n]) } else { Input::normal([n]) };
    let case = case.input(m).input(v).input(w).nonfinite();
    // The mean of the gradients so far cancels.
    let case = if clocks == [0] { case } else { case.tolerance(1e-4, 1e-4) };
    let steps = clocks.iter().map(|&clock| [Input::words([2], vec![clock, 77]), grads([n])]);
    steps.flatten().fold(case, Case::input)
}

/// Gradients of the size of epsilon, which is then not negligible.
fn tiny(shape: [usize; 1]) -> Input {
    Input::uniform(shape, -3e-8, 3e-8)
}

fn some_nan(shape: [usize; 1]) -> Input {
    let value = |i| if i % 3 == 1 { f32::NAN } else { 1.0 + i as f32 };
    Input::values(shape, (0..shape[0]).map(value).collect())
}

pub fn cases() -> Vec<Case> {
    let flat = AdamSettings::new(1e-3, 1.0, 1);
    let falling = AdamSettings::new(3e-3, 0.1, 1000);
    let to_zero = AdamSettings::new(1e-2, 0.0, 800);
    let mut cases = Vec::new();
    // 8192 is the CPU's tile, 256 the GPU's workgroup.
    for n in [1, 7, 257, 785, 40_001] {
        cases.push(case("first", flat, n, &[0], Input::normal));
        cases.push(case("first_five", falling, n, &[0, 1, 2, 3, 4], Input::normal));
        cases.push(case("step_1000", flat, n, &[1000], Input::normal));
    }
    let scaled = AdamSettings { loss_scale: 128.0, ..falling };
    cases.push(case("scaled_first_five", scaled, 257, &[0, 1, 2, 3, 4], Input::normal));
    // Halfway, at and beyond the end of the decay.
    cases.push(case("decay", falling, 300, &[1, 500, 999, 1000, 1001, 5000], Input::normal));
    cases.push(case("no_rate_left", to_zero, 300, &[800, 2000], Input::normal));
    cases.push(case("late", falling, 300, &[299_999, 16_000_000], Input::normal));
    // A decay of which nothing is lost in the weight's own rounding.
    let decaying = AdamSettings { weight_decay: 20.0, ..to_zero };
    cases.push(case("weight_decay", decaying, 300, &[0, 1, 400, 799, 800], Input::normal));
    cases.push(case("tiny_gradients", flat, 300, &[0, 1, 2], tiny));
    cases.push(case("nan_is_kept", flat, 10, &[0, 1], some_nan));
    let mut other = AdamSettings::new(1e-2, 0.5, 10);
    (other.beta1, other.beta2, other.epsilon) = (0.5, 0.9, 1e-3);
    cases.push(case("other_settings", other, 300, &[0, 1, 2, 9, 10], Input::normal));
    cases
}
