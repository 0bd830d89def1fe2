//! The settings of a run (docs/interface.md), as they stand in its `config.toml`: declared once, in `declared.rs`.
//!
//! A setting's name is the same in the file and as a flag (`learning-rate`, `--learning-rate`); those of the probe and
//! the attack are in tables of their own (`[attack] radii`, `--attack-radii`).

mod choices;
mod declared;
mod forms;
mod presets;
mod schema;
mod setting;
mod text;
mod unused;
mod validate;

use crate::engine::ops::{Convolution, ImageShape};
use crate::runs::{short, shown};
use crate::{Error, Result};

pub use choices::{
    Arch, AttackMethod, DecoderOutput, Init, Metric, Norm, Objective, Precision, Preset, Selection, Suite,
};
pub use declared::{AttackConfig, Config, ProbeConfig, declared};
pub use schema::{json_schema, markdown};
pub use setting::{Group, Kind, Role, Setting, number};
pub(crate) use text::{lay_over, located, plain, seal_holds};

impl AttackConfig {
    /// How many of `images` test images are attacked.
    pub fn attacked(&self, images: usize) -> usize {
        self.examples.unwrap_or(images).min(images)
    }
}

impl Config {
    /// One line on what is trained: `VAE of mnist`.
    pub fn title(&self) -> String {
        let objective = match self.objective {
            Objective::Se => format!("smooth encoder (gamma {}, eps {})", self.gamma, shown(short(self.eps))),
            Objective::Vae => "VAE".to_string(),
            Objective::BetaVae => format!("beta-VAE (beta {})", self.beta),
        };
        format!("{objective} of {}", self.dataset)
    }

    /// The length of a selection step: the one set, else `2.5 eps / L` (docs/method.md, section 4).
    pub fn step_size(&self) -> f32 {
        self.selection_step_size.unwrap_or(2.5 * self.eps / self.selection_steps as f32)
    }

    /// The ConvNet's convolutions of images `[channels, height, width]`, each of the one before: kernels 4x4, stride
    /// 2, padding 1 (docs/method.md, section 1). Where no channels are set: 32, 64 and 128, as many as leave a side
    /// of at least 7 pixels, but at least one.
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
                    0 => "use `arch` mlp".to_string(),
                    fit => format!("give channels for at most {fit}"),
                };
                let what = format!(
                    "has {many} convolutions, each of which halves the image: {height}x{width} pixels are too small"
                );
                Error::setting("conv-channels", what).with_hint(mend)
            })?;
            convolutions.push(next);
        }
        Ok(convolutions)
    }
}

#[cfg(test)]
mod tests;
