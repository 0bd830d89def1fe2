//! The `divergence` command's factorised cases through the fused float32 kernels.

use crate::engine::device::Device;
use crate::engine::graph::Graph;
use crate::engine::ops::store;
use crate::engine::session::Session;
use crate::engine::tensor::DType;
use crate::error::Result;
use crate::method::divergence::{DiagonalCase, DiagonalOut, W2Grad, WdGrad};
use crate::method::ops::{entropic_distance, wasserstein2};

/// The divergences of `case`, with `wd`, `w2` and their gradients by the device's kernels. The KL terms have no kernel;
/// they are computed in float64.
///
/// # Errors
/// Those of the device.
pub fn on_device(device: &Device, case: &DiagonalCase) -> Result<DiagonalOut> {
    let latent = case.mu_a.len();
    let mut g = Graph::new();
    let h_a = g.variable("a", [1, 2 * latent], DType::F32)?;
    let h_b = g.variable("b", [1, 2 * latent], DType::F32)?;
    // The divergence is symmetric: the gradient by a is that by b with the two swapped.
    let wd = entropic_distance(&mut g, h_a, h_b, case.gamma as f32)?;
    let wd_swapped = entropic_distance(&mut g, h_b, h_a, case.gamma as f32)?;
    let w2 = wasserstein2(&mut g, h_a, h_b)?;
    let outputs =
        [("wd", wd.value), ("wd_b", wd.d_b), ("wd_a", wd_swapped.d_b), ("w2", w2.value), ("w2_b", w2.d_b)];
    for (name, value) in outputs {
        let shape = g.shape(value)?.clone();
        let kept = g.variable(name, shape, DType::F32)?;
        store(&mut g, value, kept)?;
    }
    let mut session = Session::new(device.clone());
    let head = |mu: &[f64], l: &[f64]| mu.iter().chain(l).map(|&x| x as f32).collect::<Vec<f32>>();
    session.set("a", &head(&case.mu_a, &case.logvar_a))?;
    session.set("b", &head(&case.mu_b, &case.logvar_b))?;
    session.compile(&g)?.run()?;

    let read = |name: &str| Ok(session.get::<f32>(name)?.into_iter().map(f64::from).collect::<Vec<f64>>());
    let halves = |name: &str| {
        let mut mean: Vec<f64> = read(name)?;
        let logvar = mean.split_off(latent);
        Ok((mean, logvar))
    };
    let ((d_mu_a, d_logvar_a), (d_mu_b, d_logvar_b)) = (halves("wd_a")?, halves("wd_b")?);
    let (w2_mu_b, w2_logvar_b) = halves("w2_b")?;
    Ok(DiagonalOut {
        wd: read("wd")?[0],
        wd_grad: WdGrad { d_mu_a, d_logvar_a, d_mu_b, d_logvar_b },
        w2: read("w2")?[0],
        w2_grad: W2Grad { d_mu_b: w2_mu_b, d_logvar_b: w2_logvar_b },
        ..case.evaluate()
    })
}
