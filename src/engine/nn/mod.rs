//! Networks over one flat arena of weights.

mod init;
mod layout;
mod optimiser;
mod stack;

pub use init::{Init, initialise};
pub use layout::{Entry, Layout};
pub use optimiser::{Weights, train_step, weight_gradients};
pub use stack::{Layer, Stack, linears};
