// dense: the layers of a network and their weights, in blocks of 4 x 4
//
// Needs the kernel's `Params` with its `layer`, its arenas `weights` and `probe`, and the overrides GOAL, ALIGNED
// and HALF; shaders/pgd_mlp.wgsl explains them.

struct Layer { inputs: u32, outputs: u32, weight: u32, bias: u32, relu: bool, of_probe: bool }

fn layer_at(l: u32) -> Layer {
    let entry = p.layer[l];
    var inputs = p.inputs;
    if l > 0 { inputs = p.layer[l - 1].x; }
    return Layer(inputs, entry.x, entry.y, entry.z, entry.w == 1, GOAL >= 2 && l == p.layers - 1);
}

fn word(layer: Layer, i: u32) -> f32 {
    return words(layer, i / 4)[i % 4];
}

// Words 4 at to 4 at + 3 of a layer's arena.
fn words(layer: Layer, at: u32) -> vec4f {
    if layer.of_probe { return probe[at]; }
    if HALF == 0 { return bitcast<vec4f>(weights[at]); }
    let eight = weights[at / 2];
    let two = select(eight.xy, eight.zw, at % 2 == 1);
    let halves = vec4u(two.x, two.x >> 16, two.y, two.y >> 16);
    // The half's exponent and digits at a float's places: the exponent's bias is then 112 too small.
    let magnitude = bitcast<vec4f>((halves & vec4u(0x7fff)) << vec4u(13)) * 0x1p+112;
    return select(magnitude, -magnitude, (halves & vec4u(0x8000)) != vec4u());
}

// Columns k to k + 3 of rows n to n + 3 of W, each row a column of the result. Outside of W the words are 0, or with
// ALIGNED other words of W. These do not matter: sums for missing units are dropped, and missing units have the value
// 0.
fn block(layer: Layer, n: u32, k: u32) -> mat4x4f {
    return mat4x4f(row(layer, n, k), row(layer, n + 1, k), row(layer, n + 2, k), row(layer, n + 3, k));
}

fn row(layer: Layer, n: u32, k: u32) -> vec4f {
    if ALIGNED == 1 {
        let inside = (layer.weight + min(k, layer.inputs - 4)) / 4;
        return words(layer, inside + min(n, layer.outputs - 1) * (layer.inputs / 4));
    }
    let left = vec2f(element(layer, n, k), element(layer, n, k + 1));
    return vec4f(left, element(layer, n, k + 2), element(layer, n, k + 3));
}

fn element(layer: Layer, n: u32, k: u32) -> f32 {
    if n >= layer.outputs || k >= layer.inputs { return 0.0; }
    return word(layer, layer.weight + n * layer.inputs + k);
}
