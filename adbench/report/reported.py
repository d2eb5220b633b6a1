"""Published numbers: the files of results/published as values, and as columns of a table."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from functools import cache
from importlib import resources
from typing import Literal

from adbench.report.tables import MEAN, SPREAD

PACKAGE = "adbench.published"
SECONDS = "seconds_per_image"
_SUMS = {name.removeprefix("/"): name for name in (MEAN, SPREAD)}
"""What the files call a mean and a spread over categories."""
Kind = Literal["value", "difference", "bound"]
KINDS: Mapping[str, Kind] = {"value": "value", "difference": "difference", "bound": "bound"}
"""A detector's number, its difference to the full method's, or what no detector can exceed."""


@dataclass(frozen=True, slots=True)
class Reported:
    """One number that a paper prints, with the protocol that it states.

    An empty text or None means that the paper does not say. `value` and `std` are fractions
    (seconds for `seconds_per_image`) with the digits that were printed.
    """

    method: str
    """The registry's name where it is a method of ours, else the published name."""
    selector: str
    preset: str
    name: str
    """As printed, with the variant."""
    dataset: str
    dataset_version: str
    category: str
    metric: str
    kind: Kind
    value: Decimal
    std: Decimal | None
    seeds: int | None
    scope: str
    image_size: int
    crop: int | None
    backbone: str
    mask_rule: str
    device: str
    source: str
    paper: str
    """Stem of the file."""

    @property
    def text(self) -> str:
        """In percent, as printed."""
        shown = f"{self.value.scaleb(2):f}"
        return shown if self.std is None else f"{shown} ± {self.std.scaleb(2):f}"

    @property
    def rounding(self) -> float:
        """Half a unit of the last printed digit, as a fraction."""
        exponent = self.value.as_tuple().exponent
        assert isinstance(exponent, int)
        return 0.5 * 10.0**exponent


@dataclass(frozen=True)
class ReportedColumn:
    """What one paper reports of one method on one data set under one protocol."""

    paper: str
    name: str
    method: str
    selector: str
    preset: str
    dataset: str
    dataset_version: str
    scope: str
    image_size: int
    crop: int | None
    backbone: str
    mask_rule: str
    numbers: Mapping[tuple[str, str], Reported] = field(hash=False, compare=False)
    """(category, metric) to number; where two tables repeat one, the first."""
    categories: frozenset[str]
    """All that the data set has in the papers: what a mean is over, and unified training."""

    @property
    def sources(self) -> list[str]:
        """The tables that the numbers come from."""
        return list(dict.fromkeys(number.source for number in self.numbers.values()))


@cache
def published_numbers() -> tuple[Reported, ...]:
    """Every number of the files that come with adbench, in their order."""
    files = (f for f in resources.files(PACKAGE).iterdir() if f.name.endswith(".csv"))
    numbers: list[Reported] = []
    for file in sorted(files, key=lambda f: f.name):
        rows = csv.DictReader(file.read_text(encoding="utf-8").splitlines())
        numbers += [_reported(row, file.name.removesuffix(".csv")) for row in rows]
    return tuple(numbers)


def _reported(row: Mapping[str, str], paper: str) -> Reported:
    return Reported(
        method=row["method"],
        selector=row["selector"],
        preset=row["preset"],
        name=row["name"],
        dataset=row["dataset"],
        dataset_version=row["dataset_version"],
        category=_SUMS.get(row["category"], row["category"]),
        metric=row["metric"],
        kind=KINDS[row["kind"]],
        value=Decimal(row["value"]),
        std=Decimal(row["std"]) if row["std"] else None,
        seeds=int(row["seeds"]) if row["seeds"] else None,
        scope=row["scope"],
        image_size=int(row["image_size"]),
        crop=int(row["crop"]) if row["crop"] else None,
        backbone=row["backbone"],
        mask_rule=row["mask_rule"],
        device=row["device"],
        source=row["source"],
        paper=paper,
    )


def columns(numbers: Sequence[Reported], datasets: Iterable[str]) -> list[ReportedColumn]:
    """The detectors' columns of these data sets; bounds and times are in none.

    A printed difference becomes the sum of it and the full method's number in the same paper.
    """
    wanted = set(datasets)
    groups: dict[tuple[object, ...], list[Reported]] = {}
    for number in numbers:
        if number.dataset in wanted and number.kind != "bound" and number.metric != SECONDS:
            key = (number.dataset, number.scope, number.paper, number.name, number.selector)
            groups.setdefault(key, []).append(number)
    return [_column(group, numbers) for group in groups.values()]


def _column(group: Sequence[Reported], numbers: Sequence[Reported]) -> ReportedColumn:
    first = group[0]
    own: dict[tuple[str, str], Reported] = {}
    for number in group:
        own.setdefault((number.category, number.metric), _absolute(number, numbers))
    return ReportedColumn(
        paper=first.paper,
        name=first.name,
        method=first.method,
        selector=first.selector,
        preset=first.preset,
        dataset=first.dataset,
        dataset_version=first.dataset_version,
        scope=first.scope,
        image_size=first.image_size,
        crop=first.crop,
        backbone=first.backbone,
        mask_rule=first.mask_rule,
        numbers=own,
        categories=_categories(first.dataset, numbers),
    )


def _categories(dataset: str, numbers: Sequence[Reported]) -> frozenset[str]:
    named = {n.category for n in numbers if n.dataset == dataset}
    return frozenset(named - {MEAN, SPREAD, ""})


def _absolute(number: Reported, numbers: Sequence[Reported]) -> Reported:
    if number.kind != "difference":
        return number
    full = next(
        n for n in numbers
        if n.kind == "value" and not n.selector
        and (n.paper, n.method, n.dataset, n.category, n.metric)
        == (number.paper, number.method, number.dataset, number.category, number.metric)
    )  # fmt: skip
    return replace(number, value=full.value + number.value, kind="value")


def times(numbers: Sequence[Reported]) -> list[Reported]:
    """Inference times of single images."""
    return [n for n in numbers if n.metric == SECONDS]
