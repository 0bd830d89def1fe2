// reparameterise: a sample of the encoder's Gaussian, and its closed-form terms     docs/method.md, section 2
//
//   z[r]       = mu_r + exp(l_r/2) u_r                                    r < batch
//   prior[r]   = -(|mu_r|^2 + sum exp(l_r)) / 2 - latents/2 log(2 pi)      (E2a, E2b)
//   entropy[r] = sum(l_r) / 2 + latents/2 log(2 pi e)                      (Ha)
//
//   h        [rows, 2 latents], the encoder's head, mean mu and log-variance l side by side: the
//            data points' batch rows, and where rows = 2 batch the fictive points' rows after them
//   u        [batch, latents], standard normal draws
//   z        [batch, latents]
//   prior    [rows]
//   entropy  [rows]
//
// One workgroup a row of h; each of its 256 invocations takes every 256th latent, then the partial
// sums are added in a tree.

// normaliser = latents/2 log(2 pi)
struct Params { rows: u32, batch: u32, latents: u32, normaliser: f32 }

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> h: array<f32>;
@group(0) @binding(2) var<storage, read> u: array<f32>;
@group(0) @binding(3) var<storage, read_write> z: array<f32>;
@group(0) @binding(4) var<storage, read_write> prior: array<f32>;
@group(0) @binding(5) var<storage, read_write> entropy: array<f32>;

@compute @workgroup_size(FLAT)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u,
        @builtin(local_invocation_index) local: u32) {
    let r = flat_group(group, groups);
    if r >= p.rows { return; }
    var squares = 0.0;
    var logs = 0.0;
    for (var j = local; j < p.latents; j += FLAT) {
        let mu = h[2 * r * p.latents + j];
        let l = h[(2 * r + 1) * p.latents + j];
        let deviation = exp(0.5 * l);
        if r < p.batch { z[r * p.latents + j] = mu + deviation * u[r * p.latents + j]; }
        squares += mu * mu + deviation * deviation;
        logs += l;
    }
    squares = workgroup_sum(squares, local);
    logs = workgroup_sum(logs, local);
    if local == 0 {
        prior[r] = -0.5 * squares - p.normaliser;
        entropy[r] = 0.5 * (logs + f32(p.latents)) + p.normaliser;
    }
}
