// gather: rows of a table by their indices
//
//   table    [n, cols]: words, or, where BYTES = 1, bytes packed four to a word, lowest first
//   indices  [rows]; the row of an index beyond the table is NaN
//   out      [rows, cols]: table[indices[r], c]; a byte b becomes b / 255 (images in [0, 1], docs/method.md, section 6)
//
// Images are kept on the device as bytes, in a quarter of the memory. One invocation an element.

override BYTES: u32 = 0;

struct Params { rows: u32, cols: u32, n: u32 }

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> table: array<u32>;
@group(0) @binding(2) var<storage, read> indices: array<u32>;
@group(0) @binding(3) var<storage, read_write> out: array<u32>;

@compute @workgroup_size(FLAT)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u,
        @builtin(local_invocation_index) local: u32) {
    let i = flat_index(group, groups, local);
    if i >= p.rows * p.cols { return; }
    let index = indices[i / p.cols];
    if index >= p.n {
        out[i] = bitcast<u32>(nan());
        return;
    }
    let at = index * p.cols + i % p.cols;
    if BYTES == 1 {
        let byte = (table[at / 4] >> (8 * (at % 4))) & 0xffu;
        out[i] = bitcast<u32>(f32(byte) / 255.0);
    } else {
        out[i] = table[at];
    }
}
