#!/usr/bin/env python3
"""Kills the program at random moments, and lets two processes race, on a folder of small runs.

After each kill the run must be whole by `smoothenc check` once it is opened again, and gone on with it must come to the
same model and the same numbers as a run that was never killed. Then the project's own tests have every call to the
system fail once, by each of five faults. Prints a table of what was done and what was wrong.

    scripts/kills.py [--binary target/release/smoothenc] [--kills 1000] [--races 200] [--seed 0] [--no-faults]

Needs Python 3.9, and cargo for the faults. Exit code 1 where anything was lost, mixed or left over.
"""

import argparse
import hashlib
import json
import random
import re
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

SETTINGS = """\
dataset = "tiny"
data-dir = "set"
device = "cpu"
hidden = [16, 16]
latent = 4
batch = 50
iterations = 400
log-every = 20
checkpoint-every = 20
selection-steps = 5
[attack]
steps = 10
restarts = 2
"""
GRID = '[base]\n%s[base.attack]\nsteps = 4\nrestarts = 1\n[grid]\ngamma = [1, 2]\n' % SETTINGS.split("[attack]")[0]


def write_set(folder):
    """Three classes of noisy 8 x 8 images in IDX files."""
    folder.mkdir()
    draw = random.Random(7)
    for part, count in (("train", 300), ("t10k", 60)):
        labels = [i % 3 for i in range(count)]
        pixels = bytes(
            min(255, max(0, int(draw.gauss(200 if (at // 8) % 3 == label else 40, 30))))
            for label in labels
            for at in range(64)
        )
        (folder / f"{part}-images-idx3-ubyte").write_bytes(struct.pack(">4I", 0x803, count, 8, 8) + pixels)
        (folder / f"{part}-labels-idx1-ubyte").write_bytes(struct.pack(">2I", 0x801, count) + bytes(labels))


class Lab:
    def __init__(self, binary, base):
        self.binary, self.base = str(Path(binary).resolve()), base
        write_set(base / "set")
        (base / "base.toml").write_text(SETTINGS)
        (base / "grid.toml").write_text(GRID)

    def start(self, line):
        quiet = subprocess.DEVNULL
        return subprocess.Popen([self.binary, *line.split()], cwd=self.base, stdout=quiet, stderr=subprocess.PIPE)

    def run(self, line):
        child = self.start(line)
        errors = child.communicate()[1].decode(errors="replace")
        return child.returncode, errors

    def essence(self, run):
        """Model and numbers of a run, all but times and what depends on them; none where it is not finished."""
        folder = self.base / run
        try:
            record = json.loads((folder / "result.json").read_text())
            model = hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()
        except FileNotFoundError:
            return None
        for key in ("train_seconds", "seconds_per_step", "sha256"):
            record.pop(key, None)
        # Its lines have times.
        record.get("files", {}).pop("metrics.jsonl", None)
        lines = (folder / "metrics.jsonl").read_text().splitlines()
        return model, record, [json.loads(line)["step"] for line in lines]

    def content(self, folder):
        """Every file of a folder, or one file, by its checksum."""
        files = [self.base / folder, *(self.base / folder).rglob("*")]
        files = sorted(path for path in files if path.is_file())
        return [(str(path), hashlib.sha256(path.read_bytes()).hexdigest()) for path in files]

    def left_over(self, folder):
        places = [*(self.base / folder).rglob("*"), *self.base.glob("*")]
        return sorted(path.name for path in places if path.name.startswith("."))


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--binary", default="target/release/smoothenc")
    parser.add_argument("--kills", type=int, default=1000)
    parser.add_argument("--races", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--no-faults", action="store_true", help="leave the failing system calls out")
    args = parser.parse_args()
    draw = random.Random(args.seed)
    with tempfile.TemporaryDirectory() as folder:
        lab = Lab(args.binary, Path(folder))
        wrong = kills(lab, args.kills, draw) + races(lab, args.races, draw)
    if not args.no_faults:
        wrong += faults()
    for text in wrong[:20]:
        print("WRONG", text)
    return 1 if wrong else 0


TRAIN = "train --config base.toml --out run"
WORKS = {
    "train": TRAIN,
    "train --resume": "train --resume run",
    "train --overwrite": TRAIN + " --overwrite",
    "probe": "probe run --seed 1",
    "attack": "attack run --radii 0.05",
    "sweep": "sweep grid.toml --out swept",
    "reproduce": "reproduce fig2 --out figure --device cpu",
    "data make": "data make celeba --images 300 --out drawn",
    "encode": "encode run --out codes.npy --overwrite",
    "sample": "sample run --out picture.png --overwrite",
    "compare": "compare run other --out compared --overwrite",
    "check --repair": "check run --repair",
}
# What a command writes, where it is not the run.
PLACES = {"sweep": "swept", "reproduce": "figure", "data make": "drawn", "encode": "codes.npy", "sample": "picture.png",
          "compare": "compared"}


def kills(lab, count, draw):
    """Each command killed at random moments, then gone on with to its end."""
    ends, wrong, done = {}, [], Counter()
    # What each command comes to where nobody kills it, and how long it takes.
    for name, line in WORKS.items():
        begin(lab, name, ends)
        started = time.time()
        code, errors = lab.run(line)
        assert code == 0, f"{line}: {errors}"
        ends[name] = (outcome(lab, name), time.time() - started)
        if name == "train":
            for copy in ("whole", "other"):
                shutil.copytree(lab.base / "run", lab.base / copy)
    for number in range(count):
        name, line = draw.choice(list(WORKS.items()))
        begin(lab, name, ends)
        if name in ("encode", "sample") and draw.random() < 0.5:
            (lab.base / PLACES[name]).write_text("of before")
        before = lab.content(PLACES[name]) if name in PLACES else None
        child = lab.start(line)
        time.sleep(draw.random() * ends[name][1] * 1.05)
        child.send_signal(signal.SIGKILL)
        child.communicate()
        done[name] += 1
        told = f"kill {number}, {name}"
        if name in ("encode", "sample") and lab.content(PLACES[name]) not in (before, ends[name][0]):
            wrong.append(f"{told}: neither as before nor as after")
        # The same command goes on; training is gone on with where its settings are there.
        again = line
        if name.startswith("train"):
            begun = (lab.base / "run/config.toml").exists()
            again = "train --resume run" if begun else TRAIN
        place = PLACES.get(name, "run")
        # A set that is there is whole, and refused.
        made = name == "data make" and (lab.base / place).exists()
        code, errors = lab.run(again)
        if code != (2 if made else 0):
            wrong.append(f"{told}: {again}: {errors}")
            continue
        if name not in ("data make", "encode", "sample", "compare"):
            code, errors = lab.run(f"check {place}")
            if code != 0:
                wrong.append(f"{told}: check: {errors}")
        if outcome(lab, name) != ends[name][0]:
            wrong.append(f"{told}: another end")
        if lab.left_over(place):
            wrong.append(f"{told}: left over {lab.left_over(place)}")
    table("kills", done, wrong)
    return wrong


def begin(lab, name, ends):
    """What a command finds: nothing, or a finished run."""
    for place in ("run", *PLACES.values()):
        remove(lab.base / place)
    on_a_run = name not in ("train", "sweep", "reproduce", "data make")
    if on_a_run and "train" in ends:
        shutil.copytree(lab.base / "whole", lab.base / "run")
    if name == "train --resume":
        # A run that stopped before its end: what follows the checkpoint is made anew.
        for file in ("result.json", "model.safetensors", "report.html"):
            (lab.base / "run" / file).unlink(missing_ok=True)
    if name == "check --repair":
        (lab.base / "run/report.html").write_text("damaged")


def outcome(lab, name):
    if name in ("reproduce", "data make", "encode", "sample", "compare"):
        return lab.content(PLACES[name])
    if name != "sweep":
        return lab.essence("run")
    runs = sorted(path.name for path in (lab.base / "swept/runs").iterdir())
    return [lab.essence(f"swept/runs/{run}") for run in runs], (lab.base / "swept/results.csv").read_text()


def races(lab, count, draw):
    """Two commands on one run at the same moment: each ends well or is told who writes it, and none is lost."""
    wrong, done = [], Counter()
    pairs = [("probe run --seed 1", "attack run --radii 0.05"), ("probe run --seed 1", "probe run --seed 2"),
             ("attack run --radii 0.05", "train --resume run --attack-radii 0.06"),
             (TRAIN + " --overwrite", "attack run --radii 0.05"),
             ("sweep grid.toml --out swept", "sweep grid.toml --out swept")]
    for number in range(count):
        begin(lab, "probe", {"train": None})
        pair = draw.choice(pairs)
        children = []
        for line in draw.sample(pair, 2):
            children.append((line, lab.start(line)))
            time.sleep(draw.random() * 0.2)
        for line, child in children:
            errors = child.communicate()[1].decode(errors="replace")
            done["ended well" if child.returncode == 0 else "told who writes"] += 1
            if child.returncode != 0 and "being written by" not in errors and "overwrite" not in " ".join(pair):
                wrong.append(f"race {number}, {line}: {child.returncode} {errors}")
        folder = "swept" if "sweep" in pair[0] else "run"
        code, errors = lab.run(f"check {folder}")
        if code != 0:
            wrong.append(f"race {number}, {pair}: check: {errors}")
        if lab.left_over(folder):
            wrong.append(f"race {number}: left over {lab.left_over(folder)}")
    table("races, by process", done, wrong)
    return wrong


def faults():
    """Has the project's tests strike every call to the system by each fault."""
    command = "cargo test --release --lib whatever_fails -- --ignored --nocapture"
    tests = subprocess.run(command.split(), capture_output=True, text=True, cwd=Path(__file__).parent.parent)
    struck = re.findall(r"(\d+) faults in (.*)", tests.stdout)
    done = Counter()
    for count, name in struck:
        done[name] += int(count)
    wrong = [] if tests.returncode == 0 and struck else [f"{command}: {tests.stdout[-2000:]}{tests.stderr[-2000:]}"]
    table("faults", done, wrong)
    return wrong


def remove(path):
    """A folder with all that is in it, or a file, if it is there."""
    shutil.rmtree(path, ignore_errors=True)
    path.unlink(missing_ok=True)


def table(title, done, wrong):
    print(f"{title}: {sum(done.values())}, wrong: {len(wrong)}")
    for name, count in sorted(done.items()):
        print(f"  {count:5}  {name}")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
