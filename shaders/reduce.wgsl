// reduce: sums of a matrix along one side
//
//   a    [rows, cols]
//   out  [rows]: out[r] = sum over c of a[r, c], where COLUMNS = 0
//        [cols]: out[c] = sum over r of a[r, c], where COLUMNS = 1 (a layer's bias gradient)
//
// Row sums: one workgroup a row; each of its 256 invocations adds every 256th element, then the partial sums are added
// in a tree. Column sums: one workgroup for ACROSS neighbouring columns, with its invocations in DOWN rows of ACROSS,
// so that neighbours read neighbouring words; each row of invocations adds every DOWNth row of a, then the partial sums
// are added in a tree. Both orders are fixed, so a run repeats bit for bit.

override COLUMNS: u32 = 0;

const ACROSS: u32 = 16;
const DOWN: u32 = FLAT / ACROSS;

struct Params { rows: u32, cols: u32 }

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> a: array<f32>;
@group(0) @binding(2) var<storage, read_write> out: array<f32>;

@compute @workgroup_size(FLAT)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u,
        @builtin(local_invocation_index) local: u32) {
    var sum = 0.0;
    if COLUMNS == 1 {
        let c = flat_group(group, groups) * ACROSS + local % ACROSS;
        if c < p.cols {
            for (var r = local / ACROSS; r < p.rows; r += DOWN) { sum += a[r * p.cols + c]; }
        }
        reduce_partial[local] = sum;
        workgroupBarrier();
        for (var half = FLAT / 2; half >= ACROSS; half /= 2) {
            if local < half { reduce_partial[local] += reduce_partial[local + half]; }
            workgroupBarrier();
        }
        if local < ACROSS && c < p.cols { out[c] = reduce_partial[local]; }
    } else {
        let r = flat_group(group, groups);
        if r >= p.rows { return; }
        for (var c = local; c < p.cols; c += FLAT) { sum += a[r * p.cols + c]; }
        sum = workgroup_sum(sum, local);
        if local == 0 { out[r] = sum; }
    }
}
