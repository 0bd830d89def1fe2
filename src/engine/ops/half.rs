//! Numbers in half precision, two to a word; `shaders/half.wgsl`.

use ::half::f16;

use crate::engine::graph::{Graph, Inputs, Io, Op, Outputs, Tensor};
use crate::engine::recording::{Call, flat_grid};
use crate::engine::tensor::DType;
use crate::error::Result;
use crate::kernel;

kernel! {
    pub static HALF: "half" {
        shaders: ["common/flat.wgsl", "common/halves.wgsl", "half.wgsl"],
        params: { words: u32, pairs: u32 },
        constants: {},
        bindings: { a: read f32, out: write u32 },
        cpu: half_cpu,
    }
}

#[derive(Debug, Clone, Copy)]
struct Half {
    numbers: usize,
}

/// The floats of `a` `[n]`, n even, as halves (IEEE 754 binary16), followed by zeros up to `numbers`, an even number of
/// at least n; packed in words `[numbers / 2]` (u32).
///
/// ```
/// use smoothenc::engine::evaluate::{evaluate, floats};
/// use smoothenc::engine::ops::half;
///
/// let y: Vec<u32> = evaluate([floats([2], &[1.0, -2.0])], |g, [a]| half(g, a, 4))?;
/// assert_eq!(y, [0xc000_3c00, 0]);
/// # smoothenc::Result::Ok(())
/// ```
///
/// # Errors
/// [`Error::Shape`](crate::Error::Shape) for other numbers, and for integers.
pub fn half(g: &mut Graph, a: Tensor, numbers: usize) -> Result<Tensor> {
    g.apply_one(Half { numbers }, &[a])
}

impl Op for Half {
    fn name(&self) -> &'static str {
        HALF.name
    }

    fn outputs(&self, inputs: &Inputs) -> Outputs {
        match inputs {
            [(a, DType::F32)]
                if a.len().is_multiple_of(2) && self.numbers.is_multiple_of(2) && self.numbers >= a.len() =>
            {
                Ok(vec![([self.numbers / 2].into(), DType::U32)])
            }
            _ => Err(format!("{inputs:?} as {} halves: needs floats, both of an even number", self.numbers)),
        }
    }

    fn call(&self, io: &Io) -> Call {
        let words = io.outputs[0].0.len();
        let pairs = io.inputs[0].0.len() / 2;
        Args { a: io.input(0).whole(), out: io.output(0).by_row() }
            .call(Params { words: words as u32, pairs: pairs as u32 }, Constants {})
            .grid(words, CPU_TILE, flat_grid(words))
    }
}

/// Words that one thread packs at a time.
const CPU_TILE: usize = 16384;

fn half_cpu(Tile { rows, a, out, .. }: Tile) {
    let pairs = a.as_chunks::<2>().0;
    for (word, i) in out.iter_mut().zip(rows) {
        let halves = |pair: &[f32; 2]| pair.map(|x| u32::from(f16::from_f32(x).to_bits()));
        *word = pairs.get(i).map(halves).map_or(0, |[low, high]| low | high << 16);
    }
}

/// The two floats of a word of finite halves. Infinity and NaN become numbers from 65,536 on, as in
/// `shaders/common/dense.wgsl`, which spares the weights of an ascent that case.
pub(crate) fn floats_of(word: u32) -> [f32; 2] {
    [word, word >> 16].map(|half| {
        // The half's exponent and digits at a float's places: the exponent's bias is then 112 too small.
        let magnitude = f32::from_bits((half & 0x7fff) << 13) * 2.0f32.powi(112);
        if half & 0x8000 == 0 { magnitude } else { -magnitude }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finite_halves_are_floats() {
        for bits in (0..0x7c00).chain(0x8000..0xfc00) {
            let word = u32::from(bits) << 16 | 0x3c00;
            assert_eq!(floats_of(word), [1.0, f16::from_bits(bits).to_f32()], "{bits:x}");
        }
    }
}
