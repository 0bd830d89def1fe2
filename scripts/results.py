#!/usr/bin/env python3
"""Make the tables of README.md and docs/ from the data in benches/results/.

    python3 scripts/results.py            rewrite what stands between the markers
    python3 scripts/results.py --check    change nothing; exit 1 where a page is out of date
    python3 scripts/results.py --judged reproductions/fig5 --device "2 cores of an ..." --commit 1a2b3c4
                                          take a figure's claims into judged.csv first, in place of earlier ones

A page has, around each table,

    <!-- table: NAME -->
    <!-- end -->

Each row of benches/results/*.csv says in its column `table` which table it belongs to. The columns `date`, `device`,
`commit` and `command` say where the row comes from; they go into the line below the table. The other columns are
the table's, where at least one row has a value. Tables that need more than that have a function in VIEWS.
"""

import argparse
import csv
import datetime
import json
import math
import pathlib
import re
import statistics
import sys
import tomllib

REPOSITORY = pathlib.Path(__file__).resolve().parent.parent
RESULTS = REPOSITORY / "benches" / "results"
PAGES = [REPOSITORY / "README.md", *sorted((REPOSITORY / "docs").glob("*.md"))]
MARKED = re.compile(r"(<!-- table: ([\w.-]+) -->\n).*?(<!-- end -->)", re.DOTALL)

ORIGIN = ["table", "date", "device", "commit", "command"]
# Columns that are said below the table where they are the same in every row.
COMMON = ["dataset", "arch", "task", "channels", "work"]
TITLES = {
    "clean_all": "no attack, all",
    "clean": "no attack",
    "warmup_steps": "warm-up, steps",
    "ms_step": "ms a step",
    "elbo": "ELBO, nats",
    "ratio": "ours / theirs",
    "before_ratio": "before / channels last",
    "half_ms": "half precision, ms",
    "processor_time": "processor time, ms",
    "standing": "standing, %",
    "wd": "WD",
    "wd_gradient": "gradient of WD",
    "w2": "W2",
    "device_kind": "device",
    "pareto": "Pareto",
    "torch_ms": "PyTorch, ms",
    "torch_channels_last_ms": "PyTorch, channels last, ms",
    "smoothenc_ms": "smoothenc, ms",
    "smoothenc_gflops": "smoothenc, GFLOP/s",
    "torch_gflops": "PyTorch, GFLOP/s",
    "share": "of the ceiling, %",
    "one_ms": "one thread, ms",
    "all_ms": "two threads, ms",
    "one_share": "of the ceiling with one, %",
    "all_share": "with two, %",
    "after_tflops": "after, TFLOP/s",
    "f16_before_ms": "f16 before, ms",
    "us_1024": "1024^3, us",
    "us_2048": "2048^3, us",
}
UNITS = ("ms", "us")
OBJECTIVES = {"se": "smooth encoder", "vae": "VAE", "beta-vae": "beta-VAE"}
NETWORKS = {"mlp": "MLP", "conv": "ConvNet"}


class Data:
    """All rows, by table."""

    def __init__(self):
        self.tables, self.files = {}, {}
        for path in sorted(RESULTS.glob("*.csv")):
            with path.open(newline="", encoding="utf-8") as file:
                for row in csv.DictReader(file):
                    missing = [key for key in ORIGIN if not row.get(key)]
                    if missing:
                        sys.exit(f"{path.name}: a row has no {missing[0]}: {row}")
                    name = row["table"]
                    if self.files.setdefault(name, path) != path:
                        sys.exit(f"table {name} is in two files: {self.files[name].name} and {path.name}")
                    self.tables.setdefault(name, []).append(row)

    def rows(self, name):
        if name not in self.tables:
            sys.exit(f"no row of {RESULTS} has the table {name}")
        return self.tables[name]


def title(column):
    """A column's heading: `r0.1` is the accuracy under attack at radius 0.1."""
    if column in TITLES:
        return TITLES[column]
    words = re.sub(r"\br(?=\d)", "", column.replace("_", " ")).split(" ")
    if words[0] == "us" and len(words) == 2:
        words = [words[1], "us"]
    if words[-1] in UNITS and len(words) > 1:
        return " ".join(words[:-1]) + ", " + words[-1]
    if column.startswith("tasks_"):
        return f"tasks at {words[-1]}"
    return " ".join(words)


def markdown(head, rows):
    """A Markdown table; a column of numbers is set right."""
    number = re.compile(r"(\*\*)?[-+]?[\d.,]+(e-?\d+)?( ± [\d.]+)?(\*\*)?$")
    def rule(column):
        cells = [row[column] for row in rows if row[column]]
        return "---:" if cells and all(number.match(cell) for cell in cells) else "---"
    lines = [head, None, *rows]
    text = []
    for line in lines:
        if line is None:
            text.append("|" + "|".join(rule(c) for c in range(len(head))) + "|")
        else:
            text.append("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |")
    return "\n".join(text)


def link(path, page):
    """The path of a data file as seen from a page."""
    up = "../" * len(page.parent.relative_to(REPOSITORY).parts)
    return f"[{path.name}]({up}{path.relative_to(REPOSITORY).as_posix()})"


def unique(values):
    return list(dict.fromkeys(values))


def origin(data, names, page):
    """Where the numbers come from: dates, devices, commits, the file, and the commands where they are few."""
    rows = [row for name in names for row in data.rows(name)]
    files = ", ".join(link(path, page) for path in unique(data.files[name] for name in names))
    dates = ", ".join(unique(row["date"] for row in rows))
    devices = "; ".join(unique(row["device"] for row in rows))
    commits = ", ".join(unique(row["commit"] for row in rows))
    parts = [dates, devices]
    for column in COMMON:
        values = unique(row.get(column, "") for row in rows)
        if len(values) == 1 and values[0] and column in rows[0]:
            parts.append(values[0] if column == "work" else f"{column} {values[0]}")
    commands = unique(row["command"] for row in rows)
    text = f"*{'; '.join(parts)}. Recorded in {commits}. Data: {files}.*"
    if len(commands) <= 2:
        return text + "\n\n" + "\n".join(f"    {command}" for command in commands)
    return text + f" *The commands of its {len(rows)} rows are in the file.*"


def plain(data, name, page):
    """One line a row, every column that has a value."""
    rows = data.rows(name)
    columns = [key for key in rows[0] if key not in ORIGIN and any(row[key] for row in rows)]
    columns = [key for key in columns if key not in COMMON or len({row[key] for row in rows}) > 1]
    words = lambda row, key: OBJECTIVES.get(row[key], row[key]) if key == "objective" else row[key]
    cells = [[words(row, key) for key in columns] for row in rows]
    return markdown([title(key) for key in columns], cells) + "\n\n" + origin(data, [name], page)


def with_medians(data, name, page):
    """As `plain`, for accuracies by seed, with the medians of what has three seeds or more."""
    rows = data.rows(name)
    keys = ["objective", "setting"]
    values = [key for key in rows[0] if re.match(r"clean|r0\.", key) and any(row[key] for row in rows)]
    groups = {}
    for row in rows:
        groups.setdefault(tuple(row[key] for key in keys), []).append(row)
    lines = []
    for (objective, setting), group in groups.items():
        label = [OBJECTIVES.get(objective, objective), setting]
        lines += [[*label, row["seed"], *(row[value] for value in values)] for row in group]
        if len(group) >= 3:
            medians = [statistics.median(float(row[value]) for row in group) for value in values]
            lines.append([*label, "median", *(f"**{median:.2f}**" for median in medians)])
    return markdown([*keys, "seed", *map(title, values)], lines) + "\n\n" + origin(data, [name], page)


def peers(data, name, page):
    """As `plain`, with the ratio of the fastest rounds beside that of the medians."""
    rows = data.rows(name)
    ours = float(rows[0]["fastest_ms"])
    keys = [key for key in ("program", "median_ms", "fastest_ms", "ratio", "standing") if any(row[key] for row in rows)]
    lines = []
    for row in rows:
        fastest = "" if row is rows[0] else f"{ours / float(row['fastest_ms']):.2f}"
        cells = [row[key] for key in keys]
        cells.insert(keys.index("ratio") + 1, fastest)
        lines.append(cells)
    head = [title(key) for key in keys]
    head.insert(keys.index("ratio") + 1, "of the fastest")
    return markdown(head, lines) + "\n\n" + origin(data, [name], page)


def by_seed(data, name, page):
    """One line a model and task, the seeds' values side by side."""
    rows = data.rows(name)
    values = [key for key in rows[0] if re.match(r"clean_all$|r0\.", key) and any(row[key] for row in rows)]
    keys = [key for key in ("setting", "objective", "task") if any(row[key] for row in rows)]
    groups = {}
    for row in rows:
        groups.setdefault(tuple(row[key] for key in keys), []).append(row)
    lines = []
    for key, group in groups.items():
        seeds = ", ".join(row["seed"] for row in group)
        cells = [", ".join(row[value] for row in group) for value in values]
        lines.append([*(OBJECTIVES.get(word, word) for word in key), seeds, *cells])
    head = [*keys, "seeds", *(title(value) for value in values)]
    return markdown(head, lines) + "\n\n" + origin(data, [name], page)


RADII = ["r0.01", "r0.1", "r0.2", "r0.3"]


def spread(values):
    """Mean and sample standard deviation; a single value stands alone."""
    numbers = [float(value) for value in values]
    if len(numbers) == 1:
        return f"{numbers[0]:.1f}"
    return f"{statistics.mean(numbers):.1f} ± {statistics.stdev(numbers):.1f}"


def accuracy(data, name, page):
    """README's table: smooth encoder against VAE, MLP and ConvNet, over the seeds that were run."""
    del name
    names = ["mnist-margin"]
    groups = {}
    for row in [row for name in names for row in data.rows(name)]:
        groups.setdefault((row["objective"], row["arch"]), []).append(row)
    lines = []
    for arch in ("mlp", "conv"):
        for objective in ("se", "vae"):
            rows = groups[objective, arch]
            label = f"{OBJECTIVES[objective]}, {NETWORKS[arch]}"
            cells = [spread([row[key] for row in rows]) for key in ["clean_all", *RADII]]
            lines.append([f"**{label}**" if objective == "se" else label, str(len(rows)), *cells])
    head = ["`train mnist`", "seeds", "no attack", *(key[1:] for key in RADII)]
    dates = [row["date"] for rows in groups.values() for row in rows]
    days = " to ".join(unique(sorted([min(dates), max(dates)])))
    source = f"*{days}, CPU back end. Data: {link(data.files[names[0]], page)}.*"
    return markdown(head, lines) + "\n\n" + source


def certified(data, name, page):
    """Certified accuracy and radius beside what the attack leaves, over the seeds that were run."""
    groups = {}
    for row in data.rows(name):
        groups.setdefault((row["objective"], row["arch"]), []).append(row)
    lines = []
    for (objective, arch), rows in groups.items():
        pairs = [f"{key}_{side}" for key in ("r0.01", "r0.02", "r0.03") for side in ("certified", "attacked")]
        values = [" / ".join(spread([row[key] for row in rows]) for key in pair) for pair in zip(pairs[::2], pairs[1::2])]
        median = statistics.mean(float(row["median_radius"]) for row in rows)
        label = f"{OBJECTIVES[objective]}, {NETWORKS[arch]}"
        label = f"**{label}**" if objective == "se" else label
        lines.append([label, str(len(rows)), *values, f"{median:.4f}"])
    head = ["certified / under attack", "seeds", "0.01", "0.02", "0.03", "median radius"]
    return markdown(head, lines) + "\n\n" + origin(data, [name], page)


def certified_line(data, name, page):
    """The certified accuracies in one sentence for each objective."""
    del name
    def of(objective):
        rows = [row for row in data.rows("certified") if (row["objective"], row["arch"]) == (objective, "mlp")]
        mean = lambda key: statistics.mean(float(row[key]) for row in rows)
        shares = " / ".join(f"{mean(f'r{radius}_certified'):.1f}" for radius in ("0.01", "0.02", "0.03"))
        return f"{shares} %", f"{mean('median_radius'):.3f}"

    (se, se_radius), (vae, vae_radius) = of("se"), of("vae")
    return (
        f"**Certified**, whatever the attack (`--certify`), at 0.01 / 0.02 / 0.03: {se} for the smooth encoder's\n"
        f"MLP (median radius {se_radius}), {vae} for the VAE's ({vae_radius}): "
        "[the bounds](docs/evaluation.md#certificates)."
    )


def faces(data, name, page):
    """Balanced accuracy of each task without an attack and at each radius, all models."""
    rows = data.rows(name)
    models = unique((row["objective"], row["seed"]) for row in rows)
    values = ["clean", "r0.01", "r0.05", "r0.1"]
    found = {(row["task"], row["objective"], row["seed"]): ", ".join(row[value] for value in values) for row in rows}
    head = ["task", *(f"{'SE' if objective == 'se' else 'VAE'}, seed {seed}" for objective, seed in models)]
    lines = [[task, *(found[task, *model] for model in models)] for task in unique(row["task"] for row in rows)]
    return markdown(head, lines) + "\n\n" + origin(data, [name], page)


def faces_pairs(data, name, page):
    """Balanced accuracy of each task, smooth encoder / VAE, seed 0."""
    rows = {(row["task"], row["objective"]): row for row in data.rows(name) if row["seed"] == "0"}
    values = ["clean", "r0.01", "r0.05", "r0.1"]
    lines = []
    for task in unique(task for task, _ in rows):
        pair = [rows[task, objective] for objective in ("se", "vae")]
        cells = [" / ".join(row[value] for row in pair) for value in values]
        lines.append([task, pair[0]["majority"], *cells])
    return markdown(["task", "majority", *map(title, values)], lines) + "\n\n" + origin(data, [name], page)


def faces_counts(data, name, page):
    """Tasks on which the smooth encoder is above a constant answer (50) and above the VAE."""
    del name
    rows = {(row["seed"], row["task"], row["objective"]): row for row in data.rows("faces")}
    tasks = unique(task for _, task, _ in rows)
    lines = []
    for seed in unique(seed for seed, _, _ in rows):
        counts = []
        for value in ("r0.01", "r0.05", "r0.1"):
            pairs = [[float(rows[seed, task, objective][value]) for objective in ("se", "vae")] for task in tasks]
            counts.append(sum(se > 50 and se > vae for se, vae in pairs))
        lines.append([seed, *map(str, counts)])
    return markdown(["seed", "0.01", "0.05", "0.1"], lines)


def step_by_batch(data, name, page):
    """Milliseconds of a step over L (lines) and batch (columns)."""
    rows = data.rows(name)
    found = {(row["L"], row["batch"]): row["step_ms"] for row in rows}
    batches = unique(row["batch"] for row in rows)
    lengths = unique(row["L"] for row in rows)
    lines = [[f"L {length}", *(found[length, batch] for batch in batches)] for length in lengths]
    head = ["ms a step", *(f"batch {batch}" for batch in batches)]
    return markdown(head, lines) + "\n\n" + origin(data, [name], page)


def reproductions(data, name, page):
    """Runs of all figures, by date."""
    rows = data.rows(name)
    keys = ["date", "claims", "reproduced", "seconds"]
    return markdown(keys, [[row[key] for key in keys] for row in rows]) + "\n\n" + origin(data, [name], page)


def claims_line(data, name, page):
    """The state of the claims: on the first page by the rule of today, on theirs by the one before."""
    del name
    last = data.rows("reproductions")[-1]
    if page.parent != REPOSITORY:
        return f"{last['reproduced']} of {last['claims']} claims reproduce with the preset `quick` ({last['date']})."
    verdicts = [row["verdict"] for row in data.rows("judged")]
    stated = tomllib.loads((REPOSITORY / "src/reproduce/claims.toml").read_text())["claim"]
    judged = f"{len(verdicts)} of [{len(stated)}](docs/reproduction.md) are judged by one rule over seeds"
    came = f"{verdicts.count('reproduced')} reproduce, {verdicts.count('partly')} in part"
    return f"{judged}: {came}. An older rule had {last['reproduced']} of {last['claims']}."


PEERS = [
    *["attack", "attack-first", "attack-panels", "attack-skipping", "attack-zen4", "avx2", "avx2-zen4", "conv-step"],
    *["conv-step-zen4", "h100", "step", "step-by-examples", "step-first", "step-panels", "step-skipping", "step-zen4"],
]
VIEWS = {
    "accuracy": accuracy,
    "claims-line": claims_line,
    "color-mnist": by_seed,
    "color-mnist-conv": by_seed,
    "color-mnist-conv-gamma-300": by_seed,
    "faces": faces,
    "certified": certified,
    "certified-line": certified_line,
    "faces-counts": faces_counts,
    "faces-gamma-100": faces_pairs,
    "faces-seed-0": lambda data, name, page: faces_pairs(data, "faces", page),
    "mnist": with_medians,
    "mnist-conv": with_medians,
    "mnist-panels": with_medians,
    "mnist-conv-gamma-100": with_medians,
    **{f"peers-{name}": peers for name in PEERS},
    "reproductions": reproductions,
    "step-cpu": step_by_batch,
}


def number(value):
    """A measured number with its standard error over seeds and images."""
    variance = value["deviation"] ** 2 / value["count"] if value["count"] > 1 else 0
    variance += value["over"]["error"] ** 2 if "over" in value else 0
    return f"{value['mean']:.3g} ± {math.sqrt(variance):.2g}"


def record(folder, device, commit):
    """Take the claims of a figure's folder into judged.csv, in place of those that it had."""
    path, figure = RESULTS / "judged.csv", folder.resolve().name
    head = [*ORIGIN, "figure", "claim", "paper", "measured", "verdict"]
    rows = []
    if path.exists():
        with path.open(encoding="utf-8", newline="") as file:
            rows = [row for row in csv.DictReader(file) if row["figure"] != figure]
    where = {"table": "judged", "date": datetime.date.today().isoformat(), "device": device, "commit": commit}
    for claim in json.loads((folder / "claims.json").read_text(encoding="utf-8")):
        failed = [f"{c['outcome']}: {c['condition']}" for c in claim["margin"] if c["outcome"] != "holds"]
        failed += [f"not measured: {name}" for name in claim["missing"]]
        measured = "; ".join(f"{name} {number(value)}" for name, value in claim["measured"].items())
        rows.append({
            **where,
            "command": f"smoothenc reproduce {figure}",
            "figure": figure,
            "claim": claim["claim"],
            "paper": claim["paper"] or "",
            "measured": measured + "".join(f"; {what}" for what in failed),
            "verdict": claim["verdict"],
        })
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, head, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="change nothing; exit 1 where a page is out of date")
    parser.add_argument("--judged", type=pathlib.Path, help="the folder of a figure with its claims.json")
    parser.add_argument("--device", help="what it was made on")
    parser.add_argument("--commit", help="what it was made with")
    arguments = parser.parse_args()
    if arguments.judged and arguments.check:
        parser.error("--judged changes files and --check does not")
    if arguments.judged:
        if not (arguments.device and arguments.commit):
            parser.error("--judged needs --device and --commit")
        record(arguments.judged, arguments.device, arguments.commit)
    data, stale, used = Data(), [], set()
    for page in PAGES:
        text = page.read_text(encoding="utf-8")

        def fill(match):
            name = match.group(2)
            used.add(name)
            return f"{match.group(1)}{VIEWS.get(name, plain)(data, name, page)}\n\n{match.group(3)}"

        made = MARKED.sub(fill, text)
        if made != text:
            stale.append(page.relative_to(REPOSITORY).as_posix())
            if not arguments.check:
                page.write_text(made, encoding="utf-8")
    for name in sorted(set(data.tables) - used):
        print(f"no page shows the table {name}", file=sys.stderr)
    if arguments.check and stale:
        sys.exit(f"out of date: {', '.join(stale)}; run python3 scripts/results.py")


if __name__ == "__main__":
    main()
