//! The tensors in a model's file: weights, and the shapes that some operators take.

use std::collections::HashMap;

use super::messages::{FLOAT, INT64, TensorProto};
use crate::runs::network::{Told, in_words};

/// Every tensor that is a constant, by its name.
#[derive(Debug, Default)]
pub struct Constants<'a>(HashMap<&'a str, &'a TensorProto>);

/// The sides of a tensor, and its numbers row by row.
pub type Numbers = (Vec<usize>, Vec<f32>);

impl<'a> Constants<'a> {
    pub fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// Adds a constant.
    ///
    /// # Errors
    /// Where there is one of that name.
    pub fn add(&mut self, name: &'a str, tensor: &'a TensorProto) -> Told<()> {
        match self.0.insert(name, tensor) {
            Some(_) => Err(format!("the name {name:?} stands for two tensors")),
            None => Ok(()),
        }
    }

    /// The tensor of this name.
    ///
    /// # Errors
    /// Where there is none.
    pub fn get(&self, name: &str) -> Told<&'a TensorProto> {
        self.0.get(name).copied().ok_or_else(|| format!("the tensor {name:?} is missing"))
    }

    /// The sides and the numbers of a tensor of weights.
    ///
    /// # Errors
    /// Where it is missing, lies in another file, is not of single precision, has another size than it says, or has a
    /// number that is not finite.
    pub fn floats(&self, name: &str) -> Told<Numbers> {
        let tensor = self.get(name)?;
        let refuse = |why: String| Err(format!("the tensor {name:?} {why}"));
        if tensor.data_location != 0 {
            return refuse("lies in another file: save the model with its weights in one file".into());
        }
        if tensor.data_type != FLOAT {
            return refuse(format!("is of type {}, only type {FLOAT} (float) is read", tensor.data_type));
        }
        let (sides, count) = sides(tensor).ok_or_else(|| format!("the tensor {name:?} has no such sides"))?;
        if count == 0 {
            return refuse("has no numbers".into());
        }
        let values: Vec<f32> = match tensor.raw_data.len() {
            0 => tensor.float_data.clone(),
            bytes if Some(bytes) == count.checked_mul(4) => {
                tensor.raw_data.as_chunks().0.iter().map(|&word| f32::from_le_bytes(word)).collect()
            }
            _ => vec![],
        };
        if values.len() != count {
            return refuse(format!("has other bytes than its sides, {}, say", in_words(&sides)));
        }
        match values.iter().position(|value| !value.is_finite()) {
            Some(at) => refuse(format!("has {} as number {at}", values[at])),
            None => Ok((sides, values)),
        }
    }

    /// The whole numbers of a list.
    ///
    /// # Errors
    /// Where it is missing or no list of 64-bit whole numbers.
    pub fn integers(&self, name: &str) -> Told<Vec<i64>> {
        let tensor = self.get(name)?;
        let values: Vec<i64> = match tensor.raw_data.len() {
            0 => tensor.int64_data.clone(),
            _ => tensor.raw_data.as_chunks().0.iter().map(|&word| i64::from_le_bytes(word)).collect(),
        };
        let list = tensor.data_location == 0 && tensor.data_type == INT64;
        match list && tensor.dims[..] == [values.len() as i64] {
            true => Ok(values),
            false => Err(format!("the tensor {name:?} is no list of whole numbers")),
        }
    }

    /// Whether a tensor has a number that is not 0.
    ///
    /// # Errors
    /// Where it is missing.
    pub fn is_set(&self, name: &str) -> Told<bool> {
        let tensor = self.get(name)?;
        Ok(tensor.raw_data.iter().any(|byte| *byte != 0) || tensor.int32_data.iter().any(|bit| *bit != 0))
    }
}

/// The sides of a tensor and their product; none where a side is negative or the product is too large.
fn sides(tensor: &TensorProto) -> Option<(Vec<usize>, usize)> {
    let sides = tensor.dims.iter().map(|&side| usize::try_from(side).ok()).collect::<Option<Vec<_>>>()?;
    let count = sides.iter().try_fold(1_usize, |product, &side| product.checked_mul(side))?;
    Some((sides, count))
}
