#!/usr/bin/env bash
# All that is measured on a GPU, one after the other and without anybody beside it:
#
#     benches/gpu.sh [OUT] [ARGUMENTS OF peers/compare.py]
#
# OUT (default gpu-measurements) gets a file for each part: the devices, the kernel suite on the GPU's own driver (with bounds checks and without), `smoothenc
# bench` in both precisions, and the step beside PyTorch and JAX. A part that fails is told at the end, and the others
# go on. Needs what building and peers/compare.py need: cargo, and Python with pip or with torch and jax.
set -uo pipefail
cd "$(dirname "$0")/.."
out=${1:-gpu-measurements}
shift || true
mkdir -p "$out"
failed=()

# part NAME COMMAND...: into OUT/NAME, with what it says on the way in OUT/NAME.log.
part() {
    local name=$1
    shift
    echo "$(date +%T) $name: $*" >&2
    if ! "$@" >"$out/$name" 2>"$out/$name.log"; then failed+=("$name"); fi
}

cargo build --release || exit 1
smoothenc=target/release/smoothenc
if ! $smoothenc devices | grep -q '^gpu:.*--device auto'; then
    echo "there is no GPU here but software: $smoothenc devices" >&2
    exit 1
fi
part devices.json $smoothenc devices --json
part kernels.txt env SMOOTHENC_REQUIRE_GPU=1 cargo test --release --test kernels -- gpu
part kernels-unchecked.txt env SMOOTHENC_REQUIRE_GPU=1 SMOOTHENC_TEST_UNCHECKED=1 cargo test --release --test kernels -- gpu
part training.txt env SMOOTHENC_REQUIRE_GPU=1 cargo test --release --test backends_agree
for precision in f32 f16; do
    part "bench-$precision.json" $smoothenc bench --device gpu --precision $precision --json
done
part peers.md python3 benches/peers/compare.py --device gpu --rounds 5 "$@"

if ((${#failed[@]})); then
    echo "failed: ${failed[*]} (see the .log beside each)" >&2
    exit 1
fi
echo "all parts are in $out" >&2
