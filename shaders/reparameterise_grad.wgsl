// reparameterise_grad: the gradient of reparameterise with respect to the encoder's head
//
//   d mu = dz - (dprior + dminus_kl) mu
//   d l  = dz u exp(l/2)/2 - (dprior + dminus_kl) exp(l)/2 + dminus_kl/2       (dz = 0 for rows from batch on)
//
//   h          [rows, 2 latents], the encoder's head, mean mu and log-variance l side by side
//   u          [batch, latents], the draws of the sample
//   dz         [batch, latents], the gradient of the sample
//   dprior     [rows], of the prior term
//   dminus_kl  [rows], of minus KL
//   dh         [rows, 2 latents]
//
// One invocation a latent of a row.

struct Params { rows: u32, batch: u32, latents: u32 }

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> h: array<f32>;
@group(0) @binding(2) var<storage, read> u: array<f32>;
@group(0) @binding(3) var<storage, read> dz: array<f32>;
@group(0) @binding(4) var<storage, read> dprior: array<f32>;
@group(0) @binding(5) var<storage, read> dminus_kl: array<f32>;
@group(0) @binding(6) var<storage, read_write> dh: array<f32>;

@compute @workgroup_size(FLAT)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u,
        @builtin(local_invocation_index) local: u32) {
    let i = flat_index(group, groups, local);
    if i >= p.rows * p.latents { return; }
    let r = i / p.latents;
    let mean_at = i + r * p.latents;
    let log_at = mean_at + p.latents;
    let deviation = exp(0.5 * h[log_at]);
    let both = dprior[r] + dminus_kl[r];
    var d_mu = -both * h[mean_at];
    var d_l = 0.5 * (dminus_kl[r] - both * deviation * deviation);
    if r < p.batch {
        d_mu += dz[i];
        d_l += 0.5 * dz[i] * u[i] * deviation;
    }
    dh[mean_at] = d_mu;
    dh[log_at] = d_l;
}
