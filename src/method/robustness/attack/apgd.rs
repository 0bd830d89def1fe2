//! Auto-PGD (Croce & Hein 2020, Reliable evaluation of adversarial robustness with an ensemble of diverse
//! parameter-free attacks, algorithm 1): an ascent with momentum, whose steps start at twice the radius. At checkpoints
//! they are halved where the ascent makes no progress, and it then goes on from the best point.

use super::ROWS;
use super::logits::{Gradients, Logits};
use super::loss::{cross_entropy, dlr, margin, targeted_dlr};
use super::queue::{Victims, Work};
use super::slots::Slots;
use crate::engine::ops::lanes::sum_of;
use crate::engine::session::Session;
use crate::error::Result;
use crate::method::ops::Norm;

/// What it climbs.
#[derive(Debug, Clone, Copy)]
pub(super) enum Goal {
    CrossEntropy,
    /// [`dlr`]
    Dlr,
    /// [`targeted_dlr`]
    Targeted,
}

/// What is tried in a ball.
#[derive(Debug, Clone, Copy)]
pub(super) struct Apgd {
    pub goal: Goal,
    pub norm: Norm,
    pub radius: f32,
    pub steps: usize,
}

/// The share of the last step that a step keeps is 1 less this.
const MOMENTUM: f32 = 0.75;

/// The share of steps since the last checkpoint that must have climbed, else the step is halved.
const RISING: f64 = 0.75;

/// A restart on the device.
struct Row {
    image: usize,
    restart: usize,
    label: usize,
    rival: u32,
    /// Of the current point.
    loss: f64,
    climb: Climb,
}

impl Apgd {
    /// Processes `queue` and marks the images that it breaks. `start` writes the point at which a restart begins, and
    /// `rival` tells the class it prefers. Calls `report` with the points that are left.
    pub fn run(
        &self,
        session: &mut Session,
        victims: &mut Victims,
        mut queue: impl ExactSizeIterator<Item = Work>,
        start: &dyn Fn(usize, usize, &mut [f32]),
        rival: &dyn Fn(usize, usize) -> u32,
        report: &dyn Fn(usize),
    ) -> Result<()> {
        let target = victims.target;
        let (inputs, classes) = (target.vae.encoder.inputs(), target.probe.classes());
        let mut logits = Logits::compile(session, target.vae, target.probe)?;
        let mut gradients = Gradients::compile(session, target.vae, target.probe)?;
        let mut rows = Slots::new();
        let (mut points, mut slopes) = (vec![0.0; ROWS * inputs], vec![0.0; ROWS * classes]);
        let take = |(image, restart): Work| {
            let mut point = vec![0.0; inputs];
            start(image, restart, &mut point);
            let (label, rival) = (target.labels[image] as usize, rival(image, restart));
            Row { image, restart, label, rival, loss: 0.0, climb: Climb::new(point, self.radius) }
        };
        while rows.fill(|_| Ok(victims.next_of(&mut queue).map(take)))? {
            for (r, row) in rows.busy() {
                points[r * inputs..][..inputs].copy_from_slice(&row.climb.point);
            }
            let logits = logits.of(session, &points)?;
            for (r, row) in rows.busy_mut() {
                let logits = &logits[r * classes..][..classes];
                match margin(logits, row.label) {
                    None => victims.mark(row.image, row.restart, row.climb.taken, &row.climb.point),
                    Some(_) => row.loss = self.loss(row, logits, &mut slopes[r * classes..][..classes]),
                }
            }
            rows.retain(|row| row.climb.taken < self.steps && victims.stands(row.image));
            let left = |row: &Row| self.steps - row.climb.taken;
            report(queue.len() * (self.steps + 1) + rows.busy().map(|(_, row)| left(row)).sum::<usize>());
            if rows.busy().next().is_none() {
                continue;
            }
            let gradients = gradients.of(session, &slopes)?;
            for (r, row) in rows.busy_mut() {
                let x = target.row(row.image);
                row.climb.advance(self, x, row.loss, &gradients[r * inputs..][..inputs]);
            }
        }
        Ok(())
    }

    fn loss(&self, row: &Row, logits: &[f32], slope: &mut [f32]) -> f64 {
        match self.goal {
            Goal::CrossEntropy => cross_entropy(logits, row.label, slope),
            Goal::Dlr => dlr(logits, row.label, slope),
            Goal::Targeted => targeted_dlr(logits, row.label, row.rival as usize, slope),
        }
    }
}

/// An ascent.
#[derive(Debug, Clone)]
struct Climb {
    point: Vec<f32>,
    /// The point of the step before.
    before: Vec<f32>,
    /// Of the next step.
    length: f32,
    /// Steps so far.
    taken: usize,
    /// What is known since the first point was classified.
    known: Option<Known>,
}

/// The best point of an ascent, and when its steps are halved.
#[derive(Debug, Clone)]
struct Known {
    best: Vec<f32>,
    gradient: Vec<f32>,
    loss: f64,
    schedule: Schedule,
}

impl Climb {
    fn new(point: Vec<f32>, radius: f32) -> Self {
        Climb { before: point.clone(), point, length: 2.0 * radius, taken: 0, known: None }
    }

    /// Makes the next step, in the ball around `x`, from the loss and the gradient at the current point.
    fn advance(&mut self, ball: &Apgd, x: &[f32], loss: f64, gradient: &[f32]) {
        let Some(known) = &mut self.known else {
            let schedule = Schedule::new(ball.steps, loss);
            let (best, gradient) = (self.point.clone(), gradient.to_vec());
            self.known = Some(Known { best, gradient: gradient.clone(), loss, schedule });
            return self.step(ball, x, &gradient);
        };
        if loss > known.loss {
            known.loss = loss;
            known.best.copy_from_slice(&self.point);
            known.gradient.copy_from_slice(gradient);
        }
        if known.schedule.halves(loss, known.loss) {
            self.length /= 2.0;
            self.point.copy_from_slice(&known.best);
            let gradient = known.gradient.clone();
            return self.step(ball, x, &gradient);
        }
        self.step(ball, x, gradient);
    }

    /// A step up the gradient, then part of the way there and part of the way that the last step went. Both points are
    /// projected onto ball and box.
    fn step(&mut self, ball: &Apgd, x: &[f32], gradient: &[f32]) {
        let Climb { point, before, length, .. } = self;
        let there = if self.taken == 0 { 1.0 } else { MOMENTUM };
        let mut up = match ball.norm {
            Norm::Linf => gradient.iter().map(|g| sign(*g) * *length).collect::<Vec<f32>>(),
            Norm::L2 => {
                let size = norm(gradient);
                // A gradient that vanishes or overflows has no direction.
                let scale = if size > 0.0 && size.is_finite() { *length / size } else { 0.0 };
                gradient.iter().map(|g| if scale > 0.0 { g * scale } else { 0.0 }).collect()
            }
        };
        up.iter_mut().zip(&*point).for_each(|(up, p)| *up += p);
        project(ball, x, &mut up);
        for ((before, point), up) in before.iter_mut().zip(&*point).zip(up) {
            *before = point + (up - point) * there + (point - *before) * (1.0 - there);
        }
        project(ball, x, before);
        std::mem::swap(point, before);
        self.taken += 1;
    }
}

/// 0 for a NaN.
fn sign(value: f32) -> f32 {
    f32::from(value > 0.0) - f32::from(value < 0.0)
}

/// The Euclidean length.
pub(super) fn norm(values: &[f32]) -> f32 {
    sum_of(values, values, |a, b| a * b).sqrt()
}

/// Projects a point onto the ball around `x`, then onto the box [0, 1].
fn project(ball: &Apgd, x: &[f32], point: &mut [f32]) {
    let radius = ball.radius;
    match ball.norm {
        Norm::Linf => point.iter_mut().zip(x).for_each(|(p, x)| *p = p.clamp(x - radius, x + radius)),
        Norm::L2 => {
            let away = sum_of(point, x, |p, x| (p - x) * (p - x)).sqrt();
            if away > radius {
                point.iter_mut().zip(x).for_each(|(p, x)| *p = x + (*p - x) * (radius / away));
            }
        }
    }
    point.iter_mut().for_each(|p| *p = p.clamp(0.0, 1.0));
}

/// The checkpoints of an ascent: after 0.22 of its steps, then after spans that shrink by 0.03 down to 0.06 of them.
#[derive(Debug, Clone)]
struct Schedule {
    steps: usize,
    /// Steps from the last checkpoint to the next.
    span: usize,
    /// Steps since the last checkpoint, and those of them that climbed.
    since: usize,
    rises: usize,
    /// The loss at the point from which the last step went.
    last: f64,
    /// The best loss at the last checkpoint.
    best_then: f64,
    /// Whether the step was halved there; before the first it counts as halved.
    halved: bool,
}

impl Schedule {
    /// Of an ascent of so many steps that starts at a loss.
    fn new(steps: usize, loss: f64) -> Self {
        let span = part(steps, 0.22);
        Schedule { steps, span, since: 0, rises: 0, last: loss, best_then: loss, halved: true }
    }

    /// Takes the loss after a step and the best so far. Tells whether this is a checkpoint that halves the step: less
    /// than 0.75 of the steps since the last one climbed, or neither the step was halved there nor the best has risen
    /// since.
    fn halves(&mut self, loss: f64, best: f64) -> bool {
        self.since += 1;
        self.rises += usize::from(loss > self.last);
        self.last = loss;
        if self.since < self.span {
            return false;
        }
        let few = (self.rises as f64) < RISING * self.since as f64;
        let no_better = !self.halved && best <= self.best_then;
        let halves = few || no_better;
        let span = self.span.saturating_sub(part(self.steps, 0.03)).max(part(self.steps, 0.06));
        // The ascent goes on from the best point.
        let last = if halves { best } else { loss };
        *self = Schedule { span, since: 0, rises: 0, last, best_then: best, halved: halves, ..*self };
        halves
    }
}

/// So much of the steps, at least one.
fn part(steps: usize, share: f64) -> usize {
    ((share * steps as f64) as usize).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The checkpoints of 100 steps are those of the paper: 22, 41, 57, 70, 80, 87, 93, 99.
    #[test]
    fn checkpoints_are_those_of_the_paper() {
        let mut schedule = Schedule::new(100, 0.0);
        // Losses that fall make every checkpoint halve.
        let halvings = (1..=100).filter(|step| schedule.halves(-f64::from(*step), 0.0));
        assert_eq!(halvings.collect::<Vec<_>>(), [22, 41, 57, 70, 80, 87, 93, 99]);
    }

    #[test]
    fn a_step_is_halved_where_few_steps_climb_or_the_best_stays() {
        // All climb: never.
        let mut schedule = Schedule::new(100, 0.0);
        assert!((1..=100).all(|step| !schedule.halves(f64::from(step), f64::from(step))));
        // All but the first after a halving climb, and the best stays: at every other checkpoint, the first excepted.
        let mut schedule = Schedule::new(100, 0.0);
        let losses = (1..=100).map(|step| f64::from(step) - 1e3);
        let halvings: Vec<_> = losses.enumerate().filter(|&(_, loss)| schedule.halves(loss, 0.0)).collect();
        assert_eq!(halvings.iter().map(|(step, _)| step + 1).collect::<Vec<_>>(), [41, 70, 87, 99]);
        // Three of four, no more.
        let mut schedule = Schedule::new(18, 0.0);
        assert_eq!(schedule.span, 3);
        let halved: Vec<bool> = [1.0, 2.0, 1.5].map(|loss| schedule.halves(loss, 2.0)).to_vec();
        assert_eq!(halved, [false, false, true]);
    }

    /// Of `-|p - 0.53|`, whose best point lies inside the ball, steps that are too long jump over it.
    #[test]
    fn an_ascent_goes_on_from_its_best_point_in_shorter_steps() {
        for norm in [Norm::Linf, Norm::L2] {
            let ball = Apgd { goal: Goal::Dlr, norm, radius: 0.2, steps: 100 };
            let (x, best) = ([0.5], 0.53);
            let mut climb = Climb::new(vec![0.35], ball.radius);
            let (mut lengths, mut jumps) = (vec![climb.length], 0);
            while climb.taken < ball.steps {
                let off = climb.point[0] - best;
                let length = climb.length;
                climb.advance(&ball, &x, -f64::from(off.abs()), &[-off]);
                assert!((climb.point[0] - x[0]).abs() <= ball.radius + 1e-7);
                if climb.length < length {
                    lengths.push(climb.length);
                    // It went on from the best point, not from where it was.
                    jumps += usize::from(off != climb.known.as_ref().unwrap().best[0] - best);
                    let from_best = (climb.before[0] - climb.known.as_ref().unwrap().best[0]).abs();
                    assert!(from_best < 1e-7, "{from_best}");
                }
            }
            assert_eq!(lengths[0], 0.4);
            assert!(lengths.windows(2).all(|pair| pair[1] == pair[0] / 2.0), "{lengths:?}");
            assert!(lengths.len() >= 5 && jumps > 0, "{norm:?}: {lengths:?}, {jumps}");
            let known = climb.known.unwrap();
            assert!((known.best[0] - best).abs() < 0.01, "{norm:?}: {}", known.best[0]);
            assert_eq!(known.loss, -f64::from((known.best[0] - best).abs()));
        }
    }

    #[test]
    fn a_gradient_without_a_direction_makes_no_step() {
        for norm in [Norm::Linf, Norm::L2] {
            for gradient in [0.0, f32::NAN] {
                let ball = Apgd { goal: Goal::Dlr, norm, radius: 0.2, steps: 10 };
                let mut climb = Climb::new(vec![0.45, 0.5], ball.radius);
                climb.advance(&ball, &[0.5, 0.5], 0.0, &[gradient; 2]);
                assert_eq!(climb.point, [0.45, 0.5]);
            }
        }
    }
}
