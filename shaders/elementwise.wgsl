// elementwise: out[i] = f(a[i], b[i], alpha), f chosen by FUNCTION
//
//   0 add        a + b                   1 subtract      a - b
//   2 multiply   a b                     3 scale         alpha a
//   4 relu       max(a, 0)               5 relu_grad     a where b > 0, else 0 (b: the relu's output)
//   6 sigmoid    1 / (1 + e^-a)          7 sigmoid_grad  a b (1 - b)          (b: the sigmoid's output)
//   8 exp        e^a
//
//   relu of a NaN is a NaN, so that it reaches the loss.
//
//   a, b, out  [n], b unused by the functions of one argument; where IN_PLACE = 1, a is out
//
// One invocation an element.

override FUNCTION: u32 = 0;
override IN_PLACE: u32 = 0;

struct Params { n: u32, alpha: f32 }

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> a: array<f32>;
@group(0) @binding(2) var<storage, read> b: array<f32>;
@group(0) @binding(3) var<storage, read_write> out: array<f32>;

fn f(x: f32, y: f32) -> f32 {
    switch FUNCTION {
        case 0u: { return x + y; }
        case 1u: { return x - y; }
        case 2u: { return x * y; }
        case 3u: { return p.alpha * x; }
        case 4u: { return relu(x); }
        case 5u: { return select(0.0, x, y > 0.0); }
        case 6u: { return sigmoid(x); }
        case 7u: { return x * y * (1.0 - y); }
        default: { return exp(x); }
    }
}

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
    if FUNCTION <= 2 || FUNCTION == 5 || FUNCTION == 7 { y = b[i]; }
    out[i] = f(x, y);
}
