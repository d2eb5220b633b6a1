"""Feature editing: a slice becomes a mixture of its nearest normal slices (LafitE, section 3.3)."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any, Literal

import torch
from numpy.typing import NDArray
from torch import Tensor

from adbench.contracts import JSON, Context
from adbench.methods.coreset import coreset, radius_bound
from adbench.methods.neighbours import NeighbourSearch
from adbench.methods.settings import EditingSettings

EditWeights = Literal["normalised", "paper", "uniform", "inverse_softmax"]


def editing_weights(distances: Tensor, kind: EditWeights) -> Tensor:
    """Weights of the K nearest slices (LafitE, eq. 10).

    The printed weights, 1 - softmax(d), sum to K - 1 and vanish for K = 1; "normalised" divides
    by that constant, so that the edited slice stays among its neighbours.

    Args:
        distances: (..., K), nearest first, in units of the temperature.
        kind: "normalised", "paper" (as printed), "uniform" or "inverse_softmax" (softmax(-d)).

    Returns:
        (..., K) finite; they sum to 1, except under "paper".
    """
    num_neighbours = distances.shape[-1]
    if kind == "uniform" or (kind == "normalised" and num_neighbours == 1):
        return distances.new_full(distances.shape, 1 / num_neighbours)
    if kind == "inverse_softmax":
        return (-distances).softmax(-1)
    weights = 1 - distances.softmax(-1)  # torch subtracts the maximum: exp(d) would overflow
    return weights / (num_neighbours - 1) if kind == "normalised" else weights


class FeatureEditor:
    """Edits features with the nearest slices of a coreset of normal ones.

    Args:
        centers: the coreset (K, C).
        settings: how many neighbours, their weights and the temperature.
        device: of the features.
        unit: raw feature units in one unit of the features, in which the temperature is given.
    """

    def __init__(
        self, centers: Tensor, settings: EditingSettings, device: str = "cpu", unit: float = 1.0
    ) -> None:
        self.search = NeighbourSearch(centers, device)
        self._own, self._temperature = settings, settings.edit_temperature / unit

    def __call__(self, features: Tensor) -> Tensor:
        """Edited features, of the same shape (B, S, S, C)."""
        slices = features.reshape(-1, features.shape[-1])  # (B S S, C)
        distances, indices = self.search(slices, self._own.num_neighbours)
        weights = editing_weights(distances / self._temperature, self._own.edit_weights)
        edited = (weights[:, :, None] * self.search.bank[indices]).sum(1)
        return edited.reshape(features.shape)


def normal_slices(
    features: NDArray[Any],
    settings: EditingSettings,
    key: str | None,
    context: Context,
    *,
    scale: Callable[[Tensor], Tensor] = lambda slices: slices,
    unit: float = 1.0,
) -> tuple[Tensor, dict[str, JSON]]:
    """The coreset of the slices of features (N, S, S, C), and what to record of it.

    Args:
        key: names the content of the scaled features, if they are to be cached.
        scale: applied to the slices of each image.
        unit: see `FeatureEditor`.
    """
    channels = features.shape[-1]
    slices = torch.empty(features.size // channels, channels)
    for rows, image in zip(slices.chunk(len(features)), features, strict=True):
        rows.copy_(scale(torch.tensor(image).reshape(-1, channels)))
    digest = key and hashlib.sha256(key.encode()).hexdigest()
    num_centers = settings.num_centers(len(features), features.shape[1])
    centers = coreset(slices, num_centers, digest, context)
    radius = radius_bound(centers) * unit
    return centers, {"slices": len(slices), "centers": len(centers), "radius": radius}
