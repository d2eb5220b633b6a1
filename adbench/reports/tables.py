"""Records -> rows -> pandas: one row per method, category (or `mean`) and seed, and summaries."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from adbench.atomic import canonical_json
from adbench.reports import spreadsheet
from adbench.storage.records import METRICS, Record, mean_metrics

if TYPE_CHECKING:
    import pandas as pd

MEAN = "mean"
SPREAD = "inter_category_std"
"""The category under which papers print the standard deviation over categories (ddof 0)."""
GROUP = ("method", "variant", "preset", "dataset", "scope", "protocol", "limit")
"""What must agree for rows of different seeds or categories to be summarised together."""

TITLES = {
    "image_auroc": "image AUROC",
    "image_aupr": "image AU-PR",
    "image_f1max": "image F1-max",
    "pixel_auroc": "pixel AUROC",
    "pixel_aupr": "pixel AU-PR",
    "pixel_f1max": "pixel F1-max",
    "aupro@0.3": "AUPRO@0.3",
    "aupro@0.05": "AUPRO@0.05",
}


def latest(records: Iterable[Record]) -> list[Record]:
    """The newest record of each cell under each mask rule; older code's records are superseded."""
    newest: dict[str, Record] = {}
    for record in records:
        key = canonical_json([record.identity, record.key_parts.get("mask_rule")])
        if key not in newest or record.created >= newest[key].created:
            newest[key] = record
    return sorted(newest.values(), key=_order)


def rows(records: Iterable[Record]) -> list[dict[str, Any]]:
    """One row per record and category, then a `mean` row per method, data set and seed.

    Metrics are fractions, None where undefined, failed or skipped. A mean row's `categories` is
    the number of categories in it, `undefined` those in which image AUROC is undefined.
    """
    own = [row for record in records for row in _category_rows(record)]
    _lend_protocols(own)
    groups: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
    for row in own:
        groups.setdefault((*(row[name] for name in GROUP), row["seed"]), []).append(row)
    result: list[dict[str, Any]] = []
    for group in groups.values():
        result += [*group, _mean_row(group)]
    return result


def part_rows(records: Iterable[Record]) -> list[dict[str, Any]]:
    """The same rows for what each part of a method scores alone, with its name as `part`."""
    having = [record for record in records if record.parts]
    return [
        {**row, "part": name}
        for name in dict.fromkeys(name for record in having for name in record.parts)
        for row in rows(
            record.model_copy(update={"metrics": record.parts[name]})
            for record in having
            if name in record.parts
        )
    ]


def frame(table: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """The rows as a DataFrame; undefined metrics are NaN."""
    import pandas as pd

    data = pd.DataFrame.from_records([dict(row) for row in table], columns=_columns())
    return data.astype({name: "float64" for name in METRICS})


def csv_text(table: Sequence[Mapping[str, Any]], more: Sequence[str] = ()) -> str:
    """The rows as CSV in full precision, undefined metrics empty; `more` are further columns."""
    fields = [*_columns(), *more]
    return spreadsheet.csv_text([fields, *([row.get(name) for name in fields] for row in table)])


def spread(summaries: Mapping[str, Mapping[str, Any]], metric: str) -> float | None:
    """Standard deviation (ddof 0) over categories of a metric's mean over seeds.

    `summaries` are those of one method by category, without `MEAN`. None for a single category,
    and where a category failed or has no value.
    """
    own = list(summaries.values())
    if len(own) < 2 or any(s[metric] is None or s["status"] != "done" for s in own):
        return None
    values = [s[metric]["mean"] for s in own]
    mean = math.fsum(values) / len(values)
    return math.sqrt(math.fsum((v - mean) ** 2 for v in values) / len(values))


def summarise_seeds(table: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Mean and standard deviation (ddof 1) over seeds, per method and category.

    Each metric becomes {"mean", "std" (None for one seed), "n"}; None where never defined.
    """
    groups: dict[tuple[Any, ...], list[Mapping[str, Any]]] = {}
    for row in table:
        groups.setdefault((*(row[name] for name in GROUP), row["category"]), []).append(row)
    return [_summary(group) for group in groups.values()]


def _category_rows(record: Record) -> list[dict[str, Any]]:
    identity = record.identity
    common = {
        "method": identity["method"],
        "variant": record.variant,
        "preset": record.preset,
        "dataset": identity["dataset"],
        "scope": identity["scope"],
        "seed": identity["seed"],
        "limit": identity["limit"],
        "protocol": record.protocol_digest if record.status == "done" else None,
        "status": record.status,
        "created": record.created,
        "categories": 1,
        "undefined": 0,
    }
    return [
        {**common, "category": c, **_metric_values(record.metrics.get(c, {}))}
        for c in identity["categories"]
    ]


def _lend_protocols(table: list[dict[str, Any]]) -> None:
    """A failed cell has no protocol of its own: it counts with its siblings of the same run."""
    siblings = {_family(row): row["protocol"] for row in table if row["protocol"] is not None}
    for row in table:
        if row["protocol"] is None:
            row["protocol"] = siblings.get(_family(row))


def _family(row: Mapping[str, Any]) -> tuple[Any, ...]:
    return tuple(row[name] for name in GROUP if name != "protocol")


def _mean_row(group: list[dict[str, Any]]) -> dict[str, Any]:
    values, undefined = mean_metrics({row["category"]: row for row in group})
    status = _worst({row["status"] for row in group})
    return {
        **group[0],
        "category": MEAN,
        "status": status,
        "categories": len(group),
        "undefined": undefined["image_auroc"],
        "created": max(row["created"] for row in group),
        **_metric_values(values),
    }


def _worst(statuses: set[str]) -> str:
    return next(s for s in ("failed", "skipped", "done") if s in statuses)


def _summary(group: list[Mapping[str, Any]]) -> dict[str, Any]:
    first = dict(group[0])
    for name in METRICS:
        values = [row[name] for row in group if row[name] is not None]
        first[name] = _mean_and_deviation(values) if values else None
    first["seeds"] = sorted(row["seed"] for row in group)
    first["status"] = _worst({row["status"] for row in group})
    del first["seed"]
    return first


def _mean_and_deviation(values: list[float]) -> dict[str, float | int | None]:
    mean = math.fsum(values) / len(values)
    if len(values) == 1:
        return {"mean": mean, "std": None, "n": 1}
    variance = math.fsum((v - mean) ** 2 for v in values) / (len(values) - 1)
    return {"mean": mean, "std": math.sqrt(variance), "n": len(values)}


def _metric_values(values: Mapping[str, float | None]) -> dict[str, float | None]:
    return {name: values.get(name) for name in METRICS}


def _columns() -> list[str]:
    head = ["dataset", "category", "method", "variant", "preset", "scope", "seed", "status"]
    return [*head, *METRICS, "categories", "undefined", "limit", "protocol", "created"]


def _order(record: Record) -> tuple[Any, ...]:
    identity = record.identity
    return (
        identity["dataset"],
        identity["scope"],
        identity["method"],
        record.variant,
        record.preset,
        identity["categories"],
        identity["seed"],
    )
