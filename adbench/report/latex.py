"""Tables as LaTeX: booktabs rules, siunitx columns, best in bold, second best underlined.

The fragment of a table is what goes into a paper; a document wraps such fragments so that they
compile as they are. Needs booktabs, graphicx and siunitx (2 or 3).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from itertools import groupby

from adbench.report.latex_text import latex_text
from adbench.report.report import Report
from adbench.report.tables import grouped
from adbench.report.text_table import Table, Value, pages, panels

PACKAGES = "booktabs,graphicx,siunitx"
WIDTH, ROWS = 200, 40
"""Characters that can still be read after they are shrunk to the width of a page, and rows that
leave room for notes on it."""
FROM, TO = "% ---- paste from here: {} ----", "% ---- to here ----"
_NUMBER = re.compile(r"(\d+)\.(\d+)(?: ± (\d+)\.(\d+))?")
_SETUP = (
    r"\sisetup{detect-weight = true, separate-uncertainty = true, "
    r"table-align-uncertainty = false, table-text-alignment = right}"
)


def latex(report: Report, fragment: bool = False) -> str:
    r"""A document that compiles, with comment lines that mark what to paste; or with `fragment` the
    tables alone, to be read by \input, below a line that says what they need."""
    tables = _tables(report)
    if fragment:
        needs = f"% needs \\usepackage{{{PACKAGES}}}"
        return "\n\n".join([needs, *(environment(*table) for table in tables)]) + "\n"
    parts = [
        r"\documentclass{article}",
        r"\usepackage[margin=2cm]{geometry}",
        f"% What the tables need:\n\\usepackage{{{PACKAGES}}}",
        r"\begin{document}",
    ]
    for table, notes in tables:
        parts += [FROM.format(label(table)), environment(table, notes), TO, r"\clearpage"]
    return "\n".join([*parts, r"\end{document}"]) + "\n"


def _tables(report: Report) -> list[tuple[Table, list[str]]]:
    """Each with the notes below it. Each data set's tables are made from its own records, so that
    each has its notes with it; of a table in several parts the first has them."""
    found: list[tuple[Table, list[str]]] = []
    for records in grouped(report.records, lambda r: str(r.identity["dataset"])).values():
        own = replace(report, records=records)
        for table in own.tables:
            notes = [n.text for n in own.notes if table.has_own and n.about in ("protocol", "ours")]
            notes += [n.text for n in own.notes if table.has_reported and n.about == "published"]
            found.append((table, notes))
        found += [(table, []) for table in own.parts]
    if report.timing is not None:
        about_time = [note.text for note in report.notes if note.about == "timing"]
        found.append((report.timing, about_time))
    return [
        (part, notes if number == 0 else [])
        for table, notes in found
        for number, part in enumerate(p for page in pages(table, ROWS) for p in panels(page, WIDTH))
    ]


def environment(table: Table, notes: Sequence[str] = ()) -> str:
    caption = rf"\caption{{{latex_text(table.caption or table.title)}}}\label{{{label(table)}}}"
    slash = r" @{\,}c@{\,} "  # has a column of its own, because a pair may be empty
    names = [column.is_name for column in table.columns]
    cells = zip(*(row.cells for row in table.rows), strict=True)
    columns = [list(zip(*own, strict=True)) for own in cells]
    spec = " ".join(
        slash.join("l" if is_name else _specification(values) for values in halves)
        for is_name, halves in zip(names, columns, strict=True)
    )
    lines = [
        r"\begin{table}[htbp]", r"\centering", _SETUP, caption + r"\par\vspace{4pt}",
        # Shrunk where it is wider than the text, never enlarged.
        r"\resizebox{\ifdim\width>\linewidth\linewidth\else\width\fi}{!}{%",
        rf"\begin{{tabular}}{{{spec}}}", *_head(table), *_body(table), r"\end{tabular}}",
    ]  # fmt: skip
    if notes:
        lines += [r"\par\smallskip\begin{minipage}{\linewidth}\footnotesize\raggedright"]
        lines += [*(latex_text(note) + r"\par" for note in notes), r"\end{minipage}"]
    return "\n".join([*lines, r"\end{table}"])


def label(table: Table) -> str:
    """`tab:adbench-` and the table's key in letters, digits and hyphens."""
    return "tab:adbench-" + re.sub(r"[^a-z0-9]+", "-", table.key.lower()).strip("-")


def _specification(values: Sequence[Value]) -> str:
    """For digits before and after the point, and of the uncertainty, of a column's numbers."""
    formats = [
        (len(m[1]), len(m[2]), len(m[3] or "") + len(m[4] or ""))
        for m in (_NUMBER.fullmatch(value.text) for value in values)
        if m is not None and _is_plain(m)
    ]
    if not formats:
        return "r"
    whole, decimals, uncertain = map(max, zip(*formats, strict=True))
    return f"S[table-format={whole}.{decimals}{f'({uncertain})' if uncertain else ''}]"


def _is_plain(match: re.Match[str]) -> bool:
    """Whether siunitx prints it as it stands: an uncertainty with other decimals than its number
    it would pad, and one of zero it would drop."""
    is_like = match[4] is not None and len(match[4]) == len(match[2])
    return match[4] is None or (is_like and float(f"{match[3]}.{match[4]}") > 0)


def _spans(table: Table) -> list[int]:
    """How many columns of LaTeX each of ours has: a pair has a third one for its slash."""
    return [2 * len(cell) - 1 for cell in table.rows[0].cells]


def _head(table: Table) -> list[str]:
    lines = [r"\toprule"]
    if any(column.group for column in table.columns):
        lines += _group_lines(table)
    heads = [column.head.split("\n") for column in table.columns]
    for line in range(max(map(len, heads))):
        texts = []
        for own, span in zip(heads, _spans(table), strict=True):
            text = latex_text(own[line]) if line < len(own) else ""
            if span > 1:
                text = rf"\multicolumn{{{span}}}{{c}}{{{text}}}" if text else "& &"
            texts.append(f"{{{text}}}" if text and span == 1 else text)
        lines.append(" & ".join(texts) + r" \\")
    return [*lines, r"\midrule"]


def _group_lines(table: Table) -> list[str]:
    """Headings over several columns, with a rule below each."""
    texts, rules, first = [], [], 1
    columns = zip(table.columns, _spans(table), strict=True)
    for name, own in groupby(columns, key=lambda pair: pair[0].group):
        width = sum(span for _, span in own)
        texts.append(rf"\multicolumn{{{width}}}{{c}}{{{latex_text(name)}}}")
        if name:
            rules.append(rf"\cmidrule(lr){{{first}-{first + width - 1}}}")
        first += width
    return [" & ".join(texts) + r" \\", " ".join(rules)]


def _body(table: Table) -> list[str]:
    lines, previous = [], ""
    for number, row in enumerate(table.rows, 1):
        parts = []
        for column, cell in zip(table.columns, row.cells, strict=True):
            slash = " & / & " if any(value.text for value in cell) else " &  & "
            texts = (latex_text(v.text) if column.is_name else _number(v) for v in cell)
            parts.append(slash.join(texts))
        name = row.texts[0]
        if sum(column.is_name for column in table.columns) > 1 and name == previous:
            parts[0] = ""
        previous = name
        lines.append(" & ".join(parts) + r" \\")
        if row.ends and number < len(table.rows):
            lines.append(r"\midrule")
    return [*lines, r"\bottomrule"]


def _number(value: Value) -> str:
    """A number as siunitx reads it, anything else in braces, which keep it from being read."""
    number = _NUMBER.fullmatch(value.text)
    plain = value.text.replace("±", r"\pm")
    if number is not None and _is_plain(number) and value.rank != "second":
        return rf"\bfseries {plain}" if value.rank == "best" else plain
    if number is not None:
        escaped = rf"\num{{{plain}}}" if _is_plain(number) else f"${plain}$"
    else:
        escaped = latex_text(value.text)
    if value.rank == "best":
        escaped = rf"\bfseries\boldmath {escaped}"
    if value.rank == "second":
        escaped = rf"\underline{{{escaped}}}"
    return f"{{{escaped}}}" if escaped else ""
