//! The settings that are one of a few names, spelt alike in files and on the command line.

use std::fmt;

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

use super::setting::{Content, Settable};
use crate::method::robustness::PROPOSALS_PER_STEP;

/// An enum whose variants have one name each: in TOML and JSON, as a flag's value and when displayed.
macro_rules! choice {
    ($(#[$about:meta])* $name:ident {
        #[doc = $first_doc:literal] $first:ident = $first_text:literal,
        $(#[doc = $doc:literal] $variant:ident = $text:literal,)*
    }) => {
        $(#[$about])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
        pub enum $name {
            #[doc = $first_doc]
            #[default]
            #[serde(rename = $first_text)]
            #[value(name = $first_text)]
            $first,
            $(#[doc = $doc] #[serde(rename = $text)] #[value(name = $text)] $variant,)*
        }

        impl Settable for $name {
            fn content(&self) -> Content {
                Content::Other
            }
        }

        impl $name {
            /// Every name with what it means.
            pub fn known() -> super::setting::Known {
                &[($first_text, $first_doc), $(($text, $doc),)*]
            }

            /// The name in files and on the command line.
            pub fn name(self) -> &'static str {
                match self {
                    $name::$first => $first_text,
                    $($name::$variant => $text,)*
                }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(self.name())
            }
        }
    };
}

choice! {
    /// What is maximised (docs/method.md, section 2).
    Objective {
        /// the smooth encoder: the ELBO coupled to a perturbed copy
        Se = "se",
        /// the plain variational autoencoder (ELBO)
        Vae = "vae",
        /// the ELBO with its KL term weighted by beta
        BetaVae = "beta-vae",
    }
}

choice! {
    /// The networks (docs/method.md, section 1).
    Arch {
        /// fully connected layers with ReLU
        Mlp = "mlp",
        /// strided convolutions, a dense layer and the transposed mirror
        Conv = "conv",
    }
}

choice! {
    /// How the fictive point is chosen (docs/method.md, section 4).
    Selection {
        /// projected gradient ascent from a random start
        Pgd = "pgd",
        /// one uniform draw from the ball
        Random = "random",
    }
}

choice! {
    /// What the selection maximises.
    Metric {
        /// the squared 2-Wasserstein distance
        W2 = "w2",
        /// the entropy-regularised divergence of the objective
        Entropic = "entropic",
    }
}

choice! {
    /// The ball's norm.
    Norm {
        /// the largest change of any pixel
        Linf = "linf",
        /// the Euclidean length of the change
        L2 = "l2",
    }
}

choice! {
    /// How an attack looks for adversarial examples (docs/method.md, section 5).
    AttackMethod {
        /// gradient ascent on the cross-entropy, from random points, in steps of 2.5 radius / steps
        Pgd = "pgd",
        /// gradient ascent on the margin of another class, each restart one's, in steps that fall from the radius to 0
        Margin = "margin",
        /// Auto-PGD on the cross-entropy, from one random point: its steps are halved where it makes no progress
        ApgdCe = "apgd-ce",
        /// Auto-PGD on the difference of logits ratio; on the margin where there are less than 3 classes
        ApgdDlr = "apgd-dlr",
        /// Auto-PGD on the ratio of each of the 9 likeliest other classes; on its margin where there are less than 4
        ApgdT = "apgd-t",
        /// one step of the radius up the cross-entropy, from the image itself
        Fgsm = "fgsm",
        /// random points, as many as restarts
        Noise = "noise",
        /// points that differ in random squares, without gradients, 50 of them for each of `steps`
        Square = "square",
        #[doc = " gradient ascent that moves the code as far as it can, from random points, without labels; the last \
                 point only"]
        Latent = "latent",
        /// points that fool another run's classifier: see `--from` of `attack` and `audit`
        Transfer = "transfer",
    }
}

choice! {
    /// Attacks that are tried together, under one name.
    Suite {
        /// margin, apgd-ce, apgd-t and square
        Standard = "standard",
    }
}

choice! {
    /// How weights start.
    Init {
        /// Glorot uniform, zero biases
        Glorot = "glorot",
        /// He uniform, zero biases
        He = "he",
        /// PyTorch's default for a linear layer
        Torch = "torch",
    }
}

choice! {
    /// What the decoder's last layer goes through.
    DecoderOutput {
        /// a sigmoid, so that means lie in (0, 1)
        Sigmoid = "sigmoid",
        /// nothing
        Linear = "linear",
    }
}

choice! {
    /// The precision of what a training step's dense layers multiply, the selection's among them. Sums, weights and
    /// Adam are in single precision, and so are convolutions, the probe and the attack.
    Precision {
        /// single precision
        F32 = "f32",
        /// half precision, for GPUs: half as much to read, and matrix units where there are any; slower on a CPU
        F16 = "f16",
    }
}

choice! {
    /// Settings to start from.
    Preset {
        /// minutes on a laptop's CPU: the defaults
        Quick = "quick",
        /// the paper's table 2: 300,000 iterations, 10,000 attacked images
        Paper = "paper",
    }
}

impl AttackMethod {
    /// What it does in so many steps and restarts, in words.
    pub fn title(self, steps: usize, restarts: usize) -> String {
        match self {
            AttackMethod::Pgd => format!("PGD of {steps} steps x {restarts} restarts"),
            AttackMethod::Margin => format!("margin ascent of {steps} steps x {restarts} restarts"),
            AttackMethod::ApgdCe => format!("APGD-CE of {steps} steps"),
            AttackMethod::ApgdDlr => format!("APGD-DLR of {steps} steps"),
            AttackMethod::ApgdT => format!("APGD-T of {steps} steps a class"),
            AttackMethod::Fgsm => "FGSM".into(),
            AttackMethod::Noise => format!("noise of {restarts} points"),
            AttackMethod::Square => format!("squares of {} proposals", PROPOSALS_PER_STEP * steps),
            AttackMethod::Latent => format!("latent ascent of {steps} steps x {restarts} restarts"),
            AttackMethod::Transfer => format!("transfer of PGD of {steps} steps"),
        }
    }
}

impl Suite {
    /// What it tries, in this order: the attack that finds most for its time first.
    pub fn attacks(self) -> Vec<AttackMethod> {
        use AttackMethod::{ApgdCe, ApgdT, Margin, Square};
        match self {
            Suite::Standard => vec![Margin, ApgdCe, ApgdT, Square],
        }
    }
}

impl Norm {
    /// The norm's name in a text.
    pub fn title(self) -> &'static str {
        match self {
            Norm::Linf => "L-infinity",
            Norm::L2 => "L2",
        }
    }
}
