//! The ELBO of held-out images.

use crate::data::Images;
use crate::engine::device::Program;
use crate::engine::graph::Graph;
use crate::engine::nn::Weights;
use crate::engine::ops;
use crate::engine::ops::store;
use crate::engine::rng::{Key, Purpose};
use crate::engine::session::Session;
use crate::engine::tensor::DType;
use crate::error::Result;
use crate::method::ops::reparameterise;
use crate::method::robustness::{CHUNK, Chunk};
use crate::method::vae::Vae;

/// The mean ELBO (log-likelihood minus KL, constants included, in nats) of `images`, with one draw of the code each and
/// the weights in the variable `model`.
///
/// # Errors
/// Those of the device and of reading the images.
pub fn mean_elbo(session: &mut Session, vae: &Vae, images: &Images, seed: u64) -> Result<f64> {
    let (mut program, chunk) = program(session, vae, images, seed)?;
    let mut sum = 0.0;
    for (number, first) in (0..images.count).step_by(CHUNK).enumerate() {
        let rows = chunk.write(session, images, first)?;
        session.write(CLOCK, 0, &[number as u32, 0])?;
        program.run()?;
        let values: Vec<f32> = session.get(VALUES)?;
        sum += values[..rows].iter().map(|&v| f64::from(v)).sum::<f64>();
    }
    chunk.forget(session);
    Ok(sum / images.count.max(1) as f64)
}

/// Compiles what [`mean_elbo`] runs, and frees its memory again.
///
/// # Errors
/// [`Error::TooLarge`](crate::Error::TooLarge) where the device has no room for it.
pub fn check_elbo(session: &mut Session, vae: &Vae, images: &Images) -> Result<()> {
    let (_, chunk) = program(session, vae, images, 0)?;
    chunk.forget(session);
    [CLOCK, VALUES].iter().for_each(|name| session.forget(name));
    Ok(())
}

const CLOCK: &str = "elbo.clock";
const VALUES: &str = "elbo.values";

/// The program over a chunk of images, and the chunk.
fn program(session: &mut Session, vae: &Vae, images: &Images, seed: u64) -> Result<(Program, Chunk)> {
    let mut g = Graph::new();
    let weights = Weights::new(&mut g, &vae.layout, "model")?;
    let clock = g.variable(CLOCK, [2], DType::U32)?;
    let chunk = Chunk::new("elbo", images);
    let x = chunk.images(&mut g)?;
    let head = vae.encode(&mut g, &weights.views, x)?;
    let u = ops::normal(&mut g, clock, [CHUNK, vae.latent], Key::new(seed, Purpose::Evaluation))?;
    let code = reparameterise(&mut g, head, u)?;
    let log_likelihood = vae.log_likelihood(&mut g, &weights.views, code.z, x)?;
    let elbo = ops::elementwise::add(&mut g, log_likelihood, code.minus_kl)?;
    let kept = g.variable(VALUES, [CHUNK], DType::F32)?;
    store(&mut g, elbo, kept)?;
    Ok((session.compile(&g)?, chunk))
}
