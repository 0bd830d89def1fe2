//! A report of the adapters, their limits and which kernels run on them; `smoothenc devices` prints it.

use serde::Serialize;

use super::adapter;
use crate::engine::device::cpu;
use crate::engine::simd;

/// One device that `--device` can name.
#[derive(Debug, Clone, Serialize)]
pub struct AdapterReport {
    /// What `--device` takes: `cpu`, `gpu:0`, ...
    pub device: String,
    /// True for the one that `--device auto` takes.
    pub auto: bool,
    /// The adapter's name.
    pub name: String,
    /// `cpu`, `vulkan`, `metal` or `dx12`.
    pub backend: String,
    /// In words: `discrete GPU`, `software`, ...
    pub kind: String,
    /// The driver's name and version; empty for the CPU.
    pub driver: String,
    /// True where the CPU does the work: the CPU back end and software Vulkan.
    pub software: bool,
    /// Whether its driver has passed its API's conformance tests.
    pub conformant: bool,
    /// Which variants of the kernels it runs.
    pub kernels: Vec<String>,
    /// Why it runs none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unfit: Option<String>,
    /// The number of threads. The CPU back end only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub threads: Option<usize>,
    /// The instruction set of its vectors. The CPU back end only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub simd: Option<String>,
    /// The processor's name, where it tells. The CPU back end only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub processor: Option<String>,
    /// The limits of an adapter.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limits: Option<LimitsReport>,
    /// The features of an adapter.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub features: Option<FeaturesReport>,
}

/// The limits of an adapter that kernels depend on.
#[derive(Debug, Clone, Serialize)]
pub struct LimitsReport {
    /// The most bytes of a buffer.
    pub buffer_bytes: u64,
    /// The most bytes of a binding.
    pub storage_binding_bytes: u64,
    /// The most storage buffers of a kernel.
    pub storage_buffers: u32,
    /// The most bytes of workgroup memory.
    pub workgroup_memory_bytes: u32,
    /// The most invocations of a workgroup.
    pub workgroup_invocations: u32,
    /// The most workgroups in one dimension.
    pub workgroups_per_dimension: u32,
    /// The smallest and the largest size of a subgroup.
    pub subgroup_sizes: [u32; 2],
}

/// The optional features of an adapter that kernels use or could use.
#[derive(Debug, Clone, Serialize)]
pub struct FeaturesReport {
    /// 16-bit floats in shaders.
    pub f16: bool,
    /// Subgroup operations.
    pub subgroups: bool,
    /// Time stamps.
    pub timestamps: bool,
    /// Immediate data.
    pub immediates: bool,
    /// The sizes and types of cooperative matrices, as `MxNxK inputs-result`.
    pub cooperative_matrix: Vec<String>,
}

/// The type of hardware, in words.
pub(super) fn kind(info: &wgpu::AdapterInfo) -> &'static str {
    match info.device_type {
        wgpu::DeviceType::DiscreteGpu => "discrete GPU",
        wgpu::DeviceType::IntegratedGpu => "integrated GPU",
        wgpu::DeviceType::VirtualGpu => "virtual GPU",
        wgpu::DeviceType::Cpu => "software",
        wgpu::DeviceType::Other => "other",
    }
}

/// Every device: the CPU back end, then the adapters in the order of `gpu:N`.
pub fn list() -> Vec<AdapterReport> {
    let mut adapters = adapter::adapters();
    let (auto, conformant) = (adapter::best_real(&adapters), adapters.len());
    let others = adapter::not_conformant(&adapters);
    adapters.extend(others);
    let mut reports = vec![AdapterReport {
        device: "cpu".into(),
        auto: auto.is_none(),
        name: "CPU backend".into(),
        backend: "cpu".into(),
        kind: "CPU".into(),
        driver: String::new(),
        software: true,
        conformant: true,
        kernels: vec!["base".into()],
        unfit: None,
        threads: Some(rayon::current_num_threads()),
        simd: Some(simd::instruction_set().name().into()),
        processor: cpu::processor(),
        limits: None,
        features: None,
    }];
    reports.extend(adapters.iter().enumerate().map(|(i, adapter)| AdapterReport {
        auto: auto == Some(i),
        conformant: i < conformant,
        ..report(i, adapter)
    }));
    reports
}

fn report(number: usize, adapter: &wgpu::Adapter) -> AdapterReport {
    let (info, limits) = (adapter.get_info(), adapter.limits());
    let unfit = adapter::lacks(&limits);
    let driver = [info.driver.as_str(), info.driver_info.as_str()].join(" ").trim().to_string();
    AdapterReport {
        device: format!("gpu:{number}"),
        auto: false,
        name: info.name.clone(),
        backend: info.backend.to_string(),
        kind: kind(&info).into(),
        driver,
        software: info.device_type == wgpu::DeviceType::Cpu,
        conformant: true,
        kernels: if unfit.is_none() { kernels(adapter) } else { Vec::new() },
        unfit,
        threads: None,
        simd: None,
        processor: None,
        limits: Some(LimitsReport {
            buffer_bytes: limits.max_buffer_size,
            storage_binding_bytes: limits.max_storage_buffer_binding_size,
            storage_buffers: limits.max_storage_buffers_per_shader_stage,
            workgroup_memory_bytes: limits.max_compute_workgroup_storage_size,
            workgroup_invocations: limits.max_compute_invocations_per_workgroup,
            workgroups_per_dimension: limits.max_compute_workgroups_per_dimension,
            subgroup_sizes: [info.subgroup_min_size, info.subgroup_max_size],
        }),
        features: Some(features(adapter)),
    }
}

/// Which variants of the kernels an adapter runs.
fn kernels(adapter: &wgpu::Adapter) -> Vec<String> {
    let subgroups = adapter::uses_subgroups(&adapter.get_info(), adapter.features());
    let cooperative = adapter::cooperative_side(adapter).filter(|_| adapter::is_real(&adapter.get_info()));
    let cooperative = cooperative.map(|side| format!("matrix units of {side} for half precision"));
    let subgroups = subgroups.then(|| "subgroup sums".to_string());
    let large = adapter::large_workgroups(&adapter.limits()).then(|| "large workgroups".to_string());
    let names = [Some("base".to_string()), subgroups, large, cooperative];
    names.into_iter().flatten().collect()
}

fn features(adapter: &wgpu::Adapter) -> FeaturesReport {
    let has = |feature| adapter.features().contains(feature);
    let tiles = || {
        let tile = |p: &wgpu::CooperativeMatrixProperties| {
            format!("{}x{}x{} {:?}-{:?}", p.m_size, p.n_size, p.k_size, p.ab_type, p.cr_type).to_lowercase()
        };
        adapter.cooperative_matrix_properties().iter().map(tile).collect()
    };
    FeaturesReport {
        f16: has(wgpu::Features::SHADER_F16),
        subgroups: has(wgpu::Features::SUBGROUP),
        timestamps: has(wgpu::Features::TIMESTAMP_QUERY),
        immediates: has(wgpu::Features::IMMEDIATES),
        cooperative_matrix: match has(wgpu::Features::EXPERIMENTAL_COOPERATIVE_MATRIX) {
            true => tiles(),
            false => Vec::new(),
        },
    }
}

/// The list as text, a few lines a device.
pub fn text(reports: &[AdapterReport]) -> String {
    let mut lines = Vec::new();
    for r in reports {
        let auto = if r.auto { "  <- auto" } else { "" };
        let sort = if r.device == "cpu" { String::new() } else { format!(" ({}, {})", r.backend, r.kind) };
        lines.push(format!("{:<6} {}{sort}{auto}", r.device, r.name));
        if !r.driver.is_empty() {
            lines.push(format!("       driver    {}", r.driver));
        }
        if !r.conformant {
            lines.push("       caution   its driver is not conformant; only --device names it".into());
        }
        if let (Some(threads), Some(simd)) = (r.threads, &r.simd) {
            lines.push(format!("       threads   {threads}, {simd}"));
            lines.extend(r.processor.iter().map(|name| format!("       processor {name}")));
        }
        if let Some(l) = &r.limits {
            lines.push(format!(
                "       limits    binding {} MiB, {} storage buffers, workgroups of {} with {} KiB",
                l.storage_binding_bytes >> 20,
                l.storage_buffers,
                l.workgroup_invocations,
                l.workgroup_memory_bytes >> 10
            ));
        }
        if let (Some(f), Some(l)) = (&r.features, &r.limits) {
            let [least, most] = l.subgroup_sizes;
            let subgroups = format!("subgroups of {least} to {most}");
            let all = [
                (f.f16, "f16"),
                (f.subgroups, subgroups.as_str()),
                (f.timestamps, "timestamps"),
                (f.immediates, "immediates"),
                (!f.cooperative_matrix.is_empty(), "cooperative matrix"),
            ];
            let has: Vec<_> = all.iter().filter(|(has, _)| *has).map(|(_, name)| *name).collect();
            lines.push(format!(
                "       features  {}",
                if has.is_empty() { "none".into() } else { has.join(", ") }
            ));
        }
        lines.push(match &r.unfit {
            Some(why) => format!("       kernels   none: {why}"),
            None => format!("       kernels   {}", r.kernels.join(", ")),
        });
    }
    if reports.len() == 1 {
        lines.push("no GPU adapter found; a Vulkan driver, Metal or DX12 brings one".into());
    }
    lines.join("\n")
}
