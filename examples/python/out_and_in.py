#!/usr/bin/env python3
"""A run's encoder into PyTorch, and an encoder of PyTorch into a file that `smoothenc evaluate` reads.

    python examples/python/out_and_in.py RUN encoder.safetensors
    smoothenc evaluate encoder.safetensors --data mnist

Needs torch, numpy and safetensors.
"""

import json
import sys

from safetensors import safe_open
from safetensors.torch import save_file
from torch import nn

KEYS = {
    "Linear": ["in_features", "out_features"],
    "Conv2d": ["in_channels", "out_channels", "kernel_size", "stride", "padding"],
    "ReLU": [],
    "Flatten": [],
}


def load(path):
    """The encoder in RUN/model.safetensors, images to [mean, log-variance], and the dimensions of a code."""
    with safe_open(path, "pt") as file:
        metadata = file.metadata()
        tensors = {name: file.get_tensor(name) for name in file.keys() if name.startswith("encoder.")}
    layers = [dict(layer) for layer in json.loads(metadata["layers"])["encoder"]]
    encoder = nn.Sequential(*(getattr(nn, layer.pop("type"))(**layer) for layer in layers))
    encoder.load_state_dict({name.removeprefix("encoder."): tensor for name, tensor in tensors.items()})
    return encoder, int(metadata["latent"])


def save(encoder, path, latent=None):
    """Writes an nn.Sequential of the layers in KEYS; its code is all outputs, or the first `latent`."""
    layers = []
    for layer in encoder:
        kind = type(layer).__name__
        layers.append({"type": kind} | {key: getattr(layer, key) for key in KEYS[kind]})
    metadata = {"layers": json.dumps({"encoder": layers})}
    if latent is not None:
        metadata["latent"] = str(latent)
    tensors = {f"encoder.{name}": tensor.contiguous() for name, tensor in encoder.state_dict().items()}
    save_file(tensors, path, metadata)


if __name__ == "__main__":
    run, out = sys.argv[1:]
    model, dimensions = load(f"{run}/model.safetensors")
    save(model, out, dimensions)
    print(f"{out}: {model}, a code of {dimensions} numbers")
