// rng: Threefry-2x32 with 20 rounds, counter-based random numbers           docs/method.md, section 9
// The twin of src/engine/rng.rs, equal to it bit for bit.

fn rotate_left(x: u32, by: u32) -> u32 {
    return (x << by) | (x >> (32u - by));
}

// counter = (index of the block, step), key = (seed, seed and purpose).
fn threefry(counter: vec2u, key: vec2u) -> vec2u {
    var keys = array(key.x, key.y, 0x1BD11BDAu ^ key.x ^ key.y);
    var rotations = array(13u, 15u, 26u, 6u, 17u, 29u, 16u, 24u);
    var x = counter + key;
    for (var group = 0u; group < 5; group++) {
        for (var round = 0u; round < 4; round++) {
            x.x += x.y;
            x.y = rotate_left(x.y, rotations[(4 * group + round) % 8]) ^ x.x;
        }
        x += vec2u(keys[(group + 1) % 3], keys[(group + 2) % 3] + group + 1);
    }
    return x;
}

// A uniform number from a random word, never 0 or 1; without the minimum, 2^24 - 1/2 would round up to 1 in float32.
fn unit(bits: u32) -> f32 {
    return min((f32(bits >> 8) + 0.5) * (1.0 / 16777216.0), 0.99999994);
}
