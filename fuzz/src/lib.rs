//! What the programs in `fuzz_targets/` share: memory that is counted, and the macro that makes each of them.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};

/// Makes a program of libFuzzer that feeds the target of this name.
#[macro_export]
macro_rules! target {
    ($name:literal) => {
        $crate::fuzz_target!(|bytes: &[u8]| $crate::feed($name, bytes));
    };
}

pub use libfuzzer_sys::fuzz_target;

/// No input may take more memory than this at a time, whatever its header claims. A small archive may unpack to a
/// thousand times its size; pictures of the size that is drawn take a few megabytes.
const MOST: usize = 96 << 20;

/// The system's memory, counted.
struct Counted;

static TAKEN: AtomicUsize = AtomicUsize::new(0);
static HIGHEST: AtomicUsize = AtomicUsize::new(0);

// SAFETY: everything is handed to the system's allocator as it comes.
unsafe impl GlobalAlloc for Counted {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let taken = TAKEN.fetch_add(layout.size(), Ordering::Relaxed) + layout.size();
        HIGHEST.fetch_max(taken, Ordering::Relaxed);
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        let taken = TAKEN.fetch_add(layout.size(), Ordering::Relaxed) + layout.size();
        HIGHEST.fetch_max(taken, Ordering::Relaxed);
        // SAFETY: the caller's promise.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        TAKEN.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(at, layout) }
    }
}

#[global_allocator]
static MEMORY: Counted = Counted;

/// Feeds the target of this name, and watches the memory.
pub fn feed(name: &str, bytes: &[u8]) {
    let before = TAKEN.load(Ordering::Relaxed);
    HIGHEST.store(before, Ordering::Relaxed);
    smoothenc::fuzzing::feed(name, bytes);
    let taken = HIGHEST.load(Ordering::Relaxed).saturating_sub(before);
    assert!(taken <= MOST, "{taken} bytes of memory for an input of {}", bytes.len());
}
