//! The codes of images: the frozen encoder's means, which are the representation, and its log-variances.

use serde::{Deserialize, Serialize};

use crate::data::Images;
use crate::engine::device::Program;
use crate::engine::graph::{Graph, Tensor};
use crate::engine::nn::Weights;
use crate::engine::ops::store;
use crate::engine::session::Session;
use crate::engine::tensor::DType;
use crate::error::Result;
use crate::method::Table;
use crate::method::vae::Vae;

/// Rows encoded at a time.
pub const CHUNK: usize = 512;

/// The codes q(z|x) of some images: Gaussians with diagonal covariance, one row for each image.
#[derive(Debug, Clone, PartialEq)]
pub struct Codes {
    /// The number of images.
    pub count: usize,
    /// The dimensions of a code.
    pub latent: usize,
    /// The means, `[count, latent]`.
    pub means: Vec<f32>,
    /// The log-variances, `[count, latent]`.
    pub log_variances: Vec<f32>,
}

/// How much the codes of some images tell these apart.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct CodeUse {
    /// The mean of `KL(q(z|x) || p(z))`, in nats.
    pub kl: f64,
    /// The root mean square, over the dimensions, of the standard deviation of the means.
    pub spread: f64,
    /// The dimensions in use: those whose means vary by more than a tenth of the codes' own standard deviation (near
    /// the active units of Burda et al., 2016, Importance Weighted Autoencoders).
    pub latents_in_use: usize,
    /// What a code can tell of its image, in nats: `1/2 log(1 + s / S)` summed over the dimensions, `s` the variance of
    /// the means and `S` the codes' own. It is that of a Gaussian channel.
    pub information: f64,
}

impl CodeUse {
    /// Whether the code tells nothing: less than a thousandth of a nat.
    pub fn is_collapsed(&self) -> bool {
        self.information < 1e-3
    }
}

impl Codes {
    /// How much they tell their images apart.
    pub fn in_use(&self) -> CodeUse {
        let count = self.count.max(1) as f64;
        let (mut kl, mut spread, mut information, mut latents_in_use) = (0.0, 0.0, 0.0, 0);
        for d in 0..self.latent {
            let of = |values: &[f32]| -> Vec<f64> {
                values.iter().skip(d).step_by(self.latent).map(|v| f64::from(*v)).collect()
            };
            let (means, log_variances) = (of(&self.means), of(&self.log_variances));
            let mean = means.iter().sum::<f64>() / count;
            let varies = means.iter().map(|m| (m - mean).powi(2)).sum::<f64>() / count;
            let own = log_variances.iter().map(|l| l.exp()).sum::<f64>() / count;
            let terms = means.iter().zip(&log_variances);
            kl += terms.map(|(m, l)| 0.5 * (m * m + l.exp() - 1.0 - l)).sum::<f64>() / count;
            spread += varies;
            information += 0.5 * (varies / own).ln_1p();
            latents_in_use += usize::from(varies > 0.01 * own);
        }
        CodeUse { kl, spread: (spread / self.latent.max(1) as f64).sqrt(), latents_in_use, information }
    }
}

/// The means `[images.count, latent]` of the codes of `images`, with the weights in the variable `model`. Images are
/// written to the device in chunks, so the set may be of any size.
///
/// # Errors
/// Those of the device and of reading the images.
pub fn encode_means(session: &mut Session, vae: &Vae, images: &Images) -> Result<Vec<f32>> {
    encode_rows(session, vae, images, vae.latent, &|g, weights, x| vae.encode_mean(g, weights, x))
}

/// The means and log-variances of the codes; else as [`encode_means`].
///
/// # Errors
/// As [`encode_means`].
pub fn encode_codes(session: &mut Session, vae: &Vae, images: &Images) -> Result<Codes> {
    let latent = vae.latent;
    let heads = encode_rows(session, vae, images, 2 * latent, &|g, weights, x| vae.encode(g, weights, x))?;
    let rows = || heads.chunks_exact(2 * latent);
    let means = rows().flat_map(|row| &row[..latent]).copied().collect();
    let log_variances = rows().flat_map(|row| &row[latent..]).copied().collect();
    Ok(Codes { count: images.count, latent, means, log_variances })
}

/// Builds a graph on rows of images `[CHUNK, inputs]`, given the model's weights; returns one row for each.
pub type Build<'a> = dyn Fn(&mut Graph, &[Tensor], Tensor) -> Result<Tensor> + 'a;

/// The rows `[images.count, width]` that `build` computes of all images.
fn encode_rows(
    session: &mut Session,
    vae: &Vae,
    images: &Images,
    width: usize,
    build: &Build,
) -> Result<Vec<f32>> {
    let (mut program, chunk, name) = program(session, vae, images, width, build)?;
    let mut all = Vec::with_capacity(images.count * width);
    for first in (0..images.count).step_by(CHUNK) {
        let rows = chunk.write(session, images, first)?;
        program.run()?;
        all.extend_from_slice(&session.get::<f32>(&name)?[..rows * width]);
    }
    chunk.forget(session);
    Ok(all)
}

/// Compiles what [`encode_means`] runs, and frees its memory again.
///
/// # Errors
/// [`Error::TooLarge`](crate::Error::TooLarge) where the device has no room for it.
pub fn check_encoding(session: &mut Session, vae: &Vae, images: &Images) -> Result<()> {
    let build: &Build = &|g, weights, x| vae.encode_mean(g, weights, x);
    let (_, chunk, name) = program(session, vae, images, vae.latent, build)?;
    chunk.forget(session);
    session.forget(&name);
    Ok(())
}

/// The program over a chunk of images, the chunk, and the name of the variable that it fills.
fn program(
    session: &mut Session,
    vae: &Vae,
    images: &Images,
    width: usize,
    build: &Build,
) -> Result<(Program, Chunk, String)> {
    let mut g = Graph::new();
    let weights = Weights::new(&mut g, &vae.layout, "model")?;
    let chunk = Chunk::new("encode", images);
    let x = chunk.images(&mut g)?;
    let rows = build(&mut g, &weights.views, x)?;
    // Means and whole codes differ in width, so each width has its own variable.
    let name = format!("encode.rows.{width}");
    let kept = g.variable(&name, [CHUNK, width], DType::F32)?;
    store(&mut g, rows, kept)?;
    Ok((session.compile(&g)?, chunk, name))
}

/// A window of [`CHUNK`] consecutive images that a program evaluates at a time.
#[derive(Debug)]
pub struct Chunk {
    table: Table,
    /// Names of the variables.
    images: String,
    indices: String,
}

impl Chunk {
    /// A chunk for images of the shape of `images`, in variables whose names start with `name`.
    pub fn new(name: &str, images: &Images) -> Self {
        let (variable, indices) = (format!("{name}.images"), format!("{name}.indices"));
        Chunk { table: Table::window(&variable, images, CHUNK), images: variable, indices }
    }

    /// The images of the chunk, `[CHUNK, image_len]`, in [0, 1].
    ///
    /// # Errors
    /// [`Error::Shape`](crate::Error::Shape) where the graph has the chunk's variables with other shapes.
    pub fn images(&self, g: &mut Graph) -> Result<Tensor> {
        let indices = g.variable(&self.indices, [CHUNK], DType::U32)?;
        self.table.gather(g, indices)
    }

    /// Writes images `first ..` to the chunk; returns how many there were. The rest of the chunk repeats the last one.
    /// A program over the chunk must have been compiled before.
    ///
    /// # Errors
    /// Those of the device and of reading the images.
    pub fn write(&self, session: &Session, images: &Images, first: usize) -> Result<usize> {
        let range = first..images.count.min(first + CHUNK);
        let rows = self.table.write_range(session, images, range.clone())?;
        let indices: Vec<u32> = (0..CHUNK as u32).map(|i| (rows.start + i).min(rows.end - 1)).collect();
        session.write(&self.indices, 0, &indices)?;
        Ok(range.len())
    }

    /// Removes the chunk's variables from the session, so that it can hold a chunk of another set.
    pub fn forget(&self, session: &mut Session) {
        session.forget(&self.images);
        session.forget(&self.indices);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::rng::{Key, Purpose, Stream};

    /// Codes whose means vary by `of_means`, and by `of_first` in the first dimension.
    fn codes(latent: usize, of_first: f32, of_means: f32, log_variance: f32) -> Codes {
        let mut draws = Stream::new(Key::new(1, Purpose::Init), 0);
        let count = 400;
        let mean = |i: usize| {
            let scale = if i.is_multiple_of(latent) { of_first } else { of_means };
            scale * 12.0f32.sqrt() * (draws.uniform() - 0.5)
        };
        let means = (0..count * latent).map(mean).collect();
        Codes { count, latent, means, log_variances: vec![log_variance; count * latent] }
    }

    #[test]
    fn a_code_of_no_information_is_collapsed_whatever_its_size() {
        for latent in [1, 8, 64] {
            // KL is half the variance of the means, summed over the dimensions: below 1e-3 nats.
            let scale = (1e-3 / latent as f32).sqrt();
            let collapsed = codes(latent, scale, scale, 0.0).in_use();
            assert!(collapsed.kl < 1e-3 && collapsed.is_collapsed(), "{latent}: {collapsed:?}");
            let alive = codes(latent, 0.5, scale, 0.0).in_use();
            assert_eq!((alive.latents_in_use, alive.is_collapsed()), (1, false), "{latent}");
            // All codes at one place far from the prior, and each narrow: a large KL says nothing about images.
            let mut shifted = codes(latent, 0.0, 0.0, -4.0);
            shifted.means.iter_mut().for_each(|mean| *mean += 3.0);
            assert!(shifted.in_use().kl > 4.0 && shifted.in_use().is_collapsed());
        }
    }

    #[test]
    fn kl_and_spread_are_those_of_gaussians() {
        let codes = Codes { count: 2, latent: 1, means: vec![1.0, -1.0], log_variances: vec![0.5, 0.5] };
        let found = codes.in_use();
        assert!((found.kl - 0.5 * (1.0 + 0.5f64.exp() - 1.0 - 0.5)).abs() < 1e-9);
        assert_eq!((found.spread, found.latents_in_use), (1.0, 1));
        assert!((found.information - 0.5 * (1.0 + (-0.5f64).exp()).ln()).abs() < 1e-6);
    }
}
