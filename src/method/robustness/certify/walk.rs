//! The walk of linear functions of a layer's output back to the image, as a program of the device.

use super::chain::{Arenas, Link};
use super::rounding::{FLUSHED, gamma};
use crate::engine::device::Program;
use crate::engine::graph::{Graph, Tensor};
use crate::engine::kernel::ALIGN_WORDS;
use crate::engine::ops::elementwise::multiply;
use crate::engine::ops::reduce::row_sums;
use crate::engine::ops::{fill, store};
use crate::engine::session::Session;
use crate::engine::tensor::DType::F32;
use crate::error::Result;
use crate::method::ops::{Norm, box_minimum, relax};
use crate::method::robustness::Target;

/// Images on the device.
pub const IMAGES: usize = 16;

/// Words of the largest matrix of coefficients.
const WORDS: usize = 1 << 22;

/// The name of a variable: what layer `l` has of each image, `[IMAGES, width]`.
pub fn variable(l: usize, what: &str) -> String {
    format!("certify.{l}.{what}")
}

/// Lower bounds of linear functions of the output of one layer: a function a row.
#[derive(Debug)]
pub struct Walk {
    program: Program,
    l: usize,
    norm: Norm,
    /// Functions of each image.
    pub rows: usize,
    /// Whether all images have the same functions.
    shared: bool,
    /// Elements of the image.
    inputs: usize,
    /// Terms of a bound that the device computes, but those of the image itself.
    terms: usize,
}

impl Walk {
    /// For `wanted` functions of the output of layer `l`, or as many as there is room for, in equal parts.
    pub fn compile(
        session: &mut Session,
        target: &Target,
        chain: &[Link],
        l: usize,
        norm: Norm,
        wanted: Wanted,
    ) -> Result<Self> {
        let (wanted, shared) = match wanted {
            Wanted::Shared(rows) => (rows, true),
            Wanted::OfEach(rows) => (rows, false),
        };
        let widest = chain[..=l].iter().map(|link| link.inputs.max(link.outputs)).max().unwrap_or(1);
        let room = (WORDS / (IMAGES * widest)).clamp(1, wanted);
        let rows = if shared { wanted.div_ceil(wanted.div_ceil(room)) } else { wanted };

        let mut g = Graph::new();
        let arenas = Arenas::new(&mut g, target, "")?;
        let seeds = if shared { rows } else { IMAGES * rows };
        let mut a = g.variable(&variable(l, "seeds"), [seeds, chain[l].outputs], F32)?;
        let mut terms = Vec::new();
        for (k, link) in chain[..=l].iter().enumerate().rev() {
            let of_images = |g: &mut Graph, what| g.variable(&variable(k, what), [IMAGES, link.outputs], F32);
            if link.relu && k < l {
                let (below, above) = (of_images(&mut g, "below")?, of_images(&mut g, "above")?);
                let (none, offset) =
                    (fill(&mut g, [IMAGES, link.outputs], 0.0)?, of_images(&mut g, "offset")?);
                terms.push(box_minimum(&mut g, a, none, offset, rows)?);
                a = relax(&mut g, a, below, above, rows)?;
            }
            let (low, high) = (of_images(&mut g, "low")?, of_images(&mut g, "high")?);
            terms.push(box_minimum(&mut g, a, low, high, rows)?);
            a = link.pull_back(&mut g, &arenas, a)?;
        }
        let inputs = chain[0].inputs;
        let of_image =
            |g: &mut Graph, what: &str| g.variable(&format!("certify.{what}"), [IMAGES, inputs], F32);
        let count = terms.len();
        let (low, high) = (of_image(&mut g, "box.low")?, of_image(&mut g, "box.high")?);
        terms.push(box_minimum(&mut g, a, low, high, rows)?);
        if norm == Norm::L2 {
            let (low, high) = (of_image(&mut g, "x.low")?, of_image(&mut g, "x.high")?);
            terms.push(box_minimum(&mut g, a, low, high, rows)?);
            terms.push(squares(&mut g, a, rows)?);
        }
        let all = g.variable(&variable(l, "terms"), [terms.len() * stride(rows)], F32)?;
        for (i, term) in terms.into_iter().enumerate() {
            let kept = g.view(all, i * stride(rows), [IMAGES * rows])?;
            store(&mut g, term, kept)?;
        }
        let program = session.compile(&g)?;
        Ok(Walk { program, l, norm, rows, shared, inputs, terms: count })
    }

    /// The bounds `[IMAGES, rows]` of the functions with these coefficients, `[rows, outputs]` where images share them,
    /// else `[IMAGES, rows, outputs]`. `radii` are those of the images in L2.
    pub fn run(&mut self, session: &Session, seeds: &[f32], radii: &[f64; IMAGES]) -> Result<Vec<f64>> {
        session.write(&variable(self.l, "seeds"), 0, seeds)?;
        self.program.run()?;
        let terms: Vec<f32> = session.get(&variable(self.l, "terms"))?;
        let count = IMAGES * self.rows;
        let term = |i: usize, r: usize| f64::from(terms[i * stride(self.rows) + r]);
        let bound = |r: usize| {
            let mut image = term(self.terms, r);
            if self.norm == Norm::L2 {
                let error = gamma(self.inputs);
                let length = (term(self.terms + 2, r) * (1.0 + 2.0 * error)).sqrt();
                let ball = term(self.terms + 1, r) - radii[r / self.rows] * length * (1.0 + 2.0 * error);
                // Both bound the function. `f64::max` would drop a NaN.
                image = if ball > image { ball } else { image };
            }
            let parts = || (0..self.terms).map(|i| term(i, r)).chain([image]);
            // Sums of a few doubles, with room for their rounding.
            parts().sum::<f64>() - 1e-12 * parts().map(f64::abs).sum::<f64>() - FLUSHED
        };
        Ok((0..count).map(bound).collect())
    }

    /// Coefficients for [`run`](Self::run) that are shared: those from function `first` on, of which there are `2
    /// outputs`, every output and then minus every output.
    pub fn either_sign(&self, first: usize, outputs: usize) -> Vec<f32> {
        debug_assert!(self.shared);
        let mut seeds = vec![0.0; self.rows * outputs];
        for (r, row) in seeds.chunks_exact_mut(outputs).enumerate() {
            match first + r {
                output if output < outputs => row[output] = 1.0,
                output if output < 2 * outputs => row[output - outputs] = -1.0,
                _ => {}
            }
        }
        seeds
    }
}

/// The functions to bound, by their number for an image.
#[derive(Debug, Clone, Copy)]
pub enum Wanted {
    /// All images have the same.
    Shared(usize),
    /// Each image has its own.
    OfEach(usize),
}

/// Words from one term of all bounds to the next.
fn stride(rows: usize) -> usize {
    (IMAGES * rows).next_multiple_of(ALIGN_WORDS)
}

/// The squared lengths of the rows of `a`: `[IMAGES rows]`, also where images share them.
fn squares(g: &mut Graph, a: Tensor, rows: usize) -> Result<Tensor> {
    let squared = multiply(g, a, a)?;
    if g.shape(a)?.rows() == IMAGES * rows {
        return row_sums(g, squared);
    }
    let cols = g.shape(a)?.cols();
    let ones = fill(g, [IMAGES, cols], 1.0)?;
    box_minimum(g, squared, ones, ones, rows)
}
