// reduce_subgroups: the sum of common/reduce.wgsl where a device has subgroups, whose invocations add without memory.
// All invocations call it together; all get the sum.
//
// Each subgroup adds its values, and its first invocation writes that down. Then every subgroup adds all that was
// written: its invocation of rank r every size-th word from r on. That asks nothing of a subgroup's size, nor of which
// invocations are in one. Two barriers, where the tree takes ten.

var<workgroup> reduce_partial: array<f32, FLAT>;

fn workgroup_sum(value: f32, local: u32) -> f32 {
    let rank = subgroupExclusiveAdd(1u);
    let size = subgroupAdd(1u);
    let own = subgroupAdd(value);
    workgroupBarrier(); // The array may still be read by a call before this one.
    reduce_partial[local] = select(0.0, own, rank == 0);
    workgroupBarrier();
    var sum = 0.0;
    for (var i = rank; i < FLAT; i += size) { sum += reduce_partial[i]; }
    return subgroupAdd(sum);
}
