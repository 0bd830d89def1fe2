// pgd_start: the random start of projected gradient ascent, and the random selection   docs/method.md, section 4
//
//   NORM 0, L-infinity   x' = clip(x + eps (2 noise - 1), 0, 1)
//   NORM 1, L2           x' = clip(x + eps radius^(1/cols) noise / |noise|, 0, 1)
//
//   x       [rows, cols]
//   noise   [rows, cols], uniform in (0, 1) for L-infinity, standard normal for L2
//   radius  [rows], uniform in (0, 1), for L2 only
//   x_adv   [rows, cols], x', written
//
// Uniform in the ball, before the clip. L-infinity: one invocation an element. L2: one workgroup a row; each of its 256
// invocations takes every 256th element, then the partial sums are added in a tree.

override NORM: u32 = 0;

struct Params { rows: u32, cols: u32, eps: f32 }

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read> noise: array<f32>;
@group(0) @binding(3) var<storage, read> radius: array<f32>;
@group(0) @binding(4) var<storage, read_write> x_adv: array<f32>;

@compute @workgroup_size(FLAT)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u,
        @builtin(local_invocation_index) local: u32) {
    if NORM == 0 {
        let i = flat_index(group, groups, local);
        if i >= p.rows * p.cols { return; }
        x_adv[i] = start_linf(x[i], noise[i], p.eps);
    } else {
        let r = flat_group(group, groups);
        if r >= p.rows { return; }
        let end = (r + 1) * p.cols;
        var squares = 0.0;
        for (var i = r * p.cols + local; i < end; i += FLAT) { squares += noise[i] * noise[i]; }
        let norm = sqrt(workgroup_sum(squares, local));
        let length = p.eps * pow(radius[r], 1.0 / f32(p.cols));
        let factor = select(length / norm, 0.0, norm == 0.0);
        for (var i = r * p.cols + local; i < end; i += FLAT) {
            x_adv[i] = clip(x[i] + factor * noise[i], 0.0, 1.0);
        }
    }
}
