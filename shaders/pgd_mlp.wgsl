// pgd_mlp: all steps of projected gradient ascent through an MLP             SPEC sections 4 and 5
//
// Where START = 1, x' first becomes x + eps (2 u - 1), clipped to the box, with a uniform draw u for every pixel
// (section 9). One turn, for h_0 = x' and layers l = 0, 1, ... of the network:
//
//   forwards    h_(l+1) = act_l(W_l h_l + b_l), act_l = max(., 0) or nothing
//   goal        the derivative of D by the last h:
//     GOAL 0      D = W2^2(reference, h), eq 12
//     GOAL 1      D = WD_gamma(reference, h), section 3
//     GOAL 2      D = -log softmax(h)[label], whose last layer is the probe's; before, wrong = 1
//                 where the first largest of h is not the label or an h is a NaN
//   backwards   dh_l = W_l^T (dh_(l+1) where act_l passed it)
//   step        x' <- x' + step sign(dh_0) (NORM 0), or x' + step dh_0 / |dh_0| (NORM 1), then back
//               into the ball of radius eps around x and into the box [0, 1]
//
// GOAL 2 goes forwards once more after the last step, since every iterate is classified.
//
//   weights    the arena with every W_l [outputs, inputs] and b_l [outputs]: floats, or, where HALF = 1, halves
//              two to a word as `half` packs them
//   probe      the arena with the probe's, for GOAL 2
//   x          [rows, inputs], the centres of the balls
//   reference  [rows, outputs] floats by their bits, a head of means and log-variances; for GOAL 2
//              labels [rows], each below the number of classes
//   x_adv      [rows, inputs], x', updated
//   wrong      [rows], for GOAL 2, updated
//   clock      the step of the draws, for START = 1
//   points     for matrix units (shaders/cooperative/pgd_mlp.wgsl)
//
// One workgroup takes 4 WIDE examples through all turns and waits for no other; x' and weights are all
// that it reads from outside. A unit's values for four examples are one vector, so that four units are a
// matrix M and a 4 x 4 block W of weights advances four sums at once: M W forwards, M W^T backwards. The
// vectors of a whole layer lie in `memory`, where gradients take the activations' place; of an activation
// only a bit remains, whether it was positive, with the invocation that owns its unit.
//
// There are two ways to share a layer:
//   SPLITS = 4, HIGH = WIDE = 1, 256 invocations: 64 teams, each of which sums four units, as 4 parts of
//     the sum; then invocation i owns units i, 256 + i, ... and adds up their parts. Forwards the parts of
//     a team lie side by side, backwards the teams: either way neighbours read neighbouring weights.
//   SPLITS = 1, HIGH = 4: an invocation sums 16 units, a whole layer in one pass, and owns them. It
//     multiplies 64 WIDE times for every 16 + 4 WIDE words that it reads, and there are few invocations to
//     wait at a barrier. For software devices, where reads and waiting cost the most; L-infinity only.
//
// Layers may have up to WIDTH units and, for L2, 256 * 4 * PASSES inputs.

override NORM: u32 = 0;
override GOAL: u32 = 0;
override ALIGNED: u32 = 0; // Every row of every W starts at a multiple of four words.
override HALF: u32 = 0;
override START: u32 = 0;

override GROUP: u32 = 256; // Invocations.
override SPLITS: u32 = 4;
override HIGH: u32 = 1;    // Fours of units that an invocation sums: 1 or 4.
override WIDE: u32 = 1;    // Vectors of a unit: 1, 2 or 4.
override WIDTH: u32 = 512; // 512 / WIDE at least, 1024 / WIDE at most.

override TILE: u32 = 4 * WIDE;
override TEAMS: u32 = GROUP / SPLITS;
override UNITS: u32 = 4 * HIGH * TEAMS; // Units that one pass over a layer computes.

const PASSES: u32 = 12;
const MAX_LAYERS: u32 = 8;

struct Params {
    rows: u32, inputs: u32, layers: u32, steps: u32,
    eps: f32, step: f32, gamma: f32, padding: u32,
    key: vec4u, // Of the draws: two words.
    layer: array<vec4u, MAX_LAYERS>, // outputs; first words of W and b; 1 for a ReLU
}

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> weights: array<vec4u>;
@group(0) @binding(2) var<storage, read> probe: array<vec4f>;
@group(0) @binding(3) var<storage, read> x: array<f32>;
@group(0) @binding(4) var<storage, read> reference: array<u32>;
@group(0) @binding(5) var<storage, read_write> x_adv: array<f32>;
@group(0) @binding(6) var<storage, read_write> wrong: array<u32>;
@group(0) @binding(7) var<storage, read> clock: array<u32>;
@group(0) @binding(8) var<storage, read_write> points: array<u32>;

// The units of the current layer, vector v of unit u at slot(v, u): 0 beyond the layer's width, as far as it
// is read. From WIDE * WIDTH on, where there are splits, parts of sums.
var<workgroup> memory: array<vec4f, 1024>;

// Four bits a vector: in which examples the own units' activations were positive. Words l, MAX_LAYERS + l, ...
// are layer l's.
var<private> passed: array<u32, 8 * MAX_LAYERS>;
// L2: the gradients of the own inputs, four a pass.
var<private> input_gradient: array<mat4x4f, PASSES>;

@compute @workgroup_size(GROUP)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) local: u32) {
    let row0 = group.x * TILE;
    if START == 1 { start(row0, local); }
    for (var turn = 0u; turn < p.steps + u32(GOAL == 2); turn++) {
        for (var l = 0u; l < p.layers; l++) { forwards(l, row0, local); }
        if GOAL == 2 {
            classify(row0, local);
            if turn == p.steps { break; }
            cross_entropy_gradient(row0, local);
        } else {
            divergence_gradient(row0, local);
        }
        for (var l = p.layers - 1; l > 0; l--) { backwards(l, local); }
        if NORM == 0 { ascend_linf(row0, local); } else { ascend_l2(row0, local); }
        storageBarrier(); // The next turn's loads see x'.
    }
}

// The random points of all rows of the tile; draw 2 b and draw 2 b + 1 are words of block b.
fn start(row0: u32, local: u32) {
    let end = min(row0 + TILE, p.rows) * p.inputs;
    for (var i = row0 * p.inputs + local; i < end; i += GROUP) {
        let bits = threefry(vec2u(i / 2, clock[0]), p.key.xy);
        x_adv[i] = clip(x[i] + p.eps * (2.0 * unit(bits[i % 2]) - 1.0), 0.0, 1.0);
    }
    storageBarrier();
}

// ---- Units in workgroup memory

// Neighbouring fours of units lie side by side, for invocations that read them at one time.
fn slot(v: u32, unit: u32) -> u32 {
    return v * WIDTH + unit % 4 * (WIDTH / 4) + unit / 4;
}

// Vectors v of units u to u + 3, u a multiple of 4.
fn four(v: u32, u: u32) -> mat4x4f {
    let at = v * WIDTH + u / 4;
    return mat4x4f(memory[at], memory[at + WIDTH / 4], memory[at + WIDTH / 2], memory[at + 3 * WIDTH / 4]);
}

// All WIDE vectors of four units. Each has a name, since compilers need not keep in registers what is
// indexed in a loop.
struct Fours { a: mat4x4f, b: mat4x4f, c: mat4x4f, d: mat4x4f }

fn fours(u: u32) -> Fours {
    var units = Fours();
    units.a = four(0u, u);
    if WIDE >= 2 { units.b = four(1u, u); }
    if WIDE == 4 { units.c = four(2u, u); units.d = four(3u, u); }
    return units;
}

fn add_product(sum: Fours, units: Fours, w: mat4x4f) -> Fours {
    var added = sum;
    added.a += units.a * w;
    if WIDE >= 2 { added.b += units.b * w; }
    if WIDE == 4 { added.c += units.c * w; added.d += units.d * w; }
    return added;
}

// The sums of 4 HIGH neighbouring units.
struct Sums { s0: Fours, s1: Fours, s2: Fours, s3: Fours }

// For loops: vector v of units 4 i to 4 i + 3 is [4 * i + v].
fn listed(s: Sums) -> array<mat4x4f, 16> {
    return array(s.s0.a, s.s0.b, s.s0.c, s.s0.d, s.s1.a, s.s1.b, s.s1.c, s.s1.d,
                 s.s2.a, s.s2.b, s.s2.c, s.s2.d, s.s3.a, s.s3.b, s.s3.c, s.s3.d);
}

// With splits: the sum of the SPLITS parts of unit first + local, from `sum`: part `split` of units
// first + 4 team to first + 4 team + 3.
fn total(sum: mat4x4f, team: u32, split: u32, local: u32) -> vec4f {
    var own = vec4f();
    for (var pair = 0u; pair < 2; pair++) {
        memory[WIDTH + split * TEAMS + team] = sum[2 * pair];
        memory[WIDTH + GROUP + split * TEAMS + team] = sum[2 * pair + 1];
        workgroupBarrier();
        if local / 2 % 2 == pair {
            let at = WIDTH + local % 2 * GROUP + local / 4;
            own = (memory[at] + memory[at + TEAMS]) + (memory[at + 2 * TEAMS] + memory[at + 3 * TEAMS]);
        }
        workgroupBarrier();
    }
    return own;
}

// ---- Forwards

fn forwards(l: u32, row0: u32, local: u32) {
    let layer = layer_at(l);
    let team = local / SPLITS;
    let split = local % SPLITS;
    // The results wait until every invocation has read the layer below: `own` with splits, else `sums`.
    var own: array<vec4f, 2>;
    var sums = Sums();
    for (var first = 0u; first < layer.outputs; first += UNITS) {
        let n = first + 4 * HIGH * team;
        sums = Sums();
        for (var k0 = 0u; k0 < layer.inputs; k0 += WIDTH) {
            if l == 0 { load_points(k0, row0, local); }
            if n < layer.outputs { climb(&sums, layer, n, k0, split); }
        }
        if SPLITS > 1 { own[first / UNITS] = total(sums.s0.a, team, split, local); }
    }
    if SPLITS == 1 {
        workgroupBarrier();
        activate(l, layer, 4 * HIGH * local, listed(sums));
    } else {
        var bits = 0u;
        for (var unit = local; unit < WIDTH; unit += GROUP) {
            let value = activation(layer, unit, own[unit / GROUP]);
            memory[slot(0u, unit)] = value;
            bits |= positive(value) << (4 * (unit / GROUP));
        }
        passed[l] = bits;
    }
    workgroupBarrier();
}

// Adds to the sums of units n, n + 1, ... part `split` of what inputs k0 to k0 + WIDTH - 1, in memory, give.
fn climb(sums: ptr<function, Sums>, layer: Layer, n: u32, k0: u32, split: u32) {
    let count = min(WIDTH, layer.inputs - k0);
    for (var k = 4 * split; k < count; k += 4 * SPLITS) {
        let below = fours(k);
        (*sums).s0 = add_product((*sums).s0, below, block(layer, n, k0 + k));
        if HIGH == 4 {
            (*sums).s1 = add_product((*sums).s1, below, block(layer, n + 4, k0 + k));
            (*sums).s2 = add_product((*sums).s2, below, block(layer, n + 8, k0 + k));
            (*sums).s3 = add_product((*sums).s3, below, block(layer, n + 12, k0 + k));
        }
    }
}

fn activation(layer: Layer, unit: u32, sum: vec4f) -> vec4f {
    if unit >= layer.outputs { return vec4f(); }
    let value = sum + word(layer, layer.bias + unit);
    // Not `max`, which may turn a NaN into 0.
    return select(value, vec4f(), vec4<bool>(layer.relu) & (value < vec4f()));
}

fn positive(value: vec4f) -> u32 {
    return dot(vec4u(value > vec4f()), vec4u(1, 2, 4, 8));
}

// Without splits: the activations of units n to n + 15, by their sums.
fn activate(l: u32, layer: Layer, n: u32, sums: array<mat4x4f, 16>) {
    if n >= layer.outputs { return; }
    var all = sums;
    var bits = 0u;
    for (var i = 0u; i < 4 * HIGH * WIDE; i++) {
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

// Inputs k0 to k0 + WIDTH - 1 of x' into memory.
fn load_points(k0: u32, row0: u32, local: u32) {
    workgroupBarrier(); // The part before may still be read.
    for (var i = local; i < WIDE * WIDTH; i += GROUP) {
        let k = i % WIDTH;
        var point = vec4f();
        if k0 + k < p.inputs {
            let at = rows_from(row0 + i / WIDTH * 4) * p.inputs + k0 + k;
            point = vec4f(x_adv[at.x], x_adv[at.y], x_adv[at.z], x_adv[at.w]);
        }
        memory[slot(i / WIDTH, k)] = point;
    }
    workgroupBarrier();
}

// Four of the tile's rows. Where the last tile has fewer, the last row once more: computed, never stored.
fn rows_from(row: u32) -> vec4u {
    return min(row + vec4u(0, 1, 2, 3), vec4u(p.rows - 1));
}

// ---- Goals

fn reference_at(row: vec4u, width: u32, column: u32) -> vec4f {
    let at = row * width + column;
    return bitcast<vec4f>(vec4u(reference[at.x], reference[at.y], reference[at.z], reference[at.w]));
}

fn divergence_gradient(row0: u32, local: u32) {
    let width = p.layer[p.layers - 1].x;
    let latents = width / 2;
    for (var i = local; i < WIDE * latents; i += GROUP) {
        let v = i / latents;
        let j = i % latents;
        let row = rows_from(row0 + 4 * v);
        let mu_a = reference_at(row, width, j);
        let l_a = reference_at(row, width, latents + j);
        let mu_b = memory[slot(v, j)];
        let l_b = memory[slot(v, latents + j)];
        var d_mu = 2.0 * (mu_b - mu_a);
        var d_l = vec4f();
        for (var e = 0u; e < 4; e++) {
            if GOAL == 0 {
                let s = deviations(l_a[e], l_b[e]);
                d_l[e] = -s.difference * s.b;
            } else {
                let d = entropic(p.gamma, mu_a[e], l_a[e], mu_b[e], l_b[e]);
                d_mu[e] = d.d_mu_b;
                d_l[e] = d.d_l_b;
            }
        }
        memory[slot(v, j)] = d_mu;
        memory[slot(v, latents + j)] = d_l;
    }
    workgroupBarrier();
}

// One invocation an example.
fn classify(row0: u32, local: u32) {
    if local < TILE && row0 + local < p.rows {
        let label = reference[row0 + local];
        let own = memory[slot(local / 4, label)][local % 4];
        for (var c = 0u; c < p.layer[p.layers - 1].x; c++) {
            let value = memory[slot(local / 4, c)][local % 4];
            if is_nan(value) || value > own || (value == own && c < label) { wrong[row0 + local] = 1; }
        }
    }
}

// softmax(h)[c] - (1 where c is the label), in the steps of softmax_cross_entropy. Every invocation
// sums over all classes, which are few, and then has the derivatives of its own.
fn cross_entropy_gradient(row0: u32, local: u32) {
    let classes = p.layer[p.layers - 1].x;
    for (var v = 0u; v < WIDE; v++) {
        let row = rows_from(row0 + 4 * v);
        let label = vec4u(reference[row.x], reference[row.y], reference[row.z], reference[row.w]);
        // A NaN is never the larger, but reaches `rest`; as the first logit it stays the maximum.
        var top = vec4u();
        var m = memory[slot(v, 0u)];
        for (var c = 1u; c < classes; c++) {
            let h = memory[slot(v, c)];
            let larger = h > m;
            m = select(m, h, larger);
            top = select(top, vec4u(c), larger);
        }
        var rest = vec4f();
        var rest_but_label = vec4f();
        for (var c = 0u; c < classes; c++) {
            let e = select(exp(memory[slot(v, c)] - m), vec4f(), top == vec4u(c));
            rest += e;
            rest_but_label += select(e, vec4f(), label == vec4u(c));
        }
        // Minus the sum of the others, so that nothing cancels for a sure classifier.
        let others = rest_but_label + select(vec4f(1.0), vec4f(), label == top);
        workgroupBarrier();
        for (var c = local; c < classes; c += GROUP) {
            let e = select(exp(memory[slot(v, c)] - m), vec4f(1.0), top == vec4u(c));
            memory[slot(v, c)] = select(e, -others, label == vec4u(c)) / (1.0 + rest);
        }
    }
    workgroupBarrier();
}

// ---- Backwards

// From the gradient of layer l's output, in memory, to that of its input.
fn backwards(l: u32, local: u32) {
    let layer = layer_at(l);
    let team = local % TEAMS;
    let split = local / TEAMS;
    var own: array<vec4f, 2>;
    var sums = Sums();
    for (var first = 0u; first < layer.inputs; first += UNITS) {
        sums = descend(layer, first + 4 * HIGH * team, split, SPLITS);
        if SPLITS > 1 { own[first / UNITS] = total(sums.s0.a, team, split, local); }
    }
    let relu = layer_at(l - 1).relu;
    if SPLITS == 1 {
        workgroupBarrier();
        hand_down(l - 1, relu, layer.inputs, 4 * HIGH * local, listed(sums));
    } else {
        for (var unit = local; unit < WIDTH; unit += GROUP) {
            let value = passing(passed[l - 1] >> (4 * (unit / GROUP)), relu, own[unit / GROUP]);
            memory[slot(0u, unit)] = select(vec4f(), value, unit < layer.inputs);
        }
    }
    workgroupBarrier();
}

// Part `split` of `splits` of the gradient of inputs k, k + 1, ...
fn descend(layer: Layer, k: u32, split: u32, splits: u32) -> Sums {
    var sums = Sums();
    if k < layer.inputs {
        for (var n = 4 * split; n < layer.outputs; n += 4 * splits) {
            let above = fours(n);
            sums.s0 = add_product(sums.s0, above, transpose(block(layer, n, k)));
            if HIGH == 4 {
                sums.s1 = add_product(sums.s1, above, transpose(block(layer, n, k + 4)));
                sums.s2 = add_product(sums.s2, above, transpose(block(layer, n, k + 8)));
                sums.s3 = add_product(sums.s3, above, transpose(block(layer, n, k + 12)));
            }
        }
    }
    return sums;
}

// A gradient where the activation was positive, by its bits, or where there is no ReLU; else 0.
fn passing(bits: u32, relu: bool, gradient: vec4f) -> vec4f {
    return select(gradient, vec4f(), vec4<bool>(relu) & ((vec4u(bits) & vec4u(1, 2, 4, 8)) == vec4u()));
}

// Without splits: the gradients of units k to k + 15 of layer l, of `width` units.
fn hand_down(l: u32, relu: bool, width: u32, k: u32, gradients: array<mat4x4f, 16>) {
    if k >= width { return; }
    var all = gradients;
    for (var i = 0u; i < 4 * HIGH * WIDE; i++) {
        let u = i / WIDE;
        let bits = passed[i / 8 * MAX_LAYERS + l] >> (4 * (i % 8));
        let value = passing(bits, relu, all[u / 4 * 4 + i % WIDE][u % 4]);
        memory[slot(i % WIDE, k + u)] = select(vec4f(), value, k + u < width);
    }
}

// ---- The step. An invocation has 4 HIGH neighbouring inputs of every 4 HIGH GROUP.

fn ascend_linf(row0: u32, local: u32) {
    let layer = layer_at(0u);
    for (var k = 4 * HIGH * local; k < p.inputs; k += 4 * HIGH * GROUP) {
        var gradient = listed(descend(layer, k, 0u, 1u));
        for (var e = 0u; e < min(TILE, p.rows - row0); e++) {
            for (var j = 0u; j < min(4 * HIGH, p.inputs - k); j++) {
                let i = (row0 + e) * p.inputs + k + j;
                let g = gradient[j / 4 * 4 + e / 4][j % 4][e % 4];
                x_adv[i] = step_linf(x_adv[i], x[i], g, p.eps, p.step);
            }
        }
    }
}

fn ascend_l2(row0: u32, local: u32) {
    let layer = layer_at(0u);
    let examples = min(TILE, p.rows - row0);
    var size = vec4f();
    for (var k = 4 * local; k < p.inputs; k += 4 * GROUP) {
        let gradient = descend(layer, k, 0u, 1u).s0.a;
        input_gradient[k / (4 * GROUP)] = gradient;
        for (var j = 0u; j < min(4u, p.inputs - k); j++) { size += abs(gradient[j]); }
    }
    size = sum_of_all(size, local);
    let scale = vec4f(scale_of(size.x), scale_of(size.y), scale_of(size.z), scale_of(size.w));

    var squares = vec4f();
    for (var k = 4 * local; k < p.inputs; k += 4 * GROUP) {
        for (var j = 0u; j < min(4u, p.inputs - k); j++) {
            let g = scale * input_gradient[k / (4 * GROUP)][j];
            squares += g * g;
        }
    }
    let norm = sqrt(sum_of_all(squares, local));

    squares = vec4f();
    for (var k = 4 * local; k < p.inputs; k += 4 * GROUP) {
        for (var j = 0u; j < min(4u, p.inputs - k); j++) {
            let g = scale * input_gradient[k / (4 * GROUP)][j];
            for (var e = 0u; e < examples; e++) {
                let i = (row0 + e) * p.inputs + k + j;
                let moved = x_adv[i] + factor_of(norm[e], p.step) * g[e];
                x_adv[i] = moved;
                squares[e] += (moved - x[i]) * (moved - x[i]);
            }
        }
    }
    let distance = sqrt(sum_of_all(squares, local));
    for (var k = 4 * local; k < p.inputs; k += 4 * GROUP) {
        for (var j = 0u; j < min(4u, p.inputs - k); j++) {
            for (var e = 0u; e < examples; e++) {
                let i = (row0 + e) * p.inputs + k + j;
                x_adv[i] = onto_ball(x_adv[i], x[i], distance[e], p.eps);
            }
        }
    }
}

// The sum of every invocation's value, in a fixed tree order.
fn sum_of_all(value: vec4f, local: u32) -> vec4f {
    workgroupBarrier(); // The memory may still be read.
    memory[local] = value;
    workgroupBarrier();
    for (var half = GROUP / 2; half > 0; half /= 2) {
        if local < half { memory[local] += memory[local + half]; }
        workgroupBarrier();
    }
    return memory[0];
}
