//! From a run's configuration to what the engine's parts want to know.

use crate::engine::nn::Init;
use crate::engine::ops::{AdamSettings, ImageShape};
use crate::error::{Error, Result};
use crate::method::TrainSettings;
use crate::method::ops::Norm;
use crate::method::robustness::{Attack, Method, ProbeSettings};
use crate::method::selection::{Metric, Selection};
use crate::method::vae::{Objective, Vae};
use crate::runs::config::{self, AttackConfig, Config};

/// The model of `config` for images `[channels, height, width]`.
///
/// # Errors
/// [`Error::Request`] where these are too small for its convolutions.
pub fn model(config: &Config, image: ImageShape) -> Result<Vae> {
    let sigmoid = config.decoder_output == config::DecoderOutput::Sigmoid;
    let Config { latent, variance, .. } = *config;
    Ok(match config.arch {
        config::Arch::Mlp => Vae::mlp(image.iter().product(), &config.hidden, latent, variance, sigmoid),
        config::Arch::Conv => {
            Vae::conv(&config.convolutions(image)?, &config.hidden, latent, variance, sigmoid)
        }
    })
}

/// How the model of `config` is trained.
pub fn training(config: &Config) -> Result<TrainSettings> {
    let total =
        u32::try_from(config.iterations).map_err(|_| Error::setting("iterations", "must be below 2^32"))?;
    let objective = match config.objective {
        config::Objective::Se => Objective::Smooth { gamma: config.gamma },
        config::Objective::Vae => Objective::Elbo { beta: 1.0 },
        config::Objective::BetaVae => Objective::Elbo { beta: config.beta },
    };
    let random = config.selection == config::Selection::Random;
    let selection = Selection {
        norm: norm(config.selection_norm),
        eps: config.eps,
        steps: if random { 0 } else { config.selection_steps },
        step_size: config.step_size(),
        metric: match config.selection_metric {
            config::Metric::W2 => Metric::W2,
            config::Metric::Entropic => Metric::Entropic { gamma: config.gamma },
        },
        fused: true,
    };
    Ok(TrainSettings {
        objective,
        selection,
        batch: config.batch,
        adam: AdamSettings {
            weight_decay: config.weight_decay,
            ..AdamSettings::new(config.learning_rate, config.final_learning_rate, total)
        },
        init: match config.init {
            config::Init::Glorot => Init::Glorot,
            config::Init::He => Init::He,
            config::Init::Torch => Init::Torch,
        },
        seed: config.seed,
        warmup: u32::try_from(config.gamma_warmup)
            .map_err(|_| Error::setting("gamma-warmup", "must be below 2^32"))?,
        half: config.precision == config::Precision::F16,
    })
}

/// How its probes are trained: as long as `images` training images ask for, however few of their
/// labels are used.
pub fn probe(config: &Config, images: usize) -> ProbeSettings {
    let epochs = (config.probe.epochs * images).div_ceil(config.probe.batch);
    ProbeSettings {
        steps: epochs.max(config.probe.least_steps),
        batch: config.probe.batch,
        learning_rate: config.probe.learning_rate,
        seed: config.seed,
    }
}

/// How its probes are attacked.
pub fn attack(config: &AttackConfig) -> Attack {
    Attack {
        methods: config.attacks.iter().map(|&name| method(name)).collect(),
        norm: norm(config.norm),
        radii: config.radii.clone(),
        steps: config.steps,
        restarts: config.restarts,
        seed: config.seed,
        fused: true,
        keep_points: false,
        transferred: vec![],
    }
}

fn method(name: config::AttackMethod) -> Method {
    match name {
        config::AttackMethod::Pgd => Method::Pgd,
        config::AttackMethod::Margin => Method::Margin,
        config::AttackMethod::ApgdCe => Method::ApgdCe,
        config::AttackMethod::ApgdDlr => Method::ApgdDlr,
        config::AttackMethod::ApgdT => Method::ApgdT,
        config::AttackMethod::Fgsm => Method::Fgsm,
        config::AttackMethod::Noise => Method::Noise,
        config::AttackMethod::Square => Method::Square,
        config::AttackMethod::Latent => Method::Latent,
        config::AttackMethod::Transfer => Method::Transfer,
    }
}

/// The norm of a ball.
pub fn norm(norm: config::Norm) -> Norm {
    match norm {
        config::Norm::Linf => Norm::Linf,
        config::Norm::L2 => Norm::L2,
    }
}

#[cfg(test)]
mod tests {
    use clap::ValueEnum;

    use super::*;

    #[test]
    fn attacks_have_one_name() {
        for name in config::AttackMethod::value_variants() {
            assert_eq!(method(*name).name(), name.name());
        }
    }
}
