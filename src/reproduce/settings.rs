//! The settings that the figures' runs start from. The preset quick has shorter trainings, smaller ConvNets and 300
//! attacked images, so that a figure takes minutes on a laptop; paper has table 2's.

use crate::error::Result;
use crate::runs::config::{Arch, AttackConfig, AttackMethod, Config, Objective, ProbeConfig};

use super::lab::Lab;

/// Attacked images of the preset quick.
const ATTACKED: usize = 300;

/// A system that the figures compare with others.
#[derive(Debug, Clone)]
pub struct System {
    pub label: String,
    pub config: Config,
}

/// A wider ball than the figures' smooth encoder has otherwise, with its coupling and the steps over which that rises.
#[derive(Debug, Clone, Copy)]
pub struct Wide {
    eps: f32,
    gamma: f32,
    gamma_warmup: u64,
}

/// The three systems of figures 4 and 5: the VAE, the smooth encoder `base`, and one with a wider ball; with the
/// preset paper that is 0.2 with the same coupling.
pub fn systems(lab: &Lab, base: &Config, wide: Wide) -> [System; 3] {
    let vae = Config { objective: Objective::Vae, ..base.clone() };
    let Wide { eps, gamma, gamma_warmup } = match lab.quick() {
        true => wide,
        false => Wide { eps: 0.2, gamma: base.gamma, gamma_warmup: 0 },
    };
    let wide = Config { eps, gamma, gamma_warmup, ..base.clone() };
    let smooth = |config: Config| System { label: format!("SE, eps {}", config.eps), config };
    [System { label: "VAE".into(), config: vae }, smooth(base.clone()), smooth(wide)]
}

/// The wider balls of figure 5: of the settings tried on held-out images (docs/results.md) those that kept most at
/// radius
/// 0.2.
pub fn wide(arch: Arch) -> Wide {
    match arch {
        Arch::Mlp => Wide { eps: 0.15, gamma: 400.0, gamma_warmup: 2500 },
        Arch::Conv => Wide { eps: 0.2, gamma: 50.0, gamma_warmup: 0 },
    }
}

/// That of figure 4: stronger couplings keep more with one seed, and lose the colours with others (docs/results.md).
pub const WIDE_COLORS: Wide = Wide { eps: 0.15, gamma: 200.0, gamma_warmup: 1500 };

/// Figure 5: MNIST. The paper's selection has 50 steps there.
pub fn mnist(lab: &Lab, arch: Arch) -> Config {
    let base = lab.preset.config(arch, "mnist");
    match (lab.quick(), arch) {
        (true, Arch::Mlp) => Config { iterations: 5000, attack: attack(&base), ..base },
        // The figure's smooth encoder has the paper's ball and latents, fewer than the preset.
        (true, Arch::Conv) => {
            let (latent, eps, gamma, gamma_warmup) = (64, 0.1, 50.0, 0);
            Config { latent, eps, gamma, gamma_warmup, iterations: 1000, attack: attack(&base), ..base }
        }
        (false, _) => Config { selection_steps: 50, ..base },
    }
}

/// Figures 4 and 7: ColorMNIST with the ConvNet.
pub fn color_mnist(lab: &Lab) -> Config {
    let base = lab.preset.config(Arch::Conv, "color-mnist");
    match lab.quick() {
        true => Config {
            iterations: 3000,
            selection_steps: 10,
            conv_channels: Some(vec![16, 32]),
            // The 420,000 coloured images are 60,000 digits.
            probe: ProbeConfig { epochs: 2, ..ProbeConfig::default() },
            attack: attack(&base),
            ..base
        },
        false => base,
    }
}

/// Figures 1, 6, 8 and table 1: CelebA, or faces in its place, with the ConvNet.
///
/// # Errors
/// As [`Lab::celeba`].
pub fn celeba(lab: &Lab) -> Result<Config> {
    let base = Config { data_dir: Some(lab.celeba()?), ..lab.preset.config(Arch::Conv, "celeba") };
    Ok(match lab.quick() {
        true => Config { attack: attack(&base), ..base },
        false => base,
    })
}

/// The paper's attack, on as many images as a laptop has time for; of the faces' many tasks a smaller one.
fn attack(base: &Config) -> AttackConfig {
    let (steps, restarts) = if base.dataset == "celeba" { (40, 2) } else { (100, 10) };
    let attacks = vec![AttackMethod::Pgd];
    AttackConfig { attacks, steps, restarts, examples: Some(ATTACKED), ..base.attack.clone() }
}

/// The seeds of a figure on MNIST with the MLP; elsewhere there is one.
pub fn seeds(arch: Arch) -> &'static [u64] {
    match arch {
        Arch::Mlp => &[0, 1, 2],
        Arch::Conv => &[0],
    }
}

#[cfg(test)]
mod tests {
    use super::super::what::What;
    use super::*;
    use crate::progress::Context;
    use crate::runs::config::Preset;

    /// The names of the settings in which a figure's runs differ.
    fn varied(configs: &[Config]) -> Vec<String> {
        let table = |config: &Config| toml::from_str::<toml::Table>(&config.to_toml().unwrap()).unwrap();
        let tables: Vec<_> = configs.iter().map(table).collect();
        let keys = tables.iter().flat_map(toml::Table::keys);
        keys.filter(|key| tables.iter().any(|table| table.get(*key) != tables[0].get(*key)))
            .cloned()
            .collect()
    }

    #[test]
    fn what_systems_differ_in_is_the_figures() {
        let lab = Lab::new(
            std::path::Path::new("none"),
            Preset::Quick,
            "cpu",
            None,
            None,
            crate::progress::Context::silent(),
        )
        .unwrap();
        let mlp = systems(&lab, &mnist(&lab, Arch::Mlp), wide(Arch::Mlp));
        let conv = systems(&lab, &mnist(&lab, Arch::Conv), wide(Arch::Conv));
        let colors = systems(&lab, &color_mnist(&lab), WIDE_COLORS);
        for (what, systems) in
            [(What::Fig5, &mlp), (What::Fig5, &conv), (What::Lipschitz, &mlp), (What::Fig4, &colors)]
        {
            let varied = varied(&systems.clone().map(|system| system.config));
            assert!(varied.iter().any(|key| key == "objective") && varied.iter().any(|key| key == "eps"));
            for key in varied {
                assert!(what.fixed().contains(&key.as_str()), "{key} of {}", what.name());
            }
        }
    }

    #[test]
    fn every_system_of_either_preset_can_be_trained() {
        for preset in [Preset::Quick, Preset::Paper] {
            let faces = std::path::Path::new("faces");
            let lab =
                Lab::new(std::path::Path::new("none"), preset, "cpu", Some(faces), None, Context::silent())
                    .unwrap();
            let mnist = [Arch::Mlp, Arch::Conv].map(|arch| systems(&lab, &mnist(&lab, arch), wide(arch)));
            let colors = systems(&lab, &color_mnist(&lab), WIDE_COLORS);
            let labels = colors.clone().map(|system| system.label);
            let second = if preset == Preset::Quick { "SE, eps 0.15" } else { "SE, eps 0.2" };
            assert_eq!(labels, ["VAE", "SE, eps 0.1", second]);
            let all = mnist.into_iter().flatten().chain(colors).map(|system| system.config);
            for config in all.chain([celeba(&lab).unwrap()]) {
                let settled = lab.settle(config).unwrap();
                assert_eq!(settled.iterations == 300_000, preset == Preset::Paper);
                assert_eq!(settled.attack.examples == Some(10_000), preset == Preset::Paper);
            }
        }
    }
}
