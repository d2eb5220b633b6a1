"""Rows, means, seeds, superseded records, footnotes and the two file formats."""

from __future__ import annotations

import csv
import io
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from adbench.report import comparison, report
from adbench.report.footnotes import footnotes
from adbench.report.marks import Marks
from adbench.report.tables import MEAN, frame, rows, summarise_seeds
from adbench.store.newest import latest
from adbench.store.records import METRICS, Failure, Record, mean_metrics, protocol_digest

PROTOCOL: dict[str, Any] = {
    "dataset": "toy", "dataset_version": "1", "scope": "separate", "trained_categories": ["a"],
    "image_size": 32, "crop": None, "evaluation_size": 32, "mask_rule": "nearest",
    "mask_threshold": 0, "metrics": "exact-1", "aupro_limits": [0.3, 0.05], "selection": "last",
    "limit": None,
}  # fmt: skip


def _record(category: str = "a", value: float | None = 0.5, **changes: Any) -> Record:
    identity = {
        "method": changes.pop("method", "m"), "hyperparameters": {}, "dataset": "toy",
        "dataset_version": "1", "categories": [category], "scope": "separate",
        "seed": changes.pop("seed", 0), "limit": changes.pop("limit", None),
    }  # fmt: skip
    protocol = PROTOCOL | {"trained_categories": [category]} | changes.pop("protocol", {})
    values: dict[str, Any] = {
        "status": "done", "created": "2026-01-01T00:00:00Z", "preset": "fast", "variant": "",
        "keys": {"fit": "f", "predict": "p", "score": "s"}, "identity": identity,
        "protocol": protocol, "metrics": {category: dict.fromkeys(METRICS, value)},
    }  # fmt: skip
    return Record(**(values | changes))


def test_rows_are_one_a_category_and_a_mean() -> None:
    table = rows([_record("a", 0.5), _record("b", 0.75)])
    assert [(r["category"], r["image_auroc"]) for r in table] == [
        ("a", 0.5), ("b", 0.75), (MEAN, 0.625),
    ]  # fmt: skip
    assert table[-1]["categories"] == 2 and table[-1]["pixel_f1max_threshold"] is None


def test_separate_categories_share_one_protocol_digest() -> None:
    a, b = _record("a"), _record("b")
    assert a.protocol_digest == b.protocol_digest
    unified = protocol_digest(PROTOCOL | {"scope": "unified", "trained_categories": ["a", "b"]})
    assert unified != protocol_digest(
        PROTOCOL | {"scope": "unified", "trained_categories": ["a", "b", "c"]}
    )


def test_mean_leaves_out_undefined_categories_and_counts_them() -> None:
    mean, undefined = mean_metrics({"a": {"image_auroc": 0.5}, "b": {"image_auroc": None}})
    assert mean["image_auroc"] == 0.5 and undefined["image_auroc"] == 1
    none, _ = mean_metrics({"a": {"image_auroc": None}})
    assert none["image_auroc"] is None


def test_a_failed_cell_stays_visible_and_out_of_the_mean() -> None:
    failure = Failure(type="E", message="it broke", traceback=[])
    failed = _record("b", status="failed", failure=failure, metrics={}, protocol={})
    table = rows([_record("a", 0.5), failed])
    assert [r["status"] for r in table] == ["done", "failed", "failed"]
    assert table[-1]["image_auroc"] == 0.5 and table[-1]["undefined"] == 1
    assert any("it broke" in note for note in footnotes([failed]))


def test_seeds_are_summarised_with_sample_deviation() -> None:
    summary = summarise_seeds(rows([_record(value=0.5), _record(value=0.7, seed=1)]))
    auroc = summary[0]["image_auroc"]
    assert auroc["n"] == 2 and auroc["mean"] == pytest.approx(0.6)
    assert auroc["std"] == pytest.approx(0.02**0.5)
    assert summary[0]["seeds"] == [0, 1]


def test_a_seed_that_failed_shows_in_the_count_and_is_never_bold() -> None:
    failure = Failure(type="E", message="x", traceback=[])
    failed = _record(seed=1, status="failed", failure=failure, metrics={}, protocol={})
    other = [_record(value=0.1, method="n"), _record(value=0.1, method="n", seed=1)]
    (table,) = comparison.comparison([_record(value=0.5), failed, *other])
    assert table.rows[0][2] == "50.00 (n=1)" and table.rows[1][2] == "10.00 ± 0.00"
    assert {row for row, _ in table.best} == {1}


def test_only_the_newest_record_of_a_cell_counts() -> None:
    old, new = _record(value=0.1), _record(value=0.9, created="2026-02-01T00:00:00Z")
    assert [r.metrics["a"]["image_auroc"] for r in latest([new, old])] == [0.9]
    assert len(latest([old, _record(seed=1)])) == 2


def test_frame_has_nan_for_undefined_and_fixed_columns() -> None:
    data = frame(rows([_record(value=None)]))
    assert data["image_auroc"].isna().all() and set(METRICS) <= set(data.columns)
    assert list(frame([]).columns) == list(data.columns)


def test_two_protocols_are_marked_and_never_ranked_together() -> None:
    records = [_record(value=0.5), _record(value=0.9, method="n", protocol={"image_size": 64})]
    (table,) = comparison.comparison(records)
    assert [line[1] for line in table.rows] == ["m fast (a)", "n fast (b)"]
    assert table.best == frozenset()
    same = [_record(value=0.5), _record(value=0.9, method="n")]
    assert {row for row, _ in comparison.comparison(same)[0].best} == {1}


def test_equal_printed_values_are_both_best() -> None:
    records = [_record(value=0.99991), _record(value=0.99992, method="n")]
    assert {row for row, _ in comparison.comparison(records)[0].best} == {0, 1}


def test_smoke_and_limit_are_said_and_smoke_is_never_ranked() -> None:
    records = [_record(preset="smoke"), _record(preset="smoke", method="n", limit=4)]
    notes = footnotes(records)
    assert any("scores mean nothing" in note for note in notes)
    assert any("--limit 4" in note for note in notes)
    assert comparison.comparison(records)[0].best == frozenset()


def test_invalid_timing_is_left_out_and_said() -> None:
    inference = {
        "valid": False, "device_name": "d", "seconds_per_image": {"median": 1.0, "p95": 2.0},
        "images_per_second": 1.0, "peak_rss_bytes": 1, "peak_device_bytes": None,
        "parameters": 1, "flops_per_image": 1.0,
    }  # fmt: skip
    fit = {"seconds": 1.0, "valid": True}
    loaded = _record(timing={"fit": fit, "inference": inference})
    assert comparison.timing_table([loaded]) is None
    assert any("Timing left out" in note for note in footnotes([loaded]))
    valid = _record(timing={"fit": fit, "inference": inference | {"valid": True}})
    table = comparison.timing_table([valid])
    assert table is not None and table.rows[0][4:6] == ("1.0", "1000.0")
    disturbed = _record(
        timing={"fit": fit | {"valid": False}, "inference": inference | {"valid": True}}
    )
    table = comparison.timing_table([disturbed])
    assert table is not None and table.rows[0][4:6] == ("–", "1000.0")
    assert any("Fit time left out" in note for note in footnotes([disturbed]))


@pytest.mark.parametrize("last", [31.8, float("nan")])
def test_a_training_that_diverged_is_a_footnote(last: float) -> None:
    good = _record(diagnostics={"training": {"loss_first": 0.9, "loss_last": 0.2}})
    # Two means over a few noisy steps, of a training too short to learn anything.
    short = {"training": {"loss_first": 1.107, "loss_last": 1.111}}
    (note,) = [n for n in footnotes([_record(diagnostics=short)]) if "training" in n]
    assert "did not lower its loss" in note and "diverged" not in note
    smoke = footnotes([_record(diagnostics=short, preset="smoke")])
    assert not any("training ended" in n or "lower its loss" in n for n in smoke)
    assert not any("diverged" in note for note in footnotes([good]))
    bad = _record(diagnostics={"base": {"training": {"loss_first": 0.9, "loss_last": last}}})
    (note,) = [note for note in footnotes([good, bad]) if "diverged" in note]
    assert "toy:a" in note and f"{last:.4g}" in note


@pytest.mark.parametrize("form", ["terminal", "markdown", "csv", "paper csv", "latex", "html"])
def test_no_text_of_a_record_steers_a_terminal(form: str, tmp_path: Path) -> None:
    from adbench.report.folder import tables_text
    from adbench.report.html import document
    from adbench.report.report import LONG, Layout

    record = _record(preset="\x1b[2J", variant="a=\x9b1m\u2028", environment={"x": "\x1b[2J"})
    text = {
        "terminal": lambda: tables_text([record]),
        "markdown": lambda: report.markdown([record]),
        "csv": lambda: report.csv([record]),
        "paper csv": lambda: report.csv([record], Layout("paper")),
        "latex": lambda: report.latex([record], LONG),
        "html": lambda: document([record], tmp_path),
    }[form]()
    assert not {"\x1b", "\x9b", "\u2028"} & set(text)


def test_divided_batches_are_a_footnote() -> None:
    record = _record(timing={"fit": {"seconds": 1.0, "divisions": [[1, 1], [2, 4]]}})
    (note,) = [note for note in footnotes([record]) if "4 parts" in note]
    assert "whole, later in 4 parts on 2 devices" in note
    assert not any("parts" in note for note in footnotes([_record()]))


def test_lost_regions_and_empty_masks_are_footnotes() -> None:
    truth = {
        "regions": 5, "regions_after_resize": 3, "masks_lost_in_resize": ["x"],
        "empty_masks": ["a/test/hole/001.png"], "test_normal": 1, "test_anomalous": 1,
    }  # fmt: skip
    notes = footnotes([_record(data={"ground_truth": {"a": truth}})])
    assert any("5 anomalous regions" in note and "3 after" in note for note in notes)
    assert any("a mask that marks nothing" in note and "001.png" in note for note in notes)


def test_what_is_said_of_a_whole_data_set_is_what_its_newest_record_found() -> None:
    missing = {"severity": "warning", "category": None, "check": "categories",
               "message": "1 of 2 categories are present (a); missing: b"}  # fmt: skip
    old = _record(data={"complete": False, "findings": [missing]})
    new = _record("b").model_copy(update={"created": "2999-01-01T00:00:00Z"})
    said = " ".join(footnotes([old, new]))
    assert "missing: b" not in said and "partial data root" not in said
    assert "missing: b" in " ".join(footnotes([old]))


def test_markdown_is_a_table_and_escapes_names() -> None:
    text = report.markdown([_record("a|b[bold]`x`", 0.98765)])
    (line,) = [x for x in text.splitlines() if "98.77" in x or "98.76" in x]
    assert r"a\|b\[bold\]\`x\`" in line
    heads = [x for x in text.splitlines() if x.startswith("| category")]
    assert heads and heads[0].count("|") == line.replace(r"\|", "").count("|")


def test_csv_reads_back_in_full_precision() -> None:
    value = 0.1234567890123456
    read = list(csv.DictReader(io.StringIO(report.csv([_record(value=value)]))))
    assert float(read[0]["image_auroc"]) == value
    assert [(r["category"], r["level"]) for r in read] == [("a", "category"), ("mean", "mean")]


def test_two_data_sets_with_a_protocol_each_need_no_marks() -> None:
    other = _record(protocol={"dataset": "other"})
    other.identity["dataset"] = "other"
    marks = Marks([_record(), other])
    assert len(marks.standards) == 2 and [marks.letter(*s) for s in marks.standards] == ["", ""]


def test_a_finished_table_as_csv_needs_no_pandas() -> None:
    """A rerun of `run` writes one, and pandas is a fifth of a second."""
    code = (
        "import sys; from adbench.report import report; report.csv([]); report.markdown([]);"
        "sys.exit('pandas' in sys.modules or 'scipy' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_csv_has_the_frames_columns_and_empty_fields_for_none() -> None:
    (row, mean) = csv.DictReader(io.StringIO(report.csv([_record(value=None)])))
    assert list(row) == list(frame([]).columns)
    assert row["image_auroc"] == mean["pixel_auroc"] == row["limit"] == ""


def test_markdown_marks_best_and_second() -> None:
    records = [_record(value=v, method=m) for m, v in {"m": 0.5, "n": 0.7, "o": 0.6}.items()]
    text = report.markdown(records)
    assert "**70.00**" in text and "*60.00*" in text and "*50.00*" not in text


def test_a_mean_over_fewer_categories_is_not_ranked_and_said() -> None:
    records = [_record("a"), _record("b"), _record("a", 0.9, method="n")]
    (table,) = comparison.comparison(records)
    means = [i for i, row in enumerate(table.rows) if row[0].startswith("mean")]
    assert len(means) == 2 and {row for row, _ in table.best} == {1}
    assert any(
        "not ranked together (m fast: a, b; n fast: a)" in n for n in comparison.notes(records)
    )


def test_excluded_categories_are_said_once() -> None:
    def of_mpdd(**changes: Any) -> Record:
        record = _record("tubes", protocol={"dataset": "mpdd"}, **changes)
        record.identity["dataset"] = "mpdd"
        return record

    notes = comparison.notes([of_mpdd()])
    assert sum("bracket_black" in note for note in notes) == 1
    assert any("excluded, and in no mean" in note for note in notes)
    finding: dict[str, Any] = {
        "severity": "warning", "category": None, "check": "categories", "paths": [], "count": 1,
        "message": "5 of 6 categories are present; missing: connector",
    }  # fmt: skip
    partial = comparison.notes([of_mpdd(data={"complete": True, "findings": [finding]})])
    assert sum("connector" in note for note in partial) == 1


def test_lost_regions_of_many_categories_are_one_note() -> None:
    truth = {"regions": 5, "regions_after_resize": 3, "masks_lost_in_resize": ["x"],
             "empty_masks": [], "test_normal": 1, "test_anomalous": 1}  # fmt: skip
    records = [
        _record(c, method=m, data={"ground_truth": {c: truth}}) for m in "mn" for c in ("a", "b")
    ]
    (note,) = [note for note in footnotes(records) if "regions" in note]
    assert note == (
        "toy: anomalous regions at native size and after the nearest resize to 32: a 5 and 3, "
        "b 5 and 3 (2 images lost every region)."
    )


def test_what_two_protocols_differ_in_is_said() -> None:
    records = [_record(), _record(method="n", protocol={"image_size": 64, "backbone": "x"})]
    (note,) = [note for note in comparison.notes(records) if "differ" in note]
    assert "protocols a and b differ in image size (32, 64), backbone (none, x)" in note
    scopes = [_record(), _record(protocol={"scope": "unified", "trained_categories": ["a", "b"]})]
    (note,) = [note for note in comparison.notes(scopes) if "differ" in note]
    assert note.startswith("toy: protocols a and b differ in scope (separate, unified);")
