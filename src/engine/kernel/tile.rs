//! What a CPU kernel sees of its call.

use std::ops::Range;

use super::{Access, Arg, Kernel, NONE, Scope};
use crate::engine::tensor::Element;

/// A tile of a call on the CPU: some of its rows, and the words of its arguments that belong to them.
///
/// Each argument is handed out once, in the order of the kernel's bindings, so that no two slices overlap. The `Tile`
/// that [`kernel!`](crate::kernel) declares takes them by name.
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

/// A call's parts, as a tile needs them.
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
    /// `Recording::check` has accepted the call. `base[b]` points to the words of buffer `b`, initialised, for every
    /// buffer that the call has views of. For `'a`, nobody else touches what these rows write, and nobody writes what
    /// they read: another tile of the call has other rows.
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

    /// The constant number `i` of those that the kernel declares.
    pub fn constant(&self, i: usize) -> u32 {
        let (name, value) = self.constants[i];
        debug_assert_eq!(name, self.kernel.constants[i], "{}", self.kernel.name);
        value
    }

    /// The next argument, which is only read: of a row-scoped one these rows, else all of it. Empty where it is unused.
    pub fn read<T: Element>(&mut self) -> &'a [T] {
        let (start, [words, _], _) = self.hand_out::<T>(Access::Read, &[Scope::Row, Scope::Whole]);
        // SAFETY: `hand_out` has found the words inside their buffer; nobody writes them during 'a, for a view that is
        // read shares no buffer with one that is written.
        unsafe { std::slice::from_raw_parts(start, words) }
    }

    /// The next argument, which is written.
    pub fn write<T: Element>(&mut self) -> &'a mut [T] {
        let (start, [words, _], _) = self.hand_out::<T>(Access::Write, &[Scope::Row, Scope::Whole]);
        // SAFETY: as in `read`. These words are handed out here only: other arguments do not overlap this one, this
        // one is handed out once, and other tiles have other rows of it, or there are none.
        unsafe { std::slice::from_raw_parts_mut(start, words) }
    }

    /// The next argument, which is only read, these rows and as many behind the call's; none of the latter where the
    /// argument is row-scoped.
    pub fn read_pair<T: Element>(&mut self) -> [&'a [T]; 2] {
        let (start, [first, second], apart) = self.hand_out::<T>(Access::Read, &[Scope::Row, Scope::Pair]);
        // SAFETY: as in `read`, of either part.
        unsafe {
            let other = start.add(apart);
            [std::slice::from_raw_parts(start, first), std::slice::from_raw_parts(other, second)]
        }
    }

    /// The same of an argument that is written.
    pub fn write_pair<T: Element>(&mut self) -> [&'a mut [T]; 2] {
        let (start, [first, second], apart) = self.hand_out::<T>(Access::Write, &[Scope::Row, Scope::Pair]);
        // SAFETY: as in `write`, of either part; `apart` is at least the length of the first.
        unsafe {
            let other = start.add(apart);
            [std::slice::from_raw_parts_mut(start, first), std::slice::from_raw_parts_mut(other, second)]
        }
    }

    /// Where the next argument starts, the words of its first and second part, and how many words the second lies
    /// behind the first.
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
