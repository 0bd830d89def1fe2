// whole layers: how a workgroup on a software device shares the sums of a layer
//
// SHARED = 0: an invocation sums 16 units, which it owns, over all their terms. It multiplies 64 WIDE times for every
// 16 + 4 WIDE words that it reads, and there are few invocations: on software devices reads and barriers cost the most.
// L-infinity only.
//
// Needs the kernel's memory, its `Fours` and its functions on sums; shaders/pgd_mlp.wgsl explains the sizes.

// The sums of 16 neighbouring units.
struct Sums { s0: Fours, s1: Fours, s2: Fours, s3: Fours }

// The sums as an array, for loops: vector v of units 4 i to 4 i + 3 is [4 * i + v].
fn listed(s: Sums) -> array<mat4x4f, 16> {
    return array(s.s0.a, s.s0.b, s.s0.c, s.s0.d, s.s1.a, s.s1.b, s.s1.c, s.s1.d,
                 s.s2.a, s.s2.b, s.s2.c, s.s2.d, s.s3.a, s.s3.b, s.s3.c, s.s3.d);
}

fn forwards_whole(l: u32, row0: u32, local: u32) {
    let layer = layer_at(l);
    let n = 16 * local;
    var sums = Sums();
    for (var k0 = 0u; k0 < layer.inputs; k0 += WIDTH) {
        if l == 0 { load_points(k0, row0, local); }
        if n < layer.outputs { sums = climb_whole(sums, layer, n, k0); }
    }
    workgroupBarrier(); // All invocations have read the layer below.
    activate(l, layer, n, listed(sums));
}

// Adds to the sums of units n to n + 15 the terms of inputs k0 to k0 + WIDTH - 1, which are in memory.
fn climb_whole(start: Sums, layer: Layer, n: u32, k0: u32) -> Sums {
    var sums = start;
    for (var k = 0u; k < min(WIDTH, layer.inputs - k0); k += 4) {
        let below = fours(k);
        sums.s0 = add_product(sums.s0, below, block(layer, n, k0 + k));
        sums.s1 = add_product(sums.s1, below, block(layer, n + 4, k0 + k));
        sums.s2 = add_product(sums.s2, below, block(layer, n + 8, k0 + k));
        sums.s3 = add_product(sums.s3, below, block(layer, n + 12, k0 + k));
    }
    return sums;
}

// Writes the activations of units n to n + 15 to memory, from their sums.
fn activate(l: u32, layer: Layer, n: u32, sums: array<mat4x4f, 16>) {
    if n >= layer.outputs { return; }
    var all = sums;
    var bits = 0u;
    for (var i = 0u; i < 16 * WIDE; i++) {
        let u = i / WIDE;
        let value = activation(layer, n + u, all[u / 4 * 4 + i % WIDE][u % 4]);
        memory[slot(i % WIDE, n + u)] = value;
        bits |= positive(value) << (4 * (i % 8));
        if i % 8 == 7 {
            passed[i / 8 * MAX_LAYERS + l] = bits;
            bits = 0;
        }
    }
}

fn backwards_whole(l: u32, local: u32) {
    let layer = layer_at(l);
    let sums = descend_whole(layer, 16 * local);
    workgroupBarrier();
    hand_down(l - 1, layer_at(l - 1).relu, layer.inputs, 16 * local, listed(sums));
}

// The gradients of inputs k to k + 15.
fn descend_whole(layer: Layer, k: u32) -> Sums {
    var sums = Sums();
    if k >= layer.inputs { return sums; }
    for (var n = 0u; n < layer.outputs; n += 4) {
        let above = fours(n);
        sums.s0 = add_product(sums.s0, above, transpose(block(layer, n, k)));
        sums.s1 = add_product(sums.s1, above, transpose(block(layer, n, k + 4)));
        sums.s2 = add_product(sums.s2, above, transpose(block(layer, n, k + 8)));
        sums.s3 = add_product(sums.s3, above, transpose(block(layer, n, k + 12)));
    }
    return sums;
}

// Writes the gradients of units k to k + 15 of layer l, of `width` units, to memory.
fn hand_down(l: u32, relu: bool, width: u32, k: u32, gradients: array<mat4x4f, 16>) {
    if k >= width { return; }
    var all = gradients;
    for (var i = 0u; i < 16 * WIDE; i++) {
        let u = i / WIDE;
        let bits = passed[i / 8 * MAX_LAYERS + l] >> (4 * (i % 8));
        let value = passing(bits, relu, all[u / 4 * 4 + i % WIDE][u % 4]);
        memory[slot(i % WIDE, k + u)] = select(vec4f(), value, k + u < width);
    }
}

// The L-infinity step: an invocation has 16 neighbouring inputs of every 16 GROUP.
fn ascend_whole(row0: u32, local: u32) {
    let layer = layer_at(0u);
    for (var k = 16 * local; k < p.inputs; k += 16 * GROUP) {
        var gradient = listed(descend_whole(layer, k));
        for (var e = 0u; e < min(TILE, p.rows - row0); e++) {
            for (var j = 0u; j < min(16u, p.inputs - k); j++) {
                let i = (row0 + e) * p.inputs + k + j;
                let g = gradient[j / 4 * 4 + e / 4][j % 4][e % 4];
                x_adv[i] = step_linf(x_adv[i], x[i], g, p.eps, step_of(row0 + e));
            }
        }
    }
}
