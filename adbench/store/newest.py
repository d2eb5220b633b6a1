"""Which records of a results folder count: the newest of each cell, under the newest settings."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import Any

from adbench.store.comparability import PART_WORDS, different_parts, newness
from adbench.store.files import canonical_json
from adbench.store.records import Record, family_of
from adbench.text import counted


def latest(records: Iterable[Record], *, budgets: bool = False) -> list[Record]:
    """The newest record of each cell under each mask rule, sorted; older ones are superseded.
    Shorter trainings (`--budgets`) are left out, unless asked for.

    Where a default or a preset changed its values, the newest ones alone stand. What is left out,
    and is not merely of older code, is told by the records that stand for it (`Record.left_out`).
    """
    given = [record for record in records if budgets or record.budget is None]
    numbers = Counter(record.number for record in given if record.number)
    is_merged = len(numbers) < numbers.total()  # a store gives each number once
    newest = [_newest_of(own, is_merged=is_merged) for own in _grouped(given, _cell)]
    families = _grouped(newest, lambda r: family_of(r.identity, r.preset, r.variant))
    kept = [r for own in families for r in _newest_settings(own, is_merged=is_merged)]
    return sorted(kept, key=_order)


def _grouped(records: Iterable[Record], key: Callable[[Record], Hashable]) -> list[list[Record]]:
    groups: dict[Hashable, list[Record]] = {}
    for record in records:
        groups.setdefault(key(record), []).append(record)
    return list(groups.values())


def _cell(record: Record) -> str:
    rule = [record.key_parts.get(name) for name in ("mask_rule", "mask_threshold")]
    return canonical_json([record.identity, rule])


def _newest_of(own: Sequence[Record], *, is_merged: bool) -> Record:
    """Of one cell's records; it tells of those that rest on other files."""
    newest = max(own, key=newness)
    if len(own) == 1:
        return newest
    changed: Counter[tuple[str, ...]] = Counter()
    for record in own:
        categories = record.identity["categories"]
        parts = {p for c in categories for p in different_parts(newest, record, c)}
        changed[tuple(words for part, words in PART_WORDS.items() if part in parts)] += 1
    notes = tuple(
        f"{_name(newest)}: {counted(count, 'older record')} of other {' and '.join(parts)} left "
        "out."
        for parts, count in changed.items()
        if parts
    )
    notes += _doubt(newest, own) if is_merged else ()
    return newest.standing_for(notes) if notes else newest


def _name(record: Record) -> str:
    return f"{record.method} {record.preset} on {record.place}, seed {record.identity['seed']}"


def _doubt(newest: Record, others: Sequence[Record]) -> tuple[str, ...]:
    """Where folders were merged, numbers of one say nothing of those of another."""
    later = [r for r in others if r.number and not r.is_ahead and r.created > newest.created]
    if not later:
        return ()
    return (
        f"{_name(newest)}: the record made {newest.created} stands and "
        f"{counted(len(later), 'record')} made later (up to {max(r.created for r in later)}) do "
        "not: records here share numbers (folders merged, or written at once), so that it is "
        "unknown which is newer.",
    )


def _newest_settings(family: Sequence[Record], *, is_merged: bool) -> Sequence[Record]:
    """Those with the settings of the newest one; it tells of the others."""
    known = [record for record in family if record.settings is not None]
    if len({record.settings for record in known}) < 2:
        return family
    newest = max(known, key=newness)
    older = [record for record in known if record.settings != newest.settings]
    changes = dict.fromkeys(c for record in older for c in _changes(record, newest))
    left_out: tuple[str, ...] = (
        f"{newest.method} {newest.preset} on {newest.identity['dataset']}: "
        f"{counted(len(older), 'record')} of older settings left out ({', '.join(changes)}).",
    )
    left_out += _doubt(newest, older) if is_merged else ()
    return [
        record.standing_for((*record.left_out, *left_out)) if record is newest else record
        for record in family
        if record.settings in (None, newest.settings)
    ]


def _changes(older: Record, newest: Record) -> list[str]:
    """What differs in the hyper-parameters, `tau 300, now 200`; not in those that were chosen."""
    then, now = older.identity["hyperparameters"], newest.identity["hyperparameters"]
    chosen = {*older.protocol.get("selected", ()), *newest.protocol.get("selected", ())}
    names = [n for n in dict.fromkeys([*then, *now]) if then.get(n) != now.get(n)]
    return [f"{n} {_text(then.get(n))}, now {_text(now.get(n))}" for n in names if n not in chosen]


def _text(value: Any) -> str:
    if value is None:
        return "none"
    return str(value).lower() if isinstance(value, bool) else str(value)


def _order(record: Record) -> tuple[Any, ...]:
    identity = record.identity
    place = [identity[name] for name in ("dataset", "scope", "method")]
    return (*place, record.variant, record.preset, identity["categories"], identity["seed"])
