"""Per-image pixel statistics against exact recomputation from the maps."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from simulation import histograms_of, maps_without_difference

from adbench.metrics.exact import UndefinedMetricWarning, pixel_metrics
from adbench.metrics.resampled import stratified_weights
from adbench.stats.bootstrap import pixel_differences
from adbench.stats.pixels import PixelHistograms, pixel_histograms

BINNED = ("pixel_auroc", "pixel_aupr", "pixel_f1max", "aupro@0.3", "aupro@0.05")


def group(images: int = 24, side: int = 24, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    masks, maps, _ = maps_without_difference(np.random.default_rng(seed), images, side)
    return maps, masks


def anomalous(masks: np.ndarray) -> np.ndarray:
    return np.array(masks.any(axis=(1, 2)))


def exact(maps: np.ndarray, masks: np.ndarray, drawn: np.ndarray) -> dict[str, float]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UndefinedMetricWarning)
        return pixel_metrics(maps[drawn], masks[drawn])


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**16), st.integers(2, 6))
def test_few_distinct_scores_lose_nothing(seed: int, levels: int) -> None:
    """With a bin for every score the resampled metrics are the exact ones, ties and all."""
    rng = np.random.default_rng(seed)
    maps = rng.integers(0, levels, (5, 7, 6)).astype(np.float32)
    masks = rng.random((5, 7, 6)) < 0.15
    histograms = histograms_of(maps, masks)
    weights = stratified_weights(anomalous(masks), 3, rng)
    found = histograms.metrics(weights)
    for row, weight in enumerate(weights.astype(int)):
        expected = exact(maps, masks, np.repeat(np.arange(5), weight))
        for name in BINNED:
            assert found[name][row] == pytest.approx(expected[name], abs=1e-6, nan_ok=True)


def test_resamples_stay_close_to_exact_recomputation() -> None:
    """What the bins cost, and that it cancels from differences to the binned whole."""
    maps, masks = group(32, 32)
    histograms = histograms_of(maps, masks)
    labels = anomalous(masks)
    weights = stratified_weights(labels, 12, np.random.default_rng(1))
    found = histograms.metrics(weights)
    whole = histograms.metrics(np.ones((1, 32)))
    truth = exact(maps, masks, np.arange(32))
    worst = {"pixel_auroc": 1e-3, "pixel_aupr": 6e-3, "pixel_f1max": 1e-2, "aupro@0.3": 2e-3,
             "aupro@0.05": 3e-3}  # fmt: skip
    rows = [exact(maps, masks, np.repeat(np.arange(32), w)) for w in weights.astype(int)]
    for name, tolerance in worst.items():
        expected = np.array([row[name] for row in rows])
        np.testing.assert_allclose(found[name], expected, atol=tolerance)
        moved, truly_moved = found[name] - whole[name], expected - truth[name]
        assert np.abs(moved - truly_moved).max() < expected.std() / 4
        assert found[name].std() == pytest.approx(expected.std(), rel=0.05)
    assert abs(whole["pixel_auroc"][0] - truth["pixel_auroc"]) < 0.003


def test_counts_are_complete_whatever_the_chunks() -> None:
    maps, masks = group()
    maps[0, 0, :3] = np.inf, -np.inf, -0.0
    whole = histograms_of(maps, masks)
    chunks = [(maps[i : i + 5], masks[i : i + 5]) for i in range(0, 24, 5)]
    parts = pixel_histograms(lambda: chunks, 24)
    np.testing.assert_array_equal(parts.normal, whole.normal)
    np.testing.assert_array_equal(parts.overlap, whole.overlap)
    np.testing.assert_array_equal(whole.anomalous.sum(axis=1), masks.sum(axis=(1, 2)))
    np.testing.assert_array_equal(whole.normal.sum(axis=1), (~masks).sum(axis=(1, 2)))
    assert whole.overlap.sum() == pytest.approx(whole.regions.sum(), rel=1e-6)


@pytest.mark.parametrize("constant", [True, False])
def test_groups_without_order_or_without_anomalies(constant: bool) -> None:
    maps, masks = group(6, 8)
    if constant:
        histograms = histograms_of(np.zeros_like(maps), masks)
        values = histograms.metrics(np.ones((1, 6)))
        assert values["pixel_auroc"] == 0.5 and values["aupro@0.3"] == pytest.approx(0.15)
    else:
        histograms = histograms_of(maps, np.zeros_like(masks))
        values = histograms.metrics(np.ones((1, 6)))
        assert all(np.isnan(v).all() for v in values.values())


def test_bytes_hold_everything_and_damage_is_noticed() -> None:
    histograms = histograms_of(*group())
    content = histograms.to_bytes()
    again = PixelHistograms.from_bytes(content)
    for name in ("normal", "anomalous", "overlap", "regions"):
        np.testing.assert_array_equal(getattr(again, name), getattr(histograms, name))
    assert len(content) < 30_000
    for damaged in (b"", content[:-20], b"\0" + content[1:]):
        with pytest.raises(ValueError, match="pixel statistics"):
            PixelHistograms.from_bytes(damaged)


def test_more_images_get_fewer_bins() -> None:
    rng = np.random.default_rng(0)
    maps = rng.normal(size=(600, 8, 8)).astype(np.float32)
    masks = np.zeros((600, 8, 8), bool)
    masks[::2, :3, :3] = True
    assert histograms_of(maps[:100], masks[:100]).normal.shape[1] > 200
    assert histograms_of(maps, masks).normal.shape[1] <= 96


def test_paired_differences_follow_the_images() -> None:
    masks, base, head = maps_without_difference(np.random.default_rng(9), 40)
    labels = anomalous(masks)
    worse = head - 1.0 * masks * labels[:, None, None]
    sides = [[histograms_of(m, masks)] for m in (base, head, worse)]
    same = pixel_differences(labels, sides[0], sides[0])
    assert {e.p_value("less") for e in same.values()} == {1.0}
    alike = pixel_differences(labels, sides[0], sides[1])
    dropped = pixel_differences(labels, sides[0], sides[2])
    truth = [pixel_metrics(m, masks) for m in (base, worse)]
    for name in BINNED:
        assert dropped[name].p_value("less") < 1e-4 < alike[name].p_value("less")
        change = truth[1][name] - truth[0][name]
        assert dropped[name].difference == pytest.approx(change, abs=8e-3)
    twice = pixel_differences(labels, sides[0] * 2, [*sides[1], *sides[2]])
    middle = (alike["pixel_auroc"].difference + dropped["pixel_auroc"].difference) / 2
    assert twice["pixel_auroc"].difference == pytest.approx(middle)


def test_images_whose_pixels_have_no_labels_change_nothing() -> None:
    """As defect images without a mask, of which rows are kept so that they stay the record's."""
    counted = [True] * 24 + [False] * 6
    maps, masks = group(24)
    labels = anomalous(masks)
    wide_labels = np.append(labels, [True] * 6)
    base, head = (histograms_of(own, masks) for own in (maps, maps + 0.1 * masks))
    wide = [own.spread(counted) for own in (base, head)]
    assert [own.counted.tolist() for own in (base, *wide)] == [list(range(24))] * 3
    assert wide[0].metrics(np.ones((1, 30))) == base.metrics(np.ones((1, 24)))
    one = pixel_differences(labels, [base], [head], seed=3)
    other = pixel_differences(wide_labels, [wide[0]], [wide[1]], seed=3)
    assert one and one == other
    again = PixelHistograms.from_bytes(wide[0].to_bytes())
    assert len(again) == 30 and again.counted.tolist() == base.counted.tolist()
