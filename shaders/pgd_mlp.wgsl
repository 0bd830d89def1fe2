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
//
// One workgroup takes TILE = 4 examples through all turns and waits for no other; x' and weights
// are all that it reads from outside. A unit's values for the four examples are one vector, so that
// four units are a matrix M and a 4 x 4 block W of weights advances four sums at once: M W forwards,
// M W^T backwards. The vectors of a whole layer lie in `h`, where gradients take the activations'
// place; of an activation only a bit remains, whether it was positive, with the invocation that owns
// its unit. The 256 invocations are 64 teams, each of which sums four units, as SPLITS = 4 parts of
// the sum; then invocation i owns units i, 256 + i, ... and adds up their parts. Forwards the parts
// of a team lie side by side, backwards the teams: either way neighbours read neighbouring weights.
//
// Layers may have up to WIDTH units and 256 * 4 * PASSES inputs.

override NORM: u32 = 0;
override GOAL: u32 = 0;
override ALIGNED: u32 = 0; // Every row of every W starts at a multiple of four words.
override HALF: u32 = 0;
override START: u32 = 0;

const TILE: u32 = 4;    // Examples; the components of a vector.
const GROUP: u32 = 256; // Invocations, and units that one pass over a layer computes.
const SPLITS: u32 = 4;
const TEAMS: u32 = 64;
const WIDTH: u32 = 512;
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

// The units of the current layer, unit u at slot(u); 0 beyond its width.
var<workgroup> h: array<vec4f, WIDTH>;
// Parts of sums: of two units of a team at a time.
var<workgroup> parts: array<vec4f, 2 * GROUP>;

// For each layer, four bits a pass: in which examples the own unit's activation was positive.
var<private> passed: array<u32, MAX_LAYERS>;
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

// ---- Layers and their weights

struct Layer { inputs: u32, outputs: u32, weight: u32, bias: u32, relu: bool, of_probe: bool }

fn layer_at(l: u32) -> Layer {
    let entry = p.layer[l];
    var inputs = p.inputs;
    if l > 0 { inputs = p.layer[l - 1].x; }
    return Layer(inputs, entry.x, entry.y, entry.z, entry.w == 1, GOAL == 2 && l == p.layers - 1);
}

fn word(layer: Layer, i: u32) -> f32 {
    return words(layer, i / 4)[i % 4];
}

// Words 4 at to 4 at + 3 of a layer's arena.
fn words(layer: Layer, at: u32) -> vec4f {
    if layer.of_probe { return probe[at]; }
    if HALF == 0 { return bitcast<vec4f>(weights[at]); }
    let eight = weights[at / 2];
    let two = select(eight.xy, eight.zw, at % 2 == 1);
    let halves = vec4u(two.x, two.x >> 16, two.y, two.y >> 16);
    // Exponent and digits in a float's place; the bias of the exponent is then 112 too small.
    let magnitude = bitcast<vec4f>((halves & vec4u(0x7fff)) << vec4u(13)) * 0x1p+112;
    return select(magnitude, -magnitude, (halves & vec4u(0x8000)) != vec4u());
}

// Columns k to k + 3 of rows n to n + 3 of W, each row a column of the result; 0 outside of W.
fn block(layer: Layer, n: u32, k: u32) -> mat4x4f {
    return mat4x4f(row(layer, n, k), row(layer, n + 1, k), row(layer, n + 2, k), row(layer, n + 3, k));
}

fn row(layer: Layer, n: u32, k: u32) -> vec4f {
    if ALIGNED == 1 {
        let at = (layer.weight + min(n, layer.outputs - 1) * layer.inputs + k) / 4;
        return select(vec4f(), words(layer, at), n < layer.outputs);
    }
    let left = vec2f(element(layer, n, k), element(layer, n, k + 1));
    return vec4f(left, element(layer, n, k + 2), element(layer, n, k + 3));
}

fn element(layer: Layer, n: u32, k: u32) -> f32 {
    if n >= layer.outputs || k >= layer.inputs { return 0.0; }
    return word(layer, layer.weight + n * layer.inputs + k);
}

// ---- Units in workgroup memory

// Neighbouring fours of units lie side by side, for invocations that read them at one time.
fn slot(unit: u32) -> u32 {
    return unit % 4 * (WIDTH / 4) + unit / 4;
}

// Units u to u + 3, u a multiple of 4.
fn four(u: u32) -> mat4x4f {
    let at = u / 4;
    return mat4x4f(h[at], h[at + WIDTH / 4], h[at + WIDTH / 2], h[at + 3 * WIDTH / 4]);
}

// The sum of the SPLITS parts of unit first + local, from `sum`: part `split` of units
// first + 4 team to first + 4 team + 3.
fn total(sum: mat4x4f, team: u32, split: u32, local: u32) -> vec4f {
    var own = vec4f();
    for (var pair = 0u; pair < 2; pair++) {
        parts[split * TEAMS + team] = sum[2 * pair];
        parts[GROUP + split * TEAMS + team] = sum[2 * pair + 1];
        workgroupBarrier();
        if local / 2 % 2 == pair {
            let at = local % 2 * GROUP + local / 4;
            own = (parts[at] + parts[at + TEAMS]) + (parts[at + 2 * TEAMS] + parts[at + 3 * TEAMS]);
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
    // The results wait until every invocation has read the layer below.
    var own: array<vec4f, WIDTH / GROUP>;
    for (var first = 0u; first < layer.outputs; first += GROUP) {
        let n = first + 4 * team;
        var sum = mat4x4f();
        for (var k0 = 0u; k0 < layer.inputs; k0 += WIDTH) {
            if l == 0 { load_points(k0, row0, local); }
            let count = min(WIDTH, layer.inputs - k0);
            if n < layer.outputs {
                for (var k = 4 * split; k < count; k += 4 * SPLITS) {
                    sum += four(k) * block(layer, n, k0 + k);
                }
            }
        }
        own[first / GROUP] = total(sum, team, split, local);
    }
    var bits = 0u;
    for (var unit = local; unit < WIDTH; unit += GROUP) {
        if unit < layer.outputs {
            var value = own[unit / GROUP] + word(layer, layer.bias + unit);
            // Not `max`, which may turn a NaN into 0.
            if layer.relu { value = select(value, vec4f(), value < vec4f()); }
            h[slot(unit)] = value;
            bits |= dot(vec4u(value > vec4f()), vec4u(1, 2, 4, 8)) << (4 * (unit / GROUP));
        } else {
            h[slot(unit)] = vec4f();
        }
    }
    passed[l] = bits;
    workgroupBarrier();
}

// Inputs k0 to k0 + WIDTH - 1 of x' into h.
fn load_points(k0: u32, row0: u32, local: u32) {
    workgroupBarrier(); // The part before may still be read.
    for (var i = local; i < WIDTH; i += GROUP) {
        var point = vec4f();
        if k0 + i < p.inputs {
            let at = rows_from(row0) * p.inputs + k0 + i;
            point = vec4f(x_adv[at.x], x_adv[at.y], x_adv[at.z], x_adv[at.w]);
        }
        h[slot(i)] = point;
    }
    workgroupBarrier();
}

// The tile's rows. Where the last tile has fewer, the last row once more: computed, never stored.
fn rows_from(row0: u32) -> vec4u {
    return min(row0 + vec4u(0, 1, 2, 3), vec4u(p.rows - 1));
}

// ---- Goals

fn reference_at(row: vec4u, width: u32, column: u32) -> vec4f {
    let at = row * width + column;
    return bitcast<vec4f>(vec4u(reference[at.x], reference[at.y], reference[at.z], reference[at.w]));
}

fn divergence_gradient(row0: u32, local: u32) {
    let width = p.layer[p.layers - 1].x;
    let latents = width / 2;
    let row = rows_from(row0);
    for (var j = local; j < latents; j += GROUP) {
        let mu_a = reference_at(row, width, j);
        let l_a = reference_at(row, width, latents + j);
        let mu_b = h[slot(j)];
        let l_b = h[slot(latents + j)];
        var d_mu = 2.0 * (mu_b - mu_a);
        var d_l = vec4f();
        for (var e = 0u; e < TILE; e++) {
            if GOAL == 0 {
                let s = deviations(l_a[e], l_b[e]);
                d_l[e] = -s.difference * s.b;
            } else {
                let d = entropic(p.gamma, mu_a[e], l_a[e], mu_b[e], l_b[e]);
                d_mu[e] = d.d_mu_b;
                d_l[e] = d.d_l_b;
            }
        }
        h[slot(j)] = d_mu;
        h[slot(latents + j)] = d_l;
    }
    workgroupBarrier();
}

// One invocation an example.
fn classify(row0: u32, local: u32) {
    if local < TILE && row0 + local < p.rows {
        let label = reference[row0 + local];
        let own = h[slot(label)][local];
        for (var c = 0u; c < p.layer[p.layers - 1].x; c++) {
            let value = h[slot(c)][local];
            if is_nan(value) || value > own || (value == own && c < label) { wrong[row0 + local] = 1; }
        }
    }
}

// softmax(h)[c] - (1 where c is the label), in the steps of softmax_cross_entropy. Every invocation
// sums over all classes, which are few, and keeps the derivatives of its own.
fn cross_entropy_gradient(row0: u32, local: u32) {
    let classes = p.layer[p.layers - 1].x;
    let row = rows_from(row0);
    let label = vec4u(reference[row.x], reference[row.y], reference[row.z], reference[row.w]);
    // A NaN is never the larger, but reaches `rest`; as the first logit it stays the maximum.
    var top = vec4u();
    var m = h[slot(0u)];
    for (var c = 1u; c < classes; c++) {
        let larger = h[slot(c)] > m;
        m = select(m, h[slot(c)], larger);
        top = select(top, vec4u(c), larger);
    }
    var rest = vec4f();
    var rest_but_label = vec4f();
    for (var c = 0u; c < classes; c++) {
        let e = select(exp(h[slot(c)] - m), vec4f(), top == vec4u(c));
        rest += e;
        rest_but_label += select(e, vec4f(), label == vec4u(c));
    }
    // Minus the sum of the others, so that nothing cancels for a sure classifier.
    let others = rest_but_label + select(vec4f(1.0), vec4f(), label == top);
    var own: array<vec4f, WIDTH / GROUP>;
    for (var c = local; c < classes; c += GROUP) {
        let e = select(exp(h[slot(c)] - m), vec4f(1.0), top == vec4u(c));
        own[c / GROUP] = select(e, -others, label == vec4u(c)) / (1.0 + rest);
    }
    workgroupBarrier();
    for (var c = local; c < classes; c += GROUP) { h[slot(c)] = own[c / GROUP]; }
    workgroupBarrier();
}

// ---- Backwards

// From the gradient of layer l's output, in h, to that of its input.
fn backwards(l: u32, local: u32) {
    let layer = layer_at(l);
    let team = local % TEAMS;
    let split = local / TEAMS;
    var own: array<vec4f, WIDTH / GROUP>;
    for (var first = 0u; first < layer.inputs; first += GROUP) {
        let sum = descend(layer, first + 4 * team, split, SPLITS);
        own[first / GROUP] = total(sum, team, split, local);
    }
    let below = layer_at(l - 1);
    for (var unit = local; unit < WIDTH; unit += GROUP) {
        var gradient = vec4f();
        if unit < layer.inputs {
            let bits = vec4u(passed[l - 1] >> (4 * (unit / GROUP))) & vec4u(1, 2, 4, 8);
            gradient = select(own[unit / GROUP], vec4f(), vec4<bool>(below.relu) & (bits == vec4u()));
        }
        h[slot(unit)] = gradient;
    }
    workgroupBarrier();
}

// Part `split` of `splits` of the gradient of inputs k to k + 3.
fn descend(layer: Layer, k: u32, split: u32, splits: u32) -> mat4x4f {
    var sum = mat4x4f();
    if k < layer.inputs {
        for (var n = 4 * split; n < layer.outputs; n += 4 * splits) {
            sum += four(n) * transpose(block(layer, n, k));
        }
    }
    return sum;
}

// ---- The step. An invocation has four neighbouring inputs of every 4 * GROUP.

fn ascend_linf(row0: u32, local: u32) {
    let layer = layer_at(0u);
    for (var k = 4 * local; k < p.inputs; k += 4 * GROUP) {
        let gradient = descend(layer, k, 0u, 1u);
        for (var j = 0u; j < 4; j++) {
            for (var e = 0u; e < TILE; e++) {
                let i = (row0 + e) * p.inputs + k + j;
                if k + j < p.inputs && row0 + e < p.rows {
                    x_adv[i] = step_linf(x_adv[i], x[i], gradient[j][e], p.eps, p.step);
                }
            }
        }
    }
}

fn ascend_l2(row0: u32, local: u32) {
    let layer = layer_at(0u);
    let examples = min(TILE, p.rows - row0);
    var size = vec4f();
    for (var k = 4 * local; k < p.inputs; k += 4 * GROUP) {
        let gradient = descend(layer, k, 0u, 1u);
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
    workgroupBarrier(); // `parts` may still be read by a call before this one.
    parts[local] = value;
    workgroupBarrier();
    for (var half = GROUP / 2; half > 0; half /= 2) {
        if local < half { parts[local] += parts[local + half]; }
        workgroupBarrier();
    }
    return parts[0];
}
