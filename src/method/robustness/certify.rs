//! Certificates: radii in which no perturbation at all changes the probe's answer (docs/method.md, section 12). CROWN
//! (Zhang et al., 2018, Efficient Neural Network Robustness Certification with General Activation Functions) bounds
//! linear functions of a network's output from below, by lines below and above each ReLU.
//!
//! The bounds are those of the network as a device computes it: rounding in single precision is part of them, on the
//! way forward and on the way back, in whatever order a device sums.

mod chain;
mod code;
mod rounding;
mod walk;

use crate::engine::device::Program;
use crate::engine::graph::Graph;
use crate::engine::ops::store;
use crate::engine::session::Session;
use crate::engine::tensor::DType::F32;
use crate::error::{Error, Result};
use crate::method::ops::Norm;
use crate::method::robustness::Target;
use chain::{Arenas, Link, chain};
pub use code::code_reach;
use rounding::{Lines, corners, gamma, up};
use walk::{IMAGES, Walk, Wanted, variable};

/// Steps of the search for an image's radius between two given ones. Each halves what is left.
const HALVINGS: usize = 7;

/// By how much a point of an attack may leave its ball, from rounding.
const BEYOND: f64 = 1.0 / (1 << 22) as f64;

/// Programs that bound what encoder and probe can answer in balls around images.
#[derive(Debug)]
pub struct Certifier<'a> {
    target: &'a Target<'a>,
    norm: Norm,
    chain: Vec<Link>,
    /// Of each layer: the largest sums of magnitudes, from the reach of its inputs.
    magnitudes: Vec<Program>,
    /// Of each layer before a ReLU: the bounds of its outputs.
    bounds: Vec<Option<Walk>>,
    /// Of the logit of an image's class over each other one.
    margins: Walk,
}

/// An image, and the radius of the ball around it.
pub type Ball = (usize, f32);

impl<'a> Certifier<'a> {
    /// Compiles the programs.
    ///
    /// # Errors
    /// [`Error::Request`] for a model in half precision; those of the device.
    pub fn new(session: &mut Session, target: &'a Target<'a>, norm: Norm) -> Result<Self> {
        if target.vae.encoder.half {
            let what = "there are no certificates for a run in half precision: train with `precision` f32";
            return Err(Error::request(what));
        }
        let (model, probe): (Vec<f32>, Vec<f32>) = (session.get("model")?, session.get("probe")?);
        let chain = chain(target, &model, &probe)?;
        for (name, arena) in [("certify.model", model), ("certify.probe", probe)] {
            session.set(name, &arena.iter().map(|w| w.abs()).collect::<Vec<_>>())?;
        }
        let magnitudes = (0..chain.len())
            .map(|l| {
                let mut g = Graph::new();
                let arenas = Arenas::new(&mut g, target, "certify.")?;
                let reach = g.variable(&variable(l, "reach"), [IMAGES, chain[l].inputs], F32)?;
                let magnitude = chain[l].forward(&mut g, &arenas, reach)?;
                let kept = g.variable(&variable(l, "magnitude"), [IMAGES, chain[l].outputs], F32)?;
                store(&mut g, magnitude, kept)?;
                session.compile(&g)
            })
            .collect::<Result<_>>()?;
        let mut walk = |l: usize, wanted| Walk::compile(session, target, &chain, l, norm, wanted);
        let bounds = chain
            .iter()
            .enumerate()
            .map(|(l, link)| link.relu.then(|| walk(l, Wanted::Shared(2 * link.outputs))).transpose());
        let bounds = bounds.collect::<Result<_>>()?;
        // A classifier of one class has no margins, and its walk is not run.
        let others = target.probe.classes().saturating_sub(1).max(1);
        let margins = walk(chain.len() - 1, Wanted::OfEach(others))?;
        Ok(Certifier { target, norm, chain, magnitudes, bounds, margins })
    }

    /// Frees the memory of the programs.
    pub fn forget(self, session: &mut Session) {
        session.forget_all("certify.");
    }

    /// For each of `balls`: a lower bound of how far the logit of the image's class stays above the largest other one,
    /// for every image in the ball and in the box. Minus infinity where the class is none of the probe's.
    ///
    /// # Errors
    /// Those of the device.
    pub fn margins(&mut self, session: &Session, balls: &[Ball]) -> Result<Vec<f64>> {
        let mut margins = Vec::with_capacity(balls.len());
        for block in balls.chunks(IMAGES) {
            margins.extend(&self.block(session, block)?[..block.len()]);
        }
        Ok(margins)
    }

    fn block(&mut self, session: &Session, balls: &[Ball]) -> Result<[f64; IMAGES]> {
        let Some(balls) = padded(balls) else { return Ok([f64::NAN; IMAGES]) };
        let (classes, radii) = (self.target.probe.classes(), swollen(&balls));
        let labels = balls.map(|(image, _)| self.target.labels[image] as usize);
        if classes == 1 {
            return Ok(labels.map(|label| if label == 0 { f64::INFINITY } else { f64::NEG_INFINITY }));
        }
        let sound = self.enclose(session, &balls, &radii)?;
        let walk = &mut self.margins;
        let mut seeds = vec![0.0; IMAGES * walk.rows * classes];
        for (label, rows) in labels.iter().zip(seeds.chunks_exact_mut(walk.rows * classes)) {
            let others = (0..classes).filter(|other| other != label);
            for (other, row) in others.zip(rows.chunks_exact_mut(classes)) {
                row[other] = -1.0;
                row.get_mut(*label).into_iter().for_each(|own| *own = 1.0);
            }
        }
        let bounds = walk.run(session, &seeds, &radii)?;
        Ok(std::array::from_fn(|i| {
            let of_image = &bounds[i * walk.rows..][..walk.rows];
            match sound[i] && labels[i] < classes {
                true => of_image.iter().copied().fold(f64::INFINITY, least),
                false => f64::NEG_INFINITY,
            }
        }))
    }

    /// Writes what all layers have of these images, from the first to the last. Returns for which images all numbers
    /// are finite.
    fn enclose(
        &mut self,
        session: &Session,
        balls: &[Ball; IMAGES],
        radii: &[f64; IMAGES],
    ) -> Result<[bool; IMAGES]> {
        let mut reach = self.write_images(session, balls, radii)?;
        let mut sound = [true; IMAGES];
        for l in 0..self.chain.len() {
            let link = &self.chain[l];
            session.write(&variable(l, "reach"), 0, &reach)?;
            self.magnitudes[l].run()?;
            let magnitudes: Vec<f32> = session.get(&variable(l, "magnitude"))?;
            let error = gamma(link.terms);
            // Of the sums forward and of those back: each is within `error` of the sum of magnitudes.
            let mut errors: Vec<f64> =
                magnitudes.iter().map(|m| 2.0 * error * (1.0 + error) * f64::from(*m)).collect();
            write_biases(session, l, link, &errors)?;
            if let Some(walk) = &mut self.bounds[l] {
                let intervals = intervals(session, walk, link.outputs, radii)?;
                let lines = write_lines(session, l, link.outputs, &intervals)?;
                for (i, lines) in lines.chunks_exact(link.outputs).enumerate() {
                    sound[i] &= lines.iter().all(Option::is_some);
                }
                // Scaling by a slope rounds the coefficients of what stands before the ReLU.
                for (error, (low, high)) in errors.iter_mut().zip(&intervals) {
                    *error += gamma(1) * low.abs().max(high.abs());
                }
                write_biases(session, l, link, &errors)?;
                reach = intervals.iter().map(|(_, high)| up(high.max(0.0))).collect();
            } else {
                reach = magnitudes.iter().map(|m| up(f64::from(*m) * (1.0 + 3.0 * error))).collect();
            }
        }
        Ok(sound)
    }

    /// Writes the boxes of images in these balls; returns the largest values in them, `[IMAGES, inputs]`.
    fn write_images(
        &self,
        session: &Session,
        balls: &[Ball; IMAGES],
        radii: &[f64; IMAGES],
    ) -> Result<Vec<f32>> {
        let inputs = self.chain[0].inputs;
        let pixels = balls.iter().zip(radii).flat_map(|(&(image, _), &radius)| {
            self.target.row(image).iter().map(move |x| (f64::from(*x), radius))
        });
        let boxes = pixels.clone().map(|(x, radius)| ((x - radius).max(0.0), (x + radius).min(1.0)));
        write_corners(session, ["certify.box.low", "certify.box.high"], boxes.clone(), inputs)?;
        if self.norm == Norm::L2 {
            write_corners(session, ["certify.x.low", "certify.x.high"], pixels.map(|(x, _)| (x, x)), inputs)?;
        }
        Ok(boxes.map(|(_, high)| up(high)).collect())
    }
}

/// A whole block, whose rest repeats the last ball; none without a ball.
fn padded(balls: &[Ball]) -> Option<[Ball; IMAGES]> {
    let last = balls.last()?;
    Some(std::array::from_fn(|i| *balls.get(i).unwrap_or(last)))
}

/// Radii in which there are the points of an attack, too, that rounding has put outside its balls.
fn swollen(balls: &[Ball; IMAGES]) -> [f64; IMAGES] {
    balls.map(|(_, radius)| f64::from(radius) * (1.0 + BEYOND) + BEYOND)
}

/// The smaller of two; a NaN where one is. `f64::min` would drop it.
fn least(a: f64, b: f64) -> f64 {
    if a.is_nan() || a <= b { a } else { b }
}

/// Writes the corners of boxes of which `terms` belong to a row.
fn write_corners(
    session: &Session,
    names: [&str; 2],
    boxes: impl Iterator<Item = (f64, f64)>,
    terms: usize,
) -> Result<()> {
    let (low, high): (Vec<f32>, Vec<f32>) = boxes.map(|(low, high)| corners(low, high, terms)).unzip();
    session.write(names[0], 0, &low)?;
    session.write(names[1], 0, &high)
}

/// Writes the biases of layer `l` as boxes that cover the rounding of its sums.
fn write_biases(session: &Session, l: usize, link: &Link, errors: &[f64]) -> Result<()> {
    let biases = link.bias.iter().cycle().map(|b| f64::from(*b));
    let boxes = biases.zip(errors).map(|(bias, error)| (bias - error, bias + error));
    let names = [variable(l, "low"), variable(l, "high")];
    write_corners(session, [&names[0], &names[1]], boxes, link.outputs)
}

/// The bounds `[IMAGES, outputs]` of a layer's outputs.
fn intervals(
    session: &Session,
    walk: &mut Walk,
    outputs: usize,
    radii: &[f64; IMAGES],
) -> Result<Vec<(f64, f64)>> {
    let mut intervals = vec![(f64::NAN, f64::NAN); IMAGES * outputs];
    for first in (0..2 * outputs).step_by(walk.rows) {
        let seeds = walk.either_sign(first, outputs);
        let bounds = walk.run(session, &seeds, radii)?;
        for (i, bounds) in bounds.chunks_exact(walk.rows).enumerate() {
            for (function, bound) in (first..2 * outputs).zip(bounds) {
                let interval = &mut intervals[i * outputs + function % outputs];
                match function < outputs {
                    true => interval.0 = *bound,
                    false => interval.1 = -bound,
                }
            }
        }
    }
    Ok(intervals)
}

/// Writes the lines around the ReLUs of layer `l`; returns them.
fn write_lines(
    session: &Session,
    l: usize,
    outputs: usize,
    intervals: &[(f64, f64)],
) -> Result<Vec<Option<Lines>>> {
    let lines: Vec<Option<Lines>> = intervals.iter().map(|&(low, high)| Lines::of(low, high)).collect();
    let none = Lines { below: 0.0, above: 0.0, offset: 0.0 };
    let values =
        |of: &dyn Fn(Lines) -> f32| lines.iter().map(|l| of(l.unwrap_or(none))).collect::<Vec<f32>>();
    session.write(&variable(l, "below"), 0, &values(&|l| l.below))?;
    session.write(&variable(l, "above"), 0, &values(&|l| l.above))?;
    let offset = |l: Lines| corners(0.0, f64::from(l.offset), outputs).1;
    session.write(&variable(l, "offset"), 0, &values(&offset))?;
    Ok(lines)
}

/// The radius in which each image is certified to keep its right answer, whatever moves it: none where it has none. The
/// search begins with `radii`, in rising order, and multiples of the last, and goes on between the last that is
/// certified and the first that is not.
/// Calls `progress` with the work done and all work, counted in images.
///
/// # Errors
/// As [`Certifier::new`].
pub fn certified_radii(
    session: &mut Session,
    target: &Target,
    norm: Norm,
    radii: &[f32],
    progress: &dyn Fn(usize, usize),
) -> Result<Vec<Option<f32>>> {
    let images = target.labels.len();
    let beyond = radii.last().into_iter().flat_map(|last| [2.0, 4.0, 8.0].map(|times| times * last));
    let radii: Vec<f32> = radii.iter().copied().chain(beyond).collect();
    let all = images * (radii.len() + HALVINGS);
    let mut certifier = Certifier::new(session, target, norm)?;
    let mut certified: Vec<Option<f32>> = vec![None; images];
    let mut failed: Vec<Option<f32>> = vec![None; images];
    for round in 0..radii.len() + HALVINGS {
        let ball = |image: usize| match (radii.get(round), failed[image]) {
            (Some(&radius), None) => Some((image, radius)),
            (None, Some(failed)) => Some((image, 0.5 * (certified[image].unwrap_or(0.0) + failed))),
            _ => None,
        };
        let balls: Vec<Ball> = (0..images).filter_map(ball).collect();
        let waiting = balls.len();
        for (b, balls) in balls.chunks(IMAGES).enumerate() {
            progress((round + 1) * images - waiting + b * IMAGES, all);
            let margins = certifier.margins(session, balls)?;
            for (&(image, radius), margin) in balls.iter().zip(margins) {
                match margin > 0.0 {
                    true => certified[image] = Some(radius),
                    false => failed[image] = Some(radius),
                }
            }
        }
    }
    certifier.forget(session);
    progress(all, all);
    Ok(certified)
}
