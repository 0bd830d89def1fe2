// entropic: one latent dimension of the Wasserstein distance of two factorised Gaussians and of the
// entropy-regularised Wasserstein divergence, with derivatives               docs/method.md, section 3
//
//   mu_a, l_a, mu_b, l_b  means and log-variances; gamma >= 0 the coupling
//
// With s = 2 gamma sa sb and U = sqrt(1 + s^2), sa and sb the deviations:
//
//   gamma/2 ((mu_a - mu_b)^2 + (sa - sb)^2) + 1/2 - 1/(2 (s + U)) + log(1 + U)/2
//   - (log 2 + l_a + l_b)/2 - log(2 pi) - 1
//
// Needs common/precise.wgsl. The Rust twin is in src/method/ops/entropic_wasserstein.rs.

struct Deviations { a: f32, b: f32, difference: f32 }

// sa = exp(l_a/2), sb = exp(l_b/2) and sa - sb, computed as a multiple of the larger so that it neither cancels nor
// overflows.
fn deviations(l_a: f32, l_b: f32) -> Deviations {
    let a = exp(0.5 * l_a);
    let b = exp(0.5 * l_b);
    let ratio = 0.5 * (l_a - l_b);
    if ratio > 0.0 { return Deviations(a, b, -a * expm1(-ratio)); }
    return Deviations(a, b, b * expm1(ratio));
}

struct W2 { value: f32, d_mu_b: f32, d_l_b: f32 }

// One latent dimension of W2^2, docs/method.md, section 3: (mu_a - mu_b)^2 + (sa - sb)^2, and its derivatives.
fn w2_squared(mu_a: f32, l_a: f32, mu_b: f32, l_b: f32) -> W2 {
    let apart = mu_b - mu_a;
    let s = deviations(l_a, l_b);
    return W2(apart * apart + s.difference * s.difference, 2.0 * apart, -s.difference * s.b);
}

struct Entropic { value: f32, d_mu_a: f32, d_l_a: f32, d_mu_b: f32, d_l_b: f32 }

fn entropic(gamma: f32, mu_a: f32, l_a: f32, mu_b: f32, l_b: f32) -> Entropic {
    const CONSTANT = 0.34657359 + 1.8378771 + 0.5; // log(2)/2 + log(2 pi) + 1 - 1/2
    let s = deviations(l_a, l_b);
    let apart = mu_a - mu_b;
    let coupled = 2.0 * gamma * s.a * s.b;
    let root = hypotenuse(coupled);
    let rest = 1.0 / (coupled + root);
    let cost = 0.5 * gamma * (apart * apart + s.difference * s.difference);
    let value = cost + 0.5 * (log(1.0 + root) - rest - (l_a + l_b)) - CONSTANT;
    let common_part = -0.25 - 0.25 * rest;
    let pull = 0.5 * gamma * s.difference;
    return Entropic(value, gamma * apart, common_part + s.a * pull, -gamma * apart, common_part - s.b * pull);
}

// sqrt(1 + s^2) for s >= 0, without overflow of s^2.
fn hypotenuse(s: f32) -> f32 {
    if s > 1.0 {
        let r = 1.0 / s;
        return s * sqrt(1.0 + r * r);
    }
    return sqrt(1.0 + s * s);
}
