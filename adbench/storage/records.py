"""The record of a cell: every number with all that is needed to trust and compare it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from adbench import errors
from adbench.atomic import digest
from adbench.contracts import JSON
from adbench.storage.record_blocks import (
    DataNotes,
    Identity,
    ImageColumns,
    Items,
    Keys,
    Protocol,
    Timing,
    check_columns,
    shaped,
)

FORMAT = 1
"""Raised when a record can no longer be read by the version before."""

METRICS = (
    "image_auroc",
    "image_aupr",
    "image_f1max",
    "image_f1max_threshold",
    "pixel_auroc",
    "pixel_aupr",
    "pixel_f1max",
    "pixel_f1max_threshold",
    "aupro@0.3",
    "aupro@0.05",
)


Metrics = dict[str, dict[str, float | None]]
"""Category to metric to value."""


class Failure(BaseModel):
    """Why a cell failed."""

    model_config = ConfigDict(extra="forbid")

    type: str
    message: str
    traceback: Items[str]
    exit_code: int = 3

    @property
    def text(self) -> str:
        """The message, headed by the exception's type where the message was not made for people."""
        is_ours = hasattr(errors, self.type)
        return self.message if is_ours else f"{self.type}: {self.message}"


class Record(BaseModel):
    """One cell's outcome. Holds no absolute path, host or user name.

    `metrics` maps category to metric to value (None where undefined), and `parts` the name of a
    part of the method to what it scores alone, in the same form. `images` holds columns of equal
    length: id, category, label, defect, score (JSON has no infinity: "inf" or "-inf").
    """

    model_config = ConfigDict(extra="forbid")

    format: Literal[1] = 1
    status: Literal["done", "failed", "skipped"]
    created: str
    identity: Annotated[dict[str, Any], AfterValidator(shaped(Identity, may_be_empty=False))]
    preset: str
    variant: str
    keys: Annotated[dict[str, str], AfterValidator(shaped(Keys, may_be_empty=False))]
    key_parts: dict[str, Any] = {}
    protocol: Annotated[dict[str, Any], AfterValidator(shaped(Protocol))] = {}
    metrics: Metrics = {}
    parts: dict[str, Metrics] = {}
    images: Annotated[
        dict[str, list[Any]], AfterValidator(shaped(ImageColumns)), AfterValidator(check_columns)
    ] = {}
    timing: Annotated[dict[str, Any], AfterValidator(shaped(Timing))] = {}
    diagnostics: dict[str, Any] = {}
    data: Annotated[dict[str, Any], AfterValidator(shaped(DataNotes))] = {}
    environment: dict[str, Any] = {}
    failure: Failure | None = None
    reason: str | None = Field(None, description="why a skipped cell was skipped")

    @model_validator(mode="after")
    def _whole(self) -> Self:
        """What each status promises is there."""
        if self.status == "failed" and self.failure is None:
            raise ValueError("a failed cell without its failure")
        if self.status == "done":
            lacks = [c for c in self.identity["categories"] if c not in self.metrics]
            if lacks or not self.protocol:
                raise ValueError("a finished cell without its metrics or its protocol")
        return self

    @property
    def protocol_digest(self) -> str:
        """Twelve hex digits; equal where two numbers of one category are comparable."""
        return protocol_digest(self.protocol)


def protocol_digest(protocol: Mapping[str, JSON]) -> str:
    """Digest of a protocol; a separately trained category counts as "own", whatever its name."""
    own = dict(protocol)
    if own.get("scope") == "separate":
        own["trained_categories"] = "own"
    return digest(own)[:12]


def now() -> str:
    """The current time, UTC, to the second, ISO 8601."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def jsonable(values: Mapping[str, float]) -> dict[str, float | None]:
    """Metrics with None in place of NaN and infinities, which JSON lacks."""
    return {name: float(v) if math.isfinite(v) else None for name, v in values.items()}


def encode_scores(scores: Iterable[float]) -> list[float | str]:
    """Scores as JSON values; infinities become text."""
    return [float(s) if math.isfinite(s) else ("inf" if s > 0 else "-inf") for s in scores]


def mean_metrics(
    metrics: Mapping[str, Mapping[str, float | None]],
) -> tuple[dict[str, float | None], dict[str, int]]:
    """Unweighted mean over the categories where a metric is defined, and how many it is not.

    Thresholds have no meaningful mean and are left out (None).
    """
    mean: dict[str, float | None] = {}
    undefined: dict[str, int] = {}
    for name in METRICS:
        values = [own.get(name) for own in metrics.values()]
        defined = [v for v in values if v is not None]
        undefined[name] = len(values) - len(defined)
        has_mean = bool(defined) and not name.endswith("_threshold")
        mean[name] = math.fsum(defined) / len(defined) if has_mean else None
    return mean, undefined
