// wasserstein2: the squared 2-Wasserstein distance of two heads' factorised Gaussians, and its
// gradient with respect to the second: the selection metric `w2`    docs/method.md, sections 3 and 4, eq 12
//
//   w2[r] = |mu_a - mu_b|^2 + sum (sa - sb)^2          with deviations sa = exp(l_a/2), sb
//   dh_b  = [2 (mu_b - mu_a) | (sb - sa) sb]
//
//   h_a, h_b  [rows, 2 latents], mean and log-variance side by side
//   w2        [rows]
//   dh_b      [rows, 2 latents]
//
// One workgroup a row; each of its 256 invocations adds every 256th latent, then the partial sums are added in a tree.

struct Params { rows: u32, latents: u32 }

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> h_a: array<f32>;
@group(0) @binding(2) var<storage, read> h_b: array<f32>;
@group(0) @binding(3) var<storage, read_write> w2: array<f32>;
@group(0) @binding(4) var<storage, read_write> dh_b: array<f32>;

@compute @workgroup_size(FLAT)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u,
        @builtin(local_invocation_index) local: u32) {
    let r = flat_group(group, groups);
    if r >= p.rows { return; }
    var sum = 0.0;
    for (var j = local; j < p.latents; j += FLAT) {
        let mu = 2 * r * p.latents + j;
        let l = mu + p.latents;
        let d = w2_squared(h_a[mu], h_a[l], h_b[mu], h_b[l]);
        dh_b[mu] = d.d_mu_b;
        dh_b[l] = d.d_l_b;
        sum += d.value;
    }
    sum = workgroup_sum(sum, local);
    if local == 0 { w2[r] = sum; }
}
