//! Running a recording: everything is bound once, and the list of dispatches encoded at every run.

use std::borrow::Cow;
use std::num::NonZeroU64;
use std::ops::Range;

use wgpu::{BindGroupEntry, BindingResource, BufferBinding, BufferUsages};

use super::{Buffer, Gpu, memory};
use crate::engine::kernel::{Access, BufferId, NONE};
use crate::engine::recording::{Call, Recording, Step};
use crate::error::{Error, Result};

/// A recording with its memory, pipelines and bind groups.
#[derive(Debug)]
pub struct Program {
    recording: Recording,
    gpu: Gpu,
    dispatches: Vec<Dispatch>,
    /// Indices into `dispatches` in the order they run, loops unrolled.
    order: Vec<u32>,
    /// Ranges of `order`, each one submission.
    submissions: Vec<Range<usize>>,
}

/// A call with its pipeline and bindings.
#[derive(Debug)]
struct Dispatch {
    pipeline: wgpu::ComputePipeline,
    bindings: wgpu::BindGroup,
    workgroups: [u32; 3],
}

/// The most work of a submission. A desktop's watchdog resets a GPU that works on one submission for about two seconds;
/// this is a fraction of that even on a slow integrated GPU.
const MAX_WORK: u64 = 100_000_000_000;
/// The most dispatches of a submission, for the same reason.
const MAX_DISPATCHES: usize = 2000;

/// The work of a call in floating-point operations, a byte moved counted as ten.
fn work(call: &Call) -> u64 {
    call.flops + 10 * call.bytes()
}

impl Program {
    pub(super) fn new(gpu: &Gpu, recording: Recording, variables: &[(BufferId, Buffer)]) -> Result<Self> {
        recording.check()?;
        let bound = |i: usize| variables.iter().find(|(id, _)| id.0 as usize == i).map(|(_, b)| b.clone());
        let memory = recording.buffers.iter().enumerate().map(|(i, spec)| match bound(i) {
            Some(buffer) => Ok(buffer),
            None => Buffer::new(gpu, spec.name(), spec.words),
        });
        let memory = memory.collect::<Result<Vec<_>>>()?;
        let calls = gpu.choose(recording.calls().map(|(call, _)| call))?;
        let (uniforms, slots) = uniforms(gpu, &calls)?;
        let made = calls.iter().zip(&slots).map(|(call, &slot)| {
            check(gpu, call, &recording)?;
            let (pipeline, layout) = gpu.pipeline(call)?;
            let bindings = bind(gpu, call, &memory, &layout, uniform_binding(&uniforms, call, slot))?;
            Ok(Dispatch { pipeline, bindings, workgroups: call.workgroups })
        });
        let dispatches = made.collect::<Result<Vec<_>>>()?;
        let order = unroll(&recording.steps);
        let work: Vec<u64> = calls.iter().map(|call| work(call)).collect();
        let submissions = split(&order, &work);
        Ok(Program { recording, gpu: gpu.clone(), dispatches, order, submissions })
    }

    /// The recording that it runs.
    pub fn recording(&self) -> &Recording {
        &self.recording
    }

    /// Submits one run. Waits only where too many submissions are in flight.
    ///
    /// # Errors
    /// [`Error::Device`] for what wgpu reports, such as a lost device.
    pub fn run(&mut self) -> Result<()> {
        self.gpu.0.errors.check()?;
        for span in 0..self.submissions.len() {
            let mut encoder = self.gpu.0.device.create_command_encoder(&Default::default());
            self.encode(&mut encoder.begin_compute_pass(&Default::default()), span);
            self.gpu.submit(encoder.finish())?;
        }
        Ok(())
    }

    pub(super) fn gpu(&self) -> &Gpu {
        &self.gpu
    }

    /// The number of submissions of a run.
    pub(super) fn submissions(&self) -> usize {
        self.submissions.len()
    }

    /// The dispatches of submission number `span`.
    pub(super) fn encode(&self, pass: &mut wgpu::ComputePass, span: usize) {
        let mut bound = None;
        for &i in &self.order[self.submissions[span].clone()] {
            let dispatch = &self.dispatches[i as usize];
            if bound != Some(&dispatch.pipeline) {
                pass.set_pipeline(&dispatch.pipeline);
                bound = Some(&dispatch.pipeline);
            }
            pass.set_bind_group(0, &dispatch.bindings, &[]);
            let [x, y, z] = dispatch.workgroups;
            pass.dispatch_workgroups(x, y, z);
        }
    }
}

/// The calls' indices in the order they run.
fn unroll(steps: &[Step]) -> Vec<u32> {
    let (mut order, mut next) = (Vec::new(), 0);
    for step in steps {
        let (times, calls) = match step {
            Step::Call(_) => (1, 1),
            Step::Repeat { times, body } => (*times, body.len() as u32),
        };
        for _ in 0..times {
            order.extend(next..next + calls);
        }
        next += calls;
    }
    order
}

/// Cuts a run into submissions of at most [`MAX_WORK`] and [`MAX_DISPATCHES`]. `work` is by call.
fn split(order: &[u32], work: &[u64]) -> Vec<Range<usize>> {
    let mut spans = Vec::new();
    let (mut start, mut sum) = (0, 0u64);
    for (at, &call) in order.iter().enumerate() {
        let more = work[call as usize];
        if at > start && (at - start >= MAX_DISPATCHES || sum.saturating_add(more) > MAX_WORK) {
            spans.push(start..at);
            (start, sum) = (at, 0);
        }
        sum = sum.saturating_add(more);
    }
    if start < order.len() {
        spans.push(start..order.len());
    }
    spans
}

/// Checks what wgpu would only report later, and without the kernel's name.
fn check(gpu: &Gpu, call: &Call, recording: &Recording) -> Result<()> {
    let name = call.kernel.name;
    let fail = |text: String| Err(Error::device(format!("kernel {name}: {text}")));
    let most = gpu.0.limits.max_compute_workgroups_per_dimension;
    if call.workgroups.iter().any(|&groups| groups > most) {
        return fail(format!("{:?} workgroups, the device allows {most} a dimension", call.workgroups));
    }
    let largest = call.args.iter().map(|arg| arg.view).max_by_key(|view| view.words).unwrap_or(NONE);
    let (bytes, most) = (4 * largest.words as u64, gpu.binding_bytes());
    if bytes > most {
        let what = recording.buffers[largest.buffer.0 as usize].name();
        let (bytes, most, device) = (bytes.div_ceil(1 << 20), most >> 20, &gpu.0.info.name);
        return Err(Error::too_large(format!(
            "kernel {name} needs {bytes} MiB of {what}: {device} lets a kernel have {most} MiB in one piece"
        )));
    }
    Ok(())
}

/// One buffer with the uniform blocks of all calls, and the word at which each starts.
fn uniforms(gpu: &Gpu, calls: &[Cow<Call>]) -> Result<(wgpu::Buffer, Vec<usize>)> {
    let align = gpu.0.limits.min_uniform_buffer_offset_alignment.max(16) as usize / 4;
    let (mut words, mut slots) = (Vec::new(), Vec::new());
    for call in calls {
        slots.push(words.len());
        words.extend(&call.params);
        words.resize((words.len().max(slots[slots.len() - 1] + 4)).next_multiple_of(align), 0u32);
    }
    let usage = BufferUsages::UNIFORM | BufferUsages::COPY_DST;
    let made = gpu.scoped(
        || format!("the uniform blocks of {} calls", calls.len()),
        || {
            let buffer = memory::create(&gpu.0.device, "uniforms", words.len(), usage);
            gpu.0.queue.write_buffer(&buffer, 0, bytemuck::cast_slice(&words));
            buffer
        },
    );
    Ok((made?, slots))
}

/// The uniform block of a call, from word `slot` on, a multiple of 16 bytes long.
fn uniform_binding<'a>(uniforms: &'a wgpu::Buffer, call: &Call, slot: usize) -> BindingResource<'a> {
    let words = call.params.len().max(1).next_multiple_of(4);
    binding(uniforms, slot, words)
}

fn binding(buffer: &wgpu::Buffer, offset: usize, words: usize) -> BindingResource<'_> {
    // Whole vectors of four words, for shaders that bind vectors. No view starts in the words added.
    let size = NonZeroU64::new(4 * words.next_multiple_of(4) as u64);
    BindingResource::Buffer(BufferBinding { buffer, offset: 4 * offset as u64, size })
}

fn bind(
    gpu: &Gpu,
    call: &Call,
    memory: &[Buffer],
    layout: &wgpu::BindGroupLayout,
    uniforms: BindingResource,
) -> Result<wgpu::BindGroup> {
    let mut entries = vec![BindGroupEntry { binding: 0, resource: uniforms }];
    for ((arg, declared), i) in call.args.iter().zip(call.kernel.bindings).zip(1..) {
        let resource = if arg.view == NONE && declared.access == Access::Write {
            // Separate words for each binding, since written bindings may not overlap.
            binding(&gpu.0.sink, (i - 1) as usize * NONE.words, NONE.words)
        } else {
            binding(memory[arg.view.buffer.0 as usize].raw(), arg.view.offset, arg.view.words)
        };
        entries.push(BindGroupEntry { binding: i, resource });
    }
    let descriptor = wgpu::BindGroupDescriptor { label: Some(call.kernel.name), layout, entries: &entries };
    gpu.scoped(
        || format!("the bindings of kernel {}", call.kernel.name),
        || gpu.0.device.create_bind_group(&descriptor),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_runs_are_cut() {
        let order: Vec<u32> = (0..5000).map(|i| i % 2).collect();
        assert_eq!(split(&order, &[1, 1]), [0..2000, 2000..4000, 4000..5000]);
        assert_eq!(split(&[0, 1, 1, 0], &[MAX_WORK, 1]), [0..1, 1..3, 3..4]);
        assert_eq!(split(&[0, 0], &[u64::MAX]), [0..1, 1..2]);
        assert_eq!(split(&[], &[]), []);
    }
}
