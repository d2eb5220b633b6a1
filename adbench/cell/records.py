"""The record of a cell, whatever came of it, and the protocol under which it was made: everything
that makes two numbers comparable, as one flat dictionary."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from adbench.cell.settings import Settings
from adbench.contracts import JSON, Method, Skill
from adbench.data.findings import without_root
from adbench.errors import AdbenchError
from adbench.machine.environment import environment, plugin_states
from adbench.plan import AUPRO_LIMITS, Cell
from adbench.plugin_files import as_written
from adbench.store.records import Failure, Record, family_of, now

METRIC_DEFINITIONS = "exact-1"
"""Exact thresholds, 8-connected regions, AUPRO by linear interpolation at the limit, divided by
it; average precision by the step rule. Raised when a definition changes its values."""


def cell_record(cell: Cell, status: Any, **blocks: Any) -> Record:
    """A record of this cell, made now; `blocks` are the fields that depend on the outcome."""
    digests = {"digests": cell.data.file_digests(cell.categories)}
    return Record(
        family=family_of(cell.identity, cell.preset, cell.variant),
        status=status,
        created=now(),
        identity=cell.identity,
        preset=cell.preset,
        variant=cell.variant,
        keys={"fit": cell.fit_key, "predict": cell.predict_key, "score": cell.score_key},
        key_parts=cell.key_parts,
        data=digests | blocks.pop("data", {}),
        **blocks,
    )


def failed_record(cell: Cell, error: BaseException, settings: Settings) -> Record:
    """A record of what went wrong, without a machine's paths."""
    text = as_written(without_root(error, cell.data.root))
    failure = Failure(
        type=type(error).__name__,
        message=" ".join(text.split()) or "no message",
        traceback=_portable_traceback(error),
        exit_code=error.exit_code if isinstance(error, AdbenchError) else 3,
    )
    found = cell_environment(cell, settings)
    return cell_record(cell, "failed", failure=failure, environment=found)


def data_notes(cell: Cell) -> dict[str, Any]:
    """What there is to say of the data of a cell, as they are now."""
    data = cell.data
    own = [f for f in data.findings if f.category in (None, "", *cell.categories)]
    return {
        "layout": data.layout,
        "complete": data.complete,
        "findings": [f.to_json() for f in own],
        "train_images": len(data.split(cell.categories, "train")),
        "test_images": len(data.split(cell.categories, "test")),
    }


def cell_environment(cell: Cell, settings: Settings) -> dict[str, Any]:
    """The environment block, what the user said of the run, and whether this is the second try of
    a cell that lacked memory."""
    found = environment(settings.device, settings.precision) | plugin_environment(cell)
    if settings.note is not None:
        found["note"] = settings.note
    if settings.tags:
        found["tags"] = list(settings.tags)
    if settings.batch_divisor > 1:
        found["out_of_memory"] = f"tried again with 1/{settings.batch_divisor} of a batch at a time"
    return found


def plugin_environment(cell: Cell) -> dict[str, Any]:
    """The commits of what the cell runs of the user's own, where there are any."""
    dataset = type(cell.data.dataset).__module__
    states = plugin_states(method=cell.method.__module__, dataset=dataset)
    return {"plugin_git": states} if states else {}


def protocol_of(cell: Cell, fitted: Method) -> dict[str, JSON]:
    """The protocol of a fitted cell; `fitted` adds its backbone and the like."""
    geometry = fitted.geometry
    drawn = cell.data.split_rule(cell.categories)
    return {
        "dataset": cell.data.name,
        "dataset_version": cell.data.dataset.card.version,
        "scope": cell.scope,
        "trained_categories": list(cell.categories),
        "image_size": geometry.resize,
        "crop": geometry.crop,
        "evaluation_size": geometry.size,
        **_scoring(cell),
        "selection": "last",
        "limit": cell.data.limit,
        **({} if drawn is None else {"split": drawn}),
        **({} if cell.data.calibrate is None else {"calibrate": cell.data.calibrate}),
        **fitted.protocol(),
    }


def skill_of(cell: Cell, fitted: Method) -> dict[str, JSON]:
    """The skill of a fitted cell, or why there is none."""
    if cell.preset == "smoke":
        return Skill.unknown("preset smoke trains for seconds").to_json()
    return fitted.skill().to_json()


def protocol_as_scored(cell: Cell, fitted: Mapping[str, JSON]) -> dict[str, JSON]:
    """The protocol kept with a model, with what cells that share the model may differ in."""
    own = {**fitted, **_scoring(cell)}
    if cell.selected is not None:
        own["selection"] = "pseudo-validation"
        own["selected"] = list(cell.selected.names)
        own["selection_sha256"] = cell.selected.digest
    return own


def _scoring(cell: Cell) -> dict[str, JSON]:
    return {
        "mask_rule": cell.mask_rule,
        "mask_threshold": cell.data.mask_threshold,
        "metrics": METRIC_DEFINITIONS,
        "aupro_limits": list(AUPRO_LIMITS),
    }


def _portable_traceback(error: BaseException) -> list[str]:
    """The traceback as lines, with every file named from its package on: no machine's path."""
    lines = []
    for frame in traceback.extract_tb(error.__traceback__):
        path = Path(frame.filename)
        roots = [Path(p) for p in sys.path if p]
        inside = [path.relative_to(r) for r in roots if path.is_relative_to(r)]
        name = min(inside, key=lambda p: len(p.parts)).as_posix() if inside else path.name
        lines.append(f"{name}:{frame.lineno} in {frame.name}: {frame.line}")
    return lines
