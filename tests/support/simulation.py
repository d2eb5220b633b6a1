"""Two detectors whose true difference is known, for measuring false alarms and power."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from scipy import special
from scored import scored_record

from adbench.compare.gate import GateResult, run_gate
from adbench.compare.sides import Side
from adbench.compare.verdicts import Judged, Rules
from adbench.metrics.table import image_names, shown
from adbench.stats.bootstrap import image_differences, pixel_differences
from adbench.stats.delong import auroc_difference
from adbench.stats.estimate import Estimate
from adbench.stats.pixels import PixelHistograms, pixel_histograms
from adbench.store.records import Record

Kept = dict[str, PixelHistograms]
SEED = 20261122
"""Of every simulation; fixed before the first was run."""


def binormal(
    rng: np.random.Generator,
    normal: int,
    anomalous: int,
    base: float,
    head: float,
    correlation: float,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Labels and the scores of base and head: unit Gaussians, shifted to the AUROCs asked for.

    Within a label the scores of one image correlate by `correlation` between base and head.
    """
    labels = np.r_[np.zeros(normal, bool), np.ones(anomalous, bool)]
    shared, own_base, own_head = rng.normal(size=(3, labels.size))
    shifts = np.sqrt(2) * special.ndtri([base, head])
    own, common = np.sqrt(1 - correlation), np.sqrt(correlation)
    return (
        labels,
        common * shared + own * own_base + shifts[0] * labels,
        common * shared + own * own_head + shifts[1] * labels,
    )


def image_p_values(
    seed: int, *setting: float, metrics: bool = True, resamples: int = 1000
) -> dict[str, float]:
    """One trial: p-values for a drop of every image metric (of AUROC alone without `metrics`).

    `setting` is that of `binormal`: normal, anomalous, base, head, correlation.
    """
    rng = np.random.default_rng([SEED, seed])
    labels, base, head = binormal(rng, int(setting[0]), int(setting[1]), *setting[2:])
    if not metrics:
        return {"image_auroc": auroc_difference(labels, base, head).p_value("less")}
    found = image_differences(labels, base, head, seed=seed, resamples=resamples)
    return {name: estimate.p_value("less") for name, estimate in found.items()}


def drop_seen(seed: int, *setting: float) -> Estimate:
    """One trial: the estimate of a difference of AUROC; `setting` is that of `binormal`."""
    rng = np.random.default_rng([SEED, 5, seed])
    return auroc_difference(*binormal(rng, int(setting[0]), int(setting[1]), *setting[2:]))


def maps_without_difference(
    rng: np.random.Generator, images: int, side: int = 12
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Masks (half of the images have a square) and two detectors' maps of equal quality.

    Images differ in how easy they are, alike for both: the units of chance are images.
    """
    masks = np.zeros((images, side, side), bool)
    for index in range(images // 2):
        top, left = rng.integers(0, side - 4, 2)
        masks[index, top : top + 4, left : left + 4] = True
    ease = rng.normal(1.2, 0.5, (images, 1, 1))
    shared = rng.normal(size=masks.shape) + rng.normal(0, 0.3, (images, 1, 1))
    base, head = (
        (shared + rng.normal(0, 0.3, (images, 1, 1)) + 0.5 * rng.normal(size=masks.shape))
        + masks * (ease + rng.normal(0, 0.3, (images, 1, 1)))
        for _ in range(2)
    )
    return masks, base.astype(np.float32), head.astype(np.float32)


def histograms_of(maps: np.ndarray, masks: np.ndarray) -> PixelHistograms:
    return pixel_histograms(lambda: [(maps, masks)], len(maps))


def pixel_p_values(seed: int, images: int, resamples: int = 1000) -> dict[str, float]:
    """One trial without a true difference: p-values for a drop of every pixel metric."""
    rng = np.random.default_rng([SEED, 1, seed])
    masks, *sides = maps_without_difference(rng, images)
    base, head = ([histograms_of(maps, masks)] for maps in sides)
    labels = masks.any(axis=(1, 2))
    found = pixel_differences(labels, base, head, seed=seed, resamples=resamples)
    return {name: estimate.p_value("less") for name, estimate in found.items()}


def gate_alarms(seed: int, categories: int, images: int) -> bool:
    """One trial of the whole gate without a true difference and with tolerance 0: is it red?"""
    rng = np.random.default_rng([SEED, 2, seed])
    records: tuple[list[Record], list[Record]] = ([], [])
    pixels: tuple[Kept, Kept] = ({}, {})
    for number in range(categories):
        name = f"c{number}"
        masks, *maps = maps_without_difference(rng, images)
        labels, *scores = binormal(rng, images // 2, images // 2, 0.93, 0.93, 0.9)
        # `binormal` has the normal images first, the maps have them last.
        for side in range(2):
            own = scores[side][::-1]
            record = scored_record(labels[::-1], own, name, maps=maps[side], masks=masks)
            records[side].append(record)
            pixels[side][record.keys["score"]] = histograms_of(maps[side], masks)
    base, head = (_side(*both) for both in zip(records, pixels, strict=True))
    return bool(run_gate(base, head, Rules(shown(), tolerance=0.0)).regressions)


def image_gate(
    seed: int,
    categories: int,
    *setting: float,
    metrics: tuple[str, ...] = image_names(),
    **rules: Any,
) -> GateResult:
    """One trial of the whole gate over image metrics, tolerance 0: all categories and their means.

    `setting` is that of `binormal` for the first category; in the others head is as good as base.
    """
    rng = np.random.default_rng([SEED, 4, seed])
    normal, anomalous, base, head, correlation = setting
    records: tuple[list[Record], list[Record]] = ([], [])
    for number in range(categories):
        own = head if number == 0 else base
        labels, *scores = binormal(rng, int(normal), int(anomalous), base, own, correlation)
        for side in range(2):
            records[side].append(scored_record(labels, scores[side], f"c{number}"))
    before, after = (Side("side", tuple(own), lambda record: {}) for own in records)
    return run_gate(before, after, Rules(metrics, tolerance=0.0, **rules))


def first_auroc(result: GateResult) -> Judged:
    """What was said of the image AUROC of the category that may have dropped."""
    return next(
        j for j in result.judged
        if (j.difference.case.category, j.difference.metric) == ("c0", "image_auroc")
    )  # fmt: skip


@dataclass(frozen=True)
class _KeptSide(Side):
    """A side whose statistics were never packed, which would take a third of a trial's time."""

    kept: Kept = field(default_factory=dict)

    def pixels(self, record: Record, category: str) -> PixelHistograms:
        return self.kept[record.keys["score"]]


def _side(records: list[Record], pixels: Kept) -> Side:
    return _KeptSide("side", tuple(records), lambda record: {}, kept=pixels)


def rate(outcomes: list[bool]) -> float:
    return float(np.mean(outcomes))


def seeds_trial(
    seed: int, seeds: int, spread: float, images: int = 40
) -> tuple[tuple[float, float], tuple[float, float], float]:
    """One trial: intervals of a difference over seeds and images, over images alone, the truth.

    Base and head are trained `seeds` times each; a training shifts the anomalous scores by a
    normal number of standard deviation `spread`. The truth is the difference of the mean AUROCs
    over all trainings and images: 0, since both sides are alike.
    """
    rng = np.random.default_rng([SEED, 3, seed])
    labels = np.r_[np.zeros(images, bool), np.ones(images, bool)]
    shared = rng.normal(size=labels.size)
    sides = [
        np.sqrt(0.5) * (shared + rng.normal(size=(seeds, labels.size)))
        + (1.8 + spread * rng.normal(size=(seeds, 1))) * labels
        for _ in range(2)
    ]
    alone = auroc_difference(labels, *sides)
    by_seed = tuple(auroc_difference(labels, b, h).difference for b, h in zip(*sides, strict=True))
    return replace(alone, by_seed=by_seed).interval(), alone.interval(), 0.0
