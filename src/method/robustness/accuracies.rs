//! Accuracies of a classifier.

use std::collections::BTreeMap;

/// Accuracies of one classifier on one set of examples, in percent.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Accuracies {
    /// The share of correct answers.
    pub plain: f64,
    /// The mean of the accuracies of the classes that occur.
    pub balanced: f64,
    /// The accuracy of always answering the most frequent class.
    pub majority: f64,
}

impl Accuracies {
    /// From each example's class and whether it was classified correctly.
    pub fn of(outcomes: impl Iterator<Item = (u32, bool)>) -> Self {
        let mut classes = BTreeMap::<u32, (usize, usize)>::new();
        for (label, right) in outcomes {
            let (rights, count) = classes.entry(label).or_default();
            *rights += usize::from(right);
            *count += 1;
        }
        let sum = |of: fn(&(usize, usize)) -> usize| classes.values().map(of).sum::<usize>();
        let recalls = classes.values().map(|&(rights, count)| percent(rights, count));
        Accuracies {
            plain: percent(sum(|c| c.0), sum(|c| c.1)),
            balanced: recalls.sum::<f64>() / classes.len().max(1) as f64,
            majority: percent(classes.values().map(|c| c.1).max().unwrap_or(0), sum(|c| c.1)),
        }
    }
}

/// `correct` out of `total` in percent; 0 where `total` is 0.
pub fn percent(correct: usize, total: usize) -> f64 {
    100.0 * correct as f64 / total.max(1) as f64
}

/// The 95 % interval of an accuracy in percent, measured on `examples` examples, by Wilson's score (1927). Unlike the
/// normal approximation it stays within 0 and 100, and at these ends it has a width.
pub fn interval(accuracy: f64, examples: usize) -> (f64, f64) {
    /// The normal distribution's 97.5 % quantile.
    const Z: f64 = 1.959_963_985;
    if examples == 0 {
        return (0.0, 100.0);
    }
    let n = examples as f64;
    // A rounded percentage stands for a whole number of examples.
    let p = (accuracy / 100.0 * n).round() / n;
    let (centre, scale) = (p + Z * Z / (2.0 * n), 1.0 + Z * Z / n);
    let half = Z * (p * (1.0 - p) / n + Z * Z / (4.0 * n * n)).sqrt();
    (100.0 * ((centre - half) / scale).max(0.0), 100.0 * ((centre + half) / scale).min(1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Roots of Wilson's quadratic (p - accuracy)^2 = z^2 p (1 - p) / n, worked out in Python.
    #[test]
    fn intervals_are_wilsons() {
        for (rights, examples, low, high) in [
            (0, 10, 0.0, 27.7533),
            (5, 10, 23.6593, 76.3407),
            (970, 1000, 95.7497, 97.8906),
            (10, 10, 72.2467, 100.0),
        ] {
            let (l, h) = interval(percent(rights, examples), examples);
            assert!((l - low).abs() < 1e-3 && (h - high).abs() < 1e-3, "{rights} of {examples}: {l} {h}");
        }
        assert_eq!(interval(0.0, 0), (0.0, 100.0));
        // Two decimals are enough to tell the count.
        assert_eq!(interval(33.33, 60), interval(percent(20, 60), 60));
    }

    #[test]
    fn a_constant_answer_is_half_right_in_balance() {
        let constant = |label: u32| (label, label == 0);
        let nine_of_ten = (0..10).map(|i| constant(u32::from(i == 3)));
        let accuracies = Accuracies::of(nine_of_ten);
        assert_eq!(accuracies, Accuracies { plain: 90.0, balanced: 50.0, majority: 90.0 });
        // A class that does not occur has no accuracy.
        let accuracies = Accuracies::of([(0, true), (7, false), (7, true)].into_iter());
        assert_eq!((accuracies.balanced, accuracies.majority), (75.0, 200.0 / 3.0));
        assert_eq!(Accuracies::of([].into_iter()).plain, 0.0);
        assert_eq!(percent(0, 0), 0.0);
    }
}
