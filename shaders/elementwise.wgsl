// elementwise: out[i] = f(a[i], b[i], alpha), f chosen by FUNCTION
//
// f comes from the table in src/engine/ops/elementwise.rs: a case for each row, with the row's expression.
//
//   a, b, out  [n]; b is unused where BINARY = 0; where IN_PLACE = 1, a is out
//
// One invocation an element.

override FUNCTION: u32 = 0;
override BINARY: u32 = 0;
override IN_PLACE: u32 = 0;

struct Params { n: u32, alpha: f32 }

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> a: array<f32>;
@group(0) @binding(2) var<storage, read> b: array<f32>;
@group(0) @binding(3) var<storage, read_write> out: array<f32>;

// By e^-|x|, which does not overflow.
fn sigmoid(x: f32) -> f32 {
    let e = exp(-abs(x));
    return select(e, 1.0, x >= 0.0) / (1.0 + e);
}

@compute @workgroup_size(FLAT)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u,
        @builtin(local_invocation_index) local: u32) {
    let i = flat_index(group, groups, local);
    if i >= p.n { return; }
    var x: f32;
    if IN_PLACE == 1 { x = out[i]; } else { x = a[i]; }
    var y = 0.0;
    if BINARY == 1 { y = b[i]; }
    out[i] = f(x, y, p.alpha);
}
