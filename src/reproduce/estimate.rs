//! A measured number with its standard error over seeds and images.

use serde::{Serialize, Serializer};

/// A number measured with one or several seeds, on images or on none.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Estimate {
    #[serde(serialize_with = "rounded")]
    pub mean: f64,
    /// The sample's standard deviation over the seeds; 0 of one.
    #[serde(serialize_with = "rounded")]
    pub deviation: f64,
    /// Seeds.
    pub count: usize,
    /// What it was measured on, where that is images.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub over: Option<OverImages>,
}

/// The images of a test set that a number was measured on.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct OverImages {
    pub images: usize,
    /// The standard error of the mean that comes from having these images and no others.
    #[serde(serialize_with = "rounded")]
    pub error: f64,
}

impl Estimate {
    /// A value for each seed. Of none the mean is not a number.
    pub fn of(values: &[f64]) -> Self {
        let n = values.len() as f64;
        let mean = values.iter().sum::<f64>() / n;
        let squares: f64 = values.iter().map(|x| (x - mean).powi(2)).sum();
        let deviation = if values.len() > 1 { (squares / (n - 1.0)).sqrt() } else { 0.0 };
        Estimate { mean, deviation, count: values.len(), over: None }
    }

    /// Percentages of the same `images`, one for each seed. Two images more, one that counts and one that does not,
    /// keep the error above 0 where all agree (Agresti and Caffo, 2000).
    pub fn percentage(values: &[f64], images: usize) -> Self {
        let found = Estimate::of(values);
        let n = images as f64 + 2.0;
        let share = (found.mean / 100.0 * images as f64 + 1.0) / n;
        let error = 100.0 * (share * (1.0 - share) / n).sqrt();
        Estimate { over: Some(OverImages { images, error }), ..found }
    }

    /// The mean over images, whose values come for each seed.
    pub fn mean_of(values: &[Vec<f64>]) -> Self {
        let mean = |of_seed: &[f64]| Estimate::of(of_seed).mean;
        let error = |of_seed: &[f64]| Estimate::of(of_seed).deviation / (of_seed.len() as f64).sqrt();
        Estimate::over_images(values, mean, error)
    }

    /// The median over images, whose values come for each seed. Its error is half of what lies between the order
    /// statistics a standard deviation of ranks to either side.
    pub fn median_of(values: &[Vec<f64>]) -> Self {
        let error = |of_seed: &[f64]| {
            let off = 0.5 / (of_seed.len() as f64).sqrt();
            (quantile(of_seed, 0.5 + off) - quantile(of_seed, 0.5 - off)) / 2.0
        };
        Estimate::over_images(values, |of_seed| quantile(of_seed, 0.5), error)
    }

    fn over_images(
        values: &[Vec<f64>],
        middle: impl Fn(&[f64]) -> f64,
        error: impl Fn(&[f64]) -> f64,
    ) -> Self {
        let middles: Vec<f64> = values.iter().map(|of_seed| middle(of_seed)).collect();
        let errors: Vec<f64> = values.iter().map(|of_seed| error(of_seed)).collect();
        let images = values.iter().map(Vec::len).min().unwrap_or(0);
        let over = OverImages { images, error: Estimate::of(&errors).mean };
        Estimate { over: Some(over), ..Estimate::of(&middles) }
    }

    /// The standard error over seeds and images; none of one seed without images. The seeds' spread has the images'
    /// part of each seed in it too. Of two or three seeds it is itself known badly.
    pub fn error(&self) -> Option<f64> {
        let seeds = (self.count > 1).then(|| self.deviation.powi(2) / self.count as f64);
        let images = self.over.map(|over| over.error.powi(2));
        (seeds.is_some() || images.is_some()).then(|| (seeds.unwrap_or(0.0) + images.unwrap_or(0.0)).sqrt())
    }
}

impl std::fmt::Display for Estimate {
    /// The mean, and where it is known the error: `45.2 ± 1.9`.
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        match self.error() {
            Some(error) => write!(f, "{} ± {}", short(self.mean), short(error)),
            None => write!(f, "{}", short(self.mean)),
        }
    }
}

/// The value below which such a share of these lies, by the nearest rank.
fn quantile(values: &[f64], share: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let last = sorted.len().saturating_sub(1) as f64;
    sorted.get((share.clamp(0.0, 1.0) * last).round() as usize).copied().unwrap_or(f64::NAN)
}

/// To four significant digits.
pub fn rounded<S: Serializer>(x: &f64, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(format!("{x:.3e}").parse().unwrap_or(*x))
}

/// To three significant digits, as people write it.
fn short(x: f64) -> f64 {
    format!("{x:.2e}").parse().unwrap_or(x)
}

/// So many of `all` in percent; of none there is no saying.
pub fn share(count: usize, all: usize) -> Option<f64> {
    (all > 0).then(|| 100.0 * count as f64 / all as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deviations_are_those_of_a_sample() {
        assert_eq!(Estimate::of(&[3.0]), Estimate { mean: 3.0, deviation: 0.0, count: 1, over: None });
        let three = Estimate::of(&[1.0, 2.0, 3.0]);
        assert_eq!((three.mean, three.deviation, three.count), (2.0, 1.0, 3));
        assert!(Estimate::of(&[f64::NAN]).mean.is_nan() && Estimate::of(&[]).mean.is_nan());
    }

    #[test]
    fn an_error_is_over_seeds_and_images() {
        // One seed without images has no error that could be known.
        assert_eq!(Estimate::of(&[3.0]).error(), None);
        // 1 / sqrt(3) over the seeds.
        assert!((Estimate::of(&[1.0, 2.0, 3.0]).error().unwrap() - 0.57735).abs() < 1e-5);
        // Half of 98 images: 100 sqrt(0.25 / 100).
        let half = Estimate::percentage(&[50.0], 98);
        assert!((half.error().unwrap() - 5.0).abs() < 1e-12);
        // Both: the seeds differ by 10.
        let both = Estimate::percentage(&[45.0, 55.0], 98).error().unwrap();
        assert!((both - (25.0_f64 + 25.0).sqrt()).abs() < 1e-12);
        // All images alike is not certainty.
        assert!(Estimate::percentage(&[100.0], 500).error().unwrap() > 0.1);
    }

    #[test]
    fn means_and_medians_over_images_know_their_error() {
        let values: Vec<f64> = (0..101).map(f64::from).collect();
        let mean = Estimate::mean_of(std::slice::from_ref(&values));
        assert_eq!(mean.mean, 50.0);
        assert!((mean.over.unwrap().error - 29.3 / 101.0_f64.sqrt()).abs() < 0.01);
        let median = Estimate::median_of(&[values.clone(), values]);
        assert_eq!((median.mean, median.count, median.over.unwrap().images), (50.0, 2, 101));
        // Ranks 45 to 55.
        assert_eq!(median.over.unwrap().error, 5.0);
        assert!(Estimate::median_of(&[vec![]]).mean.is_nan());
    }

    #[test]
    fn numbers_read_as_people_write_them() {
        assert_eq!(Estimate::of(&[12.3456]).to_string(), "12.3");
        assert_eq!(Estimate::of(&[1.0, 2.0, 3.0]).to_string(), "2 ± 0.577");
        assert_eq!(share(1, 4), Some(25.0));
        assert_eq!(share(0, 0), None);
    }
}
