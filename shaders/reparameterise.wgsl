// reparameterise: a sample of the encoder's Gaussian, and its closed-form terms     docs/method.md, section 2
//
//   z[r]        = mu_r + exp(l_r/2) u_r                                    r < batch
//   prior[r]    = -(|mu_r|^2 + sum exp(l_r)) / 2 - latents/2 log(2 pi)      (E2a, E2b)
//   minus_kl[r] = -sum(mu_r^2 + exp(l_r) - 1 - l_r) / 2                     (E2a + Ha)
//
//   h        [rows, 2 latents], the encoder's head, mean mu and log-variance l side by side: the
//            data points' batch rows, and where rows = 2 batch the fictive points' rows after them
//   u        [batch, latents], standard normal draws
//   z        [batch, latents]
//   prior    [rows]
//   minus_kl [rows], a sum of terms none of which is above 0
//
// One workgroup a row of h; each of its 256 invocations adds every 256th latent, then the partial sums are added in a
// tree.

// normaliser = latents/2 log(2 pi)
struct Params { rows: u32, batch: u32, latents: u32, normaliser: f32 }

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> h: array<f32>;
@group(0) @binding(2) var<storage, read> u: array<f32>;
@group(0) @binding(3) var<storage, read_write> z: array<f32>;
@group(0) @binding(4) var<storage, read_write> prior: array<f32>;
@group(0) @binding(5) var<storage, read_write> minus_kl: array<f32>;

// exp(l) - 1 - l >= 0, given exp(l); by its series where the difference would cancel:
// l^2/2 (1 + l/3 (1 + l/4 ..)). The first term left out is 1e-8 of the value.
fn above_tangent(l: f32, exponential: f32) -> f32 {
    if abs(l) >= 0.5 { return exponential - 1.0 - l; }
    var series = 1.0;
    for (var k = 8; k >= 3; k--) { series = 1.0 + l / f32(k) * series; }
    return 0.5 * l * l * series;
}

@compute @workgroup_size(FLAT)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u,
        @builtin(local_invocation_index) local: u32) {
    let r = flat_group(group, groups);
    if r >= p.rows { return; }
    var squares = 0.0;
    var distances = 0.0;
    for (var j = local; j < p.latents; j += FLAT) {
        let mu = h[2 * r * p.latents + j];
        let l = h[(2 * r + 1) * p.latents + j];
        let deviation = exp(0.5 * l);
        if r < p.batch { z[r * p.latents + j] = mu + deviation * u[r * p.latents + j]; }
        squares += mu * mu + deviation * deviation;
        distances += mu * mu + above_tangent(l, deviation * deviation);
    }
    squares = workgroup_sum(squares, local);
    distances = workgroup_sum(distances, local);
    if local == 0 {
        prior[r] = -0.5 * squares - p.normaliser;
        minus_kl[r] = -0.5 * distances;
    }
}
