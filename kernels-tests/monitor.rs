//! `monitor`: the clock, the sums, and the fault that stays at the first bad step.

use smoothenc::engine::ops::{SUMS, TERMS, monitor};

use crate::harness::{Case, Input};

/// A total and its terms.
type Step = [f32; 1 + TERMS];

/// Clock, sums and fault after steps of these values, from those before.
fn oracle(x: &[Vec<f64>]) -> Vec<Vec<f64>> {
    let (mut clock, mut sums, mut fault) = (x[0].clone(), x[1].clone(), x[2].clone());
    for step in x[3..].chunks(2) {
        let values = step.concat();
        clock[0] += 1.0;
        for (sum, value) in sums.iter_mut().zip(&values) {
            *sum += value;
        }
        sums[5] += 1.0;
        let mask: u32 = values.iter().enumerate().map(|(i, v)| u32::from(!v.is_finite()) << i).sum();
        if mask != 0 && fault[0] == 0.0 {
            fault = vec![clock[0], f64::from(mask)];
        }
    }
    vec![clock, sums, fault]
}

fn case(name: impl Into<String>, clock: u32, fault: [u32; 2], steps: &[Step]) -> Case {
    let case = Case::new(
        name,
        |g, x| {
            for step in x[3..].chunks(2) {
                monitor(g, step[0], step[1], x[0], x[1], x[2])?;
            }
            Ok(x[..3].to_vec())
        },
        oracle,
    );
    let sums = vec![-3.0, 0.5, 1e3, 0.0, 7.0, 11.0, -8.0, 9.0];
    assert_eq!(sums.len(), SUMS);
    let case = case
        .input(Input::words([2], vec![clock, 5]))
        .input(Input::values([SUMS], sums))
        .input(Input::words([2], fault.to_vec()))
        .nonfinite();
    let pair = |step: &Step| [Input::values([1], vec![step[0]]), Input::values([TERMS], step[1..].to_vec())];
    steps.iter().flat_map(pair).fold(case, Case::input)
}

pub fn cases() -> Vec<Case> {
    const FINE: Step = [1.5, -2.25, 3.0, 1e5, -0.125];
    let mut cases = vec![
        case("one_step", 0, [0, 0], &[FINE]),
        case("many_steps", 41, [0, 0], &[FINE; 20]),
        case("finite_ends", 7, [0, 0], &[[f32::MAX, -f32::MAX, 1e-45, -0.0, 0.0]]),
    ];
    for (k, value) in [f32::NAN, -f32::NAN, f32::INFINITY, f32::NEG_INFINITY].into_iter().enumerate() {
        let signalling = f32::from_bits(0x7f80_0001 | (k as u32) << 31);
        for term in 0..=TERMS {
            let mut bad = FINE;
            bad[term] = if k == 1 { signalling } else { value };
            // Fine steps before and after, another fault after: the first one stays.
            let mut worse = FINE;
            worse[(term + 1) % 5] = f32::NAN;
            cases.push(case(format!("fault{k}_in_{term}"), 3, [0, 0], &[FINE, bad, FINE, worse]));
        }
    }
    cases.push(case("several_at_once", 0, [0, 0], &[[f32::NAN, 1.0, f32::INFINITY, 2.0, f32::NAN]]));
    cases.push(case("fault_from_before", 90, [17, 0b10010], &[[f32::NAN; 5], FINE]));
    cases
}
