"""Records -> rows -> pandas: one row per method, category (or `mean`) and seed, and summaries."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from adbench.metrics.table import titles
from adbench.report import spreadsheet
from adbench.store.comparability import (
    code_of,
    data_versions,
    is_known,
    libraries_of,
)
from adbench.store.records import METRICS, Record, mean_metrics

if TYPE_CHECKING:
    import pandas as pd

MEAN = "/mean"
SPREAD = "/inter_category_std"
"""In place of a category's name: the mean over categories, and the standard deviation over them
(ddof 0) that papers print. No category can have such a name; readers see it without the slash."""
MIXED = "mixed"
GROUP = (
    "method", "variant", "preset", "dataset", "scope", "protocol", "limit", "settings", "data"
)  # fmt: skip
"""What must agree for rows of different seeds or categories to be summarised together."""

TITLES = titles()


def rows(
    records: Iterable[Record], versions: Mapping[str, str] | None = None
) -> list[dict[str, Any]]:
    """One row per record and category, then a `mean` row per method, data set and seed.

    Metrics are fractions, None where undefined, failed or skipped. A mean row's `categories` is
    the number of categories in it, `undefined` those in which image AUROC is undefined. `settings`
    is a digest of the hyper-parameters, `data` of the version of the data set (`versions`, those
    among these records by default); where not all files behind a number are known, `data_known` is
    False and `data` the version that it stands with. `code` and `libraries` are digests of what
    made it, None where unknown, `mixed` in a mean over several.
    """
    given = list(records)
    labels = data_versions(given) if versions is None else versions
    siblings = {_run(r, labels): r for r in given if r.status == "done"}
    own = [
        row
        for record in given
        for row in _category_rows(record, labels, siblings.get(_run(record, labels), record))
    ]
    groups: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
    for row in own:
        groups.setdefault((*(row[name] for name in GROUP), row["seed"]), []).append(row)
    result: list[dict[str, Any]] = []
    for group in groups.values():
        result += [*group, _mean_row(group)]
    return result


def part_rows(records: Iterable[Record]) -> list[dict[str, Any]]:
    """The same rows for what each part of a method scores alone, with its name as `part`."""
    given = list(records)
    having, versions = [r for r in given if r.parts], data_versions(given)
    return [
        {**row, "part": name}
        for name in dict.fromkeys(name for record in having for name in record.parts)
        for row in rows(
            (
                record.model_copy(update={"metrics": record.parts[name]})
                for record in having
                if name in record.parts
            ),
            versions,
        )
    ]


def public(table: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The rows as users get them: means are called so, and `level` tells them from a category."""
    return [{**row, **named(row["category"])} for row in table]


def named(category: str) -> dict[str, str]:
    """`category` and `level` as users get them."""
    level = {MEAN: "mean", SPREAD: "std"}.get(category, "category")
    return {"category": category.removeprefix("/"), "level": level}


def frame(table: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """The rows as a DataFrame; undefined metrics are NaN."""
    import pandas as pd

    data = pd.DataFrame.from_records(public(table), columns=_columns())
    return data.astype({name: "float64" for name in METRICS})


def csv_text(table: Sequence[Mapping[str, Any]], more: Sequence[str] = ()) -> str:
    """The rows as CSV in full precision, undefined metrics empty; `more` are further columns."""
    fields = [*_columns(), *more]
    own = public(table)
    return spreadsheet.csv_text([fields, *([row.get(name) for name in fields] for row in own)])


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


def _run(record: Record, versions: Mapping[str, str]) -> tuple[Any, ...]:
    """What a failed cell shares with the finished ones of its run."""
    own = record.identity
    trained = own["categories"] if own["scope"] == "unified" else []
    rule = (record.key_parts.get(name) for name in ("mask_rule", "mask_threshold"))
    return (
        own["method"], record.variant, record.preset, own["dataset"], own["dataset_version"],
        own["scope"], own["limit"], versions[record.keys["score"]], *trained, *map(str, rule),
    )  # fmt: skip


def _category_rows(
    record: Record, versions: Mapping[str, str], sibling: Record
) -> list[dict[str, Any]]:
    """A failed cell has no protocol of its own, nor names of what was selected: it has those of a
    finished `sibling`, where there is one, and counts with it."""
    identity = record.identity
    told = record if record.status == "done" else sibling
    common = {
        "method": identity["method"],
        "variant": record.variant,
        "preset": record.preset,
        "dataset": identity["dataset"],
        "scope": identity["scope"],
        "seed": identity["seed"],
        "limit": identity["limit"],
        "protocol": told.protocol_digest if told.status == "done" else None,
        "settings": told.settings if record.settings is None else record.settings,
        "data": versions[record.keys["score"]],
        "data_known": is_known(record),
        "code": code_of(record),
        "libraries": libraries_of(record),
        "status": record.status,
        "created": record.created,
        "categories": 1,
        "undefined": 0,
    }
    return [
        {**common, "category": c, **_metric_values(record.metrics.get(c, {}))}
        for c in identity["categories"]
    ]


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
        "data_known": all(row["data_known"] for row in group),
        "code": _one_of(row["code"] for row in group),
        "libraries": _one_of(row["libraries"] for row in group),
        **_metric_values(values),
    }


def _one_of(values: Iterable[str | None]) -> str | None:
    found = set(values)
    return found.pop() if len(found) == 1 else MIXED


def _worst(statuses: set[str]) -> str:
    return next(s for s in ("failed", "skipped", "done") if s in statuses)


def _summary(group: list[Mapping[str, Any]]) -> dict[str, Any]:
    first = dict(group[0])
    for name in METRICS:
        values = [row[name] for row in group if row[name] is not None]
        first[name] = _mean_and_deviation(values) if values else None
    first["seeds"] = sorted(row["seed"] for row in group)
    first["status"] = _worst({row["status"] for row in group})
    first["data_known"] = all(row["data_known"] for row in group)
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
    head = ["dataset", "category", "level", "method", "variant", "preset", "scope", "seed"]
    standard = ["limit", "protocol", "settings", "data", "data_known", "code", "libraries"]
    return [*head, "status", *METRICS, "categories", "undefined", *standard, "created"]
