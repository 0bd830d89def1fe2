#!/usr/bin/env python3
"""smoothenc beside PyTorch and JAX: the SE training step and, given a run, the evaluation's attack. And beside Burn:
the matrix product on the GPU.

  python benches/peers/compare.py --rounds 7                       the step: L 20, batch 128, 2 threads
  python benches/peers/compare.py --run runs/mnist-se-1            and the attack on that run's classifier
  python benches/peers/compare.py --arch conv --L 7                the step of the ConvNet
  python benches/peers/compare.py --no-step --conv                 the ConvNet's convolutions, layer by layer
  python benches/peers/compare.py --device gpu --peers eager,compile,graphs,jax
  python benches/peers/compare.py --no-step --train --rounds 1     `train mnist` to its end, with its accuracies
  python benches/peers/compare.py --no-step --products             matrix products of the step, and squares
  python benches/peers/compare.py --no-step --burn                 matrix products beside Burn's, on the GPU
  python benches/peers/compare.py --avx2                           all sides with AVX2 only, as on a processor without AVX-512
  python benches/peers/compare.py --python PYTHON                  an interpreter that has torch and jax

Makes a virtual environment with torch and jax (--venv), builds smoothenc once, and then lets all of them take turns,
so that a machine that slows down slows everybody. The medians over the rounds come out as Markdown tables. Before a
number counts, its sides must report the same sizes and threads; on Linux all are bound to the same processors. Run it
on an idle machine: PyTorch's threads wait by spinning, and suffer most from whatever else runs.

pip takes torch from its default index; where there is no CUDA, --torch-index with the address of PyTorch's index of
CPU wheels (its install page has it) saves gigabytes."""

import argparse
import json
import os
import pathlib
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import venv

HERE = pathlib.Path(__file__).resolve().parent
REPOSITORY = HERE.parents[1]
NAMES = {
    "ours": "smoothenc",
    "eager": "PyTorch eager",
    "last": "PyTorch eager, channels last",
    "compile": "PyTorch torch.compile",
    "graphs": "PyTorch CUDA graph",
    "jax": "JAX jit",
    "burn": "Burn",
}


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--peers", default=None, help="of eager, compile, graphs, jax [default: all that can run]")
    parser.add_argument("--device", choices=["cpu", "gpu"], default="cpu")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--avx2", action="store_true", help="limit all sides to AVX2 (JAX is left out: it has no such limit)")
    parser.add_argument("--arch", choices=["mlp", "conv"], default="mlp", help="of the step [default: %(default)s]")
    parser.add_argument("--L", type=int, default=20)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--dz", type=int, default=64)
    parser.add_argument("--steps", type=int, default=30, help="timed training steps a round")
    parser.add_argument("--no-step", action="store_true", help="leave the training step out")
    parser.add_argument("--run", type=pathlib.Path, help="a finished MNIST run whose classifier is attacked")
    parser.add_argument("--conv", action="store_true", help="also the ConvNet's convolutions, beside PyTorch's")
    parser.add_argument("--train", action="store_true", help="also the whole of `train mnist`")
    parser.add_argument("--products", action="store_true", help="also matrix products, beside PyTorch's")
    parser.add_argument("--radius", type=float, default=0.1)
    parser.add_argument("--examples", type=int, default=1000)
    parser.add_argument("--venv", type=pathlib.Path, default=HERE / ".venv", help="made where it is missing")
    parser.add_argument("--python", help="use this interpreter as it is, without a virtual environment")
    parser.add_argument("--torch-index", help="index to install torch from")
    parser.add_argument("--burn", action="store_true", help="also Burn's matrix product on the GPU beside ours (builds for long)")
    parser.add_argument("--burn-sizes", default="128x784x200,1024x1024x1024", help="m x k x n, .. [default: %(default)s]")
    a = parser.parse_args()
    if a.rounds < 1 or a.threads < 1:
        parser.error("--rounds and --threads must be at least 1")
    return a


def note(text):
    print(text, file=sys.stderr, flush=True)


def run(command, a, device=None, **more):
    """Runs a command on the processors and threads that all sides get; returns its stdout."""
    threads = str(a.threads)
    limits = {
        "SMOOTHENC_SIMD": "avx2",
        "ATEN_CPU_CAPABILITY": "avx2",
        "ONEDNN_MAX_CPU_ISA": "AVX2",
        "MKL_ENABLE_INSTRUCTIONS": "AVX2",
    }
    more = {**(limits if a.avx2 else {}), **more}
    environment = dict(os.environ, RAYON_NUM_THREADS=threads, OMP_NUM_THREADS=threads, MKL_NUM_THREADS=threads, **more)
    bind = None
    if hasattr(os, "sched_setaffinity") and (device or a.device) == "cpu":
        processors = sorted(os.sched_getaffinity(0))[: a.threads]
        if len(processors) < a.threads:
            sys.exit(f"error: --threads {a.threads}: there are {len(processors)} processors")
        bind = lambda: os.sched_setaffinity(0, processors)
    done = subprocess.run(command, capture_output=True, text=True, cwd=REPOSITORY, env=environment, preexec_fn=bind)
    if done.returncode:
        tail = "\n".join(done.stderr.strip().splitlines()[-15:])
        sys.exit(f"error: {' '.join(map(str, command))}\n{tail}")
    return done.stdout


def result_of(command, a, device=None, **more):
    """The JSON in a command's last line."""
    return json.loads(run(command, a, device, **more).strip().splitlines()[-1])


def interpreter(a):
    """The Python that has the peers, installing them where they are missing."""
    if a.python:
        return a.python
    python = a.venv / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    if not python.exists():
        note(f"making {a.venv}")
        venv.create(a.venv, with_pip=True)
    has = lambda module: subprocess.run([python, "-c", f"import {module}"], capture_output=True).returncode == 0
    pip = [python, "-m", "pip", "install", "--quiet"]
    if not has("torch"):
        note("installing torch")
        index = ["--index-url", a.torch_index] if a.torch_index else []
        subprocess.run(pip + ["numpy"], check=True)
        subprocess.run(pip + index + ["torch"], check=True)
    if not has("jax"):
        note("installing jax")
        subprocess.run(pip + ["jax[cuda13]" if a.device == "gpu" else "jax"], check=True)
    return str(python.absolute())


def bench_binary(name):
    """Builds a bench and returns the path of its binary, so that cargo takes no part in the rounds."""
    note(f"building benches/{name}.rs")
    command = ["cargo", "bench", "--no-run", "--bench", name, "--message-format", "json"]
    built = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, cwd=REPOSITORY)
    for line in built.stdout.splitlines():
        message = json.loads(line)
        if message.get("executable") and message["target"]["name"] == name:
            return message["executable"]
    sys.exit(f"error: cargo did not say where benches/{name}.rs is built")


def threads_of(result):
    """The threads a side reports; none for a GPU."""
    told = re.search(r"\((\d+) threads", result["device"])
    return int(told.group(1)) if told else result.get("threads")


def check_same(results, keys, a):
    """Ends the program unless all sides did the same work with the same threads."""
    first = results["ours"]
    for side, result in results.items():
        for key in keys:
            if abs(result[key] - first[key]) > 1e-6 * abs(first[key]):
                sys.exit(f"error: {NAMES[side]} reports {key} {result[key]}, smoothenc {first[key]}")
        if a.device == "cpu" and threads_of(result) != a.threads:
            sys.exit(f"error: {NAMES[side]} reports {threads_of(result)} threads, not {a.threads}")


def compare(commands, keys, time_key, a):
    """Seconds of each side in each round, and the last results."""
    seconds = {side: [] for side in commands}
    for round_number in range(1, a.rounds + 1):
        results = {side: result_of(command, a) for side, command in commands.items()}
        check_same(results, keys, a)
        for side, result in results.items():
            seconds[side].append(result[time_key])
        told = ", ".join(f"{NAMES[side]} {1e3 * times[-1]:.2f} ms" for side, times in seconds.items())
        note(f"round {round_number}: {told}")
    return seconds, results


def table(title, seconds, results, extra):
    """A Markdown table: medians, and the medians of the rounds' ratios ours / theirs."""
    heads = ["", "median, ms", "fastest, ms", "ours / theirs"] + [head for head, _ in extra]
    lines = [f"### {title}", "", f"| {' | '.join(heads)} |", "|---|" + "---:|" * (len(heads) - 1)]
    for side, times in seconds.items():
        ratio = statistics.median(x / y for x, y in zip(seconds["ours"], times))
        cells = [NAMES[side], f"{1e3 * statistics.median(times):.2f}", f"{1e3 * min(times):.2f}"]
        cells += ["" if side == "ours" else f"{ratio:.3f}"] + [f"{results[side][key]:.2f}" for _, key in extra]
        lines.append(f"| {' | '.join(cells)} |")
    print("\n".join(lines) + "\n", flush=True)


def step(a, python, peers):
    sizes = ["--L", a.L, "--batch", a.batch, "--dz", a.dz]
    convolutions = a.arch == "conv"
    torch = [python, HERE / "bench_torch_step.py", *sizes, "--steps", a.steps, "--threads", a.threads]
    torch += ["--device", "cuda" if a.device == "gpu" else "cpu"]
    jax = [python, HERE / "bench_jax_step.py", *sizes, "--steps", a.steps]
    jax += ["--platform", "cuda" if a.device == "gpu" else "cpu"]
    torch += ["--arch", a.arch]
    commands = {
        "ours": [bench_binary("step"), *sizes, "--arch", a.arch, "--count", a.steps, "--device", a.device],
        "eager": torch,
        "last": torch + ["--channels-last"],
        "compile": torch + ["--compile"],
        "graphs": torch + ["--graphs"],
        "jax": jax,
    }
    # JAX's twin has dense layers only, and these have one memory layout.
    sides = ["ours", *(peers if not convolutions else [peer for peer in peers if peer != "jax"] + ["last"])]
    commands = {side: list(map(str, c)) for side, c in commands.items() if side in sides}
    seconds, results = compare(commands, ["L", "batch", "dz"], "median_s", a)
    network = "ConvNet's SE step" if convolutions else "SE step"
    title = f"{network}: L {a.L}, batch {a.batch}, Dz {a.dz}, {where(results['ours'], a)}"
    table(title, seconds, results, [])


def train(a, python):
    """The whole training of MNIST, after which the accuracies of all sides must agree."""
    note("building smoothenc")
    subprocess.run(["cargo", "build", "--release", "--quiet"], check=True, cwd=REPOSITORY)
    target = json.loads(run(["cargo", "metadata", "--format-version", "1", "--no-deps"], a))["target_directory"]
    # The settings of `train mnist`.
    torch = [python, HERE / "bench_torch_step.py", "--mnist", REPOSITORY / "datasets" / "mnist", "--threads", a.threads]
    torch += ["--L", 7, "--dz", 128, "--gamma", 100, "--v", 0.02, "--device", "cuda" if a.device == "gpu" else "cpu"]
    torch = list(map(str, torch))
    seconds, results = {"ours": [], "eager": [], "compile": []}, {}
    for round_number in range(1, a.rounds + 1):
        with tempfile.TemporaryDirectory() as folder:
            command = [os.path.join(target, "release", "smoothenc"), "train", "mnist", "--out", f"{folder}/run"]
            run([*command, "--device", a.device, "--seed", str(round_number - 1), "--quiet"], a)
            record = json.loads(pathlib.Path(folder, "run", "result.json").read_text())
        task = record["tasks"]["digit"]
        standing = task["attack"]["adversarial_accuracy"]["0.1"]
        results["ours"] = {"seconds": record["train_seconds"], "accuracy": task["nominal_accuracy"], "standing": standing}
        results["eager"] = result_of(torch, a)
        results["compile"] = result_of(torch + ["--compile"], a)
        for side, result in results.items():
            seconds[side].append(result["seconds"])
            note(f"round {round_number}: {NAMES[side]} {result['seconds']:.1f} s, {result['accuracy']:.2f} %, under attack {result['standing']:.1f} %")
            if abs(result["accuracy"] - results["ours"]["accuracy"]) > 2:
                sys.exit(f"error: {NAMES[side]} reaches {result['accuracy']:.2f} %, smoothenc {results['ours']['accuracy']:.2f} %")
    title = f"`train mnist`, 12,000 steps, {a.device}, {a.threads} threads, {a.rounds} round{'s' * (a.rounds > 1)} in turn"
    table(title, seconds, results, [("accuracy, %", "accuracy"), ("under attack at 0.1, %", "standing")])


def conv(a, python, channels, side):
    """Each layer by itself, forwards and with its gradients, and their sum; PyTorch in both memory layouts."""
    sizes = ["--batch", a.batch, "--channels", channels, "--side", side, "--count", a.steps]
    torch = [python, HERE / "bench_torch_conv.py", *sizes, "--threads", a.threads]
    torch += ["--device", "cuda" if a.device == "gpu" else "cpu"]
    commands = {
        "ours": [bench_binary("conv"), *sizes, "--device", a.device],
        "eager": torch,
        "last": torch + ["--channels-last"],
    }
    commands = {side: list(map(str, c)) for side, c in commands.items()}
    rounds = [{name: result_of(command, a) for name, command in commands.items()} for _ in range(a.rounds)]
    check_same(rounds[0], ["batch", "channels", "side"], a)
    title = f"Convolutions: {channels}x{side}x{side} -> 32 -> 64 channels and back, batch {a.batch}"
    lines = [f"### {title}, {where(rounds[0]['ours'], a)}", ""]
    lines += ["| median, ms | smoothenc | PyTorch | PyTorch, channels last | ours / faster PyTorch |"]
    lines += ["|---|---:|---:|---:|---:|"]
    for layer in [*rounds[0]["ours"]["layers"], "sum"]:
        time = lambda result: result["median_s"] if layer == "sum" else result["layers"][layer]
        cells = [1e3 * statistics.median(time(r[name]) for r in rounds) for name in commands]
        ratio = statistics.median(time(r["ours"]) / min(time(r["eager"]), time(r["last"])) for r in rounds)
        lines.append(f"| {layer} | {' | '.join(f'{ms:.2f}' for ms in cells)} | {ratio:.2f} |")
    print("\n".join(lines) + "\n", flush=True)


# Of a training step: layers forwards, and the gradients of inputs and of weights. Then squares.
PRODUCTS = (
    "128x784x200:nt 128x200x200:nt 256x784x200:nt 256x200x200:nt 128x200x784:nt "
    "256x200x200 128x784x200 200x256x784:tn 200x256x200:tn 784x128x200:tn "
    "512x512x512 1024x1024x1024 2048x2048x2048"
)


def products(a, python):
    """Rates of matrix products; all sizes of one side, then of the other."""
    sizes = PRODUCTS.split()
    ours = [bench_binary("matmul"), "--device", a.device, *sizes]
    torch = [python, HERE / "bench_torch_matmul.py", *sizes, "--threads", a.threads]
    torch += ["--device", "cuda" if a.device == "gpu" else "cpu"]
    commands = {"ours": list(map(str, ours)), "eager": list(map(str, torch))}
    rounds = []
    for round_number in range(1, a.rounds + 1):
        lines = {side: [json.loads(line) for line in run(c, a).splitlines()] for side, c in commands.items()}
        for of_size in zip(*lines.values()):
            check_same(dict(zip(lines, of_size)), [], a)
            if len({result["form"] for result in of_size}) > 1:
                sys.exit(f"error: the sides report {[result['form'] for result in of_size]}")
        rounds.append(lines)
        note(f"round {round_number}: {len(sizes)} products")
    lines = [f"### Products m x k x n, {where(rounds[0]['ours'][0], a)}", ""]
    lines += ["| GFLOP/s, median | smoothenc | PyTorch | ours / theirs |", "|---|---:|---:|---:|"]
    for i, size in enumerate(sizes):
        rate = lambda side: statistics.median(r[side][i]["gflops"] for r in rounds)
        ratio = statistics.median(r["ours"][i]["gflops"] / r["eager"][i]["gflops"] for r in rounds)
        lines.append(f"| {size} | {rate('ours'):.0f} | {rate('eager'):.0f} | {ratio:.2f} |")
    print("\n".join(lines) + "\n", flush=True)


def where(result, a):
    return f"{result['device']}, {a.rounds} round{'s' * (a.rounds > 1)} in turn"


def attack(a, python, peers):
    with tempfile.TemporaryDirectory() as folder:
        # The attack writes its outcome into the run.
        copy = pathlib.Path(folder) / "run"
        copy.mkdir()
        for name in ["config.toml", "model.safetensors", "result.json"]:
            if not (a.run / name).is_file():
                sys.exit(f"error: {a.run / name} is missing: --run takes a finished run")
            shutil.copy(a.run / name, copy)
        sizes = ["--run", copy, "--radius", a.radius, "--examples", a.examples]
        torch = [python, HERE / "bench_torch_attack.py", *sizes, "--threads", a.threads]
        torch += ["--device", "cuda" if a.device == "gpu" else "cpu"]
        commands = {
            "ours": [bench_binary("attack"), *sizes, "--device", a.device],
            "eager": torch,
            "compile": torch + ["--compile"],
        }
        commands = {side: list(map(str, c)) for side, c in commands.items() if side == "ours" or side in peers}
        seconds, results = compare(commands, ["radius", "steps", "restarts", "examples"], "seconds", a)
    ours = results["ours"]
    for side, result in results.items():
        # The random starts differ, so a few images may; more would be another attack.
        if abs(result["standing"] - ours["standing"]) > 2:
            sys.exit(f"error: {result['standing']} % stand in {NAMES[side]}, {ours['standing']} % in smoothenc")
    title = f"Attack: {ours['examples']} images, {ours['steps']} steps x {ours['restarts']} restarts, radius {a.radius}"
    table(f"{title}, {where(ours, a)}", seconds, results, [("standing, %", "standing")])


def burn(a):
    """Burn's matrix product on wgpu and ours, on the same device, in turn."""
    note("building Burn: half an hour on two cores")
    manifest = HERE / "burn_matmul" / "Cargo.toml"
    command = ["cargo", "build", "--release", "--manifest-path", manifest, "--message-format", "json"]
    built = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    messages = [json.loads(line) for line in built.splitlines()]
    theirs = next(m["executable"] for m in messages if m.get("executable"))
    ours = bench_binary("matmul")
    for size in a.burn_sizes.split(","):
        lines = {"ours": [], "burn": []}
        for round_number in range(1, a.rounds + 1):
            first = result_of([ours, "--device", "gpu", "--samples", "5", size], a, device="gpu")
            # Burn takes a software device only where it is told to.
            software = {"CUBECL_WGPU_DEFAULT_DEVICE": "Cpu"} if first["software"] else {}
            lines["ours"].append(first)
            lines["burn"].append(result_of([theirs, "--samples", "5", size], a, device="gpu", **software))
            if lines["burn"][-1]["size"] != first["size"]:
                sys.exit(f"error: Burn reports {lines['burn'][-1]['size']}, smoothenc {first['size']}")
            told = ", ".join(f"{NAMES[side]} {1e3 * results[-1]['median_s']:.2f} ms" for side, results in lines.items())
            note(f"round {round_number}, {size}: {told}")
        seconds = {side: [line["median_s"] for line in results] for side, results in lines.items()}
        table(f"Matrix product {size} (m x k x n), {where(first, a)}", seconds, {}, [])


def main():
    a = arguments()
    a.run = a.run and a.run.absolute()
    python = interpreter(a) if a.run or a.conv or a.products or a.train or not a.no_step else None
    cuda = a.device == "gpu"
    able = ["eager", "compile"] + ["jax"] * (not a.avx2) + ["graphs"] * cuda
    peers = a.peers.split(",") if a.peers else able
    for peer in peers:
        if peer not in able:
            sys.exit(f"error: --peers {peer}: on {a.device} there are {', '.join(able)}")
    if not a.no_step:
        step(a, python, peers)
    if a.train:
        train(a, python)
    if a.conv:
        for channels in [1, 3]:
            conv(a, python, channels, 28)
    if a.products:
        products(a, python)
    if a.run:
        attack(a, python, peers)
    if a.burn:
        burn(a)


main()
