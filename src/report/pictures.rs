//! Rows of images that a run's model made, on the run's page or as pictures of their own.

use crate::error::Result;
use crate::report::{Drawing, Grid, Image};
use crate::runs::LoadedRun;
use crate::runs::showcase::{Images, ROW, Traversal, traversal_values};

/// Rows with their labels.
pub type Rows = Vec<(String, Vec<Image>)>;

/// Images in [0, 1] as pictures.
fn pictures(shape: [usize; 3], images: &[Vec<f32>]) -> Vec<Image> {
    images.iter().map(|image| Image::of(shape, image)).collect()
}

/// Test images, and below them what the decoder makes of their codes.
pub fn reconstruction_rows(shape: [usize; 3], originals: &Images, reconstructions: &Images) -> Rows {
    let pairs = originals.chunks(ROW).zip(reconstructions.chunks(ROW));
    let rows = pairs.flat_map(|(above, below)| {
        [("test image", above), ("reconstruction", below)]
            .map(|(label, images)| (label.to_string(), pictures(shape, images)))
    });
    rows.collect()
}

/// Decoded draws from the prior.
pub fn sample_rows(shape: [usize; 3], samples: &Images) -> Rows {
    samples.chunks(ROW).map(|row| ("decoded z ~ N(0, I)".to_string(), pictures(shape, row))).collect()
}

/// A row for each dimension.
pub fn traversal_rows(shape: [usize; 3], traversals: &[Traversal]) -> Rows {
    let row = |traversal: &Traversal| {
        let label = format!("z[{}], KL {:.2} nats", traversal.dimension, traversal.kl);
        (label, pictures(shape, &traversal.images))
    };
    traversals.iter().map(row).collect()
}

/// A picture of test images and their reconstructions, see [`LoadedRun::reconstructions`].
pub fn reconstructions(run: &mut LoadedRun, count: usize, seed: Option<u64>) -> Result<Drawing> {
    let (originals, reconstructions) = run.reconstructions(count, seed)?;
    let rows = reconstruction_rows(run.data.test.images.shape(), &originals, &reconstructions);
    Ok(grid(run, "test images and their reconstructions", rows).drawing())
}

/// A picture of decoded draws from the prior, without a seed those of the run's page.
pub fn samples(run: &mut LoadedRun, count: usize, seed: Option<u64>) -> Result<Drawing> {
    let samples = run.samples(count, seed.unwrap_or(run.config.seed))?;
    let rows = sample_rows(run.data.test.images.shape(), &samples);
    Ok(grid(run, "samples from the prior", rows).drawing())
}

/// A picture of a test image's code moved along single dimensions, see [`LoadedRun::traversed`].
pub fn traversals(run: &mut LoadedRun, count: usize, seed: Option<u64>) -> Result<Drawing> {
    let traversals = run.traversed(count, seed)?;
    let rows = traversal_rows(run.data.test.images.shape(), &traversals);
    let headings = traversal_values().map(|value| format!("{value:.1}").replace('-', "−"));
    Ok(grid(run, "one latent dimension moved at a time", rows).headings(headings).drawing())
}

fn grid(run: &LoadedRun, what: &str, rows: Rows) -> Grid {
    let drawn = if run.data.synthetic { " (SYNTHETIC faces, no photographs)" } else { "" };
    Grid { rows, ..Grid::new(format!("{}: {what}{drawn}", run.config.title())) }
}
