//! What docs/method.md, section 3 says of the objectives, on a model of the real size.

use smoothenc::engine::device;
use smoothenc::engine::graph::Graph;
use smoothenc::engine::nn::{Init, Weights, initialise, weight_gradients};
use smoothenc::engine::ops::store;
use smoothenc::engine::rng::{Key, Purpose, fill};
use smoothenc::engine::session::Session;
use smoothenc::engine::tensor::DType::F32;
use smoothenc::method::vae::{Objective, Vae};

const BATCH: usize = 40;

/// A loss, its terms, and the gradient of every weight.
struct Outcome {
    loss: f32,
    means: Vec<f32>,
    gradient: Vec<f32>,
}

/// Loss and gradients at one x, x_b, u and weights. `moved` is how far x_b is from x.
fn evaluate(vae: &Vae, objective: Objective, moved: f32) -> Outcome {
    let mut session = Session::new(device::open("cpu", false).unwrap());
    let draws = |step, n, normal| {
        let mut out = vec![0.0; n];
        fill(Key::new(5, Purpose::Selection), step, 0, normal, &mut out);
        out
    };
    let x: Vec<f32> = draws(0, BATCH * 784, false).iter().map(|v| (2.0 * v - 1.0).max(0.0)).collect();
    let noise = draws(1, BATCH * 784, false);
    let x_b: Vec<f32> =
        x.iter().zip(&noise).map(|(x, n)| (x + moved * (2.0 * n - 1.0)).clamp(0.0, 1.0)).collect();
    session.set("x", &x).unwrap();
    session.set("x_b", &x_b).unwrap();
    session.set("u", &draws(2, BATCH * vae.latent, true)).unwrap();
    let mut weights = initialise(&vae.layout, Init::Torch, Key::new(5, Purpose::Init)).unwrap();
    // Nothing is 0, not the biases either.
    weights.iter_mut().for_each(|w| *w *= 2.0);
    session.set("model", &weights).unwrap();

    let mut g = Graph::new();
    let weights = Weights::new(&mut g, &vae.layout, "model").unwrap();
    let mut input = |name, cols| g.variable(name, [BATCH, cols], F32).unwrap();
    let [x, x_b, u] = [input("x", 784), input("x_b", 784), input("u", vae.latent)];
    let selected = objective.needs_selection().then_some(x_b);
    let loss = objective.loss(&mut g, vae, &weights.views, x, selected, u, None).unwrap();
    weight_gradients(&mut g, &vae.layout, &weights, loss.total, 1.0).unwrap();
    for (name, value, n) in [("loss", loss.total, 1), ("means", loss.means, 4)] {
        let kept = g.variable(name, [n], F32).unwrap();
        store(&mut g, value, kept).unwrap();
    }
    session.compile(&g).unwrap().run().unwrap();
    Outcome {
        loss: session.get("loss").unwrap()[0],
        means: session.get("means").unwrap(),
        gradient: session.get("model.grad").unwrap(),
    }
}

fn vae() -> Vae {
    Vae::mlp(784, &[200; 4], 16, 0.25, true)
}

/// Compares the gradients of the entries that `which` names, relative to their tensor's largest.
fn compare(vae: &Vae, a: &Outcome, b: &Outcome, which: &str, tolerance: f32) {
    let mut compared = 0;
    for (i, entry) in vae.layout.entries().iter().enumerate().filter(|(_, e)| e.name.starts_with(which)) {
        let (a, b) = (vae.layout.slice(&a.gradient, i), vae.layout.slice(&b.gradient, i));
        let largest = a.iter().fold(0.0f32, |m, g| m.max(g.abs()));
        assert!(largest > 0.0, "{} has no gradient", entry.name);
        for (at, (a, b)) in a.iter().zip(b).enumerate() {
            let equal = (a - b).abs() <= tolerance * largest;
            assert!(equal, "{}[{at}]: {a} and {b}, the largest is {largest}", entry.name);
        }
        compared += 1;
    }
    assert_eq!(compared, 10);
}

/// x_b never meets the decoder.
#[test]
fn the_decoder_learns_from_the_smooth_objective_what_it_learns_from_the_elbo() {
    let vae = vae();
    let elbo = evaluate(&vae, Objective::Elbo { beta: 1.0 }, 0.0);
    for (gamma, moved) in [(0.0, 0.1), (1.0, 0.1), (100.0, 0.3), (1000.0, 0.0)] {
        let smooth = evaluate(&vae, Objective::Smooth { gamma }, moved);
        assert_eq!(smooth.means[0], elbo.means[0], "the log-likelihood at gamma {gamma}");
        compare(&vae, &elbo, &smooth, "decoder.", 1e-6);
        // While the encoder learns something else.
        let i = vae.layout.entries().iter().position(|e| e.name == "encoder.8.weight").unwrap();
        let [a, b] = [&elbo, &smooth].map(|o| vae.layout.slice(&o.gradient, i));
        let largest = a.iter().fold(0.0f32, |m, g| m.max(g.abs()));
        assert!(a.iter().zip(b).any(|(a, b)| (a - b).abs() > 1e-3 * largest), "gamma {gamma}");
    }
}

/// Without coupling, and with x_b at x, the smooth objective is the beta-VAE's at beta 2.
#[test]
fn uncoupled_at_one_point_it_is_the_beta_vae_of_two() {
    let vae = vae();
    let beta = evaluate(&vae, Objective::Elbo { beta: 2.0 }, 0.0);
    let smooth = evaluate(&vae, Objective::Smooth { gamma: 0.0 }, 0.0);
    let error = (beta.loss / smooth.loss - 1.0).abs();
    assert!(error <= 1e-6, "beta {} and smooth {}", beta.loss, smooth.loss);
    compare(&vae, &beta, &smooth, "encoder.", 1e-5);
    compare(&vae, &beta, &smooth, "decoder.", 1e-6);
    // WD is minus both entropies, both priors are one, and minus KL is prior and entropy.
    let [_, prior_a, prior_b, wd] = smooth.means[..] else { panic!("{:?}", smooth.means) };
    assert_eq!(prior_a, prior_b);
    let entropy = beta.means[1] - prior_a;
    assert!((wd + 2.0 * entropy).abs() <= 1e-5 * entropy.abs(), "{:?}", smooth.means);
}

/// `SE-ELBO <= ELBO`: a smooth loss is never the smaller.
#[test]
fn the_smooth_objective_is_below_the_elbo() {
    let vae = vae();
    let elbo = evaluate(&vae, Objective::Elbo { beta: 1.0 }, 0.0);
    for gamma in [0.0, 0.01, 1.0, 100.0, 1e4] {
        for moved in [0.0, 0.1, 1.0] {
            let smooth = evaluate(&vae, Objective::Smooth { gamma }, moved);
            assert!(smooth.loss >= elbo.loss, "gamma {gamma}, {moved}: {} < {}", smooth.loss, elbo.loss);
        }
    }
}
