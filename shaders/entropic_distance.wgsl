// entropic_distance: the entropy-regularised Wasserstein divergence of two heads, and its gradient
// with respect to the second: the selection metric `entropic`             docs/method.md, sections 3 and 4
//
//   wd[r] = sum over latents of the form in common/entropic.wgsl, all constants included
//   dh_b  = the derivative of wd[r] with respect to row r of h_b
//
//   h_a, h_b  [rows, 2 latents], mean and log-variance side by side
//   wd        [rows]
//   dh_b      [rows, 2 latents]
//
// One workgroup a row; each of its 256 invocations adds every 256th latent, then the partial sums are added in a tree.

struct Params { rows: u32, latents: u32, gamma: f32 }

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> h_a: array<f32>;
@group(0) @binding(2) var<storage, read> h_b: array<f32>;
@group(0) @binding(3) var<storage, read_write> wd: array<f32>;
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
        let e = entropic(p.gamma, h_a[mu], h_a[l], h_b[mu], h_b[l]);
        dh_b[mu] = e.d_mu_b;
        dh_b[l] = e.d_l_b;
        sum += e.value;
    }
    sum = workgroup_sum(sum, local);
    if local == 0 { wd[r] = sum; }
}
