// paint: grey images of a table, by their indices, each in one of seven colours
//
//   table    [n, pixels]: bytes, packed four to a word, lowest first
//   indices  [rows]: index i is image i / 7 in colour k = i % 7; the image of an index beyond the table is NaN
//   out      [rows, 3, pixels]: the planes red, green, blue; plane c is the grey image, b / 255 of a byte b,
//            where bit c of k + 1 is 1, else 0 (docs/method.md, section 6: the seven corners of the colour cube but
//            black)
//
// A grey image is stored once and stands for its seven coloured ones. One invocation an element.

struct Params { rows: u32, pixels: u32, n: u32 }

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> table: array<u32>;
@group(0) @binding(2) var<storage, read> indices: array<u32>;
@group(0) @binding(3) var<storage, read_write> out: array<f32>;

@compute @workgroup_size(FLAT)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u,
        @builtin(local_invocation_index) local: u32) {
    let i = flat_index(group, groups, local);
    let cols = 3 * p.pixels;
    if i >= p.rows * cols { return; }
    let index = indices[i / cols];
    if index / 7 >= p.n {
        out[i] = nan();
        return;
    }
    let plane = i % cols / p.pixels;
    let at = index / 7 * p.pixels + i % p.pixels; // cols is a multiple of pixels
    let lit = ((index % 7 + 1) >> plane) & 1u;
    let byte = (table[at / 4] >> (8 * (at % 4))) & 0xffu;
    out[i] = f32(lit * byte) / 255.0;
}
