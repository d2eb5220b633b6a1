"""Records -> rows, one a method, category (or mean) and seed -> summaries over seeds; as pandas."""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from adbench.metrics.table import METRICS, titles
from adbench.report import skill
from adbench.store.comparability import code_of, data_versions, is_known, libraries_of
from adbench.store.records import Record, mean_metrics

if TYPE_CHECKING:
    import pandas as pd

MEAN = "/mean"
SPREAD = "/inter_category_std"
"""In place of a category's name: the mean over categories, and the standard deviation over them
(ddof 0) that papers print. No category can have such a name; readers see it without the slash."""
GROUP = (
    "method", "variant", "preset", "dataset", "scope", "protocol", "limit", "settings", "data"
)  # fmt: skip
"""What must agree for rows of different seeds or categories to be summarised together."""
COLUMNS = (
    "dataset", "category", "level", "method", "variant", "selector", "preset", "scope", "seed",
    "status", *METRICS, "categories", "undefined", "limit", "protocol", "settings", "data",
    "data_known", "code", "libraries", "created",
)  # fmt: skip
"""Of the rows in files and frames, where `skill.COLUMNS` come on top."""

TITLES = titles()

Group = tuple[Any, ...]
Key = TypeVar("Key", bound=Hashable)
Item = TypeVar("Item")


def grouped(items: Iterable[Item], key: Callable[[Item], Key]) -> dict[Key, list[Item]]:
    """The items of each key, both in order of appearance."""
    groups: dict[Key, list[Item]] = {}
    for item in items:
        groups.setdefault(key(item), []).append(item)
    return groups


def group_of(row: Mapping[str, Any]) -> Group:
    """What the rows and summaries of one method share."""
    return tuple(row[name] for name in GROUP)


def rows(
    records: Iterable[Record], versions: Mapping[str, str] | None = None
) -> list[dict[str, Any]]:
    """One row per record and category, then a `mean` row per method, data set and seed.

    Metrics are fractions, None where undefined, failed or skipped. A mean row's `categories` is
    the number of categories in it, `undefined` those in which image AUROC is undefined. `settings`
    is a digest of the hyper-parameters, `data` of the version of the data set (`versions`, those
    among these records by default); where not all files behind a number are known, `data_known` is
    False and `data` the version that it stands with. `code` and `libraries` are digests of what
    made it, None where unknown, `mixed` in a mean over several. `skill` is the cell's, None with a
    reason in `skill_parts`; that of a mean row as `skill.over_cells` has it.
    """
    given = list(records)
    labels = data_versions(given) if versions is None else versions
    runs = [(_run(record, labels), record) for record in given]
    siblings = {run: record for run, record in runs if record.status == "done"}
    own = (row for run, r in runs for row in _category_rows(r, labels, siblings.get(run, r)))
    groups = grouped(own, lambda row: (*group_of(row), row["seed"]))
    return [row for group in groups.values() for row in (*group, _mean_row(group))]


def part_rows(records: Iterable[Record]) -> list[dict[str, Any]]:
    """The same rows for what each part of a method scores alone, with its name as `part`."""
    given = list(records)
    versions = data_versions(given)
    return [
        {**row, "part": name}
        for name in dict.fromkeys(name for record in given for name in record.parts)
        for row in rows(
            (
                r.model_copy(update={"metrics": r.parts[name], "skill": {}})  # the whole has skill
                for r in given
                if name in r.parts
            ),
            versions,
        )
    ]


def public(table: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The rows as users get them: means are called so, and `level` tells them from a category; a
    mean over one category, which is that category again, is none. Rows of records of before, which
    say nothing of skill, have no columns for it."""
    rows = [row for row in table if row["category"] != MEAN or _is_mean(row)]
    blank = skill.columns({}) if any(row.get("skill_parts") for row in rows) else {}
    hidden = set() if blank else set(skill.columns({}))
    return [
        {**blank, **{n: v for n, v in row.items() if n not in hidden}, **named(row["category"])}
        for row in rows
    ]


def _is_mean(row: Mapping[str, Any]) -> bool:
    return bool(row["categories"] > 1 or row["status"] == "reported")


def named(category: str) -> dict[str, str]:
    """`category` and `level` as users get them."""
    level = {MEAN: "mean", SPREAD: "std"}.get(category, "category")
    return {"category": category.removeprefix("/"), "level": level}


def frame(table: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """The rows as a DataFrame; undefined metrics, and skill where there is none, are NaN."""
    import pandas as pd

    numbers = (*METRICS, *skill.COLUMNS)
    own = [{**skill.columns({}), **row} for row in public(table)]
    data = pd.DataFrame.from_records(own, columns=[*COLUMNS, *skill.COLUMNS])
    return data.astype(dict.fromkeys(numbers, "float64"))


def spread(summaries: Mapping[str, Mapping[str, Any]], metric: str) -> float | None:
    """Standard deviation (ddof 0) over categories of a metric's mean over seeds.

    `summaries` are those of one method by category. None for a single category, and where a
    category failed or has no value.
    """
    own = [summary for category, summary in summaries.items() if category != MEAN]
    if len(own) < 2 or any(s[metric] is None or s["status"] != "done" for s in own):
        return None
    return _mean_and_deviation([s[metric]["mean"] for s in own], ddof=0)[1]


def summarise_seeds(table: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Mean and standard deviation (ddof 1) over seeds, per method and category.

    Each metric becomes {"mean", "std" (None for one seed), "n"}; None where never defined.
    """
    groups = grouped(table, lambda row: (*group_of(row), row["category"]))
    return [_summary(group) for group in groups.values()]


def _run(record: Record, versions: Mapping[str, str]) -> tuple[Any, ...]:
    """What a failed cell shares with the finished ones of its run."""
    own = record.identity
    trained = own["categories"] if own["scope"] == "unified" else []
    rule = (record.key_parts.get(name) for name in ("mask_rule", "mask_threshold", "calibrate"))
    return (
        own["method"], record.variant, record.preset, own["dataset"], own["dataset_version"],
        own["scope"], own["limit"], versions[record.keys["score"]], *trained, *map(str, rule),
    )  # fmt: skip


def facts(record: Record, versions: Mapping[str, str]) -> dict[str, Any]:
    """What the rows of a record say, whatever their category."""
    is_done = record.status == "done"
    return {
        "method": record.identity["method"],
        "variant": record.variant,
        "selector": record.method,
        "preset": record.preset,
        **{name: record.identity[name] for name in ("dataset", "scope", "seed", "limit")},
        "protocol": record.protocol_digest if is_done else None,
        "settings": record.settings,
        "data": versions[record.keys["score"]],
        "data_known": is_known(record),
        "code": code_of(record),
        "libraries": libraries_of(record),
        "status": record.status,
        "created": record.created,
        "categories": 1,
        "undefined": 0,
    }


def _category_rows(
    record: Record, versions: Mapping[str, str], sibling: Record
) -> list[dict[str, Any]]:
    """A failed cell has no protocol of its own, nor names of what was selected: it has those of a
    finished `sibling`, where there is one, and counts with it."""
    common = facts(record, versions)
    if record.status != "done":
        theirs = facts(sibling, versions)
        common |= {n: theirs[n] for n in ("protocol", "settings") if common[n] is None}
    return [
        {
            **common,
            "category": c,
            **_metric_values(record.metrics.get(c, {})),
            **skill.columns(record.skill),
        }
        for c in record.identity["categories"]
    ]


def _mean_row(group: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    values, undefined = mean_metrics({row["category"]: row for row in group})
    made_by = {name: {row[name] for row in group} for name in ("code", "libraries")}
    cells = group[:1] if group[0]["scope"] == "unified" else group  # one training, or one each
    own = skill.over_cells({row["category"]: row["skill_parts"] for row in cells})
    return {
        **group[0],
        "category": MEAN,
        "status": _worst(group),
        "categories": len(group),
        "undefined": undefined["image_auroc"],
        "created": max(row["created"] for row in group),
        "data_known": all(row["data_known"] for row in group),
        **{name: one.pop() if len(one) == 1 else "mixed" for name, one in made_by.items()},
        **_metric_values(values),
        **skill.columns(own),
    }


def _worst(group: Sequence[Mapping[str, Any]]) -> str:
    statuses = {row["status"] for row in group}
    return next(s for s in ("failed", "skipped", "done") if s in statuses)


def _summary(group: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    of_one = {"seed", *skill.columns({})}
    first = {name: value for name, value in group[0].items() if name not in of_one}
    for name in METRICS:
        values = [row[name] for row in group if row[name] is not None]
        mean, deviation = _mean_and_deviation(values, ddof=1)
        first[name] = {"mean": mean, "std": deviation, "n": len(values)} if values else None
    return first | {
        "seeds": sorted(row["seed"] for row in group),
        "status": _worst(group),
        "data_known": all(row["data_known"] for row in group),
    }


def _mean_and_deviation(values: Sequence[float], ddof: int) -> tuple[float, float | None]:
    """Correctly rounded sums; no deviation of less than two values."""
    mean = math.fsum(values) / max(1, len(values))
    if len(values) < 2:
        return mean, None
    squares = math.fsum((value - mean) ** 2 for value in values)
    return mean, math.sqrt(squares / (len(values) - ddof))


def _metric_values(values: Mapping[str, float | None]) -> dict[str, float | None]:
    return {name: values.get(name) for name in METRICS}
