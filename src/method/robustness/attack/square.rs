//! The square attack (Andriushchenko et al., 2020), which takes no gradients: it proposes points that differ from the
//! best so far in a random square, and keeps those with a smaller margin. What it breaks and an ascent does not, may
//! show that gradients mislead.

mod l2;

use super::logits::Logits;
use super::loss::margin;
use super::queue::Victims;
use super::slots::Slots;
use super::{ROWS, Target};
use crate::engine::ops::ImageShape;
use crate::engine::rng::{Key, Purpose, Stream};
use crate::engine::session::Session;
use crate::error::Result;
use crate::method::ops::Norm;

/// Proposals for an image for each of the attack's steps: 5,000 for the usual 100.
pub const PROPOSALS_PER_STEP: usize = 50;

/// The part of the image that the first squares cover.
const FIRST_PART: f32 = 0.8;

/// The queries of 10,000 after which squares cover half as much.
const HALVINGS: [usize; 9] = [10, 50, 200, 500, 1000, 2000, 4000, 6000, 8000];

/// What is tried in a ball.
pub(super) struct Squares {
    pub norm: Norm,
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

/// The proposals for an image in an attack of so many steps.
pub(super) fn queries(steps: usize) -> usize {
    PROPOSALS_PER_STEP * steps.max(1)
}

impl Squares {
    /// Attacks the images that stand, and marks those that it breaks. Calls `report` with the proposals that are left.
    pub fn run(&self, session: &mut Session, victims: &mut Victims, report: &dyn Fn(usize)) -> Result<()> {
        let target = victims.target;
        let mut program = Logits::compile(session, target.vae, target.probe)?;
        let (inputs, classes) = (target.vae.encoder.inputs(), target.probe.classes());
        let queries = queries(self.steps);
        let mut queue = (0..target.labels.len()).map(|image| (image, 0));
        let mut rows = Slots::new();
        let mut points = vec![0.0; ROWS * inputs];
        let take = |(image, _)| {
            let draws = Stream::new(Key::new(self.seed, Purpose::Square), image as u32);
            Row { image, query: 0, draws, best: vec![], margin: f32::INFINITY }
        };
        while rows.fill(|_| Ok(victims.next_of(&mut queue).map(take)))? {
            for (r, row) in rows.busy_mut() {
                self.propose(row, target, &mut points[r * inputs..][..inputs]);
            }
            let logits = program.of(session, &points)?;
            for (r, row) in rows.busy_mut() {
                row.query += 1;
                let label = target.labels[row.image] as usize;
                match margin(&logits[r * classes..][..classes], label) {
                    None => victims.mark(row.image, 0, row.query - 1, &points[r * inputs..][..inputs]),
                    // The first point is the best so far, whatever its margin.
                    Some(margin) if row.best.is_empty() || margin < row.margin => {
                        (row.margin, row.best) = (margin, points[r * inputs..][..inputs].to_vec());
                    }
                    Some(_) => {}
                }
            }
            rows.retain(|row| row.query < queries && victims.stands(row.image));
            let left = rows.busy().map(|(_, row)| queries - row.query).sum::<usize>();
            report(queue.len() * queries + left);
        }
        Ok(())
    }

    /// Writes the next point of an image.
    fn propose(&self, row: &mut Row, target: &Target, point: &mut [f32]) {
        let x = target.row(row.image);
        match (self.norm, row.query) {
            (Norm::Linf, _) => self.propose_linf(row, x, target.shape, point),
            (Norm::L2, 0) => l2::first(self.radius, x, target.shape, &mut row.draws, point),
            (Norm::L2, query) => {
                let side = side(query, queries(self.steps), target.shape);
                l2::next(self.radius, x, target.shape, side, &row.best, &mut row.draws, point);
            }
        }
    }

    /// First stripes, one for each column of pixels and each channel, then a square in what is best, of one value a
    /// channel. All lie on the border of the ball, or of the box.
    fn propose_linf(&self, row: &mut Row, x: &[f32], shape: ImageShape, point: &mut [f32]) {
        let draws = &mut row.draws;
        let [channels, height, width] = shape;
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
        let side = side(row.query, queries(self.steps), shape);
        let signs: Vec<f32> = (0..channels).map(|_| sign()).collect();
        let (top, left) = place(draws, side, shape);
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

/// A random square's first row and column.
fn place(draws: &mut Stream, side: usize, [_, height, width]: ImageShape) -> (usize, usize) {
    let mut below = |room: usize| ((draws.uniform() * room as f32) as usize).min(room - 1);
    (below(height - side + 1), below(width - side + 1))
}

/// The side of the square of a query.
fn side(query: usize, queries: usize, [_, height, width]: ImageShape) -> usize {
    let of_10_000 = query * 10_000 / queries;
    let halved = HALVINGS.iter().filter(|&&after| of_10_000 > after).count();
    let part = FIRST_PART / 2.0f32.powi(halved as i32);
    let side = (part * (height * width) as f32).sqrt().round() as usize;
    side.clamp(1, height.min(width))
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
}
