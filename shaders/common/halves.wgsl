// halves: numbers rounded to half precision (IEEE 754 binary16: a sign, 5 bits of exponent, 10 digits)
//
// Rounding is to the nearest, ties to even. It is done in integers, since not every device has the conversion and those
// that have it round differently.

// The halves nearest to the words, as floats.
fn nearest_halves(words: vec4f) -> vec4f {
    let bits = bitcast<vec4u>(words);
    let magnitude = bits & vec4u(0x7fffffff);
    // Drops 13 of 23 digits. A carry goes into the exponent.
    let digits = bitcast<vec4f>((magnitude + 0xfff + (magnitude >> vec4u(13) & vec4u(1))) & vec4u(0xffffe000));
    // Below 2^-14 halves are 2^-24 apart, and so are floats at 1/2: adding 1/2 rounds to halves.
    let small = vec4f(bitcast<vec4u>(abs(words) + 0.5) - bitcast<vec4u>(vec4f(0.5))) * 0x1p-24;
    let nearest = select(digits, small, magnitude < vec4u(0x38800000));
    // From half a step above the largest half on the result is infinity; a NaN stays one.
    let ranged = select(bitcast<vec4u>(nearest), vec4u(0x7f800000), magnitude >= vec4u(0x477ff000));
    let signed = bitcast<vec4f>(ranged | (bits & vec4u(0x80000000)));
    return select(signed, words, magnitude > vec4u(0x7f800000));
}

// The 16 bits of the halves nearest to the words.
fn half_bits(words: vec4f) -> vec4u {
    let bits = bitcast<vec4u>(nearest_halves(words));
    let magnitude = bits & vec4u(0x7fffffff);
    // The bias of the exponent falls from 127 to 15. Infinity has the largest exponent in both.
    let digits = min((magnitude >> vec4u(13)) - vec4u(112 << 10), vec4u(0x7c00));
    let small = vec4u(bitcast<vec4f>(magnitude) * 0x1p+24);
    let finite = select(digits, small, magnitude < vec4u(0x38800000));
    let nan = vec4u(0x7e00) | (magnitude >> vec4u(13) & vec4u(0x3ff));
    return select(finite, nan, magnitude > vec4u(0x7f800000)) | (bits >> vec4u(16) & vec4u(0x8000));
}
