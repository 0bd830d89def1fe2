//! Networks over one flat arena of weights.

mod init;
mod layout;
mod mlp;
mod optimiser;

pub use init::{Init, initialise};
pub use layout::{Entry, Layout};
pub use mlp::Mlp;
pub use optimiser::{Weights, train_step, weight_gradients};
