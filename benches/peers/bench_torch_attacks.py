#!/usr/bin/env python3
"""The attacks of a finished MNIST run beside those of public attack libraries, on the same weights and images.

  pip install torch torchattacks foolbox
  smoothenc train mnist
  python benches/peers/bench_torch_attacks.py runs/mnist-se-1 --data datasets/mnist

Reads the run's model.safetensors (an MLP), attacks the first images of the test set at each radius, and prints a
Markdown table: percent of the images that stay correct, and seconds. smoothenc attacks a copy of the run, so that the
run keeps its record. All sides get the same threads. Foolbox has no interface to one restart after the other that
stops at success, so all its restarts run."""

import argparse
import gzip
import json
import os
import pathlib
import shutil
import struct
import subprocess
import tempfile
import time

import numpy
import torch

# All of smoothenc's attacks that need no other run.
EVERYTHING = "pgd,margin,apgd-ce,apgd-dlr,apgd-t,fgsm,noise,square,latent"

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]


def tensors(path):
    """What a .safetensors file holds."""
    content = path.read_bytes()
    size = struct.unpack("<Q", content[:8])[0]
    header, data = json.loads(content[8 : 8 + size]), content[8 + size :]
    out = {}
    for name, about in header.items():
        if name != "__metadata__" and about["dtype"] == "F32":
            begin, end = about["data_offsets"]
            out[name] = torch.from_numpy(numpy.frombuffer(data[begin:end], numpy.float32).reshape(about["shape"]).copy())
    return out


def classifier(weights):
    """Encoder's means and probe as one module; of the encoder's last layer the rows of the means only."""
    numbers = sorted(int(name.split(".")[1]) for name in weights if name.startswith("encoder.") and name.endswith("weight"))
    layers = []
    head = weights["probe.digit.weight"]
    for number in numbers:
        weight, bias = weights[f"encoder.{number}.weight"], weights[f"encoder.{number}.bias"]
        last = number == numbers[-1]
        if last:
            weight, bias = weight[: head.shape[1]], bias[: head.shape[1]]
        layer = torch.nn.Linear(weight.shape[1], weight.shape[0])
        layer.weight.data, layer.bias.data = weight, bias
        layers += [layer] if last else [layer, torch.nn.ReLU()]
    probe = torch.nn.Linear(head.shape[1], head.shape[0])
    probe.weight.data, probe.bias.data = head, weights["probe.digit.bias"]
    model = torch.nn.Sequential(torch.nn.Flatten(), *layers, probe).eval()
    return model.requires_grad_(False)


def images(folder, count):
    def idx(name):
        plain = folder / name
        content = plain.read_bytes() if plain.exists() else gzip.decompress((folder / f"{name}.gz").read_bytes())
        sides = struct.unpack(f">{content[3]}I", content[4 : 4 + 4 * content[3]])
        return numpy.frombuffer(content[4 + 4 * content[3] :], numpy.uint8).reshape(sides)[:count]

    x = torch.tensor(idx("t10k-images-idx3-ubyte") / 255.0, dtype=torch.float32).reshape(-1, 1, 28, 28)
    return x, torch.tensor(idx("t10k-labels-idx1-ubyte").astype(numpy.int64))


def standing(model, points, x, y, radius, norm):
    """Which points are classified correctly; they must lie in the ball and the box."""
    away = (points - x).flatten(1)
    size = away.abs().amax(1) if norm == "linf" else away.norm(dim=1)
    assert size.max() <= radius + 1e-5 and points.min() >= 0 and points.max() <= 1
    return model(points).argmax(1) == y


def library_attacks(model, norm, radius):
    """(name, function from images and labels to perturbed images) of each attack."""
    import foolbox
    import torchattacks

    known = {"linf": "Linf", "l2": "L2"}[norm]
    fools = foolbox.PyTorchModel(model, bounds=(0, 1), preprocessing=None)

    def foolbox_attack(attack):
        return lambda x, y: attack(fools, x, y, epsilons=[radius])[1][0]

    if norm == "linf":
        yield "fgsm", "foolbox FGSM", foolbox_attack(foolbox.attacks.LinfFastGradientAttack())
        pgd = foolbox.attacks.LinfPGD(rel_stepsize=0.025, steps=100)
    else:
        yield "fgsm", "foolbox FGM, L2", foolbox_attack(foolbox.attacks.L2FastGradientAttack())
        pgd = foolbox.attacks.L2PGD(rel_stepsize=0.025, steps=100)
    yield "pgd", "foolbox PGD, 100 x 10", foolbox_attack(pgd.repeat(10))
    options = {"norm": known, "eps": radius, "seed": 0}
    yield "apgd-ce", "torchattacks APGD-CE, 100", torchattacks.APGD(model, steps=100, n_restarts=1, loss="ce", **options)
    yield "apgd-dlr", "torchattacks APGD-DLR, 100", torchattacks.APGD(model, steps=100, n_restarts=1, loss="dlr", **options)
    yield "apgd-t", "torchattacks APGD-T, 100 x 9", torchattacks.APGDT(model, steps=100, n_restarts=1, n_classes=10, **options)
    yield "square", "torchattacks Square, 5000", torchattacks.Square(model, n_queries=5000, n_restarts=1, loss="margin", **options)
    yield "auto", "torchattacks AutoAttack", torchattacks.AutoAttack(model, version="standard", n_classes=10, **options)


def ours(binary, run, norm, radius, count, threads, flags):
    """smoothenc's attack on a copy of the run: percent standing, and seconds of the whole command."""
    with tempfile.TemporaryDirectory() as folder:
        copy = pathlib.Path(folder) / "run"
        shutil.copytree(run, copy)
        command = [binary, "attack", copy, "--json", "--quiet", "--device", "cpu", "--norm", norm]
        command += ["--radii", str(radius), "--examples", str(count), *flags]
        begin = time.perf_counter()
        environment = dict(os.environ, RAYON_NUM_THREADS=str(threads))
        done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
        seconds = time.perf_counter() - begin
    attack = json.loads(done.stdout)["tasks"]["digit"]["attack"]
    return list(attack["adversarial_accuracy"].values())[0], seconds


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=pathlib.Path)
    parser.add_argument("--data", type=pathlib.Path, required=True, help="folder of MNIST's IDX files")
    parser.add_argument("--binary", default=REPOSITORY / "target" / "release" / "smoothenc")
    parser.add_argument("--norm", choices=["linf", "l2"], default="linf")
    parser.add_argument("--radii", default="0.05,0.1,0.2")
    parser.add_argument("--examples", type=int, default=1000)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--attacks", default="fgsm,pgd,apgd-ce,apgd-dlr,apgd-t",
                        help="of fgsm, pgd, apgd-ce, apgd-dlr, apgd-t, square, auto")
    a = parser.parse_args()
    torch.set_num_threads(a.threads)
    torch.manual_seed(0)
    model = classifier(tensors(a.run / "model.safetensors"))
    x, y = images(a.data, a.examples)
    right = model(x).argmax(1) == y
    radii = [float(radius) for radius in a.radii.split(",")]
    rows, wanted = {}, a.attacks.split(",")
    for radius in radii:
        worst = right.clone()
        for key, name, attack in library_attacks(model, a.norm, radius):
            if key not in wanted:
                continue
            begin = time.perf_counter()
            kept = right.clone()
            # Those that are wrong without an attack need none.
            kept[right] = standing(model, attack(x[right], y[right]).detach(), x[right], y[right], radius, a.norm)
            rows.setdefault(name, []).append((100 * kept.float().mean().item(), time.perf_counter() - begin))
            worst &= kept
        rows.setdefault("the worst of these for each image", []).append((100 * worst.float().mean().item(), None))
        for name, attacks, steps, restarts in [
            ("fgsm", "fgsm", 1, 1),
            ("pgd, 100 x 10", "pgd", 100, 10),
            ("margin, 40 x 4", "margin", 40, 4),
            ("margin, 100 x 9", "margin", 100, 9),
            ("pgd and margin, 100 x 10", "pgd,margin", 100, 10),
            ("apgd-ce, 100", "apgd-ce", 100, 1),
            ("apgd-dlr, 100", "apgd-dlr", 100, 1),
            ("apgd-t, 100 x 9", "apgd-t", 100, 1),
            ("suite standard, 100 x 10", None, 100, 10),
            ("square, 5000", "square", 100, 1),
            ("latent, 100 x 10", "latent", 100, 10),
            ("all attacks in turn, 100 x 10", EVERYTHING, 100, 10),
        ]:
            flags = ["--attacks", attacks] if attacks else ["--suite", "standard"]
            flags += ["--steps", str(steps), "--restarts", str(restarts)]
            found = ours(a.binary, a.run, a.norm, radius, a.examples, a.threads, flags)
            rows.setdefault(f"smoothenc {name}", []).append(found)
    print(f"{a.examples} images, {100 * right.float().mean().item():.1f} % right without an attack, {a.norm}\n")
    print("| attack | " + " | ".join(f"{radius:g}, % | s" for radius in radii) + " |")
    print("|---|" + "---:|" * (2 * len(radii)))
    for name, cells in rows.items():
        texts = [f"{percent:.1f} | {'' if seconds is None else f'{seconds:.1f}'}" for percent, seconds in cells]
        print(f"| {name} | " + " | ".join(texts) + " |")


if __name__ == "__main__":
    main()
