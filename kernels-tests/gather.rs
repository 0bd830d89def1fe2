//! `gather`: rows of floats, of words, and of packed bytes, at indices in any order.

use smoothenc::engine::ops::{byte_table_words, gather, gather_bytes};

use crate::harness::{Case, Input};

/// The content of the row of an index beyond the table.
const BEYOND: u32 = 0x7fc0_0000;

/// Repeated indices, the first row and the last one among them, and two beyond the table.
pub fn indices(rows: usize, n: usize) -> Input {
    let index = |r: usize| match r {
        0 => n - 1,
        1 => 0,
        3 => n + 28, // Beyond the bytes that fill up the last word too.
        4 => u32::MAX as usize,
        _ => (r * r * 31 + r) % n,
    };
    Input::words([rows], (0..rows).map(|r| index(r) as u32).collect())
}

/// Rows of the table in f64, whatever it holds; `beyond` for those that it lacks.
pub fn rows_of(table: &[f64], indices: &[f64], cols: usize, beyond: f64) -> Vec<f64> {
    let row =
        |&i: &f64| table.get(i as usize * cols..).map_or(&[][..], |rest| rest.get(..cols).unwrap_or(&[]));
    let whole = |row: &[f64]| if row.is_empty() { vec![beyond; cols] } else { row.to_vec() };
    indices.iter().map(row).flat_map(whole).collect()
}

fn table(name: &str, rows: usize, [n, cols]: [usize; 2], table: Input, beyond: f64) -> Case {
    Case::new(
        format!("{name}_{rows}of{n}x{cols}"),
        |g, x| Ok(vec![gather(g, x[0], x[1])?]),
        move |x| vec![rows_of(&x[0], &x[1], cols, beyond)],
    )
    .input(table)
    .input(indices(rows, n))
    .tolerance(0.0, 0.0)
    .nonfinite()
}

/// Each byte value appears; what pads the last word is not 0.
pub fn byte(i: usize) -> u32 {
    (i * 7 + i / 256) as u32 & 0xff
}

/// Words that hold `count` bytes.
pub fn packed(count: usize) -> Input {
    let words = byte_table_words(count);
    let word = |w: usize| (0..4).fold(0, |word, b| word | byte(4 * w + b) << (8 * b));
    Input::words([words], (0..words).map(word).collect())
}

fn bytes(rows: usize, [n, cols]: [usize; 2]) -> Case {
    let pixels: Vec<f64> = (0..n * cols).map(|i| f64::from(byte(i)) / 255.0).collect();
    Case::new(
        format!("bytes_{rows}of{n}x{cols}"),
        move |g, x| Ok(vec![gather_bytes(g, x[0], x[1], cols)?]),
        move |x| vec![rows_of(&pixels, &x[1], cols, f64::NAN)],
    )
    .input(packed(n * cols))
    .input(indices(rows, n))
    // One rounding; a GPU's division may be off by 2.5 units in the last place.
    .tolerance(1e-7, 4e-7)
    .nonfinite()
}

pub fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for (rows, sides) in [(1, [1, 1]), (9, [5, 7]), (300, [40, 1]), (70, [12, 785]), (1, [3, 784])] {
        cases.push(table("floats", rows, sides, Input::normal(sides), f64::NAN));
        let words = (0..sides[0] * sides[1]).map(|i| (i as u32).wrapping_mul(0x9e37_79b9)).collect();
        cases.push(table("words", rows, sides, Input::words(sides, words), f64::from(BEYOND)));
    }
    // Rows of bytes that start in, and end in, every place of a word.
    for (rows, sides) in
        [(1, [1, 1]), (2, [1, 3]), (9, [5, 7]), (300, [41, 1]), (33, [9, 785]), (5, [3, 784]), (64, [600, 2])]
    {
        cases.push(bytes(rows, sides));
    }
    cases
}
