// conv2d_transpose: y[r, o, (Y, X)] = act(sum over i, ky, kx of x[r, i, (Y', X')] w[i, o, ky, kx] + bias[o]),
//                   Y = stride Y' + ky - padding, X alike      docs/method.md, section 1, the ConvNet's decoder
//
//   x     [rows, small_c, small_h, small_w]
//   w     [small_c, large_c, kernel_h, kernel_w]
//   bias  [large_c], where BIAS = 1
//   y     [rows, large_c, large_h, large_w]; act is max(., 0) where RELU = 1 (with BIAS = 1 only)
//
// It is also the gradient of conv2d by its input. Pixels whose rows and columns leave the same remainders by the stride
// form a class: they take the same elements of the kernel, every stride-th. Each class is a product as in conv2d,
// without elements that are always 0. Workgroups: in x and y tiles of 32 pixels of a class, folded; in z tiles of 32
// channels of each class. Sums run in order, so a run repeats bit for bit.

override BIAS: u32 = 0;
override RELU: u32 = 0;

@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read> w: array<f32>;
@group(0) @binding(3) var<storage, read> bias: array<f32>;
@group(0) @binding(4) var<storage, read_write> y: array<f32>;

// An output pixel of a class: its example (`rows` for none), and its row and column.
struct Pixel { example: u32, row: u32, column: u32 }

fn find(number: u32, remainder: vec2u, count: vec2u) -> Pixel {
    let pixels = count.x * count.y;
    if number >= p.rows * pixels { return Pixel(p.rows, 0, 0); }
    let at = number % pixels;
    return Pixel(number / pixels, remainder.x + at / count.y * p.stride, remainder.y + at % count.y * p.stride);
}

// The input under element `k` of the kernel, one that the pixel's class takes.
fn load_x(pixel: Pixel, channel: u32, k: vec2u) -> f32 {
    let row = (i32(pixel.row + p.padding) - i32(k.x)) / i32(p.stride);
    let column = (i32(pixel.column + p.padding) - i32(k.y)) / i32(p.stride);
    if pixel.example >= p.rows || pixel.row + p.padding < k.x || pixel.column + p.padding < k.y
        || row >= i32(p.small_h) || column >= i32(p.small_w) { return 0.0; }
    return x[((pixel.example * p.small_c + channel) * p.small_h + u32(row)) * p.small_w + u32(column)];
}

fn load_w(i: u32, o: u32, k: vec2u) -> f32 {
    if o >= p.large_c { return 0.0; }
    return w[((i * p.large_c + o) * p.kernel_h + k.x) * p.kernel_w + k.y];
}

@compute @workgroup_size(8, 8)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u,
        @builtin(local_invocation_id) local: vec3u, @builtin(local_invocation_index) index: u32) {
    let channel_tiles = (p.large_c + TILE - 1) / TILE;
    let channel0 = group.z % channel_tiles * TILE;
    let class_number = group.z / channel_tiles;
    // For rows and columns: the remainder, the number of them that leave it, and the first element of the kernel that
    // they take and the number of these.
    let remainder = vec2u(class_number / p.stride, class_number % p.stride);
    let all = vec2u(p.large_h, p.large_w);
    let count = (max(all, remainder) - remainder + p.stride - 1) / p.stride;
    let least = (remainder + p.padding) % p.stride;
    let taps = (max(vec2u(p.kernel_h, p.kernel_w), least) - least + p.stride - 1) / p.stride;
    let elements = taps.x * taps.y;
    let depth = p.small_c * elements;

    let pixel0 = (group.y * groups.x + group.x) * TILE;
    let loaded = pixel0 + 4 * (index % QUADS);
    let pixel = array<Pixel, 4>(find(loaded, remainder, count), find(loaded + 1, remainder, count),
        find(loaded + 2, remainder, count), find(loaded + 3, remainder, count));
    var sum = mat4x4f();
    for (var l0 = 0u; l0 < depth; l0 += DEPTH) {
        for (var i = index; i < QUADS * DEPTH; i += 64) {
            let l = l0 + i / QUADS;
            let quad = i % QUADS;
            var left = vec4f();
            var right = vec4f();
            if l < depth {
                let c = l / elements;
                let k = least + p.stride * vec2u(l % elements / taps.y, l % taps.y);
                let o = channel0 + 4 * quad;
                left = vec4f(load_w(c, o, k), load_w(c, o + 1, k), load_w(c, o + 2, k), load_w(c, o + 3, k));
                right = vec4f(load_x(pixel[0], c, k), load_x(pixel[1], c, k),
                    load_x(pixel[2], c, k), load_x(pixel[3], c, k));
            }
            left_slice[i / QUADS][quad] = left;
            right_slice[i / QUADS][quad] = right;
        }
        workgroupBarrier();
        sum = multiply_slices(sum, local.y, local.x);
        workgroupBarrier();
    }
    for (var j = 0u; j < 4; j++) {
        let to = find(pixel0 + 4 * local.x + j, remainder, count);
        for (var i = 0u; i < 4; i++) {
            let channel = channel0 + 4 * local.y + i;
            if channel < p.large_c && to.example < p.rows {
                var value = sum[i][j];
                if BIAS == 1 { value += bias[channel]; }
                if BIAS == 1 && RELU == 1 { value = relu(value); }
                y[((to.example * p.large_c + channel) * p.large_h + to.row) * p.large_w + to.column] = value;
            }
        }
    }
}
