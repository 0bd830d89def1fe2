// monitor: bookkeeping at the end of a training step
//
//   total  [1], means [4]: the objective and its terms, from weighted_mean
//   clock  [2]: the step, which is advanced by one
//   sums   [8]: running sums of total, means[0..4], and the number of steps in sums[5]
//   fault  [2]: zeros while all is finite; else the first step at which a value was not (from 1), and a mask of these
//          values: bit 0 total, bit 1 + k means[k]. It stays until the host clears it.
//
// With it the host need not read back anything during training. One invocation.

struct Params { unused: u32 }

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> total: array<f32>;
@group(0) @binding(2) var<storage, read> means: array<f32>;
@group(0) @binding(3) var<storage, read_write> clock: array<u32>;
@group(0) @binding(4) var<storage, read_write> sums: array<f32>;
@group(0) @binding(5) var<storage, read_write> fault: array<u32>;

// By the bits, since compilers may assume that floats are finite.
fn is_finite(x: f32) -> bool {
    return (bitcast<u32>(x) & 0x7f800000u) != 0x7f800000u;
}

@compute @workgroup_size(1)
fn main() {
    var mask = select(1u, 0u, is_finite(total[0]));
    sums[0] += total[0];
    for (var k = 0u; k < 4; k++) {
        sums[1 + k] += means[k];
        mask |= select(2u << k, 0u, is_finite(means[k]));
    }
    sums[5] += 1.0;
    clock[0] += 1;
    if mask != 0 && fault[0] == 0 {
        fault[0] = clock[0];
        fault[1] = mask;
    }
}
