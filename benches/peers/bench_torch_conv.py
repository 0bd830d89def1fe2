#!/usr/bin/env python3
"""Seconds of the ConvNet's convolutions in PyTorch, with bias and ReLU, forwards and with the gradients of input,
weights and bias, as one line of JSON: the twin of benches/conv.rs.

  bench_torch_conv.py --batch 128 --channels 1 --side 28 --device cpu --threads 2"""

import argparse
import json
import time

import torch
import torch.nn.functional as F


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--channels", type=int, default=1)
    parser.add_argument("--side", type=int, default=28)
    parser.add_argument("--count", type=int, default=30)
    parser.add_argument("--warmup", type=int, default=5)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--channels-last", action="store_true", help="the other memory layout")
    return parser.parse_args()


def halved(shape):
    channels, height, width = shape
    return [2 * 32 if channels == 32 else 32, (height - 2) // 2 + 1, (width - 2) // 2 + 1]


def main():
    a = arguments()
    torch.set_num_threads(a.threads)
    torch.manual_seed(0)
    image = [a.channels, a.side, a.side]
    first = halved(image)
    second = halved(first)
    layers = [("conv 1", image, first, False), ("conv 2", first, second, False),
              ("transposed 2", second, first, True), ("transposed 1", first, image, True)]
    wait = torch.cuda.synchronize if a.device.startswith("cuda") else lambda: None
    times = {}
    for name, start, end, transposed in layers:
        large, small = (end, start) if transposed else (start, end)
        layout = torch.channels_last if a.channels_last else torch.contiguous_format
        leaf = lambda *shape: torch.randn(*shape, device=a.device)
        x = leaf(a.batch, *start).to(memory_format=layout).requires_grad_()
        weight = leaf(small[0], large[0], 4, 4).to(memory_format=layout).requires_grad_()
        bias = leaf(end[0]).requires_grad_()
        dy = leaf(a.batch, *end).to(memory_format=layout)
        more = {"stride": 2, "padding": 1}
        if transposed:
            more["output_padding"] = [large[i] - 2 * (small[i] - 1) - 2 for i in (1, 2)]
        layer = F.conv_transpose2d if transposed else F.conv2d

        def forward():
            with torch.no_grad():
                return F.relu(layer(x, weight, bias, **more))

        def both():
            return torch.autograd.grad(F.relu(layer(x, weight, bias, **more)), [x, weight, bias], dy)

        for way, work in [("forward", forward), ("forward and back", both)]:
            seconds = []
            for i in range(a.warmup + a.count):
                begin = time.perf_counter()
                work()
                wait()
                if i >= a.warmup:
                    seconds.append(time.perf_counter() - begin)
            times[f"{name}, {way}"] = sorted(seconds)[len(seconds) // 2]
    print(json.dumps({
        "impl": f"torch {torch.__version__}", "batch": a.batch, "channels": a.channels, "side": a.side,
        "device": a.device, "threads": torch.get_num_threads(), "median_s": sum(times.values()), "layers": times,
    }))


main()
