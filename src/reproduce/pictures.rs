//! Figures 1 and 6: what a perturbation, and an attack, make of an image's code, seen through the decoder. On CelebA,
//! or on synthetic faces.

use crate::engine::ops::ImageShape;
use crate::error::Result;
use crate::report::{Grid, Image};
use crate::runs::showcase::Pair;

use super::condition::Measured;
use super::estimate::{Estimate, share};
use super::faces::{both, pictures, synthetic};
use super::lab::Lab;

/// Images in a row.
const SHOWN: usize = 8;

/// The radius of both figures.
const EPS: f32 = 0.1;

/// Adds the four rows of a system: images, perturbations, and the decoder's view of both.
fn rows(grid: Grid, label: &str, shape: ImageShape, pairs: &[&Pair], radius: f32) -> Grid {
    let images = |of: &dyn Fn(&Pair) -> Image| pairs.iter().map(|pair| of(pair)).collect::<Vec<_>>();
    let change = |pair: &Pair| {
        let difference: Vec<f32> = pair.perturbed.iter().zip(&pair.original).map(|(a, b)| a - b).collect();
        Image::of_difference(shape, &difference, radius)
    };
    grid.row(format!("{label}: image"), images(&|pair| Image::of(shape, &pair.original)))
        .row(format!("perturbation, ±{radius}"), images(&change))
        .row("perturbed", images(&|pair| Image::of(shape, &pair.perturbed)))
        .row("decoded", images(&|pair| Image::of(shape, &pair.reconstruction)))
        .row("decoded, perturbed", images(&|pair| Image::of(shape, &pair.perturbed_reconstruction)))
}

/// The mean square of the difference of two images.
fn distance(a: &[f32], b: &[f32]) -> f64 {
    let squares: f64 = a.iter().zip(b).map(|(a, b)| f64::from(a - b).powi(2)).sum();
    squares / a.len() as f64
}

/// Whether each image, perturbed, decodes nearer to what another of them decodes to than to what it does itself.
fn taken_for_another(pairs: &[Pair]) -> Vec<bool> {
    let others = |i: usize| pairs.iter().enumerate().filter(move |(j, _)| *j != i).map(|(_, pair)| pair);
    let nearest = |i: usize, image: &[f32]| {
        others(i).map(|other| distance(image, &other.reconstruction)).fold(f64::INFINITY, f64::min)
    };
    let is_taken = |(i, pair): (usize, &Pair)| {
        let image = &pair.perturbed_reconstruction;
        nearest(i, image) < distance(image, &pair.reconstruction)
    };
    pairs.iter().enumerate().map(is_taken).collect()
}

/// How alike neighbouring pixels of a perturbation are, over both directions and all channels: 1 for a constant, 0 for
/// noise, -1 for a chessboard. Of no perturbation there is no saying.
fn correlation(shape: ImageShape, perturbation: &[f32]) -> Option<f64> {
    let [channels, height, width] = shape;
    let at = |c: usize, y: usize, x: usize| f64::from(perturbation[(c * height + y) * width + x]);
    let (mut products, mut squares) = (0.0, 0.0);
    let mut add = |a: f64, b: f64| {
        products += a * b;
        squares += (a * a + b * b) / 2.0;
    };
    for c in 0..channels {
        for y in 0..height {
            for x in 0..width {
                if x + 1 < width {
                    add(at(c, y, x), at(c, y, x + 1));
                }
                if y + 1 < height {
                    add(at(c, y, x), at(c, y + 1, x));
                }
            }
        }
    }
    (squares > 0.0).then(|| products / squares)
}

/// Figure 1: x* in the ball around x, and what the decoder makes of their codes.
pub fn figure1(lab: &Lab) -> Result<Measured> {
    let mut measured = Measured::default();
    let systems = both(lab, &mut measured)?;
    let faces = pictures(synthetic(&systems[0]));
    let mut grid = Grid::new(format!("{faces}: perturbed within L∞ {EPS}, no label used"));
    let mut table = Vec::new();
    for trained in &systems {
        let (name, mut shares, mut images) = (&trained.system.name, Vec::new(), 0);
        for (run, seed) in trained.runs.iter().zip(trained.system.seeds) {
            let mut loaded = lab.open(run)?;
            let shape = loaded.data.train.images.shape();
            let found = loaded.perturbed_pairs(usize::MAX, EPS)?.examples;
            let taken = taken_for_another(&found);
            images = found.len();
            shares.extend(share(taken.iter().filter(|taken| **taken).count(), images));
            if shares.len() == 1 {
                let shown: Vec<&Pair> = found.iter().take(SHOWN).collect();
                grid = rows(grid, &trained.system.label, shape, &shown, EPS);
            }
            table.extend(found.iter().zip(&taken).enumerate().map(|(i, (pair, taken))| {
                let moved = distance(&pair.reconstruction, &pair.perturbed_reconstruction).sqrt();
                let numbers = [seed.to_string(), i.to_string(), format!("{moved:.5}"), taken.to_string()];
                [&[name.clone()][..], &numbers].concat()
            }));
        }
        measured.put(name, "another", Estimate::percentage(&shares, images));
    }
    lab.csv("fig1", &["system", "seed", "image", "decoded_moves", "nearer_to_another"], &table)?;
    lab.picture("fig1", &grid.drawing())?;
    Ok(measured)
}

/// Figure 6: attacks on two tasks.
pub fn figure6(lab: &Lab) -> Result<Measured> {
    let mut measured = Measured::default();
    let systems = both(lab, &mut measured)?;
    let faces = pictures(synthetic(&systems[0]));
    let mut table = Vec::new();
    for name in ["Mustache", "Bald"] {
        let mut grid = Grid::new(format!("{faces}, task {name}: attacked within L∞ {EPS}"));
        for trained in &systems {
            let (mut turned, mut alike, mut fewest) = (Vec::new(), Vec::new(), usize::MAX);
            for (run, seed) in trained.runs.iter().zip(trained.system.seeds) {
                let mut loaded = lab.open(run)?;
                let shape = loaded.data.train.images.shape();
                let task = loaded.tasks(Some(name))?[0];
                let Some(found) = loaded.attacked_images(task, EPS, usize::MAX)? else { continue };
                let mut right: Vec<_> = found.examples.iter().filter(|e| e.before == e.class).collect();
                let fooled = right.iter().filter(|e| e.after != e.class).count();
                turned.extend(share(fooled, right.len()));
                fewest = fewest.min(right.len());
                let change = |pair: &Pair| -> Vec<f32> {
                    pair.perturbed.iter().zip(&pair.original).map(|(a, b)| a - b).collect()
                };
                let of_image = |e: &&crate::runs::showcase::Example| correlation(shape, &change(&e.pair));
                alike.push(right.iter().filter_map(of_image).collect::<Vec<f64>>());
                if turned.len() == 1 {
                    // Those of the attribute, which are few, first.
                    right.sort_by_key(|e| e.class != 1);
                    let shown: Vec<&Pair> = right.iter().take(SHOWN).map(|e| &e.pair).collect();
                    grid = rows(grid, &trained.system.label, shape, &shown, EPS);
                }
                table.extend(found.examples.iter().enumerate().map(|(i, e)| {
                    let numbers = [i as u32, e.class, e.before, e.after].map(|n| n.to_string());
                    let names = [name.to_string(), trained.system.name.clone(), seed.to_string()];
                    [&names[..], &numbers].concat()
                }));
            }
            if turned.len() == trained.runs.len() {
                let system = &trained.system.name;
                measured.put(system, &format!("{name}-turned"), Estimate::percentage(&turned, fewest));
                measured.put(system, &format!("{name}-correlation"), Estimate::mean_of(&alike));
            }
        }
        lab.picture(&format!("fig6-{name}"), &grid.drawing())?;
    }
    lab.csv("fig6", &["task", "system", "seed", "image", "class", "before", "after"], &table)?;
    Ok(measured)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbouring_pixels_correlate_as_they_should() {
        let shape: ImageShape = [2, 3, 4];
        let of = |value: &dyn Fn(usize, usize) -> f32| -> Vec<f32> {
            (0..24).map(|i| value(i % 12 / 4, i % 4)).collect()
        };
        assert_eq!(correlation(shape, &of(&|_, _| 0.5)), Some(1.0));
        let chessboard = of(&|y, x| if (x + y) % 2 == 0 { 0.1 } else { -0.1 });
        assert!((correlation(shape, &chessboard).unwrap() + 1.0).abs() < 1e-6);
        assert_eq!(correlation(shape, &of(&|_, _| 0.0)), None);
    }

    #[test]
    fn an_image_is_taken_for_the_one_it_decodes_nearest_to() {
        let pair = |own: f32, perturbed: f32| Pair {
            original: vec![own],
            perturbed: vec![own],
            reconstruction: vec![own],
            perturbed_reconstruction: vec![perturbed],
        };
        let pairs = [pair(0.0, 0.4), pair(1.0, 0.4), pair(5.0, 5.0)];
        assert_eq!(taken_for_another(&pairs), [false, true, false]);
        assert_eq!(taken_for_another(&pairs[..1]), [false]);
    }
}
