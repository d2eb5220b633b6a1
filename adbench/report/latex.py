"""Tables as LaTeX: booktabs rules, siunitx columns, best in bold, second best underlined.

`fragment` is what goes into a paper; `document` wraps such fragments so that they compile as they
are. Needs booktabs, graphicx and siunitx (2 or 3).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import groupby

from adbench.report.latex_text import latex_text
from adbench.report.text_table import Table

PACKAGES = ("booktabs", "graphicx", "siunitx")
FROM, TO = "% ---- paste from here: {} ----", "% ---- to here ----"
_NUMBER = re.compile(r"(\d+)\.(\d+)(?: ± (\d+)\.(\d+))?")
_SETUP = (
    r"\sisetup{detect-weight = true, separate-uncertainty = true, "
    r"table-align-uncertainty = false, table-text-alignment = right}"
)


def document(tables: Sequence[tuple[Table, Sequence[str]]]) -> str:
    """A whole document of tables, each with its notes; comment lines mark what to paste."""
    parts = [
        r"\documentclass{article}",
        r"\usepackage[margin=2cm]{geometry}",
        f"% What the tables need:\n\\usepackage{{{','.join(PACKAGES)}}}",
        r"\begin{document}",
    ]
    for table, notes in tables:
        parts += [FROM.format(label(table)), fragment(table, notes), TO, r"\clearpage"]
    return "\n".join([*parts, r"\end{document}"]) + "\n"


def fragments(tables: Sequence[tuple[Table, Sequence[str]]]) -> str:
    r"""The tables alone, to be read by \input; the first line says what they need."""
    needs = f"% needs \\usepackage{{{','.join(PACKAGES)}}}"
    return "\n\n".join([needs, *(fragment(table, notes) for table, notes in tables)]) + "\n"


def fragment(table: Table, notes: Sequence[str] = ()) -> str:
    """One table environment, with the notes below."""
    caption = rf"\caption{{{latex_text(table.caption or table.title)}}}\label{{{label(table)}}}"
    spec, head, body = _specification(table), _head(table), _body(table)
    listed = [latex_text(note) + r"\par" for note in notes]
    lines = [
        r"\begin{table}[htbp]", r"\centering", _SETUP, caption + r"\par\vspace{4pt}",
        # Shrunk where it is wider than the text, never enlarged.
        r"\resizebox{\ifdim\width>\linewidth\linewidth\else\width\fi}{!}{%",
        rf"\begin{{tabular}}{{{spec}}}", *head, *body, r"\end{tabular}}",
    ]  # fmt: skip
    if listed:
        lines += [r"\par\smallskip\begin{minipage}{\linewidth}\footnotesize\raggedright"]
        lines += [*listed, r"\end{minipage}"]
    return "\n".join([*lines, r"\end{table}"])


def label(table: Table) -> str:
    """`tab:adbench-` and the table's key in letters, digits and hyphens."""
    return "tab:adbench-" + re.sub(r"[^a-z0-9]+", "-", table.key.lower()).strip("-")


def _specification(table: Table) -> str:
    parts = []
    for cell in table.cells():
        kinds = [_column(table, column) for column in cell]
        # The slash has a column of its own, because a pair may be empty.
        parts.append(r" @{\,}c@{\,} ".join(kinds))
    return " ".join(parts)


def _column(table: Table, column: int) -> str:
    if column < table.text_columns:
        return "l"
    formats = _formats(table, column)
    if not formats:
        return "r"
    whole, decimals = (max(f[i] for f in formats) for i in (0, 1))
    uncertain = max(f[2] for f in formats)
    return f"S[table-format={whole}.{decimals}{f'({uncertain})' if uncertain else ''}]"


def _formats(table: Table, column: int) -> list[tuple[int, int, int]]:
    """Digits before and after the point, and of the uncertainty, of a column's numbers."""
    found = (_NUMBER.fullmatch(row[column]) for row in table.rows)
    return [
        (len(m[1]), len(m[2]), len(m[3] or "") + len(m[4] or ""))
        for m in found
        if m is not None and _is_plain(m)
    ]


def _is_plain(match: re.Match[str]) -> bool:
    """Whether siunitx prints it as it stands: an uncertainty with other decimals than its number
    it would pad, and one of zero it would drop."""
    is_like = match[4] is not None and len(match[4]) == len(match[2])
    return match[4] is None or (is_like and float(f"{match[3]}.{match[4]}") > 0)


def _head(table: Table) -> list[str]:
    lines = [r"\toprule"]
    if table.groups:
        lines += _group_lines(table)
    heights = [head.split("\n") for head in table.head]
    for line in range(max(map(len, heights))):
        texts = []
        for cell in table.cells():
            own = heights[cell[0]]
            text = latex_text(own[line]) if line < len(own) else ""
            if len(cell) == 2:
                text = rf"\multicolumn{{3}}{{c}}{{{text}}}" if text else "& &"
            elif text:
                text = f"{{{text}}}"
            texts.append(text)
        lines.append(" & ".join(texts) + r" \\")
    return [*lines, r"\midrule"]


def _group_lines(table: Table) -> list[str]:
    """Headings over several columns, with a rule below each."""
    texts, rules, first = [], [], 1
    for name, cells in groupby(table.cells(), key=lambda cell: table.groups[cell[0]]):
        width = sum(3 if len(cell) == 2 else 1 for cell in cells)
        texts.append(rf"\multicolumn{{{width}}}{{c}}{{{latex_text(name)}}}")
        if name:
            rules.append(rf"\cmidrule(lr){{{first}-{first + width - 1}}}")
        first += width
    return [" & ".join(texts) + r" \\", " ".join(rules)]


def _body(table: Table) -> list[str]:
    lines, previous = [], ""
    for row, texts in enumerate(table.rows):
        parts = []
        for cell in table.cells():
            halves = [_text(table, row, column) for column in cell]
            slash = "/" if len(cell) == 2 and any(texts[column] for column in cell) else ""
            parts.append(f" & {slash} & ".join(halves) if len(cell) == 2 else halves[0])
        if table.text_columns > 1 and texts[0] == previous:
            parts[0] = ""
        previous = texts[0]
        lines.append(" & ".join(parts) + r" \\")
        if row in table.breaks and row < len(table.rows) - 1:
            lines.append(r"\midrule")
    return [*lines, r"\bottomrule"]


def _text(table: Table, row: int, column: int) -> str:
    """A number as siunitx reads it, anything else in braces, which keep it from being read."""
    text = table.rows[row][column]
    is_best, is_second = (row, column) in table.best, (row, column) in table.second
    if column < table.text_columns:
        return latex_text(text)
    number = _NUMBER.fullmatch(text)
    plain = text.replace("±", r"\pm")
    if number is not None and _is_plain(number) and not is_second:
        return rf"\bfseries {plain}" if is_best else plain
    if number is not None:
        escaped = rf"\num{{{plain}}}" if _is_plain(number) else f"${plain}$"
    else:
        escaped = latex_text(text)
    if is_best:
        escaped = rf"\bfseries\boldmath {escaped}"
    if is_second:
        escaped = rf"\underline{{{escaped}}}"
    return f"{{{escaped}}}" if escaped else ""
