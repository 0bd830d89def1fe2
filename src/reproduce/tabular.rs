//! Figures 2 and 3: the tabular system of section 2.2.

use crate::engine::device;
use crate::error::Result;
use crate::method::tabular::{self, Outcome, Pick, Settings, Smooth};
use crate::report::{Chart, Drawing, HeatMap, Series};

use super::claims::{Claim, Spread, share};
use super::lab::Lab;

/// docs/method.md, section 7 saw it work with these.
const SMOOTH: Smooth = Smooth { radius: 2, coupling: 5.0, pick: Pick::Mean };

/// Draws of the data.
const SEEDS: [u64; 5] = [0, 1, 2, 3, 4];

/// A table of probabilities, codes from bottom to top as in the paper, observations from left to right.
fn table(title: &str, of: impl Fn(usize, usize) -> f64, codes: usize, observations: usize) -> Drawing {
    let row = |j: usize| (0..observations).map(|i| of(i, codes - 1 - j)).collect();
    let values: Vec<Vec<f64>> = (0..codes).map(row).collect();
    HeatMap::new(title, "X", "Z", "probability", values)
        .rows((0..codes).map(|j| (codes - j).to_string()))
        .drawing()
}

fn histogram(title: &str, shares: &[f64]) -> Drawing {
    let points = shares.iter().enumerate().map(|(i, share)| ((i + 1) as f64, *share));
    let series = Series { columns: Some(0.9), line: None, ..Series::line("", points) };
    Chart::new(title, "X", "Probability").with(series).drawing()
}

/// Both tables and the three distributions of one experiment.
fn panels(found: &Outcome) -> [Drawing; 5] {
    let (codes, observations) = (found.decoder.len(), found.encoder.len());
    [
        table("Encoder q(Z|X)", |i, j| found.encoder[i][j], codes, observations),
        table("Decoder p(X|Z)", |i, j| found.decoder[j][i], codes, observations),
        histogram("Model", &found.model),
        histogram("Data", &found.data),
        histogram("Target", &found.target),
    ]
}

/// The tables and distributions as data.
fn write(lab: &Lab, name: &str, found: &Outcome) -> Result<()> {
    let number = |x: &f64| format!("{x:.6}");
    let mut rows = Vec::new();
    for (i, row) in found.encoder.iter().enumerate() {
        for (j, q) in row.iter().enumerate() {
            rows.push(vec![
                (i + 1).to_string(),
                (j + 1).to_string(),
                number(&found.encoder_before[i][j]),
                number(q),
                number(&found.decoder[j][i]),
            ]);
        }
    }
    lab.csv(&format!("{name}-tables"), &["x", "z", "encoder_before", "encoder", "decoder"], &rows)?;
    let shares = found.target.iter().zip(&found.data).zip(&found.model).enumerate();
    let rows: Vec<_> =
        shares.map(|(i, ((t, d), m))| vec![(i + 1).to_string(), number(t), number(d), number(m)]).collect();
    lab.csv(&format!("{name}-distributions"), &["x", "target", "data", "model"], &rows)
}

/// Figure 2: what such a system is: the tables and the marginal of one that is not trained. The paper claims nothing
/// here.
pub fn figure2(lab: &Lab) -> Result<Vec<Claim>> {
    let device = device::open("cpu", false)?;
    let settings = Settings { steps: 0, ..Settings::default() };
    let found = tabular::experiment(&device, &settings)?;
    lab.made_with("the tabular VAE", &settings)?;
    write(lab, "fig2", &found)?;
    lab.panels("fig2", "The tabular VAE before training", 3, &panels(&found))?;
    Ok(Vec::new())
}

/// Figure 3: the VAE's encoder (a) and the smooth one (b), over several draws of the data.
pub fn figure3(lab: &Lab) -> Result<Vec<Claim>> {
    // Tables this small are run on the CPU whatever the device.
    let device = device::open("cpu", false)?;
    let learnt = |settings: Settings| -> Result<Outcome> {
        let name = if settings.smooth.is_some() { "smooth encoder" } else { "VAE" };
        lab.made_with(&format!("{name}, seed {}", settings.seed), &settings)?;
        let key = format!("tables: {settings:?}");
        let sound = |found: &Outcome| found.is_whole(&settings);
        lab.part(&key, sound, || tabular::experiment(&device, &settings))
    };
    let (all, mut done) = (2 * SEEDS.len() as u64, 0);
    let task = lab.context().begin("tables", done, all);
    let (mut found, mut rows) = (Figure3::default(), Vec::new());
    for seed in SEEDS {
        let base = Settings { seed, ..Settings::default() };
        let vae = learnt(base)?;
        task.advance(done + 1, all);
        let se = learnt(Settings { smooth: Some(SMOOTH), ..base })?;
        done += 2;
        task.advance(done, all);
        if seed == SEEDS[0] {
            write(lab, "fig3a", &vae)?;
            write(lab, "fig3b", &se)?;
            lab.panels("fig3a", "VAE", 3, &panels(&vae))?;
            lab.panels("fig3b", "Smooth encoder", 3, &panels(&se))?;
        }
        let unseen: Vec<usize> = (0..vae.data.len()).filter(|&i| vae.data[i] == 0.0).collect();
        let same = |found: &Outcome| {
            let kept = unseen.iter().filter(|&&i| found.encoder[i] == found.encoder_before[i]).count();
            share(kept, unseen.len()).unwrap_or(f64::NAN)
        };
        found.stayed.push(same(&vae));
        found.moved.push(100.0 - same(&se));
        found.excess.push(se.kl - vae.kl);
        found.chords[0].push(vae.chord);
        found.chords[1].push(se.chord);
        let numbers = [vae.chord, se.chord, vae.kl, se.kl].map(|x| format!("{x:.4}"));
        rows.push([&[seed.to_string()][..], &numbers].concat());
    }
    drop(task);
    lab.csv("fig3", &["seed", "vae_chord", "se_chord", "vae_kl", "se_kl"], &rows)?;
    Ok(found.claims())
}

/// What figure 3's claims are judged by, a number for each draw of the data.
#[derive(Debug, Default)]
struct Figure3 {
    /// The percentage of rows without data that stayed as they were with the VAE.
    stayed: Vec<f64>,
    /// That of those that moved with the smooth encoder.
    moved: Vec<f64>,
    /// The mean chords between neighbours' modes: the VAE's, the smooth encoder's.
    chords: [Vec<f64>; 2],
    /// KL(target, model) of the smooth encoder beyond the VAE's.
    excess: Vec<f64>,
}

impl Figure3 {
    fn claims(&self) -> Vec<Claim> {
        let Figure3 { stayed, moved, chords, excess } = self;
        let ratios: Vec<f64> = chords[0].iter().zip(&chords[1]).map(|(vae, se)| se / vae).collect();
        let untouched = Claim::new(
            "fig3a-rows-without-data-stay",
            "where there is no data the VAE's encoder is entirely what it was initialised to",
            "all such rows as they were, over five draws of the data",
        )
        .measure("rows that stayed (%)", Spread::of(stayed))
        .judge(stayed.iter().all(|&share| share == 100.0));
        let learnt = Claim::new(
            "fig3b-rows-without-data-move",
            "the smooth encoder learns there too, as its neighbours are coupled",
            "at least 90 % of such rows move",
        )
        .measure("rows that moved (%)", Spread::of(moved))
        .judge(moved.iter().all(|&share| share >= 90.0));
        let smooth = Claim::new(
            "fig3b-smooth",
            "the smooth encoder's representation is smoother at essentially the same quality of fit",
            "in each draw the mean chord between neighbours' modes at most 0.4 of the VAE's, and KL(target, \
         model) at most 0.05 nats above the VAE's",
        )
        .measure("chord, VAE", Spread::of(&chords[0]))
        .measure("chord, SE", Spread::of(&chords[1]))
        .measure("ratio", Spread::of(&ratios))
        .measure("KL beyond the VAE's", Spread::of(excess))
        .judge(ratios.iter().all(|&r| r <= 0.4) && excess.iter().all(|&e| e <= 0.05));
        vec![untouched, learnt, smooth]
    }
}
