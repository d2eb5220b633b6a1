"""The record of a cell: every number with all that is needed to trust and compare it."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Mapping
from functools import cached_property
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, PrivateAttr, model_validator

from adbench import errors
from adbench.contracts import JSON
from adbench.metrics.table import METRICS as METRICS
from adbench.metrics.table import add_from_scores
from adbench.store.files import digest
from adbench.store.record_blocks import (
    Calibration,
    DataNotes,
    Environment,
    Identity,
    ImageColumns,
    Items,
    Keys,
    Protocol,
    SkillParts,
    Snapshot,
    Timing,
    check_columns,
    shaped,
)

PARTS = ("train", "test", "masks")
"""The files that a number rests on."""
MAX_NUMBER = 2**53
FORMAT = 2
"""Raised when a record can no longer be read by the version before."""

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


def selector_text(method: str, variant: str) -> str:
    """`method[variant]`, as on the command line."""
    return f"{method}[{variant}]" if variant else method


class Record(BaseModel):
    """One cell's outcome. Holds no absolute path, host or user name.

    `metrics` maps category to metric to value (None where undefined; those that the scores decide
    are computed when it is read: `metrics.table`), and `parts` the name of a part of the method to
    what it scores alone, in the same form. `images` holds columns of equal
    length: id, category, label, defect, score (JSON has no infinity: "inf" or "-inf").
    `calibration` holds the scores of normals that were held out of `fit`, empty where none were.
    `snapshots` are points along the training, its end left out: that is the record itself.

    `number` orders the records of a results folder: the store gives each one more than the highest
    that is there, and 0 stands for records of before. Clocks order nothing that has a number.
    `family` is `family_of`; both stand first, where they are read without the rest.
    """

    model_config = ConfigDict(extra="forbid")

    format: Literal[1, 2] = 2
    number: int = Field(0, ge=0, le=MAX_NUMBER)
    family: str = ""
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
    calibration: Annotated[dict[str, Any], AfterValidator(shaped(Calibration))] = {}
    timing: Annotated[dict[str, Any], AfterValidator(shaped(Timing))] = {}
    diagnostics: dict[str, Any] = {}
    skill: Annotated[dict[str, Any], AfterValidator(shaped(SkillParts))] = {}
    snapshots: Items[Annotated[dict[str, Any], AfterValidator(shaped(Snapshot))]] = []
    data: Annotated[dict[str, Any], AfterValidator(shaped(DataNotes))] = {}
    environment: Annotated[dict[str, Any], AfterValidator(shaped(Environment))] = {}
    failure: Failure | None = None
    reason: str | None = Field(None, description="why a skipped cell was skipped")
    _left_out: tuple[str, ...] = PrivateAttr(())

    @model_validator(mode="after")
    def _whole(self) -> Self:
        """What each status promises is there."""
        if self.status == "failed" and self.failure is None:
            raise ValueError("a failed cell without its failure")
        if self.status == "done":
            lacks = [c for c in self.identity["categories"] if c not in self.metrics]
            if lacks or not self.protocol:
                raise ValueError("a finished cell without its metrics or its protocol")
        add_from_scores(self.metrics, self.images)
        return self

    @property
    def method(self) -> str:
        """`method[variant]`, as on the command line."""
        return selector_text(str(self.identity["method"]), self.variant)

    @property
    def budget(self) -> float | None:
        """Of a shorter training (`--budgets`): its share of the steps."""
        return self.identity.get("budget")

    @property
    def place(self) -> str:
        """Data set and category, or how many categories."""
        categories = self.identity["categories"]
        where = categories[0] if len(categories) == 1 else f"{len(categories)} categories"
        return f"{self.identity['dataset']}:{where}"

    def held_out_scores(self, category: str) -> list[float]:
        """Of the normals of a category that calibrate; none where the cell is not calibrated."""
        own = self.calibration
        columns = zip(own.get("category", ()), own.get("score", ()), strict=True)
        return [float(score) for where, score in columns if where == category]

    @property
    def name(self) -> str:
        """What people call it: `lafite[tau=200] fast on mpdd:tubes, seed 0`."""
        scope = ", unified" if self.identity["scope"] == "unified" else ""
        limit = self.identity["limit"]
        limited = "" if limit is None else f", limit {limit}"
        share = self.identity.get("calibrate")
        limited += "" if share is None else f", calibrate {share:g}"
        seed = f"seed {self.identity['seed']}"
        return f"{self.method} {self.preset} on {self.place}{scope}{limited}, {seed}"

    @property
    def left_out(self) -> tuple[str, ...]:
        """What a reader must know of older records that this one stands for (`newest.latest`)."""
        return self._left_out

    def standing_for(self, left_out: tuple[str, ...]) -> Record:
        """The same record with `left_out`."""
        copy = self.model_copy()
        copy._left_out = left_out
        return copy

    @property
    def is_ahead(self) -> bool:
        """Whether it says that it was made in the future, by more than clocks of machines differ:
        then some clock was wrong."""
        return self.created > now(ahead=3600)

    @cached_property
    def protocol_digest(self) -> str:
        """Twelve hex digits; equal where two numbers of one category have one protocol."""
        return protocol_digest(self.protocol)

    @cached_property
    def data_digests(self) -> dict[tuple[str, str], str]:
        """What is known of the files behind it: (category, one of `PARTS`) to a SHA-256 of names,
        labels and bytes.

        Records of before have one digest a part, over all of their categories: of a single
        category it is the category's own.
        """
        kept = self.data.get("digests")
        if kept is not None:
            return {(c, part): own[part]["sha256"] for c, own in kept.items() for part in PARTS}
        category, *others = self.identity["categories"]
        found = {} if others else {(category, part): self.key_parts.get(part) for part in PARTS}
        return {place: text for place, text in found.items() if isinstance(text, str)}

    @cached_property
    def settings(self) -> str | None:
        """Twelve hex digits, equal for equal hyper-parameters; those that `--selected` chose, which
        differ from category to category, do not count. None where it is unknown which they are."""
        own: dict[str, JSON] = self.identity["hyperparameters"]
        if "selected" in self.identity and "selected" not in self.protocol:
            return None
        chosen = self.protocol.get("selected", ())
        return digest({name: own[name] for name in own if name not in chosen})[:12]

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """As pydantic's; what was derived from fields that may have changed is derived anew."""
        copy = super().model_copy(update=update, deep=deep)
        for name in ("protocol_digest", "data_digests", "settings") if update else ():
            copy.__dict__.pop(name, None)
        return copy


def family_of(identity: Mapping[str, JSON], preset: str, variant: str) -> str:
    """Sixteen hex digits, equal for records of which a table shows the newest settings alone."""
    names = ("method", "dataset", "scope", "limit")
    return digest([*(identity[name] for name in names), preset, variant])[:16]


def protocol_digest(protocol: Mapping[str, JSON]) -> str:
    """Digest of what of a protocol is shared (`shared_protocol`)."""
    return digest(shared_protocol(protocol))[:12]


def shared_protocol(protocol: Mapping[str, JSON]) -> dict[str, JSON]:
    """A protocol as all cells have it that a mean is over: separate models are trained on their
    "own" category and hold out "some" normals, of which the category's size decides the number.
    Nothing held out is as if nothing were said of it, which methods do that cannot."""
    own = {name: value for name, value in protocol.items() if name != "held_out" or value}
    if own.get("scope") == "separate":
        own["trained_categories"] = "own"
        own |= {"held_out": "some"} if "held_out" in own else {}
    return own


def now(ahead: float = 0) -> str:
    """The current time, or one `ahead` of it in seconds: UTC, to the second, ISO 8601."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + ahead))


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
        has_mean = bool(defined) and bool(METRICS[name].title)
        mean[name] = math.fsum(defined) / len(defined) if has_mean else None
    return mean, undefined
