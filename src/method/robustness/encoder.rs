//! The codes of images: the frozen encoder's means, which are the representation, and log-variances.

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

/// The codes q(z|x) of some images: Gaussians with diagonal covariance, one row an image.
#[derive(Debug, Clone, PartialEq)]
pub struct Codes {
    pub count: usize,
    pub latent: usize,
    /// `[count, latent]`
    pub means: Vec<f32>,
    /// `[count, latent]`
    pub log_variances: Vec<f32>,
}

/// Means `[images.count, latent]` of the codes of `images`, with the weights in the variable `model`. Images go to
/// the device a chunk at a time, so the set may be of any size.
pub fn encode_means(session: &mut Session, vae: &Vae, images: &Images) -> Result<Vec<f32>> {
    encode_rows(session, vae, images, vae.latent, &|g, weights, x| vae.encode_mean(g, weights, x))
}

/// The same with the log-variances.
pub fn encode_codes(session: &mut Session, vae: &Vae, images: &Images) -> Result<Codes> {
    let latent = vae.latent;
    let heads = encode_rows(session, vae, images, 2 * latent, &|g, weights, x| vae.encode(g, weights, x))?;
    let rows = || heads.chunks_exact(2 * latent);
    let means = rows().flat_map(|row| &row[..latent]).copied().collect();
    let log_variances = rows().flat_map(|row| &row[latent..]).copied().collect();
    Ok(Codes { count: images.count, latent, means, log_variances })
}

/// A graph of rows, with the model's weights.
pub type Build<'a> = dyn Fn(&mut Graph, &[Tensor], Tensor) -> Result<Tensor> + 'a;

/// What `build` makes of all images, `width` numbers each.
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
    // Means alone and whole codes are of different widths, so each has a variable of its own.
    let name = format!("encode.rows.{width}");
    let kept = g.variable(&name, [CHUNK, width], DType::F32)?;
    store(&mut g, rows, kept)?;
    Ok((session.compile(&g)?, chunk, name))
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
