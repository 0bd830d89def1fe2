#!/usr/bin/env python3
"""Seconds of the evaluation's attack on a run of smoothenc in PyTorch, as one line of JSON.

  bench_torch_attack.py --run runs/mnist-se-1 --radius 0.1 --device cpu --threads 2

The same encoder mean and linear probe (RUN/model.safetensors), the same first test images, the same rule: sign
gradient ascent on the cross-entropy, `steps` steps of 2.5 radius / steps from random points of the L-infinity ball,
every iterate clipped to the ball and to [0, 1], every iterate classified; an image stands if none of its restarts is
ever misclassified. Written as fast as plain PyTorch allows: all restarts share the batch, gradients are of the input
alone, and every few steps the rows of images that fell, and rows that are done, make room for waiting ones.

Timed is the attack alone, after a short one that warms up. Needs Python 3.11 and PyTorch."""

import argparse
import gzip
import json
import pathlib
import struct
import sys
import time
import tomllib

import torch
import torch.nn.functional as F

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", type=pathlib.Path, required=True)
    parser.add_argument("--radius", type=float, default=0.1)
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--restarts", type=int, default=10)
    parser.add_argument("--examples", type=int, default=1000)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rows", type=int, help="rows attacked at a time [default: 500, on cuda all]")
    parser.add_argument("--look", type=int, default=10, help="steps between two looks at who fell")
    parser.add_argument("--compile", action="store_true", help="torch.compile on a step")
    return parser.parse_args()


def load_tensors(path):
    """The float tensors of a safetensors file: a length, a JSON header, the data."""
    content = bytearray(path.read_bytes())
    (length,) = struct.unpack("<Q", content[:8])
    header = json.loads(content[8 : 8 + length])
    tensors = {}
    for name, entry in header.items():
        if name != "__metadata__" and entry["dtype"] == "F32":
            begin, end = (8 + length + offset for offset in entry["data_offsets"])
            tensors[name] = torch.frombuffer(content[begin:end], dtype=torch.float32).reshape(entry["shape"])
    return tensors


def load_idx(folder, base, dimensions):
    for name in [f"{base}-idx{dimensions}-ubyte{end}" for end in ("", ".gz")]:
        path = folder / name
        if path.is_file():
            content = path.read_bytes()
            content = gzip.decompress(content) if path.suffix == ".gz" else content
            shape = struct.unpack(f">{dimensions}I", content[4 : 4 + 4 * dimensions])
            return torch.frombuffer(bytearray(content[4 + 4 * dimensions :]), dtype=torch.uint8).reshape(shape)
    sys.exit(f"error: {folder} has no {base}-idx{dimensions}-ubyte")


def load_run(run, examples, device):
    """Layers of the classifier, the encoder's mean and the probe behind it, and the images and labels."""
    config = tomllib.loads((run / "config.toml").read_text())
    if config["holdout"]:
        sys.exit("error: the run holds out training images; attack one that is tested on the test images")
    tensors = load_tensors(run / "model.safetensors")
    places = sorted(int(name.split(".")[1]) for name in tensors if name.startswith("encoder.") and "weight" in name)
    layers = [[tensors[f"encoder.{i}.{part}"] for part in ("weight", "bias")] for i in places]
    layers[-1] = [part[: config["latent"]] for part in layers[-1]]
    probe = next(name for name in tensors if name.startswith("probe.") and name.endswith(".weight"))
    layers.append([tensors[probe], tensors[probe.replace(".weight", ".bias")]])
    layers = [[part.contiguous().to(device).requires_grad_(False) for part in layer] for layer in layers]
    folder = pathlib.Path(config.get("data-dir", REPOSITORY / "datasets" / config["dataset"]))
    images = load_idx(folder, "t10k-images", 3).flatten(1)[:examples].float().div_(255).to(device)
    labels = load_idx(folder, "t10k-labels", 1)[:examples].long().to(device)
    return layers, images, labels


def logits_of(layers, x):
    for weight, bias in layers[:-2]:
        x = F.relu(F.linear(x, weight, bias), inplace=True)
    for weight, bias in layers[-2:]:
        x = F.linear(x, weight, bias)
    return x


def step(layers, point, labels, low, high, size, wrong):
    """One step of every row; marks the rows whose point was misclassified before it."""
    point.requires_grad_(True)
    logits = logits_of(layers, point)
    (gradient,) = torch.autograd.grad(F.cross_entropy(logits, labels, reduction="sum"), point)
    point = point.detach()
    wrong |= logits.detach().argmax(1) != labels
    return torch.clamp(point.add_(gradient.sign_(), alpha=size), low, high, out=point)


def compiled_step(layers, point, labels, low, high, size, wrong):
    """The same without writing in place, which the compiler likes better."""

    def entropy(x):
        logits = logits_of(layers, x)
        return F.cross_entropy(logits, labels, reduction="sum"), logits

    gradient, logits = torch.func.grad(entropy, has_aux=True)(point)
    wrong |= logits.argmax(1) != labels
    return torch.clamp(point + size * gradient.sign(), low, high)


def attack(layers, images, labels, a, steps, restarts, one_step):
    """Percent of the images that stand."""
    size = 2.5 * a.radius / steps
    fallen = torch.zeros(len(images), dtype=torch.bool, device=images.device)
    with torch.no_grad():
        fallen |= logits_of(layers, images).argmax(1) != labels
    waiting = torch.arange(len(images), device=images.device).repeat(restarts)
    capacity = a.rows or (500 if images.device.type == "cpu" else len(waiting))
    image = waiting[:0]
    point, low, high = (images[:0] for _ in range(3))
    left = waiting[:0]
    while True:
        # Rows that are done or whose image fell go; waiting ones come.
        keep = (left > 0) & ~fallen[image]
        waiting = waiting[~fallen[waiting]]
        room = capacity - int(keep.sum())
        new, waiting = waiting[:room], waiting[room:]
        clean = images[new]
        lower, upper = (clean - a.radius).clamp_(min=0), (clean + a.radius).clamp_(max=1)
        start = (clean + a.radius * (2 * torch.rand_like(clean) - 1)).clamp_(0, 1)
        image, left = torch.cat([image[keep], new]), torch.cat([left[keep], torch.full_like(new, steps)])
        point = torch.cat([point[keep], start])
        low, high = torch.cat([low[keep], lower]), torch.cat([high[keep], upper])
        if not len(image):
            return 100 * float((~fallen).float().mean())
        target = labels[image]
        wrong = torch.zeros_like(target, dtype=torch.bool)
        count = min(a.look, int(left.min()))
        for _ in range(count):
            point = one_step(layers, point, target, low, high, size, wrong)
        left = left - count
        done = left == 0
        if done.any():
            # The last point of a row is not followed by a step that would look at it.
            with torch.no_grad():
                wrong[done] |= logits_of(layers, point[done]).argmax(1) != target[done]
        fallen[image[wrong]] = True


def main():
    a = arguments()
    torch.set_num_threads(a.threads)
    torch.manual_seed(0)
    torch.backends.cuda.matmul.allow_tf32 = False
    layers, images, labels = load_run(a.run, a.examples, a.device)
    cuda = torch.device(a.device).type == "cuda"
    one_step = torch.compile(compiled_step, dynamic=True) if a.compile else step
    attack(layers, images, labels, a, min(a.steps, 10), 1, one_step)
    if cuda:
        torch.cuda.synchronize()
    start = time.perf_counter()
    standing = attack(layers, images, labels, a, a.steps, a.restarts, one_step)
    if cuda:
        torch.cuda.synchronize()
    seconds = time.perf_counter() - start
    name = torch.cuda.get_device_name() if cuda else "cpu"
    print(json.dumps(dict(
        impl="torch", mode="compile" if a.compile else "eager", radius=a.radius, steps=a.steps, restarts=a.restarts,
        examples=len(images), device=name, threads=None if cuda else a.threads, torch=torch.__version__,
        seconds=seconds, standing=standing)))


main()
