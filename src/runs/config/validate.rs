//! Which settings can be run: every refusal is one sentence that names the flag and the value.

use super::{Arch, AttackConfig, Config, Norm, Selection};
use crate::data::{self, Dataset};
use crate::engine::device::gpu::adapter::Choice;
use crate::{Error, Result, runs};

/// Widths and batches beyond this would only exhaust the memory.
const MAX_WIDTH: usize = 1 << 16;
const MAX_CHANNELS: usize = 1 << 12;
/// Steps of one inner loop beyond this are a slip of the finger.
const MAX_STEPS: usize = 1 << 20;

impl Config {
    /// Checks everything that can be checked without the data and the device.
    ///
    /// # Errors
    /// [`Error::Request`] naming the first flag whose value cannot be used.
    pub fn validate(&self) -> Result<()> {
        data::check_available(&self.dataset, self.data_dir.as_deref())?;
        data::celeba::check_crop(self.crop)?;
        self.device.parse::<Choice>()?;
        count("--latent", self.latent, MAX_WIDTH)?;
        if self.hidden.is_empty() {
            return Err(Error::request("--hidden needs at least one width, as in --hidden 200,200"));
        }
        for &width in &self.hidden {
            count("--hidden", width, MAX_WIDTH)?;
        }
        if self.conv_channels.as_ref().is_some_and(Vec::is_empty) {
            return Err(Error::request(
                "--conv-channels needs at least one number, as in --conv-channels 32,64",
            ));
        }
        for &channels in self.conv_channels.iter().flatten() {
            count("--conv-channels", channels, MAX_CHANNELS)?;
        }
        positive("--variance", self.variance)?;
        not_negative("--gamma", self.gamma)?;
        if self.gamma_warmup > u64::from(u32::MAX) {
            return Err(Error::request("--gamma-warmup must be below 2^32"));
        }
        not_negative("--beta", self.beta)?;
        radius("--eps", self.eps, self.selection_norm)?;
        if self.selection == Selection::Pgd {
            count("--selection-steps", self.selection_steps, MAX_STEPS)?;
        }
        if let Some(size) = self.selection_step_size {
            positive("--selection-step-size", size)?;
        }
        count("--batch", self.batch, MAX_WIDTH)?;
        // Draws and epochs are indexed by the examples seen, in 32 bits.
        let most = u64::from(u32::MAX) / self.batch as u64;
        if self.iterations == 0 || self.iterations > most {
            return Err(Error::request(format!(
                "--iterations must be from 1 to {most} at --batch {} (iterations times batch stays below 2^32), got {}",
                self.batch, self.iterations
            )));
        }
        positive("--learning-rate", self.learning_rate)?;
        if !(0.0..=1.0).contains(&self.final_learning_rate) {
            return Err(Error::request(format!(
                "--final-learning-rate is the fraction of --learning-rate reached at the end, from 0 to 1, got {}",
                self.final_learning_rate
            )));
        }
        seed("--seed", self.seed)?;
        count("--log-every", self.log_every, u64::MAX)?;
        count("--checkpoint-every", self.checkpoint_every, u64::MAX)?;
        count("probe.epochs", self.probe.epochs, MAX_STEPS)?;
        count("probe.least-steps", self.probe.least_steps, MAX_STEPS)?;
        count("probe.batch", self.probe.batch, MAX_WIDTH)?;
        positive("probe.learning-rate", self.probe.learning_rate)?;
        self.attack.validate()
    }

    /// Checks what needs the data, after any hold-out.
    ///
    /// # Errors
    /// [`Error::Request`] where a batch is larger than the training set, or images are too small for the ConvNet.
    pub fn validate_for(&self, dataset: &Dataset) -> Result<()> {
        let images = dataset.train.count();
        if self.batch > images {
            return Err(Error::request(format!(
                "--batch {} is larger than the training set of {images} images; use --batch {images} or less",
                self.batch
            )));
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
    /// [`Error::Request`] naming the first flag whose value cannot be used.
    pub fn validate(&self) -> Result<()> {
        count("--attack-steps", self.steps, MAX_STEPS)?;
        count("--attack-restarts", self.restarts, MAX_STEPS)?;
        if self.examples == Some(0) {
            return Err(Error::request("--attack-examples must be at least 1, or all, got 0"));
        }
        seed("attack.seed", self.seed)?;
        if self.radii.is_empty() {
            return Err(Error::request(
                "--attack-radii needs at least one radius; --no-attack leaves the attack out",
            ));
        }
        for &value in &self.radii {
            radius("--attack-radii", value, self.norm)?;
        }
        for pair in self.radii.windows(2) {
            if pair[0] == pair[1] {
                return Err(Error::request(format!("--attack-radii has {} twice", pair[0])));
            }
            if pair[0] > pair[1] {
                return Err(Error::request(format!(
                    "--attack-radii must ascend, got {} before {}",
                    pair[0], pair[1]
                )));
            }
        }
        Ok(())
    }
}

fn count<T>(flag: &str, value: T, most: T) -> Result<()>
where
    T: PartialOrd + From<u8> + std::fmt::Display,
{
    if value < T::from(1) {
        return Err(Error::request(format!("{flag} must be at least 1, got {value}")));
    }
    if value > most {
        return Err(Error::request(format!("{flag} must be at most {most}, got {value}")));
    }
    Ok(())
}

fn positive(flag: &str, value: f32) -> Result<()> {
    if value > 0.0 && value.is_finite() {
        return Ok(());
    }
    Err(Error::request(format!("{flag} must be a positive number, got {value}")))
}

fn not_negative(flag: &str, value: f32) -> Result<()> {
    if value >= 0.0 && value.is_finite() {
        return Ok(());
    }
    Err(Error::request(format!("{flag} must be 0 or a positive number, got {value}")))
}

/// A ball's radius: no pixel can move by more than 1, but many together can in L2.
fn radius(flag: &str, value: f32, norm: Norm) -> Result<()> {
    positive(flag, value)?;
    if norm == Norm::Linf && value > 1.0 {
        return Err(Error::request(format!(
            "{flag} must be at most 1 in the linf norm (pixels lie in [0, 1]), got {}",
            runs::short(value)
        )));
    }
    Ok(())
}

fn seed(flag: &str, value: u64) -> Result<()> {
    if value <= i64::MAX as u64 {
        return Ok(());
    }
    Err(Error::request(format!("{flag} must be below 2^63, got {value}")))
}
