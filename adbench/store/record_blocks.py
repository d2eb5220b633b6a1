"""The shape of a record's blocks: what every table, figure and test may take for granted.

A block may hold more than stands here. A record that lacks something, whoever wrote it, is
refused when it is read, and never half-way through a table.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    FailFast,
    Field,
    TypeAdapter,
    ValidationError,
    field_validator,
    model_validator,
)

from adbench.errors import shortened
from adbench.text import is_printable

T = TypeVar("T")


def _printable(text: str) -> str:
    if not is_printable(text):
        raise ValueError("holds a control character or is not UTF-8")
    return text


def _all_printable(texts: list[str]) -> list[str]:
    """The same for a column of thousands, by one look at all of it."""
    _printable("".join(texts))
    return texts


def _scores(values: list[Any]) -> list[Any]:
    """Numbers, or the texts that stand for infinities."""
    for kind in set(map(type, values)) - {float, int}:
        wrong = [v for v in values if type(v) is kind and v not in ("inf", "-inf")]
        if wrong:
            raise ValueError(f"found {shortened(repr(wrong[0]))}, expected a number, inf or -inf")
    return values


def _categories(names: list[str]) -> list[str]:
    """Each once, and none that reads as a mean over them (`tables.MEAN`)."""
    if len(set(names)) < len(names):
        raise ValueError("names a category twice")
    for name in names:
        if name.startswith("/"):
            raise ValueError(f"found {shortened(repr(name))}, expected the name of a folder")
    return names


Name = Annotated[str, AfterValidator(_printable)]
Names = Annotated[list[str], FailFast(), AfterValidator(_all_printable)]
Items = Annotated[list[T], FailFast()]
"""A list of which the first wrong item is told: a stranger's may have millions."""


class _Block(BaseModel):
    model_config = ConfigDict(extra="allow", strict=True)


class Identity(_Block):
    """What was run."""

    method: Name
    hyperparameters: dict[str, Any]
    dataset: Name
    dataset_version: str
    categories: Annotated[Items[Name], AfterValidator(_categories)] = Field(min_length=1)
    scope: Literal["separate", "unified"]
    seed: int
    limit: int | None
    calibrate: float | None = None
    budget: float | None = None
    place: str | None = None


class Keys(_Block):
    """Digests that name the cell's folder, maps and record."""

    fit: str
    predict: str
    score: str


class Protocol(_Block):
    """What makes two numbers comparable."""

    dataset: Name
    dataset_version: str
    scope: str
    trained_categories: Items[Name]
    image_size: int
    crop: int | None
    evaluation_size: int
    mask_rule: str
    mask_threshold: int
    metrics: str
    aupro_limits: Items[float]
    selection: str
    limit: int | None
    selected: Items[str] = []
    backbone: str | None = None
    weights_sha256: str | None = None


class ImageColumns(_Block):
    """Per-image results as columns of equal length."""

    id: Names
    category: Names
    label: Items[Literal[0, 1]]
    defect: Names
    score: Annotated[list[Any], AfterValidator(_scores)]


class Calibration(_Block):
    """Scores of the normals that were held out of `fit`, as columns of equal length, and by which
    draw; `maps` gives by category the median and the highest value of their maps."""

    share: float
    seed: int
    id: Names
    category: Names
    score: Annotated[list[Any], AfterValidator(_scores)]
    maps: dict[str, Annotated[list[float], Field(min_length=2, max_length=2)]] = {}

    @model_validator(mode="after")
    def _equal(self) -> Self:
        check_columns({"id": self.id, "category": self.category, "score": self.score})
        return self


class _Seconds(_Block):
    median: float
    p95: float


class Inference(_Block):
    """What `timing.measure_inference` gives."""

    device_name: str
    valid: bool
    seconds_per_image: _Seconds
    images_per_second: float
    peak_rss_bytes: int
    peak_device_bytes: int | None
    parameters: int
    flops_per_image: float


class _Fit(_Block):
    seconds: float
    valid: bool | None = None
    training_flops: float | None = None
    divisions: Items[Items[int]] = []


class Timing(_Block):
    """Seconds and bytes of training and inference."""

    fit: _Fit
    inference: Inference | None = None


class SkillParts(_Block):
    """What `contracts.Skill` says of a trained network; records of before lack it."""

    value: float | None
    standard_error: float | None
    held_out: int
    reason: Name

    @model_validator(mode="after")
    def _number_or_reason(self) -> Self:
        if self.value is None and not self.reason:
            raise ValueError("neither a value nor the reason why there is none")
        if self.value is not None and (self.standard_error is None or self.standard_error < 0):
            raise ValueError("a value without its standard error")
        return self


class Snapshot(_Block):
    """What the model scores after `step` of `steps` optimiser steps; without metrics where it could
    not predict. Seconds are those of training until then."""

    step: int
    steps: int
    training_flops: float
    seconds: float
    skill: SkillParts
    metrics: dict[str, dict[str, float | None]]


class _Commit(_Block):
    commit: str | None = None
    dirty: bool | None = None


class Environment(_Block):
    """What made it: versions and commits; and what the user said of the run."""

    packages: dict[str, str | None] | None = None
    git: _Commit | None = None
    plugin_git: dict[str, _Commit] | None = None
    note: Name | None = None
    tags: Items[Name] = []


class _Truth(_Block):
    regions: int
    regions_after_resize: int
    masks_lost_in_resize: Items[str]
    empty_masks: Items[str]


class _Finding(_Block):
    severity: Literal["error", "warning", "note"]
    category: str | None = None
    message: str


class _Files(_Block):
    files: int
    sha256: str


class _Digests(_Block):
    train: _Files
    test: _Files
    masks: _Files


class DataNotes(_Block):
    """What the numbers rest on, by category, and what was odd about it."""

    digests: dict[str, _Digests] | None = None
    complete: bool | None = None
    findings: Items[_Finding] = []
    ground_truth: dict[str, Any] = {}

    @field_validator("ground_truth")
    @classmethod
    def _truths(cls, truths: dict[str, Any]) -> dict[str, Any]:
        for truth in truths.values():
            _Truth.model_validate(truth)  # the first that is wrong ends it
        return truths


def first_problem(error: ValidationError) -> str:
    """Where a value of a stranger's is wrong, and how."""
    problem = error.errors()[0]
    where = shortened(".".join(map(str, problem["loc"]))) or "content"
    return f"{where}: {shortened(problem['msg'])}"


def shaped(block: type[_Block], *, may_be_empty: bool = True) -> Callable[[T], T]:
    """A validator that lets a dictionary of this shape pass as it is."""
    adapter = TypeAdapter(block)

    def check(value: T) -> T:
        if value or not may_be_empty:
            try:
                adapter.validate_python(value)
            except ValidationError as error:
                raise ValueError(first_problem(error)) from None
        return value

    return check


def check_columns(images: dict[str, list[Any]]) -> dict[str, list[Any]]:
    """Raise ValueError where columns differ in length."""
    lengths = sorted({len(column) for column in images.values()})
    if len(lengths) > 1:
        raise ValueError(f"columns of {' and '.join(map(str, lengths))} rows")
    return images
