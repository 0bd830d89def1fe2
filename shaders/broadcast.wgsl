// broadcast: spreads a vector over a matrix, or scales a matrix's rows by it
//
//   v    [1], [rows], [cols] or [period]
//   a    [rows, cols], read where MODE = 3
//   out  [rows, cols]: alpha times
//          MODE 0  v[0] in rows begin..end, 0 in the others (the gradient of a mean)
//          MODE 1  v[r]        (of a row sum)
//          MODE 2  v[c]        (of a column sum)
//          MODE 3  v[r % period] a[r, c]
//
// MODE 3 is the gradient of a fused op with one value per example: its saved derivative a, times the gradient v of the
// value. v has period rows, and repeats where a has more.
// One invocation an element.

override MODE: u32 = 0;

struct Params { rows: u32, cols: u32, alpha: f32, begin: u32, end: u32, period: u32 }

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> v: array<f32>;
@group(0) @binding(2) var<storage, read> a: array<f32>;
@group(0) @binding(3) var<storage, read_write> out: array<f32>;

@compute @workgroup_size(FLAT)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u,
        @builtin(local_invocation_index) local: u32) {
    let i = flat_index(group, groups, local);
    if i >= p.rows * p.cols { return; }
    var value: f32;
    switch MODE {
        case 0u: { value = select(0.0, v[0], i / p.cols >= p.begin && i / p.cols < p.end); }
        case 1u: { value = v[i / p.cols]; }
        case 2u: { value = v[i % p.cols]; }
        default: { value = v[(i / p.cols) % p.period] * a[i]; }
    }
    out[i] = p.alpha * value;
}
