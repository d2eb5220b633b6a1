"""False alarms, power and speed of the statistics. Asserts nothing, prints tables.

    python tests/benchmarks/bench_stats.py                      # everything, a quarter of an hour
    python tests/benchmarks/bench_stats.py --sections power --write docs/power.md

`--write` puts each section's table between its marks in that file. Seeds are those of
tests/support/simulation.py, trial 0 to 999 each, fixed before the first run.
"""

from __future__ import annotations

import argparse
import math
import re
import sys
import time
from collections.abc import Callable, Iterable
from importlib import import_module
from pathlib import Path

import numpy as np

sys.path.append(str(Path(__file__).parents[1] / "support"))

from simulation import (  # noqa: E402
    binormal,
    drop_seen,
    first_auroc,
    gate_alarms,
    histograms_of,
    image_gate,
    image_p_values,
    pixel_p_values,
    rate,
)

from adbench.compare.verdicts import POWER, TOO_FEW  # noqa: E402
from adbench.metrics.resampled import stratified_weights  # noqa: E402
from adbench.metrics.table import image_names  # noqa: E402
from adbench.report.tables import TITLES  # noqa: E402
from adbench.stats.bootstrap import image_resamples, percentiles  # noqa: E402

ALPHA = 0.05
IMAGE_SETTINGS = (
    (50, 50, 0.95, 0.98), (50, 50, 0.90, 0.50), (15, 15, 0.90, 0.50), (26, 71, 0.98, 0.90),
)  # fmt: skip
"""Normal and anomalous images, AUROC of both sides, correlation."""
POWER_SIZES = (20, 50, 100, 200)
POWER_DROPS = ((0.90, 0.87), (0.95, 0.92), (0.98, 0.96), (0.95, 0.94))
POWER_CORRELATIONS = (0.0, 0.5, 0.9, 0.98)
GATE_SETTINGS = ((2, 24),)
PIXEL_IMAGES = (40,)
CEILING_SETTINGS = (
    (3, 50, 0.5), (3, 50, 0.98), (3, 20, 0.5), (3, 20, 0.9), (3, 10, 0.5), (13, 50, 0.5),
)  # fmt: skip
"""Categories, images of each label, correlation; AUROC 0.95 on both sides."""
DROP_SIZES = (50, 100)
SMALLEST_SETTINGS = (
    (20, 0.95, 0.9), (50, 0.95, 0.5), (50, 0.95, 0.98), (100, 0.95, 0.5), (100, 0.98, 0.9),
    (200, 0.90, 0.5),
)  # fmt: skip


def table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    cells = [list(head), *(list(row) for row in rows)]
    lines = ["| " + " | ".join(row) + " |" for row in cells]
    return "\n".join([lines[0], "| " + " | ".join("---:" for _ in cells[0]) + " |", *lines[1:]])


def percent(share: float) -> str:
    return f"{100 * share:.1f}"


def image_alarms(trials: int) -> str:
    rows = []
    for normal, anomalous, auroc, correlation in IMAGE_SETTINGS:
        setting = (normal, anomalous, auroc, auroc, correlation)
        found = [image_p_values(seed, *setting) for seed in range(trials)]
        rates = [rate([p[name] <= ALPHA for p in found]) for name in image_names()]
        rows.append(
            [f"{normal} + {anomalous}", f"{auroc:.2f}", f"{correlation:.2f}", *map(percent, rates)]
        )
    head = ["images", "AUROC", "correlation", *(TITLES[name] for name in image_names())]
    return table(head, rows)


def pixel_alarms(trials: int) -> str:
    rows, names = [], ["pixel_auroc", "pixel_aupr", "pixel_f1max", "aupro@0.3", "aupro@0.05"]
    for images in PIXEL_IMAGES:
        found = [pixel_p_values(seed, images) for seed in range(trials)]
        rates = [rate([p[name] <= ALPHA for p in found]) for name in names]
        rows.append([f"{images // 2} + {images // 2}", *map(percent, rates)])
    return table(["images", *(TITLES[name] for name in names)], rows)


def gate(trials: int) -> str:
    rows = []
    for categories, images in GATE_SETTINGS:
        alarms = [gate_alarms(seed, categories, images) for seed in range(trials)]
        comparisons = str(6 * (categories + 1))
        rows.append([str(categories), str(images), comparisons, percent(rate(alarms))])
    return table(["categories", "images in each", "comparisons", "red without a difference"], rows)


def ceiling(trials: int) -> str:
    """The whole gate without a true difference, with the ceiling and without."""
    rows = []
    for categories, images, correlation in CEILING_SETTINGS:
        setting = (images, images, 0.95, 0.95, correlation)
        results = [image_gate(seed, categories, *setting) for seed in range(trials)]
        red = rate([bool(r.regressions) for r in results])
        tested = rate([any(not j.by_ceiling for j in r.regressions) for r in results])
        few = rate([j.verdict == TOO_FEW for r in results for j in r.judged])
        rows.append(
            [str(categories), f"{images} + {images}", f"{correlation:g}", str(3 * (categories + 1)),
             *map(percent, (red, tested, few))]
        )  # fmt: skip
    head = ["categories", "images in each", "correlation", "comparisons", "red",
            "by Holm's test alone", "numbers with too few images to tell"]  # fmt: skip
    return table(head, rows)


def drop(trials: int) -> str:
    """A true drop from 0.95 to 0.85 in one category, correlation 0.5."""
    rows = []
    for images in DROP_SIZES:
        setting = (images, images, 0.95, 0.85, 0.5)
        for categories in (1, 13):
            own = {"metrics": ("image_auroc",)} if categories == 1 else {}
            results = [image_gate(seed, categories, *setting, **own) for seed in range(trials)]
            said = [first_auroc(r).verdict for r in results]
            rows.append(
                [f"{images} + {images}", "1" if own else str(3 * (categories + 1)),
                 percent(rate([v == "regression" for v in said])),
                 percent(rate([v == TOO_FEW for v in said])),
                 percent(rate([v == "no regression" for v in said])),
                 percent(rate([bool(r.regressions) for r in results]))]
            )  # fmt: skip
    head = ["images", "comparisons", "regression", "too few images to tell", "no regression",
            "gate red"]  # fmt: skip
    return table(head, rows)


def smallest(trials: int) -> str:
    """What `smallest drop` says without a true one, and how often a true drop of that is seen."""
    rows = []
    for images, auroc, correlation in SMALLEST_SETTINGS:
        same = (images, images, auroc, auroc, correlation)
        said = [drop_seen(seed, *same).smallest_drop(ALPHA, POWER) for seed in range(trials)]
        size = float(np.median(said))
        worse = (images, images, auroc, auroc - size, correlation)
        seen = [drop_seen(trials + i, *worse).p_value("less") <= ALPHA for i in range(trials)]
        rows.append(
            [f"{images} + {images}", f"{auroc:.2f}", f"{correlation:g}",
             f"{100 * size:.1f}", percent(rate(seen))]
        )  # fmt: skip
    head = ["images", "AUROC", "correlation", "smallest drop said (median), points",
            "such a drop was seen"]  # fmt: skip
    return table(head, rows)


def power(trials: int) -> str:
    rows = []
    for base, head in POWER_DROPS:
        for size in POWER_SIZES:
            caught = [
                rate(
                    [
                        image_p_values(seed, size, size, base, head, own, metrics=False)[
                            "image_auroc"
                        ]
                        <= ALPHA
                        for seed in range(trials)
                    ]
                )
                for own in POWER_CORRELATIONS
            ]
            rows.append([f"{base:.2f} → {head:.2f}", f"{size} + {size}", *map(percent, caught)])
    return table(["AUROC", "images", *(f"correlation {own:g}" for own in POWER_CORRELATIONS)], rows)


def speed(_: int) -> str:
    """CPU seconds of one process: 1,000 resamples."""
    rng = np.random.default_rng(0)
    groups = [binormal(rng, 40, 80, 0.9, 0.9, 0.5)[:2] for _ in range(36)]
    start = time.process_time()
    for labels, scores in groups:
        drawn = image_resamples(labels, scores, stratified_weights(labels, 1000, rng))
        for name in image_names():
            percentiles(drawn[name])
    images = time.process_time() - start

    maps, masks = import_module("bench_metrics").make_group(120, 256)
    start = time.process_time()
    histograms = histograms_of(maps, masks)
    counted = time.process_time() - start
    start = time.process_time()
    labels = np.array(masks.any(axis=(1, 2)))
    drawn = histograms.metrics(stratified_weights(labels, 1000, rng))
    for values in drawn.values():
        assert not math.isnan(percentiles(values)[0])
    pixels = time.process_time() - start
    rows = [
        ["image AUROC, AP, F1max of 36 categories, 120 images each", f"{images:.2f}"],
        ["pixel AUROC, AP, F1max, AUPRO x 2 of 120 maps, 256 x 256", f"{pixels:.2f}"],
        ["counting those maps' pixels, once, when they are scored", f"{counted:.2f}"],
        [f"their statistics: {len(histograms.to_bytes()) / 1e3:.0f} kB", ""],
    ]
    return table(["1,000 resamples", "CPU s"], rows)


SECTIONS: dict[str, Callable[[int], str]] = {
    "image": image_alarms, "pixel": pixel_alarms, "gate": gate, "ceiling": ceiling, "drop": drop,
    "smallest": smallest, "power": power, "speed": speed,
}  # fmt: skip


def put(path: Path, name: str, text: str) -> None:
    """Replace what stands between the section's marks."""
    marks = f"<!-- {name} -->", f"<!-- end of {name} -->"
    pattern = re.escape(marks[0]) + ".*?" + re.escape(marks[1])
    old = path.read_text()
    new, found = re.subn(pattern, lambda _: f"{marks[0]}\n{text}\n{marks[1]}", old, flags=re.DOTALL)
    assert found == 1, f"{path} has {found} places for {name}"
    path.write_text(new)


def main() -> None:
    parser = argparse.ArgumentParser(description="False alarms, power and speed of the tests.")
    parser.add_argument("--sections", nargs="+", choices=SECTIONS, default=list(SECTIONS))
    parser.add_argument("--trials", type=int, default=1000)
    parser.add_argument("--write", type=Path, metavar="FILE", help="put the tables there")
    arguments = parser.parse_args()
    for name in arguments.sections:
        start = time.process_time()
        text = SECTIONS[name](arguments.trials)
        print(f"\n{name}, {arguments.trials} trials, {time.process_time() - start:.0f} CPU s")
        print(text)
        if arguments.write:
            put(arguments.write, name, text)


if __name__ == "__main__":
    main()
