"""THE table of metrics: one row each, from which all else follows.

A row is in records, and, where it has a title, in tables, CSV, JSON and HTML, in the words of
`--metrics`, `--cells` and `history --metric`, in the intervals, `compare` and the gate. To add an
image metric, add a row with a `function` of labels and scores here; nothing else. It appears in old
results too: whatever reads a record computes it from the scores that the record keeps of every
image, so that no model and no map is needed and no key changes. (Pixel metrics are computed by
`adbench.metrics.exact`, whose code is in the keys, when a cell is scored: a change there scores
kept maps again, and predicts where no maps were kept.)

Nothing heavy is imported here: the command line reads the table for its help.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, MutableMapping
from dataclasses import dataclass
from operator import methodcaller
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from adbench.metrics.resampled import ResampledCounts

Level = Literal["image", "pixel"]


@dataclass(frozen=True)
class Metric:
    """One metric; higher is better, [0, 1].

    Attributes:
        name: in records, options, CSV and JSON.
        title: as the head of a column; empty for a threshold, which is recorded alone.
        level: what is counted.
        shown: in tables and gates that are not asked for others.
        function: of labels (n,), bool, and scores (n,), float64, the images of one category; NaN or
            ValueError where undefined. None where `adbench.metrics.exact` computes it.
        resampled: the same value of each of R resamples, (R,), from weighted counts: for speed.
            Without it an image metric's `function` is called for every resample.
        test: of a paired difference: by resampling, or in closed form.
    """

    name: str
    title: str
    level: Level
    shown: bool = False
    function: Callable[[npt.NDArray[np.bool_], npt.NDArray[np.float64]], float] | None = None
    resampled: Callable[[ResampledCounts], npt.NDArray[np.float64]] | None = None
    test: Literal["bootstrap", "DeLong"] = "bootstrap"


_auroc, _aupr, _f1max = map(methodcaller, ("auroc", "average_precision", "f1max"))
_ROWS = (
    Metric("image_auroc", "image AUROC", "image", True, resampled=_auroc, test="DeLong"),
    Metric("image_aupr", "image AU-PR", "image", True, resampled=_aupr),
    Metric("image_f1max", "image F1-max", "image", resampled=_f1max),
    Metric("image_f1max_threshold", "", "image"),
    Metric("pixel_auroc", "pixel AUROC", "pixel", True, resampled=_auroc),
    Metric("pixel_aupr", "pixel AU-PR", "pixel", True, resampled=_aupr),
    Metric("pixel_f1max", "pixel F1-max", "pixel", resampled=_f1max),
    Metric("pixel_f1max_threshold", "", "pixel"),
    Metric("aupro@0.3", "AUPRO@0.3", "pixel", True, resampled=methodcaller("aupro", 0.3)),
    Metric("aupro@0.05", "AUPRO@0.05", "pixel", True, resampled=methodcaller("aupro", 0.05)),
)
METRICS = {row.name: row for row in _ROWS}


def titles() -> dict[str, str]:
    """Name to title of all that tables can show."""
    return {name: row.title for name, row in METRICS.items() if row.title}


def shown() -> tuple[str, ...]:
    """What tables and gates show by default."""
    return tuple(name for name, row in METRICS.items() if row.shown)


def image_names() -> tuple[str, ...]:
    """Those that the per-image scores of a record decide."""
    return tuple(name for name, row in METRICS.items() if row.title and row.level == "image")


def aupro_limits() -> tuple[float, ...]:
    """The false-positive rates up to which AUPRO is computed."""
    return tuple(float(n.partition("@")[2]) for n in METRICS if n.startswith("aupro@"))


def add_from_scores(
    metrics: Mapping[str, MutableMapping[str, float | None]], images: Mapping[str, list[Any]]
) -> None:
    """Compute the rows with a `function` for each category of a record, from its `images`."""
    rows = [row for row in METRICS.values() if row.function is not None]
    if not rows or not images:
        return
    import numpy as np

    categories = np.array(images["category"])
    labels, scores = np.array(images["label"]) != 0, np.array(images["score"], dtype=np.float64)
    for category, own in metrics.items():
        chosen = categories == category
        for row in rows:
            own[row.name] = value_of(row, labels[chosen], scores[chosen])


def value_of(
    row: Metric, labels: npt.NDArray[np.bool_], scores: npt.NDArray[np.float64]
) -> float | None:
    """The row's `function`; None where undefined."""
    assert row.function is not None
    try:
        value = float(row.function(labels, scores))
    except ValueError:
        return None
    return value if math.isfinite(value) else None
