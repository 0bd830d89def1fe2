// entropic_wasserstein: the entropy-regularised Wasserstein divergence of the encoder at a point
// and at its fictive point, and its gradient                      docs/method.md, section 3, appendices B.2, C
//
//   wd[r] = sum over latents of the form in common/entropic.wgsl, all constants included
//   dh    = the derivative of wd[r] with respect to rows r and batch + r of h
//
//   h   [2 batch, 2 latents], mean and log-variance side by side: the data points' rows, then the
//       fictive points' rows
//   clock  [2] u32: the steps done; read where rise > 0
//   wd  [batch]
//   dh  [2 batch, 2 latents]
//
// Over the first `rise` steps the coupling rises to gamma in STAIRS equal stairs. One workgroup a pair; each of its 256
// invocations adds every 256th latent, then the partial sums are added in a tree.

const STAIRS = 10u;

struct Params { batch: u32, latents: u32, gamma: f32, rise: u32 }

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> h: array<f32>;
@group(0) @binding(2) var<storage, read> clock: array<u32>;
@group(0) @binding(3) var<storage, read_write> wd: array<f32>;
@group(0) @binding(4) var<storage, read_write> dh: array<f32>;

// The coupling of this step.
fn coupling() -> f32 {
    if p.rise == 0 || clock[0] >= p.rise { return p.gamma; }
    // 1 + STAIRS step / rise, whose product could overflow: stair k + 1 begins at step k rise / STAIRS, rounded up.
    var stair = 1u;
    for (var k = 1u; k < STAIRS; k++) {
        let first = k * (p.rise / STAIRS) + (k * (p.rise % STAIRS) + STAIRS - 1) / STAIRS;
        if clock[0] >= first { stair++; }
    }
    return f32(stair) / f32(STAIRS) * p.gamma;
}

@compute @workgroup_size(FLAT)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u,
        @builtin(local_invocation_index) local: u32) {
    let r = flat_group(group, groups);
    if r >= p.batch { return; }
    let gamma = coupling();
    var sum = 0.0;
    for (var j = local; j < p.latents; j += FLAT) {
        let mu_a = 2 * r * p.latents + j;
        let l_a = mu_a + p.latents;
        let mu_b = mu_a + 2 * p.batch * p.latents;
        let l_b = mu_b + p.latents;
        let e = entropic(gamma, h[mu_a], h[l_a], h[mu_b], h[l_b]);
        dh[mu_a] = e.d_mu_a;
        dh[l_a] = e.d_l_a;
        dh[mu_b] = e.d_mu_b;
        dh[l_b] = e.d_l_b;
        sum += e.value;
    }
    sum = workgroup_sum(sum, local);
    if local == 0 { wd[r] = sum; }
}
