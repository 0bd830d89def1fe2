//! The local Lipschitz ratio of the encoder's mean: how far the code moves relative to the image (appendix E.3).

use crate::engine::graph::Graph;
use crate::engine::nn::Weights;
use crate::engine::ops::store;
use crate::engine::session::Session;
use crate::engine::tensor::DType;
use crate::error::Result;
use crate::method::selection::{Selection, Start};
use crate::method::vae::Vae;

/// Images of a batch.
const ROWS: usize = 128;

/// The points near images that move the code farthest.
#[derive(Debug, Clone)]
pub struct Farthest {
    /// x* of each image, `[count, inputs]`.
    pub selected: Vec<f32>,
    /// mu(x) of each image, `[count, latent]`.
    pub means: Vec<f32>,
    /// `|mu(x) - mu(x*)|` of each image, Euclidean.
    pub distances: Vec<f64>,
    /// `|mu(x) - mu(x*)| / |x - x*|` of each image, Euclidean; not finite where x* is x.
    pub ratios: Vec<f64>,
}

/// For each of the images `x` `[count, inputs]` in [0, 1], the point x* of its ball that `selection` finds to move the
/// code farthest. The weights are in the variable `model`.
///
/// # Errors
/// Those of the device.
pub fn farthest(
    session: &mut Session,
    vae: &Vae,
    selection: &Selection,
    x: &[f32],
    seed: u64,
) -> Result<Farthest> {
    let inputs = vae.encoder.inputs();
    let mut g = Graph::new();
    let weights = Weights::new(&mut g, &vae.layout, "model")?;
    let images = g.variable("lipschitz.x", [ROWS, inputs], DType::F32)?;
    let clock = g.variable("lipschitz.clock", [2], DType::U32)?;
    let selected = selection.select(&mut g, vae, &weights, images, Start::Drawn { clock, seed })?;
    for (from, name) in [(images, "lipschitz.mean"), (selected, "lipschitz.moved")] {
        let mean = vae.encode_mean(&mut g, &weights.views, from)?;
        let kept = g.variable(name, [ROWS, vae.latent], DType::F32)?;
        store(&mut g, mean, kept)?;
    }
    session.forget("selected"); // Of another selection in this session, with another batch size.
    let mut program = session.compile(&g)?;
    let selected = Vec::with_capacity(x.len());
    let mut found = Farthest { selected, means: vec![], distances: vec![], ratios: vec![] };
    for (chunk, block) in x.chunks(ROWS * inputs).enumerate() {
        let rows = block.len() / inputs;
        // The last block is padded with its last image.
        let fill = block[(rows - 1) * inputs..].iter().cycle().take((ROWS - rows) * inputs);
        let padded: Vec<f32> = block.iter().chain(fill).copied().collect();
        session.set("lipschitz.x", &padded)?;
        session.set("lipschitz.clock", &[chunk as u32, 0])?;
        program.run()?;
        let [there, mean, moved]: [Vec<f32>; 3] =
            [session.get("selected")?, session.get("lipschitz.mean")?, session.get("lipschitz.moved")?];
        let pairs = |a: &[f32], b: &[f32], width: usize| -> Vec<f64> {
            a.chunks(width).zip(b.chunks(width)).take(rows).map(|(a, b)| distance(a, b)).collect()
        };
        let codes = pairs(&mean, &moved, vae.latent);
        let images = pairs(&padded, &there, inputs);
        found.ratios.extend(codes.iter().zip(images).map(|(code, image)| code / image));
        found.distances.extend(codes);
        found.means.extend_from_slice(&mean[..rows * vae.latent]);
        found.selected.extend_from_slice(&there[..rows * inputs]);
    }
    // Another selection in this session may have another batch size.
    session.forget("selected");
    Ok(found)
}

/// The Euclidean distance.
pub fn distance(a: &[f32], b: &[f32]) -> f64 {
    a.iter().zip(b).map(|(a, b)| (f64::from(*a) - f64::from(*b)).powi(2)).sum::<f64>().sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::device;
    use crate::method::ops::Norm;
    use crate::method::selection::Metric;

    /// The mean of a network without hidden layers, made linear by hand, moves by at most its largest singular value.
    #[test]
    fn a_linear_code_moves_as_its_matrix_says() {
        let vae = Vae::mlp(3, &[4], 2, 0.1, true);
        let mut session = Session::new(device::open("cpu", false).unwrap());
        let mut weights = vec![0.0f32; vae.layout.words()];
        for (name, values) in [
            // Of x, through biases that keep the ReLU open: code 0 is 3 x0, code 1 is 0.
            ("encoder.0.weight", vec![1., 0., 0., 0., 1., 0., 0., 0., 1., 0., 0., 0.]),
            ("encoder.0.bias", vec![1.0; 4]),
            ("encoder.2.weight", [vec![3.0, 0.0, 0.0, 0.0], vec![0.0; 12]].concat()),
        ] {
            let entry = vae.layout.entries().iter().position(|entry| entry.name == name).unwrap();
            vae.layout.slice_mut(&mut weights, entry).copy_from_slice(&values);
        }
        session.set("model", &weights).unwrap();
        let x = vec![0.5; 3 * 130];
        let selection = Selection {
            norm: Norm::Linf,
            eps: 0.1,
            steps: 10,
            step_size: 0.025,
            metric: Metric::W2,
            fused: true,
        };
        let Farthest { selected, means, distances, ratios: found } =
            farthest(&mut session, &vae, &selection, &x, 1).unwrap();
        assert_eq!((selected.len(), found.len()), (x.len(), 130));
        assert_eq!((means.len(), distances.len()), (2 * 130, 130));
        assert!(distances.iter().all(|d| (d - 0.3).abs() < 1e-5), "{distances:?}");
        // Only x0 moves the code; x1 and x2 stay where the random start left them, within the ball.
        let least = 3.0 * 0.1 / (3.0f64 * 0.01).sqrt();
        assert!(found.iter().all(|&r| r >= least - 1e-3 && r <= 3.0 + 1e-3), "{found:?}");
        assert!(found.iter().any(|&r| r > least + 0.1));
    }
}
