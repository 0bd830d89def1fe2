// conv2d_weight_grad: d[chunk, o, i, ky, kx] = sum over r, pixel of small[r, o, pixel] large[r, i, under (ky, kx)]
//                                                        the chunk's rows r; the weights of docs/method.md, section 1
//
//   small  [rows, small_c, small_h, small_w]: the gradient of conv2d's output, or the input of conv2d_transpose
//   large  [rows, large_c, large_h, large_w]: the input of conv2d, or the gradient of conv2d_transpose's output
//   d      [chunks, small_c, large_c, kernel_h, kernel_w], which reduce adds up
//
// Implicit GEMM: the product of [small_c, k] and [k, large_c kernel_h kernel_w], where k runs over the pixels of a
// chunk of rows. The elements of both are read from the images. Tiles and slices are as in matmul. Each chunk has its
// own workgroups, in z, so that there are enough. Sums run in order, so a run repeats bit for bit.

@group(0) @binding(1) var<storage, read> small: array<f32>;
@group(0) @binding(2) var<storage, read> large: array<f32>;
@group(0) @binding(3) var<storage, read_write> d: array<f32>;

// A weight: its large channel (`large_c` for none), and its position in the kernel minus the padding.
struct Weight { channel: u32, row: i32, column: i32 }

fn weight(n: u32) -> Weight {
    let elements = p.kernel_h * p.kernel_w;
    let at = n % elements;
    return Weight(min(n / elements, p.large_c),
        i32(at / p.kernel_w) - i32(p.padding), i32(at % p.kernel_w) - i32(p.padding));
}

fn load_large(to: Weight, example: u32, y: u32, x: u32) -> f32 {
    let row = to.row + i32(p.stride * y);
    let column = to.column + i32(p.stride * x);
    if to.channel >= p.large_c || row < 0 || column < 0
        || row >= i32(p.large_h) || column >= i32(p.large_w) { return 0.0; }
    return large[((example * p.large_c + to.channel) * p.large_h + u32(row)) * p.large_w + u32(column)];
}

fn load_small(channel: u32, example: u32, pixel: u32) -> f32 {
    if channel >= p.small_c || example >= p.rows { return 0.0; }
    return small[(example * p.small_c + channel) * p.small_h * p.small_w + pixel];
}

@compute @workgroup_size(8, 8)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_id) local: vec3u,
        @builtin(local_invocation_index) index: u32) {
    let pixels = p.small_h * p.small_w;
    let weights = p.large_c * p.kernel_h * p.kernel_w;
    let first = group.z * p.chunk;
    let depth = min(p.chunk, p.rows - first) * pixels;
    let channel0 = group.y * TILE;
    let weight0 = group.x * TILE;
    let loaded = weight0 + 4 * (index % QUADS);
    let to = array<Weight, 4>(weight(loaded), weight(loaded + 1), weight(loaded + 2), weight(loaded + 3));
    var sum = mat4x4f();
    for (var l0 = 0u; l0 < depth; l0 += DEPTH) {
        for (var i = index; i < QUADS * DEPTH; i += 64) {
            // Neighbouring invocations load neighbouring pixels of a small channel.
            let ls = l0 + i % DEPTH;
            let channel = channel0 + 4 * (i / DEPTH);
            // Beyond the chunk there is no example.
            let row = select(p.rows, first + ls / pixels, ls < depth);
            let at = ls % pixels;
            left_slice[i % DEPTH][i / DEPTH] = vec4f(load_small(channel, row, at), load_small(channel + 1, row, at),
                load_small(channel + 2, row, at), load_small(channel + 3, row, at));
            let l = l0 + i / QUADS;
            var right = vec4f();
            if l < depth {
                let r = first + l / pixels;
                let y = l % pixels / p.small_w;
                let x = l % p.small_w;
                right = vec4f(load_large(to[0], r, y, x), load_large(to[1], r, y, x),
                    load_large(to[2], r, y, x), load_large(to[3], r, y, x));
            }
            right_slice[i / QUADS][i % QUADS] = right;
        }
        workgroupBarrier();
        sum = multiply_slices(sum, local.y, local.x);
        workgroupBarrier();
    }
    for (var i = 0u; i < 4; i++) {
        for (var j = 0u; j < 4; j++) {
            let channel = channel0 + 4 * local.y + i;
            let n = weight0 + 4 * local.x + j;
            if channel < p.small_c && n < weights {
                d[(group.z * p.small_c + channel) * weights + n] = sum[i][j];
            }
        }
    }
}
