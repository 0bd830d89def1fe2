//! The square attack (Andriushchenko et al., 2020), which takes no gradients: it proposes points that differ from the
//! best so far in a random square, and keeps those with a smaller margin. What it breaks and an ascent does not, may
//! show that gradients mislead. L-infinity only.

use super::{Logits, ROWS, Target};
use crate::engine::ops::ImageShape;
use crate::engine::rng::{Key, Purpose, Stream};
use crate::engine::session::Session;
use crate::error::Result;

/// Proposals for an image for each of the attack's steps: 5,000 for the usual 100.
pub const PROPOSALS_PER_STEP: usize = 50;

/// The part of the image that the first squares cover.
const FIRST_PART: f32 = 0.8;

/// The queries of 10,000 after which squares cover half as much.
const HALVINGS: [usize; 9] = [10, 50, 200, 500, 1000, 2000, 4000, 6000, 8000];

/// What is tried in a ball.
pub(super) struct Squares {
    pub radius: f32,
    pub steps: usize,
    pub seed: u64,
}

/// An image on the device.
struct Row {
    image: usize,
    /// Points classified so far.
    query: usize,
    draws: Stream,
    best: Vec<f32>,
    margin: f32,
}

impl Squares {
    fn queries(&self) -> usize {
        PROPOSALS_PER_STEP * self.steps.max(1)
    }

    /// Attacks the images that are not `fooled`, and marks those that it breaks. Calls `report` with the images left.
    pub fn run(
        &self,
        session: &mut Session,
        target: &Target,
        fooled: &mut [bool],
        report: &dyn Fn(usize),
    ) -> Result<()> {
        let mut logits = Logits::compile(session, target.vae, target.probe)?;
        let inputs = target.vae.encoder.inputs();
        let standing: Vec<usize> = (0..fooled.len()).filter(|&image| !fooled[image]).collect();
        let mut waiting = standing.into_iter();
        let mut rows: [Option<Row>; ROWS] = [const { None }; ROWS];
        let mut points = vec![0.0; ROWS * inputs];
        loop {
            for row in rows.iter_mut().filter(|row| row.is_none()) {
                let Some(image) = waiting.next() else { break };
                let draws = Stream::new(Key::new(self.seed, Purpose::Square), image as u32);
                *row = Some(Row { image, query: 0, draws, best: vec![], margin: f32::INFINITY });
            }
            if rows.iter().all(Option::is_none) {
                return Ok(());
            }
            for (row, point) in rows.iter_mut().zip(points.chunks_exact_mut(inputs)) {
                if let Some(row) = row {
                    self.propose(row, target, point);
                }
            }
            let logits = logits.of(session, &points)?;
            let answers = logits.chunks_exact(target.probe.classes()).zip(points.chunks_exact(inputs));
            for (slot, (logits, point)) in rows.iter_mut().zip(answers) {
                let Some(row) = slot else { continue };
                let margin = margin(logits, target.labels[row.image] as usize);
                row.query += 1;
                match margin {
                    None => fooled[row.image] = true,
                    // The first point is the best so far, whatever its margin.
                    Some(margin) if row.best.is_empty() || margin < row.margin => {
                        (row.margin, row.best) = (margin, point.to_vec());
                    }
                    Some(_) => {}
                }
                if margin.is_none() || row.query == self.queries() {
                    *slot = None;
                }
            }
            report(waiting.len() + rows.iter().flatten().count());
        }
    }

    /// Writes the next point: first stripes, one for each column of pixels and each channel, then a square in what is
    /// best, of one value a channel. All lie on the border of the ball, or of the box.
    fn propose(&self, row: &mut Row, target: &Target, point: &mut [f32]) {
        let (x, draws) = (target.row(row.image), &mut row.draws);
        let [channels, height, width] = target.shape;
        let mut sign = || if draws.uniform() < 0.5 { -self.radius } else { self.radius };
        let moved = |x: f32, by: f32| (x + by).clamp(0.0, 1.0);
        if row.query == 0 {
            let stripes: Vec<f32> = (0..channels * width).map(|_| sign()).collect();
            for (i, (point, x)) in point.iter_mut().zip(x).enumerate() {
                *point = moved(*x, stripes[i / (height * width) * width + i % width]);
            }
            return;
        }
        point.copy_from_slice(&row.best);
        let side = side(row.query, self.queries(), target.shape);
        let signs: Vec<f32> = (0..channels).map(|_| sign()).collect();
        let mut place = |room: usize| ((draws.uniform() * room as f32) as usize).min(room - 1);
        let (top, left) = (place(height - side + 1), place(width - side + 1));
        for (c, sign) in signs.into_iter().enumerate() {
            for y in top..top + side {
                let first = (c * height + y) * width + left;
                for i in first..first + side {
                    point[i] = moved(x[i], sign);
                }
            }
        }
    }
}

/// The side of the square of a query.
fn side(query: usize, queries: usize, [_, height, width]: ImageShape) -> usize {
    let of_10_000 = query * 10_000 / queries;
    let halved = HALVINGS.iter().filter(|&&after| of_10_000 > after).count();
    let part = FIRST_PART / 2.0f32.powi(halved as i32);
    let side = (part * (height * width) as f32).sqrt().round() as usize;
    side.clamp(1, height.min(width))
}

/// How far the label's logit lies above the largest other one; none where it is not the first largest, or one is a NaN.
fn margin(logits: &[f32], label: usize) -> Option<f32> {
    let own = *logits.get(label)?;
    let (before, after) = (&logits[..label], &logits[label + 1..]);
    // A NaN fails both comparisons.
    let right = !own.is_nan() && before.iter().all(|x| *x < own) && after.iter().all(|x| *x <= own);
    let largest = before.iter().chain(after).copied().fold(f32::NEG_INFINITY, f32::max);
    right.then_some(own - largest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn squares_become_smaller() {
        let sides: Vec<usize> = (1..5000).map(|query| side(query, 5000, [1, 28, 28])).collect();
        assert_eq!((sides[0], sides[4998]), (25, 1));
        assert!(sides.is_sorted_by(|a, b| a >= b));
        assert_eq!([side(1, 50, [3, 1, 9]), side(49, 50, [1, 4, 4])], [1, 1]);
    }

    #[test]
    fn a_margin_is_none_where_the_answer_is_wrong() {
        assert_eq!(margin(&[1.0, 3.0, 2.0], 1), Some(1.0));
        // The first of equals is the answer.
        assert_eq!([margin(&[3.0, 3.0], 0), margin(&[3.0, 3.0], 1)], [Some(0.0), None]);
        assert_eq!([margin(&[f32::NAN, 3.0], 1), margin(&[f32::NAN, 3.0], 0), margin(&[1.0], 4)], [None; 3]);
    }
}
