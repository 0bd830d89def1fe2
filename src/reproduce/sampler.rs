//! Appendix D.1: a GAN's generator as a smooth encoder, on points of the plane and on MNIST.

use crate::data::{Dataset, Images, Source};
use crate::error::Result;
use crate::method::sampler::{self, Outcome, Settings, mode, ring};
use crate::report::{Chart, Drawing, Grid, Image, Series};

use super::claims::{Claim, Spread};
use super::lab::Lab;

/// The ring's Gaussians, and the deviation of each.
const MODES: usize = 8;
const DEVIATION: f32 = 0.02;

/// Samples that are looked at.
const DRAWS: usize = 1000;

/// Samples, and data beside them, in the picture: rows and columns.
const SHOWN: [usize; 2] = [6, 12];

fn points() -> Settings {
    Settings {
        codes: 2,
        hidden: vec![128, 128],
        batch: 128,
        steps: 10_000,
        gamma: 100.0,
        iterations: 30,
        learning_rate: 0.003,
        seed: 0,
    }
}

fn digits() -> Settings {
    Settings {
        codes: 16,
        hidden: vec![256, 512],
        batch: 128,
        steps: 4000,
        gamma: 1.0,
        iterations: 50,
        learning_rate: 0.001,
        seed: 0,
    }
}

/// Both samplers.
pub fn measure(lab: &Lab) -> Result<Vec<Claim>> {
    Ok(vec![plane(lab)?, mnist(lab)?])
}

/// What the sampler of these settings learns, or learnt before.
fn learnt(lab: &Lab, data: &str, settings: &Settings, sets: [&Images; 2]) -> Result<Outcome> {
    lab.made_with(&format!("sampler of {data}"), settings)?;
    let width = sets[0].image_len();
    let key = format!("sampler of {data}: {settings:?}, {DRAWS} samples");
    lab.part(
        &key,
        |found: &Outcome| found.is_whole(DRAWS, width),
        || sampler::experiment(&lab.device()?, settings, sets, DRAWS, &*lab.context().observer),
    )
}

/// A claim about how near the sampler comes, and the rows of its curve.
fn nearness(id: &str, expected: &str, found: &Outcome) -> Claim {
    let last = found.curve[found.curve.len() - 1].1;
    Claim::new(
        id,
        "with a large coupling a GAN's generator is the encoder of a smooth encoder, and fitting it is the entropic \
         optimal \
         transport between the data and the sampler",
        expected,
    )
    .measure("divergence before", Spread::of(&[found.curve[0].1]))
    .measure("after", Spread::of(&[last]))
    .measure("of training images", Spread::of(&[found.floor]))
}

/// The last divergence over that of training data, which is what a perfect sampler has between batches of this size. A
/// sampler of averages can have less.
fn beside_training(found: &Outcome) -> f64 {
    found.curve[found.curve.len() - 1].1 / found.floor
}

fn plane(lab: &Lab) -> Result<Claim> {
    let settings = points();
    let sets = [ring(MODES, DEVIATION, 10_000, 1), ring(MODES, DEVIATION, DRAWS, 2)];
    let found = learnt(lab, "the ring", &settings, [&sets[0], &sets[1]])?;
    let near = |s: &Vec<f32>| {
        let distance = |k: &usize| {
            let m = mode(*k, MODES);
            (s[0] - m[0]).hypot(s[1] - m[1])
        };
        (0..MODES)
            .min_by(|a, b| distance(a).total_cmp(&distance(b)))
            .filter(|k| distance(k) <= 4.0 * DEVIATION)
    };
    let modes: Vec<Option<usize>> = found.samples.iter().map(near).collect();
    let share = |k: usize| 100.0 * modes.iter().filter(|m| **m == Some(k)).count() as f64 / DRAWS as f64;
    let least = (0..MODES).map(share).fold(f64::INFINITY, f64::min);
    let at_modes: f64 = (0..MODES).map(share).sum();
    let pairs =
        |points: &[Vec<f32>]| points.iter().map(|p| (f64::from(p[0]), f64::from(p[1]))).collect::<Vec<_>>();
    let real = (0..DRAWS).map(|i| sets[1].floats(i)).collect::<Result<Vec<_>>>()?;
    let cloud = |title: &str, points: &[Vec<f32>]| {
        let chart = Chart::new(title, "x₁", "x₂").with(Series::points("", pairs(points)));
        chart.x_range(0.0, 1.0).y_range(0.0, 1.0).size(360.0, 360.0).drawing()
    };
    let drawings = [cloud("Data", &real), cloud("Samples", &found.samples), curve(&found)];
    lab.panels("gan-points", "A sampler of points, fitted by entropic transport", 3, &drawings)?;
    let row = |p: &Vec<f32>| p.iter().map(|x| format!("{x:.5}")).collect();
    lab.csv("gan-points", &["x1", "x2"], &found.samples.iter().map(row).collect::<Vec<_>>())?;
    write_curve(lab, "gan-points-curve", &found)?;
    let expected = "the Sinkhorn divergence from test points falls to at most 1.2 of what training points have, and \
        each of the 8 \
                    modes has at least 6 % of the samples (even: 12.5 %) within 4 deviations";
    Ok(nearness("gan-points", expected, &found)
        .measure("samples at a mode (%)", Spread::of(&[at_modes]))
        .measure("at the rarest (%)", Spread::of(&[least]))
        .judge(least >= 6.0 && beside_training(&found) <= 1.2))
}

fn mnist(lab: &Lab) -> Result<Claim> {
    let data = Dataset::load(&Source { name: "mnist", ..Source::default() })?;
    let found = learnt(lab, "MNIST", &digits(), [&data.train.images, &data.test.images])?;
    let images = &data.test.images;
    let classes = data.test.labels[0].as_slice();
    let all = (0..DRAWS).map(|i| images.floats(i)).collect::<Result<Vec<_>>>()?;
    let class_of = |sample: &Vec<f32>| {
        let distance = |i: &usize| all[*i].iter().zip(sample).map(|(a, b)| (a - b) * (a - b)).sum::<f32>();
        (0..DRAWS).min_by(|a, b| distance(a).total_cmp(&distance(b))).map(|i| classes[i])
    };
    let nearest: Vec<Option<u32>> = found.samples.iter().map(class_of).collect();
    let share = |class| 100.0 * nearest.iter().filter(|c| **c == Some(class)).count() as f64 / DRAWS as f64;
    let least = (0..10).map(share).fold(f64::INFINITY, f64::min);
    let [rows, columns] = SHOWN;
    let mut grid = Grid::new("MNIST: a sampler fitted by entropic transport between minibatches");
    let row = |images: &[Vec<f32>], r: usize| {
        images[r * columns..][..columns].iter().map(|x| Image::of([1, 28, 28], x)).collect()
    };
    grid = grid.row("data", row(&all, 0));
    for r in 0..rows {
        grid = grid.row(if r == 0 { "samples" } else { "" }, row(&found.samples, r));
    }
    lab.picture("gan-mnist", &grid.drawing())?;
    lab.picture("gan-mnist-curve", &curve(&found))?;
    write_curve(lab, "gan-mnist-curve", &found)?;
    let expected = "the Sinkhorn divergence from test images falls to at most 1.2 of what training images have, and \
        each digit is \
                    that of the nearest test image (of 1,000) of at least 3 % of the samples";
    Ok(nearness("gan-mnist", expected, &found)
        .measure("samples nearest to the rarest digit (%)", Spread::of(&[least]))
        .judge(least >= 3.0 && beside_training(&found) <= 1.2))
}

fn curve(found: &Outcome) -> Drawing {
    let points = found.curve.iter().map(|&(step, value)| (f64::from(step), value));
    Chart::new("Sinkhorn divergence", "Step", "From test data (squared distance)")
        .with(Series::marked("sampler", points))
        .reference(found.floor, "training data")
        .log_y()
        .size(420.0, 360.0)
        .drawing()
}

fn write_curve(lab: &Lab, name: &str, found: &Outcome) -> Result<()> {
    let row = |&(step, value): &(u32, f64)| vec![step.to_string(), format!("{value:.6}")];
    lab.csv(name, &["step", "divergence"], &found.curve.iter().map(row).collect::<Vec<_>>())
}
