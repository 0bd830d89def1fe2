//! Proof that the suite fails where it should: broken kernels, NaN, unwritten outputs.

use std::sync::Arc;

use libtest_mimic::Trial;
use smoothenc::Result;
use smoothenc::engine::graph::{Graph, Inputs, Io, Op, Outputs, Tensor};
use smoothenc::engine::kernel::{CpuKernel, CpuTile, Kernel};
use smoothenc::engine::ops::matmul;
use smoothenc::engine::recording::Call;

use crate::devices::device;
use crate::harness::{Case, Input, MARGIN, Verdict, compare, margins_touched, trial, with_margins};
use crate::inputs::Rng;
use crate::matmul::product;

/// An op that runs another kernel.
#[derive(Debug)]
struct Altered {
    op: Arc<dyn Op>,
    kernel: &'static Kernel,
}

impl Op for Altered {
    fn name(&self) -> &'static str {
        self.op.name()
    }

    fn outputs(&self, inputs: &Inputs) -> Outputs {
        self.op.outputs(inputs)
    }

    fn call(&self, io: &Io) -> Call {
        Call { kernel: self.kernel, ..self.op.call(io) }
    }
}

/// The kernel of matmul with one WGSL passage changed and another CPU twin.
fn altered_matmul(from: &str, to: &str, cpu: CpuKernel) -> &'static Kernel {
    let kernel = &matmul::MATMUL;
    let text = kernel.wgsl.join("\n");
    assert!(text.contains(from), "matmul.wgsl no longer has {from:?}: alter something else here");
    let text: &'static str = text.replacen(from, to, 1).leak();
    let wgsl: &'static [&'static str] = vec![text].leak();
    let Kernel { name, params, constants, bindings, .. } = kernel;
    Box::leak(Box::new(Kernel::new(name, wgsl, params, constants, bindings, cpu)))
}

/// The matrix product by an altered kernel.
fn case(kernel: &'static Kernel) -> Case {
    let sizes = [33, 40, 17];
    let build = move |g: &mut Graph, x: &[Tensor]| -> Result<Vec<Tensor>> {
        matmul::matmul(g, x[0], false, x[1], false)?;
        let op = g.nodes()[g.nodes().len() - 1].op.clone();
        g.apply(Altered { op, kernel }, x)
    };
    Case::new("altered", build, move |x| vec![product(sizes, &x[0], false, &x[1], false)])
        .input(Input::normal([33, 17]))
        .input(Input::normal([17, 40]))
        .tolerance(1e-4, 1e-4)
}

/// The plain product, the last column's sign turned.
fn wrong_sign(mut tile: CpuTile) {
    let [_, n, k] = *tile.params() else { unreachable!("m, n and k") };
    let (n, k) = (n as usize, k as usize);
    let (a, b, _, c) = (tile.read::<f32>(), tile.read::<f32>(), tile.read::<f32>(), tile.write::<f32>());
    for (a, c) in a.chunks_exact(k).zip(c.chunks_exact_mut(n)) {
        for (j, c) in c.iter_mut().enumerate() {
            *c = a.iter().zip(b[j..].iter().step_by(n)).map(|(a, b)| a * b).sum();
        }
        c[n - 1] = -c[n - 1];
    }
}

fn writes_nothing(_: CpuTile) {}

/// Runs the case and asks for a failure whose text has `why`.
fn must_fail(kernel: &'static Kernel, gpu: bool, rng: &mut Rng, why: &str) -> Verdict {
    match case(kernel).run(&device(gpu)?, rng) {
        Err(error) if error.to_string().contains(why) => Ok(()),
        Err(error) => Err(format!("failed, but with \"{error}\" and not {why:?}").into()),
        Ok(()) => Err("a broken kernel passed".into()),
    }
}

fn comparisons() -> Verdict {
    let fails =
        |got: f64, want: f64, tolerance| compare(&[1.0, got], &[1.0, want], tolerance, false).is_err();
    let checks = [
        ("equal values pass", !fails(0.5, 0.5, 0.0)),
        ("NaN fails", fails(f64::NAN, 0.5, 1e9)),
        ("infinity fails", fails(f64::INFINITY, 0.5, 1e9)),
        ("an expected NaN fails unless the case allows it", fails(f64::NAN, f64::NAN, 1e9)),
        ("a difference fails", fails(0.5 + 1e-4, 0.5, 1e-4)),
        ("1 % of the largest is the least scale", !fails(1e-7, 0.0, 1e-4) && fails(1e-5, 0.0, 1e-4)),
        ("lengths must be the same", compare(&[1.0], &[1.0, 1.0], 1.0, false).is_err()),
    ];
    let margins = |at: usize| {
        let mut words = with_margins(&[1, 2, 3]);
        words[at] = 0;
        margins_touched(&words, 3).is_some()
    };
    let touched = [0, MARGIN - 1, MARGIN + 3, 2 * MARGIN + 2].into_iter().all(margins);
    let inside = !(MARGIN..MARGIN + 3).any(margins);
    let failed = checks.iter().find(|(_, holds)| !holds);
    match failed {
        Some((what, _)) => Err(format!("not so: {what}").into()),
        None if !touched || !inside => Err("a write outside is not seen, or one inside is".into()),
        None => Ok(()),
    }
}

pub fn trials(gpu: bool) -> Vec<Trial> {
    let mut trials = vec![trial("self_test::comparisons".into(), |_| comparisons())];
    for (device, on_gpu) in [("cpu", false), ("gpu", true)] {
        let ignored = on_gpu && !gpu;
        let mutant = trial(format!("self_test::broken_kernel_fails::{device}"), move |rng| {
            let kernel = altered_matmul("sum + left.x * right[0]", "sum - left.x * right[0]", wrong_sign);
            must_fail(kernel, on_gpu, rng, "values differ")
        });
        let unwritten = trial(format!("self_test::unwritten_output_fails::{device}"), move |rng| {
            let kernel = altered_matmul("store_sum(row + i, column + j, block[i][j]);", "", writes_nothing);
            must_fail(kernel, on_gpu, rng, "NaN")
        });
        let invalid = trial(format!("self_test::invalid_kernel_is_an_error::{device}"), move |rng| {
            let kernel = altered_matmul("column + j, block[i][j])", "column + j, block[i])", writes_nothing);
            must_fail(kernel, on_gpu, rng, if on_gpu { "kernel matmul" } else { "NaN" })
        });
        trials.extend([mutant, unwritten, invalid].map(|t| t.with_ignored_flag(ignored)));
    }
    trials
}
