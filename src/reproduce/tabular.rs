//! Figures 2 and 3: the tabular system of section 2.2.

use crate::engine::device;
use crate::error::Result;
use crate::method::tabular::{self, Outcome, Pick, Settings, Smooth};
use crate::report::{Chart, Drawing, HeatMap, Series};

use super::condition::Measured;
use super::estimate::{Estimate, share};
use super::lab::Lab;

/// docs/method.md, section 7 saw it work with these.
const SMOOTH: Smooth = Smooth { radius: 2, coupling: 5.0, pick: Pick::Mean };

/// The VAE (a), the smooth encoder (b), and the one that couples the farthest point of each window: the name of each
/// system, its plots' beginning and title.
const SYSTEMS: [(&str, &str, &str, Option<Smooth>); 3] = [
    ("tabular-vae", "fig3a", "VAE", None),
    ("tabular-se", "fig3b", "Smooth encoder", Some(SMOOTH)),
    (
        "tabular-adversarial",
        "fig3b-adversarial",
        "Smooth encoder, adversarial selection",
        Some(Smooth { pick: Pick::Adversarial, ..SMOOTH }),
    ),
];

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
pub fn figure2(lab: &Lab) -> Result<Measured> {
    let device = device::open("cpu", false)?;
    let settings = Settings { steps: 0, ..Settings::default() };
    let found = tabular::experiment(&device, &settings)?;
    lab.made_with("the tabular VAE", &settings)?;
    write(lab, "fig2", &found)?;
    lab.panels("fig2", "The tabular VAE before training", 3, &panels(&found))?;
    Ok(Measured::default())
}

/// Figure 3: the VAE's encoder and the smooth ones, over several draws of the data.
pub fn figure3(lab: &Lab) -> Result<Measured> {
    // Tables this small are run on the CPU whatever the device.
    let device = device::open("cpu", false)?;
    let (all, mut done) = ((SYSTEMS.len() * SEEDS.len()) as u64, 0);
    let task = lab.context().begin("tables", done, all);
    let (mut measured, mut rows) = (Measured::default(), Vec::new());
    for (system, name, title, smooth) in SYSTEMS {
        let mut draws = Vec::new();
        for seed in SEEDS {
            let settings = Settings { seed, smooth, ..Settings::default() };
            lab.made_with(&format!("{title}, seed {seed}"), &settings)?;
            let key = format!("tables: {settings:?}");
            let sound = |found: &Outcome| found.is_whole(&settings);
            let found = lab.part(&key, sound, || tabular::experiment(&device, &settings))?;
            if seed == SEEDS[0] {
                write(lab, name, &found)?;
                lab.panels(name, title, 3, &panels(&found))?;
            }
            let numbers = [found.chord, decoder_chord(&found), found.kl].map(|x| format!("{x:.4}"));
            rows.push([&[system.to_string(), seed.to_string()][..], &numbers].concat());
            draws.push(found);
            done += 1;
            task.advance(done, all);
        }
        put(&mut measured, system, &draws);
    }
    drop(task);
    lab.csv("fig3", &["system", "seed", "chord", "decoder_chord", "kl"], &rows)?;
    Ok(measured)
}

/// What figure 3's claims are judged by, over the draws of the data.
fn put(measured: &mut Measured, system: &str, draws: &[Outcome]) {
    let of = |number: &dyn Fn(&Outcome) -> f64| Estimate::of(&draws.iter().map(number).collect::<Vec<_>>());
    measured.put(system, "stayed", of(&stayed));
    measured.put(system, "moved", of(&|found| 100.0 - stayed(found)));
    measured.put(system, "chord", of(&|found| found.chord));
    measured.put(system, "decoder-chord", of(&decoder_chord));
    measured.put(system, "kl", of(&|found| found.kl));
}

/// The percentage of the encoder's rows without data that are as they were before training.
fn stayed(found: &Outcome) -> f64 {
    let unseen: Vec<usize> = (0..found.data.len()).filter(|&i| found.data[i] == 0.0).collect();
    let kept = unseen.iter().filter(|&&i| found.encoder[i] == found.encoder_before[i]).count();
    share(kept, unseen.len()).unwrap_or(f64::NAN)
}

/// The mean chord between the directions of neighbouring codes' means on the circle of observations.
fn decoder_chord(found: &Outcome) -> f64 {
    let n = found.data.len() as f64;
    let direction = |row: &Vec<f64>| {
        let angle = |i: usize| std::f64::consts::TAU * i as f64 / n;
        let sum = |of: fn(f64) -> f64| row.iter().enumerate().map(|(i, p)| p * of(angle(i))).sum::<f64>();
        sum(f64::sin).atan2(sum(f64::cos))
    };
    let directions: Vec<f64> = found.decoder.iter().map(direction).collect();
    let next = directions.iter().cycle().skip(1);
    let chords = directions.iter().zip(next).map(|(a, b)| 2.0 * ((a - b) / 2.0).sin().abs());
    chords.sum::<f64>() / directions.len() as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_decoder_whose_codes_run_around_the_circle_has_short_chords() {
        let found = |at: &dyn Fn(usize) -> usize| Outcome {
            target: vec![0.125; 8],
            data: vec![0.125; 8],
            model: vec![0.125; 8],
            encoder_before: vec![vec![0.25; 4]; 8],
            encoder: vec![vec![0.25; 4]; 8],
            decoder: (0..4).map(|j| (0..8).map(|i| f64::from(u8::from(i == at(j)))).collect()).collect(),
            chord: 0.0,
            kl: 0.0,
        };
        // A quarter turn to the next code: 2 sin(pi / 4).
        assert!((decoder_chord(&found(&|j| 2 * j)) - 2.0_f64.sqrt()).abs() < 1e-12);
        // Half a turn, then a quarter, half and a quarter.
        let chord = decoder_chord(&found(&|j| [0, 4, 2, 6][j]));
        assert!((chord - (2.0 + 2.0_f64.sqrt()) / 2.0).abs() < 1e-12);
        assert_eq!(decoder_chord(&found(&|_| 3)), 0.0);
    }
}
