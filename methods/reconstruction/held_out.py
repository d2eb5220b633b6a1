"""What a network makes of normals that training did not see, and of fragments pasted onto them.

Features are (B, S, S, C).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from adbench.contracts import Context, Images, Skill
from adbench.contracts.skill import MIN_HELD_OUT, too_few
from adbench.methods.features import batches, evenly_spread
from adbench.methods.gaussian import GaussianModel
from adbench.methods.reconstruction.fragments import with_fragments
from adbench.methods.reconstruction.losses import jitter
from adbench.methods.training import MAX_HELD_OUT

CHUNK = 8
MEASURED = "mean squared error of clean features from jittered ones, raw units"
Predictor = Callable[[Tensor], Tensor]


class HeldOut:
    """The held-out normals of one training, and cheap predictors fitted on the others.

    Args:
        train: all training images.
        features: theirs, (N, S, S, C); they may be a memory map larger than memory.
        held_out: indices of those held out.
        seen: of those trained on.
        context: of the fit.
    """

    def __init__(
        self,
        train: Images,
        features: NDArray[Any],
        held_out: Tensor,
        seen: Tensor,
        context: Context,
    ) -> None:
        self._train, self._features, self._context = train, features, context
        self._held_out, self._seen = held_out.sort().values, seen
        self._batch = batches(features, context.device)

    def __len__(self) -> int:
        return len(self._held_out)

    def errors(self, network: Predictor) -> dict[str, float]:
        """Mean squared errors without jitter and dropout: of the network, in evaluation mode, on
        held-out normals and on some that it saw, and of predicting `position_means` for the
        held-out ones, which a network that learned nothing of the single image does not beat."""
        some = self._batch(evenly_spread(self._seen, MAX_HELD_OUT))
        of = {
            "network": squared_errors(network, self._clean, self._clean),
            "training": squared_errors(network, some, some),
            "position_mean": self._trivial,
        }
        return {name: float(values.mean()) for name, values in of.items()}

    def skill(
        self, network: Predictor, scale: float, scores: Callable[[Images], NDArray[Any]]
    ) -> Skill:
        """Of a network on features jittered by `scale`, against the Gaussian model's estimate from
        the same or the mean of each position, whichever is better; `scores` is the detector."""
        if len(self) < MIN_HELD_OUT:
            return Skill.unknown(too_few(len(self)))
        if not scale:
            return Skill.unknown("without jitter (jitter_scale=0) copying the input is perfect")
        generator = self._context.generator("skill", device=self._context.device)
        noisy = jitter(self._clean, scale, 1.0, generator)
        # White noise of the variance that the jitter has on average
        variance = scale**2 * float(self._clean.square().mean()) / self._clean.shape[-1]

        def wiener(features: Tensor) -> Tensor:
            estimate = self._gaussian.denoise(features.permute(0, 3, 1, 2), 1.0, variance)
            return estimate.permute(0, 2, 3, 1)

        error = squared_errors(network, noisy, self._clean).tolist()
        closed_form = squared_errors(wiener, noisy, self._clean).tolist()
        trivial = self._trivial.tolist()
        beside = {"fragments_auroc": self._fragments_auroc(scores)}
        simple = min(closed_form, trivial, key=math.fsum)
        return Skill.of(error, simple, trivial, MEASURED, beside)

    def _fragments_auroc(self, scores: Callable[[Images], NDArray[Any]]) -> float:
        """Of held-out normals with a pasted fragment against those without."""
        return auroc(scores(self._normals), scores(self._pasted))

    @cached_property
    def _normals(self) -> Images:
        return self._train.take(self._held_out.tolist())

    @cached_property
    def _pasted(self) -> Images:
        seed = self._context.generator("fragments").initial_seed()
        return with_fragments(self._normals, np.random.default_rng(seed))

    @cached_property
    def _clean(self) -> Tensor:
        return self._batch(self._held_out)

    @cached_property
    def _trivial(self) -> Tensor:
        """The error (B,) of the mean of each position."""
        means = position_means(self._features, self._train.categories, self._seen, self._held_out)
        return (means.to(self._clean) - self._clean).square().mean((1, 2, 3))

    @cached_property
    def _gaussian(self) -> GaussianModel:
        def images() -> Iterator[Tensor]:
            for part in torch.split(self._seen, CHUNK):
                yield self._batch(part).permute(0, 3, 1, 2)

        return GaussianModel.fit(images)


@torch.inference_mode()
def squared_errors(predict: Predictor, shown: Tensor, wanted: Tensor) -> Tensor:
    """The mean squared error (B,) of what `predict` makes of each image of `shown`."""
    parts = [
        (predict(given) - part).square().mean((1, 2, 3))
        for given, part in zip(torch.split(shown, CHUNK), torch.split(wanted, CHUNK), strict=True)
    ]
    return torch.cat(parts)


def auroc(normal: NDArray[Any], anomalous: NDArray[Any]) -> float:
    """The share of pairs in which the anomalous score is higher; equal ones count half."""
    higher = anomalous[:, None] > normal
    return float((higher + 0.5 * (anomalous[:, None] == normal)).mean())


def position_moments(features: NDArray[Any], indices: Tensor) -> tuple[Tensor, Tensor]:
    """Over the images at `indices`: the mean of each position, float32 (S, S, C), and the
    deviation of each channel about it, (C,), no less than a hundredth of all channels' together."""
    mean, squares = position_mean(features, indices), np.zeros(features.shape[-1])
    for index in indices.tolist():
        squares += np.square(features[index] - mean.numpy()).mean((0, 1), dtype=np.float64)
    variance = squares / len(indices)
    deviation = np.sqrt(np.maximum(variance, 1e-4 * variance.mean()))
    return mean, torch.from_numpy(deviation.astype(np.float32))


def position_mean(features: NDArray[Any], indices: Tensor) -> Tensor:
    """The mean feature of each position over the images at `indices`, float32 (S, S, C)."""
    total = np.zeros(features.shape[1:], np.float64)
    for index in indices.tolist():  # one at a time: they may be a memory map larger than memory
        total += features[index]
    return torch.from_numpy((total / len(indices)).astype(np.float32))


def position_means(
    features: NDArray[Any], categories: Sequence[str], own: Tensor, held_out: Tensor
) -> Tensor:
    """`position_mean` over those images of `own`, which training sees, that are of the category of
    a held-out one, or over all of `own` where none is.

    Args:
        features: (N, S, S, C).
        categories: N names.
        own: indices.
        held_out: indices (B,) of others.

    Returns:
        float32 (B, S, S, C) on the CPU.
    """
    wanted = [categories[i] for i in held_out.tolist()]
    means = {}
    for name in set(wanted):
        same = [i for i in own.tolist() if categories[i] == name]
        means[name] = position_mean(features, torch.tensor(same) if same else own)
    return torch.stack([means[name] for name in wanted])
