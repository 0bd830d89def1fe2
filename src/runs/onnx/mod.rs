//! Networks as ONNX, the format that most programs for networks read and write (onnx.ai).

mod constants;
mod messages;
mod operators;
mod read;
mod write;

pub use read::decode;
pub use write::encode;

/// What a reader has, or what is wrong, to be put after the file's name.
type Told<T> = std::result::Result<T, String>;
