// reduce_subgroups: the sum of common/reduce.wgsl for devices with subgroups. All invocations must call it together;
// all get the sum.
//
// Each subgroup adds its values, and its first invocation writes the sum to memory. Then every subgroup adds all of the
// memory: its invocation of rank r adds every size-th word from r on. This works for any size of subgroups and any
// assignment of invocations to them, and takes two barriers, where the tree takes ten.

var<workgroup> reduce_partial: array<f32, FLAT>;

fn workgroup_sum(value: f32, local: u32) -> f32 {
    let rank = subgroupExclusiveAdd(1u);
    let size = subgroupAdd(1u);
    let own = subgroupAdd(value);
    workgroupBarrier(); // An earlier call may still read the array.
    reduce_partial[local] = select(0.0, own, rank == 0);
    workgroupBarrier();
    var sum = 0.0;
    for (var i = rank; i < FLAT; i += size) { sum += reduce_partial[i]; }
    return subgroupAdd(sum);
}
