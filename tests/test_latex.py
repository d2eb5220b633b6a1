"""LaTeX: what an author pastes compiles, whatever the names hold, and marks what it should."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from shutil import which
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from toy import PIXEL, Invoke, Toy

from adbench.report import latex, report
from adbench.report.latex_text import latex_text
from adbench.report.panels import pages, panels
from adbench.report.reported import published_numbers
from adbench.report.text_table import Table
from adbench.store.records import METRICS, Record

NAMES = (
    "a_b", "50 % & more", r"C:\new{x}$y$", "#1 ~x^2", "[b] *c*", "<i>|`\"'", "Škoda–Öl ± ≠ −",
    "漢字 🙂", "--", "Ł\u0301", "!`?`", "\\", "{", "}", "a\nb\tc", "",
)  # fmt: skip


def _record(method: str, category: str, value: float | None, **changes: Any) -> Record:
    protocol = {
        "dataset": "toy", "dataset_version": "1", "scope": "separate",
        "trained_categories": [category], "image_size": 32, "crop": None, "evaluation_size": 32,
        "mask_rule": "nearest", "mask_threshold": 0, "metrics": "exact-1",
        "aupro_limits": [0.3, 0.05], "selection": "last", "limit": None,
    }  # fmt: skip
    identity = {
        "method": method, "hyperparameters": {}, "dataset": changes.pop("dataset", "toy"),
        "dataset_version": "1", "categories": [category], "scope": "separate",
        "seed": changes.pop("seed", 0), "limit": None,
    }  # fmt: skip
    given_values: dict[str, Any] = {
        "status": "done", "created": "2026-01-01T00:00:00Z", "preset": "fast", "variant": "",
        "keys": {"fit": "f", "predict": "p", "score": "s"}, "identity": identity,
        "protocol": protocol, "metrics": {category: dict.fromkeys(METRICS, value)},
    }  # fmt: skip
    return Record(**(given_values | changes))


PAPER = report.Layout("paper")


def _rows(text: str, first: str) -> list[str]:
    return [line for line in text.splitlines() if line.startswith(first)]


# ------------------------------------------------------------------------------- text


def _plain(escaped: str) -> str:
    r"""Without commands and escaped characters: what is left may hold no special character."""
    return re.sub(r"\\(?:[a-zA-Z]+|.)|\$\\[a-z]+\$|\$-\$", "", escaped)


@given(st.text(st.characters(), max_size=30))
@example(r"\%{$")
@example("----")
def test_any_text_is_balanced_ascii_without_a_special_character(text: str) -> None:
    escaped = latex_text(text)
    assert escaped.isascii() and escaped.isprintable()
    assert not re.search(r"[$&#_%^~<>|\"`\[\]*]|--|,,", re.sub(r"\{[][*']\}", "", _plain(escaped)))
    depth = 0
    for brace in re.findall(
        r"(?<!\\)(?:\\\\)*([{}])", escaped.replace(r"\{", "").replace(r"\}", "")
    ):
        depth += 1 if brace == "{" else -1
        assert depth >= 0
    assert depth == 0


@pytest.mark.parametrize(
    ("text", "escaped"),
    [
        ("metal_plate", r"metal\_plate"),
        ("97.1 ± 0.2", r"97.1 $\pm$ 0.2"),
        ("Škoda", r"\v{S}koda"),
        ("e\u0301", r"\'{e}"),
        ("--set", "-{}-set"),
        ("漢", "{[}U+6F22{]}"),
        ("a \n b", "a b"),
    ],
)
def test_known_texts(text: str, escaped: str) -> None:
    assert latex_text(text) == escaped


def test_two_names_never_print_alike() -> None:
    assert len({latex_text(name) for name in NAMES}) == len(NAMES)


# ------------------------------------------------------------------------------ tables


def test_best_is_bold_and_second_underlined_among_three() -> None:
    values = {"m": 0.5, "n": 0.7, "o": 0.6}
    text = report.latex([_record(m, "a", v) for m, v in values.items()], PAPER)
    (row,) = _rows(text, "a &")
    cells = [part.strip() for part in row.removesuffix(r"\\").split("&")]
    assert cells[1:4] == ["50.00", "/", "50.00"]
    assert cells[4] == cells[6] == r"\bfseries 70.00"
    assert cells[7] == cells[9] == r"{\underline{\num{60.00}}}"
    # Of two the second is just the other, and a tie for the first place has no second.
    two = report.latex([_record("m", "a", 0.5), _record("n", "a", 0.7)], PAPER)
    assert r"\bfseries" in two and r"\underline" not in two
    tied = [_record(m, "a", v) for m, v in {"m": 0.7, "n": 0.7, "o": 0.6}.items()]
    assert r"\underline" not in report.latex(tied, PAPER)


def test_smoke_runs_and_other_protocols_are_not_ranked() -> None:
    smoke = [_record(m, "a", v, preset="smoke") for m, v in {"m": 0.5, "n": 0.7}.items()]
    assert r"\bfseries" not in report.latex(smoke, PAPER)
    other = _record("n", "a", 0.7)
    other.protocol["image_size"] = 64
    text = report.latex([_record("m", "a", 0.5), other], PAPER)
    assert r"\bfseries" not in text
    assert "protocols a and b differ in image size (32, 64)" in text


def test_means_over_different_categories_are_not_ranked() -> None:
    records = [_record("m", "a", 0.5), _record("m", "b", 0.5), _record("m", "c", 0.5)]
    records += [_record("n", "a", 0.7), _record("n", "b", 0.7)]
    text = report.latex(records, PAPER)
    assert r"\bfseries" in _rows(text, "a &")[0]
    assert r"\bfseries" not in _rows(text, "mean of 3")[0] + _rows(text, "mean of 2")[0]
    assert "not ranked together (m fast: a, b, c; n fast: a, b)" in text


def test_seeds_show_mean_and_deviation_with_n_in_the_caption() -> None:
    records = [_record("m", "a", v, seed=s) for s, v in enumerate((0.5, 0.7))]
    text = report.latex(records, PAPER)
    assert r"60.00 \pm 14.14" in text and "S[table-format=2.2(4)]" in text
    assert r"mean $\pm$ standard deviation over n=2 seeds: 0, 1" in text
    # siunitx would print no uncertainty at all where it is zero.
    equal = report.latex([_record("m", "a", 0.5, seed=s) for s in (0, 1)], PAPER)
    assert r"{$50.00 \pm 0.00$}" in equal


def test_the_deviation_over_categories_has_ddof_0() -> None:
    """Of 0.5 and 0.7: 0.1 (ddof 1 would give 0.1414)."""
    (table,) = PAPER.tables([_record("m", "a", 0.5), _record("m", "b", 0.7)])
    assert table.rows[-2:] == (("mean of 2", "60.00", "60.00"), ("std over 2", "10.00", "10.00"))
    assert len(PAPER.tables([_record("m", "a", 0.5)])[0].rows) == 1
    undefined = [_record("m", "a", 0.5), _record("m", "b", None)]
    (table,) = PAPER.tables(undefined)
    assert table.rows[-2:] == (
        ("mean of 2", "50.00", "50.00 (1 of 2)"),
        ("std over 2", "–", "–"),
    )


def test_a_transposed_table_has_the_same_cells() -> None:
    records = [_record(m, c, 0.5 + 0.1 * i) for i, m in enumerate("mn") for c in "ab"]
    (upright,) = PAPER.tables(records)
    (turned,) = report.Layout("paper", transpose=True).tables(records)
    assert turned.head[0] == "method" and [row[0] for row in turned.rows] == ["m", "n"]
    assert len(turned.best) == len(upright.best) > 0
    values = {text for row in upright.rows for text in row[1:]}
    assert values == {text for row in turned.rows for text in row[1:]}
    for table in (upright, turned):
        assert all(table.rows[row][column] in values for row, column in table.best)


def test_one_metric_fills_a_cell_alone() -> None:
    (table,) = report.Layout("paper", cells=("aupro@0.3",)).tables([_record("m", "a", 0.5)])
    assert table.rows == (("a", "50.00"),) and not table.pairs


def test_a_table_that_is_too_wide_is_parted_between_cells() -> None:
    records = [_record(f"method{i}", "a", i / 10) for i in range(9)]
    (table,) = PAPER.tables(records)
    parts = panels(table, 60)
    assert len(parts) == 3 and all(part.head[0] == "category" for part in parts)
    assert [text for part in parts for text in part.rows[0][1:]] == list(table.rows[0][1:])
    assert sum(len(part.best) for part in parts) == len(table.best) == 2
    assert [part.title[-9:] for part in parts] == [" (1 of 3)", " (2 of 3)", " (3 of 3)"]
    assert len({latex.label(part) for part in parts}) == 3
    assert panels(table, 10_000) == [table]


def test_a_table_that_is_too_long_is_parted_between_groups() -> None:
    records = [_record(m, f"c{i}", i / 10) for i in range(5) for m in "mno"]
    (table,) = report.LONG.tables(records)
    assert len(table.rows) == 18
    parts = pages(table, 7)
    assert [len(part.rows) for part in parts] == [6, 6, 6]
    assert tuple(row for part in parts for row in part.rows) == table.rows
    assert sum(len(part.best) for part in parts) == len(table.best) > 0
    assert all(len(part.rows) - 1 in part.breaks for part in parts)
    assert [len(part.rows) for part in pages(table, 2)] == [2, 1] * 6
    assert pages(table, 18) == [table]


def test_labels_are_plain() -> None:
    table = Table("t", ("category", "method", "x"), (), key="Toy: a_b, separate")
    assert latex.label(table) == "tab:adbench-toy-a-b-separate"


def test_the_command_line_writes_a_document_or_its_tables(
    invoke: Invoke, toy: Toy, tmp_path: Path
) -> None:
    run = invoke("run", "--methods", PIXEL, *toy.arguments(), "--preset", "smoke", "--no-timing")
    assert run.code == 0, run.err
    assert invoke("report", "--format", "latex", "--out", "table.tex").code == 0
    text = (tmp_path / "table.tex").read_text()
    assert text.startswith(r"\documentclass") and r"\begin{document}" in text
    assert "% ---- paste from here: tab:adbench-toy-separate ----" in text
    assert "SMOKE preset" in text and r"\caption{Image AUROC / pixel AUROC on toy" in text
    fragment = invoke("report", "--format", "latex", "--fragment").out
    assert r"\documentclass" not in fragment and fragment.startswith("% needs")
    assert r"\begin{table}" in fragment
    long = invoke("report", "--format", "latex", "--layout", "long", "--fragment").out
    assert "image AU-PR" in long and "AUPRO@0.05" in long


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--format", "latx"], "did you mean 'latex'"),
        (["--layout", "papr"], "did you mean 'paper'"),
        (["--cells", "image_aurc/pixel_auroc"], "did you mean 'image_auroc'"),
        (["--cells", "image_auroc/pixel_auroc/aupro@0.3"], "expected one or two"),
        (["--layout", "long", "--transpose"], "shape --layout paper"),
        (["--fragment"], "expected --format latex"),
    ],
)
def test_wrong_options_are_said(invoke: Invoke, arguments: list[str], words: str) -> None:
    outcome = invoke("report", *arguments)
    assert outcome.code == 2 and words in outcome.err and "Traceback" not in outcome.err


@pytest.mark.parametrize("style", ["terminal", "markdown", "csv"])
def test_the_papers_layout_in_every_other_format(invoke: Invoke, toy: Toy, style: str) -> None:
    invoke("run", "--methods", PIXEL, *toy.arguments(), "--preset", "smoke", "--no-timing")
    out = invoke("report", "--format", style, "--layout", "paper").out
    assert "mean of 2" in out and "std over 2" in out
    assert re.search(r"\d+\.\d\d / \d+\.\d\d", out)


# ----------------------------------------------------------------------------- pdflatex


def _needs_pdflatex() -> None:
    if which("pdflatex") is None:
        pytest.skip("pdflatex is not installed")
    found = subprocess.run(["kpsewhich", "siunitx.sty"], capture_output=True, text=True)
    if not found.stdout.strip():
        pytest.skip("LaTeX's siunitx is not installed")


def test_pdflatex_compiles_the_document_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Hostile names, every emphasis, published columns, a table on two pages, timing."""
    _needs_pdflatex()
    monkeypatch.setattr(report, "LATEX_ROWS", 25)
    records = [
        _record(f"m{number % 4} {name}", f"{name}c{number}", 0.5 + number / 50, seed=seed,
                variant=f"k={name}" if name else "")
        for number, name in enumerate(n for n in NAMES if n.isprintable()) for seed in (0, 1)
    ]  # fmt: skip
    records += [_record(m, "tubes", 0.9, dataset="mpdd", seed=s) for m in "mno" for s in (0, 1)]
    for record in records:
        record.timing["fit"] = {"seconds": 1.0, "valid": True}
        record.timing["inference"] = {
            "valid": True, "device_name": "A_100 %", "images_per_second": 1.0,
            "seconds_per_image": {"median": 1.0, "p95": 2.0}, "peak_rss_bytes": 1,
            "peak_device_bytes": None, "parameters": 1, "flops_per_image": 1.0,
        }  # fmt: skip
    for name, layout in {
        "paper": report.Layout("paper", numbers=published_numbers()),
        "long": report.Layout("long", numbers=published_numbers()),
    }.items():
        text = report.latex(records, layout)
        assert re.search(r"\(1 of \d\)", text)
        (tmp_path / f"{name}.tex").write_text(text)
        run = subprocess.run(
            ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", f"{name}.tex"],
            cwd=tmp_path, capture_output=True, text=True, errors="replace",
        )  # fmt: skip
        assert run.returncode == 0, run.stdout[-2000:]
        assert (tmp_path / f"{name}.pdf").stat().st_size > 10_000
        assert "undefined" not in run.stdout.lower().replace("undefined references", "")
