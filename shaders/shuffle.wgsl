// shuffle: the examples of a training step, each epoch in a new order       docs/method.md, section 9
//
//   clock  [2]: the step
//   out    [batch]: example i of the step is number q = step batch + i of the run; it is element
//          q mod n of permutation number floor(q / n) of 0..n
//
// A Feistel network of four Threefry rounds permutes the numbers of 2 half_bits bits. Its cycle is followed until a
// number below n appears. One invocation an example.

struct Params { batch: u32, n: u32, half_bits: u32, key0: u32, key1: u32 }

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> clock: array<u32>;
@group(0) @binding(2) var<storage, read_write> out: array<u32>;

fn permuted(epoch: u32, position: u32) -> u32 {
    let mask = (1u << p.half_bits) - 1;
    var value = position;
    loop {
        var left = value >> p.half_bits;
        var right = value & mask;
        for (var round = 0u; round < 4; round++) {
            let hash = threefry(vec2u(right | (round << 16), epoch), vec2u(p.key0, p.key1)).x;
            let next = left ^ (hash & mask);
            left = right;
            right = next;
        }
        value = (left << p.half_bits) | right;
        if value < p.n { break; }
    }
    return value;
}

@compute @workgroup_size(FLAT)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u,
        @builtin(local_invocation_index) local: u32) {
    let i = flat_index(group, groups, local);
    if i >= p.batch { return; }
    let number = clock[0] * p.batch + i;
    out[i] = permuted(number / p.n, number % p.n);
}
