//! The part of a call that a CPU kernel computes.

use std::ops::Range;

use super::{Access, Arg, Kernel, NONE, Scope};
use crate::engine::tensor::Element;

/// A tile of a call on the CPU: some of its rows, and the words of its arguments that belong to them.
///
/// Each argument is handed out once, in the order of the kernel's bindings, so that no two mutable slices overlap. The
/// `Tile` that [`kernel!`](crate::kernel) declares takes them by name.
#[derive(Debug)]
pub struct CpuTile<'a> {
    kernel: &'static Kernel,
    params: &'a [u32],
    constants: &'a [(&'static str, u32)],
    args: &'a [Arg],
    base: &'a [*mut u32],
    call_rows: usize,
    rows: Range<usize>,
    /// The binding to be handed out next.
    next: usize,
}

/// The parts of a call that a tile needs.
#[derive(Debug, Clone, Copy)]
pub(crate) struct CallParts<'a> {
    pub kernel: &'static Kernel,
    pub params: &'a [u32],
    pub constants: &'a [(&'static str, u32)],
    pub args: &'a [Arg],
    pub rows: usize,
}

impl<'a> CpuTile<'a> {
    /// The rows `rows` of a call.
    ///
    /// # Safety
    /// `Recording::check` has accepted the call. `base[b]` points to the initialised words of buffer `b` for every
    /// buffer that the call has views of. During `'a` nothing else touches what these rows write, and nothing writes
    /// what they read: other tiles of the call have other rows.
    pub(crate) unsafe fn new(call: CallParts<'a>, base: &'a [*mut u32], rows: Range<usize>) -> Self {
        let CallParts { kernel, params, constants, args, rows: call_rows } = call;
        assert!(rows.end <= call_rows, "{}: rows {rows:?} of {call_rows}", kernel.name);
        CpuTile { kernel, params, constants, args, base, call_rows, rows, next: 0 }
    }

    /// The rows of the call that this tile has.
    pub fn rows(&self) -> Range<usize> {
        self.rows.clone()
    }

    /// The words of the uniform block.
    pub fn params(&self) -> &'a [u32] {
        self.params
    }

    /// Constant number `i` of those that the kernel declares.
    pub fn constant(&self, i: usize) -> u32 {
        let (name, value) = self.constants[i];
        debug_assert_eq!(name, self.kernel.constants[i], "{}", self.kernel.name);
        value
    }

    /// The next argument, which is read: these rows of a row-scoped one, else all of it. Empty where it is unused.
    ///
    /// # Panics
    /// Where the kernel declares another access or type, where the argument is bound by pairs, or where none is left.
    pub fn read<T: Element>(&mut self) -> &'a [T] {
        let (start, [words, _], _) = self.hand_out::<T>(Access::Read, &[Scope::Row, Scope::Whole]);
        // SAFETY: `hand_out` has found the words inside their buffer. Nothing writes them during 'a, since a view that
        // is read shares no buffer with one that is written.
        unsafe { std::slice::from_raw_parts(start, words) }
    }

    /// The next argument, which is written; else as [`read`](Self::read).
    ///
    /// # Panics
    /// As [`read`](Self::read).
    pub fn write<T: Element>(&mut self) -> &'a mut [T] {
        let (start, [words, _], _) = self.hand_out::<T>(Access::Write, &[Scope::Row, Scope::Whole]);
        // SAFETY: as in `read`. No other slice has these words: other arguments do not overlap this one, it is handed
        // out once, and other tiles, if there are any, have other rows of it.
        unsafe { std::slice::from_raw_parts_mut(start, words) }
    }

    /// The next argument, which is read by pairs: rows `r` and rows `rows + r` of the view ([`Scope::Pair`]). The
    /// second slice is empty where the argument is row-scoped.
    ///
    /// # Panics
    /// As [`read`](Self::read), but for an argument bound as a whole.
    pub fn read_pair<T: Element>(&mut self) -> [&'a [T]; 2] {
        let (start, [first, second], apart) = self.hand_out::<T>(Access::Read, &[Scope::Row, Scope::Pair]);
        // SAFETY: as in `read`, of either part.
        unsafe {
            let other = start.add(apart);
            [std::slice::from_raw_parts(start, first), std::slice::from_raw_parts(other, second)]
        }
    }

    /// The next argument, which is written by pairs; else as [`read_pair`](Self::read_pair).
    ///
    /// # Panics
    /// As [`read_pair`](Self::read_pair).
    pub fn write_pair<T: Element>(&mut self) -> [&'a mut [T]; 2] {
        let (start, [first, second], apart) = self.hand_out::<T>(Access::Write, &[Scope::Row, Scope::Pair]);
        // SAFETY: as in `write`, of either part; `apart` is at least the length of the first.
        unsafe {
            let other = start.add(apart);
            [std::slice::from_raw_parts_mut(start, first), std::slice::from_raw_parts_mut(other, second)]
        }
    }

    /// The start of the next argument, the words of its first and second part, and the words from the start of the
    /// first to that of the second.
    fn hand_out<T: Element>(&mut self, access: Access, scopes: &[Scope]) -> (*mut T, [usize; 2], usize) {
        let i = self.next;
        self.next += 1;
        let (Arg { view, scope }, binding) = (&self.args[i], &self.kernel.bindings[i]);
        let what = || format!("{}: argument {i}, {}", self.kernel.name, binding.name);
        assert!(binding.access == access && binding.dtype == T::DTYPE, "{} is {binding:?}", what());
        if *view == NONE {
            return (std::ptr::NonNull::dangling().as_ptr(), [0, 0], 0);
        }
        assert!(scopes.contains(scope), "{} is bound by {scope:?}", what());
        let (skipped, words, apart) = match scope {
            Scope::Whole => (0, [view.words, 0], 0),
            Scope::Row => {
                let width = view.words / self.call_rows;
                (self.rows.start * width, [self.rows.len() * width, 0], 0)
            }
            Scope::Pair => {
                let width = view.words / (2 * self.call_rows);
                let words = self.rows.len() * width;
                (self.rows.start * width, [words, words], self.call_rows * width)
            }
        };
        // SAFETY: `Recording::check` has found the view inside its buffer, and these words lie inside the view.
        let start = unsafe { self.base[view.buffer.0 as usize].add(view.offset + skipped) };
        (start.cast(), words, apart)
    }
}
