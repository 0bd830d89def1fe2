//! Every setting, declared once. Flag, help, TOML key, validation, hash, schema and the guide's table come from here.
//!
//! A line is `field: type = group value-name kind, role [common] [or "word"] [neutral "value"];` below the help.
//! Defaults are in `presets/quick.toml`.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::setting::{Group, Kind, Role, Setting};
use super::{Arch, AttackMethod, DecoderOutput, Init, Metric, Norm, Objective, Precision, Selection, forms};
use crate::data::{self, celeba};

/// Widths and batches beyond this would only exhaust the memory.
const MAX_WIDTH: u64 = 1 << 16;
const MAX_LAYERS: usize = 64;
const MAX_CHANNELS: u64 = 1 << 12;
/// Steps of one inner loop beyond this are a slip of the finger.
const MAX_STEPS: u64 = 1 << 20;
/// What fits a TOML integer.
const MAX: u64 = i64::MAX as u64;

/// Makes the structs of the settings and the list of what is known of them.
macro_rules! settings {
    ($($(#[doc = $about:literal])* struct $name:ident in $table:literal {
        $($(#[doc = $help:literal])+ $(#[serde($($serde:tt)*)])* $field:ident: $type:ty
            = $group:ident $value:literal $kind:expr, $role:ident
            $([$common:ident])? $(or $word:literal)? $(neutral $neutral:literal)?;)*
        $(tables { $($(#[doc = $inner_about:literal])* $inner:ident: $inner_type:ident,)* })?
    })*) => {
        $($(#[doc = $about])*
        #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
        #[serde(rename_all = "kebab-case", default = "blank", deny_unknown_fields)]
        pub struct $name {
            $($(#[doc = $help])+ $(#[serde($($serde)*)])* pub $field: $type,)*
            $($($(#[doc = $inner_about])* pub $inner: $inner_type,)*)?
        }

        impl Blank for $name {
            fn blank() -> Self {
                $name { $($field: Default::default(),)* $($($inner: blank(),)*)? }
            }
        }

        impl $name {
            /// What is known of its settings, those of tables in it left out.
            pub const DECLARED: &'static [Setting] = &[$(Setting {
                table: $table,
                field: stringify!($field),
                help: &[$($help),+],
                group: Group::$group,
                value_name: $value,
                kind: $kind,
                role: Role::$role,
                common: false $(|| settings!(@common $common))?,
                word: settings!(@option $($word)?),
                neutral: settings!(@option $($neutral)?),
            },)*];

            /// Its values beside what is known of them.
            pub(super) fn contents(&self) -> Vec<(&'static Setting, super::setting::Content)> {
                use super::setting::Settable;
                let contents = [$(self.$field.content(),)*];
                Self::DECLARED.iter().zip(contents).collect()
            }
        })*
    };
    (@common common) => { true };
    (@option) => { None };
    (@option $value:literal) => { Some($value) };
}

/// What stands in for keys that a text has not got, while the text is checked by itself.
trait Blank {
    fn blank() -> Self;
}

fn blank<T: Blank>() -> T {
    T::blank()
}

settings! {
    /// Every setting of a training run. The defaults ([`Config::default`]) are the preset `quick`.
    struct Config in "" {
        /// mnist or color-mnist (bundled), or with --data-dir celeba or any other name
        dataset: String = Data "DATASET" Kind::Text, Training;
        /// Folder of the data set's files: IDX files of the MNIST naming, gzipped or not, or pictures in train/CLASS
        /// and test/CLASS; celeba's in its official layout; or an .npz file
        #[serde(skip_serializing_if = "Option::is_none")]
        data_dir: Option<PathBuf> = Data "DIR" Kind::Path, Place [common];
        /// Side of the square cut from the middle of a celeba photograph, in pixels, before it is scaled to 64x64
        crop: usize = Data "N" Kind::Count { least: celeba::SIDE as u64, most: celeba::WIDTH as u64 }, Training;
        /// Leave celeba's unreadable photographs out, and say how many, instead of refusing the set
        skip_bad: bool = Data "" Kind::Switch, Training;
        /// Scale images to squares of this side, in pixels, cutting the middle out of those that are not square; not
        /// celeba's
        #[serde(with = "forms::off")]
        resize: Option<usize> = Data "N" Kind::Count { least: 1, most: data::MAX_SIDE as u64 }, Training or "off"
            neutral "off";
        /// Keep the last N training images out and test on them
        holdout: usize = Data "N" Kind::Count { least: 0, most: MAX }, Training [common];

        /// What to maximise
        objective: Objective = Model "NAME" Kind::Choice(Objective::known), Training [common];
        /// The networks; conv takes several times as long as mlp
        arch: Arch = Model "NAME" Kind::Choice(Arch::known), Training [common];
        /// Latent dimensions
        latent: usize = Model "N" Kind::Count { least: 1, most: MAX_WIDTH }, Training [common];
        /// Widths of the hidden dense layers of encoder and decoder; the decoder's are a ConvNet's in reverse order
        hidden: Vec<usize> = Model "N,.." Kind::Counts { most: MAX_WIDTH, longest: MAX_LAYERS }, Training;
        /// Channels of the convolutions of --arch conv, each 4x4 with stride 2; auto is 32,64,128, as many as suit
        /// the images
        #[serde(with = "forms::auto")]
        conv_channels: Option<Vec<usize>> = Model "N,.."
            Kind::Counts { most: MAX_CHANNELS, longest: MAX_LAYERS }, Training or "auto";
        /// Observation variance, in squared pixel units of the [0, 1] scale
        #[serde(serialize_with = "forms::short")]
        variance: f32 = Model "V" Kind::Positive, Training [common];
        /// Coupling of the two encodings of SE; 0 is none
        #[serde(serialize_with = "forms::short")]
        gamma: f32 = Model "G" Kind::NotNegative, Training [common];
        /// Steps over which gamma rises to its value, in ten stairs; a strong coupling from the first step on can
        /// bring all codes together for good
        gamma_warmup: u64 = Model "STEPS" Kind::Count { least: 0, most: u32::MAX as u64 }, Training neutral "0";
        /// Weight of the KL term of beta-VAE
        #[serde(serialize_with = "forms::short")]
        beta: f32 = Model "B" Kind::NotNegative, Training;
        /// How weights start
        init: Init = Model "NAME" Kind::Choice(Init::known), Training;
        /// What the decoder's last layer goes through
        decoder_output: DecoderOutput = Model "NAME" Kind::Choice(DecoderOutput::known), Training;

        /// Radius of the ball that the second point is taken from, in pixel units of the [0, 1] scale
        #[serde(serialize_with = "forms::short")]
        eps: f32 = Selection "E" Kind::Positive, Training [common];
        /// How the second point is chosen
        selection: Selection = Selection "NAME" Kind::Choice(Selection::known), Training;
        /// Steps of projected gradient ascent
        selection_steps: usize = Selection "L" Kind::Count { least: 0, most: MAX_STEPS }, Training;
        /// Length of such a step, in pixel units; auto is 2.5 eps / L
        #[serde(with = "forms::auto")]
        selection_step_size: Option<f32> = Selection "A" Kind::Positive, Training or "auto";
        /// What the ascent maximises
        selection_metric: Metric = Selection "NAME" Kind::Choice(Metric::known), Training;
        /// The ball's norm; an L2 radius may exceed 1
        selection_norm: Norm = Selection "NORM" Kind::Choice(Norm::known), Training;

        /// Optimiser steps
        iterations: u64 = Training "N" Kind::Count { least: 1, most: MAX }, Length [common];
        /// Examples a step
        batch: usize = Training "N" Kind::Count { least: 1, most: MAX_WIDTH }, Training;
        /// Adam's learning rate at the start
        #[serde(serialize_with = "forms::short")]
        learning_rate: f32 = Training "R" Kind::Positive, Training;
        /// The fraction of the learning rate that it falls to, linearly, at the last step; 1 keeps it constant
        #[serde(serialize_with = "forms::short")]
        final_learning_rate: f32 = Training "F" Kind::Fraction, Training;
        /// Decoupled weight decay of Adam, as AdamW has it: the share of each weight that a step of learning rate 1
        /// takes off
        #[serde(serialize_with = "forms::short")]
        weight_decay: f32 = Training "W" Kind::NotNegative, Training neutral "0";
        /// Seed of all random numbers of training
        seed: u64 = Training "S" Kind::Count { least: 0, most: MAX }, Training [common];
        /// Precision of what the dense layers of training multiply
        precision: Precision = Training "NAME" Kind::Choice(Precision::known), Training;
        /// auto (a real GPU if there is one, else the CPU), cpu, gpu, or gpu:N for adapter N of `smoothenc devices`
        device: String = Training "DEVICE" Kind::Text, Output [common];
        /// Check every buffer access in a GPU's kernels, slowly (the CPU's are always checked)
        checked: bool = Training "" Kind::Switch, Output;

        /// Steps between two lines of metrics.jsonl
        log_every: u64 = Output "STEPS" Kind::Count { least: 1, most: MAX }, Output;
        /// Steps between two checkpoints
        checkpoint_every: u64 = Output "STEPS" Kind::Count { least: 1, most: MAX }, Output;
        /// Write the metrics also as event files for TensorBoard, into RUN/tensorboard
        tensorboard: bool = Output "" Kind::Switch, Output;

        tables {
            /// How probes are trained.
            probe: ProbeConfig,
            /// How probes are attacked.
            attack: AttackConfig,
        }
    }

    /// How the linear classifiers on the frozen encoder are trained (docs/method.md, section 5).
    struct ProbeConfig in "probe" {
        /// Epochs over all training images, whatever part of the labels is used
        epochs: usize = Probe "N" Kind::Count { least: 1, most: MAX_STEPS }, Probe;
        /// Steps at the least, so that the probe of a small set is trained out too
        least_steps: usize = Probe "N" Kind::Count { least: 1, most: MAX_STEPS }, Probe;
        /// Examples a step of the probe
        batch: usize = Probe "N" Kind::Count { least: 1, most: MAX_WIDTH }, Probe;
        /// Adam's learning rate at the probe's start; it falls linearly to 0
        #[serde(serialize_with = "forms::short")]
        learning_rate: f32 = Probe "R" Kind::Positive, Probe;
    }

    /// The adversarial attack on encoder and classifier (docs/method.md, section 5).
    struct AttackConfig in "attack" {
        /// Whether to attack at all; --no-attack turns it off
        enabled: bool = Attack "" Kind::Switch, Attack;
        /// What is tried, each on the images that the ones before left standing
        attacks: Vec<AttackMethod> = Attack "NAME,.." Kind::Choices(AttackMethod::known), Attack neutral "pgd";
        /// The norm that bounds the perturbation; as a flag without radii, and another than before, it brings its own
        /// radii, 0.5,1,1.5,2,3 for l2
        norm: Norm = Attack "NORM" Kind::Choice(Norm::known), Attack;
        /// The radii, ascending, in pixel units of the [0, 1] scale: 8/255 is 0.0314
        #[serde(serialize_with = "forms::short_list")]
        radii: Vec<f32> = Attack "R,.." Kind::Positives, Attack [common];
        /// Steps of gradient ascent; fgsm makes one, and square 50 proposals for each
        steps: usize = Attack "N" Kind::Count { least: 1, most: MAX_STEPS }, Attack;
        /// Random starts of pgd, margin, noise and latent; the worst counts. apgd-ce and apgd-dlr have one, apgd-t one
        /// a class
        restarts: usize = Attack "N" Kind::Count { least: 1, most: MAX_STEPS }, Attack;
        /// Attack the first N test images, or all; of color-mnist N different digits in colours in turn
        #[serde(with = "forms::all")]
        examples: Option<usize> = Attack "N|all" Kind::Count { least: 1, most: MAX }, Attack or "all";
        /// Seed of the attack's random starts
        seed: u64 = Attack "S" Kind::Count { least: 0, most: MAX }, Attack;
        /// Also find the radius in which no perturbation at all can change each answer, by linear bounds
        certify: bool = Attack "" Kind::Switch, Attack neutral "false";
    }
}

/// Every setting, in the order of the file.
pub fn declared() -> impl Iterator<Item = &'static Setting> {
    Config::DECLARED.iter().chain(ProbeConfig::DECLARED).chain(AttackConfig::DECLARED)
}
