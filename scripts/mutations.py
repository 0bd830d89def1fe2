#!/usr/bin/env python3
"""Damages files, one at a time, and runs a command that reads them.

Whatever the damage: the exit code is 0, 1 or 2, nothing panics, no command takes a GiB of memory or 10 seconds. And no
damage is believed: where a command succeeds, its numbers are those of the undamaged file, or a warning says what is
wrong, or the file is a user's own in a form without a checksum, where other content is other content. Prints a table by
the kind of file.

    scripts/mutations.py [--binary target/release/smoothenc] [--count 10000] [--seed 0] [--only KIND,KIND]

A file that was wrong is kept in the folder `--keep`. Needs Python 3.9 and nothing else, and a Unix. Exit code 1 where
anything was wrong.
"""

import argparse
import gzip
import json
import os
import random
import re
import resource
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import threading
import time
import zipfile
from collections import Counter
from pathlib import Path

from kills import write_set

MOST_MEMORY = 1 << 30
MOST_SECONDS = 10
# A command that hangs is ended after this; seconds above are those of the processor, which others use too.
MOST_WAITING = 60

SETTINGS = """\
dataset = "tiny"
data-dir = "set"
device = "cpu"
hidden = [8]
latent = 2
batch = 20
iterations = 40
log-every = 10
checkpoint-every = 20
selection-steps = 2
[probe]
epochs = 2
least-steps = 10
[attack]
steps = 3
restarts = 1
examples = 20
radii = [0.1, 0.3]
"""
GRID = """\
radius = 0.1
[base]
%s[base.attack]
steps = 3
restarts = 1
examples = 20
radii = [0.1, 0.3]
[grid]
gamma = [1, 2]
""" % SETTINGS.split("[probe]")[0]
DIVERGENCE = """\
{"diag": [{"gamma": 1, "mu_a": [0.5, 1], "logvar_a": [-2, 0], "mu_b": [0, 1], "logvar_b": [-1, 0]}],
 "full": [{"gamma": 2, "mu_a": [0, 1], "cov_a": [[1, 0.2], [0.2, 2]], "mu_b": [0, 0], "cov_b": [[1, 0], [0, 1]]}]}
"""
# A user's settings may ask for anything; these keep what they ask for small.
CHEAP = (
    "--iterations 3 --batch 4 --hidden 4 --latent 2 --selection-steps 1 --attack-steps 1 --attack-restarts 1"
    " --attack-examples 5 --attack-radii 0.1 --probe-epochs 1 --probe-least-steps 1 --probe-batch 50 --device cpu"
)

EVALUATE = (
    "evaluate --data tiny --data-dir set --device cpu --json --radii 0.1 --steps 1 --restarts 1 --probe-epochs 1"
    " --probe-least-steps 1"
)


class Kind:
    """A file that is damaged, and what may be done with it."""

    def __init__(self, name, place, commands, ours, text=False, exact=False, whole=()):
        self.name, self.place, self.commands, self.text = name, place, commands, text
        # Written by the program, or in a form with a checksum: damage must not change a number.
        self.ours = ours
        # `check` must find every changed byte.
        self.exact = exact
        # Kinds of damage that must be refused though the form has no checksum.
        self.whole = whole


RUN = ["attack run --device cpu --json", "probe run --device cpu --json", "encode run --device cpu --out codes.npy",
       "train --resume run --json", "check run", "compare run other --json", "runs . --json"]
KINDS = [
    Kind("config.toml of a run", "run/config.toml", RUN, ours=True, text=True),
    Kind("model", "run/model.safetensors", RUN, ours=True, exact=True),
    Kind("result.json", "run/result.json", RUN, ours=True, text=True),
    Kind("outcomes", "run/outcomes/label-1.npz", ["check run"], ours=True, exact=True),
    Kind("checkpoint", "half/checkpoint.safetensors", ["train --resume half --json", "check half", "runs . --json"],
         ours=True, exact=True),
    Kind("config.toml of half a run", "half/config.toml", ["train --resume half --json", "check half", "runs . --json"],
         ours=True, text=True),
    Kind("metrics", "half/metrics.jsonl", ["train --resume half --json", "check half"], ours=True, text=True),
    Kind("list of a change", "half/.change/list.json", ["train --resume half --json", "check half"], ours=True,
         text=True),
    Kind("result.json of a sweep", "swept/runs/*seed0*/result.json", ["sweep grid.toml --device cpu --out swept"],
         ours=True, text=True),
    Kind("settings", "base.toml", ["train --config base.toml --out new --data-dir nowhere",
                                   f"train --config base.toml --out new {CHEAP}"], ours=False, text=True),
    Kind("grid", "grid-nowhere.toml", ["sweep grid-nowhere.toml --device cpu --out new"], ours=False, text=True),
    Kind("divergence", "pairs.json", ["divergence pairs.json"], ours=False, text=True),
    Kind("IDX images", "set/train-images-idx3-ubyte", ["data info tiny --data-dir set --json"], ours=False,
         whole=("truncated",)),
    Kind("IDX labels", "set/train-labels-idx1-ubyte", ["data info tiny --data-dir set --json"], ours=False,
         whole=("truncated",)),
    Kind("gzipped IDX images", "packed/train-images-idx3-ubyte.gz", ["data info tiny --data-dir packed --json"],
         ours=True),
    Kind("gzipped IDX labels", "packed/train-labels-idx1-ubyte.gz", ["data info tiny --data-dir packed --json"],
         ours=True),
    Kind("npz, stored", "stored.npz", ["data info tiny --data-dir stored.npz --json"], ours=True),
    Kind("npz, deflated", "deflated.npz", ["data info tiny --data-dir deflated.npz --json"], ours=True),
    Kind("CelebA attributes", "faces/list_attr_celeba.txt", ["data info celeba --data-dir faces --json"], ours=False,
         text=True),
    Kind("CelebA partition", "faces/list_eval_partition.txt", ["data info celeba --data-dir faces --json"], ours=False,
         text=True),
    Kind("photograph", "faces/img_align_celeba/000003.jpg",
         ["data info celeba --data-dir faces --json", "data info celeba --data-dir faces --skip-bad --json"],
         ours=False, whole=("truncated",)),
    Kind("image cache", "cached/*cache*", ["data info celeba --data-dir cached --json"], ours=True),
    # What comes behind the graph may be lost unseen: the form has no end mark.
    Kind("network, ONNX", "network.onnx", [f"{EVALUATE} network.onnx --as classifier", f"{EVALUATE} network.onnx"],
         ours=False),
    Kind("network, safetensors", "network.safetensors", [f"{EVALUATE} network.safetensors"], ours=False,
         whole=("truncated",)),
    Kind("picture in a folder", "folders/train/a/1.png", ["data info tiny --data-dir folders --json"], ours=True),
]

EXTREMES = ["0", "-1", "1e999", "-1e308", "1e-320", "NaN", "inf", "18446744073709551615", "18446744073709551616",
            "9223372036854775807", "4294967296", "2147483648", "65536", "0.1", "1e30", "-0.0", "999999999", '""', "[]"]
WORDS = [0, 1, 0xFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 0x7FFFFFFFFFFFFFFF, 0xFFFFFFFFFFFFFFFF]


def damage(content, text, draw):
    """What kind of damage, and the damaged content."""
    size = len(content)
    at, to = sorted((draw.randrange(size + 1), draw.randrange(size + 1)))
    to = min(to, at + draw.choice([1, 2, 8, 40, size]))
    made = bytearray(content)
    way = draw.choice(["bits flipped", "truncated", "range removed", "range twice", "ranges swapped", "bytes inserted",
                       "number replaced", "header claims much", "bytes replaced"])
    if way == "bits flipped" and size:
        for _ in range(draw.choice([1, 1, 1, 2, 8])):
            made[draw.randrange(size)] ^= 1 << draw.randrange(8)
    elif way == "truncated":
        made = made[: draw.randrange(size)] if size else made
    elif way == "range removed":
        del made[at:to]
    elif way == "range twice":
        made[to:to] = made[at:to]
    elif way == "ranges swapped":
        length = max(1, (to - at) // 2)
        other = draw.randrange(max(1, size - length))
        if other + length <= at or at + length <= other:
            made[at : at + length], made[other : other + length] = (
                content[other : other + length], content[at : at + length])
    elif way == "bytes inserted":
        made[at:at] = bytes(draw.randrange(256) for _ in range(draw.choice([1, 2, 4, 16, 300])))
    elif way == "bytes replaced":
        made[at:to] = bytes([draw.choice([0, 32, 48, 57, 255])]) * (to - at)
    elif text:
        numbers = list(re.finditer(rb"-?\d[\d.eE+-]*", content))
        if numbers:
            found = draw.choice(numbers)
            if draw.random() < 0.3:
                number = str(draw.randrange(10 ** draw.randrange(1, 20)))
            else:
                number = draw.choice(EXTREMES)
            made[found.start() : found.end()] = number.encode()
    else:
        width = draw.choice(["<H", ">H", "<I", ">I", "<Q", ">Q"])
        number = struct.pack(width, draw.choice(WORDS) & (256 ** struct.calcsize(width) - 1))
        within = min(size, 64) if way == "header claims much" else size
        at = draw.randrange(max(1, within - len(number) + 1))
        made[at : at + len(number)] = number
    return way, bytes(made)


class Lab:
    """A folder with a sound file of every kind, which each command finds as it was."""

    def __init__(self, binary, base):
        self.binary, self.base, self.sound, self.now = str(Path(binary).resolve()), base, base / "sound", base / "now"
        self.touched = None
        self.sound.mkdir()
        self.prepare(self.sound)
        # Paths in settings are absolute: what is sound lies where commands will find it.
        shutil.move(self.sound, self.now)
        for line in (
            "train --config base.toml --out run",
            "train --config base.toml --out other --seed 1 --gamma 2",
            "train --config base.toml --out half --iterations 20",
            "sweep grid.toml --device cpu --out swept",
            "data make celeba --out faces --images 20",
        ):
            self.must(line)
        self.must("export run --onnx network.onnx --device cpu")
        shutil.copy(self.now / "run/model.safetensors", self.now / "network.safetensors")
        shutil.copytree(self.now / "faces", self.now / "cached")
        self.must("data info celeba --data-dir cached")
        half = self.now / "half"
        # Trained for half of what it is to be, as after a kill.
        settings = (half / "config.toml").read_text()
        self.must("train --config base.toml --out longer")
        (half / "config.toml").write_bytes((self.now / "longer/config.toml").read_bytes())
        assert settings != (half / "config.toml").read_text()
        for name in ("result.json", "model.safetensors", "report.html"):
            (half / name).unlink()
        shutil.rmtree(half / "outcomes")
        shutil.rmtree(self.now / "longer")
        shutil.copytree(self.now, self.sound)

    def prepare(self, folder):
        write_set(folder / "set")
        packed = folder / "packed"
        packed.mkdir()
        for file in (folder / "set").iterdir():
            (packed / f"{file.name}.gz").write_bytes(gzip.compress(file.read_bytes(), mtime=0))
        (folder / "base.toml").write_text(SETTINGS)
        (folder / "grid.toml").write_text(GRID)
        (folder / "grid-nowhere.toml").write_text(GRID.replace('"set"', '"nowhere"'))
        (folder / "pairs.json").write_text(DIVERGENCE)
        for name, method in (("stored", zipfile.ZIP_STORED), ("deflated", zipfile.ZIP_DEFLATED)):
            with zipfile.ZipFile(folder / f"{name}.npz", "w", method) as archive:
                for part, count in (("train", 12), ("test", 6)):
                    pixels = bytes(i * 7 % 256 for i in range(count * 16))
                    archive.writestr(f"x_{part}.npy", npy("|u1", f"({count}, 4, 4)", pixels))
                    archive.writestr(f"y_{part}.npy", npy("<i4", f"({count},)", struct.pack(f"<{count}i", *(
                        i % 3 for i in range(count)))))
        for part in ("train", "test"):
            for label in ("a", "b"):
                place = folder / "folders" / part / label
                place.mkdir(parents=True)
                for i in range(3):
                    (place / f"{i}.png").write_bytes(png(bytes((i * 40 + j * 5) % 256 for j in range(64))))

    def must(self, line):
        done = self.run(line)
        assert done.code == 0, f"{line}: {done.code} {done.errors}"

    def fresh(self, kind):
        """Everything as it was, as far as commands of this kind change it."""
        for name in ("new", "codes.npy"):
            path = self.now / name
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
        for top in {self.touched, kind.place.split("/")[0]} - {None}:
            path = self.now / top
            if path.is_dir():
                shutil.rmtree(path)
                shutil.copytree(self.sound / top, path)
            else:
                shutil.copy2(self.sound / top, path)
        self.touched = kind.place.split("/")[0]
        if kind.name == "list of a change":
            # Decided, and its process ended: the report takes its place again.
            folder = self.now / "half/.change"
            folder.mkdir()
            (folder / "0").write_bytes(b"new\n")
            (folder / "list.json").write_text('{"put":["report.html"],"remove":["old.json"],"remove_folders":["deep"]}')
        return sorted(self.now.glob(kind.place))[0]

    def run(self, line):
        return Done(self.binary, line, self.now)

    def numbers(self, kind, done, untouched=None):
        """Everything that a command told or wrote in numbers, but times; not the damaged file that it left alone."""
        told = [("output", plain(done.output))]
        top = kind.place.split("/")[0]
        if top in ("run", "half", "swept"):
            for path in sorted((self.now / top).rglob("*")):
                if path == untouched:
                    continue
                if path.name in ("result.json", "config.toml"):
                    told.append((str(path), plain(path.read_text(errors="replace"))))
                elif path.name in ("model.safetensors", "label-1.npz", "results.csv"):
                    told.append((str(path), path.read_bytes()))
        codes = self.now / "codes.npy"
        if codes.exists():
            told.append(("codes", codes.read_bytes()))
        return told


def plain(text):
    """A text without times; JSON by its values."""
    try:
        value = json.loads(text)
    except ValueError:
        return re.sub(r"in [\d.]+ s \([\d.]+ ms a step\)", "", text)
    return json.dumps(without_times(value), sort_keys=True)


def without_times(value):
    if isinstance(value, dict):
        # The checksum of a record covers the times.
        left_out = ("train_seconds", "seconds_per_step", "metrics.jsonl", "sha256" if "format" in value else "")
        return {key: without_times(inner) for key, inner in value.items() if key not in left_out}
    return [without_times(inner) for inner in value] if isinstance(value, list) else value


class Done:
    """A command that has ended: exit code (below 0 for a signal), texts, memory and processor time."""

    def __init__(self, binary, line, folder):
        def limit():
            # A bomb is not to take the machine with it.
            resource.setrlimit(resource.RLIMIT_AS, (4 << 30, 4 << 30))
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))

        environment = {**os.environ, "RAYON_NUM_THREADS": "1"}
        environment.pop("RUST_LOG", None)
        with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
            child = subprocess.Popen([binary, *line.split()], cwd=folder, stdin=subprocess.DEVNULL, stdout=out,
                                     stderr=err, preexec_fn=limit, env=environment)
            self.hung = False

            def end():
                self.hung = True
                child.send_signal(signal.SIGKILL)

            clock = threading.Timer(MOST_WAITING, end)
            clock.start()
            _, status, usage = os.wait4(child.pid, 0)
            clock.cancel()
            child.returncode = self.code = -os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)
            self.seconds, self.memory = usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024
            out.seek(0), err.seek(0)
            self.output = out.read().decode(errors="replace")
            self.errors = err.read().decode(errors="replace")


def same(lab, kind, line, done, file, damaged, sound):
    """Whether a command that ended well came to the numbers of the sound file."""
    untouched = file if file.exists() and file.read_bytes() == damaged else None
    numbers = lab.numbers(kind, done, untouched)
    if untouched is None:
        return numbers == sound[kind.name, line]
    # The file's own content counts on neither side.
    return numbers == [part for part in sound[kind.name, line] if part[0] != str(file)]


def judge(kind, line, way, done, numbers_are_sound):
    """What is wrong with how a command took a damaged file; nothing where it took it well."""
    if done.hung or done.seconds > MOST_SECONDS:
        return "slow"
    if done.code not in (0, 1, 2):
        return f"exit {done.code}"
    if "panicked" in done.errors:
        return "panicked"
    if done.memory > MOST_MEMORY:
        return "memory"
    if done.code != 0:
        return None if done.errors.strip() or done.output.strip() else "silent"
    if kind.exact and line.startswith("check"):
        return "not found by check"
    if way in kind.whole and "--skip-bad" not in line:
        return "accepted"
    # `runs` lists what does not read with the reason.
    told = "WARN" in done.errors or "warning" in done.errors or '"error"' in done.output
    if kind.ours and not told and not numbers_are_sound():
        return "other numbers"
    return None


def npy(descr, shape, data):
    header = "{'descr': '%s', 'fortran_order': False, 'shape': %s, }" % (descr, shape)
    header += " " * (-(11 + len(header)) % 64) + "\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header.encode() + data


def png(pixels):
    """An 8 x 8 picture in grey."""
    import zlib

    def chunk(name, data):
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    rows = b"".join(b"\0" + pixels[8 * y : 8 * y + 8] for y in range(8))
    head = struct.pack(">IIBBBBB", 8, 8, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--binary", default="target/release/smoothenc")
    parser.add_argument("--count", type=int, default=10000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", default="", help="kinds of files, by parts of their names")
    parser.add_argument("--keep", help="a folder for files that were taken wrongly")
    args = parser.parse_args()
    only = [part for part in args.only.split(",") if part]
    kinds = [kind for kind in KINDS if not only or any(part in kind.name for part in only)]
    draw = random.Random(args.seed)
    with tempfile.TemporaryDirectory() as folder:
        wrong = mutations(Lab(args.binary, Path(folder)), kinds, args.count, draw, args.keep)
    for text in wrong[:40]:
        print("WRONG", text)
    return 1 if wrong else 0


def mutations(lab, kinds, count, draw, keep):
    sound = {}
    for kind in kinds:
        for line in kind.commands:
            lab.fresh(kind)
            done = lab.run(line)
            if kind.name != "grid" and "nowhere" not in line:
                assert done.code == 0, f"{line}: {done.code} {done.errors}"
            sound[kind.name, line] = lab.numbers(kind, done)
    table = {kind.name: Counter() for kind in kinds}
    slowest, largest, wrong, started = {}, {}, [], time.time()
    for number in range(count):
        kind = kinds[number % len(kinds)]
        line = draw.choice(kind.commands)
        file = lab.fresh(kind)
        content = file.read_bytes()
        way, damaged = damage(content, kind.text, draw)
        while damaged == content:
            way, damaged = damage(content, kind.text, draw)
        file.write_bytes(damaged)
        if kind.place.startswith("faces/"):
            # What was kept of the photographs would be taken again.
            for cache in (lab.now / "faces").glob("*cache*"):
                cache.unlink()
        done = lab.run(line)
        fault = judge(kind, line, way, done, lambda: same(lab, kind, line, done, file, damaged, sound))
        row = table[kind.name]
        row["files"] += 1
        row["refused" if done.code else "accepted"] += 1
        largest[kind.name] = max(largest.get(kind.name, 0), done.memory)
        slowest[kind.name] = max(slowest.get(kind.name, 0), done.seconds)
        if fault:
            row["wrong"] += 1
            last = done.errors.strip().splitlines()[-1:] or [""]
            wrong.append(f"{number}, {kind.name}, {way}, {line}: {fault}; {last[0][:300]}")
            if keep:
                Path(keep).mkdir(parents=True, exist_ok=True)
                (Path(keep) / f"{number}-{file.name}").write_bytes(damaged)
        if sys.stderr.isatty():
            print(f"\r{number + 1} of {count}, wrong: {len(wrong)}", end="", file=sys.stderr)
    print(f"mutations: {count} in {time.time() - started:.0f} s, wrong: {len(wrong)}")
    print("  files refused accepted wrong  most MiB  most s  kind")
    for kind in kinds:
        row, name = table[kind.name], kind.name
        if row["files"]:
            print(f"  {row['files']:5} {row['refused']:7} {row['accepted']:8} {row['wrong']:5}"
                  f"  {largest[name] / 2**20:8.0f}  {slowest[name]:6.2f}  {name}")
    return wrong


if __name__ == "__main__":
    sys.exit(main())
