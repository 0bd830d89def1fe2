#!/usr/bin/env python3
"""Seconds of matrix products C = A B in PyTorch, one line of JSON for each size.

  bench_torch_matmul.py --threads 2 128x784x200:nt 200x128x784:tn

The sizes are m x k x n; `t` stands for a factor whose transpose is stored.  The twin of
../matmul.rs: a sample is as many products, one after the other, as take about 20 ms."""
import argparse, json, time
import torch

ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
ap.add_argument("sizes", nargs="+")
ap.add_argument("--threads", type=int, default=2)
ap.add_argument("--samples", type=int, default=10)
ap.add_argument("--device", default="cpu")
a = ap.parse_args()
torch.set_num_threads(a.threads)
torch.backends.cuda.matmul.allow_tf32 = False
cuda = a.device == "cuda"


def seconds_of(times, product):
    start = time.perf_counter()
    for _ in range(times):
        product()
    if cuda:
        torch.cuda.synchronize()
    return time.perf_counter() - start


for size in a.sizes:
    sides, _, form = size.partition(":")
    m, k, n = map(int, sides.split("x"))
    form = form or "nn"
    x = torch.rand(k, m, device=a.device).t() if form[0] == "t" else torch.rand(m, k, device=a.device)
    y = torch.rand(n, k, device=a.device).t() if form[1] == "t" else torch.rand(k, n, device=a.device)
    out = torch.empty(m, n, device=a.device)
    product = lambda: torch.mm(x, y, out=out)
    seconds_of(3, product)
    times = int(min(max(0.02 / seconds_of(1, product), 1), 64))
    samples = sorted(seconds_of(times, product) / times for _ in range(a.samples))
    median = samples[len(samples) // 2]
    print(json.dumps(dict(impl="torch", size=[m, k, n], form=size, threads=None if cuda else a.threads, n=len(samples),
                          device=torch.cuda.get_device_name() if cuda else "cpu", torch=torch.__version__,
                          median_s=median, min_s=samples[0], gflops=2 * m * k * n / median / 1e9)), flush=True)
