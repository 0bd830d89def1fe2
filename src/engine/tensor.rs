//! Shapes and element types.

use std::fmt;

use bytemuck::Pod;

/// Element type. Every element is one 32-bit word, so offsets are counted in words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DType {
    /// Single-precision floats.
    F32,
    /// Unsigned integers; also packed bytes, four to a word, the lowest first.
    U32,
}

/// The type of a tensor's words on the host: [`f32`] or [`u32`].
pub trait Element: Pod + sealed::Word {
    /// The element type of tensors of it.
    const DTYPE: DType;
}

mod sealed {
    /// Of 32 bits.
    pub trait Word {}
    impl Word for f32 {}
    impl Word for u32 {}
}

impl Element for f32 {
    const DTYPE: DType = DType::F32;
}

impl Element for u32 {
    const DTYPE: DType = DType::U32;
}

/// A row-major shape. The first dimension counts the rows (usually examples).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Shape(Vec<usize>);

impl Shape {
    /// Number of elements.
    pub fn len(&self) -> usize {
        self.0.iter().product()
    }

    /// True for a shape without elements.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The dimensions, outermost first.
    pub fn dims(&self) -> &[usize] {
        &self.0
    }

    /// Size of the first dimension (1 for a scalar).
    pub fn rows(&self) -> usize {
        self.0.first().copied().unwrap_or(1)
    }

    /// Elements in one row: the product of all dimensions but the first.
    pub fn cols(&self) -> usize {
        self.0.iter().skip(1).product()
    }
}

impl<const N: usize> From<[usize; N]> for Shape {
    fn from(dims: [usize; N]) -> Self {
        Shape(dims.to_vec())
    }
}

impl From<Vec<usize>> for Shape {
    fn from(dims: Vec<usize>) -> Self {
        Shape(dims)
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.0)
    }
}
