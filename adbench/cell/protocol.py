"""Everything that makes two numbers comparable, as one flat dictionary."""

from __future__ import annotations

from collections.abc import Mapping

from adbench.contracts import JSON, Method
from adbench.plan import AUPRO_LIMITS, Cell

METRIC_DEFINITIONS = "exact-1"
"""Exact thresholds, 8-connected regions, AUPRO by linear interpolation at the limit, divided by
it; average precision by the step rule. Raised when a definition changes its values."""


def protocol_of(cell: Cell, fitted: Method) -> dict[str, JSON]:
    """The protocol of a fitted cell; `fitted` adds its backbone and the like."""
    geometry = fitted.geometry
    card = cell.data.dataset.card
    return {
        "dataset": cell.data.name,
        "dataset_version": card.version,
        "scope": cell.scope,
        "trained_categories": list(cell.categories),
        "image_size": geometry.resize,
        "crop": geometry.crop,
        "evaluation_size": geometry.size,
        "mask_rule": cell.mask_rule,
        "mask_threshold": cell.data.mask_threshold,
        "metrics": METRIC_DEFINITIONS,
        "aupro_limits": list(AUPRO_LIMITS),
        "selection": "last",
        "limit": cell.data.limit,
        **fitted.protocol(),
    }


def protocol_as_scored(cell: Cell, fitted: Mapping[str, JSON]) -> dict[str, JSON]:
    """The protocol kept with a model, with what cells that share the model may differ in."""
    own: dict[str, JSON] = {
        "mask_rule": cell.mask_rule,
        "mask_threshold": cell.data.mask_threshold,
        "metrics": METRIC_DEFINITIONS,
        "aupro_limits": list(AUPRO_LIMITS),
    }
    if cell.selected is not None:
        own["selection"] = "pseudo-validation"
        own["selected"] = list(cell.selected.names)
        own["selection_sha256"] = cell.selected.digest
    return {**fitted, **own}
