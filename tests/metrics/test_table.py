"""One row in the table of metrics is all that a new image metric needs, in old results too."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from scored import scored_record, write_results
from simulation import binormal

from adbench.metrics.exact import image_metrics
from adbench.metrics.resampled import stratified_weights
from adbench.metrics.table import METRICS, Metric, add_from_scores, image_names, value_of
from adbench.plan import metrics_digest
from adbench.stats.bootstrap import image_resamples
from adbench.store.records import Record, mean_metrics

LABELS, BASE, HEAD = binormal(np.random.default_rng(4), 40, 40, 0.95, 0.60, 0.9)

EXTENDED = """
import sys
from adbench.metrics.table import METRICS, Metric

def clear(labels, scores):
    "The share of anomalous images above every normal one."
    return float((scores[labels] > scores[~labels].max()).mean())

METRICS["image_clear"] = Metric("image_clear", "image CLEAR", "image", True, clear)
from adbench.cli import main
main()
"""


def extended(*arguments: str, code: int = 0) -> str:
    """adbench with one more row in its table."""
    found = subprocess.run(
        [sys.executable, "-c", EXTENDED, *arguments], capture_output=True, text=True
    )
    assert found.returncode == code, found.stderr
    return found.stdout


def clear(scores: np.ndarray) -> float:
    return float((scores[LABELS] > scores[~LABELS].max()).mean())


@pytest.fixture
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Results of before: two sides of which no record knows the new metric."""
    monkeypatch.chdir(tmp_path)
    for folder, scores in (("base", BASE), ("head", HEAD)):
        write_results(tmp_path / folder, [scored_record(LABELS, scores, name) for name in "ab"])
    return tmp_path


def test_a_new_row_is_in_the_tables_of_old_results(folders: Path) -> None:
    (row, *_) = csv.DictReader(extended("report", "--results", "base", "--format", "csv").split())
    assert float(row["image_clear"]) == pytest.approx(clear(BASE), abs=1e-12)
    text = extended("report", "--results", "base", "--format", "markdown")
    assert "image CLEAR" in text and f"{100 * clear(BASE):.2f}" in text
    assert "image CLEAR" in extended("report", "--results", "base", "--format", "html")
    cells = extended("report", "--results", "base", "--layout", "paper", "--cells", "image_clear")
    assert "image CLEAR" in cells


def test_a_new_row_is_in_the_gate_with_its_interval(folders: Path) -> None:
    extended("baseline", "save", "base.json", "--results", "base")
    gate = extended("gate", "--baseline", "base.json", "--results", "head", "--json", code=1)
    found = {(c["category"], c["metric"]): c for c in json.loads(gate)["comparisons"]}
    own = found["a", "image_clear"]
    assert own["change"] == pytest.approx(clear(HEAD) - clear(BASE))
    assert own["verdict"] == "regression" and own["test"] == "bootstrap"
    low, high = own["interval"]
    assert low < own["change"] < high < 0
    history = extended("history", "--results", "base", "--metric", "image_clear", "--json")
    assert json.loads(history)[0]["points"][0]["value"] == pytest.approx(clear(BASE))
    assert "image_clear" in extended("compare", "--help")


def test_the_table_is_not_in_the_keys() -> None:
    """The digest of before there was one: a change of the exact code must be meant."""
    assert metrics_digest() == "215df107f8ae75f0"


def test_a_function_with_a_fast_form_and_without_give_the_same_intervals(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def slow(labels: np.ndarray, scores: np.ndarray) -> float:
        return image_metrics(scores, labels)["image_aupr"]

    monkeypatch.setitem(METRICS, "slow", Metric("slow", "SLOW", "image", function=slow))
    weights = stratified_weights(LABELS, 50, np.random.default_rng(0))
    drawn = image_resamples(LABELS, np.round(BASE, 1), weights)  # ties
    np.testing.assert_allclose(drawn["slow"], drawn["image_aupr"], atol=1e-12)


def test_a_value_kept_in_a_record_never_outlives_its_definition(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    record = scored_record(LABELS, BASE)
    record.metrics["a"]["new"] = 0.25
    row = Metric("new", "NEW", "image", function=lambda labels, scores: float(labels.mean()))
    monkeypatch.setitem(METRICS, "new", row)
    assert Record.model_validate(record.model_dump()).metrics["a"]["new"] == 0.5


def test_undefined_and_infinite_values_are_none() -> None:
    def broken(labels: np.ndarray, scores: np.ndarray) -> float:
        return float(np.max(scores[:0])) if len(labels) == 1 else float("nan")

    row = Metric("new", "NEW", "image", function=broken)
    for size in (1, 2):
        assert value_of(row, np.ones(size, bool), np.zeros(size)) is None
    add_from_scores({"a": {}}, {})  # a record without images


def test_thresholds_have_no_title_no_mean_and_no_interval() -> None:
    assert [n for n, row in METRICS.items() if not row.title] == [
        "image_f1max_threshold", "pixel_f1max_threshold",
    ]  # fmt: skip
    assert image_names() == ("image_auroc", "image_aupr", "image_f1max")
    mean, undefined = mean_metrics({"a": dict.fromkeys(METRICS, 0.5), "b": {}})
    assert mean["image_auroc"] == 0.5 and mean["image_f1max_threshold"] is None
    assert undefined["image_auroc"] == 1
