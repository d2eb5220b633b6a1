"""How long `adbench report` takes over a large grid. Asserts nothing, prints a table.

    python tests/benchmarks/bench_report.py                 # both sizes of record
    python tests/benchmarks/bench_report.py --images tiny --rounds 3

The grid is 36 categories of 4 data sets x 10 methods x 5 seeds = 1,800 separate cells, written as a
results folder. `tiny` records have 4 test images each, `realistic` ones as many as the data set's
card. Every format runs in a process of its own, as a user would start it, so that the figures hold
start-up, imports and reading; CPU seconds are those of that process.
"""

from __future__ import annotations

import argparse
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "support"))

from reports import TIMING, make_record  # noqa: E402
from scored import write_results  # noqa: E402

from adbench.hyperparameters import build_hyperparameters  # noqa: E402
from adbench.metrics.table import METRICS  # noqa: E402
from adbench.registry import load_dataset, load_method  # noqa: E402
from adbench.store.files import digest  # noqa: E402
from adbench.store.records import Record  # noqa: E402

DATASETS = ("mpdd", "mvtec", "visa", "btad")
METHODS: list[tuple[str, dict[str, Any]]] = [
    *(("lafite", {"tau": tau}) for tau in (100, 200, 300, 400)),
    ("lafite", {"feature_editing": "false"}),
    ("lafite", {"reconstruction": "false"}),
    ("patchcore", {}),
    *(("patchcore", {"coreset_ratio": ratio}) for ratio in (0.01, 0.25)),
    ("transfusion", {}),
]
FORMATS = {
    "terminal": [],
    "terminal, paper": ["--layout", "paper"],
    "markdown": ["--format", "markdown"],
    "csv": ["--format", "csv"],
    "latex": ["--format", "latex"],
    "html": ["--format", "html"],
    "json": ["--json"],
    "terminal, published": ["--published"],
    "latex, published": ["--format", "latex", "--published"],
}


def grid(tiny: bool, seeds: int = 5) -> Iterator[Record]:
    """The records of all cells."""
    rng = random.Random(0)
    for dataset in DATASETS:
        for category, own in load_dataset(dataset).card.categories.items():
            good, anomalous = own.test_good or 0, own.test_anomalous or 0
            labels = [0, 0, 1, 1] if tiny else [0] * good + [1] * anomalous
            for method, options in METHODS:
                for seed in range(seeds):
                    yield _record(method, options, dataset, category, seed, labels, rng)


def _record(
    method: str, options: dict[str, Any], dataset: str, category: str, seed: int,
    labels: list[int], rng: random.Random,
) -> Record:  # fmt: skip
    plugin = load_method(method)
    hyperparameters = build_hyperparameters(plugin, "paper", options)
    side, values = plugin(hyperparameters).geometry, hyperparameters.canonical()
    backbone = {"backbone": values.get("backbone"), "weights_sha256": "0" * 64}
    truth = {"regions": 104, "regions_after_resize": 103, "masks_lost_in_resize": [],
             "empty_masks": []}  # fmt: skip
    key = digest([method, values, dataset, category, seed])[:24]
    kinds = ["hole" if label else "good" for label in labels]
    return make_record(
        method, category, dataset=dataset, seed=seed, hyperparameters=values, preset="paper",
        variant=",".join(f"{k}={v}" for k, v in options.items()),
        keys=dict.fromkeys(("fit", "predict", "score"), key), timing=TIMING,
        protocol={"image_size": side.resize, "crop": side.crop, "evaluation_size": side.size}
        | (backbone if backbone["backbone"] else {}),
        metrics={category: {name: rng.uniform(0.8, 1) for name in METRICS}},
        images={
            "id": [f"{category}/test/{kind}/{i:03d}.png" for i, kind in enumerate(kinds)],
            "category": [category] * len(labels), "label": labels, "defect": kinds,
            "score": [rng.gauss(2.0 * label, 1) for label in labels],
        },
        data={"layout": "mvtec", "complete": True, "ground_truth": {category: truth}},
    )  # fmt: skip


def measure(arguments: list[str], folder: Path) -> tuple[float, float]:
    """Wall and CPU seconds of one `adbench report`."""
    command = [sys.executable, "-m", "adbench.cli", "report", "--results", str(folder), *arguments]
    before, start = os.times(), time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    after, wall = os.times(), time.perf_counter() - start
    cpu = after.children_user + after.children_system
    return wall, cpu - before.children_user - before.children_system


def main() -> None:
    parser = argparse.ArgumentParser(description="Benchmark `adbench report` over 1,800 records.")
    parser.add_argument("--images", nargs="+", choices=["tiny", "realistic"],
                        default=["tiny", "realistic"])  # fmt: skip
    parser.add_argument("--formats", nargs="+", choices=FORMATS, default=list(FORMATS))
    parser.add_argument("--rounds", type=int, default=1, help="rounds; the median counts")
    arguments = parser.parse_args()
    for size in arguments.images:
        with tempfile.TemporaryDirectory() as name:
            folder = write_results(Path(name), grid(size == "tiny"))
            files = list(folder.rglob("record-*.json"))
            megabytes = sum(path.stat().st_size for path in files) / 1e6
            print(f"\n{len(files):,} records, {size} images, {megabytes:.0f} MB")
            print(f"{'format':22} {'wall s':>8} {'CPU s':>8}")
            for style in arguments.formats:
                runs = [measure(FORMATS[style], folder) for _ in range(arguments.rounds)]
                wall, cpu = (statistics.median(values) for values in zip(*runs, strict=True))
                print(f"{style:22} {wall:8.2f} {cpu:8.2f}", flush=True)


if __name__ == "__main__":
    main()
