//! The parts of every kernel test: a case, the inputs drawn for it, and the comparison.

use std::sync::Arc;

use libtest_mimic::{Failed, Trial};
use smoothenc::Result;
use smoothenc::engine::autodiff;
use smoothenc::engine::device::Device;
use smoothenc::engine::device::gpu::Options;
use smoothenc::engine::graph::{Graph, Tensor, plan};
use smoothenc::engine::ops::elementwise;
use smoothenc::engine::ops::store;
use smoothenc::engine::session::Session;
use smoothenc::engine::tensor::{DType, Shape};

use crate::devices::{PLAIN, cooperative_matrices, device, gpu_with, subgroups, sums_in_workgroups};
use crate::inputs::{self, Rng};

/// Builds the op under test from the input tensors; returns what is compared: new values, or
/// inputs that the op writes to.
type Build = dyn Fn(&mut Graph, &[Tensor]) -> Result<Vec<Tensor>> + Send + Sync;
/// The same in float64, from the inputs.
type Oracle = dyn Fn(&[Vec<f64>]) -> Vec<Vec<f64>> + Send + Sync;
/// Fills an input with this many words.
type Draw = dyn Fn(&mut Rng, usize) -> Vec<u32> + Send + Sync;

/// The result of a test: passed, or why it failed.
pub type Verdict = std::result::Result<(), Box<dyn std::error::Error>>;

/// An input variable of a case.
pub struct Input {
    pub shape: Shape,
    pub dtype: DType,
    draw: Box<Draw>,
}

impl Input {
    fn floats(shape: impl Into<Shape>, draw: impl Fn(&mut Rng) -> f64 + Send + Sync + 'static) -> Self {
        let draw = move |rng: &mut Rng, n| (0..n).map(|_| (draw(rng) as f32).to_bits()).collect();
        Input { shape: shape.into(), dtype: DType::F32, draw: Box::new(draw) }
    }

    /// Standard normal floats.
    pub fn normal(shape: impl Into<Shape>) -> Self {
        Input::floats(shape, Rng::normal)
    }

    /// Floats uniform between `low` and `high`.
    pub fn uniform(shape: impl Into<Shape>, low: f64, high: f64) -> Self {
        Input::floats(shape, move |rng| low + (high - low) * rng.uniform())
    }

    /// Exactly these floats.
    pub fn values(shape: impl Into<Shape>, values: Vec<f32>) -> Self {
        let words: Vec<u32> = values.iter().map(|v| v.to_bits()).collect();
        Input { shape: shape.into(), dtype: DType::F32, draw: Box::new(move |_, _| words.clone()) }
    }

    /// Exactly these words.
    #[allow(dead_code)]
    pub fn words(shape: impl Into<Shape>, words: Vec<u32>) -> Self {
        Input { shape: shape.into(), dtype: DType::U32, draw: Box::new(move |_, _| words.clone()) }
    }
}

/// One op with inputs of certain shapes, and what must come out.
pub struct Case {
    pub name: String,
    inputs: Vec<Input>,
    build: Box<Build>,
    oracle: Box<Oracle>,
    /// Relative to the larger of the value and 1 % of the largest value of its output.
    tolerance_cpu: f64,
    tolerance_gpu: f64,
    nonfinite: bool,
    differentiate: Vec<usize>,
    /// For the GPU only: the variant that its calls are to have.
    variant: Option<usize>,
    /// The number of variants with cooperative matrices.
    cooperative_variants: usize,
}

impl Case {
    /// A case of this name without inputs.
    pub fn new(
        name: impl Into<String>,
        build: impl Fn(&mut Graph, &[Tensor]) -> Result<Vec<Tensor>> + Send + Sync + 'static,
        oracle: impl Fn(&[Vec<f64>]) -> Vec<Vec<f64>> + Send + Sync + 'static,
    ) -> Self {
        Case {
            name: name.into(),
            inputs: Vec::new(),
            build: Box::new(build),
            oracle: Box::new(oracle),
            tolerance_cpu: 1e-5,
            tolerance_gpu: 1e-4,
            nonfinite: false,
            differentiate: Vec::new(),
            variant: None,
            cooperative_variants: 0,
        }
    }

    /// Adds the next input.
    pub fn input(mut self, input: Input) -> Self {
        self.inputs.push(input);
        self
    }

    /// Sets the relative tolerances (1e-5 and 1e-4 otherwise). 0 asks for equality.
    pub fn tolerance(mut self, cpu: f64, gpu: f64) -> Self {
        (self.tolerance_cpu, self.tolerance_gpu) = (cpu, gpu);
        self
    }

    /// Lets the oracle return NaN and infinities, which the kernel must then return too.
    pub fn nonfinite(mut self) -> Self {
        self.nonfinite = true;
        self
    }

    /// Adds a trial for the gradient with respect to these inputs.
    pub fn gradient(mut self, inputs: &[usize]) -> Self {
        self.differentiate = inputs.to_vec();
        self
    }

    /// Makes it a case of variant number `variant` of a call that offers several.
    pub fn variant(mut self, variant: usize) -> Self {
        self.name = format!("{}_variant_{variant}", self.name);
        self.variant = Some(variant);
        self
    }

    /// Adds a trial for each of `variants` variants with cooperative matrices.
    pub fn on_cooperative_matrices(mut self, variants: usize) -> Self {
        self.cooperative_variants = variants;
        self
    }

    /// The words of all inputs.
    pub fn words(&self) -> usize {
        self.inputs.iter().map(|input| input.shape.len()).sum()
    }

    /// The trials of this case: one a device, and the gradient's where it has one.
    pub fn trials(self, kernel: &str, gpu: bool) -> Vec<Trial> {
        let name = format!("{kernel}::{}", self.name);
        let case = Arc::new(self);
        let (on_cpu, on_gpu, in_gradient) = (case.clone(), case.clone(), case.clone());
        let plain = Options { variant: case.variant.or(PLAIN.variant), ..PLAIN };
        let mut trials = vec![
            trial(format!("{name}::cpu"), move |rng| on_cpu.run(&device(false)?, rng)),
            trial(format!("{name}::gpu"), move |rng| on_gpu.run(&gpu_with(plain)?, rng))
                .with_ignored_flag(!gpu),
        ];
        if case.variant.is_some() {
            trials.remove(0);
        }
        if sums_in_workgroups(kernel) {
            let case = case.clone();
            let options = Options { subgroups: Some(true), ..plain };
            let run = move |rng: &mut Rng| case.run(&gpu_with(options)?, rng);
            trials.push(trial(format!("{name}::gpu_subgroups"), run).with_ignored_flag(!subgroups()));
        }
        for variant in 0..case.cooperative_variants {
            let case = case.clone();
            let options = Options { cooperative_matrices: Some(true), variant: Some(variant), ..PLAIN };
            let run = move |rng: &mut Rng| case.run(&gpu_with(options)?, rng);
            let name = format!("{name}::gpu_cooperative_{variant}");
            trials.push(trial(name, run).with_ignored_flag(!cooperative_matrices()));
        }
        if !case.differentiate.is_empty() {
            trials.push(trial(format!("{name}::gradient"), move |rng| in_gradient.check_gradient(rng)));
        }
        trials
    }

    /// Draws inputs, runs the op on `device` and compares with the oracle. On a device with cooperative matrices, at
    /// least one call must use them.
    pub fn run(&self, device: &Device, rng: &mut Rng) -> Verdict {
        let drawn = self.draw(rng);
        let ran = self.execute(device, &drawn)?;
        let expected = (self.oracle)(&self.as_floats(&drawn));
        let tolerance = match device {
            Device::Cpu(_) => self.tolerance_cpu,
            Device::Gpu(_) => self.tolerance_gpu,
        };
        for (i, expected) in expected.iter().enumerate() {
            let Some((dtype, words)) = ran.outputs.get(i) else {
                return Err(format!("no output {i}").into());
            };
            let got = to_floats(*dtype, words);
            let verdict = compare(&got, expected, tolerance, self.nonfinite).or_else(|_| {
                // Where large terms cancel, the tolerance is what rounding can do to the result.
                compare_within(&got, expected, tolerance, self.nonfinite, &self.rounding(rng, &drawn, i))
            });
            verdict.map_err(|e| format!("output {i}: {e}"))?;
        }
        if expected.len() != ran.outputs.len() {
            return Err(format!("{} outputs, the oracle has {}", ran.outputs.len(), expected.len()).into());
        }
        ran.complaint.map_or(Ok(()), |text| Err(text.into()))
    }

    fn draw(&self, rng: &mut Rng) -> Vec<Vec<u32>> {
        self.inputs.iter().map(|input| (input.draw)(rng, input.shape.len())).collect()
    }

    /// How far each value of output `i` of the oracle moves when every input moves by 1e-6 of itself, 16
    /// single-precision roundings: the most of eight draws.
    fn rounding(&self, rng: &mut Rng, drawn: &[Vec<u32>], i: usize) -> Vec<f64> {
        let inputs = self.as_floats(drawn);
        let exact = (self.oracle)(&inputs).swap_remove(i);
        let mut most = vec![0.0f64; exact.len()];
        for _ in 0..8 {
            let there = (self.oracle)(&self.moved(rng, &inputs)).swap_remove(i);
            for ((most, there), exact) in most.iter_mut().zip(there).zip(&exact) {
                *most = most.max((there - exact).abs());
            }
        }
        most
    }

    /// Each number of every input moved by up to 1e-6 of itself.
    fn moved(&self, rng: &mut Rng, inputs: &[Vec<f64>]) -> Vec<Vec<f64>> {
        let mut moved = inputs.to_vec();
        for (_, values) in self.inputs.iter().zip(&mut moved).filter(|(i, _)| i.dtype == DType::F32) {
            values.iter_mut().for_each(|x| *x *= nearly_one(rng));
        }
        moved
    }

    fn as_floats(&self, drawn: &[Vec<u32>]) -> Vec<Vec<f64>> {
        self.inputs.iter().zip(drawn).map(|(input, words)| to_floats(input.dtype, words)).collect()
    }

    /// Runs the op between poisoned margins; two runs must not differ by a bit.
    fn execute(&self, device: &Device, drawn: &[Vec<u32>]) -> Result<Ran> {
        let (mut g, mut session) = (Graph::new(), Session::new(device.clone()));
        let mut inputs = Vec::new();
        for (i, (input, words)) in self.inputs.iter().zip(drawn).enumerate() {
            assert_eq!(words.len(), input.shape.len(), "input {i} of {}", self.name);
            inputs.push(guarded(&mut g, &format!("in{i}"), &input.shape, input.dtype)?);
            set(&mut session, &format!("in{i}"), input.dtype, &with_margins(words))?;
        }
        let results = (self.build)(&mut g, &inputs)?;
        // The variable of each output: an input that the op updates, or a new one.
        let mut found = Vec::new();
        for (i, &t) in results.iter().enumerate() {
            if let Some(at) = inputs.iter().position(|&input| input == t) {
                found.push((format!("in{at}"), g.dtype(t)?, g.shape(t)?.len()));
                continue;
            }
            let (name, shape, dtype) = (format!("out{i}"), g.shape(t)?.clone(), g.dtype(t)?);
            let target = guarded(&mut g, &name, &shape, dtype)?;
            store(&mut g, t, target)?;
            set(&mut session, &name, dtype, &with_margins(&vec![POISON; shape.len()]))?;
            found.push((name, dtype, shape.len()));
        }
        let mut program = session.compile(&g)?;
        program.run()?;
        let (mut outputs, mut complaint) = (Vec::new(), None);
        if let Device::Gpu(gpu) = device {
            let plan = plan(&g);
            let variants: Vec<_> =
                plan.recording.calls().filter_map(|(call, _)| gpu.variant_of(call)).collect();
            if gpu.uses_cooperative_matrices() && !variants.iter().any(|name| name.contains("matrix units")) {
                complaint = Some("nothing of it runs with cooperative matrices".into());
            }
        }
        for (name, dtype, len) in &found {
            let words = get(&session, name, *dtype)?;
            complaint = complaint.or(margins_touched(&words, *len).map(|w| format!("{name}: {w}")));
            outputs.push((*dtype, words[MARGIN..MARGIN + len].to_vec()));
        }
        let mut updates = false;
        for (i, (input, words)) in self.inputs.iter().zip(drawn).enumerate() {
            let name = format!("in{i}");
            if found.iter().any(|(updated, ..)| *updated == name) {
                updates = true;
            } else if get(&session, &name, input.dtype)? != with_margins(words) {
                complaint = Some(format!("input {i} was written to"));
            }
        }
        // Miri gives a NaN other bits each time.
        let repeats = !(cfg!(miri) && self.nonfinite);
        if repeats && !updates {
            program.run()?;
            for ((name, dtype, len), (_, first)) in found.iter().zip(&outputs) {
                if get(&session, name, *dtype)?[MARGIN..MARGIN + len] != first[..] {
                    complaint = Some(format!("{name}: a second run gives other bits"));
                }
            }
        }
        Ok(Ran { outputs, complaint })
    }

    /// Compares the gradients of `sum of w * output`, w random, by autodiff on the CPU with differences of the oracle:
    /// a gradient lies between the slopes on its two sides. These agree up to rounding, unless a ReLU switches within
    /// the step; then the gradient is one of them.
    pub fn check_gradient(&self, rng: &mut Rng) -> Verdict {
        let drawn = self.draw(rng);
        let values = self.as_floats(&drawn);
        let lengths: Vec<_> = (self.oracle)(&values).iter().map(Vec::len).collect();
        let weights: Vec<Vec<f32>> =
            lengths.iter().map(|&n| (0..n).map(|_| rng.normal() as f32).collect()).collect();
        let gradients = self.gradients(&drawn, &weights)?;
        let weights: Vec<f64> = weights.iter().flatten().map(|&w| f64::from(w)).collect();
        for (&input, gradient) in self.differentiate.iter().zip(&gradients) {
            let largest = gradient.iter().fold(0.0, |m: f64, g| m.max(g.abs()));
            for _ in 0..gradient.len().min(40) {
                let i = (rng.uniform() * gradient.len() as f64) as usize;
                let (low, high) = self.slopes(&values, &weights, input, i);
                let got = gradient[i];
                let slack = 1e-4 * ((low + high) / 2.0).abs().max(0.01 * largest).max(1e-6);
                let within = |slack: f64| low - slack <= got && got <= high + slack;
                // As in `run`: where large terms cancel, the tolerance is what rounding can do to the result.
                let rounding = |rng: &mut Rng| {
                    let moved = |rng: &mut Rng| {
                        let (values, mut weights) = (self.moved(rng, &values), weights.clone());
                        weights.iter_mut().for_each(|w| *w *= nearly_one(rng));
                        let (l, h) = self.slopes(&values, &weights, input, i);
                        (l - low).abs().max((h - high).abs())
                    };
                    (0..8).map(|_| moved(rng)).fold(0.0, f64::max)
                };
                if !within(slack) && !within(slack + rounding(rng)) {
                    return Err(format!(
                        "gradient of input {input} at {i}: {got}, by finite differences {low} to {high}"
                    )
                    .into());
                }
            }
        }
        Ok(())
    }

    /// The slopes of `sum of w * output` of the oracle along element `i` of an input, on its two sides, the lower
    /// first.
    fn slopes(&self, values: &[Vec<f64>], weights: &[f64], input: usize, i: usize) -> (f64, f64) {
        let loss = |x: &[Vec<f64>]| -> f64 {
            let outputs = (self.oracle)(x);
            outputs.iter().flatten().zip(weights).map(|(y, w)| y * w).sum()
        };
        let here = loss(values);
        let mut x = values.to_vec();
        let h = 1e-5 * x[input][i].abs().max(0.1);
        x[input][i] = values[input][i] + h;
        let right = (loss(&x) - here) / h;
        x[input][i] = values[input][i] - h;
        let left = (here - loss(&x)) / h;
        (left.min(right), left.max(right))
    }

    fn gradients(&self, drawn: &[Vec<u32>], weights: &[Vec<f32>]) -> Result<Vec<Vec<f64>>> {
        let (mut g, mut session) = (Graph::new(), Session::new(device(false)?));
        let mut inputs = Vec::new();
        for (i, (input, words)) in self.inputs.iter().zip(drawn).enumerate() {
            inputs.push(g.variable(&format!("in{i}"), input.shape.clone(), input.dtype)?);
            set(&mut session, &format!("in{i}"), input.dtype, words)?;
        }
        let outputs = (self.build)(&mut g, &inputs)?;
        let mut seeds = Vec::new();
        for (i, (&output, weights)) in outputs.iter().zip(weights).enumerate() {
            let shape = g.shape(output)?.clone();
            seeds.push((output, g.variable(&format!("w{i}"), shape, DType::F32)?));
            session.set(&format!("w{i}"), weights)?;
        }
        let wrt: Vec<_> = self.differentiate.iter().map(|&i| inputs[i]).collect();
        let gradients = autodiff::gradients_from(&mut g, &seeds, &wrt)?;
        for (i, &gradient) in gradients.iter().enumerate() {
            // A copy, since a gradient may be a variable itself.
            let copy = elementwise::scale(&mut g, gradient, 1.0)?;
            let shape = g.shape(copy)?.clone();
            let target = g.variable(&format!("d{i}"), shape, DType::F32)?;
            store(&mut g, copy, target)?;
        }
        session.compile(&g)?.run()?;
        let read = |i| Ok(session.get::<f32>(&format!("d{i}"))?.into_iter().map(f64::from).collect());
        (0..gradients.len()).map(read).collect()
    }
}

/// Fills a variable of this type, bit by bit.
fn set(session: &mut Session, name: &str, dtype: DType, words: &[u32]) -> Result<()> {
    match dtype {
        DType::F32 => session.set::<f32>(name, bytemuck::cast_slice(words)),
        DType::U32 => session.set(name, words),
    }
}

/// The bits of a variable of this type.
fn get(session: &Session, name: &str, dtype: DType) -> Result<Vec<u32>> {
    match dtype {
        DType::F32 => Ok(session.get::<f32>(name)?.into_iter().map(f32::to_bits).collect()),
        DType::U32 => session.get(name),
    }
}

fn nearly_one(rng: &mut Rng) -> f64 {
    1.0 + 1e-6 * (2.0 * rng.uniform() - 1.0)
}

/// The results of a run.
struct Ran {
    outputs: Vec<(DType, Vec<u32>)>,
    /// A fault other than wrong values.
    complaint: Option<String>,
}

/// Words around every input and output, and what they hold: a NaN.
pub const MARGIN: usize = 64;
pub const POISON: u32 = 0x7fc0_dead;

fn guarded(g: &mut Graph, name: &str, shape: &Shape, dtype: DType) -> Result<Tensor> {
    let around = g.variable(name, [shape.len() + 2 * MARGIN], dtype)?;
    g.view(around, MARGIN, shape.clone())
}

/// `words` between two margins.
pub fn with_margins(words: &[u32]) -> Vec<u32> {
    [&[POISON; MARGIN], words, &[POISON; MARGIN]].concat()
}

/// The first word outside the `len` in the middle that changed.
pub fn margins_touched(words: &[u32], len: usize) -> Option<String> {
    let mut outside = (0..MARGIN).chain(MARGIN + len..words.len());
    let at = outside.find(|&i| words[i] != POISON)?;
    Some(format!("element {} of {len} was written", at as isize - MARGIN as isize))
}

fn to_floats(dtype: DType, words: &[u32]) -> Vec<f64> {
    let float = |w: &u32| match dtype {
        DType::F32 => f64::from(f32::from_bits(*w)),
        DType::U32 => f64::from(*w),
    };
    words.iter().map(float).collect()
}

/// Whether every value is within `tolerance` of what is expected, relative to the larger of the
/// value and 1 % of the largest. A NaN or an unwritten value never is.
pub fn compare(got: &[f64], expected: &[f64], tolerance: f64, nonfinite: bool) -> Verdict {
    compare_within(got, expected, tolerance, nonfinite, &vec![0.0; expected.len()])
}

/// [`compare`] with an additional `slack` for each value.
fn compare_within(got: &[f64], expected: &[f64], tolerance: f64, nonfinite: bool, slack: &[f64]) -> Verdict {
    if got.len() != expected.len() {
        return Err(format!("{} values, the oracle has {}", got.len(), expected.len()).into());
    }
    let finite = expected.iter().filter(|v| v.is_finite());
    let largest = finite.fold(0.0, |m: f64, v| m.max(v.abs()));
    let mut wrong = Vec::new();
    for (i, (&got, &want)) in got.iter().zip(expected).enumerate() {
        let right = match want.is_finite() {
            true => (got - want).abs() <= tolerance * want.abs().max(0.01 * largest) + slack[i],
            false => nonfinite && (got == want || got.is_nan() && want.is_nan()),
        };
        if !right {
            wrong.push(i);
        }
    }
    match wrong.first() {
        None => Ok(()),
        Some(&i) => Err(format!(
            "{} of {} values differ, the first at {i}: {} instead of {}",
            wrong.len(),
            got.len(),
            got[i],
            expected[i]
        )
        .into()),
    }
}

/// A trial with fresh random numbers, whose seed is printed where it fails.
pub fn trial(name: String, test: impl FnOnce(&mut Rng) -> Verdict + Send + 'static) -> Trial {
    let label = name.clone();
    Trial::test(name, move || {
        let seed = inputs::seed();
        test(&mut Rng::new(seed, &label)).map_err(|text| {
            Failed::from(format!("{text}\n(draw the same inputs with SMOOTHENC_TEST_SEED={seed})"))
        })
    })
}
