//! The places of weights in a flat arena.

use crate::engine::graph::{Graph, Tensor};
use crate::engine::kernel::ALIGN_WORDS;
use crate::engine::tensor::{DType, Shape};
use crate::error::Result;

/// A named weight inside the arena.
#[derive(Debug, Clone)]
pub struct Entry {
    /// PyTorch's name: `encoder.0.weight`.
    pub name: String,
    /// Its shape.
    pub shape: Shape,
    /// First word, a multiple of [`ALIGN_WORDS`].
    pub offset: usize,
}

/// The weights of a model, one after the other in one arena, so that Adam is one kernel call.
#[derive(Debug, Clone, Default)]
pub struct Layout {
    entries: Vec<Entry>,
    words: usize,
}

impl Layout {
    /// Adds a weight; returns its index in [`entries`](Self::entries).
    pub fn push(&mut self, name: String, shape: impl Into<Shape>) -> usize {
        let shape = shape.into();
        let offset = self.words;
        self.words += shape.len().next_multiple_of(ALIGN_WORDS);
        self.entries.push(Entry { name, shape, offset });
        self.entries.len() - 1
    }

    /// The weights, in the order in which they were added.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// Words of the arena, padding included.
    pub fn words(&self) -> usize {
        self.words
    }

    /// The arena as the variable `name` of the graph, `[words]`.
    ///
    /// # Errors
    /// [`Error::Shape`](crate::Error::Shape) where the graph has another variable of that name.
    pub fn variable(&self, g: &mut Graph, name: &str) -> Result<Tensor> {
        g.variable(name, [self.words], DType::F32)
    }

    /// Every weight as a view of `arena`, in order.
    ///
    /// # Errors
    /// [`Error::Shape`](crate::Error::Shape) for an arena that is too small.
    pub fn views(&self, g: &mut Graph, arena: Tensor) -> Result<Vec<Tensor>> {
        self.entries.iter().map(|e| g.view(arena, e.offset, e.shape.clone())).collect()
    }

    /// The words of entry `i` in the arena's content.
    ///
    /// # Panics
    /// Where there is no such entry, or the arena is shorter than the layout.
    pub fn slice<'a>(&self, arena: &'a [f32], i: usize) -> &'a [f32] {
        let entry = &self.entries[i];
        &arena[entry.offset..entry.offset + entry.shape.len()]
    }

    /// The words of entry `i` in the arena's content, mutable.
    ///
    /// # Panics
    /// As [`slice`](Self::slice).
    pub fn slice_mut<'a>(&self, arena: &'a mut [f32], i: usize) -> &'a mut [f32] {
        let entry = &self.entries[i];
        &mut arena[entry.offset..entry.offset + entry.shape.len()]
    }
}
