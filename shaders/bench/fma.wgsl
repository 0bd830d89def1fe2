// fma: fused multiply-adds, to measure the device's arithmetic       a ceiling for `smoothenc bench`
//
//   out  [n]: the mean of an invocation's 64 sums after `rounds` rounds of sum <- sum factor + addend
//
// One invocation an element. The sums stay in registers and do not depend on each other, so that only arithmetic takes
// time. Their start is an input, so that a compiler cannot compute them in advance.

struct Params { n: u32, rounds: u32, start: f32, factor: f32, addend: f32 }

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read_write> out: array<f32>;

@compute @workgroup_size(FLAT)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u,
        @builtin(local_invocation_index) local: u32) {
    let i = flat_index(group, groups, local);
    let factor = vec4f(p.factor);
    let addend = vec4f(p.addend);
    let lane = vec4f(p.start, p.start + 1.0, p.start + 2.0, p.start + 3.0);
    var a = mat4x4f(lane, lane * 2.0, lane * 3.0, lane * 4.0);
    var b = mat4x4f(lane * 5.0, lane * 6.0, lane * 7.0, lane * 8.0);
    var c = mat4x4f(lane * 9.0, lane * 10.0, lane * 11.0, lane * 12.0);
    var d = mat4x4f(lane * 13.0, lane * 14.0, lane * 15.0, lane * 16.0);
    for (var round = 0u; round < p.rounds; round++) {
        a[0] = fma(a[0], factor, addend);
        a[1] = fma(a[1], factor, addend);
        a[2] = fma(a[2], factor, addend);
        a[3] = fma(a[3], factor, addend);
        b[0] = fma(b[0], factor, addend);
        b[1] = fma(b[1], factor, addend);
        b[2] = fma(b[2], factor, addend);
        b[3] = fma(b[3], factor, addend);
        c[0] = fma(c[0], factor, addend);
        c[1] = fma(c[1], factor, addend);
        c[2] = fma(c[2], factor, addend);
        c[3] = fma(c[3], factor, addend);
        d[0] = fma(d[0], factor, addend);
        d[1] = fma(d[1], factor, addend);
        d[2] = fma(d[2], factor, addend);
        d[3] = fma(d[3], factor, addend);
    }
    let all = a + b + c + d;
    let sum = all[0] + all[1] + all[2] + all[3];
    if i < p.n { out[i] = (sum.x + sum.y + sum.z + sum.w) / 64.0; }
}
