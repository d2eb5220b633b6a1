"""README's table of the records in results/reference: `python tests/support/reference_table.py`
writes it anew."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from adbench.report.comparison import SHOWN, Block, blocks
from adbench.report.report import Report
from adbench.report.side_tables import SKILL
from adbench.report.tables import MEAN, TITLES, Group
from adbench.report.text_table import percent
from adbench.store.folders import Store
from adbench.store.newest import latest
from adbench.store.records import selector_text

ROOT = Path(__file__).parents[2]
REFERENCE, README = ROOT / "results" / "reference", ROOT / "README.md"
HEADS = ("data set", "method", SKILL.lower(), *(TITLES[name] for name in SHOWN), "ms/image")
EMPHASIS = {"best": "**{}**", "second": "{}", "": "{}"}
BLOCK = re.compile(r"^\| data set \| method .*?(?=^$)", re.MULTILINE | re.DOTALL)


def reference_table() -> str:
    """A line a method; a mean over seeds where there are several."""
    report = Report(sorted(latest(Store(REFERENCE).records()), key=lambda r: (r.method, r.place)))
    align = ["---"] * 2 + ["---:"] * (len(HEADS) - 2)
    lines, costs = [list(HEADS), align], _costs(report)
    for block in blocks(report, SHOWN):
        names = [_where(block), *[""] * len(block.methods)]
        lines += [[name, *row] for name, row in zip(names, _rows(block, costs), strict=False)]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _rows(block: Block, costs: Mapping[tuple[str, str], Mapping[str, str]]) -> Iterator[list[str]]:
    cells = block.cells(SHOWN)
    category = MEAN if len(block.categories) > 1 else block.categories[0]
    for group, own in block.methods.items():
        summary = own[category]
        texts = [
            EMPHASIS[value.rank].format(_percent(summary[metric], summary))
            for metric, value in zip(SHOWN, cells[group, category], strict=True)
        ]
        run = _run(group)
        cost = costs.get((block.dataset, f"{run} {summary['preset']}"), {})
        yield [block.name_of(summary).text, cost.get(SKILL, "–"), *texts, cost.get("ms/image", "–")]


def _percent(value: Mapping[str, Any] | None, summary: Mapping[str, Any]) -> str:
    return percent(value, summary["status"], value["n"] if value else 1)


def _run(group: Group) -> str:
    return selector_text(*group[:2])


def _where(block: Block) -> str:
    names = dict.fromkeys((block.dataset, *block.categories))
    return " ".join(names) if len(block.categories) == 1 else block.dataset


def _costs(report: Report) -> dict[tuple[str, str], dict[str, str]]:
    """Of each data set and run, the cost table's texts by their heads."""
    if report.timing is None:
        return {}
    heads = [column.head for column in report.timing.columns]
    rows = (row.texts for row in report.timing.rows)
    return {(row[0], row[1]): dict(zip(heads, row, strict=True)) for row in rows}


def main() -> None:
    """Replace the table in README."""
    README.write_text(BLOCK.sub(lambda _: reference_table(), README.read_text(), count=1))


if __name__ == "__main__":
    main()
