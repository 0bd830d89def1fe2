//! Where a restart begins.

use super::Attack;
use crate::engine::rng::{self, Key, Purpose};
use crate::method::ops::{Norm, start_linf};

/// The draws of a restart: a number for each element of the image, and for L2 the share of the radius, before its root
/// is taken.
pub(super) fn noise(settings: &Attack, image: usize, restart: usize, out: &mut [f32]) -> f32 {
    let key = Key::new(settings.seed, Purpose::Attack);
    let first_block = (image * out.len().div_ceil(2)) as u32;
    rng::fill(key, restart as u32, first_block, settings.norm == Norm::L2, out);
    rng::uniform(Key::new(settings.seed, Purpose::AttackRadius), restart as u32, image as u32)
}

/// A random point of the ball around `x`, clipped to the box: the host's twin of `pgd_start`.
pub(super) fn random_start(
    settings: &Attack,
    radius: f32,
    x: &[f32],
    image: usize,
    restart: usize,
    out: &mut [f32],
) {
    let share = noise(settings, image, restart, out);
    match settings.norm {
        Norm::Linf => out.iter_mut().zip(x).for_each(|(o, x)| *o = start_linf(*x, *o, radius)),
        Norm::L2 => {
            let share = share.powf(1.0 / out.len() as f32);
            let length = out.iter().map(|o| o * o).sum::<f32>().sqrt();
            out.iter_mut().zip(x).for_each(|(o, x)| *o = x + radius * share * *o / length);
        }
    }
    out.iter_mut().for_each(|o| *o = o.clamp(0.0, 1.0));
}
