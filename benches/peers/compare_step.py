#!/usr/bin/env python3
"""Times the SE training step of smoothenc and of a peer in turn, and prints the ratio.

  python benches/peers/compare_step.py                     (PyTorch eager, 2 threads)
  python benches/peers/compare_step.py --peer jax --rounds 7
  python benches/peers/compare_step.py -- --L 7 --batch 512     (passed to both)

Needs PyTorch or JAX in the Python that runs it. The two take turns, so that a machine that
slows down slows both; the ratio is the median over rounds of smoothenc / peer."""
import argparse, json, os, statistics, subprocess, sys

here = os.path.dirname(os.path.abspath(__file__))
ap = argparse.ArgumentParser()
ap.add_argument("--peer", choices=["torch", "jax"], default="torch")
ap.add_argument("--rounds", type=int, default=5)
ap.add_argument("rest", nargs="*")
a = ap.parse_args()
ours = ["cargo", "bench", "--quiet", "--bench", "step", "--"] + a.rest
theirs = [sys.executable, os.path.join(here, f"bench_{a.peer}_step.py")] + a.rest


def median_of(command):
    out = subprocess.run(command, check=True, capture_output=True, text=True, cwd=os.path.join(here, "..", "..")).stdout
    return json.loads(out.strip().splitlines()[-1])["median_s"]


ratios = []
for r in range(a.rounds):
    x, y = median_of(ours), median_of(theirs)
    ratios.append(x / y)
    print(f"round {r + 1}: smoothenc {1e3 * x:.2f} ms, {a.peer} {1e3 * y:.2f} ms, ratio {x / y:.3f}", flush=True)
print(f"median ratio {statistics.median(ratios):.3f}  (smallest {min(ratios):.3f}, largest {max(ratios):.3f})")
