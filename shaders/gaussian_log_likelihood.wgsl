// gaussian_log_likelihood: log N(x; xhat, v I) of each row and its derivative     docs/method.md, section 2, E1
//
//   ll[r]   = -|x - xhat|^2 / (2 v) - D/2 log(2 pi v)
//   d[r, c] = (x - xhat) / v                     where SIGMOID = 0: xhat is the output
//             (x - xhat) / v  xhat (1 - xhat)    where SIGMOID = 1: xhat = 1 / (1 + e^-output)
//
//   output  [rows, cols], the decoder's
//   x       [rows, cols]
//   ll      [rows]
//   d       [rows, cols], the derivative of ll with respect to the output
//
// One workgroup a row; each of its 256 invocations adds every 256th element, then the partial sums are added in a tree.

override SIGMOID: u32 = 0;

// normaliser = D/2 log(2 pi v)
struct Params { rows: u32, cols: u32, inverse_v: f32, normaliser: f32 }

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> output: array<f32>;
@group(0) @binding(2) var<storage, read> x: array<f32>;
@group(0) @binding(3) var<storage, read_write> ll: array<f32>;
@group(0) @binding(4) var<storage, read_write> d: array<f32>;

@compute @workgroup_size(FLAT)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u,
        @builtin(local_invocation_index) local: u32) {
    let r = flat_group(group, groups);
    if r >= p.rows { return; }
    var sum = 0.0;
    for (var c = local; c < p.cols; c += FLAT) {
        let i = r * p.cols + c;
        var xhat = output[i];
        var slope = p.inverse_v;
        if SIGMOID == 1 {
            // xhat and 1 - xhat from e^-|output|: neither overflows or cancels.
            let e = exp(-abs(xhat));
            let large = 1.0 / (1.0 + e);
            xhat = select(e * large, large, xhat >= 0.0);
            slope *= e * large * large;
        }
        let difference = x[i] - xhat;
        d[i] = difference * slope;
        sum += difference * difference;
    }
    sum = workgroup_sum(sum, local);
    if local == 0 { ll[r] = -0.5 * p.inverse_v * sum - p.normaliser; }
}
