// shared layers: how a workgroup on a GPU shares the sums of a layer
//
// SHARED = 1. A team of invocations sums four units, each invocation a part of the terms. Then invocation i adds up the
// parts of units i and GROUP + i, which it owns. Forwards, neighbouring invocations have neighbouring parts of a team;
// backwards, neighbouring teams. Either way they read neighbouring weights.
//
// Weight loads are latency-bound; keep two in flight: an invocation loads two blocks before it multiplies the first.
// Sums are named and passed by value, so that they stay in registers.
//
// Needs the kernel's memory, its `Fours` and its functions on sums; shaders/pgd_mlp.wgsl explains the sizes.

struct Share { team: u32, part: u32, parts: u32, teams: u32, has: bool }

// The share of an invocation in the sums of `units` units, at most 2 GROUP, of `terms` terms each.
fn share(units: u32, terms: u32, local: u32, forwards: bool) -> Share {
    let teams = (units + 3) / 4;
    let parts = min(GROUP / teams, (terms + 3) / 4);
    let has = local < teams * parts;
    if forwards { return Share(local / parts, local % parts, parts, teams, has); }
    return Share(local % teams, local / teams, parts, teams, has);
}

fn forwards_shared(l: u32, row0: u32, local: u32) {
    let layer = layer_at(l);
    let own = share(layer.outputs, layer.inputs, local, true);
    var sums = Fours();
    for (var k0 = 0u; k0 < layer.inputs; k0 += WIDTH) {
        if l == 0 { load_points(k0, row0, local); }
        if own.has { sums = climb_shared(sums, layer, own, k0); }
    }
    let units = totals(sums, own, local);
    let near = put_activations(layer, local, units.near);
    let far = put_activations(layer, GROUP + local, units.far);
    passed[l] = near | (far << (4 * WIDE));
}

// Writes the activations of a unit to memory, from its sums; returns four bits a vector, which are positive.
fn put_activations(layer: Layer, unit: u32, sums: Pair) -> u32 {
    if unit >= WIDTH { return 0; }
    let bits = put_activation(layer, unit, 0u, sums.a);
    if WIDE == 1 { return bits; }
    return bits | (put_activation(layer, unit, 1u, sums.b) << 4u);
}

fn put_activation(layer: Layer, unit: u32, v: u32, sum: vec4f) -> u32 {
    let value = activation(layer, unit, sum);
    memory[slot(v, unit)] = value;
    return positive(value);
}

// Adds to the sums of a team's units the own part of the terms of inputs k0 to k0 + WIDTH - 1, which are in memory.
fn climb_shared(start: Fours, layer: Layer, own: Share, k0: u32) -> Fours {
    var sums = start;
    let n = 4 * own.team;
    let count = min(WIDTH, layer.inputs - k0);
    let stride = 4 * own.parts;
    var k = 4 * own.part;
    for (; k + stride < count; k += 2 * stride) {
        let w0 = block(layer, n, k0 + k);
        let w1 = block(layer, n, k0 + k + stride);
        sums = add_product(sums, fours(k), w0);
        sums = add_product(sums, fours(k + stride), w1);
    }
    for (; k < count; k += stride) { sums = add_product(sums, fours(k), block(layer, n, k0 + k)); }
    return sums;
}

// Both vectors of a unit; b where WIDE = 2.
struct Pair { a: vec4f, b: vec4f }

// Units `local` and GROUP + local of those that the teams have summed.
struct Units { near: Pair, far: Pair }

fn totals(sums: Fours, own: Share, local: u32) -> Units {
    let a = total(sums.a, own, local);
    if WIDE == 1 { return Units(Pair(a.near, vec4f()), Pair(a.far, vec4f())); }
    let b = total(sums.b, own, local);
    return Units(Pair(a.near, b.near), Pair(a.far, b.far));
}

// One vector of each of the two units.
struct Total { near: vec4f, far: vec4f }

// Adds up the parts of half of each team's units at a time, for which there is memory.
fn total(sum: mat4x4f, own: Share, local: u32) -> Total {
    put_parts(sum[0], sum[1], own);
    workgroupBarrier();
    let first = Total(added_parts(own, local), added_parts(own, GROUP + local));
    workgroupBarrier();
    put_parts(sum[2], sum[3], own);
    workgroupBarrier();
    let last = Total(added_parts(own, local), added_parts(own, GROUP + local));
    workgroupBarrier();
    let is_first = local % 4 < 2; // Unit GROUP + local has the same position in its team.
    return Total(select(last.near, first.near, is_first), select(last.far, first.far, is_first));
}

fn put_parts(even: vec4f, odd: vec4f, own: Share) {
    if !own.has { return; }
    memory[PARTS + own.part * own.teams + own.team] = even;
    memory[PARTS + GROUP + own.part * own.teams + own.team] = odd;
}

fn added_parts(own: Share, unit: u32) -> vec4f {
    var sum = vec4f();
    if unit / 4 >= own.teams { return sum; }
    let at = PARTS + unit % 2 * GROUP + unit / 4;
    for (var part = 0u; part < own.parts; part++) { sum += memory[at + part * own.teams]; }
    return sum;
}

fn backwards_shared(l: u32, local: u32) {
    let layer = layer_at(l);
    let own = share(layer.inputs, layer.outputs, local, false);
    let units = totals(descend_shared(layer, 4 * own.team, own), own, local);
    let relu = layer_at(l - 1).relu;
    put_gradients(layer, relu, local, units.near, passed[l - 1]);
    put_gradients(layer, relu, GROUP + local, units.far, passed[l - 1] >> (4 * WIDE));
}

// Writes the gradients of a unit below the layer to memory, 0 where its activation was not positive.
fn put_gradients(layer: Layer, relu: bool, unit: u32, gradients: Pair, bits: u32) {
    if unit >= WIDTH { return; }
    let inside = unit < layer.inputs;
    memory[slot(0u, unit)] = select(vec4f(), passing(bits, relu, gradients.a), inside);
    if WIDE == 2 { memory[slot(1u, unit)] = select(vec4f(), passing(bits >> 4u, relu, gradients.b), inside); }
}

// The share of an invocation that computes a sum by itself.
fn alone() -> Share {
    return Share(0u, 0u, 1u, 1u, true);
}

// The own part of the gradients of inputs k to k + 3.
fn descend_shared(layer: Layer, k: u32, own: Share) -> Fours {
    var sums = Fours();
    if !own.has || k >= layer.inputs { return sums; }
    var n = 4 * own.part;
    let stride = 4 * own.parts;
    for (; n + stride < layer.outputs; n += 2 * stride) {
        let w0 = transpose(block(layer, n, k));
        let w1 = transpose(block(layer, n + stride, k));
        sums = add_product(sums, fours(n), w0);
        sums = add_product(sums, fours(n + stride), w1);
    }
    for (; n < layer.outputs; n += stride) { sums = add_product(sums, fours(n), transpose(block(layer, n, k))); }
    return sums;
}

// The L-infinity step, for 2 GROUP inputs at a time.
fn ascend_shared(row0: u32, local: u32) {
    let layer = layer_at(0u);
    for (var first = 0u; first < p.inputs; first += 2 * GROUP) {
        let own = share(min(2 * GROUP, p.inputs - first), layer.outputs, local, false);
        let units = totals(descend_shared(layer, first + 4 * own.team, own), own, local);
        step_input(row0, first + local, units.near);
        step_input(row0, first + GROUP + local, units.far);
    }
}

fn step_input(row0: u32, k: u32, gradients: Pair) {
    if k >= p.inputs { return; }
    step_four(row0, k, gradients.a);
    if WIDE == 2 { step_four(row0 + 4, k, gradients.b); }
}

// The step of input k in four rows.
fn step_four(row: u32, k: u32, gradient: vec4f) {
    step_one(row, k, gradient.x);
    step_one(row + 1, k, gradient.y);
    step_one(row + 2, k, gradient.z);
    step_one(row + 3, k, gradient.w);
}

fn step_one(row: u32, k: u32, gradient: f32) {
    if row >= p.rows { return; }
    let i = row * p.inputs + k;
    x_adv[i] = step_linf(x_adv[i], x[i], gradient, p.eps, step_of(row));
}
