//! The ELBO of held-out images.

use crate::error::Result;
use crate::graph::Graph;
use crate::nn::Weights;
use crate::ops;
use crate::rng::{Key, Purpose};
use crate::session::Session;
use crate::tensor::DType;
use crate::vae::Vae;

/// Rows evaluated at a time.
const CHUNK: usize = 512;

/// The mean ELBO (log-likelihood minus KL, constants included, in nats) of the `count` images
/// packed in the variable `images`, one draw of the code each, with the weights in `model`.
pub fn mean_elbo(session: &mut Session, vae: &Vae, images: &str, count: usize, seed: u64) -> Result<f64> {
    let inputs = vae.encoder.inputs();
    let mut g = Graph::new();
    let weights = Weights::new(&mut g, &vae.layout, "model")?;
    let table = g.variable(images, [ops::byte_table_words(count * inputs)], DType::U32)?;
    let clock = g.variable("elbo.clock", [2], DType::U32)?;
    let indices = g.variable("elbo.indices", [CHUNK], DType::U32)?;
    let x = ops::gather_bytes(&mut g, table, indices, inputs)?;
    let head = vae.encode(&mut g, &weights.views, x)?;
    let u = ops::normal(&mut g, clock, [CHUNK, vae.latent], Key::new(seed, Purpose::Evaluation))?;
    let code = ops::reparameterise(&mut g, head, u)?;
    let log_likelihood = vae.log_likelihood(&mut g, &weights.views, code.z, x)?;
    let prior_and_entropy = ops::elementwise::add(&mut g, code.prior, code.entropy)?;
    let elbo = ops::elementwise::add(&mut g, log_likelihood, prior_and_entropy)?;
    let kept = g.variable("elbo.values", [CHUNK], DType::F32)?;
    g.place(elbo, kept)?;
    let mut program = session.compile(&g)?;

    let mut sum = 0.0;
    for (chunk, first) in (0..count).step_by(CHUNK).enumerate() {
        // The last chunk is filled up with the last image.
        let rows: Vec<_> = (first..first + CHUNK).map(|i| i.min(count - 1) as u32).collect();
        session.write("elbo.indices", 0, &rows)?;
        session.write("elbo.clock", 0, &[chunk as u32, 0])?;
        program.run()?;
        let values: Vec<f32> = session.get("elbo.values")?;
        sum += values.iter().take(count - first).map(|&v| f64::from(v)).sum::<f64>();
    }
    Ok(sum / count.max(1) as f64)
}
