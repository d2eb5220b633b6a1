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
from pathlib import Path
from typing import Any

from adbench.hyperparameters import build_hyperparameters
from adbench.registry import load_dataset, load_method
from adbench.store import files
from adbench.store.records import METRICS, Record

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


def write_grid(folder: Path, tiny: bool, seeds: int = 5) -> int:
    """Write the records; gives how many."""
    rng = random.Random(0)
    count = 0
    for dataset in DATASETS:
        card = load_dataset(dataset).card
        for category, own in card.categories.items():
            good, anomalous = own.test_good or 0, own.test_anomalous or 0
            labels = [0, 0, 1, 1] if tiny else [0] * good + [1] * anomalous
            for method, options in METHODS:
                for seed in range(seeds):
                    _write(folder, method, options, dataset, category, seed, labels, rng)
                    count += 1
    return count


def _write(
    folder: Path,
    method: str,
    options: dict[str, Any],
    dataset: str,
    category: str,
    seed: int,
    labels: list[int],
    rng: random.Random,
) -> None:
    plugin = load_method(method)
    hyperparameters = build_hyperparameters(plugin, "paper", options)
    side = plugin(hyperparameters).geometry
    identity: dict[str, Any] = {
        "method": method, "hyperparameters": hyperparameters.canonical(), "dataset": dataset,
        "dataset_version": "1", "categories": [category], "scope": "separate", "seed": seed,
        "limit": None,
    }  # fmt: skip
    key = files.digest(identity)[:24]
    backbone = identity["hyperparameters"].get("backbone")
    protocol = {
        "dataset": dataset, "dataset_version": "1", "scope": "separate",
        "trained_categories": [category], "image_size": side.resize, "crop": side.crop,
        "evaluation_size": side.size, "mask_rule": "nearest", "mask_threshold": 0,
        "metrics": "exact-1", "aupro_limits": [0.3, 0.05], "selection": "last", "limit": None,
        **({"backbone": backbone, "weights_sha256": "0" * 64} if backbone else {}),
    }  # fmt: skip
    inference = {
        "device": "cuda:0", "device_name": "NVIDIA A100", "foreign_load": 0.0, "valid": True,
        "seconds_per_image": {"median": 0.2, "p95": 0.25, "repeats": 30}, "batch_size": 8,
        "images_per_second": 12.5, "peak_rss_bytes": 2_000_000_000,
        "peak_device_bytes": 6_000_000_000, "parameters": 22_000_000, "flops_per_image": 4.0e10,
    }  # fmt: skip
    truth = {
        "regions": 104, "regions_after_resize": 103, "masks_lost_in_resize": [],
        "empty_masks": [], "test_normal": labels.count(0), "test_anomalous": labels.count(1),
    }  # fmt: skip
    record = Record(
        status="done",
        created="2026-11-22T02:22:24Z",
        identity=identity,
        preset="paper",
        variant=",".join(f"{k}={v}" for k, v in options.items()),
        keys={"fit": key, "predict": key, "score": key},
        protocol=protocol,
        metrics={category: {name: rng.uniform(0.8, 1) for name in METRICS}},
        images={
            "id": [f"{category}/test/{'hole' if x else 'good'}/{i:03d}.png"
                   for i, x in enumerate(labels)],
            "category": [category] * len(labels),
            "label": labels,
            "defect": ["hole" if label else "good" for label in labels],
            "score": [rng.gauss(2.0 * label, 1) for label in labels],
        },
        timing={"fit": {"seconds": 900.0, "valid": True}, "inference": inference},
        data={"layout": "mvtec", "complete": True, "findings": [],
              "ground_truth": {category: truth}},
    )  # fmt: skip
    path = folder / "cells" / key / f"record-{key}.json"
    files.write_json(path, record.model_dump(mode="json"))


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
            folder = Path(name)
            count = write_grid(folder, size == "tiny")
            bytes_ = sum(path.stat().st_size for path in folder.rglob("*.json"))
            print(f"\n{count:,} records, {size} images, {bytes_ / 1e6:.0f} MB")
            print(f"{'format':22} {'wall s':>8} {'CPU s':>8}")
            for style in arguments.formats:
                runs = [measure(FORMATS[style], folder) for _ in range(arguments.rounds)]
                wall, cpu = (statistics.median(values) for values in zip(*runs, strict=True))
                print(f"{style:22} {wall:8.2f} {cpu:8.2f}", flush=True)


if __name__ == "__main__":
    main()
