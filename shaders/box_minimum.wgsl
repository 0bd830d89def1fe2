// box_minimum: the least value of linear functions on a box      docs/method.md, section 12
//
//   out[r] = sum over j of  min { a[r mod period, j] x : low[i, j] <= x <= high[i, j] },      i = r / rows_an_image
//
// The minimum is at low where the coefficient is positive, and at high elsewhere.
//
//   a     [period, cols]: the rows of all images, or those of one, which all images share
//   low   [images, cols]
//   high  [images, cols]
//   out   [rows], rows_an_image for each image
//
// One workgroup a row: each invocation adds every FLATth term, then the partial sums are added in a tree.

struct Params { rows: u32, cols: u32, period: u32, rows_an_image: u32 }

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> a: array<f32>;
@group(0) @binding(2) var<storage, read> low: array<f32>;
@group(0) @binding(3) var<storage, read> high: array<f32>;
@group(0) @binding(4) var<storage, read_write> out: array<f32>;

@compute @workgroup_size(FLAT)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u,
        @builtin(local_invocation_index) local: u32) {
    let r = flat_group(group, groups);
    if r >= p.rows { return; }
    let row = (r % p.period) * p.cols;
    let image = r / p.rows_an_image * p.cols;
    var sum = 0.0;
    for (var j = local; j < p.cols; j += FLAT) {
        let coefficient = a[row + j];
        sum += coefficient * select(high[image + j], low[image + j], coefficient > 0.0);
    }
    sum = workgroup_sum(sum, local);
    if local == 0 { out[r] = sum; }
}
