//! Memory that this machine may not have: large pieces are asked for here, so that their lack is an error that names
//! them. Whatever else finds no memory ends the program with a message ([`Telling`]), where Rust would abort it.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::fmt::Display;
use std::io::{Cursor, Write};

use bytemuck::Zeroable;

use crate::error::{Error, Result};

thread_local! {
    /// The caller can do without the memory that it asks for.
    static MAY_FAIL: Cell<bool> = const { Cell::new(false) };
}

/// `count` zeros for `what`.
///
/// # Errors
/// [`Error::TooLarge`] where there is no memory for them.
pub fn zeroed<T: Zeroable>(what: impl Display, count: usize) -> Result<Vec<T>> {
    may_fail(|| bytemuck::allocation::try_zeroed_vec(count))
        .map_err(|()| Error::no_memory(what, count.saturating_mul(size_of::<T>())))
}

/// An empty vector with room for `count` elements of `what`.
///
/// # Errors
/// [`Error::TooLarge`] where there is no memory for them.
pub fn reserved<T>(what: impl Display, count: usize) -> Result<Vec<T>> {
    let mut room = Vec::new();
    may_fail(|| room.try_reserve_exact(count))
        .map_err(|_| Error::no_memory(what, count.saturating_mul(size_of::<T>())))?;
    Ok(room)
}

fn may_fail<T>(ask: impl FnOnce() -> T) -> T {
    MAY_FAIL.set(true);
    let answer = ask();
    MAY_FAIL.set(false);
    answer
}

/// The system's allocator. Where it has nothing left, the program says so and ends with exit code 2, as for any request
/// that is too large. What is being written stays as it was: a run is either as before or as after.
#[derive(Debug)]
pub struct Telling;

impl Telling {
    /// Gives back `memory`, unless there is none and the caller cannot do without it.
    fn or_end(memory: *mut u8, bytes: usize) -> *mut u8 {
        if memory.is_null() && !MAY_FAIL.try_with(Cell::get).unwrap_or(false) {
            end(bytes);
        }
        memory
    }
}

// SAFETY: every call is the system allocator's, with what the caller gave.
unsafe impl GlobalAlloc for Telling {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        Telling::or_end(unsafe { System.alloc(layout) }, layout.size())
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        Telling::or_end(unsafe { System.alloc_zeroed(layout) }, layout.size())
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        Telling::or_end(unsafe { System.realloc(memory, layout, size) }, size)
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        unsafe { System.dealloc(memory, layout) }
    }
}

/// Ends the program for want of `bytes`. Nothing here asks for memory or waits for a lock: the caller may hold any.
#[cold]
fn end(bytes: usize) -> ! {
    let mut text = Cursor::new([0_u8; 256]);
    // A size in whole MiB says little of the last bytes that were lacking.
    _ = match bytes >> 20 {
        0 => writeln!(text, "error: out of memory"),
        mib => writeln!(text, "error: out of memory: this machine has not {mib} MiB more free"),
    };
    _ = writeln!(text, "  hint: make --batch, --hidden or --resize smaller, or end other programs");
    let length = text.position() as usize;
    leave(&text.get_ref()[..length])
}

/// Writes `text` to stderr and ends the program with exit code 2, without what else is done at its end: that may ask
/// for memory too.
#[cfg(unix)]
fn leave(text: &[u8]) -> ! {
    unsafe extern "C" {
        fn write(file: i32, bytes: *const u8, count: usize) -> isize;
        fn _exit(code: i32) -> !;
    }
    // SAFETY: POSIX's functions of these names; the bytes are as many as said.
    unsafe {
        write(2, text.as_ptr(), text.len());
        _exit(2)
    }
}

#[cfg(not(unix))]
fn leave(text: &[u8]) -> ! {
    _ = std::io::stderr().write_all(text);
    std::process::exit(2)
}
