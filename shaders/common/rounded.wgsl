// rounded: words to half precision, where HALF = 1

override HALF: u32 = 0;

// The halves (IEEE 754 binary16) nearest to the words, ties to even, as floats; in integers, as in shaders/half.wgsl.
fn rounded(words: vec4f) -> vec4f {
    if HALF == 0 { return words; }
    let bits = bitcast<vec4u>(words);
    let magnitude = bits & vec4u(0x7fffffff);
    let digits = bitcast<vec4f>((magnitude + 0xfff + (magnitude >> vec4u(13) & vec4u(1))) & vec4u(0xffffe000));
    // Below 2^-14 halves are 2^-24 apart, and so are floats at 1/2: adding 1/2 rounds to halves.
    let small = vec4f(bitcast<vec4u>(abs(words) + 0.5) - bitcast<vec4u>(vec4f(0.5))) * 0x1p-24;
    let nearest = select(digits, small, magnitude < vec4u(0x38800000));
    // From half a step above the largest half on the result is infinity; a NaN stays one.
    let infinity = bitcast<vec4f>(vec4u(0x7f800000));
    let ranged = select(nearest, infinity, magnitude >= vec4u(0x477ff000));
    let signed = bitcast<vec4f>(bitcast<vec4u>(ranged) | (bits & vec4u(0x80000000)));
    return select(signed, words, magnitude > vec4u(0x7f800000));
}
