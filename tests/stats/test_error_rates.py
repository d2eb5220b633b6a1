"""False alarms and power of every test, as docs/power.md (tests/benchmarks/bench_stats.py) has them
of more trials; `make stress` has many times those of `make test`."""

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
scales = pytest.mark.parametrize("scale", [1, pytest.param(10, marks=pytest.mark.stress)])


@scales
@pytest.mark.parametrize("setting", [(50, 50, 0.95, 0.95, 0.98), (20, 80, 0.9, 0.9, 0.7)])
def test_delong_raises_few_false_alarms(setting: tuple[float, ...], scale: int) -> None:
    trials = range(400 * scale)
    found = [image_p_values(i, *setting, metrics=False)["image_auroc"] for i in trials]
    assert 0.02 <= rate([p <= ALPHA for p in found]) <= 0.07


@scales
def test_the_bootstraps_raise_few_false_alarms(scale: int) -> None:
    trials = [image_p_values(i, 30, 30, 0.9, 0.9, 0.9, resamples=200) for i in range(80 * scale)]
    for metric in ("image_aupr", "image_f1max"):
        assert rate([t[metric] <= ALPHA for t in trials]) <= (0.1 if scale == 1 else 0.07), metric
    trials = [pixel_p_values(i, 30, resamples=150) for i in range(40 * scale)]
    for metric in trials[0]:
        assert rate([t[metric] <= ALPHA for t in trials]) <= (0.125 if scale == 1 else 0.08), metric


@scales
def test_the_gate_raises_few_false_alarms_over_many_comparisons(scale: int) -> None:
    """12 numbers of three categories, two detectors of equal AUROC; with pixel metrics too."""
    assert rate([gate_alarms(i, categories=2, images=24) for i in range(5 * scale)]) <= 0.07
    for setting in ((50, 50, 0.95, 0.95, 0.5), (15, 15, 0.95, 0.95, 0.5)):
        red = [bool(image_gate(i, 3, *setting).regressions) for i in range(8 * scale)]
        assert rate(red) <= 0.13  # docs/power.md has 500 trials


@scales
def test_a_drop_of_ten_points_is_called_a_regression(scale: int) -> None:
    setting = (100, 100, 0.95, 0.85, 0.5)
    alone = [image_gate(i, 1, *setting, metrics=("image_auroc",)) for i in range(8 * scale)]
    assert rate([first_auroc(r).verdict == "regression" for r in alone]) >= 0.95
    among = [image_gate(i, 13, *setting) for i in range(2 * scale)]
    assert all(len(r.judged) == 42 for r in among)
    assert rate([first_auroc(r).verdict == "regression" for r in among]) >= 0.5


@scales
def test_a_true_drop_is_caught(scale: int) -> None:
    """Binormal, 50 + 50 images, AUROC 0.95 against 0.92, correlated by 0.98, one-sided 5 %."""
    trials = range(200 * scale)
    found = [image_p_values(i, 50, 50, 0.95, 0.92, 0.98, metrics=False) for i in trials]
    assert rate([t["image_auroc"] <= ALPHA for t in found]) >= 0.88
    blind = [image_p_values(i, 50, 50, 0.95, 0.92, 0.0, metrics=False) for i in trials]
    assert rate([t["image_auroc"] <= ALPHA for t in blind]) < 0.5  # pairing is what finds it
