//! What each known operator of ONNX makes of a chain of layers.

use super::messages::{AttributeProto, NodeProto};
use super::read::Chain;
use crate::runs::network::{Layer, Map, Told, in_words};

const KNOWN: &str =
    "Gemm, MatMul, Add, Conv, Relu, Flatten, Reshape, BatchNormalization, Identity, Dropout and Constant";

impl Chain<'_> {
    /// Goes on with a node whose one value is the chain's.
    pub(super) fn apply(&mut self, node: &NodeProto) -> Told<()> {
        match &*node.op_type {
            "Gemm" => self.gemm(node),
            "MatMul" => {
                let (sides, values) = self.constants.floats(argument(node, 1)?)?;
                self.linear(&sides, values, false)
            }
            "Add" => self.add(node),
            "Conv" => self.conv(node),
            "BatchNormalization" => self.batch_normalization(node),
            "Relu" => self.network.relu(),
            "Flatten" => match int(node, "axis", 1) {
                1 => {
                    self.network.flatten();
                    Ok(())
                }
                axis => Err(format!("its axis is {axis}, only 1 is known")),
            },
            "Reshape" => self.reshape(node),
            "Identity" => Ok(()),
            "Dropout" => match node.input.get(2).filter(|name| !name.is_empty()) {
                Some(training) if self.constants.is_set(training)? => Err("it is in training mode".into()),
                _ => Ok(()),
            },
            "Sigmoid" | "Softmax" | "LogSoftmax" => {
                Err("the operator is not known here: save the model without it, so that it gives logits"
                    .into())
            }
            _ => Err(format!("the operator is not known here, only {KNOWN}")),
        }
    }

    fn gemm(&mut self, node: &NodeProto) -> Told<()> {
        if int(node, "transA", 0) != 0 {
            return Err("it transposes its input".into());
        }
        let scaled = |values: Vec<f32>, name| {
            let factor = attribute(node, name).and_then(|a| a.f).unwrap_or(1.0);
            finite(values.into_iter().map(|value| factor * value).collect())
        };
        let (sides, weight) = self.constants.floats(argument(node, 1)?)?;
        let weight = scaled(weight, "alpha")?;
        let bias = match node.input.get(2).filter(|name| !name.is_empty()) {
            Some(name) => {
                let (sides, bias) = self.constants.floats(name)?;
                Some((sides, scaled(bias, "beta")?))
            }
            None => None,
        };
        self.linear(&sides, weight, int(node, "transB", 0) != 0)?;
        bias.map_or(Ok(()), |(sides, bias)| self.shift(&sides, &bias))
    }

    /// A dense layer whose matrix is [outputs, inputs] where it is `transposed`, else [inputs, outputs].
    fn linear(&mut self, sides: &[usize], values: Vec<f32>, transposed: bool) -> Told<()> {
        let (inputs, outputs) = match (sides, transposed) {
            (&[outputs, inputs], true) | (&[inputs, outputs], false) => (inputs, outputs),
            _ => return Err(format!("its weight has {} sides, not two", sides.len())),
        };
        let weight = match transposed {
            true => values,
            false => (0..outputs).flat_map(|o| values.iter().skip(o).step_by(outputs)).copied().collect(),
        };
        self.network.linear([outputs, inputs], weight, vec![0.0; outputs])
    }

    fn add(&mut self, node: &NodeProto) -> Told<()> {
        let constant = node.input.iter().find(|name| self.constants.has(name));
        let (sides, values) = self.constants.floats(constant.ok_or("it adds no constant")?)?;
        self.shift(&sides, &values)
    }

    /// Adds constants to the outputs of the last layer: one for all, or one for each of its rows of weights.
    fn shift(&mut self, sides: &[usize], values: &[f32]) -> Told<()> {
        let ones = sides.iter().take_while(|side| **side == 1).count();
        let layer = self.open_layer()?;
        let rows = layer.bias.len();
        let by_row = match layer.map {
            Map::Linear { .. } => vec![rows],
            Map::Conv2d(_) => vec![rows, 1, 1],
        };
        if values.len() != 1 && sides[ones..] != by_row {
            let sides = in_words(sides);
            return Err(format!("constants of {sides} cannot be added to {rows} outputs or channels"));
        }
        layer.bias.iter_mut().zip(values.iter().cycle()).for_each(|(bias, value)| *bias += value);
        finite(std::mem::take(&mut layer.bias)).map(|bias| layer.bias = bias)
    }

    /// The last layer, where its output is still as it gave it.
    fn open_layer(&mut self) -> Told<&mut Layer> {
        let rank = self.network.sides.len();
        let last = self.network.layers.last_mut().filter(|layer| {
            !layer.relu && rank == if matches!(layer.map, Map::Linear { .. }) { 1 } else { 3 }
        });
        last.ok_or_else(|| {
            "it does not follow Gemm, MatMul or Conv at once, whose weights could take it in".into()
        })
    }

    fn conv(&mut self, node: &NodeProto) -> Told<()> {
        let (sides, weight) = self.constants.floats(argument(node, 1)?)?;
        let &[channels, depth, height, width] = &sides[..] else {
            return Err(format!("its weight has {} sides, not four", sides.len()));
        };
        let (stride, padding) = strides_and_padding(node, [height, width])?;
        let bias = vec![0.0; channels];
        self.network.conv2d([channels, depth, height, width], stride, padding, weight, bias)?;
        match node.input.get(2).filter(|name| !name.is_empty()) {
            Some(name) => match self.constants.floats(name)? {
                (sides, bias) if sides == [channels] => self.shift(&[channels, 1, 1], &bias),
                (sides, _) => Err(format!("its bias is of {}, not of {channels}", in_words(&sides))),
            },
            None => Ok(()),
        }
    }

    /// Folds `scale (x - mean) / sqrt(variance + epsilon) + shift` into the layer before.
    fn batch_normalization(&mut self, node: &NodeProto) -> Told<()> {
        if int(node, "training_mode", 0) != 0 {
            return Err("it is in training mode".into());
        }
        let epsilon = attribute(node, "epsilon").and_then(|a| a.f).unwrap_or(1e-5);
        let mut parts = Vec::new();
        for i in 1..5 {
            parts.push(self.constants.floats(argument(node, i)?)?);
        }
        let layer = self.open_layer()?;
        let rows = layer.bias.len();
        if let Some((sides, _)) = parts.iter().find(|(sides, _)| *sides != [rows]) {
            return Err(format!("its parameters are of {}, not of {rows}", in_words(sides)));
        }
        let length = layer.weight.len() / rows;
        for (row, weights) in layer.weight.chunks_exact_mut(length).enumerate() {
            let [scale, shift, mean, variance] = [0, 1, 2, 3].map(|i| f64::from(parts[i].1[row]));
            let factor = scale / (variance + f64::from(epsilon)).sqrt();
            weights.iter_mut().for_each(|weight| *weight = (f64::from(*weight) * factor) as f32);
            layer.bias[row] = ((f64::from(layer.bias[row]) - mean) * factor + shift) as f32;
        }
        layer.weight = finite(std::mem::take(&mut layer.weight))?;
        layer.bias = finite(std::mem::take(&mut layer.bias))?;
        Ok(())
    }

    fn reshape(&mut self, node: &NodeProto) -> Told<()> {
        let wanted = self.constants.integers(argument(node, 1)?)?;
        let refuse = || Err(format!("it makes {wanted:?} of {}", in_words(&self.network.sides)));
        let [batch, sides @ ..] = &wanted[..] else { return refuse() };
        // 0 copies a side, and one side may be left open.
        let zero_is_a_side = int(node, "allowzero", 0) != 0 && wanted.contains(&0);
        if ![0, -1].contains(batch) && Some(*batch) != self.batch || zero_is_a_side {
            return refuse();
        }
        let all = self.network.outputs();
        let side = |(i, &side): (usize, &i64)| match side {
            0 => self.network.sides.get(i).copied(),
            side => usize::try_from(side).ok(),
        };
        let fixed: Vec<Option<usize>> = sides.iter().enumerate().map(side).collect();
        let open = fixed.iter().filter(|side| side.is_none()).count() + usize::from(*batch == -1);
        let known = fixed.iter().flatten().try_fold(1_usize, |product, side| product.checked_mul(*side));
        let rest = known.and_then(|known| all.checked_div(known)).unwrap_or(0);
        let shape: Vec<usize> = fixed.into_iter().map(|side| side.unwrap_or(rest)).collect();
        let count = shape.iter().try_fold(1_usize, |product, side| product.checked_mul(*side));
        if open > 1 || count != Some(all) || sides.iter().any(|side| *side < -1) {
            return refuse();
        }
        self.network.sides = shape;
        Ok(())
    }
}

/// The stride and the padding of a convolution, the same on all sides.
fn strides_and_padding(node: &NodeProto, kernel: [usize; 2]) -> Told<(usize, usize)> {
    let given = |name| attribute(node, name).map(|a| a.ints.as_slice()).filter(|ints| !ints.is_empty());
    let same = |name, default: i64, count: usize| match given(name).unwrap_or(&vec![default; count][..]) {
        [first, rest @ ..] if rest.len() + 1 == count && rest.iter().all(|value| value == first) => {
            usize::try_from(*first).map_err(|_| format!("its {name} are {first}"))
        }
        other => Err(format!("its {name} are {other:?}, and only the same on all sides is known")),
    };
    let automatic = attribute(node, "auto_pad").and_then(|a| a.s.as_deref()).unwrap_or(b"NOTSET");
    if ![&b"NOTSET"[..], b"VALID"].contains(&automatic) {
        let automatic = String::from_utf8_lossy(automatic);
        return Err(format!("its auto_pad is {automatic}: save the model with pads"));
    }
    if int(node, "group", 1) != 1 || same("dilations", 1, 2)? != 1 {
        return Err("it has groups or dilations, which are not known here".into());
    }
    if given("kernel_shape").is_some_and(|given| !given.iter().eq(&kernel.map(|side| side as i64))) {
        return Err(format!("its kernel_shape is not that of its weight, {kernel:?}"));
    }
    Ok((same("strides", 1, 2)?, same("pads", 0, 4)?))
}

/// The name of input `i`.
fn argument(node: &NodeProto, i: usize) -> Told<&str> {
    node.input.get(i).map(String::as_str).ok_or_else(|| format!("it has no input {i}"))
}

fn attribute<'a>(node: &'a NodeProto, name: &str) -> Option<&'a AttributeProto> {
    node.attribute.iter().find(|attribute| attribute.name == name)
}

fn int(node: &NodeProto, name: &str, default: i64) -> i64 {
    attribute(node, name).and_then(|attribute| attribute.i).unwrap_or(default)
}

fn finite(values: Vec<f32>) -> Told<Vec<f32>> {
    match values.iter().all(|value| value.is_finite()) {
        true => Ok(values),
        false => Err("with it weights are no longer finite".into()),
    }
}
