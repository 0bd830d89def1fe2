//! Every setting of `train` (INTERFACE.md), one field each, as it stands in a run's `config.toml`.
//!
//! A setting's name is the same in the file and as a flag (`learning-rate`, `--learning-rate`); those of the probe and
//! the attack are in tables of their own (`[attack] radii`, `--attack-radii`).

mod choices;
mod text;
mod validate;

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::data::celeba;
use crate::engine::ops::{Convolution, ImageShape};
use crate::{Error, Result};

pub use choices::{Arch, DecoderOutput, Init, Metric, Norm, Objective, Precision, Preset, Selection};
pub(crate) use text::{lay_over, located};

/// Every setting of a training run. The defaults ([`Config::default`]) are the preset `quick`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default, deny_unknown_fields)]
pub struct Config {
    /// `mnist`, `color-mnist`, or with [`Config::data_dir`] `celeba` or any other name.
    pub dataset: String,
    /// The folder of the set's files; none for the bundled set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data_dir: Option<PathBuf>,
    /// The side of the square cut from the middle of a CelebA photograph, in pixels, before it is scaled to 64x64.
    pub crop: usize,
    /// Leave CelebA's unreadable photographs out instead of refusing the set.
    pub skip_bad: bool,
    pub objective: Objective,
    pub arch: Arch,
    /// `Dz`, the number of latent dimensions.
    pub latent: usize,
    /// The widths of the encoder's hidden dense layers; the decoder's are the same, a ConvNet's in reverse order.
    pub hidden: Vec<usize>,
    /// The channels of the ConvNet's convolutions, the first one's first; none (`"auto"` in the file) for what suits
    /// the images, see [`Config::convolutions`].
    #[serde(serialize_with = "text::counts_or_auto", deserialize_with = "text::counts_or_auto_back")]
    pub conv_channels: Option<Vec<usize>>,
    /// `v`, the observation variance, in squared pixel units of the [0, 1] scale.
    #[serde(serialize_with = "text::short")]
    pub variance: f32,
    /// The coupling of SE; 0 is the control without coupling.
    #[serde(serialize_with = "text::short")]
    pub gamma: f32,
    /// Steps over which gamma rises to its value. Not written where 0, so that settings without it keep their hash.
    #[serde(skip_serializing_if = "text::is_zero")]
    pub gamma_warmup: u64,
    /// The weight of the KL term of beta-VAE.
    #[serde(serialize_with = "text::short")]
    pub beta: f32,
    /// The radius of the ball the fictive point is taken from, in pixel units of the [0, 1] scale.
    #[serde(serialize_with = "text::short")]
    pub eps: f32,
    pub selection: Selection,
    /// `L`, the steps of projected gradient ascent.
    pub selection_steps: usize,
    pub selection_metric: Metric,
    pub selection_norm: Norm,
    /// The length of such a step; none (`"auto"` in the file) is `2.5 eps / L`, see [`Config::step_size`].
    #[serde(serialize_with = "text::short_or_auto", deserialize_with = "text::number_or_auto")]
    pub selection_step_size: Option<f32>,
    /// Optimiser steps.
    pub iterations: u64,
    /// Examples a step.
    pub batch: usize,
    /// Adam's rate at the start.
    #[serde(serialize_with = "text::short")]
    pub learning_rate: f32,
    /// The fraction of the rate that it falls to, linearly, over all iterations; 1 keeps it constant.
    #[serde(serialize_with = "text::short")]
    pub final_learning_rate: f32,
    /// Below 2^63, so that it fits a TOML integer.
    pub seed: u64,
    pub init: Init,
    pub decoder_output: DecoderOutput,
    pub precision: Precision,
    /// Steps between two lines of `metrics.jsonl`.
    pub log_every: u64,
    /// Steps between two checkpoints.
    pub checkpoint_every: u64,
    /// Training images to keep out and test on instead of the test set; 0 is none.
    pub holdout: usize,
    /// `auto`, `cpu`, `gpu` or `gpu:N`, see [`Choice`](crate::engine::device::gpu::adapter::Choice).
    pub device: String,
    /// Bounds checks on the device.
    pub checked: bool,
    /// Write the metrics for TensorBoard too.
    pub tensorboard: bool,
    pub probe: ProbeConfig,
    pub attack: AttackConfig,
}

/// How the linear classifiers on the frozen encoder are trained (SPEC section 5).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default, deny_unknown_fields)]
pub struct ProbeConfig {
    /// Steps are this often all training images, also where only part of the labels is used, ...
    pub epochs: usize,
    /// ... but at least so many, so that the probe of a small set is trained out too.
    pub least_steps: usize,
    pub batch: usize,
    /// Adam's rate at the start; it falls linearly to 0.
    #[serde(serialize_with = "text::short")]
    pub learning_rate: f32,
}

/// The adversarial attack on encoder and classifier (SPEC section 5).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default, deny_unknown_fields)]
pub struct AttackConfig {
    /// Off under `--no-attack`.
    pub enabled: bool,
    pub norm: Norm,
    /// Ascending, in pixel units of the [0, 1] scale.
    #[serde(serialize_with = "text::short_list")]
    pub radii: Vec<f32>,
    pub steps: usize,
    pub restarts: usize,
    /// The first so many test images; none (`"all"` in the file) is all of them.
    #[serde(serialize_with = "text::count_or_all", deserialize_with = "text::number_or_all")]
    pub examples: Option<usize>,
    pub seed: u64,
}

impl Default for Config {
    /// The preset `quick`: the SE on MNIST within minutes on a laptop's CPU.
    fn default() -> Self {
        Config {
            dataset: "mnist".into(),
            data_dir: None,
            crop: celeba::DEFAULT_CROP,
            skip_bad: false,
            objective: Objective::Se,
            arch: Arch::Mlp,
            latent: 128,
            hidden: vec![200; 4],
            conv_channels: None,
            variance: 0.02,
            gamma: 100.0,
            gamma_warmup: 0,
            beta: 2.0,
            eps: 0.1,
            selection: Selection::Pgd,
            selection_steps: 7,
            selection_metric: Metric::W2,
            selection_norm: Norm::Linf,
            selection_step_size: None,
            iterations: 12_000,
            batch: 128,
            learning_rate: 1e-3,
            final_learning_rate: 0.0,
            seed: 0,
            init: Init::Glorot,
            decoder_output: DecoderOutput::Sigmoid,
            precision: Precision::F32,
            log_every: 100,
            checkpoint_every: 1000,
            holdout: 0,
            device: "auto".into(),
            checked: false,
            tensorboard: false,
            probe: ProbeConfig::default(),
            attack: AttackConfig::default(),
        }
    }
}

impl Default for ProbeConfig {
    fn default() -> Self {
        ProbeConfig { epochs: 20, least_steps: 2000, batch: 500, learning_rate: 1e-2 }
    }
}

impl Default for AttackConfig {
    fn default() -> Self {
        AttackConfig {
            enabled: true,
            norm: Norm::Linf,
            radii: vec![0.01, 0.1, 0.2, 0.3],
            steps: 100,
            restarts: 10,
            examples: Some(1000),
            seed: 0,
        }
    }
}

/// The preset quick's attack of celeba: shorter, and with a radius where there is something left to lose.
fn celeba_attack() -> AttackConfig {
    let radii = vec![0.01, 0.05, 0.1];
    AttackConfig { radii, steps: 40, restarts: 2, examples: Some(500), ..AttackConfig::default() }
}

impl Preset {
    /// The settings the preset starts from for these networks and this data set.
    pub fn config(self, arch: Arch, dataset: &str) -> Config {
        let plain = Config { dataset: dataset.into(), ..Config::default() };
        // Chosen by measurement, see benches/RESULTS.md.
        let mut quick = match arch {
            Arch::Mlp => plain,
            Arch::Conv => {
                Config { arch, latent: 64, hidden: vec![200], gamma: 50.0, iterations: 1500, ..plain }
            }
        };
        if dataset == "color-mnist" && arch == Arch::Conv {
            // Three channels, so that the likelihood weighs three times what it does on MNIST. 300 from the first step
            // on cost two seeds of three their colours.
            (quick.gamma, quick.gamma_warmup) = (200.0, 750);
        }
        if dataset == "celeba" && self == Preset::Quick {
            // Sixteen times MNIST's numbers an image and seventeen tasks to attack.
            (quick.iterations, quick.attack) = (4000, celeba_attack());
            if arch == Arch::Conv {
                (quick.iterations, quick.batch) = (3000, 64);
                quick.conv_channels = Some(vec![16, 32, 64]);
                // The likelihood has as many more terms, hence its larger variance, and a coupling from the first step
                // on cost a seed its codes.
                (quick.variance, quick.gamma, quick.gamma_warmup) = (0.1, 100.0, 1000);
            }
        }
        match self {
            Preset::Quick => quick,
            // Table 2 of the paper, and all test images attacked.
            Preset::Paper => Config {
                latent: 64,
                variance: 0.25,
                gamma: 10.0,
                gamma_warmup: 0,
                eps: 0.1,
                selection_steps: 20,
                iterations: 300_000,
                // Of the ConvNet it says only that it has four layers.
                conv_channels: (arch == Arch::Conv).then(|| vec![200; 4]),
                attack: AttackConfig { examples: Some(10_000), ..AttackConfig::default() },
                ..quick
            },
        }
    }
}

impl Config {
    /// One line on what is trained: `VAE of mnist`.
    pub fn title(&self) -> String {
        let objective = match self.objective {
            Objective::Se => format!("smooth encoder (gamma {}, eps {})", self.gamma, self.eps),
            Objective::Vae => "VAE".to_string(),
            Objective::BetaVae => format!("beta-VAE (beta {})", self.beta),
        };
        format!("{objective} of {}", self.dataset)
    }

    /// The length of a selection step: the one set, else `2.5 eps / L` (SPEC section 4).
    pub fn step_size(&self) -> f32 {
        self.selection_step_size.unwrap_or(2.5 * self.eps / self.selection_steps as f32)
    }

    /// The ConvNet's convolutions of images `[channels, height, width]`, each of the one before: kernels 4x4, stride
    /// 2, padding 1 (SPEC section 1). Where no channels are set: 32, 64 and 128, as many as leave a side of at least
    /// 7 pixels, but at least one.
    ///
    /// # Errors
    /// [`Error::Request`] naming `--conv-channels` where the images are too small for so many.
    pub fn convolutions(&self, image: ImageShape) -> Result<Vec<Convolution>> {
        let side = image[1].min(image[2]);
        let suited = (1..=3).rev().find(|n| side >> n >= 7).unwrap_or(1);
        let channels = self.conv_channels.as_deref().unwrap_or(&[32, 64, 128][..suited]);
        let mut convolutions: Vec<Convolution> = Vec::new();
        for &channels in channels {
            let from = convolutions.last().map_or(image, |c| c.small);
            let next = Convolution::new(from, channels, [4, 4], 2, 1).map_err(|_| {
                let ([_, height, width], many) = (image, self.conv_channels.as_ref().map_or(1, Vec::len));
                let mend = match convolutions.len() {
                    0 => "use --arch mlp".to_string(),
                    fit => format!("give channels for at most {fit}"),
                };
                Error::request(format!(
                    "--conv-channels: images of {height}x{width} pixels are too small for {many} of the \
                     convolutions, each of which halves them: {mend}"
                ))
            })?;
            convolutions.push(next);
        }
        Ok(convolutions)
    }
}

#[cfg(test)]
mod tests;
