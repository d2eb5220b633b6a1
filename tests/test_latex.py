"""LaTeX: what an author pastes compiles, whatever the names hold, and marks what it should."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from shutil import which
from typing import Any

import pytest
from five_tables import TABLES, grid
from hypothesis import example, given
from hypothesis import strategies as st
from reports import TIMING, make_record, ranked, tables, texts
from toy import PIXEL, Invoke, Toy

from adbench.report import latex
from adbench.report.latex_text import latex_text
from adbench.report.report import Report
from adbench.report.reported import published_numbers
from adbench.report.text_table import Table, pages, panels
from adbench.store.records import Record

NAMES = (
    "a_b", "50 % & more", r"C:\new{x}$y$", "#1 ~x^2", "[b] *c*", "<i>|`\"'", "Škoda–Öl ± ≠ −",
    "漢字 🙂", "--", "Ł\u0301", "!`?`", "\\", "{", "}", "a\nb\tc", "",
)  # fmt: skip


def text_of(*records: Record, **options: Any) -> str:
    return latex.latex(Report(records, layout="paper", **options))


def rows_of(text: str, first: str) -> list[str]:
    return [line for line in text.splitlines() if line.startswith(first)]


def several(**values: float) -> list[Record]:
    """A method each, on one category."""
    return [make_record(method, value=value) for method, value in values.items()]


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


def test_known_texts_and_no_two_names_print_alike() -> None:
    known = {
        "metal_plate": r"metal\_plate", "97.1 ± 0.2": r"97.1 $\pm$ 0.2", "Škoda": r"\v{S}koda",
        "e\u0301": r"\'{e}", "--set": "-{}-set", "漢": "{[}U+6F22{]}", "a \n b": "a b",
    }  # fmt: skip
    assert {text: latex_text(text) for text in known} == known
    assert len({latex_text(name) for name in NAMES}) == len(NAMES)


# ------------------------------------------------------------------------------ tables


def test_best_is_bold_and_second_underlined_among_three() -> None:
    text = text_of(*several(m=0.5, n=1.0, o=0.6))
    assert rows_of(text, "n &") == [r"n & \tblbest{100.00} & \tblbest{100.00} \\"]
    # As wide as the widest of its column, so that points stand below each other.
    second = r"\phantom{0}\tblsecond{60.00}"
    assert rows_of(text, "o &") == [rf"o & {second} & {second} \\"]
    assert r"\providecommand{\tblbest}" in text and "Best in bold and second best" in text
    plain = text_of(make_record())
    assert "tblbest" not in plain and "Best in bold" not in plain and "std over" not in plain


def test_notes_stand_below_the_table_that_they_hold_for() -> None:
    means = [make_record("m", c) for c in "abc"] + [make_record("n", c, 0.7) for c in "ab"]
    text = text_of(*means)
    assert r"\tblbest" in rows_of(text, "a &")[0]
    assert r"\tblbest" not in rows_of(text, "mean of 3")[0] + rows_of(text, "mean of 2")[0]
    assert "not ranked together (m: a, b, c; n: a, b)" in text
    two = make_record("n", "a", 0.7, dataset="other", protocol={"image_size": 64})
    parts = text_of(make_record(), two).split(r"\begin{table}")[1:]
    assert len(parts) == 2 and all(part.count("Protocol") == 1 for part in parts)


def test_seeds_show_mean_and_deviation_with_n_in_the_caption() -> None:
    text = text_of(make_record(), make_record(value=0.7, seed=1))
    assert r"60.00\tblpm{14.14}" in text
    assert r"mean $\pm$ standard deviation over n=2 seeds: 0, 1" in text
    assert r"50.00\tblpm{0.00}" in text_of(make_record(), make_record(seed=1))
    # What has none keeps its place.
    both = text_of(make_record(), make_record(value=0.7, seed=1), make_record("m", "b", seed=1))
    assert r"b & 50.00 (n=1)" in both and r"\phantom{\tblpm{00.00}}" in both


def test_the_deviation_over_categories_has_ddof_0() -> None:
    """Of 0.5 and 0.7: 0.1 (ddof 1 would give 0.1414)."""
    one = make_record()
    (table,) = tables([one, make_record("m", "b", 0.7)], layout="paper")
    assert texts(table)[-2:] == [["mean of 2", "60.00 / 60.00"], ["std over 2", "10.00 / 10.00"]]
    (alone,) = tables([one], layout="paper", cells=("aupro@0.3",))
    assert texts(alone) == [["a", "50.00"]]
    (table,) = tables([one, make_record("m", "b", None)], layout="paper")
    assert texts(table)[-2:] == [["mean of 2", "50.00 / 50.00 (1 of 2)"], ["std over 2", "– / –"]]


def test_a_transposed_table_has_the_same_cells() -> None:
    records = [make_record(m, c, 0.5 + 0.1 * i) for i, m in enumerate("mn") for c in "ab"]
    (upright,) = tables(records, layout="paper")
    (turned,) = tables(records, layout="paper", transpose=True)
    assert turned.columns[0].head == "method" and [row[0] for row in texts(turned)] == ["m", "n"]
    assert [row[1:] for row in texts(turned)] == [
        list(column) for column in zip(*(row[1:] for row in texts(upright)), strict=True)
    ]
    assert {(column - 1, row + 1) for row, column in ranked(upright)} == ranked(turned) != set()


def test_more_methods_than_categories_are_the_rows() -> None:
    nine, one = TABLES["nine over one"]
    (table,) = tables(nine, **one)
    assert [column.head for column in table.columns] == ["method", "image AUROC", "pixel AUROC"]
    assert len(table.rows) == 9 and ", bracket_black: image AUROC / pixel AUROC" in table.title
    (table,) = tables(TABLES["three over six"][0], layout="paper")
    assert [column.head for column in table.columns] == ["category", "PatchCore", "UniAD", "LafitE"]
    (table,) = tables(grid(9, 2), layout="paper")
    assert table.columns[0].head == "method" and len(table.columns) == 5
    (kept,) = tables(grid(9, 2), layout="paper", transpose=False)
    assert kept.columns[0].head == "category"


def test_notes_longer_than_the_table_go_to_an_appendix() -> None:
    finding = {"severity": "warning", "category": None, "check": "x", "message": "word " * 300}
    record = make_record(data={"findings": [finding]})
    text = text_of(record)
    table, appendix = text.split(r"\section*{Notes to the tables}")
    assert "word word" not in table and latex.IN_APPENDIX in table
    assert "word word" in appendix and r"\ref{tab:adbench-toy-separate}" in appendix
    full = text_of(record, all_notes=True)
    assert "word word" in full and "appendix" not in full.lower()
    fragment = latex.latex(Report([record], layout="paper"), fragment=True)
    listed = fragment.split("for an appendix:")[1]
    assert all(line.startswith("%") for line in listed.splitlines() if "word" in line)


def test_a_table_that_is_too_wide_is_parted_between_cells() -> None:
    (table,) = tables(
        [make_record(f"method{i}", value=i / 10) for i in range(9)],
        layout="paper", transpose=False,
    )  # fmt: skip
    parts = panels(table, 60)
    assert len(parts) == 3 and all(part.columns[0].head == "category" for part in parts)
    assert [text for part in parts for text in texts(part)[0][1:]] == texts(table)[0][1:]
    assert sum(len(ranked(part)) for part in parts) == len(ranked(table)) == 1
    assert [part.title[-9:] for part in parts] == [" (1 of 3)", " (2 of 3)", " (3 of 3)"]
    assert [latex.label(part)[-7:] for part in parts] == ["-1-of-3", "-2-of-3", "-3-of-3"]
    assert panels(table, 10_000) == [table]
    odd = Table("t", (), (), key="Toy: a_b, separate")
    assert latex.label(odd) == "tab:adbench-toy-a-b-separate"


def test_a_table_that_is_too_long_is_parted_between_groups() -> None:
    (table,) = tables([make_record(m, f"c{i}", i / 10) for i in range(5) for m in "mno"])
    parts = pages(table, 7)
    assert [len(part.rows) for part in parts] == [6, 6, 6]
    assert tuple(row for part in parts for row in part.rows) == table.rows
    assert all(part.rows[-1].ends for part in parts)
    assert [len(part.rows) for part in pages(table, 2)] == [2, 1] * 6
    assert pages(table, 18) == [table]


def test_the_command_line_writes_a_document_or_its_tables_and_other_formats(
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
    assert "AU-PR" in long and "AUPRO@0.05" in long
    for style in ("terminal", "markdown"):
        out = invoke("report", "--format", style, "--layout", "paper").out
        assert "mean of 2" in out and "std over 2" in out
        assert re.search(r"\d+\.\d\d / \d+\.\d\d", out)


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


# ----------------------------------------------------------------------------- pdflatex


def compiled(text: str, folder: Path) -> str:
    """What pdflatex says of a document, twice, so that references are resolved."""
    if which("pdflatex") is None or not _has("booktabs.sty"):
        pytest.skip("pdflatex with booktabs is not installed (Debian: texlive-latex-recommended)")
    (folder / "table.tex").write_text(text)
    for _ in range(2):
        run = subprocess.run(
            ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "table.tex"],
            cwd=folder, capture_output=True, text=True, errors="replace",
        )  # fmt: skip
        assert run.returncode == 0, run.stdout[-2000:]
    return run.stdout


def _has(style: str) -> bool:
    found = subprocess.run(["kpsewhich", style], capture_output=True, text=True)
    return bool(found.stdout.strip())


@pytest.mark.parametrize("name", TABLES)
def test_the_tables_of_papers_compile_fit_and_align(name: str, tmp_path: Path) -> None:
    records, options = TABLES[name]
    log = compiled(latex.latex(Report(records, **options)), tmp_path)
    assert "Overfull" not in log and "undefined" not in log
    if which("pdftotext") is None:
        pytest.skip("pdftotext is not installed (Debian: poppler-utils)")
    boxes = subprocess.run(
        ["pdftotext", "-bbox", "-l", "1", "table.pdf", "-"],
        cwd=tmp_path, capture_output=True, text=True, check=True,
    )  # fmt: skip
    words = re.findall(r'xMin="([\d.]+)" yMin="([\d.]+)" xMax="([\d.]+)".*?>([^<]+)<', boxes.stdout)
    rows: dict[float, list[float]] = {}
    for left, top, right, word in words:
        if match := re.match(r"(\d{2,3})\.\d\d", word):
            width = (float(right) - float(left)) / len(word)
            rows.setdefault(round(float(top)), []).append(float(left) + width * len(match[1]))
    first = [min(points) for points in rows.values()]
    assert len(first) > 5 and max(first) - min(first) < 3  # points of the first column


def test_pdflatex_compiles_the_document_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Hostile names, every emphasis, published columns, a table on two pages, timing."""
    monkeypatch.setattr(latex, "ROWS", 25)
    records = [
        make_record(f"m{number % 4} {name}", f"{name}c{number}", 0.5 + number / 50, seed=seed,
                    variant=f"k={name}" if name else "")
        for number, name in enumerate(n for n in NAMES if n.isprintable()) for seed in (0, 1)
    ]  # fmt: skip
    records += [make_record(m, "tubes", 0.9, dataset="mpdd", seed=s) for m in "mno" for s in (0, 1)]
    timing = TIMING | {"inference": TIMING["inference"] | {"device_name": "A_100 %"}}
    records = [record.model_copy(update={"timing": timing}) for record in records]
    for layout in ("paper", "long"):
        text = latex.latex(Report(records, published_numbers(), layout=layout))
        assert re.search(r"\(1 of \d\)", text)
        log = compiled(text, tmp_path)
        assert (tmp_path / "table.pdf").stat().st_size > 10_000
        assert "Overfull" not in log and "undefined" not in log
