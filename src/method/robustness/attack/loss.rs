//! What an attack of the host climbs, from the logits of an image that is answered right.

/// How far the label's logit lies above the largest other one; none where it is not the first largest, or one is a NaN.
pub fn margin(logits: &[f32], label: usize) -> Option<f32> {
    let own = *logits.get(label)?;
    let (before, after) = (&logits[..label], &logits[label + 1..]);
    // A NaN fails both comparisons.
    let right = !own.is_nan() && before.iter().all(|x| *x < own) && after.iter().all(|x| *x <= own);
    let largest = before.iter().chain(after).copied().fold(f32::NEG_INFINITY, f32::max);
    right.then_some(own - largest)
}

/// Keeps a ratio finite where logits are equal, as AutoAttack does.
const LEAST_SPREAD: f64 = 1e-12;

/// The cross-entropy of the label. Writes its slope by the logits.
pub fn cross_entropy(logits: &[f32], label: usize, slope: &mut [f32]) -> f64 {
    let largest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let above = |z: f32| f64::from(z) - f64::from(largest);
    let sum: f64 = logits.iter().map(|z| above(*z).exp()).sum();
    for (slope, z) in slope.iter_mut().zip(logits) {
        *slope = (above(*z).exp() / sum) as f32;
    }
    // As the sum of the others, which keeps its digits where the label's share is nearly 1.
    slope[label] = -slope.iter().enumerate().filter(|(c, _)| *c != label).map(|(_, s)| *s).sum::<f32>();
    sum.ln() - above(logits[label])
}

/// The difference of logits ratio (Croce & Hein 2020, equation 4): `-(z[label] - z[2nd]) / (z[1st] - z[3rd])`. With
/// less than 3 classes there is no third, and it is the margin `z[2nd] - z[label]`. Writes its slope by the logits.
pub(super) fn dlr(logits: &[f32], label: usize, slope: &mut [f32]) -> f64 {
    let order = by_falling(logits);
    match (order.iter().find(|&&c| c != label), order.get(2)) {
        (None, _) => {
            slope.fill(0.0);
            0.0
        }
        (Some(&other), None) => ratio(logits, [label, other], &[], slope),
        (Some(&other), Some(&third)) => {
            ratio(logits, [label, other], &[(order[0], 1.0), (third, -1.0)], slope)
        }
    }
}

/// The targeted ratio (equation 6): `-(z[label] - z[target]) / (z[1st] - (z[3rd] + z[4th]) / 2)`. With less than 4
/// classes there is no fourth, and it is the margin `z[target] - z[label]`. Writes its slope by the logits.
pub(super) fn targeted_dlr(logits: &[f32], label: usize, target: usize, slope: &mut [f32]) -> f64 {
    let order = by_falling(logits);
    let spread = order.get(3).map(|&fourth| [(order[0], 1.0), (order[2], -0.5), (fourth, -0.5)]);
    ratio(logits, [label, target], spread.as_ref().map_or(&[], |spread| spread), slope)
}

/// The classes by falling logits, the first of equals first.
fn by_falling(logits: &[f32]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..logits.len()).collect();
    order.sort_by(|&a, &b| logits[b].total_cmp(&logits[a]));
    order
}

/// `(z[other] - z[label]) / s`, `s` being the sum of `spread`'s logits by their weights, or 1 where there are none.
fn ratio(z: &[f32], [label, other]: [usize; 2], spread: &[(usize, f64)], slope: &mut [f32]) -> f64 {
    let at = |c: usize| f64::from(z[c]);
    let gap = at(other) - at(label);
    let below = match spread {
        [] => 1.0,
        _ => spread.iter().map(|(c, weight)| weight * at(*c)).sum::<f64>() + LEAST_SPREAD,
    };
    slope.fill(0.0);
    let mut add = |c: usize, by: f64| slope[c] += by as f32;
    add(other, 1.0 / below);
    add(label, -1.0 / below);
    spread.iter().for_each(|(c, weight)| add(*c, -gap * weight / (below * below)));
    gap / below
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_margin_is_none_where_the_answer_is_wrong() {
        assert_eq!(margin(&[1.0, 3.0, 2.0], 1), Some(1.0));
        // The first of equals is the answer.
        assert_eq!([margin(&[3.0, 3.0], 0), margin(&[3.0, 3.0], 1)], [Some(0.0), None]);
        assert_eq!([margin(&[f32::NAN, 3.0], 1), margin(&[f32::NAN, 3.0], 0), margin(&[1.0], 4)], [None; 3]);
    }

    #[test]
    fn ratios_are_those_of_the_paper() {
        let mut slope = [0.0; 5];
        // Sorted: 5, 3, 2, 1, -1.
        let z = [2.0, 5.0, -1.0, 3.0, 1.0];
        assert_eq!(dlr(&z, 1, &mut slope), -(5.0 - 3.0) / (5.0 - 2.0 + LEAST_SPREAD));
        let targeted = targeted_dlr(&z, 1, 2, &mut slope);
        assert_eq!(targeted, -(5.0 - -1.0) / (5.0 - 1.5 + LEAST_SPREAD));
        // They do not change with the logits' scale.
        let large = z.map(|z| 1e6 * z);
        assert!((targeted_dlr(&large, 1, 2, &mut slope) - targeted).abs() < 1e-9);
        let mut slope = [0.0; 3];
        assert_eq!(targeted_dlr(&[2.0, 5.0, -1.0], 1, 2, &mut slope), -6.0);
        assert_eq!((dlr(&[2.0, 5.0], 1, &mut slope[..2]), slope[..2].to_vec()), (-3.0, vec![1.0, -1.0]));
        assert_eq!((dlr(&[2.0], 0, &mut slope[..1]), slope[0]), (0.0, 0.0));
        assert_eq!((cross_entropy(&[2.0], 0, &mut slope[..1]), slope[0]), (0.0, 0.0));
    }

    #[test]
    fn slopes_are_those_of_finite_differences() {
        type Loss = fn(&[f32], &mut [f32]) -> f64;
        let losses: [(&str, Loss); 4] = [
            ("cross-entropy", |z, slope| cross_entropy(z, 3, slope)),
            ("ratio", |z, slope| dlr(z, 3, slope)),
            ("targeted ratio", |z, slope| targeted_dlr(z, 3, 2, slope)),
            ("targeted ratio at the second", |z, slope| targeted_dlr(z, 3, 0, slope)),
        ];
        for (name, loss) in losses {
            for classes in [4, 6] {
                let z = &[1.75, -0.5, 0.25, 2.5, 1.0, -1.25][..classes];
                let mut slope = vec![f32::NAN; classes];
                loss(z, &mut slope);
                for c in 0..classes {
                    // A power of two, so that the logits moved by it are exact.
                    const STEP: f32 = 1.0 / 4096.0;
                    let at = |by: f32| {
                        let mut moved = z.to_vec();
                        moved[c] += by;
                        loss(&moved, &mut vec![0.0; classes])
                    };
                    let wanted = (at(STEP) - at(-STEP)) / f64::from(2.0 * STEP);
                    assert!(
                        (f64::from(slope[c]) - wanted).abs() < 1e-6,
                        "{name}, {c}: {} {wanted}",
                        slope[c]
                    );
                }
            }
        }
    }

    #[test]
    fn equal_logits_have_a_finite_ratio() {
        let mut slope = [0.0; 5];
        for logits in [[1.0; 5], [1.0, 1.0, 1.0, 1.0, -3e4]] {
            assert!(dlr(&logits, 0, &mut slope).is_finite() && slope.iter().all(|s| s.is_finite()));
            let loss = targeted_dlr(&logits, 0, 4, &mut slope);
            assert!(loss.is_finite() && slope.iter().all(|s| s.is_finite()), "{slope:?}");
        }
    }
}
