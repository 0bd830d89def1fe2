//! Whole experiments: training runs, and what is measured on them.

mod elbo;
pub mod evaluate;
pub mod model_file;
pub mod progress;
pub mod settings;
mod train;
mod trainer;

pub use elbo::mean_elbo;
pub use train::train;
pub use trainer::{
    Averages, TrainSettings, Trainer, load_weights, named_weights, training_graph, upload_images,
};
