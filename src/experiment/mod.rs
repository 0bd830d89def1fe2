//! Whole experiments: training runs, and what is measured on them.

pub mod evaluate;
mod loaded;
pub mod model_file;
pub mod settings;
pub mod showcase;
mod train;

pub use crate::progress;
pub use loaded::{LoadedRun, load_data};
pub use train::{check_resumable, train};
