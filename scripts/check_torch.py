#!/usr/bin/env python3
"""Load a run's model into plain PyTorch and compare with what smoothenc itself computes.

    python scripts/check_torch.py RUN

The stacks are rebuilt from the `layers` metadata of RUN/model.safetensors as nn.Sequential, the weights loaded with
load_state_dict(strict=True). Then the means of the first 256 test images must agree to 1e-5 (smoothenc's come from
`cargo run --release --example means`, or from a file of it given with --means), and the probe's accuracy on the whole
test set must be the one in RUN/result.json, and the ELBO near it. Needs PyTorch, Python 3.11 or later, and cargo unless --means is given.
"""

import argparse
import gzip
import json
import math
import pathlib
import struct
import subprocess
import sys
import tempfile
import tomllib

import torch
from torch import nn

REPOSITORY = pathlib.Path(__file__).resolve().parent.parent
DTYPES = {"F32": torch.float32, "U32": torch.uint32}


def load_safetensors(path):
    """The tensors and the metadata of a file; the format is a length, a JSON header and the data."""
    content = path.read_bytes()
    (length,) = struct.unpack("<Q", content[:8])
    header = json.loads(content[8 : 8 + length])
    metadata = header.pop("__metadata__", {})
    data = bytearray(content[8 + length :])
    tensors = {}
    for name, entry in header.items():
        begin, end = entry["data_offsets"]
        flat = torch.frombuffer(data[begin:end], dtype=DTYPES[entry["dtype"]])
        tensors[name] = flat.reshape(entry["shape"])
    return tensors, metadata


def load_idx(directory, base, dimensions):
    """The bytes of an IDX file, gzipped or not, in any of its usual names."""
    for name in [f"{base}{joint}idx{dimensions}-ubyte" for joint in "-."]:
        for path in [directory / name, directory / f"{name}.gz"]:
            if path.is_file():
                content = path.read_bytes()
                content = gzip.decompress(content) if content[:2] == b"\x1f\x8b" else content
                shape = struct.unpack(f">{dimensions}I", content[4 : 4 + 4 * dimensions])
                return torch.frombuffer(bytearray(content[4 + 4 * dimensions :]), dtype=torch.uint8).reshape(shape)
    sys.exit(f"error: {directory} has no {base}-idx{dimensions}-ubyte[.gz]")


def test_split(config):
    """The images in [0, 1], one a row, and the labels that the run was tested on."""
    directory = pathlib.Path(config.get("data-dir", REPOSITORY / "datasets" / config["dataset"]))
    held_out = config["holdout"]
    split = "train" if held_out else "t10k"
    images = load_idx(directory, f"{split}-images", 3)[-held_out:]
    labels = load_idx(directory, f"{split}-labels", 1)[-held_out:]
    return images.float() / 255, labels.long()


def sequential(layers):
    """nn.Sequential of layers as the metadata lists them: a type and its arguments."""
    build = lambda layer: getattr(nn, layer["type"])(**{k: v for k, v in layer.items() if k != "type"})
    return nn.Sequential(*map(build, layers))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=pathlib.Path, help="the directory of a finished run")
    parser.add_argument("--means", type=pathlib.Path, help="smoothenc's means, if they have been written already")
    arguments = parser.parse_args()
    run = arguments.run.resolve()

    config = tomllib.loads((run / "config.toml").read_text())
    tensors, metadata = load_safetensors(run / "model.safetensors")
    stacks = {}
    for side, layers in json.loads(metadata["layers"]).items():
        stacks[side] = sequential(layers)
        own = {name.removeprefix(f"{side}."): t for name, t in tensors.items() if name.startswith(f"{side}.")}
        stacks[side].load_state_dict(own, strict=True)
    encoder, decoder, latent = stacks["encoder"], stacks["decoder"], int(metadata["latent"])

    images, labels = test_split(config)
    shape = json.loads(metadata["image_shape"])
    x = images.reshape(len(images), *shape) if metadata["arch"] == "conv" else images.flatten(1)
    with torch.no_grad():
        head = encoder(x)
        means, logvar = head[:, :latent], head[:, latent:]
        output = decoder(means + (logvar / 2).exp() * torch.randn(means.shape))
        output = torch.sigmoid(output) if metadata["decoder_output"] == "sigmoid" else output
        variance = config["variance"]
        squares = (x - output).square().flatten(1)
        fit = -squares.sum(1) / (2 * variance) - squares.shape[1] / 2 * math.log(2 * math.pi * variance)
        divergence = (means.square() + logvar.exp() - 1 - logvar).sum(1) / 2
        elbo = (fit - divergence).double().mean().item()

    if arguments.means:
        theirs = load_safetensors(arguments.means)[0]["means"]
    else:
        with tempfile.TemporaryDirectory() as directory:
            file = pathlib.Path(directory) / "means.safetensors"
            command = ["cargo", "run", "--quiet", "--release", "--example", "means", "--", str(run), str(file)]
            subprocess.run(command, check=True, cwd=REPOSITORY)
            theirs = load_safetensors(file)[0]["means"]

    failed = False
    difference = (means[:256] - theirs[:256]).abs().max().item()
    print(f"means of {len(means[:256])} images: largest difference {difference:.2e}, largest mean {means[:256].abs().max():.2f}")
    failed |= not difference <= 1e-5
    result = json.loads((run / "result.json").read_text())
    # Other draws of the codes, so that the means over the images are near each other, not equal.
    print(f"ELBO {elbo:.2f} in PyTorch, {result['elbo_test']:.2f} in result.json, other draws")
    failed |= not abs(elbo - result["elbo_test"]) <= 1
    for task, measured in result["tasks"].items():
        logits = means @ tensors[f"probe.{task}.weight"].T + tensors[f"probe.{task}.bias"]
        accuracy = round(100 * (logits.argmax(1) == labels).double().mean().item(), 2)
        print(f"task {task}: accuracy {accuracy} in PyTorch, {measured['nominal_accuracy']} in result.json")
        failed |= accuracy != measured["nominal_accuracy"]
    sys.exit("error: PyTorch and smoothenc disagree" if failed else 0)


if __name__ == "__main__":
    main()
