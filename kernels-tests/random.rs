//! `random`: uniforms bit for bit and normals to rounding, by a Threefry written for this test;
//! Random123's known answers through the WGSL of `common/rng.wgsl`; and statistics of the draws.

use libtest_mimic::Trial;
use smoothenc::Result;
use smoothenc::engine::graph::{Graph, Inputs, Io, Op, Outputs, Tensor};
use smoothenc::engine::ops::store;
use smoothenc::engine::ops::{normal, uniform};
use smoothenc::engine::recording::{Call, flat_grid};
use smoothenc::engine::rng::{self, Key, Purpose};
use smoothenc::engine::session::Session;
use smoothenc::engine::tensor::DType;

use crate::devices::device;
use crate::harness::{Case, Input, Verdict, trial};
use crate::inputs::Rng;

/// Threefry-2x32-20 as in Salmon et al., section 3.3, on one block.
pub fn threefry(counter: [u32; 2], key: [u32; 2]) -> [u32; 2] {
    const ROTATE: [[u32; 4]; 2] = [[13, 15, 26, 6], [17, 29, 16, 24]];
    let schedule = [key[0], key[1], key[0] ^ key[1] ^ 0x1BD1_1BDA];
    let [mut a, mut b] = counter;
    for round in 0..20 {
        if round % 4 == 0 {
            // Injection number round / 4, before the rounds it precedes.
            let number = round / 4;
            a = a.wrapping_add(schedule[number % 3]);
            b = b.wrapping_add(schedule[(number + 1) % 3]).wrapping_add(number as u32);
        }
        a = a.wrapping_add(b);
        b = b.rotate_left(ROTATE[round / 4 % 2][round % 4]) ^ a;
    }
    [a.wrapping_add(schedule[2]), b.wrapping_add(schedule[0]).wrapping_add(5)]
}

/// Counter, key and output, from Random123.
const KNOWN_ANSWERS: [[[u32; 2]; 3]; 3] = [
    [[0, 0], [0, 0], [0x6b20_0159, 0x99ba_4efe]],
    [[u32::MAX; 2], [u32::MAX; 2], [0x1cb9_96fc, 0xbb00_2be7]],
    [[0x243f_6a88, 0x85a3_08d3], [0x1319_8a2e, 0x0370_7344], [0xc492_3a9c, 0x483d_f7a0]],
];

/// docs/method.md, section 9, rounded to float32 once, and kept off 1.
fn unit(bits: u32) -> f64 {
    let exact = (f64::from(bits >> 8) + 0.5) / f64::from(1 << 24);
    f64::from((exact as f32).min(1.0 - f32::EPSILON / 2.0))
}

/// `n` draws of a step.
fn draws(key: Key, step: u32, n: usize, normal: bool) -> Vec<f64> {
    let block = |i: usize| {
        let [u, v] = threefry([i as u32, step], key.0).map(unit);
        let (radius, angle) = ((-2.0 * u.ln()).sqrt(), std::f64::consts::TAU * v);
        if normal { [radius * angle.cos(), radius * angle.sin()] } else { [u, v] }
    };
    (0..n.div_ceil(2)).flat_map(block).take(n).collect()
}

fn case(n: usize, step: u32, seed: u64, normals: bool) -> Case {
    let key = Key::new(seed, Purpose::Selection);
    let name = if normals { "normal" } else { "uniform" };
    let case = Case::new(
        format!("{name}_{n}_step{step}_seed{seed}"),
        move |g, x| Ok(vec![if normals { normal(g, x[0], [n], key)? } else { uniform(g, x[0], [n], key)? }]),
        move |x| vec![draws(key, x[0][0] as u32, n, normals)],
    );
    // Rounding the angle alone gives 2e-7; errors are relative to a hundredth of the largest draw.
    let tolerance = if normals { (1e-4, 1e-4) } else { (0.0, 0.0) };
    case.input(Input::words([2], vec![step, 99])).tolerance(tolerance.0, tolerance.1)
}

smoothenc::kernel! {
    /// A kernel made for this test from the shared WGSL: raw words, and words as uniforms.
    static WORDS: "threefry_words" {
        wgsl: [
            include_str!("../shaders/common/flat.wgsl"),
            include_str!("../shaders/common/rng.wgsl"),
            "struct Params { rows: u32 }
             @group(0) @binding(0) var<uniform> p: Params;
             @group(0) @binding(1) var<storage, read> blocks: array<vec4u>;
             @group(0) @binding(2) var<storage, read_write> words: array<vec2u>;
             @group(0) @binding(3) var<storage, read_write> units: array<vec2f>;
             @compute @workgroup_size(FLAT)
             fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u,
                     @builtin(local_invocation_index) local: u32) {
                 let i = flat_index(group, groups, local);
                 if i >= p.rows { return; }
                 words[i] = threefry(blocks[i].xy, blocks[i].zw);
                 units[i] = vec2f(unit(blocks[i].x), unit(blocks[i].y));
             }",
        ],
        params: { rows: u32 },
        constants: {},
        bindings: { blocks: read u32, words: write u32, units: write f32 },
        cpu: words_cpu,
    }
}

fn words_cpu(Tile { blocks, words, units, .. }: Tile) {
    let outputs = words.chunks_exact_mut(2).zip(units.chunks_exact_mut(2));
    for (block, (words, units)) in blocks.chunks_exact(4).zip(outputs) {
        let (x, y) = rng::threefry([block[0]], [block[1]], Key([block[2], block[3]]));
        words.copy_from_slice(&[x[0], y[0]]);
        units.copy_from_slice(&[rng::unit(block[0]), rng::unit(block[1])]);
    }
}

#[derive(Debug)]
struct Words;

impl Op for Words {
    fn name(&self) -> &'static str {
        WORDS.name
    }

    fn outputs(&self, inputs: &Inputs) -> Outputs {
        let rows = inputs[0].0.rows();
        Ok(vec![([rows, 2].into(), DType::U32), ([rows, 2].into(), DType::F32)])
    }

    fn call(&self, io: &Io) -> Call {
        let rows = io.inputs[0].0.rows();
        let (words, units) = (io.output(0).by_row(), io.output(1).by_row());
        Args { blocks: io.input(0).by_row(), words, units }
            .call(Params { rows: rows as u32 }, Constants {})
            .grid(rows, 64, flat_grid(rows))
    }
}

/// Blocks (counter, key) through the kernel above, and their words as uniforms.
fn words(name: &str, blocks: Vec<u32>, expected: fn(&[u32]) -> [u32; 2]) -> Case {
    let rows = blocks.len() / 4;
    Case::new(
        name,
        |g, x| g.apply(Words, x),
        move |x| {
            let blocks: Vec<u32> = x[0].iter().map(|&w| w as u32).collect();
            let words = blocks.chunks(4).flat_map(expected).map(f64::from).collect();
            vec![words, blocks.chunks(4).flat_map(|b| [unit(b[0]), unit(b[1])]).collect()]
        },
    )
    .input(Input::words([rows, 4], blocks))
    .tolerance(0.0, 0.0)
}

fn known(block: &[u32]) -> [u32; 2] {
    let answer = KNOWN_ANSWERS.iter().find(|[counter, key, _]| [*counter, *key].concat() == block);
    answer.map_or([0; 2], |[.., words]| *words)
}

fn computed(block: &[u32]) -> [u32; 2] {
    threefry([block[0], block[1]], [block[2], block[3]])
}

pub fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    // 8192 draws are the CPU's tile, 32 its vectors, 512 the GPU's workgroup.
    for n in [1, 2, 7, 31, 33, 200, 785, 8191, 8193, 100_001] {
        cases.push(case(n, 3, 1, false));
        cases.push(case(n, 3, 1, true));
    }
    for (step, seed) in [(0, 0), (1, 0), (u32::MAX, 12_345_678_901_234), (299_999, u64::MAX)] {
        cases.push(case(65, step, seed, false));
        cases.push(case(65, step, seed, true));
    }
    let answers = KNOWN_ANSWERS.iter().flat_map(|[counter, key, _]| [*counter, *key].concat()).collect();
    cases.push(words("known_answers", answers, known));
    let mut rng = Rng::new(crate::inputs::seed(), "words");
    let mut blocks: Vec<u32> = (0..4 * 1000).map(|_| rng.word() as u32).collect();
    // Words at the ends of the range, and where float32 begins to round the half away.
    let ends = [0, 255, 256, u32::MAX, u32::MAX - 255, u32::MAX - 256, 0x7fff_ffff, 0x8000_0000];
    blocks.extend(ends);
    cases.push(words("any_blocks", blocks, computed));
    cases
}

/// `n` draws of a step on a device.
fn drawn(gpu: bool, key: Key, step: u32, n: usize, normals: bool) -> Result<Vec<f32>> {
    let (mut g, mut session) = (Graph::new(), Session::new(device(gpu)?));
    let clock = g.variable("clock", [2], DType::U32)?;
    let value: Tensor =
        if normals { normal(&mut g, clock, [n], key)? } else { uniform(&mut g, clock, [n], key)? };
    let kept = g.variable("draws", [n], DType::F32)?;
    store(&mut g, value, kept)?;
    session.set("clock", &[step, 0])?;
    session.compile(&g)?.run()?;
    session.get("draws")
}

const MANY: usize = 100_001;

/// Whether an average over [`MANY`] draws is within five standard deviations of what it should be.
fn near(what: &str, average: f64, expected: f64, variance: f64) -> Verdict {
    let allowed = 5.0 * (variance / MANY as f64).sqrt();
    if (average - expected).abs() <= allowed {
        return Ok(());
    }
    Err(format!("{what}: {average}, expected {expected} give or take {allowed}").into())
}

fn average(values: &[f32], f: impl Fn(f64) -> f64) -> f64 {
    values.iter().map(|&v| f(f64::from(v))).sum::<f64>() / values.len() as f64
}

/// The average product of neighbours: of the two draws of a block, and of one block and the next.
fn neighbours(values: &[f32], centre: f64) -> f64 {
    let product = |pair: &[f32]| (f64::from(pair[0]) - centre) * (f64::from(pair[1]) - centre);
    values.windows(2).map(product).sum::<f64>() / (values.len() - 1) as f64
}

fn moments(gpu: bool, rng: &mut Rng) -> Verdict {
    let (key, step) = (Key::new(rng.word(), Purpose::Reparameterise), rng.word() as u32);
    let uniforms = drawn(gpu, key, step, MANY, false)?;
    let normals = drawn(gpu, key, step, MANY, true)?;
    if !uniforms.iter().all(|&u| u > 0.0 && u < 1.0) {
        return Err("a uniform draw is 0, 1 or beyond".into());
    }
    if !normals.iter().all(|n| n.is_finite() && n.abs() < 6.0) {
        return Err("a normal draw is not finite, or larger than any can be".into());
    }
    near("mean of the uniforms", average(&uniforms, |u| u), 0.5, 1.0 / 12.0)?;
    near("variance of the uniforms", average(&uniforms, |u| (u - 0.5).powi(2)), 1.0 / 12.0, 1.0 / 180.0)?;
    near("neighbouring uniforms", neighbours(&uniforms, 0.5), 0.0, 1.0 / 144.0)?;
    near("mean of the normals", average(&normals, |n| n), 0.0, 1.0)?;
    near("variance of the normals", average(&normals, |n| n * n), 1.0, 2.0)?;
    near("skewness of the normals", average(&normals, |n| n.powi(3)), 0.0, 15.0)?;
    near("fourth moment of the normals", average(&normals, |n| n.powi(4)), 3.0, 96.0)?;
    near("neighbouring normals", neighbours(&normals, 0.0), 0.0, 1.0)
}

/// Steps, seeds and purposes do not share their draws, and a longer draw begins with a shorter one.
fn streams(gpu: bool, _: &mut Rng) -> Verdict {
    let key = |seed, purpose| Key::new(seed, purpose);
    let first = drawn(gpu, key(1, Purpose::Selection), 0, 999, false)?;
    for (what, key, step) in [
        ("step 1", key(1, Purpose::Selection), 1),
        ("seed 2", key(2, Purpose::Selection), 0),
        ("the high half of the seed", key(1 | 1 << 32, Purpose::Selection), 0),
        ("another purpose", key(1, Purpose::Attack), 0),
    ] {
        let other = drawn(gpu, key, step, 999, false)?;
        // Two independent draws are equal once in 2^24.
        let equal = first.iter().zip(&other).filter(|(a, b)| a == b).count();
        if equal > 2 {
            return Err(format!("{what} gives {equal} of the same 999 draws").into());
        }
    }
    let shorter = drawn(gpu, key(1, Purpose::Selection), 0, 77, false)?;
    if shorter != first[..77] { Err("a shorter draw differs".into()) } else { Ok(()) }
}

pub fn trials(gpu: bool) -> Vec<Trial> {
    let mut trials = Vec::new();
    for (device, on_gpu) in [("cpu", false), ("gpu", true)] {
        let ignored = on_gpu && !gpu;
        let all = [
            trial(format!("random::moments::{device}"), move |rng| moments(on_gpu, rng)),
            trial(format!("random::streams::{device}"), move |rng| streams(on_gpu, rng)),
        ];
        trials.extend(all.map(|t| t.with_ignored_flag(ignored)));
    }
    trials
}
