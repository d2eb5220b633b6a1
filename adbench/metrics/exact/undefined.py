"""What a metric says when the data do not define it: NaN, and this warning."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping


class UndefinedMetricWarning(UserWarning):
    """A group lacks anomalous or normal members, so some of its metrics are NaN."""


def warn_of_undefined(
    metrics: Mapping[str, float], *, unit: str, num_anomalous: int, stacklevel: int
) -> None:
    """Warn once, naming every NaN in `metrics`; `unit` is what is counted ("pixel", "image").

    `stacklevel` is that of `warnings.warn`, seen from the caller of this function.
    """
    undefined = [name for name, value in metrics.items() if math.isnan(value)]
    if not undefined:
        return
    missing = "normal" if num_anomalous else "anomalous"
    warnings.warn(
        f"no {missing} {unit}: {', '.join(undefined)} undefined, reported as NaN",
        UndefinedMetricWarning,
        stacklevel=stacklevel + 1,
    )
