//! Which settings can be run: every refusal is one sentence that names the flag and the value.

use super::{Arch, AttackConfig, AttackMethod, Config, Norm, Precision, Selection};
use crate::data::{self, Dataset};
use crate::engine::device::gpu::adapter::Choice;
use crate::{Error, Result, runs};

impl Config {
    /// Checks everything that can be checked without the data and the device.
    ///
    /// # Errors
    /// [`Error::Request`] naming the first flag whose value cannot be used.
    pub fn validate(&self) -> Result<()> {
        data::check_available(&self.dataset, self.data_dir.as_deref())?;
        self.device.parse::<Choice>()?;
        self.contents().iter().try_for_each(|(setting, content)| setting.check(content))?;
        self.probe.contents().iter().try_for_each(|(setting, content)| setting.check(content))?;
        radius("eps", self.eps, self.selection_norm)?;
        if self.selection == Selection::Pgd && self.selection_steps == 0 {
            return Err(Error::setting(
                "selection-steps",
                "must be at least 1 where `selection` is pgd, got 0",
            ));
        }
        // Draws and epochs are indexed by the examples seen, in 32 bits.
        let most = u64::from(u32::MAX) / self.batch as u64;
        if self.iterations > most {
            let what = format!(
                "must be from 1 to {most} at a `batch` of {} (iterations times batch stays below 2^32), got {}",
                self.batch, self.iterations
            );
            return Err(Error::setting("iterations", what));
        }
        self.attack.validate()?;
        self.validate_attack(&self.attack)
    }

    /// Checks that a run of these settings can be attacked so.
    ///
    /// # Errors
    /// [`Error::Request`] naming the setting whose value cannot be used.
    pub fn validate_attack(&self, attack: &AttackConfig) -> Result<()> {
        if attack.certify && self.precision == Precision::F16 {
            let what = "is for runs whose `precision` is f32: there are no bounds for halves";
            return Err(Error::setting("attack.certify", what));
        }
        Ok(())
    }

    /// Checks what needs the data, after any hold-out.
    ///
    /// # Errors
    /// [`Error::Request`] where a batch is larger than the training set, or images are too small for the ConvNet.
    pub fn validate_for(&self, dataset: &Dataset) -> Result<()> {
        let images = dataset.train.count();
        if self.batch > images {
            let what = format!("{} is larger than the training set of {images} images", self.batch);
            return Err(Error::setting("batch", what).with_hint(format!("use {images} or less")));
        }
        if self.arch == Arch::Conv {
            self.convolutions(dataset.train.images.shape())?;
        }
        Ok(())
    }
}

impl AttackConfig {
    /// Checks the attack's settings, also where it is off.
    ///
    /// # Errors
    /// [`Error::Request`] naming the first flag whose value cannot be used; for transfer, which needs another run.
    pub fn validate(&self) -> Result<()> {
        if self.attacks.contains(&AttackMethod::Transfer) {
            let what = "has transfer, which needs points from another run";
            let hint = "use `smoothenc attack RUN --from OTHER`";
            return Err(Error::setting("attack.attacks", what).with_hint(hint));
        }
        self.validate_with_another_run()
    }

    /// The same where another run is at hand.
    ///
    /// # Errors
    /// [`Error::Request`] naming the first flag whose value cannot be used.
    pub fn validate_with_another_run(&self) -> Result<()> {
        self.contents().iter().try_for_each(|(setting, content)| setting.check(content))?;
        if self.attacks.is_empty() {
            return Err(Error::setting("attack.attacks", "must have at least one name"));
        }
        for (i, method) in self.attacks.iter().enumerate() {
            if self.attacks[..i].contains(method) {
                return Err(Error::setting("attack.attacks", format!("has {method} twice")));
            }
        }
        for &value in &self.radii {
            radius("attack.radii", value, self.norm)?;
        }
        for pair in self.radii.windows(2) {
            if pair[0] == pair[1] {
                return Err(Error::setting("attack.radii", format!("has {} twice", pair[0])));
            }
            if pair[0] > pair[1] {
                let what = format!("must ascend, got {} before {}", pair[0], pair[1]);
                return Err(Error::setting("attack.radii", what));
            }
        }
        Ok(())
    }
}

/// A ball's radius: no pixel can move by more than 1, and in L2 no image by more than its cube's diagonal.
fn radius(setting: &str, value: f32, norm: Norm) -> Result<()> {
    let side = data::MAX_SIDE as f32;
    let (most, why) = match norm {
        Norm::Linf => (1.0, "in the linf norm (pixels lie in [0, 1])"),
        Norm::L2 => ((3.0 * side * side).sqrt().ceil(), "in the l2 norm (no images are farther apart)"),
    };
    if value > most {
        let what = format!("must be at most {most} {why}, got {}", runs::short(value));
        return Err(Error::setting(setting, what));
    }
    Ok(())
}
