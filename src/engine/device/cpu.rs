//! The CPU back end: rows of every call spread over threads.
//!
//! A call is cut into tiles of rows. The call's shape says how, so results do not depend on the number of threads.
//! Where a row's results do not depend on the rows of its tile either, fewer threads take larger tiles. A loop in
//! which no row depends on another is cut once, around the loop: each thread carries its tile through all iterations
//! without waiting for others.

mod team;

use std::cell::UnsafeCell;
use std::ops::Range;
use std::rc::Rc;

use crate::engine::kernel::{Access, Arg, BufferId, CpuTile, NONE, Scope};
use crate::engine::recording::{Call, Recording, Step};
use crate::engine::simd;
use crate::error::Result;
use crate::memory;
use bytemuck::Zeroable;
use team::{Cut, Team};

/// The CPU device.
#[derive(Debug, Clone)]
pub struct Cpu {
    /// The most threads of a run.
    threads: usize,
}

impl Cpu {
    /// With at most so many threads of rayon's pool; results are the same for any number.
    pub fn with_threads(threads: usize) -> Self {
        Cpu { threads: threads.max(1) }
    }

    /// The threads of a run.
    pub fn threads(&self) -> usize {
        self.threads.min(rayon::current_num_threads())
    }

    /// One line for people: the threads and the instruction set.
    pub fn description(&self) -> String {
        format!("CPU backend ({} threads, {})", self.threads(), simd::instruction_set().name())
    }

    pub(super) fn buffer(&self, name: &str, words: usize) -> Result<Buffer> {
        Buffer::zeroed(name, words)
    }

    pub(super) fn compile(
        &self,
        recording: Recording,
        variables: Vec<(BufferId, Buffer)>,
    ) -> Result<Program> {
        recording.check()?;
        let memory = recording.buffers.iter().enumerate().map(|(i, spec)| {
            match variables.iter().find(|(id, _)| id.0 as usize == i) {
                Some((_, bound)) => Ok(bound.clone()),
                None => Buffer::zeroed(spec.name(), spec.words),
            }
        });
        let memory = memory.collect::<Result<Vec<_>>>()?;
        let cuts = recording.steps.iter().map(|step| match step {
            Step::Call(_) => None,
            Step::Repeat { body, .. } => row_local(body),
        });
        let base = Base(memory.iter().map(Buffer::pointer).collect());
        Ok(Program { threads: self.threads(), cuts: cuts.collect(), recording, base, _memory: memory })
    }
}

/// The processor's name, where it tells.
pub fn processor() -> Option<String> {
    #[cfg(target_arch = "x86_64")]
    let name = {
        // The name is in three leaves of 16 letters.
        // SAFETY: every 64-bit processor of this architecture has `cpuid`.
        #[allow(unused_unsafe, reason = "newer compilers know that")]
        let leaf = |number| unsafe { std::arch::x86_64::__cpuid(number) };
        let leaves = if leaf(0x8000_0000).eax >= 0x8000_0004 { 0x8000_0002..0x8000_0005 } else { 0..0 };
        let words = leaves.map(leaf).flat_map(|r| [r.eax, r.ebx, r.ecx, r.edx]);
        let bytes: Vec<u8> = words.flat_map(u32::to_le_bytes).take_while(|byte| *byte != 0).collect();
        String::from_utf8_lossy(&bytes).into_owned()
    };
    #[cfg(not(target_arch = "x86_64"))]
    let name = {
        let told = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let line = told.lines().find(|line| line.starts_with("model name"));
        line.and_then(|line| line.split_once(':')).map_or(String::new(), |(_, name)| name.to_string())
    };
    let name = name.split_whitespace().collect::<Vec<_>>().join(" ");
    (!name.is_empty()).then_some(name)
}

impl Default for Cpu {
    /// With all threads.
    fn default() -> Self {
        Cpu::with_threads(usize::MAX)
    }
}

/// A cache line: memory is aligned to it, for vector loads.
#[derive(Debug, Clone, Copy, Zeroable)]
#[repr(C, align(64))]
struct Line([u32; 16]);

/// Shared memory. `Rc` keeps it, and every program over it, on the thread that owns the run.
#[derive(Debug, Clone)]
pub struct Buffer {
    lines: Rc<UnsafeCell<Vec<Line>>>,
    words: usize,
}

impl Buffer {
    fn zeroed(what: &str, words: usize) -> Result<Self> {
        let lines = memory::zeroed(what, words.div_ceil(16))?;
        Ok(Buffer { lines: Rc::new(UnsafeCell::new(lines)), words })
    }

    /// Its size in words.
    pub fn words(&self) -> usize {
        self.words
    }

    fn pointer(&self) -> *mut u32 {
        // SAFETY: only the pointer is taken; the vector is never resized.
        unsafe { (*self.lines.get()).as_mut_ptr().cast() }
    }

    pub(super) fn write(&self, offset: usize, data: &[u32]) {
        assert!(offset <= self.words && data.len() <= self.words - offset);
        // SAFETY: in bounds; not `Send`, so no run is under way.
        unsafe { self.pointer().add(offset).copy_from_nonoverlapping(data.as_ptr(), data.len()) }
    }

    pub(super) fn read(&self, offset: usize, data: &mut [u32]) {
        assert!(offset <= self.words && data.len() <= self.words - offset);
        // SAFETY: as in `write`.
        unsafe { data.as_mut_ptr().copy_from_nonoverlapping(self.pointer().add(offset), data.len()) }
    }
}

/// A recording with its memory.
#[derive(Debug)]
pub struct Program {
    threads: usize,
    recording: Recording,
    /// For each step that is a loop cut by rows.
    cuts: Vec<Option<Cut>>,
    base: Base,
    /// The memory that `base` points to.
    _memory: Vec<Buffer>,
}

/// The buffers' addresses, handed to the threads of one run.
#[derive(Debug)]
struct Base(Vec<*mut u32>);

// SAFETY: the memory outlives the run, and `run` cuts it into disjoint rows.
unsafe impl Sync for Base {}

impl Program {
    /// The recording that it runs.
    pub fn recording(&self) -> &Recording {
        &self.recording
    }

    /// Runs the recording once.
    pub fn run(&mut self) {
        let (base, steps, cuts) = (&self.base, &self.recording.steps, &self.cuts);
        Team::run(self.threads, |team| {
            let run_tiles = |call| team.for_tiles(cut_of(call), |rows| run_rows(call, base, rows));
            for (step, cut) in steps.iter().zip(cuts) {
                match (step, cut) {
                    (Step::Call(call), _) => run_tiles(call),
                    (Step::Repeat { times, body }, Some(cut)) => team.for_tiles(*cut, |rows| {
                        for call in std::iter::repeat_n(body, *times).flatten() {
                            run_rows(call, base, rows.clone());
                        }
                    }),
                    (Step::Repeat { times, body }, None) => {
                        std::iter::repeat_n(body, *times).flatten().for_each(run_tiles);
                    }
                }
            }
        });
    }
}

fn cut_of(call: &Call) -> Cut {
    Cut { rows: call.rows, tile: call.tile, most: call.most }
}

fn run_rows(call: &Call, base: &Base, rows: Range<usize>) {
    // SAFETY: `compile` has checked the recording; `base` points to every buffer of it, of as many words. Tiles that
    // run at the same time have other rows, of this call or, in a loop cut by rows, of others like it.
    let tile = unsafe { CpuTile::new(call.parts(), &base.0, rows) };
    (call.kernel.cpu)(tile);
}

/// How a loop body in which row r of every call reads only row r of what the body writes is cut by rows once, around
/// the loop; else `None`.
fn row_local(body: &[Call]) -> Option<Cut> {
    let rows = body.first()?.rows;
    let args = || body.iter().flat_map(|call| call.args.iter().zip(call.kernel.bindings));
    let written = args().filter(|(arg, binding)| binding.access == Access::Write && arg.view != NONE);
    let written: Vec<&Arg> = written.map(|(arg, _)| arg).collect();
    // Row r of a buffer that the body writes must be the same words in every call.
    let stays_in_row = |arg: &Arg| {
        let mut shared = written.iter().filter(|other| other.view.buffer == arg.view.buffer);
        shared.all(|other| other.view == arg.view && other.scope == arg.scope && arg.scope != Scope::Whole)
    };
    let local = body.iter().all(|call| call.rows == rows) && args().all(|(arg, _)| stays_in_row(arg));
    // A single call is cut as outside of a loop.
    let together = Cut { rows, tile: LOOP_TILE, most: LOOP_TILE };
    local.then_some(if let [call] = body { cut_of(call) } else { together })
}

/// Rows that a thread carries through a loop, so that what passes between its calls stays in a cache.
const LOOP_TILE: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::kernel::View;

    crate::kernel! {
        static COPY: "copy" {
            wgsl: [],
            params: {},
            constants: {},
            bindings: { x: read f32, y: write f32 },
            cpu: nothing,
        }
    }

    fn nothing(_: Tile) {}

    fn view(buffer: u32, width: usize) -> View {
        View { buffer: BufferId(buffer), offset: 0, words: 64 * width }
    }

    fn copy(from: View, to: View) -> Call {
        let args = Args { x: from.by_row(), y: to.by_row() };
        args.call(Params {}, Constants {}).grid(64, 16, [1, 1, 1])
    }

    #[test]
    fn a_loop_is_cut_by_rows_only_where_a_row_is_the_same_words_throughout() {
        let aligned = [copy(view(1, 8), view(2, 4)), copy(view(2, 4), view(1, 8))];
        let cut = |tile| Some(Cut { rows: 64, tile, most: tile });
        assert_eq!(row_local(&aligned), cut(LOOP_TILE));
        // Buffer 2 holds rows of 4 words, then rows of 8: row 16 of the one is row 8 of the other.
        let shifted =
            [copy(view(1, 8), view(2, 4)), copy(view(2, 4), view(3, 8)), copy(view(3, 8), view(2, 8))];
        assert_eq!(row_local(&shifted), None);
        // What the body only reads may be read in any way.
        let read = [copy(view(1, 8), view(2, 4)), copy(view(1, 4), view(3, 8))];
        assert_eq!(row_local(&read), cut(LOOP_TILE));
        assert_eq!(row_local(&read[..1]), cut(16));
    }
}
