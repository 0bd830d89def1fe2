//! Compute pipelines, each made once for a device.

use std::collections::HashMap;

use wgpu::{BindGroupLayout, BindGroupLayoutEntry, BindingType, BufferBindingType};

use super::Gpu;
use crate::engine::kernel::{Access, Binding, Kernel};
use crate::engine::recording::Call;
use crate::error::Result;

/// What the variants of a kernel share.
#[derive(Debug, Clone)]
struct Parts {
    module: wgpu::ShaderModule,
    bindings: BindGroupLayout,
    layout: wgpu::PipelineLayout,
}

/// The values of a variant's `override` constants.
type Constants = Vec<(&'static str, u32)>;

/// A kernel, whether its sums go through subgroups, and the side of its cooperative matrices, 0 without them. Kernels
/// differ by address, not by name, so that a test can have an altered copy of a kernel.
type Text = (*const Kernel, bool, u32);

/// The pipelines made so far.
#[derive(Debug, Default)]
pub(super) struct Pipelines {
    parts: HashMap<Text, Parts>,
    made: HashMap<(Text, Constants), wgpu::ComputePipeline>,
}

/// The sum within a workgroup: as a tree, for every device, and through subgroups.
const SUM: [&str; 2] = [
    include_str!("../../../../shaders/common/reduce.wgsl"),
    include_str!("../../../../shaders/common/reduce_subgroups.wgsl"),
];

/// The WGSL of a kernel: its files, one after the other, with sums within a workgroup through `subgroups` or not.
pub fn text(kernel: &Kernel, subgroups: bool) -> String {
    let file = |file: &&'static str| if subgroups && *file == SUM[0] { SUM[1] } else { file };
    kernel.wgsl.iter().map(file).collect::<Vec<_>>().join("\n")
}

/// The WGSL of a kernel for cooperative matrices of this side. Its `enable` directives must come first.
pub fn cooperative_text(kernel: &Kernel, side: u32) -> String {
    let head = match side {
        16 => include_str!("../../../../shaders/common/cooperative_16.wgsl"),
        _ => include_str!("../../../../shaders/common/cooperative_8.wgsl"),
    };
    format!("{head}\n{}", kernel.cooperative.join("\n"))
}

impl Gpu {
    /// Whether variants with cooperative matrices are taken.
    pub fn uses_cooperative_matrices(&self) -> bool {
        self.0.cooperative_side.is_some()
    }

    /// The pipeline of a call's kernel and constants, and the layout of its bindings.
    pub(super) fn pipeline(&self, call: &Call) -> Result<(wgpu::ComputePipeline, BindGroupLayout)> {
        let side = call.target.cooperative_side().unwrap_or(0);
        let kernel: Text = (call.kernel, self.0.subgroups, side);
        let parts = self.0.pipelines.borrow().parts.get(&kernel).cloned();
        let parts = match parts {
            Some(parts) => parts,
            None => {
                let parts = self.make_parts(call)?;
                self.0.pipelines.borrow_mut().parts.insert(kernel, parts.clone());
                parts
            }
        };
        let key = (kernel, call.constants.clone());
        let known = self.0.pipelines.borrow().made.get(&key).cloned();
        let pipeline = match known {
            Some(pipeline) => pipeline,
            None => {
                let pipeline = self.make_pipeline(call, &parts)?;
                self.0.pipelines.borrow_mut().made.insert(key, pipeline.clone());
                pipeline
            }
        };
        Ok((pipeline, parts.bindings))
    }

    fn make_parts(&self, call: &Call) -> Result<Parts> {
        let (device, kernel) = (&self.0.device, call.kernel);
        let name = Some(kernel.name);
        let storage =
            |binding: &Binding| BufferBindingType::Storage { read_only: binding.access == Access::Read };
        let types = std::iter::once(BufferBindingType::Uniform).chain(kernel.bindings.iter().map(storage));
        let entries: Vec<_> = types
            .zip(0..)
            .map(|(ty, binding)| BindGroupLayoutEntry {
                binding,
                visibility: wgpu::ShaderStages::COMPUTE,
                ty: BindingType::Buffer { ty, has_dynamic_offset: false, min_binding_size: None },
                count: None,
            })
            .collect();
        self.scoped(
            || format!("kernel {}", kernel.name),
            || {
                let text = match call.target.cooperative_side() {
                    Some(side) => cooperative_text(kernel, side),
                    None => text(kernel, self.0.subgroups),
                };
                let source = wgpu::ShaderSource::Wgsl(text.into());
                let descriptor = wgpu::ShaderModuleDescriptor { label: name, source };
                let module = if self.checks(kernel) {
                    device.create_shader_module(descriptor)
                } else {
                    // SAFETY: the kernel is one of this crate's. They index inside their bindings, divide by sizes
                    // of at least 1 and end all loops, as the kernel suite shows with the checks on.
                    unsafe {
                        let checks = wgpu::ShaderRuntimeChecks::unchecked();
                        device.create_shader_module_trusted(descriptor, checks)
                    }
                };
                let bindings = device.create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor {
                    label: name,
                    entries: &entries,
                });
                let layout = device.create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
                    label: name,
                    bind_group_layouts: &[Some(&bindings)],
                    immediate_size: 0,
                });
                Parts { module, bindings, layout }
            },
        )
    }

    fn checks(&self, kernel: &Kernel) -> bool {
        self.0.checked || !kernel.trusted
    }

    fn make_pipeline(&self, call: &Call, parts: &Parts) -> Result<wgpu::ComputePipeline> {
        let name = call.kernel.name;
        let subgroup = call.target.cooperative_side().map(|_| ("SUBGROUP", self.0.info.subgroup_max_size));
        let constants: Vec<_> = call.constants.iter().copied().chain(subgroup).collect();
        let constants: Vec<_> = constants.iter().map(|(name, v)| (*name, f64::from(*v))).collect();
        let descriptor = wgpu::ComputePipelineDescriptor {
            label: Some(name),
            layout: Some(&parts.layout),
            module: &parts.module,
            entry_point: Some("main"),
            compilation_options: wgpu::PipelineCompilationOptions {
                constants: &constants,
                zero_initialize_workgroup_memory: self.checks(call.kernel),
            },
            cache: None,
        };
        self.scoped(
            || format!("kernel {name} with {:?}", call.constants),
            || self.0.device.create_compute_pipeline(&descriptor),
        )
    }
}
