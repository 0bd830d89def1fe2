// matmul: C = act(op(A) op(B) + bias)                    SPEC section 1, every layer of the MLP
//
//   A     [m, k], or [k, m] where TRANSPOSE_A = 1
//   B     [k, n], or [n, k] where TRANSPOSE_B = 1 (a layer's weights, [out, in])
//   bias  [n], where BIAS = 1
//   C     [m, n]; act is max(., 0) where RELU = 1 (with BIAS = 1 only), else nothing
//
// One workgroup computes a tile of 32 x 32 outputs, each of its 8 x 8 invocations a 4 x 4 block of
// them in registers, walking k in slices of DEPTH that are staged in workgroup memory. There, four
// neighbouring rows of op(A), or columns of op(B), are one vector: a step of the inner loop reads
// two vectors for sixteen multiplications. Neighbouring invocations load neighbouring words of A
// and B whichever way these are stored. The sum over k runs in order, so a run repeats bit for bit.

override TRANSPOSE_A: u32 = 0;
override TRANSPOSE_B: u32 = 0;
override BIAS: u32 = 0;
override RELU: u32 = 0;

const TILE: u32 = 32;
const QUADS: u32 = 8; // Vectors of four across a tile.
const DEPTH: u32 = 16;

struct Params { m: u32, n: u32, k: u32 }

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> a: array<f32>;
@group(0) @binding(2) var<storage, read> b: array<f32>;
@group(0) @binding(3) var<storage, read> bias: array<f32>;
@group(0) @binding(4) var<storage, read_write> c: array<f32>;

// At [l][quad]: four rows of op(A) at depth l, four columns of op(B).
var<workgroup> a_slice: array<array<vec4f, QUADS>, DEPTH>;
var<workgroup> b_slice: array<array<vec4f, QUADS>, DEPTH>;

fn load_a(row: u32, l: u32) -> f32 {
    if row >= p.m || l >= p.k { return 0.0; }
    return a[select(row * p.k + l, l * p.m + row, TRANSPOSE_A == 1)];
}

fn load_b(l: u32, column: u32) -> f32 {
    if column >= p.n || l >= p.k { return 0.0; }
    return b[select(l * p.n + column, column * p.k + l, TRANSPOSE_B == 1)];
}

@compute @workgroup_size(8, 8)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_id) local: vec3u,
        @builtin(local_invocation_index) index: u32) {
    let row0 = group.y * TILE;
    let column0 = group.x * TILE;
    var sum = mat4x4f();
    for (var l0 = 0u; l0 < p.k; l0 += DEPTH) {
        for (var i = index; i < QUADS * DEPTH; i += 64) {
            // (l, quad), in the order of the stored words: k runs along the rows of A and of a
            // transposed B.
            let along_k = vec2u(i % DEPTH, i / DEPTH);
            let across_k = vec2u(i / QUADS, i % QUADS);
            let at_a = select(along_k, across_k, TRANSPOSE_A == 1);
            let at_b = select(across_k, along_k, TRANSPOSE_B == 1);
            let row = row0 + 4 * at_a.y;
            let column = column0 + 4 * at_b.y;
            let la = l0 + at_a.x;
            let lb = l0 + at_b.x;
            a_slice[at_a.x][at_a.y] =
                vec4f(load_a(row, la), load_a(row + 1, la), load_a(row + 2, la), load_a(row + 3, la));
            b_slice[at_b.x][at_b.y] =
                vec4f(load_b(lb, column), load_b(lb, column + 1), load_b(lb, column + 2), load_b(lb, column + 3));
        }
        workgroupBarrier();
        for (var l = 0u; l < DEPTH; l++) {
            let left = a_slice[l][local.y];
            let right = b_slice[l][local.x];
            sum[0] += left[0] * right;
            sum[1] += left[1] * right;
            sum[2] += left[2] * right;
            sum[3] += left[3] * right;
        }
        workgroupBarrier();
    }
    for (var i = 0u; i < 4; i++) {
        for (var j = 0u; j < 4; j++) {
            let row = row0 + 4 * local.y + i;
            let column = column0 + 4 * local.x + j;
            if row < p.m && column < p.n {
                var value = sum[i][j];
                if BIAS == 1 { value += bias[column]; }
                if BIAS == 1 && RELU == 1 { value = select(value, 0.0, value < 0.0); }
                c[row * p.n + column] = value;
            }
        }
    }
}
