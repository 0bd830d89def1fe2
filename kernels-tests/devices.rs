//! The devices that trials run on, and their features.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::OnceLock;

use smoothenc::Result;
use smoothenc::engine::device::gpu::pipelines::text;
use smoothenc::engine::device::gpu::{Gpu, Options, adapter};
use smoothenc::engine::device::{self, Device};

use crate::gpu::common;

thread_local! {
    static GPUS: RefCell<HashMap<Options, Device>> = RefCell::default();
}

/// The CPU, or the GPU with the kernels' first variants, without subgroups and cooperative matrices.
pub fn device(gpu: bool) -> Result<Device> {
    if gpu { gpu_with(PLAIN) } else { device::open("cpu", false) }
}

/// What has no trials of its own.
pub const PLAIN: Options =
    Options { checked: true, subgroups: Some(false), cooperative_matrices: Some(false), variant: Some(0) };

/// The GPU, opened once for each set of options. `SMOOTHENC_TEST_DEVICE` names another (`gpu:1`), and
/// `SMOOTHENC_TEST_UNCHECKED=1` runs the kernels as a release does.
pub fn gpu_with(options: Options) -> Result<Device> {
    GPUS.with_borrow_mut(|kept| {
        if let Some(device) = kept.get(&options) {
            return Ok(device.clone());
        }
        // Not by `device::open`, which may choose kernels by what was measured before.
        let checked = std::env::var("SMOOTHENC_TEST_UNCHECKED").is_err();
        let device = Device::Gpu(Gpu::open(&common::adapter()?, Options { checked, ..options })?);
        kept.insert(options, device.clone());
        Ok(device)
    })
}

/// Whether a kernel has sums within a workgroup, which go through subgroups on some devices.
pub fn sums_in_workgroups(kernel: &str) -> bool {
    let own = smoothenc::kernels().find(|k| k.name == kernel);
    own.is_some_and(|kernel| text(kernel, true) != text(kernel, false))
}

/// Whether the adapter under test has subgroups.
pub fn subgroups() -> bool {
    static HAS: OnceLock<bool> = OnceLock::new();
    let has = || common::adapter().is_ok_and(|a| a.features().contains(wgpu::Features::SUBGROUP));
    !cfg!(miri) && *HAS.get_or_init(has)
}

/// Whether kernels can use cooperative matrices on the adapter under test.
pub fn cooperative_matrices() -> bool {
    static HAS: OnceLock<bool> = OnceLock::new();
    !cfg!(miri)
        && *HAS.get_or_init(|| common::adapter().is_ok_and(|a| adapter::cooperative_side(&a).is_some()))
}
