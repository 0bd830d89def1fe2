// reduce: the sum of one value of every invocation of a flat workgroup, in a fixed tree order. All invocations must
// call it together; all get the sum.

var<workgroup> reduce_partial: array<f32, FLAT>;

fn workgroup_sum(value: f32, local: u32) -> f32 {
    workgroupBarrier(); // An earlier call may still read the array.
    reduce_partial[local] = value;
    workgroupBarrier();
    for (var half = FLAT / 2; half > 0; half /= 2) {
        if local < half { reduce_partial[local] += reduce_partial[local + half]; }
        workgroupBarrier();
    }
    return reduce_partial[0];
}
