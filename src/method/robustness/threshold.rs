//! A baseline that trains nothing: images are rounded to black and white before the encoder sees them. On data that are
//! nearly so by themselves, a perturbation changes few pixels. So robustness there is worth what it has above this.

use super::attack::{Gradients, Logits, Slots, cross_entropy, margin};
use super::{ROWS, Target};
use crate::engine::rng::{Key, Purpose, Stream};
use crate::engine::session::Session;
use crate::error::Result;

/// The pixel from which on an image is white.
const THRESHOLD: f32 = 0.5;

/// The search for a perturbation that fools the classifier behind the threshold: what may be turned has a value in [0,
/// 1] that climbs the cross-entropy by the gradient at the rounded image (Athalye et al., 2018, Obfuscated gradients
/// give a false sense of security: the backward pass takes the threshold for the identity).
#[derive(Debug, Clone, Copy)]
pub struct Thresholded {
    /// Steps of `2.5 / steps`.
    pub steps: usize,
    /// Random starts for each image and radius.
    pub restarts: usize,
    /// Of the starts.
    pub seed: u64,
}

/// A restart on the device.
struct Row {
    image: usize,
    taken: usize,
    /// The pixels that may be turned, with their values.
    values: Vec<(usize, f32)>,
}

/// The image in black and white.
fn rounded(x: &[f32], out: &mut [f32]) {
    out.iter_mut().zip(x).for_each(|(out, x)| *out = f32::from(*x >= THRESHOLD));
}

impl Thresholded {
    /// For each image the smallest of `radii`, in rising order and in L-infinity, in which it was broken: 0 where it is
    /// misclassified without a perturbation, infinity where it stands.
    ///
    /// # Errors
    /// Those of the device.
    pub fn broken_at(&self, session: &mut Session, target: &Target, radii: &[f32]) -> Result<Vec<f32>> {
        let mut broken = vec![f32::INFINITY; target.labels.len()];
        // In a ball of no radius nothing can be turned.
        for (round, radius) in [0.0].iter().chain(radii).enumerate() {
            let restarts = if round == 0 { 1 } else { self.restarts };
            for restart in 0..restarts {
                self.attack(session, target, *radius, (round * self.restarts + restart) as u32, &mut broken)?;
            }
        }
        ["attack.logits", "attack.slopes"].iter().for_each(|name| session.forget(name));
        Ok(broken)
    }

    /// One restart on each image that stands. `stream` is that of its draws.
    fn attack(
        &self,
        session: &mut Session,
        target: &Target,
        radius: f32,
        stream: u32,
        broken: &mut [f32],
    ) -> Result<()> {
        let (inputs, classes) = (target.vae.encoder.inputs(), target.probe.classes());
        let mut logits = Logits::compile(session, target.vae, target.probe)?;
        let mut gradients = Gradients::compile(session, target.vae, target.probe)?;
        let mut draws = Stream::new(Key::new(self.seed, Purpose::Threshold), stream);
        let mut queue = 0..target.labels.len();
        let mut rows = Slots::new();
        let (mut points, mut slopes) = (vec![0.0; ROWS * inputs], vec![0.0; ROWS * classes]);
        loop {
            let more = rows.fill(|r| {
                let Some(image) = queue.find(|image| broken[*image] == f32::INFINITY) else {
                    return Ok(None);
                };
                rounded(target.row(image), &mut points[r * inputs..][..inputs]);
                let turned = target.row(image).iter().enumerate().filter(|(_, x)| turns(**x, radius));
                let values: Vec<(usize, f32)> = turned.map(|(i, _)| (i, draws.uniform())).collect();
                // Where nothing can be turned, it is the rounded image alone.
                let taken = if values.is_empty() { self.steps } else { 0 };
                Ok(Some(Row { image, taken, values }))
            })?;
            if !more {
                return Ok(());
            }
            for (r, row) in rows.busy() {
                for &(i, value) in &row.values {
                    points[r * inputs + i] = f32::from(value >= THRESHOLD);
                }
            }
            let logits = logits.of(session, &points)?;
            for (r, row) in rows.busy() {
                let (logits, label) = (&logits[r * classes..][..classes], target.labels[row.image] as usize);
                match margin(logits, label) {
                    None => broken[row.image] = radius,
                    Some(_) => {
                        cross_entropy(logits, label, &mut slopes[r * classes..][..classes]);
                    }
                }
            }
            rows.retain(|row| row.taken < self.steps && broken[row.image] == f32::INFINITY);
            if rows.busy().next().is_none() {
                continue;
            }
            let gradients = gradients.of(session, &slopes)?;
            let length = 2.5 / self.steps as f32;
            for (r, row) in rows.busy_mut() {
                row.taken += 1;
                for (i, value) in &mut row.values {
                    let slope = gradients[r * inputs + *i];
                    let up = f32::from(slope > 0.0) - f32::from(slope < 0.0);
                    *value = (*value + length * up).clamp(0.0, 1.0);
                }
            }
        }
    }
}

/// Whether a perturbation within the radius, that leaves a pixel in [0, 1], takes it across the threshold.
fn turns(x: f32, radius: f32) -> bool {
    match x >= THRESHOLD {
        true => x - radius < THRESHOLD,
        false => x + radius >= THRESHOLD,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pixel_near_the_threshold_can_be_turned() {
        assert_eq!([0.0, 0.41, 0.5, 0.59, 0.7].map(|x| turns(x, 0.1)), [false, true, true, true, false]);
        // The threshold itself is white.
        assert_eq!([turns(0.375, 0.125), turns(0.625, 0.125), turns(0.5, 0.0)], [true, false, false]);
        let mut out = [0.25; 3];
        rounded(&[0.49, 0.5, 1.0], &mut out);
        assert_eq!(out, [0.0, 1.0, 1.0]);
    }
}
