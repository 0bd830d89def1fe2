// matmul: C = act(op(A) op(B) + bias)                    SPEC section 1, every layer of the MLP
//
//   A     [m, k], or [k, m] where TRANSPOSE_A = 1
//   B     [k, n], or [n, k] where TRANSPOSE_B = 1 (a layer's weights, [out, in])
//   bias  [n], where BIAS = 1
//   C     [m, n]; act is max(., 0) where RELU = 1, else nothing
//
// One workgroup computes a tile of TILE x TILE outputs, each of its 16 x 16 invocations a 2 x 2
// block of them, walking k in slices of DEPTH that are staged in workgroup memory. Neighbouring
// invocations load neighbouring words of A and B whichever way these are stored. The sum over k
// runs in order, so a run repeats bit for bit.

override TRANSPOSE_A: u32 = 0;
override TRANSPOSE_B: u32 = 0;
override BIAS: u32 = 0;
override RELU: u32 = 0;

const TILE: u32 = 32;
const DEPTH: u32 = 16;

struct Params { m: u32, n: u32, k: u32 }

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> a: array<f32>;
@group(0) @binding(2) var<storage, read> b: array<f32>;
@group(0) @binding(3) var<storage, read> bias: array<f32>;
@group(0) @binding(4) var<storage, read_write> c: array<f32>;

// Row l holds op(A)[tile rows, l] and op(B)[l, tile columns]; one word of padding a row.
var<workgroup> a_slice: array<array<f32, 33>, 16>;
var<workgroup> b_slice: array<array<f32, 33>, 16>;

fn load_a(row: u32, l: u32) -> f32 {
    if row >= p.m || l >= p.k { return 0.0; }
    return a[select(row * p.k + l, l * p.m + row, TRANSPOSE_A == 1)];
}

fn load_b(l: u32, column: u32) -> f32 {
    if column >= p.n || l >= p.k { return 0.0; }
    return b[select(l * p.n + column, column * p.k + l, TRANSPOSE_B == 1)];
}

@compute @workgroup_size(16, 16)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_id) local: vec3u,
        @builtin(local_invocation_index) index: u32) {
    let row0 = group.y * TILE;
    let column0 = group.x * TILE;
    var sum = mat2x2f();
    for (var l0 = 0u; l0 < p.k; l0 += DEPTH) {
        for (var i = index; i < TILE * DEPTH; i += 256) {
            // Along the stored rows: k is contiguous in A and in a transposed B.
            let across = vec2u(i / DEPTH, i % DEPTH);
            let along = vec2u(i % TILE, i / TILE);
            let at_a = select(across, along, TRANSPOSE_A == 1);
            let at_b = select(along, across, TRANSPOSE_B == 1);
            a_slice[at_a.y][at_a.x] = load_a(row0 + at_a.x, l0 + at_a.y);
            b_slice[at_b.y][at_b.x] = load_b(l0 + at_b.y, column0 + at_b.x);
        }
        workgroupBarrier();
        for (var l = 0u; l < DEPTH; l++) {
            let left = vec2f(a_slice[l][local.y], a_slice[l][local.y + 16]);
            let right = vec2f(b_slice[l][local.x], b_slice[l][local.x + 16]);
            sum[0] += left[0] * right;
            sum[1] += left[1] * right;
        }
        workgroupBarrier();
    }
    for (var i = 0u; i < 2; i++) {
        for (var j = 0u; j < 2; j++) {
            let row = row0 + local.y + 16 * i;
            let column = column0 + local.x + 16 * j;
            if row < p.m && column < p.n {
                var value = sum[i][j];
                if BIAS == 1 { value += bias[column]; }
                if RELU == 1 { value = select(value, 0.0, value < 0.0); }
                c[row * p.n + column] = value;
            }
        }
    }
}
