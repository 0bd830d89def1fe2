//! Networks as ONNX, the format that most programs for networks read and write (onnx.ai).

mod constants;
mod messages;
mod operators;
mod read;
mod write;

pub use read::decode;
pub use write::encode;

#[cfg(test)]
mod tests;
