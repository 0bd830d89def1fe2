//! Which adapter to run on.

use std::str::FromStr;

use crate::engine::recording::{COOPERATIVE_SIDES, LARGE_BYTES, LARGE_INVOCATIONS};
use crate::error::{Error, Result};

/// A choice of device, as `--device` takes it: `auto`, `cpu`, `gpu` or `gpu:N`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Choice {
    /// A real GPU where there is one, else the CPU back end.
    Auto,
    /// The CPU back end.
    Cpu,
    /// The best adapter, a software one where there is nothing else; or the one of this number
    /// in the list of [`adapters`].
    Gpu(Option<usize>),
}

impl FromStr for Choice {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let numbered = |n: &str| n.parse().ok().map(|n| Choice::Gpu(Some(n)));
        let choice = match text {
            "auto" => Some(Choice::Auto),
            "cpu" => Some(Choice::Cpu),
            "gpu" => Some(Choice::Gpu(None)),
            other => other.strip_prefix("gpu:").and_then(numbered),
        };
        choice.ok_or_else(|| {
            Error::setting("device", format!("{text} is unknown"))
                .with_hint("use auto, cpu, gpu or gpu:N, N the number of a GPU adapter")
        })
    }
}

/// The APIs the kernels are written for: WGSL is translated to each of them.
const BACKENDS: wgpu::Backends =
    wgpu::Backends::VULKAN.union(wgpu::Backends::METAL).union(wgpu::Backends::DX12);

/// Every adapter whose driver conforms to its API, in the order that `gpu:N` numbers.
pub fn adapters() -> Vec<wgpu::Adapter> {
    enumerate(wgpu::InstanceFlags::empty())
}

/// The adapters whose Vulkan driver has not passed the conformance tests, such as Mesa's dzn under WSL. `gpu:N` numbers
/// them after the `conformant` ones.
pub fn not_conformant(conformant: &[wgpu::Adapter]) -> Vec<wgpu::Adapter> {
    let mut all = enumerate(wgpu::InstanceFlags::ALLOW_UNDERLYING_NONCOMPLIANT_ADAPTER);
    for known in conformant.iter().map(wgpu::Adapter::get_info) {
        if let Some(same) = all.iter().position(|adapter| adapter.get_info() == known) {
            all.remove(same);
        }
    }
    all
}

fn enumerate(flags: wgpu::InstanceFlags) -> Vec<wgpu::Adapter> {
    if !wgpu::Instance::enabled_backend_features().intersects(BACKENDS) {
        return Vec::new();
    }
    let mut descriptor = wgpu::InstanceDescriptor::new_without_display_handle();
    descriptor.backends = BACKENDS;
    descriptor.flags |= flags;
    pollster::block_on(wgpu::Instance::new(descriptor).enumerate_adapters(BACKENDS))
}

/// The rank of an adapter, the best first; the first three are real GPUs. An adapter of type `Other` counts as
/// software: only `gpu:N` opens it, or `gpu` where there is nothing better.
fn rank(info: &wgpu::AdapterInfo) -> usize {
    match info.device_type {
        wgpu::DeviceType::DiscreteGpu => 0,
        wgpu::DeviceType::IntegratedGpu => 1,
        wgpu::DeviceType::VirtualGpu => 2,
        wgpu::DeviceType::Other => 3,
        wgpu::DeviceType::Cpu => 4,
    }
}

/// True for GPUs that `auto` takes. It takes no software Vulkan, which is slower than the CPU back end.
pub fn is_real(info: &wgpu::AdapterInfo) -> bool {
    rank(info) < 3
}

/// Whether sums within a workgroup go through subgroups: on real GPUs that have them. Software devices sum in a tree,
/// so that tests on them cover GPUs without subgroups.
pub fn uses_subgroups(info: &wgpu::AdapterInfo, features: wgpu::Features) -> bool {
    is_real(info) && features.contains(wgpu::Features::SUBGROUP)
}

/// The features that kernels with cooperative matrices need.
pub const COOPERATIVE_FEATURES: wgpu::Features = wgpu::Features::EXPERIMENTAL_COOPERATIVE_MATRIX
    .union(wgpu::Features::SHADER_F16)
    .union(wgpu::Features::SUBGROUP);

/// The side of the adapter's cooperative matrices of halves that are summed in floats, where kernels can use them. A
/// kernel has 256 invocations, room for one such matrix of sums for each of their subgroups, and subgroups of up to 64.
/// Through Vulkan only: Metal has cooperative matrices too, but its compiler has not seen these kernels.
pub fn cooperative_side(adapter: &wgpu::Adapter) -> Option<u32> {
    use wgpu::CooperativeScalarType::{F16, F32};
    let (info, limits) = (adapter.get_info(), adapter.limits());
    let fits = |side: u32| {
        info.backend == wgpu::Backend::Vulkan
            && 8 * info.subgroup_min_size >= side * side
            && info.subgroup_max_size <= 64
            && limits.max_compute_workgroup_storage_size >= LARGE_BYTES
    };
    let offered = |side: u32| {
        let square = |p: &wgpu::CooperativeMatrixProperties| [p.m_size, p.n_size, p.k_size] == [side; 3];
        let halves = |p: &wgpu::CooperativeMatrixProperties| (p.ab_type, p.cr_type) == (F16, F32);
        adapter.cooperative_matrix_properties().iter().any(|p| square(p) && halves(p))
    };
    let has = adapter.features().contains(COOPERATIVE_FEATURES);
    COOPERATIVE_SIDES.into_iter().find(|&side| has && fits(side) && offered(side))
}

/// Whether variants for [large workgroups](crate::engine::recording::Target::LargeWorkgroups) can run.
pub fn large_workgroups(limits: &wgpu::Limits) -> bool {
    limits.max_compute_invocations_per_workgroup >= LARGE_INVOCATIONS
        && limits.max_compute_workgroup_size_x >= LARGE_INVOCATIONS
        && limits.max_compute_workgroup_storage_size >= LARGE_BYTES
}

/// Storage buffers that a kernel may bind on every device.
pub const STORAGE_BUFFERS: u32 = 8;

/// Which of the limits that every kernel needs the adapter does not reach, in words; `None` where it runs the kernels.
pub fn lacks(limits: &wgpu::Limits) -> Option<String> {
    let needs = [
        ("storage buffers in a kernel", limits.max_storage_buffers_per_shader_stage, STORAGE_BUFFERS),
        ("bytes of workgroup memory", limits.max_compute_workgroup_storage_size, 16 * 1024),
        ("invocations in a workgroup", limits.max_compute_invocations_per_workgroup, 256),
    ];
    let missing = needs.iter().find(|(_, have, need)| have < need);
    missing.map(|(what, have, need)| format!("{have} {what}, the kernels need {need}"))
}

/// The number, in `adapters`, of the one that [`Choice::Auto`] takes.
pub fn best_real(adapters: &[wgpu::Adapter]) -> Option<usize> {
    best(adapters).filter(|&i| is_real(&adapters[i].get_info()))
}

/// The number of the best adapter that can run the kernels.
fn best(adapters: &[wgpu::Adapter]) -> Option<usize> {
    let able = (0..adapters.len()).filter(|&i| lacks(&adapters[i].limits()).is_none());
    able.min_by_key(|&i| rank(&adapters[i].get_info()))
}

/// The adapter that `gpu` (`number` is `None`) or `gpu:N` names. One that is not conformant is taken by its number, or
/// where there is no other.
///
/// # Errors
/// [`Error::Request`] where there is no such adapter, or none that can run the kernels.
pub fn pick(number: Option<usize>) -> Result<wgpu::Adapter> {
    let mut adapters = adapters();
    if adapters.len() <= number.unwrap_or(0) {
        let others = not_conformant(&adapters);
        adapters.extend(others);
    }
    let mend = "install a Vulkan driver (on Debian and Ubuntu `apt install mesa-vulkan-drivers`) \
                or use `device` cpu";
    if adapters.is_empty() {
        return Err(Error::setting("device", "gpu: no adapter found").with_hint(mend));
    }
    match number {
        Some(n) if n < adapters.len() => Ok(adapters.swap_remove(n)),
        Some(n) => {
            let names = adapters.iter().enumerate().map(|(i, a)| format!("gpu:{i} ({})", a.get_info().name));
            let names = names.collect::<Vec<_>>().join(", ");
            Err(Error::setting("device", format!("gpu:{n}: no such adapter; there are {names}")))
        }
        None => match best(&adapters) {
            Some(i) => Ok(adapters.swap_remove(i)),
            None => {
                let why = lacks(&adapters[0].limits()).unwrap_or_default();
                let name = adapters[0].get_info().name;
                Err(Error::request(format!("{name} cannot run the kernels ({why})")).with_hint(mend))
            }
        },
    }
}

/// The limits to request of the adapter: WebGPU's defaults, or less where the adapter has less. The sizes of buffers
/// and grids are raised to the adapter's own, and those of workgroups to large ones where it has them.
pub fn limits(adapter: &wgpu::Adapter) -> wgpu::Limits {
    let own = adapter.limits();
    let mut limits = wgpu::Limits::default().or_worse_values_from(&own);
    limits.max_buffer_size = own.max_buffer_size;
    limits.max_storage_buffer_binding_size = own.max_storage_buffer_binding_size;
    limits.max_compute_workgroups_per_dimension = own.max_compute_workgroups_per_dimension;
    // Kernels with cooperative matrices need as much workgroup memory.
    if cooperative_side(adapter).is_some() || large_workgroups(&own) {
        limits.max_compute_workgroup_storage_size = LARGE_BYTES;
    }
    if large_workgroups(&own) {
        limits.max_compute_invocations_per_workgroup = LARGE_INVOCATIONS;
        limits.max_compute_workgroup_size_x = LARGE_INVOCATIONS;
    }
    limits
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn choices_parse() {
        let parsed = |text: &str| text.parse::<Choice>().ok();
        assert_eq!(parsed("auto"), Some(Choice::Auto));
        assert_eq!(parsed("cpu"), Some(Choice::Cpu));
        assert_eq!(parsed("gpu"), Some(Choice::Gpu(None)));
        assert_eq!(parsed("gpu:12"), Some(Choice::Gpu(Some(12))));
        for wrong in ["", "GPU", "gpu:", "gpu:-1", "gpu:x", "cuda", "gpu:1 "] {
            let error = wrong.parse::<Choice>().err().map(|e| (e.is_request(), e.to_string()));
            assert!(matches!(error, Some((true, text)) if text.contains("`device`")), "{wrong:?}");
        }
    }

    #[test]
    fn large_workgroups_need_invocations_and_memory() {
        let own = wgpu::Limits {
            max_compute_invocations_per_workgroup: 1024,
            max_compute_workgroup_size_x: 1024,
            max_compute_workgroup_storage_size: 32 * 1024,
            ..Default::default()
        };
        assert!(large_workgroups(&own));
        assert!(!large_workgroups(&wgpu::Limits {
            max_compute_workgroup_storage_size: 16 * 1024,
            ..own.clone()
        }));
        assert!(!large_workgroups(&wgpu::Limits {
            max_compute_invocations_per_workgroup: 256,
            ..own.clone()
        }));
        assert!(!large_workgroups(&wgpu::Limits { max_compute_workgroup_size_x: 256, ..own }));
        assert!(!large_workgroups(&wgpu::Limits::default()));
    }

    #[test]
    fn an_adapter_number_out_of_range_is_a_wrong_request() {
        let error = pick(Some(usize::MAX)).err().map(|e| e.is_request());
        assert_eq!(error, Some(true));
    }
}
