//! `concat`: rows on rows, of floats and of words, and of a tensor on itself.

use smoothenc::engine::ops::concat;

use crate::harness::{Case, Input};

fn case(name: String, a: Input, b: Input) -> Case {
    let build = |g: &mut _, x: &[_]| Ok(vec![concat(g, x[0], x[1])?]);
    Case::new(name, build, |x| vec![x.concat()]).input(a).input(b).tolerance(0.0, 0.0)
}

pub fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    // The CPU's tile is 65536 words: the border lies before, in, at the end of and after the first.
    for [ra, rb, cols] in
        [[1, 1, 1], [3, 5, 7], [1, 90, 785], [90, 1, 785], [256, 1, 256], [1, 256, 256], [200, 3, 1]]
    {
        let name = format!("floats_{ra}and{rb}x{cols}");
        cases.push(case(name, Input::normal([ra, cols]), Input::normal([rb, cols])));
    }
    let words = |rows: usize, salt: u32| {
        Input::words([rows, 5], (0..5 * rows as u32).map(|i| i.wrapping_mul(0x9e37_79b9) ^ salt).collect())
    };
    cases.push(case("words_70and3x5".into(), words(70, 1), words(3, 2)));
    let doubled = Case::new(
        "on_itself_9x31",
        |g, x| Ok(vec![concat(g, x[0], x[0])?]),
        |x| vec![[&x[0][..], &x[0][..]].concat()],
    );
    cases.push(doubled.input(Input::normal([9, 31])).tolerance(0.0, 0.0));
    cases
}
