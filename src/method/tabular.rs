//! The tabular system of section 2.2 (docs/method.md, section 7): a VAE whose encoder and decoder are tables on two
//! circles, small enough to show completely, and the smooth encoder on it.
//!
//! `p(X = i | Z = j)` has its mode at `m_j` and the width `v_j`, `q(Z = j | X = i)` its mode at `mu_i` and the width
//! `s_i`, all in revolutions; the prior is uniform. The parameters are the modes and the logarithms of the widths.

use crate::method::ops::{cosine_logits, sinkhorn};
use serde::{Deserialize, Serialize};

use crate::engine::device::{Device, Program};
use crate::engine::graph::{Graph, Tensor};
use crate::engine::nn::{Layout, Weights, train_step};
use crate::engine::ops::elementwise::{add, exp, multiply, scale, subtract};
use crate::engine::ops::store;
use crate::engine::ops::{self, AdamSettings, reduce};
use crate::engine::rng::{Key, Purpose, Stream};
use crate::engine::session::Session;
use crate::engine::tensor::DType;
use crate::error::Result;

/// The point of the window around an observed one that the smooth encoder couples it to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Pick {
    /// The one with the largest divergence.
    Adversarial,
    /// A random one in each step.
    Random,
    /// All of them, the mean of their divergences.
    Mean,
}

/// The settings of the smooth encoder.
#[derive(Debug, Clone, Copy, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Smooth {
    /// The points on either side of an observed one in its window.
    pub radius: usize,
    /// The weight of the chord `2 - 2 cos` between two codes.
    pub coupling: f32,
    /// The point of the window that is coupled.
    pub pick: Pick,
}

/// The settings of an experiment.
#[derive(Debug, Clone, Copy, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Settings {
    /// The number of observations, `Nx`.
    pub observations: usize,
    /// The number of codes, `Nz`.
    pub codes: usize,
    /// The number of observations drawn from the target.
    pub draws: usize,
    /// Training steps.
    pub steps: u32,
    /// The learning rate at the start; it falls linearly to 0.
    pub learning_rate: f32,
    /// The seed of the data and of the initial parameters.
    pub seed: u64,
    /// The smooth encoder's; `None` is the VAE.
    pub smooth: Option<Smooth>,
}

impl Default for Settings {
    /// The VAE at the sizes of docs/method.md, section 7.
    fn default() -> Self {
        Settings {
            observations: 50,
            codes: 40,
            draws: 60,
            steps: 2000,
            learning_rate: 0.02,
            seed: 0,
            smooth: None,
        }
    }
}

/// Probabilities, row by row.
pub type Table = Vec<Vec<f64>>;

/// The result of an experiment.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Outcome {
    /// The probabilities of the observations that data are drawn from.
    pub target: Vec<f64>,
    /// The shares of the observations drawn.
    pub data: Vec<f64>,
    /// The model's probabilities of the observations, `sum_j p(i|j) / Nz`.
    pub model: Vec<f64>,
    /// `q(j|i)` `[Nx][Nz]` before training.
    pub encoder_before: Table,
    /// `q(j|i)` `[Nx][Nz]` after training.
    pub encoder: Table,
    /// `p(i|j)` `[Nz][Nx]`.
    pub decoder: Table,
    /// The mean chord `|e^(2 pi i mu_i) - e^(2 pi i mu_(i+1))|` of neighbouring rows' modes.
    pub chord: f64,
    /// `KL(target || model)` in nats.
    pub kl: f64,
}

impl Outcome {
    /// Whether it has every probability of an experiment of these sizes. One that was read from a file may lack some.
    pub fn is_whole(&self, settings: &Settings) -> bool {
        let Settings { observations: nx, codes: nz, .. } = *settings;
        // The tables are exponentials of floats.
        let probabilities =
            |row: &Vec<f64>, n: usize| row.len() == n && row.iter().all(|p| (0.0..=1.0 + 1e-6).contains(p));
        let table = |table: &Table, rows: usize, columns: usize| {
            table.len() == rows && table.iter().all(|row| probabilities(row, columns))
        };
        [&self.target, &self.data, &self.model].iter().all(|shares| probabilities(shares, nx))
            && [&self.encoder_before, &self.encoder].iter().all(|encoder| table(encoder, nx, nz))
            && table(&self.decoder, nz, nx)
    }
}

/// Iterations of Sinkhorn's algorithm.
const ITERATIONS: u32 = 50;

/// Two modes on the circle, one broader than the other, over a uniform part.
fn target(n: usize) -> Vec<f64> {
    let bump = |at: f64, middle: f64, narrow: f64| {
        (narrow * ((std::f64::consts::TAU * (at - middle)).cos() - 1.0)).exp()
    };
    let weight = |i: usize| {
        let at = (i + 1) as f64 / n as f64;
        0.3 + 0.6 * bump(at, 0.3, 6.0) + 0.4 * bump(at, 0.75, 12.0)
    };
    let weights: Vec<f64> = (0..n).map(weight).collect();
    let total: f64 = weights.iter().sum();
    weights.into_iter().map(|w| w / total).collect()
}

/// The number of times each observation is among `draws` draws from `target`.
fn sample(target: &[f64], draws: usize, seed: u64) -> Vec<usize> {
    let mut stream = Stream::new(Key::new(seed, Purpose::Tabular), 0);
    let mut counts = vec![0; target.len()];
    for _ in 0..draws {
        let mut left = f64::from(stream.uniform());
        let at = target.iter().position(|share| {
            left -= share;
            left < 0.0
        });
        counts[at.unwrap_or(target.len() - 1)] += 1;
    }
    counts
}

/// The layout of the tables' parameters, and their initial values, of which the modes are random.
fn layout_and_start(settings: &Settings) -> (Layout, Vec<f32>) {
    let Settings { observations, codes, seed, .. } = *settings;
    let mut layout = Layout::default();
    for (name, n) in [("m", codes), ("v", codes), ("mu", observations), ("s", observations)] {
        layout.push(name.to_string(), [n]);
    }
    let mut start = vec![0.0; layout.words()];
    for (i, step) in [(0, 1), (2, 2)] {
        let mut draws = Stream::new(Key::new(seed, Purpose::Tabular), step);
        layout.slice_mut(&mut start, i).fill_with(|| draws.uniform());
    }
    layout.slice_mut(&mut start, 1).fill(DECODER_WIDTH.ln());
    layout.slice_mut(&mut start, 3).fill(ENCODER_WIDTH.ln());
    (layout, start)
}

/// The initial width of the decoder's tables, that of `e^(cos / width)`.
const DECODER_WIDTH: f32 = 0.2;
/// The initial width of the encoder's tables.
const ENCODER_WIDTH: f32 = 0.2;

/// The logarithms of the tables in a graph: `log q` `[Nx, Nz]` and `log p` `[Nz, Nx]`.
fn tables(g: &mut Graph, weights: &Weights, settings: &Settings) -> Result<(Tensor, Tensor)> {
    let [m, v, mu, s] = weights.views[..] else { unreachable!("four entries") };
    let encoder = cosine_logits(g, mu, s, settings.codes)?;
    let decoder = cosine_logits(g, m, v, settings.observations)?;
    Ok((ops::log_softmax(g, encoder)?, ops::log_softmax(g, decoder)?))
}

/// The pairs of an observed point and every other point of its window.
fn pairs(counts: &[usize], smooth: &Smooth) -> Vec<(usize, usize)> {
    let n = counts.len();
    let observed = (0..n).filter(|&i| counts[i] > 0);
    let around =
        |i: usize| (1..=smooth.radius).flat_map(move |d| [(i, (i + d) % n), (i, (i + n - d % n) % n)]);
    observed.flat_map(around).collect()
}

/// The divergence of each pair of rows of `log q`: `min <Q, coupling chord> - H(Q)`.
fn divergences(g: &mut Graph, log_q: Tensor, pairs: usize, settings: &Settings) -> Result<Tensor> {
    let mut rows = |name: &str| -> Result<Tensor> {
        let chosen = g.variable(name, [pairs, settings.observations], DType::F32)?;
        ops::matmul(g, chosen, false, log_q, false)
    };
    let (a, b) = (rows("pairs.a")?, rows("pairs.b")?);
    let cost = g.variable("cost", [settings.codes, settings.codes], DType::F32)?;
    sinkhorn(g, a, b, cost, ITERATIONS)
}

/// Runs the experiment.
///
/// # Errors
/// [`Error::Shape`](crate::Error::Shape) for more codes than
/// [`MOST_STATES`](crate::method::ops::MOST_STATES); those of the device.
pub fn experiment(device: &Device, settings: &Settings) -> Result<Outcome> {
    let Settings { observations: nx, codes: nz, draws, steps, .. } = *settings;
    let target = target(nx);
    let counts = sample(&target, draws, settings.seed);
    let data: Vec<f64> = counts.iter().map(|&count| count as f64 / draws as f64).collect();
    let (layout, start) = layout_and_start(settings);
    let mut session = Session::new(device.clone());
    session.set("tables", &start)?;
    let shares: Vec<f32> = data.iter().map(|&share| share as f32).collect();
    session.set("data", &shares)?;
    let coupled = settings.smooth.map(|smooth| (smooth, pairs(&counts, &smooth)));
    let mut program = training(&mut session, &layout, settings, coupled.as_ref())?;
    let mut chooser = match &coupled {
        Some((smooth, pairs)) => Some(Chooser::new(&mut session, &layout, settings, smooth, pairs, &shares)?),
        None => None,
    };
    let (encoder_before, _) = read_tables(&mut session, &layout, settings)?;
    for step in 0..steps {
        if let Some(chooser) = &mut chooser {
            chooser.choose(&mut session, step)?;
        }
        session.set("clock", &[step, 0])?;
        program.run()?;
    }
    let (encoder, decoder) = read_tables(&mut session, &layout, settings)?;
    let learnt: Vec<f32> = session.get("tables")?;
    let modes = layout.slice(&learnt, 2);
    let apart =
        |i: usize| 2.0 * (std::f64::consts::PI * f64::from(modes[i] - modes[(i + 1) % nx])).sin().abs();
    let model: Vec<f64> =
        (0..nx).map(|i| decoder.iter().map(|row| row[i]).sum::<f64>() / nz as f64).collect();
    let kl = target.iter().zip(&model).map(|(t, m)| t * (t / m).ln()).sum();
    let chord = (0..nx).map(apart).sum::<f64>() / nx as f64;
    Ok(Outcome { target, data, model, encoder_before, encoder, decoder, chord, kl })
}

/// A step of training: of minus the ELBO, or of the smooth encoder's loss with these pairs.
fn training(
    session: &mut Session,
    layout: &Layout,
    settings: &Settings,
    coupled: Option<&(Smooth, Vec<(usize, usize)>)>,
) -> Result<Program> {
    let Settings { observations: nx, codes: nz, steps, learning_rate, .. } = *settings;
    let one = |hot: &dyn Fn(usize) -> usize, rows: usize| -> Vec<f32> {
        (0..rows * nx).map(|k| f32::from(u8::from(hot(k / nx) == k % nx))).collect()
    };
    session.set("identity", &one(&|r| r, nx))?;

    let mut g = Graph::new();
    let weights = Weights::new(&mut g, layout, "tables")?;
    let (log_q, log_p) = tables(&mut g, &weights, settings)?;
    let q = exp(&mut g, log_q)?;
    // log p(i|j) at [i, j], where log q has log q(j|i).
    let identity = g.variable("identity", [nx, nx], DType::F32)?;
    let turned = ops::matmul(&mut g, identity, false, log_p, true)?;
    let inner = match coupled {
        Some(_) => turned,
        None => subtract(&mut g, turned, log_q)?,
    };
    let products = multiply(&mut g, q, inner)?;
    let rows = reduce::row_sums(&mut g, products)?;
    let share = g.variable("data", [nx], DType::F32)?;
    let weighted = multiply(&mut g, rows, share)?;
    let fit = reduce::column_sums(&mut g, weighted)?;
    let mut loss = scale(&mut g, fit, -1.0)?;
    if let Some((smooth, pairs)) = coupled {
        let values = divergences(&mut g, log_q, pairs.len(), settings)?;
        let weight = g.variable("pairs.weight", [pairs.len()], DType::F32)?;
        let weighted = multiply(&mut g, values, weight)?;
        let coupling = reduce::column_sums(&mut g, weighted)?;
        loss = add(&mut g, loss, coupling)?;
        session.set("pairs.a", &one(&|r| pairs[r].0, pairs.len()))?;
        session.set("pairs.b", &one(&|r| pairs[r].1, pairs.len()))?;
        let angle = |i: usize| std::f32::consts::TAU * i as f32 / nz as f32;
        let chord = |k: usize| smooth.coupling * (2.0 - 2.0 * (angle(k / nz) - angle(k % nz)).cos());
        session.set("cost", &(0..nz * nz).map(chord).collect::<Vec<f32>>())?;
    }
    let clock = g.variable("clock", [2], DType::U32)?;
    train_step(&mut g, layout, &weights, loss, clock, AdamSettings::new(learning_rate, 0.0, steps))?;
    session.compile(&g)
}

/// The current `q` and `p`.
fn read_tables(session: &mut Session, layout: &Layout, settings: &Settings) -> Result<(Table, Table)> {
    let mut g = Graph::new();
    let weights = Weights::new(&mut g, layout, "tables")?;
    let (log_q, log_p) = tables(&mut g, &weights, settings)?;
    for (t, name) in [(log_q, "tables.q"), (log_p, "tables.p")] {
        let shape = g.shape(t)?.clone();
        let kept = g.variable(name, shape, DType::F32)?;
        store(&mut g, t, kept)?;
    }
    session.compile(&g)?.run()?;
    let rows = |name: &str, cols: usize| -> Result<Table> {
        let words: Vec<f32> = session.get(name)?;
        Ok(words.chunks(cols).map(|row| row.iter().map(|&x| f64::from(x).exp()).collect()).collect())
    };
    Ok((rows("tables.q", settings.codes)?, rows("tables.p", settings.observations)?))
}

/// Chooses the weights of the pairs in each step.
struct Chooser {
    pick: Pick,
    seed: u64,
    /// For each observed point its share of the data and the range of its pairs.
    windows: Vec<(f32, std::ops::Range<usize>)>,
    /// The divergences of all pairs, in the variable `pairs.value`.
    values: Program,
}

impl Chooser {
    fn new(
        session: &mut Session,
        layout: &Layout,
        settings: &Settings,
        smooth: &Smooth,
        pairs: &[(usize, usize)],
        shares: &[f32],
    ) -> Result<Self> {
        let mut g = Graph::new();
        let weights = Weights::new(&mut g, layout, "tables")?;
        let (log_q, _) = tables(&mut g, &weights, settings)?;
        let values = divergences(&mut g, log_q, pairs.len(), settings)?;
        let kept = g.variable("pairs.value", [pairs.len()], DType::F32)?;
        store(&mut g, values, kept)?;
        let width = 2 * smooth.radius;
        let windows = pairs.chunks(width).enumerate().map(|(w, window)| {
            let first = w * width;
            (shares[window[0].0], first..first + window.len())
        });
        Ok(Chooser {
            pick: smooth.pick,
            seed: settings.seed,
            windows: windows.collect(),
            values: session.compile(&g)?,
        })
    }

    fn choose(&mut self, session: &mut Session, step: u32) -> Result<()> {
        if self.pick == Pick::Mean && step > 0 {
            return Ok(()); // The weights do not change.
        }
        let pairs = self.windows.last().map_or(0, |(_, range)| range.end);
        let mut weight = vec![0.0; pairs];
        let values: Vec<f32> = match self.pick {
            Pick::Adversarial => {
                self.values.run()?;
                session.get("pairs.value")?
            }
            _ => vec![0.0; pairs],
        };
        let mut draws = Stream::new(Key::new(self.seed, Purpose::Tabular), 3 + step);
        for (share, range) in &self.windows {
            match self.pick {
                Pick::Mean => weight[range.clone()].fill(share / range.len() as f32),
                Pick::Random => {
                    weight[range.start + (draws.uniform() * range.len() as f32) as usize] = *share;
                }
                Pick::Adversarial => {
                    let farthest = range.clone().max_by(|&a, &b| values[a].total_cmp(&values[b]));
                    weight[farthest.unwrap_or(range.start)] = *share;
                }
            }
        }
        session.set("pairs.weight", &weight)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::device;

    #[test]
    fn an_outcome_that_is_not_whole_is_known() {
        let settings = Settings { steps: 0, ..Settings::default() };
        let found = experiment(&device::open("cpu", false).unwrap(), &settings).unwrap();
        assert!(found.is_whole(&settings) && !found.is_whole(&Settings { codes: 39, ..settings }));
        let damages: [fn(&mut Outcome); 9] = [
            |o| _ = o.target.pop(),
            |o| o.data.clear(),
            |o| o.model.push(0.0),
            |o| _ = o.encoder.pop(),
            |o| o.encoder_before[3].clear(),
            |o| o.encoder_before.clear(),
            |o| o.decoder.clear(),
            |o| _ = o.decoder[39].pop(),
            |o| o.decoder[0][0] = -0.5,
        ];
        for (i, damage) in damages.iter().enumerate() {
            let mut damaged = found.clone();
            damage(&mut damaged);
            assert!(!damaged.is_whole(&settings), "{i}");
        }
    }

    /// Over three draws of the data: without data a row of the VAE's encoder stays where it started, to the last bit;
    /// the smooth encoder's rows move, and neighbours come closer, at a fit that is no worse by more than 0.05
    /// nats.
    #[test]
    fn the_smooth_encoder_is_smooth_where_there_is_no_data() {
        let device = device::open("cpu", false).unwrap();
        for seed in 0..3 {
            let vae = experiment(&device, &Settings { seed, ..Settings::default() }).unwrap();
            let smooth = Some(Smooth { radius: 2, coupling: 5.0, pick: Pick::Mean });
            let se = experiment(&device, &Settings { seed, smooth, ..Settings::default() }).unwrap();
            assert_eq!((&vae.data, &vae.encoder_before), (&se.data, &se.encoder_before));
            let unseen: Vec<usize> = (0..50).filter(|&i| vae.data[i] == 0.0).collect();
            assert!(unseen.len() > 5, "{unseen:?}");
            assert!(unseen.iter().all(|&i| vae.encoder[i] == vae.encoder_before[i]));
            let moved = unseen.iter().filter(|&&i| se.encoder[i] != se.encoder_before[i]).count();
            assert!(moved * 10 >= unseen.len() * 9, "{moved} of {}", unseen.len());
            for row in se.encoder.iter().chain(&se.decoder).chain([&se.model, &se.target, &se.data]) {
                assert!((row.iter().sum::<f64>() - 1.0).abs() < 1e-4);
            }
            assert!(se.chord <= 0.4 * vae.chord, "seed {seed}: {} and {}", se.chord, vae.chord);
            assert!(se.kl <= vae.kl + 0.05, "seed {seed}: {} and {}", se.kl, vae.kl);
        }
    }

    #[test]
    fn each_way_of_picking_couples_neighbours() {
        let device = device::open("cpu", false).unwrap();
        let small = Settings { observations: 12, codes: 10, draws: 12, steps: 300, ..Settings::default() };
        let vae = experiment(&device, &small).unwrap();
        for pick in [Pick::Adversarial, Pick::Random, Pick::Mean] {
            let smooth = Some(Smooth { radius: 1, coupling: 5.0, pick });
            let se = experiment(&device, &Settings { smooth, ..small }).unwrap();
            assert!(se.chord < vae.chord, "{pick:?}: {} and {}", se.chord, vae.chord);
        }
    }
}
