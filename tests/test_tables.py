"""Rows, means, seeds, ranks and footnotes; in Markdown, CSV and as a frame."""

from __future__ import annotations

import csv
import io
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from reports import INFERENCE, TIMING, failed_record, make_record, notes, ranked, tables, texts

from adbench.metrics.table import METRICS
from adbench.report import formats
from adbench.report.footnotes import footnotes
from adbench.report.html.document import document
from adbench.report.latex import latex
from adbench.report.marks import Marks
from adbench.report.report import Report
from adbench.report.tables import MEAN, frame, rows, summarise_seeds
from adbench.store.records import Record, mean_metrics, protocol_digest


def pair(first: float, second: float, **changes: Any) -> list[Record]:
    """Two methods on one category, with `changes` to the second."""
    return [make_record("m", value=first), make_record("n", value=second, **changes)]


def test_rows_are_one_a_category_and_a_mean() -> None:
    table = rows([make_record(value=0.5), make_record(category="b", value=0.75)])
    assert [(r["category"], r["image_auroc"]) for r in table] == [
        ("a", 0.5), ("b", 0.75), (MEAN, 0.625),
    ]  # fmt: skip
    assert table[-1]["categories"] == 2 and table[-1]["pixel_f1max_threshold"] is None


def test_separate_categories_share_one_protocol_digest() -> None:
    assert make_record().protocol_digest == make_record(category="b").protocol_digest
    trained = (["a", "b"], ["a", "b", "c"])
    own = make_record().protocol | {"scope": "unified"}
    assert len({protocol_digest(own | {"trained_categories": names}) for names in trained}) == 2


def test_mean_leaves_out_undefined_categories_and_counts_them() -> None:
    mean, undefined = mean_metrics({"a": {"image_auroc": 0.5}, "b": {"image_auroc": None}})
    assert mean["image_auroc"] == 0.5 and undefined["image_auroc"] == 1
    none, _ = mean_metrics({"a": {"image_auroc": None}})
    assert none["image_auroc"] is None


def test_a_failed_cell_stays_visible_and_out_of_the_mean() -> None:
    table = rows([make_record(), failed_record()])
    assert [r["status"] for r in table] == ["done", "failed", "failed"]
    assert table[-1]["image_auroc"] == 0.5 and table[-1]["undefined"] == 1
    assert any("it broke" in note for note in footnotes([failed_record()]))


def test_seeds_are_summarised_with_sample_deviation() -> None:
    summary, _ = summarise_seeds(rows([make_record(), make_record(value=0.7, seed=1)]))
    auroc = summary["image_auroc"]
    assert auroc["n"] == 2 and auroc["mean"] == pytest.approx(0.6)
    assert auroc["std"] == pytest.approx(0.02**0.5) and summary["seeds"] == [0, 1]


def test_a_seed_that_failed_shows_in_the_count_and_is_never_bold() -> None:
    other = [make_record("n", value=0.1, seed=seed) for seed in (0, 1)]
    (table,) = tables([make_record(), failed_record("a", seed=1), *other])
    assert [row[2] for row in texts(table)] == ["50.00 (n=1)", "10.00 ± 0.00"]
    assert {row for row, _ in ranked(table)} == {1}


@pytest.mark.parametrize(
    ("records", "best", "second"),
    [
        (pair(0.5, 0.9), {1}, set()),
        (pair(0.99991, 0.99992), {0, 1}, set()),  # equal as printed
        ([*pair(0.5, 0.7), make_record("o", value=0.6)], {1}, {2}),
        ([*pair(0.7, 0.7), make_record("o", value=0.6)], {0, 1}, set()),
        (pair(0.5, 0.9, protocol={"image_size": 64}), set(), set()),
        (pair(0.5, 0.9, preset="smoke"), set(), set()),
        (pair(0.5, 0.9, limit=4), set(), set()),
    ],
)
def test_like_is_ranked_with_like(records: list[Record], best: set[int], second: set[int]) -> None:
    for layout in ("long", "paper"):
        (table,) = tables(records, layout=layout, transpose=True)
        assert {row for row, _ in ranked(table)} == best
        assert {row for row, _ in ranked(table, "second")} == second


def test_means_over_different_categories_are_not_ranked_and_said() -> None:
    records = [make_record(), make_record(category="b"), make_record("n", value=0.9)]
    (table,) = tables(records)
    means = [i for i, row in enumerate(texts(table)) if row[0].startswith("mean")]
    assert len(means) == 2 and {row for row, _ in ranked(table)} == {1}
    assert any("not ranked together (m: a, b; n: a)" in n for n in notes(records))


def test_two_protocols_are_marked_and_their_difference_is_said() -> None:
    records = pair(0.5, 0.9, protocol={"image_size": 64, "backbone": "x"})
    assert [row[1] for row in texts(tables(records)[0])] == ["m (a)", "n (b)"]
    (note,) = [note for note in notes(records) if "differ" in note]
    assert "protocols a and b differ in image size (32, 64), backbone (none, x)" in note
    unified = {"scope": "unified", "trained_categories": ["a", "b"]}
    (note,) = [n for n in notes([make_record(), make_record(protocol=unified)]) if "differ" in n]
    assert note.startswith("toy: protocols a and b differ in scope (separate, unified);")
    marks = Marks([make_record(), make_record(dataset="other")])  # a protocol each needs none
    assert len(marks.standards) == 2 and [marks.letter(*s) for s in marks.standards] == ["", ""]


def test_what_was_disturbed_is_in_no_timing_table_and_said() -> None:
    valid = make_record(timing=TIMING)
    slow_fit = make_record(timing=TIMING | {"fit": {"seconds": 1.0, "valid": False}})
    slow = make_record(timing=TIMING | {"inference": INFERENCE | {"valid": False}})
    for record, shown, said in (
        (valid, ["1.0", "1000.0"], []),
        (slow_fit, ["–", "1000.0"], ["Fit time left out for 1 of 1 cell"]),
        (slow, None, ["Timing left out for 1 of 1 cell"]),
    ):
        table = Report([record]).timing
        assert (table and texts(table)[0][4:6]) == shown
        assert [n[: len(s)] for n, s in zip(footnotes([record]), said, strict=True)] == said


SHORT = {"training": {"loss_first": 1.107, "loss_last": 1.111}}
TRUTH = {
    "regions": 5, "regions_after_resize": 3, "masks_lost_in_resize": ["x"],
    "empty_masks": ["a/test/hole/001.png"], "test_normal": 1, "test_anomalous": 1,
}  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"preset": "smoke"}, ["scores mean nothing"]),
        ({"limit": 4}, ["--limit 4"]),
        ({"diagnostics": {"training": {"loss_first": 0.9, "loss_last": 0.2}}}, []),
        # Two means over a few noisy steps, of a training too short to learn anything.
        ({"diagnostics": SHORT}, ["m on toy:a: training did not lower its loss (1.107 to 1.111)"]),
        ({"diagnostics": SHORT, "preset": "smoke"}, ["scores mean nothing"]),
        ({"diagnostics": {"base": SHORT | {"training": {"loss_first": 0.9, "loss_last": 31.8}}}},
         ["loss of 31.8, after 0.9 in its first steps: it diverged"]),
        ({"diagnostics": {"training": {"loss_first": 0.9, "loss_last": float("nan")}}},
         ["loss of nan, after 0.9 in its first steps: it diverged"]),
        ({"timing": {"fit": {"seconds": 1.0, "divisions": [[1, 1], [2, 4]]}}},
         ["whole, later in 4 parts on 2 devices"]),
        ({"data": {"ground_truth": {"a": TRUTH}}},
         ["5 anomalous regions at native size, 3 after the nearest resize to 32 (1 image lost",
          "a mask that marks nothing in 1 defect image (first: a/test/hole/001.png)"]),
    ],
)  # fmt: skip
def test_what_a_record_tells_is_a_footnote(changes: dict[str, Any], said: list[str]) -> None:
    found = footnotes([make_record(**changes)])
    assert len(found) == len(said)
    assert all(words in note for words, note in zip(said, found, strict=True))


def test_lost_regions_of_many_categories_are_one_note() -> None:
    truth = TRUTH | {"empty_masks": []}
    records = [
        make_record(m, c, data={"ground_truth": {c: truth}}) for m in "mn" for c in ("a", "b")
    ]
    assert footnotes(records) == [
        "toy: anomalous regions at native size and after the nearest resize to 32: a 5 and 3, "
        "b 5 and 3 (2 images lost every region)."
    ]


def incomplete(message: str) -> dict[str, Any]:
    finding = {"severity": "warning", "category": None, "check": "categories", "message": message}
    return {"complete": False, "findings": [finding]}


def test_what_is_said_of_a_whole_data_set_is_what_its_newest_record_found() -> None:
    old = make_record(data=incomplete("1 of 2 categories are present (a); missing: b"))
    new = make_record(category="b", created="2999-01-01T00:00:00Z")
    assert not any("missing: b" in n or "partial data root" in n for n in footnotes([old, new]))
    assert len(footnotes([old])) == 2


def test_excluded_categories_are_said_once() -> None:
    found = notes([make_record(category="tubes", dataset="mpdd")])
    assert sum("bracket_black" in note and "excluded" in note for note in found) == 1
    data = incomplete("5 of 6 categories are present; missing: connector") | {"complete": True}
    found = notes([make_record(category="tubes", dataset="mpdd", data=data)])
    assert sum("connector" in note for note in found) == 1


# ------------------------------------------------------------------------------ formats


@pytest.mark.parametrize("form", ["terminal", "markdown", "csv", "paper csv", "latex", "html"])
def test_no_text_of_a_record_steers_a_terminal(form: str, tmp_path: Path) -> None:
    from adbench.report.folder import tables_text

    environment = {"x": "\x1b[2J"}
    record = make_record(preset="\x1b[2J", variant="a=\x9b1m\u2028", environment=environment)
    text = {
        "terminal": lambda: tables_text([record]),
        "markdown": lambda: formats.markdown(Report([record])),
        "csv": lambda: formats.csv(Report([record])),
        "paper csv": lambda: formats.csv(Report([record], layout="paper")),
        "latex": lambda: latex(Report([record])),
        "html": lambda: document(Report([record]), tmp_path),
    }[form]()
    assert not {"\x1b", "\x9b", "\u2028"} & set(text)


def test_markdown_is_a_table_escapes_names_and_marks_ranks() -> None:
    text = formats.markdown(Report([make_record(category="a|b[bold]`x`", value=0.98765)]))
    (line,) = [x for x in text.splitlines() if "98.77" in x or "98.76" in x]
    assert r"a\|b\[bold\]\`x\`" in line
    (head,) = [x for x in text.splitlines() if x.startswith("| category")]
    assert head.count("|") == line.replace(r"\|", "").count("|")
    three = [make_record(m, value=v) for m, v in {"m": 0.5, "n": 0.7, "o": 0.6}.items()]
    text = formats.markdown(Report(three))
    assert "**70.00**" in text and "*60.00*" in text and "*50.00*" not in text


def test_csv_reads_back_in_full_precision_and_undefined_is_empty_there_and_nan_in_a_frame() -> None:
    value = 0.1234567890123456
    two = [make_record(value=value), make_record(category="b")]
    (row, _, mean) = csv.DictReader(io.StringIO(formats.csv(Report(two))))
    assert float(row["image_auroc"]) == value and row["limit"] == ""
    assert [(r["category"], r["level"]) for r in (row, mean)] == [
        ("a", "category"), ("mean", "mean"),
    ]  # fmt: skip
    assert [*row, "skill", "skill_standard_error"] == list(frame([]).columns)
    undefined = [make_record(value=None)]
    data = frame(rows(undefined))
    assert data["image_auroc"].isna().all() and set(METRICS) <= set(data.columns)
    (row,) = csv.DictReader(io.StringIO(formats.csv(Report(undefined))))
    assert row["image_auroc"] == row["pixel_auroc"] == ""


def test_a_finished_table_as_csv_needs_no_pandas() -> None:
    """A rerun of `run` writes one, and pandas is a fifth of a second."""
    code = (
        "import sys; from adbench.report import formats; from adbench.report.report import Report;"
        "formats.csv(Report([])); formats.markdown(Report([]));"
        "sys.exit('pandas' in sys.modules or 'scipy' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
