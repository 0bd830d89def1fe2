//! The uniform block of a kernel, word by word.

use crate::engine::tensor::{DType, Element};

/// A member of a uniform block, as declared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Member {
    /// Its name in WGSL and in Rust.
    pub name: &'static str,
    /// The type of its words.
    pub dtype: DType,
    /// Its size in 32-bit words.
    pub words: usize,
}

/// A type that a member of a uniform block may have: `f32`, `u32`, and arrays of them.
pub trait Param: Copy {
    /// The type of its words.
    const DTYPE: DType;
    /// Its size in 32-bit words.
    const WORDS: usize;

    /// Appends its words.
    fn put(self, words: &mut Vec<u32>);

    /// Takes it off the front of `words`, which are long enough.
    fn take(words: &mut &[u32]) -> Self;
}

impl<T: Element> Param for T {
    const DTYPE: DType = T::DTYPE;
    const WORDS: usize = 1;

    fn put(self, words: &mut Vec<u32>) {
        words.push(bytemuck::cast(self));
    }

    fn take(words: &mut &[u32]) -> Self {
        let (first, rest) = words.split_at(1);
        *words = rest;
        bytemuck::cast(first[0])
    }
}

impl<T: Param, const N: usize> Param for [T; N] {
    const DTYPE: DType = T::DTYPE;
    const WORDS: usize = N * T::WORDS;

    fn put(self, words: &mut Vec<u32>) {
        self.into_iter().for_each(|element| element.put(words));
    }

    fn take(words: &mut &[u32]) -> Self {
        std::array::from_fn(|_| T::take(words))
    }
}
