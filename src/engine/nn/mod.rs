//! Networks over one flat arena of weights.

mod init;
mod layout;
mod named;
mod optimiser;
mod stack;

pub use init::{Init, initialise};
pub use layout::{Entry, Layout};
pub use named::{NamedTensor, TensorData, find_f32, find_weight, load_weights, named_weights};
pub use optimiser::{Weights, train_step, weight_gradients};
pub(crate) use stack::Weighted;
pub use stack::{Dense, Layer, Stack, linears};
