"""Metrics: `table` lists them, `exact` computes them, `resampled` does for many resamples at once.

A score is higher where an image or pixel is more anomalous; of every metric a higher value is
better, and it lies in [0, 1].
"""
