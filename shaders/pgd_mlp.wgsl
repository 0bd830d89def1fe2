// pgd_mlp: all steps of projected gradient ascent through an MLP             docs/method.md, sections 4 and 5
//
// Where START = 1, x' first becomes x + eps (2 u - 1), clipped to the box, with a uniform draw u for every pixel
// (section 9). One iteration, for h_0 = x' and layers l = 0, 1, ... of the network:
//
//   forwards    h_(l+1) = act_l(W_l h_l + b_l), act_l = max(., 0) or the identity
//   goal        the derivative of D by the last h:
//     GOAL 0      D = W2^2(reference, h), eq 12
//     GOAL 1      D = WD_gamma(reference, h), section 3
//     GOAL 2      D = -log softmax(h)[label], the last layer being the probe's; first, x' is classified:
//                 right where the first largest of h is the label's and no h is a NaN
//     GOAL 3      D = h[target] - h[label], and x' is classified as for GOAL 2
//   backwards   dh_l = W_l^T (dh_(l+1) where act_l was positive)
//   step        x' <- x' + step sign(dh_0) (NORM 0), or x' + step dh_0 / |dh_0| (NORM 1), then projected
//               onto the ball of radius eps around x and onto the box [0, 1]; the next step is shorter
//               by `fall`
//
// With GOAL 2 and 3 there is one more forward pass after the last step, since every iterate is classified.
//
//   weights    the arena with every W_l [outputs, inputs] and b_l [outputs]: floats, or, where HALF = 1, halves
//              two to a word as `half` packs them
//   probe      the arena with the probe's weights, for GOAL 2 and 3
//   x          [rows, inputs], the centres of the balls
//   reference  [rows, outputs] floats by their bits, a head of means and log-variances; for GOAL 2 and 3
//              [rows, 3]: label, target, bits of the first step's length. A row whose label is no class
//              counts as wrong, and its x' is NaN. A target that is no class, or is the label, stands
//              for the first largest h of the other classes
//   x_adv      [rows, inputs], x', updated
//   verdicts   [rows], for GOAL 2 and 3, updated with each point (common/verdict.wgsl)
//   clock      the step of the draws, for START = 1
//   points     used with cooperative matrices only (shaders/cooperative/pgd_mlp.wgsl)
//
// One workgroup takes 4 WIDE examples through all iterations, without waiting for other workgroups. A unit's values for
// four examples are one vector, four units are a matrix M, and a 4 x 4 block W of weights advances four sums at once: M
// W forwards, M W^T backwards. The vectors of a whole layer are in `memory`, where gradients replace activations. Of an
// activation only one bit is kept, whether it was positive, by the invocation that owns its unit.
//
// A sum is either shared among invocations (common/shared_layers.wgsl), for GPUs, or computed by one
// (common/whole_layers.wgsl), for software devices.
//
// Layers may have up to WIDTH units and, for L2, 4 GROUP PASSES inputs.

override NORM: u32 = 0;
override GOAL: u32 = 0;
override ALIGNED: u32 = 0; // Every row of every W starts at a multiple of four words.
override HALF: u32 = 0;
override START: u32 = 0;

override GROUP: u32 = 256; // Invocations.
override SHARED: u32 = 1;  // 1 where several invocations share a sum, else 0.
override WIDE: u32 = 1;    // Vectors of a unit: 1 or 2; of whole sums 1, 2 or 4.
override WIDTH: u32 = 512; // At most 2 GROUP; of whole sums 16 GROUP.

override TILE: u32 = 4 * WIDE;
override PARTS: u32 = WIDE * WIDTH; // Where the parts of sums start in memory.
override MEMORY: u32 = PARTS + 2 * GROUP * SHARED;

const PASSES: u32 = 12;
const MAX_LAYERS: u32 = 8;

struct Params {
    rows: u32, inputs: u32, layers: u32, steps: u32,
    eps: f32, step: f32, gamma: f32, fall: f32,
    key: vec4u, // The key of the draws: two words.
    layer: array<vec4u, MAX_LAYERS>, // outputs; first words of W and b; 1 for a ReLU
}

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> weights: array<vec4u>;
@group(0) @binding(2) var<storage, read> probe: array<vec4f>;
@group(0) @binding(3) var<storage, read> x: array<f32>;
@group(0) @binding(4) var<storage, read> reference: array<u32>;
@group(0) @binding(5) var<storage, read_write> x_adv: array<f32>;
@group(0) @binding(6) var<storage, read_write> verdicts: array<u32>;
@group(0) @binding(7) var<storage, read> clock: array<u32>;
@group(0) @binding(8) var<storage, read_write> points: array<u32>;

// The units of the current layer, vector v of unit u at slot(v, u), followed by zeros as far as they are read. From
// PARTS on the parts of shared sums.
var<workgroup> memory: array<vec4f, MEMORY>;

// Four bits a vector: in which examples the activations of the own units were positive. Words l, MAX_LAYERS + l, ...
// are those of layer l.
var<private> passed: array<u32, 8 * MAX_LAYERS>;
// Steps made. Loops and barriers go by their own counter, since a private variable does not count as uniform.
var<private> iteration: u32;
// L2: the gradients of the own inputs, four a pass.
var<private> input_gradient: array<mat4x4f, PASSES>;

@compute @workgroup_size(GROUP)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) local: u32) {
    let row0 = group.x * TILE;
    if START == 1 { start(row0, local); }
    for (var i = 0u; i < p.steps + u32(GOAL >= 2); i++) {
        iteration = i;
        for (var l = 0u; l < p.layers; l++) { forwards(l, row0, local); }
        if GOAL >= 2 {
            classify(row0, local);
            if i == p.steps { break; }
            if GOAL == 2 { cross_entropy_gradient(row0, local); } else { margin_gradient(row0, local); }
        } else {
            divergence_gradient(row0, local);
        }
        for (var l = p.layers - 1; l > 0; l--) { backwards(l, local); }
        if NORM == 1 { ascend_l2(row0, local); }
        if NORM == 0 && SHARED == 1 { ascend_shared(row0, local); }
        if NORM == 0 && SHARED == 0 { ascend_whole(row0, local); }
        storageBarrier(); // The next iteration's loads see x'.
    }
}

// Writes the random points of all rows of the tile; draws 2 b and 2 b + 1 are from the words of block b.
fn start(row0: u32, local: u32) {
    let end = min(row0 + TILE, p.rows) * p.inputs;
    for (var i = row0 * p.inputs + local; i < end; i += GROUP) {
        let bits = threefry(vec2u(i / 2, clock[0]), p.key.xy);
        x_adv[i] = start_linf(x[i], unit(bits[i % 2]), p.eps);
    }
    storageBarrier();
}

// ---- Units in workgroup memory

// The units of a four are WIDTH / 4 apart, so that invocations with neighbouring fours read neighbouring words.
fn slot(v: u32, unit: u32) -> u32 {
    return v * WIDTH + unit % 4 * (WIDTH / 4) + unit / 4;
}

// Vectors v of units u to u + 3, u a multiple of 4.
fn four(v: u32, u: u32) -> mat4x4f {
    let at = v * WIDTH + u / 4;
    return mat4x4f(memory[at], memory[at + WIDTH / 4], memory[at + WIDTH / 2], memory[at + 3 * WIDTH / 4]);
}

// All WIDE vectors of four units. Each is a named member, since compilers may not keep arrays in registers.
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
    added.a = add_to_four(sum.a, units.a, w);
    if WIDE >= 2 { added.b = add_to_four(sum.b, units.b, w); }
    if WIDE == 4 {
        added.c = add_to_four(sum.c, units.c, w);
        added.d = add_to_four(sum.d, units.d, w);
    }
    return added;
}

// Term by term, which compiles to fused multiply-adds. A product of matrices that is added at the end takes more
// instructions.
fn add_to_four(sum: mat4x4f, units: mat4x4f, w: mat4x4f) -> mat4x4f {
    return mat4x4f(add_to_one(sum[0], units, w[0]), add_to_one(sum[1], units, w[1]),
                   add_to_one(sum[2], units, w[2]), add_to_one(sum[3], units, w[3]));
}

fn add_to_one(sum: vec4f, units: mat4x4f, w: vec4f) -> vec4f {
    return sum + units[0] * w.x + units[1] * w.y + units[2] * w.z + units[3] * w.w;
}

// ---- Layers

fn forwards(l: u32, row0: u32, local: u32) {
    if SHARED == 1 { forwards_shared(l, row0, local); } else { forwards_whole(l, row0, local); }
    workgroupBarrier();
}

// From the gradient of layer l's output, in memory, to that of its input.
fn backwards(l: u32, local: u32) {
    if SHARED == 1 { backwards_shared(l, local); } else { backwards_whole(l, local); }
    workgroupBarrier();
}

fn activation(layer: Layer, unit: u32, sum: vec4f) -> vec4f {
    if unit >= layer.outputs { return vec4f(); }
    let value = sum + word(layer, layer.bias + unit);
    return select(value, vec4f(), vec4<bool>(layer.relu) & negative(value));
}

fn positive(value: vec4f) -> u32 {
    return dot(vec4u(value > vec4f()), vec4u(1, 2, 4, 8));
}

// The gradient where the activation was positive, by `bits`, or where there is no ReLU; else 0.
fn passing(bits: u32, relu: bool, gradient: vec4f) -> vec4f {
    return select(gradient, vec4f(), vec4<bool>(relu) & ((vec4u(bits) & vec4u(1, 2, 4, 8)) == vec4u()));
}

// Loads inputs k0 to k0 + WIDTH - 1 of x' into memory.
fn load_points(k0: u32, row0: u32, local: u32) {
    workgroupBarrier(); // The inputs before may still be read.
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

// Four of the tile's rows. Where the last tile has fewer, the last row repeats; its results are not stored.
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
        // As in w2_squared, for four examples at once: one by one takes software Vulkan ten times as long to compile.
        var d_mu = 2.0 * (mu_b - mu_a);
        var d_l = vec4f();
        for (var e = 0u; e < 4; e++) {
            if GOAL == 0 {
                d_l[e] = w2_squared(0.0, l_a[e], 0.0, l_b[e]).d_l_b;
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
        let classes = p.layer[p.layers - 1].x;
        let label = reference[3 * (row0 + local)];
        let own = memory[slot(local / 4, min(label, classes - 1))][local % 4];
        var right = label < classes;
        for (var c = 0u; c < classes; c++) {
            let value = memory[slot(local / 4, c)][local % 4];
            right &= !(is_nan(value) || value > own || (value == own && c < label));
        }
        verdicts[row0 + local] = verdict(verdicts[row0 + local], right);
    }
}

// softmax(h)[c] - (1 where c is the label), computed as in softmax_cross_entropy. Every invocation sums over all
// classes, which are few, and then computes the derivatives by its own.
fn cross_entropy_gradient(row0: u32, local: u32) {
    let classes = p.layer[p.layers - 1].x;
    for (var v = 0u; v < WIDE; v++) {
        let row = rows_from(row0 + 4 * v);
        let label = aims_at(row, 0u);
        // A NaN never compares larger, but it makes `rest` NaN.
        let first = memory[slot(v, 0u)];
        var top = vec4u();
        var m = first;
        for (var c = 1u; c < classes; c++) {
            let h = memory[slot(v, c)];
            let larger = (h > m) & !nans(h);
            m = select(m, h, larger);
            top = select(top, vec4u(c), larger);
        }
        var rest = select(vec4f(), first, nans(first));
        var rest_but_label = vec4f();
        for (var c = 0u; c < classes; c++) {
            let e = select(exp(memory[slot(v, c)] - m), vec4f(), top == vec4u(c));
            rest += e;
            rest_but_label += select(e, vec4f(), label == vec4u(c));
        }
        // Minus the sum of the others, which does not cancel where the label's probability is near 1.
        let others = rest_but_label + select(vec4f(1.0), vec4f(), label == top);
        workgroupBarrier();
        for (var c = local; c < classes; c += GROUP) {
            let e = select(exp(memory[slot(v, c)] - m), vec4f(1.0), top == vec4u(c));
            let slope = select(e, -others, label == vec4u(c)) / (1.0 + rest);
            memory[slot(v, c)] = select(slope, vec4f(nan()), label >= vec4u(classes));
        }
    }
    workgroupBarrier();
}

// (1 where c is the target) - (1 where c is the label), as in margin.
fn margin_gradient(row0: u32, local: u32) {
    let classes = p.layer[p.layers - 1].x;
    for (var v = 0u; v < WIDE; v++) {
        let row = rows_from(row0 + 4 * v);
        let label = aims_at(row, 0u);
        let wanted = aims_at(row, 1u);
        // The first largest of the others: it starts at class 0, or at 1 where 0 is the label.
        var best = select(vec4u(), vec4u(1), label == vec4u());
        var m = memory[slot(v, 0u)];
        if classes > 1 { m = select(m, memory[slot(v, 1u)], label == vec4u()); }
        for (var c = 1u; c < classes; c++) {
            let h = memory[slot(v, c)];
            let larger = (h > m) & !nans(h) & !nans(m) & (label != vec4u(c));
            m = select(m, h, larger);
            best = select(best, vec4u(c), larger);
        }
        let target_class = select(best, wanted, (wanted < vec4u(classes)) & (wanted != label));
        workgroupBarrier();
        for (var c = local; c < classes; c += GROUP) {
            let raised = select(vec4f(), vec4f(1.0), target_class == vec4u(c));
            let slope = select(raised, vec4f(-1.0), label == vec4u(c));
            memory[slot(v, c)] = select(slope, vec4f(nan()), label >= vec4u(classes));
        }
    }
    workgroupBarrier();
}

// Word `which` of four rows' aims.
fn aims_at(row: vec4u, which: u32) -> vec4u {
    let at = 3 * row + which;
    return vec4u(reference[at.x], reference[at.y], reference[at.z], reference[at.w]);
}

// ---- The step

// The length of a row's step.
fn step_of(row: u32) -> f32 {
    var length = p.step;
    if GOAL >= 2 { length = bitcast<f32>(reference[3 * row + 2]); }
    return length - f32(iteration) * p.fall;
}

// The L2 step. An invocation has four neighbouring inputs of every 4 GROUP.
fn ascend_l2(row0: u32, local: u32) {
    let layer = layer_at(0u);
    let examples = min(TILE, p.rows - row0);
    var size = vec4f();
    for (var k = 4 * local; k < p.inputs; k += 4 * GROUP) {
        let gradient = descend_shared(layer, k, alone()).a;
        input_gradient[k / (4 * GROUP)] = gradient;
        for (var j = 0u; j < min(4u, p.inputs - k); j++) { size += abs(gradient[j]); }
    }
    size = sum_of_all(size, local);
    let scale = vec4i(scale_of(size.x), scale_of(size.y), scale_of(size.z), scale_of(size.w));

    var squares = vec4f();
    for (var k = 4 * local; k < p.inputs; k += 4 * GROUP) {
        for (var j = 0u; j < min(4u, p.inputs - k); j++) {
            let g = all_scaled(input_gradient[k / (4 * GROUP)][j], scale);
            squares += g * g;
        }
    }
    let norm = sqrt(sum_of_all(squares, local));

    squares = vec4f();
    for (var k = 4 * local; k < p.inputs; k += 4 * GROUP) {
        for (var j = 0u; j < min(4u, p.inputs - k); j++) {
            let g = all_scaled(input_gradient[k / (4 * GROUP)][j], scale);
            for (var e = 0u; e < examples; e++) {
                let i = (row0 + e) * p.inputs + k + j;
                let moved = x_adv[i] + factor_of(norm[e], step_of(row0 + e)) * g[e];
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

fn all_scaled(g: vec4f, scale: vec4i) -> vec4f {
    return vec4f(scaled(g.x, scale.x), scaled(g.y, scale.y), scaled(g.z, scale.z), scaled(g.w, scale.w));
}

// The sum of every invocation's value, in a fixed tree order.
fn sum_of_all(value: vec4f, local: u32) -> vec4f {
    workgroupBarrier(); // Other invocations may still read the memory.
    memory[local] = value;
    workgroupBarrier();
    for (var half = GROUP / 2; half > 0; half /= 2) {
        if local < half { memory[local] += memory[local + half]; }
        workgroupBarrier();
    }
    return memory[0];
}
