//! The representation: means of the frozen encoder.

use crate::data::Images;
use crate::engine::graph::{Graph, Tensor};
use crate::engine::nn::Weights;
use crate::engine::session::Session;
use crate::engine::tensor::DType;
use crate::error::Result;
use crate::method::Table;
use crate::method::vae::Vae;

/// Rows encoded at a time.
pub const CHUNK: usize = 512;

/// Means `[images.count, latent]` of the codes of `images`, with the weights in the variable `model`. Images go to
/// the device a chunk at a time, so the set may be of any size.
pub fn encode_means(session: &mut Session, vae: &Vae, images: &Images) -> Result<Vec<f32>> {
    let mut g = Graph::new();
    let weights = Weights::new(&mut g, &vae.layout, "model")?;
    let chunk = Chunk::new("encode", images);
    let x = chunk.images(&mut g)?;
    let means = vae.encode_mean(&mut g, &weights.views, x)?;
    let kept = g.variable("encode.means", [CHUNK, vae.latent], DType::F32)?;
    g.place(means, kept)?;
    let mut program = session.compile(&g)?;

    let mut all = Vec::with_capacity(images.count * vae.latent);
    for first in (0..images.count).step_by(CHUNK) {
        let rows = chunk.write(session, images, first)?;
        program.run()?;
        all.extend_from_slice(&session.get::<f32>("encode.means")?[..rows * vae.latent]);
    }
    chunk.forget(session);
    Ok(all)
}

/// The images that a program evaluates at a time, in order.
#[derive(Debug)]
pub struct Chunk {
    table: Table,
    /// Names of the variables.
    images: String,
    indices: String,
}

impl Chunk {
    /// A chunk of images like `images`, in variables whose names start with `name`.
    pub fn new(name: &str, images: &Images) -> Self {
        let (variable, indices) = (format!("{name}.images"), format!("{name}.indices"));
        Chunk { table: Table::window(&variable, images, CHUNK), images: variable, indices }
    }

    /// The chunk `[CHUNK, image_len]` in [0, 1].
    pub fn images(&self, g: &mut Graph) -> Result<Tensor> {
        let indices = g.variable(&self.indices, [CHUNK], DType::U32)?;
        self.table.gather(g, indices)
    }

    /// Puts images `first..` into it, once a program over it was compiled; says how many there were. What is left is
    /// filled up with the last one.
    pub fn write(&self, session: &Session, images: &Images, first: usize) -> Result<usize> {
        let range = first..images.count.min(first + CHUNK);
        let rows = self.table.write_range(session, images, range.clone())?;
        let indices: Vec<u32> = (0..CHUNK as u32).map(|i| (rows.start + i).min(rows.end - 1)).collect();
        session.write(&self.indices, 0, &indices)?;
        Ok(range.len())
    }

    /// Frees its memory, so that another set may come.
    pub fn forget(&self, session: &mut Session) {
        session.forget(&self.images);
        session.forget(&self.indices);
    }
}
