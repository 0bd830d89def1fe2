// matmul, with cooperative matrices: C = act(op(A) op(B) + bias)   docs/method.md, section 1, every layer of the MLP
//
// The same as shaders/matmul.wgsl with HALF = 1, with the same buffers and sizes: factors are halves, sums are floats.
// Needs common/cooperative_N.wgsl: a subgroup multiplies two fragments of SIDE x SIDE halves and adds the product to
// one of floats. Its invocations hold the fragments together.
//
//   A workgroup has a tile of C and walks k in slices of DEPTH, which it stages in workgroup memory as halves.
//   The tile has one strip of rows for each of STRIPS subgroups, HIGH fragments high and WIDE across.
//
// SUBGROUP is the largest size of a subgroup on the device. Where subgroups are smaller there are more of them than
// strips, and the rest only stage words.

override HALF: u32 = 1;
override SUBGROUP: u32 = 32;
override STRIPS: u32 = 4;
override HIGH: u32 = 1; // 1 or 2
override WIDE: u32 = 4; // 1, 2 or 4

const DEPTH: u32 = 32;

fn rounded(words: vec4f) -> vec4f { return words; } // `stage` rounds.

override GROUP: u32 = STRIPS * SUBGROUP;
override HEIGHT: u32 = STRIPS * HIGH * SIDE;
override WIDTH: u32 = WIDE * SIDE;
// Halves from a row of a slice to the next: no power of two, so that rows are in different banks.
const A_ROW: u32 = DEPTH + 8;
override B_ROW: u32 = WIDTH + 8;
override A_SLICE: u32 = HEIGHT * A_ROW;
override B_SLICE: u32 = DEPTH * B_ROW;
override SUMS: u32 = STRIPS * SIDE * SIDE;

var<workgroup> a_slice: array<f16, A_SLICE>; // [HEIGHT, A_ROW]
var<workgroup> b_slice: array<f16, B_SLICE>; // [DEPTH, B_ROW]
var<workgroup> sums: array<f32, SUMS>;       // A fragment of each strip.

// Stages depths l0 to l0 + DEPTH - 1, in blocks of 4 x 4; neighbouring invocations move blocks that are neighbours in
// memory.
fn stage(row0: u32, column0: u32, l0: u32, local: u32) {
    let deep = DEPTH / 4;
    for (var i = local; i < deep * HEIGHT / 4; i += GROUP) {
        let at = select(vec2u(i % deep, i / deep), vec2u(i / (HEIGHT / 4), i % (HEIGHT / 4)), TRANSPOSE_A == 1);
        var block = a_block(row0 + 4 * at.y, l0 + 4 * at.x);
        for (var j = 0u; j < 16; j++) {
            a_slice[(4 * at.y + j / 4) * A_ROW + 4 * at.x + j % 4] = f16(block[j / 4][j % 4]);
        }
    }
    for (var i = local; i < deep * WIDTH / 4; i += GROUP) {
        let at = select(vec2u(i / (WIDTH / 4), i % (WIDTH / 4)), vec2u(i % deep, i / deep), TRANSPOSE_B == 1);
        var block = b_block(l0 + 4 * at.x, column0 + 4 * at.y);
        for (var j = 0u; j < 16; j++) {
            b_slice[(4 * at.x + j / 4) * B_ROW + 4 * at.y + j % 4] = f16(block[j / 4][j % 4]);
        }
    }
}

fn left(row: u32, l: u32) -> Left {
    return coopLoadT<Left>(&a_slice[row * A_ROW + l], A_ROW);
}

fn right(l: u32, column: u32) -> Right {
    return coopLoadT<Right>(&b_slice[l * B_ROW + column], B_ROW);
}

// Writes the fragments of all strips that are `high` down in their strip and `wide` across.
fn store(sum: Sum, high: u32, wide: u32, row0: u32, column0: u32, strip: u32, local: u32) {
    for (var s = strip; s < STRIPS; s += STRIPS) { coopStoreT(sum, &sums[s * SIDE * SIDE], SIDE); }
    workgroupBarrier();
    for (var i = local; i < SUMS; i += GROUP) {
        let row = i / (SIDE * SIDE) * HIGH * SIDE + high * SIDE + i / SIDE % SIDE;
        store_sum(row0 + row, column0 + wide * SIDE + i % SIDE, sums[i]);
    }
    workgroupBarrier();
}

@compute @workgroup_size(GROUP)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) local: u32,
        @builtin(subgroup_id) strip: u32) {
    let row0 = group.y * HEIGHT;
    let column0 = group.x * WIDTH;
    var c00 = Sum(); var c01 = Sum(); var c02 = Sum(); var c03 = Sum();
    var c10 = Sum(); var c11 = Sum(); var c12 = Sum(); var c13 = Sum();
    for (var l0 = 0u; l0 < p.k; l0 += DEPTH) {
        stage(row0, column0, l0, local);
        workgroupBarrier();
        // One iteration for a subgroup with a strip, else none.
        for (var s = strip; s < STRIPS; s += STRIPS) {
            for (var l = 0u; l < DEPTH; l += SIDE) {
                let b0 = right(l, 0u);
                let a0 = left(s * HIGH * SIDE, l);
                c00 = coopMultiplyAdd(a0, b0, c00);
                if HIGH == 2 { c10 = coopMultiplyAdd(left(s * HIGH * SIDE + SIDE, l), b0, c10); }
                if WIDE >= 2 {
                    let b1 = right(l, SIDE);
                    c01 = coopMultiplyAdd(a0, b1, c01);
                    if HIGH == 2 { c11 = coopMultiplyAdd(left(s * HIGH * SIDE + SIDE, l), b1, c11); }
                }
                if WIDE == 4 {
                    let b2 = right(l, 2 * SIDE);
                    let b3 = right(l, 3 * SIDE);
                    c02 = coopMultiplyAdd(a0, b2, c02);
                    c03 = coopMultiplyAdd(a0, b3, c03);
                    if HIGH == 2 {
                        let a1 = left(s * HIGH * SIDE + SIDE, l);
                        c12 = coopMultiplyAdd(a1, b2, c12);
                        c13 = coopMultiplyAdd(a1, b3, c13);
                    }
                }
            }
        }
        workgroupBarrier();
    }
    store(c00, 0u, 0u, row0, column0, strip, local);
    if WIDE >= 2 { store(c01, 0u, 1u, row0, column0, strip, local); }
    if WIDE == 4 { store(c02, 0u, 2u, row0, column0, strip, local); }
    if WIDE == 4 { store(c03, 0u, 3u, row0, column0, strip, local); }
    if HIGH == 2 { store(c10, 1u, 0u, row0, column0, strip, local); }
    if HIGH == 2 && WIDE >= 2 { store(c11, 1u, 1u, row0, column0, strip, local); }
    if HIGH == 2 && WIDE == 4 { store(c12, 1u, 2u, row0, column0, strip, local); }
    if HIGH == 2 && WIDE == 4 { store(c13, 1u, 3u, row0, column0, strip, local); }
}
