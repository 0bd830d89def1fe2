// adam: one step of Adam (Kingma and Ba, 2015) over all weights at once    docs/method.md, section 4
//
//   clock    [2]: the step, from 0; t = step + 1
//   g        [n] gradients times the loss scale; `unscale` is its inverse
//   m, v     [n] running means of g and g^2; w [n] weights; all three are updated in place
//
//   m <- b1 m + (1 - b1) g,    v <- b2 v + (1 - b2) g^2
//   w <- w - rate_t (m / (1 - b1^t)) / (sqrt(v / (1 - b2^t)) + eps) - rate_t weight_decay w
//   rate_t falls linearly from rate at step 0 to rate * last at step `total`
//
// 1 - b^t is computed as -expm1(t log b): in float32 1 - 0.999 has a relative error of 6e-5.
// One invocation a weight.

struct Params {
    n: u32, total: u32,
    rate: f32, last: f32, b1: f32, b2: f32, log_b1: f32, log_b2: f32, one_minus_b1: f32, one_minus_b2: f32,
    eps: f32, unscale: f32, weight_decay: f32,
}

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> clock: array<u32>;
@group(0) @binding(2) var<storage, read> g: array<f32>;
@group(0) @binding(3) var<storage, read_write> m: array<f32>;
@group(0) @binding(4) var<storage, read_write> v: array<f32>;
@group(0) @binding(5) var<storage, read_write> w: array<f32>;

// 1 - e^x for x <= 0; by its series where the difference would cancel.
fn one_minus_exp(x: f32) -> f32 {
    if x < -0.5 { return 1.0 - exp(x); }
    var sum = 1.0;
    for (var i = 9; i > 1; i--) { sum = 1.0 + sum * x / f32(i); }
    return -x * sum;
}

@compute @workgroup_size(FLAT)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u,
        @builtin(local_invocation_index) local: u32) {
    let i = flat_index(group, groups, local);
    if i >= p.n { return; }
    let step = f32(clock[0]);
    let done = min(step / f32(p.total), 1.0);
    let rate = p.rate * (1.0 - (1.0 - p.last) * done);
    let mean_share = one_minus_exp((step + 1.0) * p.log_b1);
    let square_share = one_minus_exp((step + 1.0) * p.log_b2);

    let gradient = p.unscale * g[i];
    let mean = p.b1 * m[i] + p.one_minus_b1 * gradient;
    let square = p.b2 * v[i] + p.one_minus_b2 * gradient * gradient;
    m[i] = mean;
    v[i] = square;
    let step_taken = rate * (mean / mean_share) / (sqrt(square / square_share) + p.eps);
    w[i] -= step_taken + rate * p.weight_decay * w[i];
}
