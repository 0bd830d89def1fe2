//! Appendix D.1: a GAN's generator as a smooth encoder, on points of the plane and on MNIST.

use crate::data::{Dataset, Images, Source};
use crate::engine::ops::ImageShape;
use crate::error::Result;
use crate::method::sampler::{self, Outcome, Settings, mode, ring};
use crate::report::{Chart, Drawing, Grid, Image, Series};

use super::condition::Measured;
use super::estimate::{Estimate, share};
use super::lab::Lab;

/// The ring's Gaussians, and the deviation of each.
const MODES: usize = 8;
const DEVIATION: f32 = 0.02;

/// Samples that are looked at.
const DRAWS: usize = 1000;

/// Samples, and data beside them, in the picture: rows and columns.
const SHOWN: [usize; 2] = [6, 12];

/// Seeds of each sampler.
const SEEDS: [u64; 3] = [0, 1, 2];

/// Neighbours that span a test point's ball, of which a sample covers the point.
const NEIGHBOURS: usize = 5;

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
pub fn measure(lab: &Lab) -> Result<Measured> {
    let mut measured = Measured::default();
    plane(lab, &mut measured)?;
    mnist(lab, &mut measured)?;
    Ok(measured)
}

/// What the sampler of these settings learns with each seed, or learnt before.
fn learnt(lab: &Lab, data: &str, settings: &Settings, sets: [&Images; 2]) -> Result<Vec<Outcome>> {
    let width = sets[0].image_len();
    let one = |seed| {
        let settings = Settings { seed, ..settings.clone() };
        lab.made_with(&format!("sampler of {data}, seed {seed}"), &settings)?;
        let key = format!("sampler of {data}: {settings:?}, {DRAWS} samples");
        lab.part(
            &key,
            |found: &Outcome| found.is_whole(DRAWS, width),
            || sampler::experiment(&lab.device()?, &settings, sets, DRAWS, &*lab.context().observer),
        )
    };
    SEEDS.into_iter().map(one).collect()
}

/// The first images as floats.
fn first(images: &Images) -> Result<Vec<Vec<f32>>> {
    (0..DRAWS.min(images.count)).map(|i| images.floats(i)).collect()
}

fn squared_distance(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(a, b)| (a - b) * (a - b)).sum()
}

/// The share in percent of `data` that some sample comes as near to as their own fifth neighbour does: the coverage of
/// Naeem et al. (2020). A sampler that leaves out a part of the data has little. A blurred one may have much: see
/// [`contrast`].
fn coverage(data: &[Vec<f32>], samples: &[Vec<f32>]) -> f64 {
    let is_covered = |(i, point): (usize, &Vec<f32>)| {
        let others = data.iter().enumerate().filter(|(j, _)| *j != i);
        let mut distances: Vec<f32> = others.map(|(_, other)| squared_distance(point, other)).collect();
        distances.sort_by(f32::total_cmp);
        let radius = distances.get(NEIGHBOURS - 1).copied().unwrap_or(f32::INFINITY);
        samples.iter().any(|sample| squared_distance(point, sample) <= radius)
    };
    let covered = data.iter().enumerate().filter(|&found| is_covered(found)).count();
    share(covered, data.len()).unwrap_or(f64::NAN)
}

/// What is measured alike on points and on digits: how near the sampler comes to test data beside training data, which
/// is what a perfect sampler has between batches of this size, and how much of the test data it covers.
fn put(
    measured: &mut Measured,
    name: &str,
    found: &[Outcome],
    test: &[Vec<f32>],
    training: &[Vec<f32>],
    rarest: &[f64],
) {
    let (sampler, data) = (format!("sampler-{name}"), format!("training-{name}"));
    let of = |value: &dyn Fn(&Outcome) -> f64| -> Vec<f64> { found.iter().map(value).collect() };
    let ratios = of(&|found| found.curve.last().map_or(f64::NAN, |last| last.1) / found.floor);
    measured.put(&sampler, "divergence-ratio", Estimate::of(&ratios));
    let covered = of(&|found| coverage(test, &found.samples));
    measured.put(&sampler, "coverage", Estimate::percentage(&covered, test.len()));
    measured.put(&data, "coverage", Estimate::percentage(&[coverage(test, training)], test.len()));
    measured.put(&sampler, "rarest", Estimate::percentage(rarest, DRAWS));
}

/// The share in percent of the rarest of `kinds`, where each sample is of one or of none.
fn rarest(kinds: &[Option<usize>], count: usize) -> f64 {
    let of = |kind| kinds.iter().filter(|found| **found == Some(kind)).count();
    share((0..count).map(of).min().unwrap_or(0), kinds.len()).unwrap_or(f64::NAN)
}

fn plane(lab: &Lab, measured: &mut Measured) -> Result<()> {
    let sets = [ring(MODES, DEVIATION, 10_000, 1), ring(MODES, DEVIATION, DRAWS, 2)];
    let found = learnt(lab, "the ring", &points(), [&sets[0], &sets[1]])?;
    let near = |s: &Vec<f32>| {
        let distance = |k: &usize| {
            let m = mode(*k, MODES);
            (s[0] - m[0]).hypot(s[1] - m[1])
        };
        (0..MODES)
            .min_by(|a, b| distance(a).total_cmp(&distance(b)))
            .filter(|k| distance(k) <= 4.0 * DEVIATION)
    };
    let modes = |found: &Outcome| rarest(&found.samples.iter().map(near).collect::<Vec<_>>(), MODES);
    let [training, test] = [first(&sets[0])?, first(&sets[1])?];
    put(measured, "points", &found, &test, &training, &found.iter().map(modes).collect::<Vec<_>>());
    let pairs =
        |points: &[Vec<f32>]| points.iter().map(|p| (f64::from(p[0]), f64::from(p[1]))).collect::<Vec<_>>();
    let cloud = |title: &str, points: &[Vec<f32>]| {
        let chart = Chart::new(title, "x₁", "x₂").with(Series::points("", pairs(points)));
        chart.x_range(0.0, 1.0).y_range(0.0, 1.0).size(360.0, 360.0).drawing()
    };
    let drawings = [cloud("Data", &test), cloud("Samples", &found[0].samples), curve(&found[0])];
    lab.panels("gan-points", "A sampler of points, fitted by entropic transport", 3, &drawings)?;
    let row = |p: &Vec<f32>| p.iter().map(|x| format!("{x:.5}")).collect();
    lab.csv("gan-points", &["x1", "x2"], &found[0].samples.iter().map(row).collect::<Vec<_>>())?;
    write_curve(lab, "gan-points-curve", &found)
}

/// The mean difference of neighbouring pixels: small in a blurred image.
fn contrast(shape: ImageShape, image: &[f32]) -> f64 {
    let width = shape[2];
    let pairs = (0..image.len()).filter(|i| (i + 1) % width != 0);
    let (mut sum, mut count) = (0.0, 0);
    for i in pairs {
        sum += f64::from((image[i] - image[i + 1]).abs());
        count += 1;
    }
    sum / f64::from(count)
}

fn mnist(lab: &Lab, measured: &mut Measured) -> Result<()> {
    let data = Dataset::load(&Source { name: "mnist", ..Source::default() })?;
    let found = learnt(lab, "MNIST", &digits(), [&data.train.images, &data.test.images])?;
    let [training, test] = [first(&data.train.images)?, first(&data.test.images)?];
    let classes = data.test.labels[0].as_slice();
    let class_of = |sample: &Vec<f32>| {
        let distance = |i: &usize| squared_distance(&test[*i], sample);
        let nearest = (0..test.len()).min_by(|a, b| distance(a).total_cmp(&distance(b)));
        nearest.map(|i| classes[i] as usize)
    };
    let digits = |found: &Outcome| rarest(&found.samples.iter().map(class_of).collect::<Vec<_>>(), 10);
    put(measured, "mnist", &found, &test, &training, &found.iter().map(digits).collect::<Vec<_>>());
    let shape = data.test.images.shape();
    let contrasts = |images: &[Vec<f32>]| images.iter().map(|image| contrast(shape, image)).collect();
    let of_samples: Vec<Vec<f64>> = found.iter().map(|found| contrasts(&found.samples)).collect();
    measured.put("sampler-mnist", "contrast", Estimate::mean_of(&of_samples));
    measured.put("training-mnist", "contrast", Estimate::mean_of(&[contrasts(&training)]));
    let [rows, columns] = SHOWN;
    let mut grid = Grid::new("MNIST: a sampler fitted by entropic transport between minibatches");
    let row = |images: &[Vec<f32>], r: usize| {
        images[r * columns..][..columns].iter().map(|x| Image::of(shape, x)).collect()
    };
    grid = grid.row("data", row(&test, 0));
    for r in 0..rows {
        grid = grid.row(if r == 0 { "samples" } else { "" }, row(&found[0].samples, r));
    }
    lab.picture("gan-mnist", &grid.drawing())?;
    lab.picture("gan-mnist-curve", &curve(&found[0]))?;
    write_curve(lab, "gan-mnist-curve", &found)
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

/// The curves of all seeds.
fn write_curve(lab: &Lab, name: &str, found: &[Outcome]) -> Result<()> {
    let rows: Vec<Vec<String>> = found
        .iter()
        .zip(SEEDS)
        .flat_map(|(found, seed)| {
            let row = move |&(step, value): &(u32, f64)| {
                vec![seed.to_string(), step.to_string(), format!("{value:.6}")]
            };
            found.curve.iter().map(row)
        })
        .collect();
    lab.csv(name, &["seed", "step", "divergence"], &rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn averages_cover_little_and_lack_contrast() {
        // Two clusters of ten points each, and samples at one of them, at both, and between.
        let cluster = |at: f32| (0..10).map(move |i| vec![at + 0.001 * i as f32]);
        let data: Vec<Vec<f32>> = cluster(0.0).chain(cluster(1.0)).collect();
        let one: Vec<Vec<f32>> = cluster(0.0).collect();
        assert_eq!(coverage(&data, &data), 100.0);
        assert_eq!(coverage(&data, &one), 50.0);
        assert_eq!(coverage(&data, &[vec![0.5]]), 0.0);
        let (sharp, blurred) = ([0.0, 1.0, 0.0, 1.0], [0.5, 0.5, 0.5, 0.5]);
        assert_eq!((contrast([1, 2, 2], &sharp), contrast([1, 2, 2], &blurred)), (1.0, 0.0));
    }

    #[test]
    fn the_rarest_kind_may_be_absent() {
        assert_eq!(rarest(&[Some(0), Some(1), Some(1), None], 2), 25.0);
        assert_eq!(rarest(&[Some(0)], 2), 0.0);
    }
}
