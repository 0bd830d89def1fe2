//! Numbers in half precision, two to a word; `shaders/half.wgsl`.

use crate::engine::graph::{Graph, Inputs, Io, Op, Outputs, Tensor};
use crate::engine::recording::{Call, flat_grid};
use crate::engine::tensor::DType;
use crate::error::Result;
use crate::kernel;

kernel! {
    pub static HALF: "half" {
        shaders: ["common/flat.wgsl", "half.wgsl"],
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
        *word = pairs.get(i).map_or(0, |[low, high]| bits_of(*low) | bits_of(*high) << 16);
    }
}

/// The bits of the half nearest to `x`, ties to even.
fn bits_of(x: f32) -> u32 {
    let sign = x.to_bits() >> 16 & 0x8000;
    let magnitude = x.to_bits() & 0x7fff_ffff;
    if magnitude > 0x7f80_0000 {
        return sign | 0x7e00; // A NaN stays one.
    }
    // The largest half is 65,504; from half a step above it on the result is infinity.
    if magnitude >= 0x477f_f000 {
        return sign | 0x7c00;
    }
    // Below 2^-14 halves are 2^-24 apart, and so are floats at 1/2: adding 1/2 rounds to halves.
    if magnitude < 0x3880_0000 {
        return sign | ((x.abs() + 0.5).to_bits() - 0.5f32.to_bits());
    }
    // Drops 13 of 23 digits. A carry goes into the exponent, whose bias falls from 127 to 15.
    let rounded = magnitude + 0xfff + (magnitude >> 13 & 1);
    sign | ((rounded >> 13) - (112 << 10))
}

/// The two floats of a word of finite halves. Infinity and NaN become numbers from 65,536 on, as in the shader of
/// `pgd_mlp`.
pub(crate) fn floats_of(word: u32) -> [f32; 2] {
    [word, word >> 16].map(|half| {
        // The half's exponent and digits at a float's places: the exponent's bias is then 112 too small.
        let magnitude = f32::from_bits((half & 0x7fff) << 13) * 2.0f32.powi(112);
        if half & 0x8000 == 0 { magnitude } else { -magnitude }
    })
}

/// The half nearest to `x`, ties to even, as a float.
#[inline(always)]
pub(crate) fn rounded(x: f32) -> f32 {
    let magnitude = x.to_bits() & 0x7fff_ffff;
    // Both as in `bits_of`: 13 of 23 digits are dropped, and below 2^-14 adding 1/2 rounds.
    let digits = f32::from_bits((magnitude.wrapping_add(0xfff + (magnitude >> 13 & 1))) & 0xffff_e000);
    let small = (x.abs() + 0.5) - 0.5;
    let nearest = if magnitude < 0x3880_0000 { small } else { digits };
    let ranged = if magnitude >= 0x477f_f000 { f32::INFINITY } else { nearest };
    // A NaN stays one.
    if magnitude > 0x7f80_0000 { x } else { ranged.copysign(x) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_half_survives_and_rounding_is_to_the_nearest() {
        let value = |bits: u32| floats_of(bits)[0];
        for bits in (0..0x7c00).chain(0x8000..0xfc00) {
            assert_eq!(bits_of(value(bits)), bits, "{}", value(bits));
        }
        for bits in 0..0x7bff {
            let (low, high) = (value(bits), value(bits + 1));
            let middle = 0.5 * (low + high);
            assert_eq!(bits_of(middle), bits + bits % 2, "{middle}");
            assert_eq!(bits_of(middle.next_down()), bits, "{middle}");
            assert_eq!(bits_of(-middle.next_up()), (bits + 1) | 0x8000, "{middle}");
        }
        assert_eq!([1.0, -2.0, 65_504.0, 65_519.9, 1e-9].map(bits_of), [0x3c00, 0xc000, 0x7bff, 0x7bff, 0]);
        for x in [0.0, 1e-9, -3e-8, 4e-8, 6.1e-5, -0.1, 1.0009765, 3.3, -65_504.0, 65_519.9f32] {
            assert_eq!(rounded(x), value(bits_of(x)), "{x}");
        }
        assert_eq!([65_520.0, f32::NEG_INFINITY].map(rounded), [f32::INFINITY, f32::NEG_INFINITY]);
        assert!(rounded(f32::NAN).is_nan());
        assert_eq!([f32::NAN, f32::INFINITY, 1e9].map(bits_of), [0x7e00, 0x7c00, 0x7c00]);
        assert_eq!(floats_of(0x3c00_c000), [-2.0, 1.0]);
    }
}
