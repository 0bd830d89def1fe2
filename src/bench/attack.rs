//! The evaluation's attack, at its full cost.

use std::time::Instant;

use serde::Serialize;

use crate::bench::{IMAGE, Options, random_images};
use crate::engine::device::Device;
use crate::engine::nn::{Init, initialise};
use crate::engine::rng::{Key, Purpose};
use crate::engine::session::Session;
use crate::error::Result;
use crate::method::robustness::{Attack, Probe, Target, attack, encode_means};
use crate::runs::config::Config;
use crate::runs::recipe;

/// One attack.
#[derive(Debug, Clone, Serialize)]
pub struct AttackTime {
    pub images: usize,
    pub steps: usize,
    pub restarts: usize,
    pub radius: f32,
    pub seconds: f64,
    /// Gradient steps of one image a second, if every image took all of them.
    pub image_steps_per_second: f64,
    /// Percent of the images that are not misclassified. Those that are take no further steps, so this must be high for
    /// the time to be that of all the work.
    pub standing: f64,
}

/// Attacks a random classifier on random images, at a radius so small that hardly any is misclassified and nearly every
/// step is taken. The labels are the classifier's answers without an attack.
pub fn measure(device: &Device, options: &Options) -> Result<AttackTime> {
    let small = options.quick || matches!(device, Device::Gpu(gpu) if gpu.is_software());
    let (images, steps, restarts) = if small { (50, 10, 2) } else { (1000, 100, 10) };
    let radius = 1e-4;
    let (config, data) = (Config::default(), random_images(images));
    let vae = recipe::model(&config, IMAGE)?;
    let probe = Probe::new(vae.latent, 10);
    let mut session = Session::new(device.clone());
    session.set("model", &initialise(&vae.layout, Init::Glorot, Key::new(0, Purpose::Init))?)?;
    session.set("probe", &initialise(&probe.layout, Init::Glorot, Key::new(1, Purpose::Init))?)?;
    let means = encode_means(&mut session, &vae, &data)?;
    let labels = probe.predict(&session, &means)?;
    let x = data.floats_of(0..images)?;
    let mut settings = recipe::attack(&config.attack);
    (settings.radii, settings.steps, settings.restarts) = (vec![radius], steps, restarts);
    // The first attack of its shape compiles the pipelines.
    let warm_up = Attack { steps: 10, restarts: 1, ..settings.clone() };
    let target = Target { vae: &vae, probe: &probe, x: &x, labels: &labels, shape: super::IMAGE };
    attack(&mut session, &target, &warm_up, &|_, _| ())?;
    let start = Instant::now();
    let report = attack(&mut session, &target, &settings, &|_, _| ())?;
    let seconds = start.elapsed().as_secs_f64();
    Ok(AttackTime {
        images,
        steps,
        restarts,
        radius,
        seconds,
        image_steps_per_second: (images * steps * restarts) as f64 / seconds,
        standing: report.adversarial(radius).plain,
    })
}
