// conv2d: y[r, o, pixel] = act(sum over i, ky, kx of x[r, i, under (ky, kx)] w[o, i, ky, kx] + bias[o])
//                                                        docs/method.md, section 1, the ConvNet's encoder
//
//   x     [rows, large_c, large_h, large_w]
//   w     [small_c, large_c, kernel_h, kernel_w]
//   bias  [small_c], where BIAS = 1
//   y     [rows, small_c, small_h, small_w]; act is max(., 0) where RELU = 1 (with BIAS = 1 only)
//
// Implicit GEMM: the product of the weights [small_c, k] and a matrix [k, rows pixels] that is never stored. Its
// elements are read from x when a slice is loaded. Tiles and slices are as in matmul: a workgroup has 32 channels by 32
// pixels, an invocation a block of 4 x 4. An invocation loads the same four pixels of every slice, so it computes their
// origins once. Sums run in order, so a run repeats bit for bit.

override BIAS: u32 = 0;
override RELU: u32 = 0;

@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read> w: array<f32>;
@group(0) @binding(3) var<storage, read> bias: array<f32>;
@group(0) @binding(4) var<storage, read_write> y: array<f32>;

// Where the taps of an output pixel start: its example's first word in x, and row and column.
struct Origin { base: u32, row: i32, column: i32 }

fn origin(pixel: u32) -> Origin {
    let pixels = p.small_h * p.small_w;
    let example = pixel / pixels;
    // Beyond the last pixel every tap is outside of the image.
    if example >= p.rows { return Origin(0, -0x40000000, 0); }
    let at = pixel % pixels;
    return Origin(
        example * p.large_c * p.large_h * p.large_w,
        i32(at / p.small_w * p.stride) - i32(p.padding),
        i32(at % p.small_w * p.stride) - i32(p.padding));
}

fn load_x(o: Origin, channel: u32, ky: u32, kx: u32) -> f32 {
    let row = o.row + i32(ky);
    let column = o.column + i32(kx);
    if row < 0 || column < 0 || row >= i32(p.large_h) || column >= i32(p.large_w) { return 0.0; }
    return x[o.base + (channel * p.large_h + u32(row)) * p.large_w + u32(column)];
}

fn load_w(channel: u32, l: u32, depth: u32) -> f32 {
    if channel >= p.small_c || l >= depth { return 0.0; }
    return w[channel * depth + l];
}

@compute @workgroup_size(8, 8)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u,
        @builtin(local_invocation_id) local: vec3u, @builtin(local_invocation_index) index: u32) {
    let pixels = p.small_h * p.small_w;
    let elements = p.kernel_h * p.kernel_w;
    let depth = p.large_c * elements;
    let pixel0 = (group.y * groups.x + group.x) * TILE;
    let channel0 = group.z * TILE;
    let loaded = pixel0 + 4 * (index % QUADS);
    let o0 = origin(loaded);
    let o1 = origin(loaded + 1);
    let o2 = origin(loaded + 2);
    let o3 = origin(loaded + 3);
    var sum = mat4x4f();
    for (var l0 = 0u; l0 < depth; l0 += DEPTH) {
        for (var i = index; i < QUADS * DEPTH; i += 64) {
            // Neighbouring invocations load neighbouring weights of a channel, and neighbouring pixels.
            let quad = i / DEPTH;
            let channel = channel0 + 4 * quad;
            let lw = l0 + i % DEPTH;
            left_slice[i % DEPTH][quad] = vec4f(load_w(channel, lw, depth), load_w(channel + 1, lw, depth),
                load_w(channel + 2, lw, depth), load_w(channel + 3, lw, depth));
            let lx = l0 + i / QUADS;
            let c = lx / elements;
            let ky = lx % elements / p.kernel_w;
            let kx = lx % p.kernel_w;
            // Beyond the depth the weights are 0, but so must be the taps: 0 times a NaN is NaN.
            var taps = vec4f();
            if lx < depth {
                taps = vec4f(load_x(o0, c, ky, kx), load_x(o1, c, ky, kx),
                             load_x(o2, c, ky, kx), load_x(o3, c, ky, kx));
            }
            right_slice[i / QUADS][i % QUADS] = taps;
        }
        workgroupBarrier();
        sum = multiply_slices(sum, local.y, local.x);
        workgroupBarrier();
    }
    for (var i = 0u; i < 4; i++) {
        let channel = channel0 + 4 * local.y + i;
        for (var j = 0u; j < 4; j++) {
            let pixel = pixel0 + 4 * local.x + j;
            if channel < p.small_c && pixel < p.rows * pixels {
                var value = sum[i][j];
                if BIAS == 1 { value += bias[channel]; }
                if BIAS == 1 && RELU == 1 { value = relu(value); }
                y[(pixel / pixels * p.small_c + channel) * pixels + pixel % pixels] = value;
            }
        }
    }
}
