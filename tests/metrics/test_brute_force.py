"""Against the definitions, spelt out slowly in rational arithmetic over every distinct score."""

import math
import warnings
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from adbench.metrics.exact import UndefinedMetricWarning, image_metrics, pixel_metrics

LIMITS = (0.05, 0.3, 0.77, 1.0)
# Few values, so that most scores tie; both zeros and both infinities among them.
TYING = st.sampled_from([-math.inf, -2.5, -0.0, 0.0, 1e-30, 0.1, 3.0, math.inf])


def predicted_at(scores: list[float]) -> list[list[int]]:
    """For every distinct score, descending: the indices with at least that score."""
    return [
        [i for i, score in enumerate(scores) if score >= threshold]
        for threshold in sorted(set(scores), reverse=True)
    ]


def brute_force_ranking(scores: list[float], labels: list[bool]) -> dict[str, float]:
    num_anomalous, num_normal = sum(labels), len(labels) - sum(labels)
    wins = Fraction(0)
    for anomalous in (s for s, label in zip(scores, labels, strict=True) if label):
        for normal in (s for s, label in zip(scores, labels, strict=True) if not label):
            wins += Fraction(anomalous > normal) + Fraction(anomalous == normal, 2)
    average_precision, hits_before, best, best_threshold = Fraction(0), 0, Fraction(-1), math.nan
    for predicted in predicted_at(scores):
        hits = sum(labels[i] for i in predicted)
        if num_anomalous:
            precision = Fraction(hits, len(predicted))
            average_precision += Fraction(hits - hits_before, num_anomalous) * precision
            f1 = Fraction(2 * hits, len(predicted) + num_anomalous)
            if f1 >= best:  # thresholds descend: the lowest of equals stays
                best, best_threshold = f1, min(scores[i] for i in predicted)
        hits_before = hits
    none = num_anomalous == 0
    return {
        "auroc": float(wins / (num_anomalous * num_normal))
        if num_normal and not none
        else math.nan,
        "aupr": math.nan if none else float(average_precision),
        "f1max": math.nan if none else float(best),
        "f1max_threshold": best_threshold,
    }


def flood_fill_regions(mask: np.ndarray, image: int) -> list[set[tuple[int, int, int]]]:
    """8-connected regions as sets of (image, row, column)."""
    left = {(int(row), int(column)) for row, column in np.argwhere(mask)}
    regions = []
    while left:
        frontier = [left.pop()]
        region = set(frontier)
        while frontier:
            row, column = frontier.pop()
            around = {(row + i, column + j) for i in (-1, 0, 1) for j in (-1, 0, 1)} & left
            left -= around
            region |= around
            frontier += around
        regions.append({(image, row, column) for row, column in region})
    return regions


def brute_force_aupro(maps: list[np.ndarray], masks: list[np.ndarray], limit: float) -> float:
    pixels = [(i, *position) for i, m in enumerate(maps) for position in np.ndindex(m.shape)]
    scores = [float(maps[i][row, column]) for i, row, column in pixels]
    regions = [region for i, mask in enumerate(masks) for region in flood_fill_regions(mask, i)]
    num_normal = len(pixels) - sum(map(len, regions))
    if not regions or not num_normal:
        return math.nan
    curve = [(Fraction(0), Fraction(0))]
    for predicted in predicted_at(scores):
        found = {pixels[i] for i in predicted}
        overlap = sum(
            (Fraction(len(found & region), len(region)) for region in regions), Fraction(0)
        )
        false = len(found) - sum(len(found & region) for region in regions)
        curve.append((Fraction(false, num_normal), overlap / len(regions)))
    area, end = Fraction(0), Fraction(limit)
    for (x0, y0), (x1, y1) in zip(curve, curve[1:], strict=False):
        if x1 > end:  # cut this segment at the limit
            if x0 < end:
                y_end = y0 + (y1 - y0) * (end - x0) / (x1 - x0)
                area += (end - x0) * (y0 + y_end) / 2
            break
        area += (x1 - x0) * (y0 + y1) / 2
    return float(area / end)


def assert_close(found: dict[str, float], expected: dict[str, float]) -> None:
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        assert found[name] == pytest.approx(value, rel=0, abs=1e-14, nan_ok=True), name


@settings(deadline=None, max_examples=150)
@given(st.lists(st.tuples(TYING, st.booleans()), min_size=1, max_size=20))
def test_image_metrics_follow_their_definitions(pairs: list[tuple[float, bool]]) -> None:
    scores, labels = [score for score, _ in pairs], [label for _, label in pairs]
    expected = brute_force_ranking(scores, labels)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UndefinedMetricWarning)
        found = image_metrics(np.array(scores, dtype=np.float32), labels)
    expected["f1max_threshold"] = float(np.float32(expected["f1max_threshold"]))
    assert_close(found, {f"image_{name}": value for name, value in expected.items()})


@st.composite
def groups(draw: st.DrawFn) -> tuple[list[np.ndarray], list[np.ndarray]]:
    shapes = draw(st.lists(st.tuples(st.integers(1, 5), st.integers(1, 5)), min_size=1, max_size=3))
    maps = [draw(arrays(np.float64, shape, elements=TYING)) for shape in shapes]
    masks = [draw(arrays(bool, shape)) for shape in shapes]
    return maps, masks


@settings(deadline=None, max_examples=150)
@given(groups())
def test_pixel_metrics_follow_their_definitions(
    group: tuple[list[np.ndarray], list[np.ndarray]],
) -> None:
    maps, masks = group
    scores = [float(score) for score_map in maps for score in score_map.flat]
    labels = [bool(label) for mask in masks for label in mask.flat]
    expected = {f"pixel_{k}": value for k, value in brute_force_ranking(scores, labels).items()}
    for limit in LIMITS:
        expected[f"aupro@{limit:g}"] = brute_force_aupro(maps, masks, limit)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UndefinedMetricWarning)
        found = pixel_metrics(maps, masks, aupro_limits=LIMITS)
    assert_close(found, expected)
