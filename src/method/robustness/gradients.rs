//! Gradients that vanish: an attack that follows them stands still, and what it leaves standing says nothing.

use super::{ROWS, Target};
use crate::engine::autodiff;
use crate::engine::graph::Graph;
use crate::engine::nn::Weights;
use crate::engine::ops::{softmax_cross_entropy, store};
use crate::engine::session::Session;
use crate::engine::tensor::DType::{F32, U32};
use crate::error::Result;

/// The number of images at which the cross-entropy has no slope in single precision: its gradient by the image is 0
/// everywhere, or is not a number.
///
/// # Errors
/// Those of the device.
pub fn vanishing_gradients(session: &mut Session, target: &Target) -> Result<usize> {
    let Target { vae, probe, x, labels, .. } = *target;
    let inputs = vae.encoder.inputs();
    let mut g = Graph::new();
    let model = Weights::new(&mut g, &vae.layout, "model")?;
    let head = Weights::new(&mut g, &probe.layout, "probe")?;
    let images = g.variable("gradients.x", [ROWS, inputs], F32)?;
    let classes = g.variable("gradients.labels", [ROWS], U32)?;
    let means = vae.encode_mean(&mut g, &model.views, images)?;
    let logits = probe.logits(&mut g, &head.views, means)?;
    let entropy = softmax_cross_entropy(&mut g, logits, classes)?;
    let gradient = autodiff::gradients_from(&mut g, &[(logits, entropy.d_logits)], &[images])?[0];
    let kept = g.variable("gradients.of_x", [ROWS, inputs], F32)?;
    store(&mut g, gradient, kept)?;
    let mut program = session.compile(&g)?;
    let mut vanishing = 0;
    for (x, labels) in x.chunks(ROWS * inputs).zip(labels.chunks(ROWS)) {
        session.write("gradients.x", 0, x)?;
        session.write("gradients.labels", 0, labels)?;
        program.run()?;
        let gradients: Vec<f32> = session.get("gradients.of_x")?;
        let rows = gradients.chunks_exact(inputs).take(labels.len());
        vanishing += rows.filter(|row| row.iter().all(|g| *g == 0.0 || g.is_nan())).count();
    }
    ["gradients.x", "gradients.labels", "gradients.of_x"].iter().for_each(|name| session.forget(name));
    Ok(vanishing)
}
