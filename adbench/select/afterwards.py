"""Test curves beside pseudo-validation curves, from finished records (LafitE, figure 6).

For looking at a choice once it is made: nothing that chooses imports this module.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from adbench.select.file import Choice, Curve, value_text
from adbench.store.comparability import on_newest_data
from adbench.store.records import Record, mean_metrics

SHOWN = ("image_auroc", "pixel_auroc")
MIN_POINTS = 3
"""A rank correlation of two points is always -1 or 1."""


@dataclass(frozen=True)
class TestPoint:
    """Finished test records of one value: means over categories, then seeds, and how many."""

    __test__ = False  # not for pytest

    metrics: Mapping[str, float | None]
    seeds: tuple[int, ...]


@dataclass(frozen=True)
class TestCurve:
    """A curve's values on the test images; None where there is no record.

    `correlation` maps metric to Spearman's rank correlation with the pseudo-validation curve;
    None with fewer than three points, or where one of the curves is flat.
    """

    __test__ = False

    points: tuple[TestPoint | None, ...]
    correlation: Mapping[str, float | None]


def test_curve(choice: Choice, curve: Curve, records: Iterable[Record]) -> TestCurve:
    """What `records` have of a curve: equal hyper-parameters, categories and scope, any seed, on
    the newest version of the data."""
    own = on_newest_data([r for r in records if _is_of(r, choice)])
    points = tuple(
        _test_point([r for r in own if r.identity["hyperparameters"] == p.hyperparameters])
        for p in curve.points
    )
    return TestCurve(points, {name: _correlation(curve, points, name) for name in SHOWN})


test_curve.__test__ = False  # type: ignore[attr-defined]


def missing_command(choice: Choice, curve: Curve, found: TestCurve, results: Path) -> str | None:
    """The command that would make a curve's missing test records; None where none is missing."""
    missing = [p.value for p, test in zip(curve.points, found.points, strict=True) if test is None]
    if not missing:
        return None
    before = list(choice.curves).index(curve)
    options = dict(part.split("=", 1) for part in choice.variant.split(",") if part)
    options |= {c.name: value_text(c.chosen) for c in choice.curves[:before]}
    options |= {name: value_text(value) for name, value in curve.holding.items()}
    options[curve.name] = "|".join(map(value_text, missing))
    listed = ",".join(f"{name}={text}" for name, text in options.items())
    words = [
        "adbench", "run", "--methods", f"{choice.method}[{listed}]",
        "--dataset", f"{choice.dataset}:{','.join(choice.categories)}", "--preset", choice.preset,
        "--scope", choice.scope, "--seeds", str(choice.seed), "--results", str(results),
    ]  # fmt: skip
    words += [] if choice.limit is None else ["--limit", str(choice.limit)]
    return shlex.join(words)


def _is_of(record: Record, choice: Choice) -> bool:
    names = ("method", "dataset", "dataset_version", "scope", "limit")
    return (
        record.status == "done"
        and all(record.identity[name] == getattr(choice, name) for name in names)
        and record.identity["categories"] == list(choice.categories)
        and record.key_parts.get("mask_rule") == "nearest"
    )


def _test_point(records: Sequence[Record]) -> TestPoint | None:
    by_seed = {r.identity["seed"]: mean_metrics(r.metrics)[0] for r in records}
    if not by_seed:
        return None
    metrics: dict[str, float | None] = {}
    for name in SHOWN:
        values = [v for mean in by_seed.values() if (v := mean[name]) is not None]
        metrics[name] = sum(values) / len(values) if values else None
    return TestPoint(metrics, tuple(sorted(by_seed)))


def _correlation(curve: Curve, points: Sequence[TestPoint | None], metric: str) -> float | None:
    both = [
        (pseudo, test.metrics[metric])
        for point, test in zip(curve.points, points, strict=True)
        if test is not None and (pseudo := point.mean(metric)) is not None
    ]
    pairs = [(a, b) for a, b in both if b is not None]
    if len(pairs) < MIN_POINTS or any(len(set(side)) == 1 for side in zip(*pairs, strict=True)):
        return None
    from scipy.stats import spearmanr

    return float(spearmanr(*map(list, zip(*pairs, strict=True))).statistic)
