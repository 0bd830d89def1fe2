//! Faults for tests: the calls of a thread are counted, and one of them fails as a full disk would, or the process
//! seems to end there: that call and every later one fails, those that would clean up too.

use std::cell::Cell;
use std::io;

/// What happens at the chosen call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// This call fails with the system's error of this number; those after it work.
    Error(i32),
    /// This call and all after it fail.
    Kill,
}

/// The process ends, the disk is full, a read or write fails, too many files are open, the folder is closed.
pub const ALL: [Fault; 5] =
    [Fault::Kill, Fault::Error(28), Fault::Error(5), Fault::Error(24), Fault::Error(13)];

/// Each of [`ALL`] with every `stride`-th of `calls`, others for each. Prints how many, for `scripts/kills.py`.
pub fn strikes(what: &str, stride: usize, calls: u64) -> Vec<(Fault, u64)> {
    let strikes = ALL
        .into_iter()
        .enumerate()
        .flat_map(|(kind, fault)| ((kind % stride) as u64..calls).step_by(stride).map(move |at| (fault, at)));
    let strikes: Vec<_> = strikes.collect();
    println!("{} faults in {what}", strikes.len());
    strikes
}

thread_local! {
    static CALLS: Cell<u64> = const { Cell::new(0) };
    static PLAN: Cell<Option<(u64, Fault)>> = const { Cell::new(None) };
}

/// Runs `work`, the call number `at` (from 0) of this thread struck by `fault`. Also tells how many calls there were.
pub fn with<T>(at: u64, fault: Fault, work: impl FnOnce() -> T) -> (T, u64) {
    CALLS.set(0);
    PLAN.set(Some((at, fault)));
    let made = work();
    PLAN.set(None);
    (made, CALLS.get())
}

/// How many calls `work` makes.
pub fn count<T>(work: impl FnOnce() -> T) -> (T, u64) {
    with(u64::MAX, Fault::Kill, work)
}

pub(super) fn call() -> io::Result<()> {
    let Some((at, fault)) = PLAN.get() else { return Ok(()) };
    let number = CALLS.replace(CALLS.get() + 1);
    match fault {
        Fault::Error(code) if number == at => Err(io::Error::from_raw_os_error(code)),
        Fault::Kill if number >= at => Err(io::Error::other("the process was ended here")),
        _ => Ok(()),
    }
}
