#!/usr/bin/env python3
"""Run an exported classifier in onnxruntime and compare it with what smoothenc itself computes.

    smoothenc export RUN --onnx FILE.onnx
    python scripts/check_onnx.py RUN FILE.onnx

RUN is a finished run on MNIST. The logits of 200 test images must agree to 1e-4: smoothenc's are the means that
`encode` writes, times the probe in RUN/model.safetensors. The accuracy on the whole test set must be the one in
RUN/result.json. Needs numpy, onnxruntime, and cargo unless --codes gives the file of `encode RUN --out FILE.npy`.
"""

import argparse
import gzip
import json
import pathlib
import struct
import subprocess
import sys
import tempfile

import numpy
import onnxruntime

REPOSITORY = pathlib.Path(__file__).resolve().parent.parent
IMAGES = 200


def tensors_of(path):
    """The float32 tensors of a safetensors file: a length, a JSON header and the data."""
    content = path.read_bytes()
    (length,) = struct.unpack("<Q", content[:8])
    header = json.loads(content[8 : 8 + length])
    header.pop("__metadata__", None)
    data = content[8 + length :]
    read = lambda entry: numpy.frombuffer(data[slice(*entry["data_offsets"])], "<f4").reshape(entry["shape"])
    return {name: read(entry) for name, entry in header.items()}


def idx(name, header):
    return numpy.frombuffer(gzip.decompress((REPOSITORY / "datasets/mnist" / name).read_bytes())[header:], numpy.uint8)


def means_of(run):
    """The means of the codes of the test images, as smoothenc computes them."""
    with tempfile.TemporaryDirectory() as folder:
        file = pathlib.Path(folder) / "codes.npy"
        command = ["cargo", "run", "--quiet", "--release", "--", "encode", str(run), "--out", str(file)]
        subprocess.run(command, check=True, cwd=REPOSITORY, stdout=subprocess.DEVNULL)
        return numpy.load(file)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=pathlib.Path, help="the directory of a finished run on MNIST")
    parser.add_argument("onnx", type=pathlib.Path, help="what `export` wrote of it")
    parser.add_argument("--codes", type=pathlib.Path, help="the means, if they have been written already")
    arguments = parser.parse_args()
    run = arguments.run.resolve()

    session = onnxruntime.InferenceSession(str(arguments.onnx))
    about = session.get_modelmeta().custom_metadata_map
    (image,) = session.get_inputs()
    x = idx("t10k-images-idx3-ubyte.gz", 16).astype(numpy.float32) / numpy.float32(255)
    x = x.reshape(-1, *image.shape[1:])
    (logits,) = session.run(["logits"], {"image": x})

    means = numpy.load(arguments.codes) if arguments.codes else means_of(run)
    tensors = tensors_of(run / "model.safetensors")
    weight, bias = (tensors[f"probe.{about['task']}.{part}"] for part in ["weight", "bias"])
    ours = means @ weight.T + bias
    difference = abs(logits[:IMAGES] - ours[:IMAGES]).max()
    print(f"logits of {IMAGES} images: largest difference {difference:.2e}, largest logit {abs(ours).max():.2f}")

    accuracy = round(100 * float((logits.argmax(1) == idx("t10k-labels-idx1-ubyte.gz", 8)).mean()), 2)
    measured = json.loads((run / "result.json").read_text())["tasks"][about["task"]]["nominal_accuracy"]
    print(f"task {about['task']}: accuracy {accuracy} in onnxruntime, {measured} in result.json")
    sys.exit(0 if difference <= 1e-4 and accuracy == measured else "error: onnxruntime and smoothenc disagree")


if __name__ == "__main__":
    main()
