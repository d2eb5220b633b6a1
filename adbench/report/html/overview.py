"""What a report opens with: of each data set who is best, beside cost, skill and a few pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from adbench.figures.latency import settings
from adbench.naming import dataset_title
from adbench.report.blocks import Block, Summary, blocks
from adbench.report.html.cells import View
from adbench.report.html.pictures import Budget, latency_plot
from adbench.report.report import Report
from adbench.report.side_tables import SKILL
from adbench.report.tables import MEAN, TITLES, group_of, grouped
from adbench.report.text_table import averaged, run_name

RANKED_BY = ("image_auroc", "aupro@0.3")
"""The metrics of the ranking; the first decides it."""
COSTS = {
    SKILL: "skill", "fit, s": "fit, s", "ms/image": "ms per image", "parameters, M": "params, M",
}  # fmt: skip
"""Columns of the timing table that stand beside, and what they are called here."""
MOST_PICTURES = 4
_ROLES = ("worst defect", "median defect", "best defect", "worst normal")


def overview(report: Report, galleries: Sequence[View], budget: Budget) -> list[View]:
    """One a data set and scope, in the order of the tables."""
    costs = _costs(report)
    found = []
    for block in blocks(report, RANKED_BY):
        if block.own:
            rows = _rows(block, costs)
            used = [
                n for n in COSTS.values() if any(row["costs"].get(n, "–") != "–" for row in rows)
            ]
            found.append(
                {
                    "title": dataset_title(block.dataset),
                    "place": _place(block),
                    "metrics": [TITLES[name] for name in RANKED_BY],
                    "costs": used,
                    "rows": rows,
                    "plot": _plot(report, block),
                    "strip": _strip(block, rows, galleries, budget),
                }
            )
    return found


def _place(block: Block) -> str:
    only = block.categories[0] if len(block.categories) == 1 else ""
    over = only or f"mean of {len(block.categories)} categories"
    shared = block.place.split(", ")[1:]
    return ", ".join([over, *shared, block.unit])


def _rows(block: Block, costs: Mapping[tuple[str, str], dict[str, str]]) -> list[View]:
    """Ranks are given among numbers that may be compared, and to smoke runs never."""
    category = MEAN if len(block.categories) > 1 else block.categories[0]
    cells = block.cells(RANKED_BY)
    own = [summaries[category] for summaries in block.methods.values() if category in summaries]
    groups = grouped(sorted(own, key=_score, reverse=True), block.kind)
    rows = []
    for peers in groups.values():
        is_ranked = len(peers) > 1 and not any(s["preset"] == "smoke" for s in peers)
        for summary in peers:
            place = 1 + sum(_score(other) > _score(summary) for other in peers)
            has_place = is_ranked and _score(summary) >= 0
            partial = averaged(summary) if summary["undefined"] else ""
            rows.append(
                {
                    "rank": str(place) if has_place else "",
                    "name": block.name_of(summary),
                    "remark": f"mean of {partial}" if partial and category == MEAN else "",
                    "cells": cells[group_of(summary), category],
                    "costs": costs.get((block.dataset, run_name(summary)), {}),
                }
            )
    return rows


def _score(summary: Summary) -> float:
    """As printed, so that equal texts share a rank; -1 where there is none."""
    value = summary[RANKED_BY[0]]
    return -1.0 if value is None or summary["status"] != "done" else round(value["mean"], 4)


def _costs(report: Report) -> dict[tuple[str, str], dict[str, str]]:
    """By data set and run, of the first device that it was timed on."""
    found: dict[tuple[str, str], dict[str, str]] = {}
    if report.timing is not None:
        heads = [column.head for column in report.timing.columns]
        for row in report.timing.rows:
            texts = dict(zip(heads, row.texts, strict=True))
            own = {name: texts[head] for head, name in COSTS.items() if head in texts}
            found.setdefault((row.texts[0], row.texts[1]), own)
    return found


def _plot(report: Report, block: Block) -> View | None:
    own = (s for s in settings(report.records) if s[:2] == (block.dataset, block.scope))
    setting = next(own, None)
    return None if setting is None else latency_plot(report.records, setting, RANKED_BY[:1])


def _strip(
    block: Block, rows: Sequence[View], galleries: Sequence[View], budget: Budget
) -> View | None:
    """A few images of one category with their masks and the maps of the best method that has any;
    None where nothing was drawn, or there is no room to show it twice."""
    view = next((v for v in galleries if v["dataset"] == block.dataset), None)
    if view is None:
        return None
    names = [row["name"].text for row in rows]
    method = min(view["methods"], key=lambda m: names.index(m) if m in names else len(names))
    cases = sorted(view["cases"], key=lambda case: _place_of(case["role"]))
    shown = [
        {**case, "map": picture["picture"]}
        for case in cases
        for picture in case["maps"]
        if picture["method"] == method
    ][:MOST_PICTURES]
    size = sum(len(c["image"]) + len(c["mask"]) + len(c["map"]) for c in shown)
    if not shown or not budget.take(size):
        return None
    return {"category": view["category"], "method": method, "cases": shown}


def _place_of(role: Any) -> int:
    return _ROLES.index(role) if role in _ROLES else len(_ROLES)
