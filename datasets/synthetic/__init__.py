"""Rendered metal parts: `Synthetic` is the data set, the other modules draw it."""

from adbench.datasets.synthetic.dataset import Synthetic as Synthetic
