// relax: linear bounds on the way back through a ReLU      docs/method.md, section 12
//
//   out[r, j] = a[r mod period, j] positive[i, j]   where that a > 0,      i = r / rows_an_image
//               a[r mod period, j] negative[i, j]   else
//
// a holds the coefficients of a lower bound in the ReLU's outputs, out those in its inputs: a positive coefficient
// takes the slope of the line below the ReLU, a negative one that of the line above.
//
//   a         [period, cols]: the rows of all images, or those of one, which all images share
//   positive  [images, cols]
//   negative  [images, cols]
//   out       [rows, cols], rows_an_image for each image
//
// One invocation an element.

struct Params { rows: u32, cols: u32, period: u32, rows_an_image: u32 }

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> a: array<f32>;
@group(0) @binding(2) var<storage, read> positive: array<f32>;
@group(0) @binding(3) var<storage, read> negative: array<f32>;
@group(0) @binding(4) var<storage, read_write> out: array<f32>;

@compute @workgroup_size(FLAT)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u,
        @builtin(local_invocation_index) local: u32) {
    let element = flat_index(group, groups, local);
    if element >= p.rows * p.cols { return; }
    let r = element / p.cols;
    let j = element % p.cols;
    let coefficient = a[(r % p.period) * p.cols + j];
    let of_image = r / p.rows_an_image * p.cols + j;
    out[element] = coefficient * select(negative[of_image], positive[of_image], coefficient > 0.0);
}
