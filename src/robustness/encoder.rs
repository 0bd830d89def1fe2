//! The representation: means of the frozen encoder.

use crate::error::Result;
use crate::graph::Graph;
use crate::nn::Weights;
use crate::ops;
use crate::session::Session;
use crate::tensor::DType;
use crate::vae::Vae;

/// Rows encoded at a time.
const CHUNK: usize = 512;

/// Means `[count, latent]` of the codes of the `count` images packed in the variable `images`,
/// with the weights in the variable `model`.
pub fn encode_means(session: &mut Session, vae: &Vae, images: &str, count: usize) -> Result<Vec<f32>> {
    let inputs = vae.encoder.inputs();
    let mut g = Graph::new();
    let weights = Weights::new(&mut g, &vae.layout, "model")?;
    let table = g.variable(images, [ops::byte_table_words(count * inputs)], DType::U32)?;
    let indices = g.variable("encode.indices", [CHUNK], DType::U32)?;
    let x = ops::gather_bytes(&mut g, table, indices, inputs)?;
    let means = vae.encode_mean(&mut g, &weights.views, x)?;
    let kept = g.variable("encode.means", [CHUNK, vae.latent], DType::F32)?;
    g.place(means, kept)?;
    let mut program = session.compile(&g)?;

    let mut all = Vec::with_capacity(count * vae.latent);
    for first in (0..count).step_by(CHUNK) {
        // The last chunk is filled up with the last image.
        let chunk: Vec<_> = (first..first + CHUNK).map(|i| i.min(count - 1) as u32).collect();
        session.write("encode.indices", 0, &chunk)?;
        program.run()?;
        let rows = CHUNK.min(count - first);
        all.extend_from_slice(&session.get::<f32>("encode.means")?[..rows * vae.latent]);
    }
    Ok(all)
}
