"""What records say of skill, for rows, tables and notes.

Skill says whether a network learned, not whether it detects: it is in no ranking, never in bold,
and never averaged over methods.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

Parts = Mapping[str, Any]
"""The `skill` block of a record; empty where the cell failed, or was recorded by an adbench that
did not measure it."""

COLUMNS = ("skill", "skill_standard_error")
"""Of rows in CSV files and frames; rows have `skill_parts` besides."""


def columns(parts: Parts) -> dict[str, Any]:
    """What a row says of it."""
    numbers = (parts.get(name) for name in ("value", "standard_error"))
    return {**dict(zip(COLUMNS, numbers, strict=True)), "skill_parts": dict(parts)}


def over_cells(cells: Mapping[str, Parts]) -> Parts:
    """Of several cells of one method as of one: the mean of their values, with its standard error,
    and theirs as `cells`. They are taken as independent, as trainings on different categories are.

    There is no value where a cell has none: a mean over fewer would look like one over all.
    """
    own = list(cells.values())
    if len(own) == 1 or not any(own):
        return own[0]
    lacking = [reason(parts) for parts in own if parts.get("value") is None]
    errors = [] if lacking else [parts["standard_error"] for parts in own]
    return {
        "value": None if lacking else math.fsum(parts["value"] for parts in own) / len(own),
        "standard_error": math.hypot(*errors) / len(own) if errors else None,
        "held_out": sum(parts.get("held_out", 0) for parts in own),
        "reason": "; ".join(dict.fromkeys(lacking)),
        "cells": {name: dict(parts) for name, parts in cells.items()},
    }


def reason(parts: Parts) -> str:
    """Why there is no value."""
    return str(parts.get("reason", "not recorded"))


def text(parts: Parts) -> str:
    """`value ± standard error`; a dash where there is no value."""
    if parts.get("value") is None:
        return "–"
    return f"{parts['value']:.3f} ± {parts['standard_error']:.3f}".replace("-", "−")


def learned_nothing(parts: Parts) -> bool:
    """Whether there is a value, and chance alone could have made it."""
    value = parts.get("value")
    return value is not None and (value <= 0 or value < parts["standard_error"])
