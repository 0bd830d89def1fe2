//! The figures and tables by name.

use clap::ValueEnum;
use serde::Deserialize;

use crate::error::{Error, Result};

/// What can be reproduced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum What {
    /// An image perturbed inside the ball, and what the decoder makes of its code (CelebA)
    Fig1,
    /// The tabular system before training: its tables and its marginal
    Fig2,
    /// The tabular VAE's encoder, which stays as it was without data, and the smooth one
    Fig3,
    /// Accuracy under attack on ColorMNIST, VAE against smooth encoders
    Fig4,
    /// Accuracy under attack on MNIST with MLP and ConvNet, VAE against smooth encoders
    Fig5,
    /// Attacks, their perturbations and reconstructions (CelebA)
    Fig6,
    /// Random against adversarial selection
    Fig7a,
    /// The number of selection steps
    Fig7b,
    /// Label efficiency
    Fig8,
    /// 17 tasks, nominal and adversarial (CelebA)
    Table1,
    /// The local Lipschitz ratio (appendix E.3)
    Lipschitz,
    /// A GAN's generator as a smooth encoder (appendix D.1): points of the plane, and MNIST
    Gan,
    /// The beta-VAE as a smooth encoder without coupling (appendix D.2)
    Beta,
    /// All of them
    All,
}

impl What {
    /// The name on the command line.
    pub fn name(self) -> String {
        self.to_possible_value().map_or_else(String::new, |value| value.get_name().to_string())
    }

    /// Every single figure and table, those first that take seconds.
    pub fn each() -> Vec<What> {
        use What::*;
        vec![Fig2, Fig3, Gan, Fig5, Lipschitz, Beta, Fig4, Fig7a, Fig7b, Table1, Fig1, Fig6, Fig8]
    }

    /// Refuses folders of faces for a figure that shows none, and settings of runs for one that trains none.
    ///
    /// # Errors
    /// [`Error::Request`] naming the argument.
    pub fn check_arguments(self, data_dir: bool, config: bool) -> Result<()> {
        use What::*;
        let faces = matches!(self, Fig1 | Fig6 | Fig8 | Table1 | All);
        let runs = !matches!(self, Fig2 | Fig3 | Gan);
        let refuse =
            |argument: &str, why: String| Err(Error::setting(argument, why).with_hint("leave it out"));
        if data_dir && !faces {
            return refuse(
                "data-dir",
                format!("is where CelebA lies, of which {} shows nothing", self.name()),
            );
        }
        if config && !runs {
            return refuse("config", format!("has settings for runs, and {} trains none", self.name()));
        }
        Ok(())
    }

    /// The settings that every run of it has from the figure, as they are called in `config.toml`: what it is of, and
    /// what it compares. With one of them laid over all runs it would compare a run with itself, or show something
    /// else than it says.
    pub fn fixed(self) -> Vec<&'static str> {
        // In every figure; an attack is what most of them measure.
        const ALL: &[&str] = &["dataset", "arch", "objective", "seed", "attack.enabled", "attack.norm"];
        const BALLS: &[&str] = &["eps", "gamma", "gamma-warmup"];
        use What::*;
        let own: &[&str] = match self {
            // These train no runs.
            Fig2 | Fig3 | Gan | All => return Vec::new(),
            // Its points lie in a ball of L-infinity.
            Fig1 => &["selection-norm"],
            Fig6 | Fig8 | Table1 => &[],
            Fig4 | Fig5 | Lipschitz => BALLS,
            Beta => &["eps", "gamma", "gamma-warmup", "beta", "selection"],
            Fig7a | Fig7b => &["selection", "selection-steps"],
        };
        [ALL, own].concat()
    }

    /// Its name and what it shows.
    pub fn title(self) -> String {
        let about = self.to_possible_value().and_then(|value| Some(value.get_help()?.to_string()));
        format!("{}: {}", self.name(), about.unwrap_or_default())
    }
}
