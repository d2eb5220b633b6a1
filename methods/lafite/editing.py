"""Feature editing: a slice becomes a mixture of its nearest normal slices (paper, section 3.3)."""

from __future__ import annotations

from typing import Literal

from torch import Tensor

from adbench.methods.neighbours import NeighbourSearch

EditWeights = Literal["normalised", "paper", "uniform", "inverse_softmax"]


def editing_weights(distances: Tensor, kind: EditWeights) -> Tensor:
    """Weights of the K nearest slices (paper, eq. 10).

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
        search: over the coreset, in scaled features.
        num_neighbours: K.
        weights: see `editing_weights`.
        temperature: of the soft-max, in scaled units of distance.
    """

    def __init__(
        self, search: NeighbourSearch, num_neighbours: int, weights: EditWeights, temperature: float
    ) -> None:
        self.search = search
        self._num_neighbours = num_neighbours
        self._weights = weights
        self._temperature = temperature

    def __call__(self, features: Tensor) -> Tensor:
        """Edited features, of the same shape (B, S, S, C)."""
        slices = features.reshape(-1, features.shape[-1])  # (B S S, C)
        distances, indices = self.search(slices, self._num_neighbours)
        weights = editing_weights(distances / self._temperature, self._weights)
        edited = (weights[:, :, None] * self.search.bank[indices]).sum(1)
        return edited.reshape(features.shape)
