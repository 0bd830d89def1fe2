//! Weights under their names, as files hold them.

use crate::engine::nn::{Entry, Layout};
use crate::engine::session::Session;
use crate::error::{Error, Result};

/// The elements of a tensor, row by row.
#[derive(Clone, Debug, PartialEq)]
pub enum TensorData {
    /// Floats.
    F32(Vec<f32>),
    /// Unsigned integers.
    U32(Vec<u32>),
}

impl TensorData {
    /// The number of elements.
    pub fn len(&self) -> usize {
        match self {
            TensorData::F32(values) => values.len(),
            TensorData::U32(values) => values.len(),
        }
    }

    /// Whether there are no elements.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// A tensor with its name.
#[derive(Clone, Debug, PartialEq)]
pub struct NamedTensor {
    /// Its name, such as `encoder.0.weight`.
    pub name: String,
    /// Its sides, whose product is the number of elements.
    pub shape: Vec<usize>,
    /// Its elements.
    pub data: TensorData,
}

/// The weights in the variable `arena`, under their names.
///
/// # Errors
/// [`Error::Device`] where the session has no such variable.
pub fn named_weights(session: &Session, arena: &str, layout: &Layout) -> Result<Vec<NamedTensor>> {
    let words: Vec<f32> = session.get(arena)?;
    let tensor = |(i, entry): (usize, &Entry)| NamedTensor {
        name: entry.name.clone(),
        shape: entry.shape.dims().to_vec(),
        data: TensorData::F32(layout.slice(&words, i).to_vec()),
    };
    Ok(layout.entries().iter().enumerate().map(tensor).collect())
}

/// Sets the variable `arena` from named weights.
///
/// # Errors
/// [`Error::Request`] for a tensor that is missing, present twice, of another shape, or not finite.
pub fn load_weights(
    session: &mut Session,
    arena: &str,
    layout: &Layout,
    tensors: &[NamedTensor],
) -> Result<()> {
    let mut words = vec![0.0_f32; layout.words()];
    for (i, entry) in layout.entries().iter().enumerate() {
        let data = find_weight(tensors, &entry.name, entry.shape.dims())?;
        layout.slice_mut(&mut words, i).copy_from_slice(data);
    }
    session.set(arena, &words)
}

/// The floats of the weight `name`, whose sides are `shape`.
///
/// # Errors
/// [`Error::Request`] where it is missing, present twice, of another shape, or not finite.
pub fn find_weight<'a>(tensors: &'a [NamedTensor], name: &str, shape: &[usize]) -> Result<&'a [f32]> {
    // A shape may come from a file, and then be of any size.
    let data =
        find_f32(tensors, name, shape.iter().fold(1, |count: usize, side| count.saturating_mul(*side)))?;
    let mut namesakes = tensors.iter().filter(|t| t.name == name);
    let given = namesakes.next().map(|t| &t.shape[..]).unwrap_or_default();
    if given != shape {
        return Err(Error::request(format!("`{name}` has the shape {given:?}, this model's has {shape:?}")));
    }
    if namesakes.next().is_some() {
        return Err(Error::request(format!("`{name}` is there twice")));
    }
    match data.iter().position(|value| !value.is_finite()) {
        Some(at) => Err(Error::request(format!("`{name}` has {} as number {at}", data[at]))),
        None => Ok(data),
    }
}

/// The floats of the tensor `name`, `len` of them.
///
/// # Errors
/// [`Error::Request`] where it is missing or does not fit.
pub fn find_f32<'a>(tensors: &'a [NamedTensor], name: &str, len: usize) -> Result<&'a [f32]> {
    match tensors.iter().find(|t| t.name == name).map(|t| &t.data) {
        Some(TensorData::F32(data)) if data.len() == len => Ok(data),
        Some(_) => Err(Error::request(format!("`{name}` has another size or type than this model's"))),
        None => Err(Error::request(format!("`{name}` is missing: not a file of this model"))),
    }
}
