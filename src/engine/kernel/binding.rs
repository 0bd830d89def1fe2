//! What a kernel binds, and what a call binds to it.

use crate::engine::tensor::DType;

/// How a kernel touches one of its storage bindings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    Read,
    /// Written, and possibly read first.
    Write,
}

/// A storage binding, as declared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Binding {
    /// Its name in WGSL and in Rust.
    pub name: &'static str,
    pub access: Access,
    /// What the CPU twin takes its words for. A shader may take them for vectors or for packed halves.
    pub dtype: DType,
}

/// A buffer of a recording, by number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BufferId(pub u32);

/// Words `offset .. offset + words` of a buffer. Offsets are multiples of [`ALIGN_WORDS`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct View {
    pub buffer: BufferId,
    pub offset: usize,
    pub words: usize,
}

/// Views start at multiples of 64 words (256 bytes), the largest storage-offset alignment
/// that WebGPU allows a device to ask for.
pub const ALIGN_WORDS: usize = 64;

/// The buffer every recording has, of [`ALIGN_WORDS`] zero words: bound where a variant of a
/// kernel leaves a binding unused.
pub const NONE: View = View { buffer: BufferId(0), offset: 0, words: ALIGN_WORDS };

/// The argument for a binding that a variant of a kernel leaves unused. On the CPU it is empty.
pub const UNUSED: Arg = Arg { view: NONE, scope: Scope::Whole };

/// Which part of a bound view a row of the call touches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// Row `r` of the call touches row `r` of the view and no other; the view's words are spread
    /// evenly over the call's rows.
    Row,
    /// Row `r` of the call touches rows `r` and `rows + r` of the view, which has twice the call's rows: a point's and
    /// its fictive point's.
    Pair,
    /// Every row of the call may touch all of it (weights, seeds, reductions). What is written so belongs to a call
    /// that the CPU does not cut.
    Whole,
}

/// One bound view.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Arg {
    pub view: View,
    pub scope: Scope,
}

impl View {
    /// The view as an argument of [`Scope::Row`].
    pub fn by_row(self) -> Arg {
        Arg { view: self, scope: Scope::Row }
    }

    /// The view as an argument of [`Scope::Pair`].
    pub fn by_pair(self) -> Arg {
        Arg { view: self, scope: Scope::Pair }
    }

    /// The view as an argument of [`Scope::Whole`].
    pub fn whole(self) -> Arg {
        Arg { view: self, scope: Scope::Whole }
    }

    /// Whether two views share words.
    pub(crate) fn overlaps(&self, other: &View) -> bool {
        let (a, b) = (self, other);
        a.buffer == b.buffer && a.offset < b.offset + b.words && b.offset < a.offset + a.words
    }
}
