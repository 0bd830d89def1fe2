//! Figures 1 and 6: what a perturbation, and an attack, make of an image's code, seen through the decoder. On CelebA,
//! or on synthetic faces.

use crate::engine::ops::ImageShape;
use crate::error::Result;
use crate::report::{Grid, Image};
use crate::runs::config::{Config, Objective};
use crate::runs::showcase::Pair;
use crate::runs::store::Finished;

use super::claims::{Claim, Spread, share};
use super::lab::Lab;
use super::settings;

/// Images in a row.
const SHOWN: usize = 8;

/// The VAE's run and the smooth encoder's.
fn systems(lab: &Lab) -> Result<[(&'static str, Finished); 2]> {
    let base = settings::celeba(lab)?;
    let vae = Config { objective: Objective::Vae, ..base.clone() };
    Ok([("VAE", lab.run(vae)?), ("SE", lab.run(base)?)])
}

/// What the pictures are of.
fn faces(run: &Finished) -> &'static str {
    match run.result.synthetic {
        true => "SYNTHETIC faces (drawn, not CelebA)",
        false => "CelebA",
    }
}

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

/// How far the decoder's view moves, root mean square over pixels.
fn moved(pair: &Pair) -> f64 {
    let both = pair.reconstruction.iter().zip(&pair.perturbed_reconstruction);
    let squares: f64 = both.map(|(a, b)| f64::from(a - b).powi(2)).sum();
    (squares / pair.reconstruction.len() as f64).sqrt()
}

/// Figure 1: x* in the ball around x, and what the decoder makes of their codes.
pub fn figure1(lab: &Lab) -> Result<Vec<Claim>> {
    const EPS: f32 = 0.1;
    let mut claim = Claim::new(
        "fig1",
        "a small perturbation moves the VAE's code so far that it decodes to another image; the smooth encoder's \
         hardly",
        "the decoded image moves (root mean square) under the smooth encoder at most half as far as under the VAE",
    );
    let systems = systems(lab)?;
    let mut grid = Grid::new(format!("{}: perturbed within L∞ {EPS}, no label used", faces(&systems[0].1)));
    let (mut means, mut table) = (Vec::new(), Vec::new());
    for (label, run) in &systems {
        let mut loaded = lab.open(run)?;
        let shape = loaded.data.train.images.shape();
        let found = loaded.perturbed_pairs(SHOWN, EPS)?;
        let distances: Vec<f64> = found.examples.iter().map(moved).collect();
        grid = rows(grid, label, shape, &found.examples.iter().collect::<Vec<_>>(), EPS);
        let row = |(i, d): (usize, &f64)| vec![label.to_string(), i.to_string(), format!("{d:.5}")];
        table.extend(distances.iter().enumerate().map(row));
        let mean = distances.iter().sum::<f64>() / distances.len() as f64;
        claim = claim.measure(format!("{label}, mean"), Spread::of(&[mean]));
        claim.runs.push(run.path.display().to_string());
        means.push(mean);
    }
    lab.csv("fig1", &["system", "image", "decoded_moves"], &table)?;
    lab.picture("fig1", &grid.drawing())?;
    Ok(vec![claim.judge(means[1] <= 0.5 * means[0])])
}

/// Figure 6: attacks on two tasks.
pub fn figure6(lab: &Lab) -> Result<Vec<Claim>> {
    let radius: f32 = if lab.quick() { 0.05 } else { 0.1 };
    let systems = systems(lab)?;
    let (mut claims, mut table) = (Vec::new(), Vec::new());
    for name in ["Mustache", "Bald"] {
        let mut claim = Claim::new(
            &format!("fig6-{}", name.to_lowercase()),
            "attacks on the VAE succeed with a perturbation without structure; on the smooth encoder they fail or \
             are structured",
            format!(
                "of the images that were right, the attack of radius {radius} turns fewer under the smooth encoder"
            ),
        );
        let title = format!("{}, task {name}: attacked within L∞ {radius}", faces(&systems[0].1));
        let mut grid = Grid::new(title);
        let mut fooled = Vec::new();
        for (label, run) in &systems {
            let mut loaded = lab.open(run)?;
            let shape = loaded.data.train.images.shape();
            let task = loaded.tasks(Some(name))?[0];
            let missing = format!("task {name} with {label}");
            let Some(found) = loaded.attacked_images(task, radius, usize::MAX)? else {
                claim = claim.lack(missing);
                continue;
            };
            let right = found.examples.iter().filter(|e| e.before == e.class);
            let turned = right.clone().filter(|e| e.after != e.class).count();
            let share = share(turned, right.count());
            fooled.extend(share);
            // Those of the attribute, which are few, first.
            let mut shown: Vec<_> = found.examples.iter().filter(|e| e.before == e.class).collect();
            shown.sort_by_key(|e| e.class != 1);
            shown.truncate(SHOWN);
            let pairs: Vec<&Pair> = shown.iter().map(|e| &e.pair).collect();
            grid = rows(grid, label, shape, &pairs, radius);
            table.extend(found.examples.iter().enumerate().map(|(i, e)| {
                let numbers = [i as u32, e.class, e.before, e.after].map(|n| n.to_string());
                [&[name.to_string(), label.to_string()][..], &numbers].concat()
            }));
            let share = share.map(|share| Spread::of(&[share]));
            claim =
                claim.need(format!("{label}, turned (%)"), share, format!("{missing}: no image was right"));
            claim.runs.push(run.path.display().to_string());
        }
        lab.picture(&format!("fig6-{name}"), &grid.drawing())?;
        claims.push(claim.judge(matches!(fooled[..], [vae, se] if se < vae)));
    }
    lab.csv("fig6", &["task", "system", "image", "class", "before", "after"], &table)?;
    Ok(claims)
}
