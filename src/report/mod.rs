//! Pictures of what was measured: charts and grids of images, as SVG and PNG, and the page of a run.

pub mod compare_page;
pub mod draw;
mod evaluations;
mod font;
pub mod grid;
pub mod html;
mod image;
pub mod pictures;
pub mod plot;
pub mod run_page;
pub mod sweep;
mod table;

pub use draw::Drawing;
pub use grid::Grid;
pub use image::Image;
pub use plot::{Bars, Chart, HeatMap, Series};
pub use table::csv_file;

/// What a page says that shows drawn faces.
pub const SYNTHETIC_FACES: &str = "All faces on this page are SYNTHETIC: drawn by this program (smoothenc data \
    make), or \
                                   decoded by a model trained on such. No photograph of a person is among them.";
