//! The GPU that tests run on, and tests that are listed as ignored where there is none.

// Each test binary uses its own part of this.
#![allow(dead_code)]

use libtest_mimic::{Arguments, Trial};
use smoothenc::engine::device::Device;
use smoothenc::engine::device::gpu::adapter::{self, Choice};
use smoothenc::engine::device::gpu::{Gpu, Options};
use smoothenc::error::{Error, Result};

/// The adapter that `SMOOTHENC_TEST_DEVICE` names (`gpu:1`), or else the best.
pub fn adapter() -> Result<wgpu::Adapter> {
    let choice = std::env::var("SMOOTHENC_TEST_DEVICE").unwrap_or("gpu".into());
    match choice.parse()? {
        Choice::Gpu(number) => adapter::pick(number),
        Choice::Auto | Choice::Cpu => {
            Err(Error::request(format!("SMOOTHENC_TEST_DEVICE={choice}: name a GPU, gpu or gpu:N")))
        }
    }
}

/// Opens [`adapter`] anew, with bounds checks in the kernels.
pub fn open() -> Result<Device> {
    open_with(Options::default())
}

/// The same with other options.
pub fn open_with(options: Options) -> Result<Device> {
    Ok(Device::Gpu(Gpu::open(&adapter()?, Options { checked: true, ..options })?))
}

/// A test: its name, whether it needs a GPU, and what panics where it fails.
pub type Test = (&'static str, bool, fn());

/// The `main` of a test binary. Without an adapter, tests that need a GPU are ignored, unless
/// `SMOOTHENC_REQUIRE_GPU=1` asks to fail then; software Vulkan counts as a GPU here.
pub fn main(tests: &[Test]) {
    let arguments = Arguments::from_args();
    let gpu = !adapter::adapters().is_empty();
    if !gpu && std::env::var("SMOOTHENC_REQUIRE_GPU").is_ok_and(|v| v == "1") {
        eprintln!("SMOOTHENC_REQUIRE_GPU=1, and there is no GPU adapter: install a Vulkan driver");
        std::process::exit(1);
    }
    let trial = |&(name, needs_gpu, test): &Test| {
        let run = move || {
            test();
            Ok(())
        };
        Trial::test(name, run).with_ignored_flag(needs_gpu && !gpu)
    };
    libtest_mimic::run(&arguments, tests.iter().map(trial).collect()).exit();
}
