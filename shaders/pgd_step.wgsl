// pgd_step: one step of projected gradient ascent on the points themselves       docs/method.md, section 4
//
//   NORM 0, L-infinity   x' <- clip(x' + step sign(grad), max(x - eps, 0), min(x + eps, 1)),
//                        sign(0) = 0
//   NORM 1, L2           x' <- x' + step grad / |grad| (no move where |grad| = 0), then scaled onto
//                        the ball |x' - x| <= eps, then clipped to [0, 1]
//
//   grad     [rows, cols]
//   x        [rows, cols], the centres of the balls
//   lengths  [rows], each row's own step, for BY_ROW = 1
//   x_adv    [rows, cols], x', updated
//
// L-infinity: one invocation an element. L2: one workgroup a row; each of its 256 invocations takes
// every 256th element, then the partial sums are added in a tree.

override NORM: u32 = 0;
override BY_ROW: u32 = 0;

struct Params { rows: u32, cols: u32, eps: f32, step: f32 }

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> grad: array<f32>;
@group(0) @binding(2) var<storage, read> x: array<f32>;
@group(0) @binding(3) var<storage, read> lengths: array<f32>;
@group(0) @binding(4) var<storage, read_write> x_adv: array<f32>;

@compute @workgroup_size(FLAT)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u,
        @builtin(local_invocation_index) local: u32) {
    if NORM == 0 {
        let i = flat_index(group, groups, local);
        if i >= p.rows * p.cols { return; }
        x_adv[i] = step_linf(x_adv[i], x[i], grad[i], p.eps, step_of(i / p.cols));
    } else {
        let r = flat_group(group, groups);
        if r >= p.rows { return; }
        step_l2(r * p.cols, (r + 1) * p.cols, step_of(r), local);
    }
}

// The length of row r's step.
fn step_of(r: u32) -> f32 {
    if BY_ROW == 1 { return lengths[r]; }
    return p.step;
}

fn step_l2(first: u32, end: u32, step: f32, local: u32) {
    var size = 0.0;
    for (var i = first + local; i < end; i += FLAT) { size += abs(grad[i]); }
    let scale = scale_of(workgroup_sum(size, local));

    var squares = 0.0;
    for (var i = first + local; i < end; i += FLAT) {
        let g = scaled(grad[i], scale);
        squares += g * g;
    }
    let factor = factor_of(sqrt(workgroup_sum(squares, local)), step);

    squares = 0.0;
    for (var i = first + local; i < end; i += FLAT) {
        let moved = x_adv[i] + factor * scaled(grad[i], scale);
        x_adv[i] = moved;
        squares += (moved - x[i]) * (moved - x[i]);
    }
    let distance = sqrt(workgroup_sum(squares, local));
    for (var i = first + local; i < end; i += FLAT) {
        x_adv[i] = onto_ball(x_adv[i], x[i], distance, p.eps);
    }
}
