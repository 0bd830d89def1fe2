//! Writes the means of a run's test images, as the library computes them, to a safetensors file: what
//! `scripts/check_torch.py` compares PyTorch with, and a short example of the library.
//!
//!     cargo run --release --example means -- RUN OUT.safetensors

use std::path::Path;
use std::process::ExitCode;

use smoothenc::engine::nn::{NamedTensor, TensorData};
use smoothenc::files::write_whole;
use smoothenc::progress::Context;
use smoothenc::runs::LoadedRun;
use smoothenc::runs::checkpoint::{self, Metadata};
use smoothenc::{Error, Result};

fn main() -> ExitCode {
    match run(&std::env::args().skip(1).collect::<Vec<_>>()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(if error.is_request() { 2 } else { 1 })
        }
    }
}

fn run(arguments: &[String]) -> Result<()> {
    let [run, out] = arguments else {
        return Err(Error::request("usage: means RUN OUT.safetensors"));
    };
    let mut loaded = LoadedRun::open(Path::new(run), "cpu", &Context::silent())?;
    let means = loaded.test_means()?;
    let shape = vec![loaded.data.test.count(), loaded.config.latent];
    let tensor = NamedTensor { name: "means".into(), shape, data: TensorData::F32(means) };
    write_whole(Path::new(out), &checkpoint::encode(&[tensor], &Metadata::new())?)
}
