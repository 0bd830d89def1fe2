//! Random inputs, different in every run of the suite.

use std::sync::OnceLock;
use std::time::{SystemTime, UNIX_EPOCH};

/// The run's seed: `SMOOTHENC_TEST_SEED`, or the clock's.
pub fn seed() -> u64 {
    static SEED: OnceLock<u64> = OnceLock::new();
    *SEED.get_or_init(|| match std::env::var("SMOOTHENC_TEST_SEED") {
        Ok(text) => text.parse().expect("SMOOTHENC_TEST_SEED is a whole number"),
        Err(_) => {
            SystemTime::now().duration_since(UNIX_EPOCH).map_or(1, |t| t.as_nanos() as u64 % 1_000_000_007)
        }
    })
}

/// SplitMix64.
pub struct Rng(u64);

impl Rng {
    /// The stream of one trial.
    pub fn new(seed: u64, trial: &str) -> Self {
        let mix = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        Rng(trial.bytes().fold(seed ^ 0xcbf2_9ce4_8422_2325, mix))
    }

    pub fn word(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Uniform in [0, 1).
    pub fn uniform(&mut self) -> f64 {
        (self.word() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Standard normal, by Box and Muller.
    pub fn normal(&mut self) -> f64 {
        let radius = (-2.0 * (1.0 - self.uniform()).ln()).sqrt();
        radius * (std::f64::consts::TAU * self.uniform()).cos()
    }
}
