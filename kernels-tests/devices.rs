//! The devices that trials run on, and their features.

use std::cell::RefCell;
use std::sync::OnceLock;

use smoothenc::Result;
use smoothenc::engine::device::gpu::pipelines::text;
use smoothenc::engine::device::gpu::{Gpu, adapter};
use smoothenc::engine::device::{self, Device};

use crate::gpu::common;
use crate::harness::Verdict;

thread_local! {
    static GPU: RefCell<Option<Device>> = const { RefCell::new(None) };
}

/// The CPU, or the GPU, opened once with its checks on. `SMOOTHENC_TEST_DEVICE` names another
/// (`gpu:1`), and `SMOOTHENC_TEST_UNCHECKED=1` runs the kernels as a release does.
pub fn device(gpu: bool) -> Result<Device> {
    if !gpu {
        return device::open("cpu", false);
    }
    GPU.with_borrow_mut(|kept| {
        if let Some(device) = kept {
            return Ok(device.clone());
        }
        // Not by `device::open`, which may choose kernels by what was measured before.
        let checked = std::env::var("SMOOTHENC_TEST_UNCHECKED").is_err();
        let gpu = Gpu::open(&common::adapter()?, checked)?;
        // Cooperative matrices have trials of their own.
        gpu.use_cooperative_matrices(false);
        Ok(kept.insert(Device::Gpu(gpu)).clone())
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
    *HAS.get_or_init(has)
}

/// Whether kernels can use cooperative matrices on the adapter under test.
pub fn cooperative_matrices() -> bool {
    static HAS: OnceLock<bool> = OnceLock::new();
    *HAS.get_or_init(|| common::adapter().is_ok_and(|a| adapter::cooperative_side(&a).is_some()))
}

/// Runs `test` on the GPU with sums through subgroups.
pub fn with_subgroups(test: impl FnOnce(&Device) -> Verdict) -> Verdict {
    switched_on(Gpu::use_subgroups, "subgroups", test)
}

/// Runs `test` on the GPU with cooperative matrices.
pub fn on_cooperative_matrices(test: impl FnOnce(&Device) -> Verdict) -> Verdict {
    switched_on(Gpu::use_cooperative_matrices, "cooperative matrices", test)
}

/// Runs `test` while the GPU's kernels use `what`.
fn switched_on(switch: fn(&Gpu, bool) -> bool, what: &str, test: impl FnOnce(&Device) -> Verdict) -> Verdict {
    let device = device(true)?;
    let Device::Gpu(gpu) = &device else { return Err("not a GPU".into()) };
    if !switch(gpu, true) {
        return Err(format!("the device has no {what}").into());
    }
    let verdict = test(&device);
    switch(gpu, false);
    verdict
}
