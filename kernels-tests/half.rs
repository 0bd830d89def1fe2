//! `half`: every device must round the same, to the last bit.

use smoothenc::engine::ops::half;

use crate::harness::{Case, Input};

/// Ordinary numbers, numbers halfway between two halves, small ones, ones that are too large, infinity and NaN.
fn number(i: usize) -> f32 {
    let sign = if i.is_multiple_of(2) { 1.0 } else { -1.0 };
    let digits = (i * 619 % 4096) as f32 / 4096.0;
    sign * match i % 13 {
        0 => 0.0,
        1 => digits * 2.0f32.powi(-14),
        2 => 65_000.0 + 600.0 * digits,
        3 => digits / 3.0,
        11 => f32::INFINITY,
        12 => f32::NAN,
        e => (1.0 + digits) * 2.0f32.powi(3 * e as i32 - 25),
    }
}

/// The value of a positive half's bits; of infinity's, as if exponents went on.
fn value(bits: u32) -> f64 {
    match bits >> 10 {
        0 => f64::from(bits) * 2.0f64.powi(-24),
        exponent => (1.0 + f64::from(bits & 1023) / 1024.0) * 2.0f64.powi(exponent as i32 - 15),
    }
}

/// The half nearest to a number, ties to even.
pub fn to_half(x: f64) -> f64 {
    if x.is_nan() {
        return x;
    }
    let bits = nearest(x);
    let magnitude = if bits & 0x7fff == 0x7c00 { f64::INFINITY } else { value(bits & 0x7fff) };
    magnitude.copysign(x)
}

/// A half's bits by search: the nearest of all halves, ties to even.
fn nearest(x: f64) -> u32 {
    let sign = if x.is_sign_negative() { 0x8000 } else { 0 };
    if x.is_nan() {
        return sign | 0x7e00;
    }
    let magnitude = x.abs();
    // The first half not below it, infinity's bits beyond the last.
    let (mut low, mut high) = (0_u32, 0x7c00);
    while low < high {
        let middle = (low + high) / 2;
        if value(middle) < magnitude { low = middle + 1 } else { high = middle }
    }
    let below = low.saturating_sub(1);
    let (down, up) = (magnitude - value(below), value(low) - magnitude);
    let bits = if down < up || down == up && below % 2 == 0 { below } else { low };
    bits | sign
}

/// Every half, the middle between it and the next, and the floats beside the middle; of either sign.
fn every_half_and_middle() -> Vec<f32> {
    let around = |bits: u32| {
        let [low, high] = [bits, bits + 1].map(|bits| value(bits) as f32);
        let middle = 0.5 * (low + high);
        [low, middle, middle.next_down(), -low, -middle, -middle.next_up()]
    };
    (0..0x7c00).flat_map(around).collect()
}

fn case(name: &str, numbers: Vec<f32>, all: usize) -> Case {
    let bits: Vec<u32> = numbers.iter().map(|x| nearest(f64::from(*x))).collect();
    let packed = bits.as_chunks().0.iter().map(|[low, high]| f64::from(low | high << 16));
    let mut packed: Vec<f64> = packed.collect();
    packed.resize(all, 0.0);
    Case::new(name, move |g, x| Ok(vec![half(g, x[0], 2 * all)?]), move |_| vec![packed.clone()])
        .input(Input::values([numbers.len()], numbers))
        .tolerance(0.0, 0.0)
}

pub fn cases() -> Vec<Case> {
    // One, ragged, and more than the CPU's tile of 16384.
    let mut cases: Vec<Case> = [[1, 1], [33, 40], [785, 785], [40_000, 41_001]]
        .map(|[words, all]| {
            case(&format!("{words}_of_{all}_words"), (0..2 * words).map(number).collect(), all)
        })
        .into();
    let halves = every_half_and_middle();
    let words = halves.len() / 2;
    cases.push(case("every_half_and_middle", halves, words));
    cases
}
