//! All steps of projected gradient ascent through an MLP in one call; `shaders/pgd_mlp.wgsl`.
//!
//! It computes what `linear`, a goal's op, their gradients and `pgd_step` would in a loop, for models of dense layers.
//! Activations stay with the core or workgroup that has their examples.

mod cpu;

use crate::engine::graph::{Graph, Inputs, Io, Op, Outputs, Tensor};
use crate::engine::kernel::{ALIGN_WORDS, UNUSED};
use crate::engine::nn::Dense;
use crate::engine::ops::half;
use crate::engine::recording::{COOPERATIVE_SIDES, Call, Target};
use crate::engine::rng::Key;
use crate::engine::simd::{LANES, WIDEST};
use crate::engine::tensor::{DType, Shape};
use crate::error::Result;
use crate::kernel;
use crate::method::ops::pgd_step::Norm;

kernel! {
    pub static PGD_MLP: "pgd_mlp" {
        shaders: [
            "common/bits.wgsl",
            "common/precise.wgsl",
            "common/rng.wgsl",
            "common/entropic.wgsl",
            "common/box.wgsl",
            "common/ball.wgsl",
            "common/dense.wgsl",
            "common/shared_layers.wgsl",
            "common/whole_layers.wgsl",
            "common/verdict.wgsl",
            "pgd_mlp.wgsl",
        ],
        cooperative: [
            "common/bits.wgsl",
            "common/precise.wgsl",
            "common/rng.wgsl",
            "common/entropic.wgsl",
            "common/box.wgsl",
            "common/ball.wgsl",
            "cooperative/pgd_mlp.wgsl",
        ],
        params: {
            rows: u32,
            inputs: u32,
            layers: u32,
            steps: u32,
            eps: f32,
            step: f32,
            gamma: f32,
            fall: f32,
            /// The key of the draws: two words.
            key: [u32; 4],
            /// For each layer: outputs, first words of weight and bias, 1 for a ReLU. The probe's comes last.
            layer: [[u32; 4]; MAX_LAYERS],
        },
        constants: { NORM, GOAL, ALIGNED, HALF, START },
        bindings: {
            weights: read u32,
            probe: read f32,
            x: read f32,
            reference: read u32,
            x_adv: write f32,
            verdicts: write u32,
            clock: read u32,
            points: write u32,
        },
        cpu: cpu::pgd_mlp_cpu,
    }
}

/// The most layers and the widest layer of a variant with cooperative matrices, and the side of the largest of these.
const COOPERATIVE_LAYERS: usize = 6;
const COOPERATIVE_OUTPUTS: usize = 256;
const LARGEST_SIDE: usize = 16;

/// The most layers of one call, a probe's included.
pub const MAX_LAYERS: usize = 8;

/// The widest layer and the most inputs of one call: what the shader's registers and workgroup memory hold. The CPU has
/// the same limits, so that every device takes the same path.
const MAX_OUTPUTS: usize = 512;
const MAX_INPUTS: usize = 12288;

/// Whether [`pgd_mlp`] takes these layers, a probe's included, and points of `inputs` words. Else the steps must be
/// made op by op.
pub fn fits(layers: &[Dense], inputs: usize) -> bool {
    (1..=MAX_LAYERS).contains(&layers.len())
        && inputs <= MAX_INPUTS
        && layers.iter().all(|layer| (1..=MAX_OUTPUTS).contains(&layer.outputs))
}

/// What the ascent maximises, numbered as in the shader.
#[derive(Debug, Clone, Copy)]
pub enum Goal {
    /// `W2^2` (eq 12) between the network's output, a head `[rows, 2 latents]`, and `reference` of that shape.
    W2 {
        /// The heads, `[rows, 2 latents]`.
        reference: Tensor,
    },
    /// `WD_gamma` between the same two.
    Entropic {
        /// The heads, `[rows, 2 latents]`.
        reference: Tensor,
        /// The coupling.
        gamma: f32,
    },
    /// The cross-entropy of the labels under a classifier's logits.
    CrossEntropy(Classifier),
    /// The margin of each row's target over its label, of a classifier's logits, as [`margin`](super::margin) has it.
    Margin(Classifier),
}

/// A network's probe under attack. Every iterate is classified, the last one too, as by
/// [`classify`](super::classify).
#[derive(Debug, Clone, Copy)]
pub struct Classifier {
    /// The arena with the probe's weights.
    pub probe: Tensor,
    /// The probe, by its places in that arena.
    pub layer: Dense,
    /// Of each row its label, its target and the bits of its first step's length, `[rows, 3]` (u32): see [`aim`].
    pub aims: Tensor,
    /// Their verdicts, `[rows]` (u32).
    pub verdicts: Tensor,
}

/// A row of [`Classifier::aims`].
pub fn aim(label: u32, target: u32, length: f32) -> [u32; 3] {
    [label, target, length.to_bits()]
}

impl Goal {
    fn number(self) -> u32 {
        match self {
            Goal::W2 { .. } => 0,
            Goal::Entropic { .. } => 1,
            Goal::CrossEntropy(_) => 2,
            Goal::Margin(_) => 3,
        }
    }

    fn classifier(self) -> Option<Classifier> {
        match self {
            Goal::W2 { .. } | Goal::Entropic { .. } => None,
            Goal::CrossEntropy(classifier) | Goal::Margin(classifier) => Some(classifier),
        }
    }
}

/// An ascent through a network.
#[derive(Debug, Clone)]
pub struct Ascent {
    /// The arena with the weights of `layers`: floats, or halves packed by [`in_half`]. Either way, the places of
    /// layers count numbers.
    pub weights: Tensor,
    /// The layers of the network.
    pub layers: Vec<Dense>,
    /// What is maximised.
    pub goal: Goal,
    /// The norm of the ball.
    pub norm: Norm,
    /// Radius of the ball around x.
    pub eps: f32,
    /// Length of a step; with a classifier that of each row's first step is in its aim.
    pub step: f32,
    /// How much shorter each step is than the one before.
    pub fall: f32,
    /// The number of steps.
    pub steps: usize,
    /// Where set, the ascent starts at random points, those of [`pgd_start`](fn@super::pgd_start) with uniform draws of
    /// this key; else at the content of `x_adv`. For L-infinity and goals without a probe.
    pub start: Option<DrawnStart>,
    /// With weights in half precision, the variable of [`in_half`] for the points as halves, for cooperative matrices.
    pub points: Option<Tensor>,
}

/// The end of the words of an arena that cooperative matrices read: they extend beyond W's last rows and columns.
fn reach(layers: &[Dense], inputs: usize) -> usize {
    let (mut end, mut width) = (0, inputs);
    for layer in layers {
        end = end.max(layer.weight + layer.outputs.next_multiple_of(LARGEST_SIDE) * width + LARGEST_SIDE);
        width = layer.outputs;
    }
    end
}

/// For an ascent of `x` `[rows, inputs]` in half precision: the weights of `arena` packed as halves, and a variable for
/// the points as halves. The words between the weights of `layers` must be finite, since they are multiplied by zeros.
///
/// # Errors
/// [`Error::Shape`](crate::Error::Shape) where they do not fit.
pub fn in_half(g: &mut Graph, arena: Tensor, layers: &[Dense], x: Tensor) -> Result<(Tensor, Tensor)> {
    let (rows, inputs) = (g.shape(x)?.rows(), g.shape(x)?.cols());
    let end = reach(layers, inputs).max(g.shape(arena)?.len());
    let weights = half(g, arena, end.next_multiple_of(8))?;
    let words = inputs.next_multiple_of(LARGEST_SIDE) / 2;
    let points = g.new_variable(&format!("points {rows}x{inputs}"), [rows, words], DType::U32)?;
    Ok((weights, points))
}

/// Random starts, functions of a key, the step in `clock` and their index.
#[derive(Debug, Clone, Copy)]
pub struct DrawnStart {
    /// The step of the draws, in its first word (u32).
    pub clock: Tensor,
    /// The key of the draws.
    pub key: Key,
}

/// Inputs: weights, x, the reference heads or aims, and the probe's weights or the clock where there is one. Updates:
/// x_adv, the verdicts with a probe, and the points as halves where there is a variable for them.
#[derive(Debug, Clone)]
struct PgdMlp {
    ascent: Ascent,
    /// Whether the weights are halves.
    half: bool,
}

/// Moves the variable `x_adv` `[rows, inputs]` by `ascent.steps` steps up the goal, projecting it after each onto the
/// ball around `x` `[rows, inputs]` and onto the box [0, 1].
///
/// # Errors
/// [`Error::Shape`](crate::Error::Shape) where they do not fit, and for layers that [`fits`] refuses.
pub fn pgd_mlp(g: &mut Graph, x_adv: Tensor, x: Tensor, ascent: Ascent) -> Result<()> {
    let (weights, goal) = (ascent.weights, ascent.goal);
    let op = PgdMlp { half: g.dtype(weights)? == DType::U32, ascent };
    match goal {
        Goal::W2 { reference } | Goal::Entropic { reference, .. } => {
            let clock = op.ascent.start.map(|start| start.clock);
            let inputs: Vec<_> = [weights, x, reference].into_iter().chain(clock).collect();
            let updated: Vec<_> = [x_adv].into_iter().chain(op.ascent.points).collect();
            g.apply_to(op, &inputs, &updated)
        }
        Goal::CrossEntropy(to) | Goal::Margin(to) => {
            g.apply_to(op, &[weights, x, to.aims, to.probe], &[x_adv, to.verdicts])
        }
    }
}

impl Ascent {
    /// All layers, the probe's last one included.
    fn all_layers(&self) -> impl Iterator<Item = Dense> {
        self.layers.iter().copied().chain(self.goal.classifier().map(|classifier| classifier.layer))
    }

    /// Floating-point operations of `rows` examples: a forward and a backward pass a step, and with a probe one more
    /// forward pass, which classifies the last iterate.
    pub fn flops(&self, rows: usize, inputs: usize) -> usize {
        let (mut multiply_adds, mut width) = (0, inputs);
        for layer in self.all_layers() {
            multiply_adds += width * layer.outputs;
            width = layer.outputs;
        }
        let last_classified = usize::from(self.goal.classifier().is_some());
        2 * rows * multiply_adds * (2 * self.steps + last_classified)
    }
}

impl PgdMlp {
    /// Checks the layers against an arena of `words` numbers and a probe's of `probe` words.
    fn check_layers(&self, inputs: usize, words: usize, probe: usize) -> std::result::Result<(), String> {
        let layers: Vec<_> = self.ascent.all_layers().collect();
        if self.ascent.layers.is_empty() || !fits(&layers, inputs) {
            return Err(format!(
                "{} layers from {inputs} inputs: needs 1 to {MAX_LAYERS} of at most {MAX_OUTPUTS} outputs, \
                 and at most {MAX_INPUTS} inputs",
                layers.len()
            ));
        }
        let mut width = inputs;
        for (l, layer) in layers.iter().enumerate() {
            let arena = if l < self.ascent.layers.len() { words } else { probe };
            if layer.weight + width * layer.outputs > arena || layer.bias + layer.outputs > arena {
                return Err(format!(
                    "layer {l} ({layer:?} of {width} inputs) lies outside its {arena} words"
                ));
            }
            // The shader reads four words at a time, which are eight halves.
            if !layer.weight.is_multiple_of(ALIGN_WORDS) || !arena.is_multiple_of(8) {
                return Err(format!("layer {l} ({layer:?}) or its arena of {arena} words is not aligned"));
            }
            width = layer.outputs;
        }
        Ok(())
    }

    fn params(&self, rows: usize, inputs: usize) -> Params {
        let Ascent { eps, step, fall, steps, goal, start, .. } = self.ascent;
        let mut layer = [[0; 4]; MAX_LAYERS];
        for (entry, l) in layer.iter_mut().zip(self.ascent.all_layers()) {
            *entry = [l.outputs as u32, l.weight as u32, l.bias as u32, l.relu.into()];
        }
        Params {
            rows: rows as u32,
            inputs: inputs as u32,
            layers: self.ascent.all_layers().count() as u32,
            steps: steps as u32,
            eps,
            step,
            gamma: if let Goal::Entropic { gamma, .. } = goal { gamma } else { 0.0 },
            fall,
            key: start.map_or([0; 4], |DrawnStart { key: Key([a, b]), .. }| [a, b, 0, 0]),
            layer,
        }
    }
}

impl Op for PgdMlp {
    fn name(&self) -> &'static str {
        PGD_MLP.name
    }

    fn outputs(&self, inputs: &Inputs) -> Outputs {
        use DType::{F32, U32};
        let head = self.ascent.layers.last().map_or(0, |layer| layer.outputs);
        let started = self.ascent.start.is_some();
        if started && self.ascent.norm == Norm::L2 {
            return Err("only starts in the L-infinity ball are drawn on the way".into());
        }
        let floats = |weights: &Shape, dtype| if dtype == U32 { 2 * weights.len() } else { weights.len() };
        match inputs {
            [(weights, dtype), (x, F32), (reference, F32), clock @ ..]
                if clock.len() == usize::from(started)
                    && clock.iter().all(|(_, dtype)| *dtype == U32)
                    && reference.rows() == x.rows()
                    && reference.cols() == head
                    && head.is_multiple_of(2) =>
            {
                self.check_layers(x.cols(), floats(weights, *dtype), 0)?;
                let words = x.cols().next_multiple_of(LARGEST_SIDE) / 2;
                let points = self.ascent.points.map(|_| ([x.rows(), words].into(), U32));
                Ok([((*x).clone(), F32)].into_iter().chain(points).collect())
            }
            [(weights, dtype), (x, F32), (aims, U32), (probe, F32)]
                if aims.rows() == x.rows() && aims.cols() == aim(0, 0, 0.0).len() && !started =>
            {
                self.check_layers(x.cols(), floats(weights, *dtype), probe.len())?;
                Ok(vec![((*x).clone(), F32), ([x.rows()].into(), U32)])
            }
            _ => Err(format!(
                "{inputs:?}: needs weights, float x, and a reference [rows, {head}] or aims [rows, 3] and a probe"
            )),
        }
    }

    fn call(&self, io: &Io) -> Call {
        let Ascent { norm, goal, start, points, .. } = self.ascent;
        let (rows, inputs) = (io.inputs[1].0.rows(), io.inputs[1].0.cols());
        // Whether rows of all weights, as long as their layer's inputs, are multiples of n.
        let rows_of = |n: usize| {
            let widths = std::iter::once(inputs).chain(self.ascent.all_layers().map(|layer| layer.outputs));
            widths.take(self.ascent.all_layers().count()).all(|width| width.is_multiple_of(n))
        };
        let with_probe = goal.classifier().is_some();
        let has_points = !with_probe && points.is_some();
        let constants = Constants {
            NORM: norm as u32,
            GOAL: goal.number(),
            ALIGNED: rows_of(4).into(),
            HALF: self.half.into(),
            START: start.is_some().into(),
        };
        let args = Args {
            weights: io.input(0).whole(),
            probe: if with_probe { io.input(3).whole() } else { UNUSED },
            x: io.input(1).by_row(),
            reference: io.input(2).by_row(),
            x_adv: io.output(0).by_row(),
            verdicts: if with_probe { io.output(1).by_row() } else { UNUSED },
            clock: if start.is_some() { io.input(3).whole() } else { UNUSED },
            points: if has_points { io.output(1).by_row() } else { UNUSED },
        };
        let call = args.call(self.params(rows, inputs), constants);
        let call = call.grid(rows, LANES, [1, 1, 1]).up_to(WIDEST).flops(self.ascent.flops(rows, inputs));
        let widest = self.ascent.all_layers().map(|layer| layer.outputs).max().unwrap_or(0);
        let mut sharings: Vec<_> = VARIANTS.iter().filter(|sharing| sharing.fits(norm, widest)).collect();
        // The usual one first: for many rows, the one in which eight rows share each read of a weight.
        sharings.sort_by_key(|sharing| rows >= MANY_ROWS && !sharing.is_for_many_rows());
        let call = sharings.into_iter().fold(call, |call, sharing| {
            call.variant(sharing.target(), &sharing.constants(), sharing.workgroups(rows))
        });
        let cooperative = self.half
            && has_points
            && reach(&self.ascent.layers, inputs) <= 2 * io.inputs[0].0.len()
            && norm == Norm::Linf
            && self.ascent.fall == 0.0
            && rows.is_multiple_of(LARGEST_SIDE)
            && rows_of(8)
            && widest <= COOPERATIVE_OUTPUTS
            && self.ascent.layers.len() <= COOPERATIVE_LAYERS;
        COOPERATIVE_SIDES.into_iter().filter(|_| cooperative).fold(call, |call, side| {
            call.variant(Target::CooperativeMatrix { side }, &[], [rows as u32 / side, 1, 1])
        })
    }
}

/// How the shader shares a layer among the invocations of a workgroup, its constants in lower case;
/// `shaders/pgd_mlp.wgsl` explains them.
#[derive(Debug, Clone, Copy)]
struct Sharing {
    group: u32,
    shared: bool,
    wide: u32,
    width: u32,
}

/// The number of variants that share layers differently; a call offers those that take its network.
pub const SHARINGS: usize = VARIANTS.len();

/// The first three are for GPUs, from few rows to many (measured on an H100, docs/results.md). The last two are for
/// software devices, which take the last one that a call offers.
const VARIANTS: [Sharing; 5] = [
    Sharing { group: 512, shared: true, wide: 1, width: 512 },
    Sharing { group: 256, shared: true, wide: 1, width: 512 },
    Sharing { group: 256, shared: true, wide: 2, width: 256 },
    Sharing { group: 32, shared: false, wide: 2, width: 512 },
    Sharing { group: 16, shared: false, wide: 4, width: 256 },
];

/// Rows from which on workgroups of eight rows keep a large GPU busy.
const MANY_ROWS: usize = 1024;

impl Sharing {
    fn is_for_many_rows(&self) -> bool {
        self.shared && self.wide == 2
    }

    /// Whether it takes layers of up to `widest` units and steps in this norm. Only one takes L2, which no model uses
    /// by default, since drivers take long to compile each.
    fn fits(&self, norm: Norm, widest: usize) -> bool {
        let in_l2 = self.shared && self.wide == 1 && !self.large();
        widest <= self.width as usize && (norm == Norm::Linf || in_l2)
    }

    /// Whether it needs a large workgroup.
    fn large(&self) -> bool {
        let parts = if self.shared { 2 * self.group } else { 0 };
        self.group > 256 || 16 * (self.wide * self.width + parts) > 16 * 1024
    }

    /// The devices it is for. Those that share nothing stay within the portable workgroup.
    fn target(&self) -> Target {
        match (self.shared, self.large()) {
            (false, _) => Target::Software,
            (true, true) => Target::LargeWorkgroups,
            (true, false) => Target::Any,
        }
    }

    fn constants(&self) -> [(&'static str, u32); 4] {
        [("GROUP", self.group), ("SHARED", self.shared.into()), ("WIDE", self.wide), ("WIDTH", self.width)]
    }

    /// One workgroup for every 4 `wide` examples.
    fn workgroups(&self, rows: usize) -> [u32; 3] {
        [(rows as u32).div_ceil(4 * self.wide), 1, 1]
    }
}
