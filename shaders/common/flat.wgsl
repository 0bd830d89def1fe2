// flat: the index of an invocation in a grid that may be folded into two dimensions, since a device allows 65,535
// workgroups in one. Workgroups of flat kernels have FLAT invocations.

const FLAT: u32 = 256;

fn flat_group(group: vec3u, groups: vec3u) -> u32 {
    return group.y * groups.x + group.x;
}

fn flat_index(group: vec3u, groups: vec3u, local: u32) -> u32 {
    return flat_group(group, groups) * FLAT + local;
}
