// factors: reads of op(A) and op(B) and the stores of sums, which both texts of matmul share
//
// shaders/matmul.wgsl explains the sizes and the overrides. Needs common/bits.wgsl and a function `rounded`, which is
// applied to the factors' words.

override TRANSPOSE_A: u32 = 0;
override TRANSPOSE_B: u32 = 0;
override BIAS: u32 = 0;
override RELU: u32 = 0;
override VECTORS_A: u32 = 0;
override VECTORS_B: u32 = 0;

struct Params { m: u32, n: u32, k: u32 }

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> a: array<vec4f>;
@group(0) @binding(2) var<storage, read> b: array<vec4f>;
@group(0) @binding(3) var<storage, read> bias: array<f32>;
@group(0) @binding(4) var<storage, read_write> c: array<f32>;

// Words x to x + 3 of row y of A as stored, [height, width]; zeros beyond its edges.
fn a_words(y: u32, x: u32, height: u32, width: u32) -> vec4f {
    let within = vec4u(x, x + 1, x + 2, x + 3) < vec4u(select(0u, width, y < height));
    let at = select(vec4u(), vec4u(0, 1, 2, 3) + y * width + x, within);
    if VECTORS_A == 1 { return rounded(select(vec4f(), a[at.x / 4], within)); }
    let words = vec4f(a[at.x / 4][at.x % 4], a[at.y / 4][at.y % 4], a[at.z / 4][at.z % 4], a[at.w / 4][at.w % 4]);
    return rounded(select(vec4f(), words, within));
}

// The same of B.
fn b_words(y: u32, x: u32, height: u32, width: u32) -> vec4f {
    let within = vec4u(x, x + 1, x + 2, x + 3) < vec4u(select(0u, width, y < height));
    let at = select(vec4u(), vec4u(0, 1, 2, 3) + y * width + x, within);
    if VECTORS_B == 1 { return rounded(select(vec4f(), b[at.x / 4], within)); }
    let words = vec4f(b[at.x / 4][at.x % 4], b[at.y / 4][at.y % 4], b[at.z / 4][at.z % 4], b[at.w / 4][at.w % 4]);
    return rounded(select(vec4f(), words, within));
}

// The 4 x 4 block of op(A) from row `row` and depth l on: a vector for each row.
fn a_block(row: u32, l: u32) -> mat4x4f {
    if TRANSPOSE_A == 1 {
        return transpose(mat4x4f(a_words(l, row, p.k, p.m), a_words(l + 1, row, p.k, p.m),
                                 a_words(l + 2, row, p.k, p.m), a_words(l + 3, row, p.k, p.m)));
    }
    return mat4x4f(a_words(row, l, p.m, p.k), a_words(row + 1, l, p.m, p.k),
                   a_words(row + 2, l, p.m, p.k), a_words(row + 3, l, p.m, p.k));
}

// The 4 x 4 block of op(B) from depth l and column `column` on: a vector for each depth.
fn b_block(l: u32, column: u32) -> mat4x4f {
    if TRANSPOSE_B == 1 {
        return transpose(mat4x4f(b_words(column, l, p.n, p.k), b_words(column + 1, l, p.n, p.k),
                                 b_words(column + 2, l, p.n, p.k), b_words(column + 3, l, p.n, p.k)));
    }
    return mat4x4f(b_words(l, column, p.k, p.n), b_words(l + 1, column, p.k, p.n),
                   b_words(l + 2, column, p.k, p.n), b_words(l + 3, column, p.k, p.n));
}

// Stores a sum, with bias and activation, as element (row, column) of C; nothing beyond C's edges.
fn store_sum(row: u32, column: u32, sum: f32) {
    if row >= p.m || column >= p.n { return; }
    var value = sum;
    if BIAS == 1 { value += bias[column]; }
    if BIAS == 1 && RELU == 1 { value = relu(value); }
    c[row * p.n + column] = value;
}
