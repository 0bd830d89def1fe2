//! Initial weights.

use crate::engine::nn::Layout;
use crate::engine::rng::{Key, Stream};
use crate::error::Result;
use crate::memory;

/// How weights start. Biases start at 0, except PyTorch's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Init {
    /// Uniform within `sqrt(6 / (in + out))` (Glorot and Bengio, 2010).
    Glorot,
    /// Uniform within `sqrt(6 / in)` (He et al., 2015).
    He,
    /// PyTorch's default for its layers: weights and biases uniform within `1 / sqrt(in)`.
    Torch,
}

/// Initial weights for `layout`, `[layout.words()]`. `in` and `out` are PyTorch's: the second and the first dimension
/// of a weight, times the elements of a convolution's kernel; also where the convolution is transposed. Weight `i` of
/// entry `e` is draw `i` of "step" `e`, so a layer's weights do not depend on other layers' sizes.
///
/// # Errors
/// [`Error::TooLarge`](crate::Error::TooLarge) where there is no memory for them.
pub fn initialise(layout: &Layout, init: Init, key: Key) -> Result<Vec<f32>> {
    let words = layout.words();
    let mut arena = memory::zeroed(format_args!("a network of {words} weights"), words)?;
    let mut fan_in = 1.0;
    for (e, entry) in layout.entries().iter().enumerate() {
        let is_weight = entry.shape.dims().len() > 1;
        if is_weight {
            fan_in = entry.shape.cols() as f32;
        }
        let bound = match (init, is_weight) {
            (Init::Glorot, true) => {
                let elements: usize = entry.shape.dims().iter().skip(2).product();
                (6.0 / (fan_in + (entry.shape.rows() * elements) as f32)).sqrt()
            }
            (Init::He, true) => (6.0 / fan_in).sqrt(),
            (Init::Torch, _) => 1.0 / fan_in.sqrt(),
            (_, false) => 0.0,
        };
        let mut draws = Stream::new(key, e as u32);
        let weights = layout.slice_mut(&mut arena, e);
        weights.fill_with(|| bound * (2.0 * draws.uniform() - 1.0));
    }
    Ok(arena)
}
