"""`--cell METHOD[:DATASET[:CATEGORY]]`: one finished cell of a results folder."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from adbench.contracts import Method
from adbench.errors import UsageError, shortened
from adbench.hyperparameters import build_hyperparameters
from adbench.registry import load_method
from adbench.selectors import parse_methods
from adbench.store.folders import Store
from adbench.store.newest import latest
from adbench.store.records import Record, selector_text

_PART: Final = re.compile(r"(?:[^:\[\]]|\[[^\[\]]*\])+")
_ID: Final = re.compile(r"[0-9a-f]{6,24}")
MOST_NAMED = 8
"""Cells in a message that lists them."""


class Chosen(NamedTuple):
    """A finished cell, the category of what it is to see, and by which name its method loads."""

    record: Record
    category: str
    reference: str


class _Words(NamedTuple):
    """The parts of `--cell`, None where they are left out."""

    method: str
    options: Mapping[str, str]
    dataset: str | None
    category: str | None


def choose_cell(text: str, results: Path) -> Chosen:
    """The one finished cell that the words name: in place of the data set, or of all, may stand the
    beginning of its id.

    Of cells that differ in nothing else the calibrated one is meant, and one of all images. Raises
    `UsageError` where there is none, or several.
    """
    every = [r for r in Store(results).records() if r.status == "done"]
    if not every:
        raise UsageError(
            f"no finished cell in {results}: `adbench run --results {shlex.quote(str(results))}` "
            "makes some"
        )
    identifier, _, rest = text.strip().partition(":")
    if by_id := [r for r in every if _has_id(r, identifier)]:
        record = _only(by_id, text)
        return Chosen(record, _category(record, rest or None, text), record.identity["method"])
    words, standing = _parse(text), latest(every)
    name = load_method(words.method).card.name if ":" in words.method else words.method
    found = [r for r in standing if r.identity["method"] == name and _is_of(r, words)]
    if not found:
        raise UsageError(
            f"--cell {shortened(text)}: no such finished cell in {results}; expected "
            f"METHOD[:DATASET[:CATEGORY]] or an id, of {_listed(standing)}"
        )
    # A name without options is that of the variants too, but first of the cell that has none.
    found = [r for r in found if not (r.variant or words.options)] or found
    meant = list({_but_for_calibration(r): r for r in sorted(found, key=_preference)}.values())
    record = _only(meant, text)
    return Chosen(record, _category(record, words.category, text), words.method)


def run_command(chosen: Chosen, method: type[Method], results: Path, *more: str) -> str:
    """What runs the cell again, with `more` words. Of a set of one's own, whose path no record
    holds, PATH stands for it."""
    own, variant = chosen.record.identity, chosen.record.variant
    words = ["--methods", selector_text(chosen.reference, variant)]
    named = f"{own['dataset']}=PATH" if "place" in own else own["dataset"]
    words += ["--dataset", f"{named}:{','.join(own['categories'])}"]
    words += ["--preset", chosen.record.preset]
    words += ["--scope", own["scope"]] if own["scope"] != method.card.scope else []
    words += ["--seeds", str(own["seed"])] if own["seed"] else []
    words += ["--limit", str(own["limit"])] if own["limit"] else []
    words += ["--results", str(results)] if str(results) != "results" else []
    return shlex.join(["adbench", "run", *words, *more])


def _parse(text: str) -> _Words:
    parts = _PART.findall(text)
    if not parts or ":".join(parts) != text:
        raise UsageError(f"--cell {shortened(text)!r}: expected METHOD[:DATASET[:CATEGORY]]")
    # As in --dataset: a reference has a colon of its own, FILE.py:Class or package.module:Class.
    first = parts[0].partition("[")[0]
    head = 2 if len(parts) > 1 and (first.endswith(".py") or "." in first) else 1
    selectors = parse_methods(":".join(parts[:head]))
    options = [own for selector in selectors for own in selector.combinations()]
    if len(options) != 1:
        raise UsageError(f"--cell {shortened(text)}: {len(options)} cells are named, expected one")
    dataset, category = [*parts[head : head + 1], None][0], ":".join(parts[head + 1 :])
    return _Words(selectors[0].name, options[0], dataset, category or None)


def _is_of(record: Record, words: _Words) -> bool:
    own = record.identity
    if words.dataset not in (None, own["dataset"]) and not _has_id(record, words.dataset):
        return False
    if words.category is not None and words.category not in own["categories"]:
        return False
    if not words.options:
        return True
    asked = build_hyperparameters(load_method(words.method), record.preset, words.options)
    return bool(asked.canonical() == own["hyperparameters"])


def _has_id(record: Record, text: str) -> bool:
    return _ID.fullmatch(text) is not None and record.keys["score"].startswith(text)


def _but_for_calibration(record: Record) -> tuple[object, ...]:
    own = record.identity
    return (record.method, record.preset, own["dataset"], *own["categories"], own["scope"],
            own["seed"])  # fmt: skip


def _preference(record: Record) -> tuple[bool, bool, int]:
    """What is meant comes last."""
    return bool(record.calibration), record.identity["limit"] is None, record.number


def _only(found: Sequence[Record], text: str) -> Record:
    if len(found) > 1:
        raise UsageError(
            f"--cell {shortened(text)} is {len(found)} cells: {_listed(found)}; say more of the "
            "name, or give the id"
        )
    return found[0]


def _category(record: Record, wanted: str | None, text: str) -> str:
    own = record.identity["categories"]
    if wanted in own:
        return str(wanted)
    if wanted is None and len(own) == 1:
        return str(own[0])
    found = f"is no model of {wanted}" if wanted else f"is one model for {len(own)} categories"
    raise UsageError(
        f"--cell {shortened(text)} {found}: name that of the images, "
        f"--cell {record.method}:{record.identity['dataset']}:CATEGORY, of {', '.join(own)}"
    )


def _listed(records: Sequence[Record]) -> str:
    """Their names and ids; of many the first."""
    named = [
        f"{r.method}:{r.identity['dataset']}:{','.join(r.identity['categories'])} ({r.preset}, "
        f"seed {r.identity['seed']}, id {r.keys['score'][:12]})"
        for r in records[:MOST_NAMED]
    ]
    more = len(records) - MOST_NAMED
    return ", ".join([*named, *([f"and {more} more (`adbench runs`)"] if more > 0 else [])])
