"""Exact image and pixel metrics of anomaly detection.

Every distinct score is a threshold and ties enter together: nothing is binned or sampled. A higher
score means more anomalous, and a score is predicted anomalous at threshold `t` when it is `>= t`.
Values are fractions; one that is undefined is NaN and comes with an `UndefinedMetricWarning`.
"""

from adbench.metrics.exact.image import image_metrics as image_metrics
from adbench.metrics.exact.pixel import pixel_metrics as pixel_metrics
from adbench.metrics.exact.pixel import pixel_metrics_streamed as pixel_metrics_streamed
from adbench.metrics.exact.regions import count_regions as count_regions
from adbench.metrics.exact.regions import label_regions as label_regions
from adbench.metrics.exact.undefined import UndefinedMetricWarning as UndefinedMetricWarning

__all__ = [
    "UndefinedMetricWarning",
    "count_regions",
    "image_metrics",
    "label_regions",
    "pixel_metrics",
    "pixel_metrics_streamed",
]
