r"""Tables as LaTeX: booktabs rules, aligned numbers, the best in bold, the second best underlined.

The fragment of a table is what goes into a paper; a document wraps such fragments so that they
compile as they are. Needs booktabs and graphicx, which every TeX installation has. Numbers are
aligned by invisible digits and not by siunitx, whose columns can align no underlined number.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import groupby
from typing import NamedTuple, Self

from adbench.report.latex_text import latex_text
from adbench.report.report import Report
from adbench.report.tables import grouped
from adbench.report.text_table import (
    PAIR,
    Cell,
    Table,
    Value,
    column_widths,
    folded,
    pages,
    panels,
)

PACKAGES = "booktabs,graphicx"
DEBIAN = "texlive-latex-recommended"
"""The package of Debian and Ubuntu that has them."""
WIDTH, ROWS = 108, 40
"""Characters that can be read in the smallest of `_SIZES` across a page, and rows that leave room
for notes on it."""
_TIGHT = r"\setlength{\tabcolsep}{4pt}"
_SIZES = (
    (66, r"\small"), (92, rf"\footnotesize{_TIGHT}"), (WIDTH, rf"\scriptsize{_TIGHT}")
)  # fmt: skip
"""Up to how many characters fit the text of a conference's page, 5.5 inches, at which size."""
_COLUMN = 48
"""Characters that fit one column of a page with two; a wider table spans both."""
_NOTE_LINE = 110
"""Characters of a line of notes."""
FROM, TO = "% ---- paste from here: {} ----", "% ---- to here ----"
_MACROS = {
    # As wide as the number in normal weight, so that it stays in its column's place.
    r"\tblbest": r"\providecommand{\tblbest}[1]{{\setbox0=\hbox{#1}\makebox[\wd0]{\textbf{#1}}}}",
    r"\tblsecond": r"\providecommand{\tblsecond}[1]{\underline{#1}}",
    r"\tblpm": r"\providecommand{\tblpm}[1]{{\scriptsize$\,\pm\,$#1}}",
}
_RANKED = {"best": r"\tblbest{%s}", "second": r"\tblsecond{%s}", "": "%s"}
_NUMBER = re.compile(r"(\d+)(?:\.(\d+))?(?: ± (\d+)(?:\.(\d+))?)?( \(.*\))?")
IN_APPENDIX = "Protocol and notes are in the appendix."


def latex(report: Report, fragment: bool = False) -> str:
    r"""A document that compiles, with comment lines that mark what to paste; or with `fragment` the
    tables alone, to be read by \input, below a line that says what they need."""
    tables = _tables(report)
    needs = rf"\usepackage{{{PACKAGES}}}"
    if fragment:
        parts = [f"% needs {needs} (in Debian's {DEBIAN})"]
        for table, below, apart in tables:
            parts.append(environment(table, below, has_more=bool(apart)))
            parts += [f"% Notes to {label(table)}, for an appendix:"] if apart else []
            parts += ["\n".join(f"% {latex_text(note)}" for note in apart)] if apart else []
        return "\n\n".join(parts) + "\n"
    parts = [
        r"\documentclass{article}",
        r"\usepackage[margin=2cm]{geometry}",
        f"% What the tables need (in Debian's {DEBIAN}):\n{needs}",
        r"\begin{document}",
    ]
    for table, below, apart in tables:
        text = environment(table, below, has_more=bool(apart))
        parts += [FROM.format(label(table)), text, TO, r"\clearpage"]
    parts += _appendix(tables)
    return "\n".join([*parts, r"\end{document}"]) + "\n"


class _Page(NamedTuple):
    """A table with the notes that stand below it and those that go to the appendix."""

    table: Table
    below: Sequence[str] = ()
    apart: Sequence[str] = ()


def _appendix(tables: Sequence[_Page]) -> Iterator[str]:
    if any(page.apart for page in tables):
        yield "% ---- for the appendix ----"
        yield r"\section*{Notes to the tables}"
    for page in tables:
        if page.apart:
            listed = "\n".join(rf"\item {latex_text(note)}" for note in page.apart)
            yield rf"\paragraph{{Table~\ref{{{label(page.table)}}}.}}"
            yield f"\\begin{{itemize}}\n{listed}\n\\end{{itemize}}"


def _tables(report: Report) -> list[_Page]:
    """Each data set's tables are made from its own records, so that each has its notes with it; of
    a table in several parts the first has them."""
    found: list[tuple[Table, list[str]]] = []
    for records in grouped(report.records, lambda r: str(r.identity["dataset"])).values():
        own = replace(report, records=records)
        for table in own.tables:
            notes = [n.text for n in own.notes if table.has_own and n.about in ("protocol", "ours")]
            notes += [n.text for n in own.notes if table.has_reported and n.about == "published"]
            found.append((table, notes))
        found += [(table, []) for table in own.parts]
    if report.costs is not None:
        about_time = [note.text for note in report.notes if note.about == "timing"]
        found.append((report.costs, about_time))
    return [
        _noted(part, notes if number == 0 else [], report.all_notes)
        for table, notes in found
        for number, part in enumerate(
            p for page in pages(folded(table), ROWS) for p in panels(page, WIDTH)
        )
    ]


def _noted(table: Table, notes: list[str], all_below: bool) -> _Page:
    """Notes that are longer than the table, with its head and caption, are apart."""
    lines = sum(1 + len(note) // _NOTE_LINE for note in notes)
    is_long = lines > len(table.rows) + 4
    return _Page(table, notes) if all_below or not is_long else _Page(table, apart=notes)


def environment(table: Table, notes: Sequence[str] = (), *, has_more: bool = False) -> str:
    """What to paste. `has_more`: the caption says that notes are elsewhere."""
    width = sum(column_widths(table))
    size = next((size for most, size in _SIZES if width <= most), _SIZES[-1][1])
    kind = "table*" if width > _COLUMN else "table"
    caption = f"{table.caption or table.title}{f' {IN_APPENDIX}' * has_more}"
    spec = "".join("l" if column.is_name else "c" for column in table.columns)
    rows = [*_head(table), *_body(table)]
    used = (text for name, text in _MACROS.items() if any(f"{name}{{" in row for row in rows))
    lines = [
        *used,
        rf"\begin{{{kind}}}[htbp]",
        r"\centering",
        rf"\caption{{{latex_text(caption)}}}\label{{{label(table)}}}",
        rf"\par\vspace{{4pt}}{size}%",
        # Shrunk where it is wider than the text, never enlarged.
        r"\resizebox{\ifdim\width>\linewidth\linewidth\else\width\fi}{!}{%",
        rf"\begin{{tabular}}{{@{{}}{spec}@{{}}}}",
        *rows,
        r"\end{tabular}}",
    ]
    if notes:
        lines += [r"\par\smallskip\begin{minipage}{\linewidth}\footnotesize\raggedright"]
        lines += [*(latex_text(note) + r"\par" for note in notes), r"\end{minipage}"]
    return "\n".join([*lines, rf"\end{{{kind}}}"])


def label(table: Table) -> str:
    """`tab:adbench-` and the table's key in letters, digits and hyphens."""
    return "tab:adbench-" + re.sub(r"[^a-z0-9]+", "-", table.key.lower()).strip("-")


def _head(table: Table) -> list[str]:
    """Heads of fewer lines than others stand on the last."""
    lines = [r"\toprule"]
    if any(column.group for column in table.columns):
        lines += _group_lines(table)
    heads = [column.head.split("\n") for column in table.columns]
    depth = max(map(len, heads))
    padded = [[""] * (depth - len(own)) + own for own in heads]
    for texts in zip(*padded, strict=True):
        lines.append(" & ".join(map(latex_text, texts)) + r" \\")
    return [*lines, r"\midrule"]


def _group_lines(table: Table) -> list[str]:
    """Headings over several columns, with a rule below each."""
    texts, rules, first = [], [], 1
    for name, own in groupby(column.group for column in table.columns):
        width = len(list(own))
        texts.append(rf"\multicolumn{{{width}}}{{c}}{{{latex_text(name)}}}")
        if name:
            rules.append(rf"\cmidrule(lr){{{first}-{first + width - 1}}}")
        first += width
    return [" & ".join(texts) + r" \\", " ".join(rules)]


def _body(table: Table) -> list[str]:
    forms = [_forms(column) for column in zip(*(row.cells for row in table.rows), strict=True)]
    has_two_names = sum(column.is_name for column in table.columns) > 1
    lines, previous = [], ""
    for number, row in enumerate(table.rows, 1):
        parts = [
            latex_text(text) if column.is_name else _cell(cell, own)
            for column, cell, text, own in zip(
                table.columns, row.cells, row.texts, forms, strict=True
            )
        ]
        name = row.texts[0]
        if has_two_names and name == previous:
            parts[0] = ""
        previous = name
        lines.append(" & ".join(parts) + r" \\")
        if row.ends and number < len(table.rows):
            lines.append(r"\midrule")
    return [*lines, r"\bottomrule"]


# ------------------------------------------------------------------------- aligned numbers


class _Form(NamedTuple):
    """The most digits that the numbers of a column have before and after the point, and those of
    their deviations; -1: none has any."""

    whole: int = 0
    decimals: int = -1
    deviation: int = -1
    deviation_decimals: int = -1

    @classmethod
    def of(cls, values: Sequence[Value]) -> Self:
        numbers = [number for value in values if (number := _NUMBER.fullmatch(value.text))]
        lengths = [[-1 if part is None else len(part) for part in n.groups()[:4]] for n in numbers]
        return cls(*map(max, zip(*lengths, strict=True))) if lengths else cls()


def _forms(cells: Sequence[Cell]) -> list[_Form]:
    """Of a column, or of both halves of its pairs."""
    return [_Form.of(half) for half in zip(*cells, strict=True)]


def _cell(cell: Cell, forms: Sequence[_Form]) -> str:
    if not any(value.text for value in cell):
        return ""
    return PAIR.join(_aligned(value, form) for value, form in zip(cell, forms, strict=True))


def _aligned(value: Value, form: _Form) -> str:
    """A number with what makes it as wide as the widest of its column; any other text as it is."""
    number = _NUMBER.fullmatch(value.text)
    if number is None:
        return _RANKED[value.rank] % latex_text(value.text) if value.text else ""
    whole, decimals, deviation, fine, more = number.groups()
    shown = f"{whole}.{decimals}" if decimals else whole
    text = _digits(form.whole - len(whole)) + _RANKED[value.rank] % shown
    text += _after(decimals, form.decimals)
    if deviation:
        own = f"{deviation}.{fine}" if fine else deviation
        before = _digits(form.deviation - len(deviation))
        text += rf"\tblpm{{{before}{own}{_after(fine, form.deviation_decimals)}}}"
    elif form.deviation >= 0 and not more:
        width = "0" * form.deviation + ("." + "0" * form.deviation_decimals) * (
            form.deviation_decimals > 0
        )
        text += rf"\phantom{{\tblpm{{{width}}}}}"
    return text + (latex_text(more).replace("(", " (", 1) if more else "")


def _after(decimals: str | None, most: int) -> str:
    """What a number lacks of the decimals of others."""
    own = -1 if decimals is None else len(decimals)
    return rf"\phantom{{{'.' * (own < 0)}{'0' * (most - max(own, 0))}}}" if most > own else ""


def _digits(count: int) -> str:
    return rf"\phantom{{{'0' * count}}}" if count > 0 else ""
