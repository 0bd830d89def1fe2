// matmul: C = act(op(A) op(B) + bias)                    docs/method.md, section 1, every layer of the MLP
//
//   A     [m, k], or [k, m] where TRANSPOSE_A = 1
//   B     [k, n], or [n, k] where TRANSPOSE_B = 1 (a layer's weights, [out, in])
//   bias  [n], where BIAS = 1
//   C     [m, n]; act is max(., 0) where RELU = 1 (with BIAS = 1 only), else the identity
//
// Everything is done in blocks of 4 x 4 words, on three levels:
//   a workgroup has a tile of C and walks k in slices of DEPTH, which it stages in workgroup memory;
//   an invocation has HIGH x WIDE blocks of the tile in registers: it multiplies 16 HIGH WIDE times for every
//   4 (HIGH + WIDE) words that it reads of a slice;
//   where C is small, SPLIT invocations share a block (HIGH = WIDE = 1 then): each takes every SPLITth block of
//   a slice's depth, and their sums are added at the end.
// A tile has ROWS x COLUMNS invocations, times SPLIT. These sizes are chosen for the device and the problem
// (`ops::matmul` lists them). The order of a sum's terms depends on them alone, so a run repeats bit for bit.
//
// A and B are bound as vectors. Where the stored rows are whole vectors (VECTORS_A, VECTORS_B = 1) they are read as
// vectors, else word by word.

override HIGH: u32 = 1; // 1, 2 or 4
override WIDE: u32 = 1; // 1 or 2
override ROWS: u32 = 8;
override COLUMNS: u32 = 8;
override SPLIT: u32 = 1;
override DEPTH: u32 = 16;
override PAD: u32 = 1; // 0 or 1
override HALF: u32 = 0;

// Where HALF = 1, factors are the halves nearest to the words.
fn rounded(words: vec4f) -> vec4f {
    if HALF == 0 { return words; }
    return nearest_halves(words);
}

// Blocks across a slice of op(A) and of op(B), vectors from the blocks at one depth to those at the next, and vectors
// of a slice.
override A_BLOCKS: u32 = HIGH * ROWS;
override B_BLOCKS: u32 = WIDE * COLUMNS;
override A_DEEPER: u32 = 4 * A_BLOCKS + PAD;
override B_DEEPER: u32 = 4 * B_BLOCKS + PAD;
override A_SLICE: u32 = DEPTH / 4 * A_DEEPER;
override B_SLICE: u32 = DEPTH / 4 * B_DEEPER;

// Vector i of block t across and block q deep is at q * DEEPER + i * BLOCKS + t. Of A it is row i of the block, of B
// the columns at depth i. With PAD = 1 neighbours in depth are in different banks.
var<workgroup> a_slice: array<vec4f, A_SLICE>;
var<workgroup> b_slice: array<vec4f, B_SLICE>;

// Stages depths l0 to l0 + DEPTH - 1. Every invocation moves whole blocks; neighbouring invocations move blocks that
// are neighbours in memory.
fn stage(row0: u32, column0: u32, l0: u32, index: u32) {
    let deep = DEPTH / 4; // Blocks along k.
    for (var i = index; i < deep * A_BLOCKS; i += ROWS * COLUMNS * SPLIT) {
        let at = select(vec2u(i % deep, i / deep), vec2u(i / A_BLOCKS, i % A_BLOCKS), TRANSPOSE_A == 1);
        let block = a_block(row0 + 4 * at.y, l0 + 4 * at.x);
        let to = at.x * A_DEEPER + at.y;
        a_slice[to] = block[0];
        a_slice[to + A_BLOCKS] = block[1];
        a_slice[to + 2 * A_BLOCKS] = block[2];
        a_slice[to + 3 * A_BLOCKS] = block[3];
    }
    for (var i = index; i < deep * B_BLOCKS; i += ROWS * COLUMNS * SPLIT) {
        let at = select(vec2u(i / B_BLOCKS, i % B_BLOCKS), vec2u(i % deep, i / deep), TRANSPOSE_B == 1);
        let block = b_block(l0 + 4 * at.x, column0 + 4 * at.y);
        let to = at.x * B_DEEPER + at.y;
        b_slice[to] = block[0];
        b_slice[to + B_BLOCKS] = block[1];
        b_slice[to + 2 * B_BLOCKS] = block[2];
        b_slice[to + 3 * B_BLOCKS] = block[3];
    }
}

// Block t across and block q deep of the slices.
fn staged_a(q: u32, t: u32) -> mat4x4f {
    let at = q * A_DEEPER + t;
    return mat4x4f(a_slice[at], a_slice[at + A_BLOCKS], a_slice[at + 2 * A_BLOCKS], a_slice[at + 3 * A_BLOCKS]);
}

fn staged_b(q: u32, t: u32) -> mat4x4f {
    let at = q * B_DEEPER + t;
    return mat4x4f(b_slice[at], b_slice[at + B_BLOCKS], b_slice[at + 2 * B_BLOCKS], b_slice[at + 3 * B_BLOCKS]);
}

// A row of a block of C, plus a row of A's block times B's block, depth by depth.
fn add_row(sum: vec4f, left: vec4f, right: mat4x4f) -> vec4f {
    return sum + left.x * right[0] + left.y * right[1] + left.z * right[2] + left.w * right[3];
}

fn add_product(sum: mat4x4f, left: mat4x4f, right: mat4x4f) -> mat4x4f {
    return mat4x4f(add_row(sum[0], left[0], right), add_row(sum[1], left[1], right),
                   add_row(sum[2], left[2], right), add_row(sum[3], left[3], right));
}

// Writes the block at (row, column) of C.
fn store(row: u32, column: u32, sum: mat4x4f) {
    var block = sum;
    for (var i = 0u; i < 4; i++) {
        for (var j = 0u; j < 4; j++) { store_sum(row + i, column + j, block[i][j]); }
    }
}

@compute @workgroup_size(COLUMNS, ROWS, SPLIT)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_id) local: vec3u,
        @builtin(local_invocation_index) index: u32) {
    let row0 = group.y * 4 * A_BLOCKS;
    let column0 = group.x * 4 * B_BLOCKS;
    // The invocation's blocks, ROWS blocks apart downwards and COLUMNS across. Each is a named variable, since
    // compilers may not keep arrays in registers.
    var c00 = mat4x4f(); var c01 = mat4x4f();
    var c10 = mat4x4f(); var c11 = mat4x4f();
    var c20 = mat4x4f(); var c21 = mat4x4f();
    var c30 = mat4x4f(); var c31 = mat4x4f();
    for (var l0 = 0u; l0 < p.k; l0 += DEPTH) {
        stage(row0, column0, l0, index);
        workgroupBarrier();
        let deep = min(DEPTH, p.k - l0 + 3) / 4; // Blocks of the slice that begin before k.
        for (var q = local.z; q < deep; q += SPLIT) {
            let b0 = staged_b(q, local.x);
            var b1 = mat4x4f();
            if WIDE == 2 { b1 = staged_b(q, COLUMNS + local.x); }
            let a0 = staged_a(q, local.y);
            c00 = add_product(c00, a0, b0);
            if WIDE == 2 { c01 = add_product(c01, a0, b1); }
            if HIGH >= 2 {
                let a1 = staged_a(q, ROWS + local.y);
                c10 = add_product(c10, a1, b0);
                if WIDE == 2 { c11 = add_product(c11, a1, b1); }
            }
            if HIGH == 4 {
                let a2 = staged_a(q, 2 * ROWS + local.y);
                c20 = add_product(c20, a2, b0);
                if WIDE == 2 { c21 = add_product(c21, a2, b1); }
                let a3 = staged_a(q, 3 * ROWS + local.y);
                c30 = add_product(c30, a3, b0);
                if WIDE == 2 { c31 = add_product(c31, a3, b1); }
            }
        }
        workgroupBarrier();
    }
    // Adds the sums of the invocations that share a block, in order, through the memory of A's slice.
    let at = local.y * COLUMNS + local.x;
    let step = ROWS * COLUMNS;
    for (var share = 1u; share < SPLIT; share++) {
        if local.z == share {
            a_slice[at] = c00[0];
            a_slice[at + step] = c00[1];
            a_slice[at + 2 * step] = c00[2];
            a_slice[at + 3 * step] = c00[3];
        }
        workgroupBarrier();
        if local.z == 0 {
            c00 += mat4x4f(a_slice[at], a_slice[at + step], a_slice[at + 2 * step], a_slice[at + 3 * step]);
        }
        workgroupBarrier();
    }
    if local.z > 0 { return; }
    let row = row0 + 4 * local.y;
    let column = column0 + 4 * local.x;
    store(row, column, c00);
    if WIDE == 2 { store(row, column + 4 * COLUMNS, c01); }
    if HIGH >= 2 { store(row + 4 * ROWS, column, c10); }
    if HIGH >= 2 && WIDE == 2 { store(row + 4 * ROWS, column + 4 * COLUMNS, c11); }
    if HIGH == 4 { store(row + 8 * ROWS, column, c20); }
    if HIGH == 4 && WIDE == 2 { store(row + 8 * ROWS, column + 4 * COLUMNS, c21); }
    if HIGH == 4 { store(row + 12 * ROWS, column, c30); }
    if HIGH == 4 && WIDE == 2 { store(row + 12 * ROWS, column + 4 * COLUMNS, c31); }
}
