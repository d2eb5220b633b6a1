"""Why a cell is or is not reused, in words (`--explain-cache`)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from adbench.plan import Cell
from adbench.store.folders import Store
from adbench.store.predictions import PredictionChunks, chunk_bounds
from adbench.store.records import Record

_NAMES = {
    "code_digest": "the method's code",
    "method_revision": "the revision on the method's card",
    "dataset_revision": "the revision on the data set's card",
    "kinds": "the kinds of the categories",
    "decoder": "the image decoder",
    "train": "the training images",
    "test": "the test images",
    "masks": "the masks",
    "calibrate": "the share of normals that calibrate",
    "calibration": "the normals that calibrate",
    "metrics": "the metric code",
    "selected": "the selection file",
    "budget": "the part of the steps",
}
_RESCORE = {"masks", "mask_rule", "mask_threshold", "aupro_limits", "metrics", "selected", "budget"}
_REPREDICT = {"test"}
MOST_MODULES = 5
"""Named of those that changed."""


def explain_cell(cell: Cell, store: Store, records: Iterable[Record]) -> str:
    """One line: reused, or what differs from the nearest earlier record and what that costs."""
    folder = store.cell(cell)
    if folder.record() is not None:
        return f"{cell.title}: reused, all keys equal (record {cell.score_key[:12]})"
    failure = folder.failure()
    if failure is not None and failure.failure is not None:
        return f"{cell.title}: failed before ({failure.failure.message}); will be tried again"
    nearest = _nearest(cell, records)
    if nearest is None:
        state = "goes on from its checkpoint" if folder.checkpoint.exists() else "never run"
        return f"{cell.title}: {state}"
    changed = _changes(cell.key_parts, nearest.key_parts)
    repredict = _REPREDICT | {f"hyperparameters.{name}" for name in cell.prediction_options}
    names = {c.partition(" ")[0] for c in changed}
    bounds = chunk_bounds([s.category for s in cell.data.split(cell.categories, "test")])
    if names <= _RESCORE and PredictionChunks(folder.predictions, bounds).are_there():
        cost = "scored again from kept maps, not trained and not predicted"
    elif names <= _RESCORE | repredict and folder.model.is_dir():
        cost = "predicted again with the kept model, not trained"
    elif names <= _RESCORE | repredict:
        kept = "neither its maps nor its model were" if names <= _RESCORE else "its model was not"
        cost = f"trained again, since {kept} kept"
    else:
        cost = "trained again"
    what = ", ".join(_in_words(c, cell.key_parts, nearest.key_parts) for c in changed)
    if "code_digest" not in nearest.key_parts:
        what += " (this version of adbench keys code and cards otherwise than that record's)"
    return f"{cell.title}: {cost}; against the record of {nearest.created} differs: {what}"


def _in_words(change: str, own: Mapping[str, Any], other: Mapping[str, Any]) -> str:
    text = _NAMES.get(change, change)
    if change != "code_digest" or change not in other:
        return text
    a, b = own["code"], other.get("code") or {}
    names = sorted(n for n in {*a, *b} if a.get(n) != b.get(n))
    # A module that moved is there under two names, with one content.
    moved = {a[n] for n in names if n in a} & {b[n] for n in names if n in b}
    names = [n for n in names if not {a.get(n), b.get(n)} & moved]
    if not names:
        return f"{text}: what its modules import from each other"
    more = f" and {len(names) - MOST_MODULES} more" if len(names) > MOST_MODULES else ""
    return f"{text}: {', '.join(names[:MOST_MODULES])}{more} changed"


def _nearest(cell: Cell, records: Iterable[Record]) -> Record | None:
    """The record of the same method, data set and categories with the fewest differences."""
    same = [
        r
        for r in records
        if r.status == "done"
        and all(r.identity.get(k) == cell.identity[k] for k in ("method", "dataset", "categories"))
    ]
    return min(same, key=lambda r: len(_changes(cell.key_parts, r.key_parts)), default=None)


def _changes(own: Mapping[str, Any], other: Mapping[str, Any]) -> list[str]:
    changed: list[str] = []
    for name in sorted(set(own) | set(other)):
        a, b = own.get(name), other.get(name)
        if a == b or name == "code":  # of the code the digest decides
            continue
        if name == "hyperparameters" and isinstance(a, dict) and isinstance(b, dict):
            changed += [
                f"hyperparameters.{n} ({b.get(n)} -> {a.get(n)})"
                for n in sorted(set(a) | set(b))
                if a.get(n) != b.get(n)
            ]
        else:
            changed.append(name)
    return changed
