//! The CPU back end: rows of every call spread over threads.
//!
//! A call is cut into tiles of rows whose size its shape fixes, so results are the same for any
//! number of threads. A loop in which no row depends on another row is cut once, around the
//! loop: each thread then carries its tile through all repetitions without waiting for others.

use std::cell::UnsafeCell;
use std::ops::Range;
use std::rc::Rc;

use rayon::prelude::*;

use crate::error::{Error, Result};
use crate::recording::{Access, Arg, BufferId, Call, CpuCall, Recording, Scope, Step, View};

/// The CPU device.
#[derive(Debug, Clone)]
pub struct Cpu;

impl Cpu {
    pub fn description(&self) -> String {
        format!("CPU backend ({} threads, {})", rayon::current_num_threads(), simd_path())
    }

    pub fn buffer(&self, words: usize) -> Buffer {
        Buffer::zeroed(words)
    }

    pub fn compile(&self, recording: Recording, variables: Vec<(BufferId, Buffer)>) -> Result<Program> {
        recording.check()?;
        let memory = recording.buffers.iter().enumerate().map(|(i, spec)| {
            let Some((_, bound)) = variables.iter().find(|(id, _)| id.0 as usize == i) else {
                return Ok(Buffer::zeroed(spec.words));
            };
            if bound.words() < spec.words {
                let (have, name) = (bound.words(), spec.variable.as_deref().unwrap_or_default());
                return Err(Error::Device(format!(
                    "{name} has {have} words, a program wants {}",
                    spec.words
                )));
            }
            Ok(bound.clone())
        });
        let memory = memory.collect::<Result<_>>()?;
        Ok(Program { recording, memory })
    }
}

/// The widest instruction set the matrix product uses here; part of what fixes a run's bits.
pub fn simd_path() -> &'static str {
    #[cfg(target_arch = "x86_64")]
    {
        if std::arch::is_x86_feature_detected!("avx512f") {
            return "AVX-512";
        }
        if std::arch::is_x86_feature_detected!("fma") {
            return "AVX2+FMA";
        }
    }
    #[cfg(target_arch = "aarch64")]
    {
        return "NEON";
    }
    #[allow(unreachable_code)]
    "portable"
}

/// A cache line, so that rows start where vector loads like it.
#[derive(Debug, Clone, Copy)]
#[repr(C, align(64))]
struct Line([u32; 16]);

/// Shared memory. `Rc` keeps it, and every program over it, on the thread that owns the run.
#[derive(Debug, Clone)]
pub struct Buffer {
    lines: Rc<UnsafeCell<Vec<Line>>>,
    words: usize,
}

impl Buffer {
    fn zeroed(words: usize) -> Self {
        let lines = vec![Line([0; 16]); words.div_ceil(16)];
        Buffer { lines: Rc::new(UnsafeCell::new(lines)), words }
    }

    pub fn words(&self) -> usize {
        self.words
    }

    fn pointer(&self) -> *mut u32 {
        // SAFETY: only the pointer is taken; the vector is never resized.
        unsafe { (*self.lines.get()).as_mut_ptr().cast() }
    }

    pub fn write(&self, offset: usize, data: &[u32]) {
        assert!(offset + data.len() <= self.words);
        // SAFETY: in bounds; not `Send`, so no run is under way.
        unsafe { self.pointer().add(offset).copy_from_nonoverlapping(data.as_ptr(), data.len()) }
    }

    pub fn read(&self, offset: usize, data: &mut [u32]) {
        assert!(offset + data.len() <= self.words);
        // SAFETY: as in `write`.
        unsafe { data.as_mut_ptr().copy_from_nonoverlapping(self.pointer().add(offset), data.len()) }
    }
}

/// A recording with its memory.
#[derive(Debug)]
pub struct Program {
    recording: Recording,
    memory: Vec<Buffer>,
}

/// The buffers' addresses, handed to the threads of one run.
struct Base(Vec<*mut u32>);

// SAFETY: the memory outlives the run, and `run` cuts it into disjoint rows.
unsafe impl Sync for Base {}

impl Program {
    pub fn recording(&self) -> &Recording {
        &self.recording
    }

    pub fn run(&mut self) {
        let base = Base(self.memory.iter().map(Buffer::pointer).collect());
        let (base, steps) = (&base, &self.recording.steps);
        // The whole list runs inside the pool, so that a call costs a join and not a wake-up.
        rayon::scope(|_| {
            for step in steps {
                match step {
                    Step::Call(call) => for_tiles(call.rows, call.tile, |rows| run_rows(call, base, rows)),
                    Step::Repeat { times, body } => match row_local(body) {
                        Some((rows, tile)) => for_tiles(rows, tile, |rows| {
                            for call in std::iter::repeat_n(body, *times).flatten() {
                                run_rows(call, base, rows.clone());
                            }
                        }),
                        None => {
                            for call in std::iter::repeat_n(body, *times).flatten() {
                                for_tiles(call.rows, call.tile, |rows| run_rows(call, base, rows));
                            }
                        }
                    },
                }
            }
        });
    }
}

fn run_rows(call: &Call, base: &Base, rows: Range<usize>) {
    // SAFETY: `base` holds a valid pointer for every buffer of the recording, and tiles are disjoint.
    let view = unsafe { CpuCall::new(call, &base.0) };
    (call.kernel.cpu)(&view, rows);
}

/// Runs `work` on every tile of `rows`, in parallel where there is more than one.
fn for_tiles(rows: usize, tile: usize, work: impl Fn(Range<usize>) + Sync) {
    let tiles = rows.div_ceil(tile);
    if tiles <= 1 {
        return work(0..rows);
    }
    (0..tiles).into_par_iter().for_each(|t| work(t * tile..rows.min((t + 1) * tile)));
}

/// The rows and tile of a loop body in which row r of every call needs only row r of what the
/// body writes, so that the loop can be cut by rows once; else `None`.
fn row_local(body: &[Call]) -> Option<(usize, usize)> {
    let rows = body.first()?.rows;
    let args = || body.iter().flat_map(|call| call.args.iter().zip(call.kernel.bindings));
    let written: Vec<View> = args().filter(|(_, a)| **a == Access::Write).map(|(arg, _)| arg.view).collect();
    // Row r of a buffer that the body writes must be the same words in every call.
    let stays_in_row = |arg: &Arg| {
        let mut overlapping = written.iter().filter(|view| view.buffer == arg.view.buffer).peekable();
        let shared = overlapping.peek().is_some();
        overlapping.all(|view| *view == arg.view) && !(shared && arg.scope == Scope::Whole)
    };
    let local = body.iter().all(|call| call.rows == rows) && args().all(|(arg, _)| stays_in_row(arg));
    local.then_some((rows, LOOP_TILE))
}

/// Rows that a thread carries through a loop.
const LOOP_TILE: usize = 32;
