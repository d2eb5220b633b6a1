"""False alarms and power of every test: quick versions of tests/benchmarks/bench_stats.py."""

from __future__ import annotations

import pytest
from simulation import (
    first_auroc,
    gate_alarms,
    image_gate,
    image_p_values,
    pixel_p_values,
    rate,
)

ALPHA = 0.05


@pytest.mark.parametrize("setting", [(50, 50, 0.95, 0.95, 0.98), (20, 80, 0.9, 0.9, 0.7)])
def test_delong_raises_few_false_alarms(setting: tuple[float, ...]) -> None:
    trials = [image_p_values(i, *setting, metrics=False)["image_auroc"] for i in range(1000)]
    assert 0.02 <= rate([p <= ALPHA for p in trials]) <= 0.07


def test_the_image_bootstrap_raises_few_false_alarms() -> None:
    trials = [image_p_values(i, 30, 30, 0.9, 0.9, 0.9, resamples=200) for i in range(600)]
    for metric in ("image_aupr", "image_f1max"):
        assert 0.005 <= rate([t[metric] <= ALPHA for t in trials]) <= 0.07, metric


def test_the_pixel_bootstrap_raises_few_false_alarms() -> None:
    trials = [pixel_p_values(i, 30, resamples=150) for i in range(200)]
    for metric in trials[0]:
        assert rate([t[metric] <= ALPHA for t in trials]) <= 0.08, metric


def test_the_gate_raises_few_false_alarms_over_many_comparisons() -> None:
    assert rate([gate_alarms(i, categories=2, images=24) for i in range(30)]) <= 0.07


def test_the_whole_gate_with_its_ceiling_raises_few_false_alarms() -> None:
    """12 numbers of three categories, two detectors of equal AUROC."""
    for setting in ((50, 50, 0.95, 0.95, 0.5), (15, 15, 0.95, 0.95, 0.5)):
        red = [bool(image_gate(i, 3, *setting).regressions) for i in range(40)]
        assert rate(red) <= 0.1  # 2 of 40 are 5 %; docs/power.md has 500 trials


def test_a_drop_of_ten_points_is_called_a_regression() -> None:
    setting = (100, 100, 0.95, 0.85, 0.5)
    alone = [image_gate(i, 1, *setting, metrics=("image_auroc",)) for i in range(40)]
    assert rate([first_auroc(r).verdict == "regression" for r in alone]) >= 0.95
    among = [image_gate(i, 13, *setting) for i in range(12)]
    assert all(len(r.judged) == 42 for r in among)
    assert rate([first_auroc(r).verdict == "regression" for r in among]) >= 0.75


def test_a_true_drop_is_caught() -> None:
    """Binormal, 50 + 50 images, AUROC 0.95 against 0.92, correlated by 0.98, one-sided 5 %."""
    trials = [image_p_values(i, 50, 50, 0.95, 0.92, 0.98, metrics=False) for i in range(1000)]
    assert rate([t["image_auroc"] <= ALPHA for t in trials]) >= 0.9
    blind = [image_p_values(i, 50, 50, 0.95, 0.92, 0.0, metrics=False) for i in range(300)]
    assert rate([t["image_auroc"] <= ALPHA for t in blind]) < 0.5  # pairing is what finds it
