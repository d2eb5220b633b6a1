"""Published numbers: the files of results/published as values, and as columns of a table."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from functools import cache
from importlib import resources
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict

from adbench.report.tables import MEAN, SPREAD, grouped

PACKAGE = "adbench.published"
SECONDS = "seconds_per_image"
_SUMS = {name.removeprefix("/"): name for name in (MEAN, SPREAD)}
"""What the files call a mean and a spread over categories."""
_EMPTY = BeforeValidator(lambda text: None if text == "" else text)


class Reported(BaseModel):
    """One number that a paper prints, with the protocol that it states: a row of a file.

    An empty text or None means that the paper does not say. `method` is the registry's name where
    it is a method of ours, else the published one; `name` as printed, with the variant; `paper` the
    stem of the file. `value` and `std` are fractions (seconds for `seconds_per_image`) with the
    digits that were printed: a detector's number, its `difference` to the full method's, or a
    `bound` that no detector can exceed.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    method: str
    selector: str
    preset: str
    name: str
    dataset: str
    dataset_version: str
    category: Annotated[str, BeforeValidator(lambda name: _SUMS.get(name, name))]
    metric: str
    kind: Literal["value", "difference", "bound"]
    value: Decimal
    std: Annotated[Decimal | None, _EMPTY]
    seeds: Annotated[int | None, _EMPTY]
    scope: str
    image_size: int
    crop: Annotated[int | None, _EMPTY]
    backbone: str
    mask_rule: str
    device: str
    source: str
    paper: str

    @property
    def text(self) -> str:
        """In percent, as printed."""
        shown = f"{self.value.scaleb(2):f}"
        return shown if self.std is None else f"{shown} ± {self.std.scaleb(2):f}"

    @property
    def exponent(self) -> int:
        """Of ten, of the last digit of the fraction."""
        return int(self.value.as_tuple().exponent)

    @property
    def rounding(self) -> float:
        """Half a unit of the last printed digit, as a fraction."""
        return 0.5 * 10.0**self.exponent


@dataclass(frozen=True)
class ReportedColumn:
    """What one paper reports of one method on one data set under one protocol, that of `first`.

    `numbers` are by (category, metric), the first where two tables repeat one; `categories` all
    that the data set has in the papers: what a mean is over, and unified training.
    """

    first: Reported
    numbers: Mapping[tuple[str, str], Reported] = field(hash=False, compare=False)
    categories: frozenset[str]


@cache
def published_numbers() -> tuple[Reported, ...]:
    """Every number of the files that come with adbench, in their order."""
    files = (f for f in resources.files(PACKAGE).iterdir() if f.name.endswith(".csv"))
    return tuple(
        Reported.model_validate({**row, "paper": file.name.removesuffix(".csv")})
        for file in sorted(files, key=lambda f: f.name)
        for row in csv.DictReader(file.read_text(encoding="utf-8").splitlines())
    )


def columns(numbers: Sequence[Reported], datasets: Iterable[str]) -> list[ReportedColumn]:
    """The detectors' columns of these data sets; bounds and times are in none.

    A printed difference becomes the sum of it and the full method's number in the same paper.
    """
    wanted = set(datasets)
    groups = grouped(
        (n for n in numbers if n.dataset in wanted and n.kind != "bound" and n.metric != SECONDS),
        lambda n: (n.dataset, n.scope, n.paper, n.name, n.selector),
    )
    found = []
    for (dataset, *_), group in groups.items():
        own: dict[tuple[str, str], Reported] = {}
        for number in group:
            own.setdefault((number.category, number.metric), _absolute(number, numbers))
        named = {n.category for n in numbers if n.dataset == dataset}
        found.append(ReportedColumn(group[0], own, frozenset(named - {MEAN, SPREAD, ""})))
    return found


def _absolute(number: Reported, numbers: Sequence[Reported]) -> Reported:
    if number.kind != "difference":
        return number
    same = {"kind": "value", "selector": ""}
    same |= {n: getattr(number, n) for n in ("paper", "method", "dataset", "category", "metric")}
    full = next(n for n in numbers if all(getattr(n, k) == v for k, v in same.items()))
    return number.model_copy(update={"value": full.value + number.value, "kind": "value"})
