//! `copy`: floats and words, in shapes around the CPU's tile.

use smoothenc::engine::ops::store;

use crate::harness::{Case, Input};

fn case(name: String, x: Input, target: Input) -> Case {
    let build = |g: &mut _, x: &[_]| {
        store(g, x[0], x[1])?;
        Ok(vec![x[1]])
    };
    Case::new(name, build, |x| vec![x[0].clone()]).input(x).input(target).tolerance(0.0, 0.0)
}

pub fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for shape in [[1, 1], [3, 7], [200, 3], [90, 785], [1, 65537]] {
        let [rows, cols] = shape;
        cases.push(case(format!("floats_{rows}x{cols}"), Input::normal(shape), Input::normal(shape)));
    }
    let words = |salt: u32| {
        Input::words([70, 5], (0..350).map(|i: u32| i.wrapping_mul(0x9e37_79b9) ^ salt).collect())
    };
    cases.push(case("words_70x5".into(), words(1), words(2)));
    cases
}
