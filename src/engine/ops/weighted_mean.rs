//! A weighted sum of the means of an objective's terms; `shaders/weighted_mean.wgsl`.

use std::ops::Range;

use crate::engine::graph::{Gradients, Graph, Inputs, Io, Node, Op, Outputs, Tensor};
use crate::engine::kernel::UNUSED;
use crate::engine::ops::{broadcast, lanes};
use crate::engine::recording::Call;
use crate::engine::tensor::{DType, Shape};
use crate::error::{Error, Result};
use crate::kernel;

kernel! {
    pub static WEIGHTED_MEAN: "weighted_mean" {
        shaders: ["common/flat.wgsl", "common/reduce.wgsl", "weighted_mean.wgsl"],
        params: { begin: [u32; TERMS], end: [u32; TERMS], weight: [f32; TERMS], batch: f32 },
        constants: {},
        bindings: {
            t0: read f32,
            t1: read f32,
            t2: read f32,
            t3: read f32,
            total: write f32,
            means: write f32,
        },
        cpu: weighted_mean_cpu,
    }
}

/// The most terms of an objective.
pub const TERMS: usize = 4;

/// A term of an objective: some rows of a vector with a value per example, and its weight.
#[derive(Debug, Clone)]
pub struct Term {
    /// The vector.
    pub values: Tensor,
    /// Its rows that belong to the term.
    pub rows: Range<usize>,
    /// The weight of the mean of these.
    pub weight: f32,
}

#[derive(Debug, Clone)]
struct WeightedMean {
    terms: Vec<Term>,
    batch: usize,
}

/// `(total [1], means [4])` of at most [`TERMS`] terms. A term's mean is the sum of its rows divided by `batch`; the
/// total is the weighted sum of the means.
///
/// ```
/// use smoothenc::engine::evaluate::{evaluate, floats};
/// use smoothenc::engine::ops::{Term, weighted_mean};
///
/// let inputs = [floats([2], &[1.0, 3.0]), floats([2], &[10.0, 30.0])];
/// let total: Vec<f32> = evaluate(inputs, |g, [a, b]| {
///     let terms = [(a, 1.0), (b, -0.5)].map(|(values, weight)| Term { values, rows: 0..2, weight });
///     Ok(weighted_mean(g, &terms, 2)?.0)
/// })?;
/// assert_eq!(total, [-8.0]);
/// # smoothenc::Result::Ok(())
/// ```
///
/// # Errors
/// [`Error::Shape`] for too many terms, and for rows that a vector lacks.
pub fn weighted_mean(g: &mut Graph, terms: &[Term], batch: usize) -> Result<(Tensor, Tensor)> {
    let inputs: Vec<_> = terms.iter().map(|term| term.values).collect();
    let outputs = g.apply(WeightedMean { terms: terms.to_vec(), batch }, &inputs)?;
    Ok((outputs[0], outputs[1]))
}

impl Op for WeightedMean {
    fn name(&self) -> &'static str {
        WEIGHTED_MEAN.name
    }

    fn outputs(&self, inputs: &Inputs) -> Outputs {
        let fits = |(term, (shape, dtype)): (&Term, &(&Shape, DType))| {
            term.rows.start <= term.rows.end && term.rows.end <= shape.len() && *dtype == DType::F32
        };
        if inputs.len() > TERMS || !self.terms.iter().zip(inputs).all(fits) {
            let rows: Vec<_> = self.terms.iter().map(|term| term.rows.clone()).collect();
            return Err(format!("{inputs:?}: needs at most {TERMS} float vectors with the rows {rows:?}"));
        }
        Ok(vec![([1].into(), DType::F32), ([TERMS].into(), DType::F32)])
    }

    fn gradient(
        &self,
        g: &mut Graph,
        node: &Node,
        upstream: &[Option<Tensor>],
        wanted: &[bool],
    ) -> Gradients {
        if upstream[1].is_some() {
            let message = "has no gradient through its means".to_string();
            return Err(Error::Shape { op: self.name(), message });
        }
        let Some(d) = upstream[0] else { return Ok(vec![None; node.inputs.len()]) };
        let mut gradients = Vec::new();
        for ((term, &input), &wanted) in self.terms.iter().zip(&node.inputs).zip(wanted) {
            let alpha = term.weight / self.batch as f32;
            let shape = g.shape(input)?.clone();
            gradients.push(match wanted {
                true => Some(broadcast::scalar(g, d, shape, alpha, term.rows.clone())?),
                false => None,
            });
        }
        Ok(gradients)
    }

    fn call(&self, io: &Io) -> Call {
        let term = |k: usize| self.terms.get(k);
        let params = Params {
            begin: std::array::from_fn(|k| term(k).map_or(0, |t| t.rows.start as u32)),
            end: std::array::from_fn(|k| term(k).map_or(0, |t| t.rows.end as u32)),
            weight: std::array::from_fn(|k| term(k).map_or(0.0, |t| t.weight)),
            batch: self.batch as f32,
        };
        let [t0, t1, t2, t3] =
            std::array::from_fn(|k| io.inputs.get(k).map_or(UNUSED, |(_, view)| view.whole()));
        Args { t0, t1, t2, t3, total: io.output(0).whole(), means: io.output(1).whole() }
            .call(params, Constants {})
    }
}

fn weighted_mean_cpu(Tile { p, t0, t1, t2, t3, total, means, .. }: Tile) {
    let terms = [t0, t1, t2, t3];
    total[0] = 0.0;
    for (k, mean) in means.iter_mut().enumerate() {
        let rows = p.begin[k] as usize..p.end[k] as usize;
        *mean = lanes::sum(&terms[k][rows]) / p.batch;
        total[0] += p.weight[k] * *mean;
    }
}
