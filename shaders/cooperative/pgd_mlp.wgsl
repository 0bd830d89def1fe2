// pgd_mlp, with cooperative matrices: projected gradient ascent through an MLP              docs/method.md, section 4
//
// The same as shaders/pgd_mlp.wgsl with HALF = 1, NORM = 0 and GOAL 0 or 1, with the same formulas and buffers. There
// only the weights are halves; here all factors are, so x' takes other steps where a gradient nearly cancels. Sums are
// floats. Needs common/cooperative_N.wgsl.
//
// One workgroup takes SIDE examples through all iterations. In the products examples are rows and units are columns, in
// fragments of SIDE x SIDE: with H and dH [examples, units] of a layer,
//
//   forwards    H_(l+1) = act_l(H_l W_l^T + b_l)    W_l^T is W_l [outputs, inputs] read by columns
//   backwards   dH_l = dH_(l+1) W_l, where act_(l-1) was positive
//
// Every subgroup sums one fragment at a time over the whole depth, in order. H_0 are the points, which are in `points`
// as halves; only their workgroup touches them. The H of the other layers alternate between the two halves of `units`.
// Of a ReLU one bit an example is kept. Fragments that extend beyond a layer's edge read words beyond W: these are
// multiplied by zeros, or the sums are dropped.
//
// The inputs of every layer are a multiple of 8, so that rows of W are aligned to vectors. The rows are a multiple of
// SIDE, and layers have up to WIDTH units.

override NORM: u32 = 0;
override GOAL: u32 = 0;
override ALIGNED: u32 = 1;
override HALF: u32 = 1;
override START: u32 = 0;
override SUBGROUP: u32 = 32;

const GROUP: u32 = 256; // Invocations.
const WIDTH: u32 = 256;
const MAX_LAYERS: u32 = 8;
// Halves from an example's units to the next one's: no power of two, so that they are in different banks.
const ROW: u32 = WIDTH + 8;
// The scale of gradients, so that small ones do not underflow as halves; only their signs count. Those of a divergence
// with a strong coupling are large without it.
const SCALE: f32 = 64.0;
const LARGEST: f32 = 65504.0;

struct Params {
    rows: u32, inputs: u32, layers: u32, steps: u32,
    eps: f32, step: f32, gamma: f32, fall: f32, // fall: 0 here
    key: vec4u,
    layer: array<vec4u, MAX_LAYERS>, // outputs; first words of W and b; 1 for a ReLU
}

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> weights: array<f16>;
@group(0) @binding(2) var<storage, read> probe: array<vec4f>; // Not used.
@group(0) @binding(3) var<storage, read> x: array<f32>;
@group(0) @binding(4) var<storage, read> reference: array<f32>;
@group(0) @binding(5) var<storage, read_write> x_adv: array<f32>;
@group(0) @binding(6) var<storage, read_write> verdicts: array<u32>; // Not used.
@group(0) @binding(7) var<storage, read> clock: array<u32>;
@group(0) @binding(8) var<storage, read_write> points: array<f16>; // [rows, stride()]

var<workgroup> units: array<f16, 2 * SIDE * ROW>;   // Two of [SIDE, ROW].
var<workgroup> sums: array<f32, 2048>;              // A fragment of each subgroup, [SIDE, SIDE].
// Bit e: whether in example e the ReLU above unit u of layer l passed it, at l * WIDTH + u.
var<workgroup> passed: array<u32, 6 * WIDTH>;

@compute @workgroup_size(GROUP)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) local: u32,
        @builtin(subgroup_id) subgroup: u32, @builtin(num_subgroups) subgroups: u32) {
    let row0 = group.x * SIDE;
    begin(row0, local);
    for (var iteration = 0u; iteration < p.steps; iteration++) {
        for (var l = 0u; l < p.layers; l++) { forwards(l, row0, local, subgroup, subgroups); }
        for (var l = p.layers - 1; l > 0; l--) { backwards(l, local, subgroup, subgroups); }
        ascend(row0, local, subgroup, subgroups);
    }
}

struct Layer { inputs: u32, outputs: u32, weight: u32, bias: u32, relu: bool }

fn layer_at(l: u32) -> Layer {
    let entry = p.layer[l];
    var inputs = p.inputs;
    if l > 0 { inputs = p.layer[l - 1].x; }
    return Layer(inputs, entry.x, entry.y, entry.z, entry.w == 1);
}

// Halves from one row of `points` to the next: whole fragments, the rest zeros.
fn stride() -> u32 {
    return (p.inputs + 15) / 16 * 16;
}

// The start in `units` of the units of layer l, H_(l+1), and of their gradients.
fn place(l: u32) -> u32 {
    return l % 2 * SIDE * ROW;
}

// Writes the points as halves; with START = 1 it draws them first, draws 2 b and 2 b + 1 from the words of block b.
fn begin(row0: u32, local: u32) {
    for (var i = local; i < SIDE * stride(); i += GROUP) {
        let row = row0 + i / stride();
        let k = i % stride();
        var point = 0.0;
        if k < p.inputs {
            let at = row * p.inputs + k;
            point = x_adv[at];
            if START == 1 {
                let bits = threefry(vec2u(at / 2, clock[0]), p.key.xy);
                point = start_linf(x[at], unit(bits[at % 2]), p.eps);
                x_adv[at] = point;
            }
        }
        points[row * stride() + k] = f16(point);
    }
    storageBarrier();
}

// ---- Forwards. In each round every subgroup has a fragment of units; in the last round some repeat the last fragment.

fn forwards(l: u32, row0: u32, local: u32, subgroup: u32, subgroups: u32) {
    let layer = layer_at(l);
    for (var first = 0u; first < layer.outputs; first += subgroups * SIDE) {
        let n = min(first + subgroup * SIDE, layer.outputs - 1) / SIDE * SIDE;
        // Only one of the two loops has iterations.
        var sum = Sum();
        for (var k = 0u; k < select(0, layer.inputs, l == 0); k += SIDE) {
            let below = coopLoadT<Left>(&points[row0 * stride() + k], stride());
            sum = coopMultiplyAdd(below, down(layer, n, k), sum);
        }
        for (var k = 0u; k < select(layer.inputs, 0, l == 0); k += SIDE) {
            let below = coopLoadT<Left>(&units[place(l + 1) + k], ROW);
            sum = coopMultiplyAdd(below, down(layer, n, k), sum);
        }
        coopStoreT(sum, &sums[subgroup * SIDE * SIDE], SIDE);
        workgroupBarrier();
        for (var i = local; i < subgroups * SIDE; i += GROUP) { finish(l, layer, first, i, row0); }
        workgroupBarrier();
    }
}

// A fragment of W^T, units n, n + 1, ... across and inputs k, k + 1, ... down: element (k, n) of it is (n, k) of W.
fn down(layer: Layer, n: u32, k: u32) -> Right {
    return coopLoad<Right>(&weights[layer.weight + n * layer.inputs + k], layer.inputs);
}

// Writes unit first + i of a layer for all examples, from its sums; of the last layer the goal's derivative by it.
fn finish(l: u32, layer: Layer, first: u32, i: u32, row0: u32) {
    let u = first + i;
    if u >= WIDTH { return; }
    var bits = 0u;
    for (var e = 0u; e < SIDE; e++) {
        var value = 0.0;
        if u < layer.outputs {
            value = sums[(i / SIDE * SIDE + e) * SIDE + i % SIDE] + f32(weights[layer.bias + u]);
            if l == p.layers - 1 {
                value = goal_gradient(row0 + e, layer.outputs, u, value);
            } else if layer.relu {
                value = relu(value);
            }
        }
        bits |= select(0u, 1u, value > 0.0 || !layer.relu) << e;
        units[place(l) + e * ROW + u] = to_half(value);
    }
    passed[l * WIDTH + u] = bits;
}

// As a half, clipped to the largest. A NaN stays one.
fn to_half(value: f32) -> f16 {
    return f16(clip(value, -LARGEST, LARGEST));
}

// The goal's derivative by output u, a mean or a log-variance; it depends only on this output and its reference.
fn goal_gradient(row: u32, width: u32, u: u32, value: f32) -> f32 {
    let latents = width / 2;
    let own = reference[row * width + u];
    if GOAL == 0 {
        if u < latents { return SCALE * w2_squared(own, 0.0, value, 0.0).d_mu_b; }
        return SCALE * w2_squared(0.0, own, 0.0, value).d_l_b;
    }
    let scale = SCALE / max(1.0, p.gamma);
    if u < latents { return scale * p.gamma * (value - own); }
    return scale * entropic(p.gamma, 0.0, own, 0.0, value).d_l_b;
}

// ---- Backwards

// From the gradient of layer l's output to that of its input.
fn backwards(l: u32, local: u32, subgroup: u32, subgroups: u32) {
    let layer = layer_at(l);
    for (var first = 0u; first < layer.inputs; first += subgroups * SIDE) {
        let k = min(first + subgroup * SIDE, layer.inputs - 1) / SIDE * SIDE;
        coopStoreT(gradient(l, layer, k), &sums[subgroup * SIDE * SIDE], SIDE);
        workgroupBarrier();
        for (var i = local; i < subgroups * SIDE; i += GROUP) { hand_down(l - 1, layer.inputs, first, i); }
        workgroupBarrier();
    }
}

// The fragment of dH_(l+1) W_l with inputs k, k + 1, ... across.
fn gradient(l: u32, layer: Layer, k: u32) -> Sum {
    var sum = Sum();
    for (var n = 0u; n < layer.outputs; n += SIDE) {
        let above = coopLoadT<Left>(&units[place(l) + n], ROW);
        sum = coopMultiplyAdd(
            above, coopLoadT<Right>(&weights[layer.weight + n * layer.inputs + k], layer.inputs), sum);
    }
    return sum;
}

// Writes the gradient by unit first + i of layer l for all examples, 0 where the ReLU was not positive.
fn hand_down(l: u32, width: u32, first: u32, i: u32) {
    let u = first + i;
    if u >= WIDTH { return; }
    for (var e = 0u; e < SIDE; e++) {
        let held = u >= width || (passed[l * WIDTH + u] >> e & 1) == 0;
        let value = sums[(i / SIDE * SIDE + e) * SIDE + i % SIDE];
        units[place(l) + e * ROW + u] = to_half(select(value, 0.0, held));
    }
}

// ---- The step

fn ascend(row0: u32, local: u32, subgroup: u32, subgroups: u32) {
    let layer = layer_at(0u);
    for (var first = 0u; first < p.inputs; first += subgroups * SIDE) {
        let k = min(first + subgroup * SIDE, p.inputs - 1) / SIDE * SIDE;
        coopStoreT(gradient(0u, layer, k), &sums[subgroup * SIDE * SIDE], SIDE);
        workgroupBarrier();
        for (var i = local; i < subgroups * SIDE * SIDE; i += GROUP) {
            // Neighbouring invocations have neighbouring pixels of one example.
            let row = row0 + i / (subgroups * SIDE);
            let column = i % (subgroups * SIDE);
            let pixel = first + column;
            if pixel < p.inputs {
                let at = row * p.inputs + pixel;
                let sum = sums[(column / SIDE * SIDE + row - row0) * SIDE + column % SIDE];
                let moved = step_linf(x_adv[at], x[at], sum, p.eps, p.step);
                x_adv[at] = moved;
                points[row * stride() + pixel] = f16(moved);
            }
        }
        workgroupBarrier();
    }
    storageBarrier(); // The next iteration's loads see the points.
}
