//! The threads that run a program together.
//!
//! A program is a list of short calls: of a training step, tens of microseconds each. A pool that is asked for help
//! with every call puts its threads to sleep in between, and waking one takes as long as a call. Here helpers join
//! once, for a whole run, and wait for the next call by spinning. The leader never waits for a helper to come, only
//! for tiles that one has claimed, so a run ends also where all other threads are busy. A kernel must not use the
//! pool itself: a thread that waits for it could begin to help, and would help until the run is over.

use std::cell::Cell;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// Rows, and how they are cut into tiles.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cut {
    /// All rows.
    pub rows: usize,
    /// Rows of the smallest tile.
    pub tile: usize,
    /// Rows of the largest.
    pub most: usize,
}

impl Cut {
    /// Rows of a tile for so many threads.
    fn rows_for(self, threads: usize) -> usize {
        let share = self.rows.div_ceil(threads);
        if share <= self.most {
            return share.next_multiple_of(self.tile);
        }
        // Several tiles a thread, down to three quarters of the largest where that shares the rows more evenly.
        let longest = |tile: &usize| self.rows.div_ceil(*tile).div_ceil(threads) * tile;
        let tiles = (1..=self.most / self.tile).rev().map(|many| many * self.tile);
        tiles.take_while(|tile| 4 * tile >= 3 * self.most).min_by_key(longest).unwrap_or(self.most)
    }
}

/// What the threads do with a tile's rows.
type Work<'a> = dyn Fn(Range<usize>) + Sync + 'a;

/// The tiles that are being worked on.
#[derive(Clone, Copy)]
struct Tiles {
    work: *const Work<'static>,
    rows: usize,
    tile: usize,
    count: usize,
}

/// The leader of a run, and what its helpers see.
pub struct Team {
    /// The number of the current tiles in the upper half, counted from 1, and how many of them nobody has claimed yet
    /// in the lower. `OVER` at the end of the run.
    unclaimed: AtomicU64,
    /// How many of the current tiles are done.
    done: AtomicUsize,
    /// Written by the leader while no tile is claimed, and read only for a tile that is claimed.
    tiles: Cell<Option<Tiles>>,
    threads: usize,
}

// SAFETY: `tiles` is only read by who has claimed one of them, and only written while none is claimed. `claim` reads
// what `for_tiles` has released, and `for_tiles` waits for what every claim releases when it is done.
unsafe impl Sync for Team {}

const OVER: u64 = u64::MAX;

/// Rounds of spinning before a thread that waits lets others run.
const SPINS: u32 = 200;

impl Team {
    /// Runs `lead` on a thread of rayon's pool, with others as helpers: `threads` in all.
    pub fn run(threads: usize, lead: impl FnOnce(&Team) + Send) {
        let team =
            Team { unclaimed: AtomicU64::new(0), done: AtomicUsize::new(0), tiles: Cell::new(None), threads };
        let lead = || {
            // Also where `lead` panics, so that helpers go home.
            let _over = OnDrop(|| team.unclaimed.store(OVER, Ordering::Release));
            lead(&team);
        };
        rayon::join(lead, || team.helpers(threads - 1));
    }

    /// Lets so many threads help, each of which asks for the next one. A `scope` would allocate memory for each.
    fn helpers(&self, count: usize) {
        if count > 0 {
            rayon::join(|| self.help(), || self.helpers(count - 1));
        }
    }

    /// Runs `work` on every tile of `cut`, in parallel where there is more than one.
    pub fn for_tiles(&self, cut: Cut, work: impl Fn(Range<usize>) + Sync) {
        let (rows, tile) = (cut.rows, cut.rows_for(self.threads));
        let count = rows.div_ceil(tile);
        if count <= 1 || self.threads == 1 {
            (0..count).for_each(|t| work(t * tile..rows.min((t + 1) * tile)));
            return;
        }
        let work: &Work = &work;
        // SAFETY: only the lifetime changes. The work is called for tiles that are claimed, and all of these are done
        // when this function returns.
        let work = unsafe { std::mem::transmute::<*const Work, *const Work<'static>>(work) };
        self.tiles.set(Some(Tiles { work, rows, tile, count }));
        self.done.store(0, Ordering::Relaxed);
        let number = (self.unclaimed.load(Ordering::Relaxed) >> 32) + 1;
        assert!(count < u32::MAX as usize, "{count} tiles");
        self.unclaimed.store(number << 32 | count as u64, Ordering::Release);
        // Also where a tile panics here: those that nobody has claimed are given up, and the others waited for. Where
        // one panics at a helper, the run ends with the panic.
        let finished = OnDrop(|| {
            let given_up = self.unclaimed.swap(number << 32, Ordering::Relaxed) as u32 as usize;
            let mut spins = 0;
            while self.done.load(Ordering::Acquire) < count - given_up {
                wait(&mut spins);
            }
        });
        while self.claim() {}
        drop(finished);
    }

    /// Claims a tile and works on it; `false` where none is left.
    fn claim(&self) -> bool {
        let mut seen = self.unclaimed.load(Ordering::Relaxed);
        loop {
            let left = seen as u32 as usize;
            if left == 0 || seen == OVER {
                return false;
            }
            match self.unclaimed.compare_exchange_weak(seen, seen - 1, Ordering::Acquire, Ordering::Relaxed) {
                Err(now) => seen = now,
                Ok(_) => {
                    let _done = OnDrop(|| {
                        self.done.fetch_add(1, Ordering::Release);
                    });
                    let Some(Tiles { work, rows, tile, count }) = self.tiles.get() else { return false };
                    let start = (count - left) * tile;
                    // SAFETY: `for_tiles` keeps the work until this tile is done.
                    unsafe { (*work)(start..rows.min(start + tile)) };
                    return true;
                }
            }
        }
    }

    /// Works on tiles until the run is over.
    fn help(&self) {
        let mut spins = 0;
        while self.unclaimed.load(Ordering::Relaxed) != OVER {
            match self.claim() {
                true => spins = 0,
                false => wait(&mut spins),
            }
        }
    }
}

fn wait(spins: &mut u32) {
    *spins += 1;
    match *spins < SPINS {
        true => std::hint::spin_loop(),
        false => std::thread::yield_now(),
    }
}

/// Calls its function when it goes out of scope, by a panic too.
struct OnDrop<F: FnMut()>(F);

impl<F: FnMut()> Drop for OnDrop<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, AtomicU32};
    use std::thread;
    use std::time::{Duration, Instant};

    use super::*;

    #[test]
    fn fewer_threads_take_larger_tiles() {
        let cut = Cut { rows: 128, tile: 16, most: 64 };
        assert_eq!([1, 2, 3, 7, 64].map(|threads| cut.rows_for(threads)), [64, 64, 48, 32, 16]);
        // Two threads: 5 tiles each of 48 rows, in place of 4 and 3 of 64.
        assert_eq!(Cut { rows: 446, ..cut }.rows_for(2), 48);
        assert_eq!(Cut { rows: 1000, ..cut }.rows_for(2), 64);
        // All rows at once for one thread, also where they are no whole tiles.
        let all = Cut { rows: 200, tile: 6, most: 200 };
        assert_eq!([1, 2].map(|threads| all.rows_for(threads)), [204, 102]);
        let fixed = Cut { rows: 5, tile: 16, most: 16 };
        assert_eq!(fixed.rows_for(2), 16);
    }

    /// Runs many short calls, of 1 to 40 tiles, and checks that each row is taken once in each.
    fn short_calls(times: u32) {
        let rows: Vec<AtomicU32> = (0..400).map(|_| AtomicU32::new(0)).collect();
        Team::run(rayon::current_num_threads(), |team| {
            for call in 0..times {
                let cut = Cut { rows: 1 + 40 * (call as usize % 10), tile: 10, most: 10 };
                team.for_tiles(cut, |range| {
                    range.for_each(|row| {
                        rows[row].fetch_add(1, Ordering::Relaxed);
                    });
                });
                for (i, row) in rows.iter().enumerate() {
                    let taken = row.swap(0, Ordering::Relaxed);
                    assert_eq!(taken, u32::from(i < cut.rows), "call {call}, row {i}");
                }
            }
        });
    }

    #[test]
    fn every_row_of_every_call_is_taken_once() {
        short_calls(if cfg!(miri) { 20 } else { 20_000 });
    }

    #[test]
    fn teams_that_run_at_once_all_end() {
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| short_calls(if cfg!(miri) { 5 } else { 1000 }));
            }
        });
    }

    /// A run in which the leader's first tile panics, or a helper's; tiles of the others wait until one has.
    fn panics(of_leader: bool) -> bool {
        let threads = rayon::current_num_threads();
        let panicked = AtomicBool::new(false);
        let run = || {
            Team::run(threads, |team| {
                let leader = thread::current().id();
                team.for_tiles(Cut { rows: 64, tile: 1, most: 1 }, |_| {
                    if (thread::current().id() == leader) == of_leader {
                        panicked.store(true, Ordering::Relaxed);
                        panic!("a tile");
                    }
                    let started = Instant::now();
                    while !panicked.load(Ordering::Relaxed) && started.elapsed() < Duration::from_secs(60) {
                        thread::yield_now();
                    }
                });
            });
        };
        std::panic::catch_unwind(std::panic::AssertUnwindSafe(run)).is_err()
    }

    #[test]
    fn a_panic_in_a_tile_ends_the_run() {
        assert!(panics(true));
        // A pool of one thread has no helpers.
        assert!(rayon::current_num_threads() == 1 || panics(false));
    }
}
