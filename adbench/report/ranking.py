"""Which numbers of a row are best and second best, and which may be ranked at all."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any, TypeVar

from adbench.report.tables import GROUP, MEAN

Key = TypeVar("Key", bound=Hashable)
Group = tuple[Any, ...]


def group_of(summary: Mapping[str, Any]) -> Group:
    """What the summaries of one method's categories share."""
    return tuple(summary[name] for name in GROUP)


def category_sets(summaries: Sequence[Mapping[str, Any]]) -> dict[Group, frozenset[str]]:
    """The categories of each method's summaries: what its mean is over."""
    sets: dict[Group, set[str]] = {}
    for summary in summaries:
        own = sets.setdefault(group_of(summary), set())
        if summary["category"] != MEAN:
            own.add(summary["category"])
    return {group: frozenset(own) for group, own in sets.items()}


def best_and_second(
    summaries: Mapping[Key, Mapping[str, Any]],
    metric: str,
    averaged: Mapping[Group, frozenset[str]],
) -> tuple[set[Key], set[Key]]:
    """Keys of the best and of the second best among summaries of one category (or mean).

    Only like with like: one data set and scope is the caller's part; here one protocol, one version
    of the data, one `--limit`, for means one set of categories. A smoke run ranks nothing that it
    stands beside. Values are compared as printed, because of two equal texts one in bold would
    mislead; two that share the first place leave no second, and of two the second is just the
    other.
    """
    peers: dict[tuple[Any, ...], dict[Key, Mapping[str, Any]]] = {}
    for key, summary in summaries.items():
        over = averaged[group_of(summary)] if summary["category"] == MEAN else None
        kind = (summary["protocol"], summary["data"], summary["limit"], over)
        peers.setdefault(kind, {})[key] = summary
    best: set[Key] = set()
    second: set[Key] = set()
    for own in peers.values():
        if len(own) < 2 or any(s["preset"] == "smoke" for s in own.values()):
            continue
        values = {
            key: round(s[metric]["mean"], 4)
            for key, s in own.items()
            if s[metric] is not None and s["status"] == "done"
        }
        order = sorted(set(values.values()), reverse=True)
        first = {key for key, value in values.items() if value == order[0]} if order else set()
        best |= first
        if len(first) == 1 and len(values) > 2:
            second |= {key for key, value in values.items() if value == order[1]}
    return best, second
