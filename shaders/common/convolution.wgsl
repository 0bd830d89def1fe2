// convolution: sizes and slices that conv2d, conv2d_transpose and conv2d_weight_grad share
//
//   large, small  images [channels, height, width]; conv2d goes from large to small
//   weights       [small_c, large_c, kernel_h, kernel_w]
//
// Element (ky, kx) of the kernel joins pixel (y, x) of the small image to pixel
// (stride y + ky - padding, stride x + kx - padding) of the large one.

struct Params {
    rows: u32,
    large_c: u32, large_h: u32, large_w: u32,
    small_c: u32, small_h: u32, small_w: u32,
    kernel_h: u32, kernel_w: u32,
    stride: u32, padding: u32,
    chunk: u32,
}

@group(0) @binding(0) var<uniform> p: Params;

const TILE: u32 = 32;
const QUADS: u32 = 8; // Vectors of four across a tile.
const DEPTH: u32 = 16;

// At [l][quad]: four rows and four columns of the product, at depth l.
var<workgroup> left_slice: array<array<vec4f, QUADS>, DEPTH>;
var<workgroup> right_slice: array<array<vec4f, QUADS>, DEPTH>;

// `sum`, a 4 x 4 block of the product, plus the slices' part.
fn multiply_slices(sum: mat4x4f, row_quad: u32, column_quad: u32) -> mat4x4f {
    var total = sum;
    for (var l = 0u; l < DEPTH; l++) {
        let left = left_slice[l][row_quad];
        let right = right_slice[l][column_quad];
        total[0] += left[0] * right;
        total[1] += left[1] * right;
        total[2] += left[2] * right;
        total[3] += left[3] * right;
    }
    return total;
}
