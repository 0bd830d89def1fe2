//! The bindings of a kernel, and the arguments of a call.

use crate::engine::tensor::DType;

/// How a kernel touches one of its storage bindings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Only read.
    Read,
    /// Written, and possibly read first.
    Write,
}

/// A storage binding, as declared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Binding {
    /// Its name in WGSL and in Rust.
    pub name: &'static str,
    /// How the kernel touches it.
    pub access: Access,
    /// The type of its words for the CPU twin. A shader may read them as vectors or as packed halves.
    pub dtype: DType,
}

/// A buffer of a recording, by number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BufferId(pub u32);

/// Words `offset .. offset + words` of a buffer. Offsets are multiples of [`ALIGN_WORDS`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct View {
    /// The buffer.
    pub buffer: BufferId,
    /// The first word.
    pub offset: usize,
    /// The number of words.
    pub words: usize,
}

/// Views start at multiples of 64 words (256 bytes), the largest alignment of storage offsets that WebGPU lets a device
/// require.
pub const ALIGN_WORDS: usize = 64;

/// Buffer 0 of every recording, [`ALIGN_WORDS`] zero words: bound where a call leaves a binding unused.
pub const NONE: View = View { buffer: BufferId(0), offset: 0, words: ALIGN_WORDS };

/// The argument of a binding that a call leaves unused. On the CPU it is an empty slice.
pub const UNUSED: Arg = Arg { view: NONE, scope: Scope::Whole };

/// Which part of a bound view a row of the call touches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// Row `r` of the call touches row `r` of the view and no other. The view's words are divided evenly among the
    /// call's rows.
    Row,
    /// Row `r` of the call touches rows `r` and `rows + r` of the view, which has twice as many rows as the call:
    /// pairs, such as a point and its fictive point.
    Pair,
    /// Every row of the call may touch all of the view (weights, seeds, reductions). A call that writes such a view has
    /// one tile.
    Whole,
}

/// One bound view.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Arg {
    /// The words.
    pub view: View,
    /// The part of them that a row of the call touches.
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
