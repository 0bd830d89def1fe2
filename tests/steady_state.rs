//! A training step in its steady state: a fixed number of kernel calls, and memory that stays as it is.

#[path = "common/gpu.rs"]
mod gpu;

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};

use smoothenc::data::Images;
use smoothenc::engine::device::{self, Device};
use smoothenc::engine::graph::plan;
use smoothenc::method::{Table, Trainer, training_graph};
use smoothenc::runs::recipe;

use smoothenc::runs::config::{Config, Norm};

/// The system's allocator, counting.
struct Counting;

static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);
static LIVE_BYTES: AtomicI64 = AtomicI64::new(0);

// SAFETY: hands everything on to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Relaxed);
        LIVE_BYTES.fetch_add(layout.size() as i64, Relaxed);
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        LIVE_BYTES.fetch_sub(layout.size() as i64, Relaxed);
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

fn trainer(device: Device, selection_steps: usize) -> Trainer {
    let config = Config {
        selection_steps,
        batch: 24,
        latent: 5,
        hidden: vec![20, 12],
        iterations: 5000,
        ..Config::default()
    };
    let pixels = (0..50 * 64).map(|i| (i * 31 % 256) as u8).collect();
    let images = Images::new([1, 8, 8], pixels);
    let vae = recipe::model(&config, images.shape()).unwrap();
    Trainer::new(device, vae, &recipe::training(&config).unwrap(), &images).unwrap()
}

fn steps(trainer: &mut Trainer, count: usize) {
    (0..count).for_each(|_| trainer.step().unwrap());
    trainer.steps_done().unwrap(); // Waits for the device.
}

/// The tests count what the whole process allocates, so they take turns.
static TURN: Mutex<()> = Mutex::new(());

fn turn() -> MutexGuard<'static, ()> {
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Allocations and bytes gained over 1,000 steps, once everything is warm.
fn gained(trainer: &mut Trainer) -> (u64, i64) {
    steps(trainer, 300);
    let before = (ALLOCATIONS.load(Relaxed), LIVE_BYTES.load(Relaxed));
    steps(trainer, 1000);
    (ALLOCATIONS.load(Relaxed) - before.0, LIVE_BYTES.load(Relaxed) - before.1)
}

fn a_step_on_the_cpu_allocates_nothing() {
    let _turn = turn();
    let (allocations, bytes) = gained(&mut trainer(device::open("cpu", false).unwrap(), 5));
    // Not of the steps: the threads' work queues, now and then.
    assert!(allocations < 50, "{allocations} allocations in 1,000 steps");
    assert!(bytes < 4096, "{bytes} bytes more after 1,000 steps");
}

/// wgpu makes a command encoder a step and drops it; nothing stays.
fn memory_stays_as_it_is_on_the_gpu() {
    let _turn = turn();
    let (_, bytes) = gained(&mut trainer(gpu::open().unwrap(), 5));
    assert!(bytes < 65536, "{bytes} bytes more after 1,000 steps");
}

/// The selection is one call, however many steps it takes.
fn calls_a_step_do_not_depend_on_the_selection_steps() {
    let _turn = turn();
    let calls = |selection_steps| trainer(device::open("cpu", false).unwrap(), selection_steps).dispatches();
    assert_eq!(calls(1), calls(50));
    assert_eq!(calls(20), CALLS);
}

/// At batch 2048 a longer ascent is cut into several calls.
fn memory_does_not_depend_on_the_selection_steps() {
    let _turn = turn();
    let images = Images::new([1, 28, 28], vec![0; 4096 * 784]);
    let table = Table::whole("train.images", &images);
    for selection_norm in [Norm::Linf, Norm::L2] {
        let scratch_and_ascents = |selection_steps| {
            let config = Config { selection_steps, selection_norm, batch: 2048, ..Config::default() };
            let vae = recipe::model(&config, images.shape()).unwrap();
            let training = recipe::training(&config).unwrap();
            let graph = training_graph(&vae, &training, &table, Some(images.count)).unwrap();
            let planned = plan(&graph);
            let ascents = planned.recording.calls().filter(|(call, _)| call.kernel.name == "pgd_mlp");
            (planned.scratch_words, ascents.map(|(_, times)| times).sum::<usize>())
        };
        let [(least, one), (five, _), (twenty, _), (most, several)] = [1, 5, 20, 50].map(scratch_and_ascents);
        assert!(one == 1 && several > 1, "{selection_norm:?}: {one} and {several} calls");
        assert_eq!([five, twenty, most], [least; 3], "{selection_norm:?}");
    }
}

/// Kernel calls of a step with two hidden layers. One more costs every GPU a launch a step.
const CALLS: usize = 52;

fn main() {
    gpu::main(&[
        ("a_step_on_the_cpu_allocates_nothing", false, a_step_on_the_cpu_allocates_nothing),
        ("memory_stays_as_it_is_on_the_gpu", true, memory_stays_as_it_is_on_the_gpu),
        (
            "calls_a_step_do_not_depend_on_the_selection_steps",
            false,
            calls_a_step_do_not_depend_on_the_selection_steps,
        ),
        (
            "memory_does_not_depend_on_the_selection_steps",
            false,
            memory_does_not_depend_on_the_selection_steps,
        ),
    ]);
}
