#!/usr/bin/env python3
"""Times two builds of the program in turn, on the CPU: a step, a checkpoint, drawing faces, opening and training on them.

    scripts/two_builds.py BEFORE NOW [--rounds 5] [--images 2000]

Prints the medians as rows of a CSV file. From 14,000 images on, training reads them from the cache's file step by step.
Needs Python 3.9 and nothing else.
"""

import argparse
import json
import statistics
import subprocess
import tempfile
import time
from collections import defaultdict
from pathlib import Path


def timed(binary, folder, line):
    started = time.monotonic()
    subprocess.run([binary, *line.split()], cwd=folder, check=True, capture_output=True)
    return time.monotonic() - started


def trained(binary, folder, line):
    """The record of a run that has this folder to itself."""
    with tempfile.TemporaryDirectory(dir=folder) as run:
        timed(binary, folder, f"train {line} --device cpu --no-attack -q --out {run}")
        return json.loads((Path(run) / "result.json").read_text())


def measure(binary, folder, images):
    """What is measured of a build, each once, in milliseconds."""
    found = {"MNIST step": 1e3 * trained(binary, folder, "mnist --iterations 1000")["seconds_per_step"]}
    often, never = (
        trained(binary, folder, f"mnist --iterations 300 --checkpoint-every {every}")["train_seconds"]
        for every in (2, 1000000)
    )
    found["checkpoint"] = 1e3 * (often - never) / 149
    with tempfile.TemporaryDirectory(dir=folder) as faces:
        found[f"data make, {images} faces"] = 1e3 * timed(
            binary, folder, f"data make celeba --images {images} --out {faces}/set"
        )
        found["opened first"] = 1e3 * timed(binary, folder, f"data info celeba --data-dir {faces}/set")
        found["opened again"] = 1e3 * timed(binary, folder, f"data info celeba --data-dir {faces}/set")
        line = f"celeba --arch mlp --data-dir {faces}/set --iterations 60 --selection-steps 5 --hidden 64"
        found["faces step"] = 1e3 * trained(binary, folder, line)["seconds_per_step"]
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("before")
    parser.add_argument("now")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--images", type=int, default=2000)
    args = parser.parse_args()
    builds = {"before": str(Path(args.before).resolve()), "now": str(Path(args.now).resolve())}
    found = {name: defaultdict(list) for name in builds}
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(args.rounds):
            for name, binary in builds.items():
                for what, milliseconds in measure(binary, folder, args.images).items():
                    found[name][what].append(milliseconds)
    print("what,before_ms,now_ms,ratio")
    for what in found["now"]:
        before, now = (statistics.median(found[name][what]) for name in builds)
        print(f'"{what}",{before:.1f},{now:.1f},{now / before:.2f}')


if __name__ == "__main__":
    main()
