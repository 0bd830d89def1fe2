//! The GPU back end, on wgpu: Vulkan, Metal and DX12.
//!
//! Everything a recording needs (memory, pipelines, bind groups, uniform blocks) is made when it is compiled. A run
//! encodes the flat list of dispatches and submits it; it encodes anew every time, since a wgpu command buffer can be
//! submitted only once.
//!
//! wgpu reports errors asynchronously and panics by default. Here everything is created in error scopes, and an error
//! that arrives later (a lost device, say) is kept and returned by the next run, write or read.

pub mod adapter;
mod executor;
mod memory;
pub mod pipelines;
mod profiler;
pub mod report;
pub(crate) mod tune;

pub use executor::Program;
pub use memory::Buffer;

use std::cell::RefCell;
use std::collections::VecDeque;
use std::fmt::Display;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::engine::kernel::{BufferId, NONE};
use crate::engine::recording::Recording;
use crate::error::{Error, Result};

/// An open GPU. Clones share it.
#[derive(Debug, Clone)]
pub struct Gpu(Rc<Inner>);

#[derive(Debug)]
struct Inner {
    device: wgpu::Device,
    queue: wgpu::Queue,
    info: wgpu::AdapterInfo,
    limits: wgpu::Limits,
    /// [`Options::checked`].
    checked: bool,
    /// The first error outside of any scope.
    errors: DeviceErrors,
    pipelines: RefCell<pipelines::Pipelines>,
    /// Where set, variants of calls are measured; else each call has number `variant`, or its last.
    tune: RefCell<Option<tune::Tune>>,
    variant: usize,
    /// Whether sums within a workgroup go through subgroups.
    subgroups: bool,
    /// The side of the cooperative matrices that kernels use, if any.
    cooperative_side: Option<u32>,
    /// The host-visible buffer that reads go through.
    staging: RefCell<Option<wgpu::Buffer>>,
    in_flight: RefCell<VecDeque<wgpu::SubmissionIndex>>,
    /// Bound where a call leaves a written binding unused, [`NONE`]'s words for each. The recording's own spare buffer
    /// would not do: wgpu refuses to bind one buffer for reading and for writing in one call.
    sink: wgpu::Buffer,
}

/// How a GPU is opened. What is `None` is as suits the adapter.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Options {
    /// Bounds checks in the kernels and zeroed workgroup memory.
    pub checked: bool,
    /// Whether sums within a workgroup go through subgroups.
    pub subgroups: Option<bool>,
    /// Whether variants with cooperative matrices are taken.
    pub cooperative_matrices: Option<bool>,
    /// The variant of every call that is not measured: its number among those with cooperative matrices where the
    /// device runs any of these, else among the others that it runs; the last where there are fewer.
    pub variant: Option<usize>,
}

/// Submissions in flight before the host waits for the oldest.
const MAX_IN_FLIGHT: usize = 3;

/// The first error outside of any error scope, from whatever thread wgpu calls back on.
#[derive(Debug, Clone, Default)]
struct DeviceErrors(Arc<Mutex<Option<String>>>);

impl DeviceErrors {
    fn set(&self, text: impl Display) {
        let mut first = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if first.is_none() {
            *first = Some(text.to_string());
        }
    }

    fn check(&self) -> Result<()> {
        match self.0.lock().unwrap_or_else(PoisonError::into_inner).as_ref() {
            Some(text) => Err(Error::device(text.clone())),
            None => Ok(()),
        }
    }
}

/// The adapter's device with what kernels use of its features, and the side of the cooperative matrices that it has.
fn request(
    adapter: &wgpu::Adapter,
    limits: &wgpu::Limits,
) -> Result<(wgpu::Device, wgpu::Queue, Option<u32>)> {
    // Optional: time stamps measure, and kernels use subgroups where there are some.
    let features = adapter.features() & (wgpu::Features::TIMESTAMP_QUERY | wgpu::Features::SUBGROUP);
    let plain = wgpu::DeviceDescriptor {
        label: Some("smoothenc"),
        required_features: features,
        required_limits: limits.clone(),
        ..Default::default()
    };
    let with_cooperative = wgpu::DeviceDescriptor {
        required_features: features | adapter::COOPERATIVE_FEATURES,
        // SAFETY: only the interface is experimental. Where a driver has cooperative matrices, kernels that stay within
        // their bindings are as safe as others.
        experimental_features: unsafe { wgpu::ExperimentalFeatures::enabled() },
        ..plain.clone()
    };
    let open = |descriptor| pollster::block_on(adapter.request_device(descriptor));
    if let Some(side) = adapter::cooperative_side(adapter)
        && let Ok((device, queue)) = open(&with_cooperative)
    {
        return Ok((device, queue, Some(side)));
    }
    match open(&plain) {
        Ok((device, queue)) => Ok((device, queue, None)),
        Err(e) => Err(Error::device(format!("{} does not open: {e}", adapter.get_info().name))),
    }
}

impl Gpu {
    /// Opens an adapter.
    ///
    /// # Errors
    /// [`Error::Request`] for an adapter that cannot run the kernels or lacks what the options ask for;
    /// [`Error::Device`] for one that does not open.
    pub fn open(adapter: &wgpu::Adapter, options: Options) -> Result<Self> {
        let info = adapter.get_info();
        let limits = adapter::limits(adapter);
        if let Some(why) = adapter::lacks(&limits) {
            let what = format!("{} cannot run the kernels ({why})", info.name);
            return Err(Error::request(what).with_hint("use `device` cpu"));
        }
        let (device, queue, cooperative_side) = request(adapter, &limits)?;
        let errors = DeviceErrors::default();
        let (on_error, on_loss) = (errors.clone(), errors.clone());
        device.on_uncaptured_error(Arc::new(move |error| on_error.set(error)));
        device.set_device_lost_callback(move |_, message| {
            on_loss.set(format!("the GPU was lost {message}").trim_end())
        });
        let is_real = adapter::is_real(&info);
        let lacks = |what| Err(Error::request(format!("{} has no {what}", info.name)));
        let subgroups = match options.subgroups {
            Some(true) if !device.features().contains(wgpu::Features::SUBGROUP) => return lacks("subgroups"),
            wanted => wanted.unwrap_or(adapter::uses_subgroups(&info, adapter.features())),
        };
        let cooperative_side = match options.cooperative_matrices {
            Some(true) if cooperative_side.is_none() => return lacks("cooperative matrices"),
            wanted => cooperative_side.filter(|_| wanted.unwrap_or(is_real)),
        };
        let variant = options.variant.unwrap_or(if is_real { 0 } else { usize::MAX });
        let sink =
            memory::create(&device, "sink", adapter::STORAGE_BUFFERS as usize * NONE.words, memory::STORAGE);
        errors.check()?;
        Ok(Gpu(Rc::new(Inner {
            device,
            queue,
            info,
            limits,
            checked: options.checked,
            errors,
            pipelines: RefCell::default(),
            tune: RefCell::new(None),
            variant,
            subgroups,
            cooperative_side,
            staging: RefCell::new(None),
            in_flight: RefCell::default(),
            sink,
        })))
    }

    /// One line for people: the adapter and its API.
    pub fn description(&self) -> String {
        let info = &self.0.info;
        let checks = if self.0.checked { ", bounds checks on" } else { "" };
        format!("{} ({}, {}{checks})", info.name, info.backend, report::kind(info))
    }

    /// Destroys the device. Programs then return errors, as after a lost device.
    pub fn destroy(&self) {
        self.0.device.destroy();
    }

    /// New zeroed memory of `words` words. Errors call it `name`.
    ///
    /// # Errors
    /// [`Error::TooLarge`] beyond the device's limit; [`Error::Device`] for what wgpu reports.
    pub fn buffer(&self, name: &str, words: usize) -> Result<Buffer> {
        Buffer::new(self, name, words)
    }

    /// Makes `recording` ready to run; see [`crate::engine::device::Device::compile`].
    ///
    /// # Errors
    /// As [`crate::engine::device::Device::compile`].
    pub fn compile(&self, recording: Recording, variables: Vec<(BufferId, Buffer)>) -> Result<Program> {
        Program::new(self, recording, &variables)
    }

    /// Runs `make` in error scopes; returns the first wgpu error, prefixed by `what`.
    fn scoped<T>(&self, what: impl Fn() -> String, make: impl FnOnce() -> T) -> Result<T> {
        self.0.errors.check()?;
        let filters =
            [wgpu::ErrorFilter::Internal, wgpu::ErrorFilter::OutOfMemory, wgpu::ErrorFilter::Validation];
        let scopes = filters.map(|filter| self.0.device.push_error_scope(filter));
        let made = make();
        // Scopes end in reverse order.
        let errors = scopes.into_iter().rev().filter_map(|scope| pollster::block_on(scope.pop()));
        match errors.collect::<Vec<_>>().first() {
            Some(error) => Err(Error::device(format!("{}: {}", what(), full_text(error)))),
            None => {
                self.0.errors.check()?;
                Ok(made)
            }
        }
    }

    /// Submits commands. Waits only where more than [`MAX_IN_FLIGHT`] submissions are in flight.
    fn submit(&self, commands: wgpu::CommandBuffer) -> Result<()> {
        let index = self.0.queue.submit([commands]);
        self.0.errors.check()?;
        let oldest = {
            let mut in_flight = self.0.in_flight.borrow_mut();
            in_flight.push_back(index);
            if in_flight.len() > MAX_IN_FLIGHT { in_flight.pop_front() } else { None }
        };
        match oldest {
            Some(index) => self.wait(Some(index)),
            None => Ok(()),
        }
    }

    /// Waits for a submission, or for all of them.
    fn wait(&self, submission: Option<wgpu::SubmissionIndex>) -> Result<()> {
        loop {
            let timeout = Some(Duration::from_secs(10));
            let wait = wgpu::PollType::Wait { submission_index: submission.clone(), timeout };
            // wgpu panics in `poll` where the device is lost during the wait.
            match catch_unwind(AssertUnwindSafe(|| self.0.device.poll(wait))) {
                Ok(Ok(_)) => return self.0.errors.check(),
                Ok(Err(wgpu::PollError::Timeout)) => self.0.errors.check()?,
                Ok(Err(error)) => {
                    self.0.errors.set(error);
                    return self.0.errors.check();
                }
                Err(_) => {
                    self.0.errors.set("the GPU was lost while the program waited for it");
                    return self.0.errors.check();
                }
            }
        }
    }
}

/// An error with its causes, on one line.
fn full_text(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let inner_text = inner.to_string();
        if !text.contains(&inner_text) {
            text = format!("{text}: {inner_text}");
        }
        cause = inner.source();
    }
    text.lines().map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join(" ")
}
