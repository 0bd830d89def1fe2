//! `shuffle`: bit for bit by a Feistel network written for this test, and the promise it keeps:
//! every epoch visits every example once, in its own order.

use libtest_mimic::Trial;
use smoothenc::Result;
use smoothenc::engine::graph::Graph;
use smoothenc::engine::ops::shuffle;
use smoothenc::engine::ops::store;
use smoothenc::engine::rng::{Key, Purpose};
use smoothenc::engine::session::Session;
use smoothenc::engine::tensor::DType;

use crate::devices::device;
use crate::harness::{Case, Input, Verdict, trial};
use crate::inputs::Rng;
use crate::random::threefry;

/// Example number `number` of the run: the walk that `shaders/shuffle.wgsl` describes.
fn example(key: Key, n: u64, number: u64) -> u64 {
    let (epoch, position) = (number / n, number % n);
    let mut half = 1;
    while 1u64 << (2 * half) < n {
        half += 1;
    }
    let mask = (1u64 << half) - 1;
    let mut value = position;
    loop {
        let mut halves = [value >> half, value & mask];
        for round in 0..4 {
            let [hash, _] = threefry([(halves[1] | round << 16) as u32, epoch as u32], key.0);
            halves = [halves[1], halves[0] ^ (u64::from(hash) & mask)];
        }
        value = halves[0] << half | halves[1];
        if value < n {
            return value;
        }
    }
}

fn case(n: usize, batch: usize, step: u32) -> Case {
    let key = Key::new(9, Purpose::Shuffle);
    let case = Case::new(
        format!("{batch}of{n}_step{step}"),
        move |g, x| Ok(vec![shuffle(g, x[0], batch, n, key)?]),
        move |x| {
            let first = x[0][0] as u64 * batch as u64;
            vec![(0..batch as u64).map(|i| example(key, n as u64, first + i) as f64).collect()]
        },
    );
    case.input(Input::words([2], vec![step, 99])).tolerance(0.0, 0.0)
}

pub fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    // Steps 1 of 3 of 5 and 1 of 600 of 1000 cross the border of an epoch.
    for (n, batch) in [(1, 1), (1, 7), (5, 3), (5, 1), (1000, 600), (1000, 7), (60_000, 128)] {
        for step in [0, 1, 468, 469, 30_000] {
            cases.push(case(n, batch, step));
        }
    }
    for n in [2, 3, 4, 16, 17, 64, 65, 4096, 4097, 65_536, 65_537, 420_000] {
        cases.push(case(n, 300, 11));
    }
    cases
}

/// The batches of steps 0, 1, ... on a device, one after the other.
fn batches(gpu: bool, key: Key, n: usize, batch: usize, steps: u32) -> Result<Vec<u32>> {
    let (mut g, mut session) = (Graph::new(), Session::new(device(gpu)?));
    let clock = g.variable("clock", [2], DType::U32)?;
    let indices = shuffle(&mut g, clock, batch, n, key)?;
    let kept = g.variable("indices", [batch], DType::U32)?;
    store(&mut g, indices, kept)?;
    let mut program = session.compile(&g)?;
    let mut all = Vec::new();
    for step in 0..steps {
        session.set("clock", &[step, 0])?;
        program.run()?;
        all.extend(session.get::<u32>("indices")?);
    }
    Ok(all)
}

fn epochs(gpu: bool, rng: &mut Rng) -> Verdict {
    let key = Key::new(rng.word(), Purpose::Shuffle);
    for n in [1, 5, 1000, 60_000] {
        // Three epochs in batches that do not divide them; the last is not complete.
        let batch = n / 3 + 1;
        let visited = batches(gpu, key, n, batch, 8)?;
        let mut orders = Vec::new();
        for epoch in visited.chunks_exact(n) {
            let mut sorted = epoch.to_vec();
            sorted.sort_unstable();
            if !sorted.into_iter().eq(0..n as u32) {
                return Err(format!("an epoch of {n} does not visit every example once").into());
            }
            orders.push(epoch);
        }
        let few = orders.len() < 2;
        // Of 5 examples two epochs in a row have one order once in 120 times.
        let same = orders.windows(2).filter(|pair| pair[0] == pair[1]).count();
        if few || (n >= 1000 && same > 0) {
            return Err(format!("{n}: {} epochs, {same} pairs of one order", orders.len()).into());
        }
        if n >= 1000 {
            let unmoved = orders[0].iter().zip(0..).filter(|(v, i)| *v == i).count();
            if unmoved > 12 {
                return Err(format!("{unmoved} of {n} examples stay in their place").into());
            }
        }
        if visited != batches(gpu, key, n, visited.len(), 1)? {
            return Err(format!("{n}: the size of the batch changes the order of the run").into());
        }
    }
    Ok(())
}

pub fn trials(gpu: bool) -> Vec<Trial> {
    [("cpu", false), ("gpu", true)]
        .map(|(device, on_gpu)| {
            trial(format!("shuffle::epochs::{device}"), move |rng| epochs(on_gpu, rng))
                .with_ignored_flag(on_gpu && !gpu)
        })
        .into()
}
