//! Whole experiments: training runs, and what is measured on them.

pub mod divergence;
mod elbo;
pub mod evaluate;
pub mod lipschitz;
mod loaded;
pub mod model_file;
pub mod settings;
pub mod showcase;
mod train;
mod trainer;

pub use crate::progress;
pub use elbo::mean_elbo;
pub use loaded::{LoadedRun, load_data};
pub use train::{check_resumable, train};
pub use trainer::{Averages, TrainSettings, Trainer, load_weights, named_weights, training_graph};
