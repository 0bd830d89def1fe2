// cosine_logits: log-odds that peak at a place on a circle                      docs/method.md, section 7
//
//   out[r, c] = cos(2 pi (m[r] + shift - (c + 1) / cols)) e^-s[r]
//
//   m, s  [rows]        the peak, in revolutions, and the logarithm of the width
//   out   [rows, cols]
//
// One invocation an element. The angle is reduced to at most half a revolution, where cos is most exact.

struct Params { rows: u32, cols: u32, shift: f32 }

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> m: array<f32>;
@group(0) @binding(2) var<storage, read> s: array<f32>;
@group(0) @binding(3) var<storage, read_write> out: array<f32>;

@compute @workgroup_size(FLAT)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u,
        @builtin(local_invocation_index) local: u32) {
    let i = flat_index(group, groups, local);
    if i >= p.rows * p.cols { return; }
    let r = i / p.cols;
    let c = i % p.cols;
    let revolutions = m[r] + p.shift - f32(c + 1) / f32(p.cols);
    out[i] = cos(6.2831853 * (revolutions - round(revolutions))) * exp(-s[r]);
}
