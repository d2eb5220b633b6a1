"""Rough FLOPs (2 x MAC) of what methods share, for the estimate of a plan; imports no torch."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class BackboneCost:
    """Of a backbone cut after its fourth stage.

    Attributes:
        channels: of the four stages together.
        flops: of one image of 224 x 224 pixels.
    """

    channels: int
    flops: float


BACKBONES = {
    "tf_efficientnet_b4": BackboneCost(272, 1.84e9),
    "tf_efficientnet_lite0": BackboneCost(192, 0.49e9),
}


def backbone_cost(backbone: str) -> BackboneCost:
    """Measured for the backbones of the presets; others are taken for EfficientNet-b4."""
    return BACKBONES.get(backbone.partition(".")[0], BACKBONES["tf_efficientnet_b4"])


def feature_flops(backbone: str, image_size: int) -> float:
    """Of the features of one image."""
    return backbone_cost(backbone).flops * (image_size / 224) ** 2


def distance_flops(num_queries: float, num_rows: float, dim: int) -> float:
    """Of all distances between queries and rows by one matrix product."""
    return 2.0 * num_queries * num_rows * dim
