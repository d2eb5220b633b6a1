"""How much better a trained network is on held-out normals than the best cheap predictor."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Self

from adbench.contracts.cards import JSON

MIN_HELD_OUT = 16
"""With fewer held-out normals nothing is said."""
NO_NETWORK = "no network is trained"


@dataclass(frozen=True)
class Skill:
    """Whether a network learned, not whether it detects: `value` 0 is no better than the best
    cheap predictor, 1 is perfect, below 0 is worse.

    It is measured on normals that trained nothing, with fixed noise draws, and never compared
    between methods: each measures what its own network does.

    Attributes:
        error: e, the network's mean error.
        simple: e of the best cheap predictor, fitted on the images that the network trained on.
        trivial: e of the predictor that ignores its input.
        standard_error: of `value`, over images.
        held_out: how many normals were held out.
        measured: the error in words.
        beside: what else is known of the network, for the record.
        reason: why there is no value; "" where there is one.
    """

    error: float | None = None
    simple: float | None = None
    trivial: float | None = None
    standard_error: float | None = None
    held_out: int = 0
    measured: str = ""
    beside: Mapping[str, JSON] = field(default_factory=dict)
    reason: str = ""

    @classmethod
    def of(
        cls,
        errors: Sequence[float],
        simple: Sequence[float],
        trivial: Sequence[float],
        measured: str,
        beside: Mapping[str, JSON] | None = None,
    ) -> Self:
        """From the errors on each held-out image, the network's and those of the two predictors,
        under the same noise. The standard error is that of a ratio of two means (delta method).
        """
        count = len(errors)
        if count < MIN_HELD_OUT:
            return cls.unknown(too_few(count))
        e, e_simple, e_trivial = (math.fsum(part) / count for part in (errors, simple, trivial))
        if not (math.isfinite(e) and e_simple > 0):
            return cls.unknown(f"errors of {e:.4g} and {e_simple:.4g} have no ratio")
        ratio = e / e_simple
        spread = math.fsum((a - ratio * b) ** 2 for a, b in zip(errors, simple, strict=True))
        standard_error = math.sqrt(spread / (count - 1) / count) / e_simple
        return cls(e, e_simple, e_trivial, standard_error, count, measured, dict(beside or {}))

    @classmethod
    def unknown(cls, reason: str) -> Self:
        """None, and why."""
        return cls(reason=reason)

    @property
    def value(self) -> float | None:
        """1 - e / e_simple, at most 1; None where nothing was measured."""
        if self.error is None or self.simple is None:
            return None
        return 1 - self.error / self.simple

    def to_json(self) -> dict[str, JSON]:
        """For a record: `value` (a number or null) and all of the above."""
        return {"value": self.value, **asdict(self)}


def too_few(count: int) -> str:
    """The reason where so many normals are held out."""
    held_out = "no normals are" if not count else f"{count} normal{'s are' if count > 1 else ' is'}"
    return f"{held_out} held out, at least {MIN_HELD_OUT} are needed (held_out_fraction)"
