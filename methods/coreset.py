"""Greedy k-center coreset: the textbook selection, computed with matrix products.

Textbook greedy (Gonzalez 1985; the sampler of PatchCore, arXiv:2106.08265, algorithm 1) adds the
point that lies farthest from all centres chosen so far, which costs one pass over the data a
centre. Minimum distances only ever decrease, so the largest one outside a candidate set bounds
every point outside it: greedy can be played among the candidates alone for as long as the best of
them exceeds that bound. One matrix product then updates everybody for the whole batch of centres.

Rounding. The textbook reference is greedy on squared distances summed in float64 from the
differences of the given float32 values, ties to the lowest index. Three precisions give its
sequence at the price of the cheapest:

* all points: float32 products, kept as certified *upper bounds* (the error bound is added);
* candidates: float64 products, accurate to about 1e-13 of the squared norms;
* candidates that those cannot tell apart (duplicates, exact ties): the reference's differences.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from adbench.contracts import Context
from adbench.errors import MethodError

CORESET_VERSION = 1
"""Part of every cache key: raise it when the same features give another selection."""
MIN_CANDIDATES = 256
MAX_CANDIDATES = 4096
POINTS_PER_CANDIDATE = 32
"""At most one point in so many is a candidate: their Gram matrix must stay cheap beside the pass
over all points."""
BLOCK_ELEMENTS = 1 << 20
"""Elements of one block of distances: it must stay in the processor's cache."""


def k_center_greedy(
    features: Tensor | NDArray[np.float32],
    num_centers: int,
    seed: int = 0,
    *,
    device: str | torch.device | None = None,
) -> Tensor:
    """Choose centres among features (N, d), taken as float32, by greedy farthest-point selection.

    Exactly textbook greedy with float64 distances: the first centre is drawn from `seed`, each
    next one is the point farthest from its nearest centre, ties go to the lowest index. Matrix
    products run on `device`, by default the tensor's own.

    Returns:
        1-D int64 CPU tensor of distinct indices in the order of selection. It holds fewer than
        `num_centers` when every remaining point equals a chosen one.

    Raises:
        ValueError: `num_centers` or the shape is out of range.
        MethodError: a feature is not finite.
    """
    points = torch.as_tensor(features).detach()
    if points.ndim != 2 or not 1 <= num_centers <= len(points):
        raise ValueError(
            f"cannot choose {num_centers} centres from features of shape {tuple(points.shape)}: "
            "expected (N, d) and 1 <= num_centers <= N"
        )
    points = points.to(device=device or points.device, dtype=torch.float32)
    first = int(torch.randint(len(points), (1,), generator=torch.Generator().manual_seed(seed)))
    with torch.inference_mode():
        return torch.from_numpy(_Selection(points, num_centers, first).run())


def coreset(slices: Tensor, num_centers: int, key: str | None, context: Context) -> Tensor:
    """Those of `slices` (N, d) float32 that `k_center_greedy` chooses with the context's seed and
    device: (K, d), kept in the context's cache under a `key` that names the slices' content."""

    def fill(out: NDArray[Any]) -> None:
        chosen = k_center_greedy(slices, num_centers, context.seed, device=context.device).numpy()
        out[: len(chosen)], out[len(chosen) :] = chosen, -1

    context.progress("coreset", 0, num_centers)
    if key is None:
        stored = np.empty(num_centers, dtype=np.int64)
        fill(stored)
    else:
        # The device is part of the key: it decides the rounding of the features themselves.
        parts = (CORESET_VERSION, key, num_centers, context.seed, torch.device(context.device).type)
        name = "coreset-" + "-".join(map(str, parts))
        stored = context.cache.array(name, (num_centers,), "int64", fill)
    centers = slices[torch.tensor(stored[stored >= 0])]
    context.progress("coreset", len(centers), num_centers)
    return centers


def radius_bound(centers: Tensor) -> float:
    """Distance of the last of greedily chosen `centers` (K, d) to the others.

    Each next centre is the farthest point, so no point lies farther than this from a centre.
    """
    if len(centers) == 1:
        return 0.0
    return float((centers[:-1] - centers[-1]).square().sum(1).min().sqrt())


def _homogeneous(points: Tensor, mean: Tensor) -> Tensor:
    """(N, d + 1): the centred rows and a 1, so that one product gives |c|^2 - 2 x.c."""
    rows = torch.empty(len(points), points.shape[1] + 1, device=points.device)
    torch.sub(points, mean, out=rows[:, :-1])
    rows[:, -1] = 1
    return rows


def _nearest(homogeneous: Tensor, centers: Tensor) -> Tensor:
    """(N,) the least |c|^2 - 2 x.c over the `centers`, both in homogeneous coordinates."""
    squared_norms = centers[:, :-1].square().sum(1, keepdim=True)
    weights = torch.cat([-2 * centers[:, :-1], squared_norms], 1).T  # (d + 1, A)
    rows = max(256, BLOCK_ELEMENTS // len(centers))
    return torch.cat([(block @ weights).amin(1) for block in torch.split(homogeneous, rows)])


def _unit_roundoff() -> float:
    """Of float32 matrix products, which torch may have been told to round more coarsely."""
    return {"highest": 2.0**-24, "high": 2.0**-11}.get(
        torch.get_float32_matmul_precision(), 2.0**-8
    )


class _Selection:
    """State of one greedy selection over `points` (N, d) float32.

    `_upper` (N,) float32 is never below a point's squared distance to its nearest centre; chosen
    points hold -inf. `_known` (N,) float64 is that distance to the first `_seen` centres, correct
    to within `_slack`; `_exact` and `_exact_seen` are the same without error, for the few points
    that need it.
    """

    def __init__(self, points: Tensor, num_centers: int, first: int) -> None:
        num_points, dim = points.shape
        self._points = points
        self._num_centers = num_centers
        self._mean = points.mean(0, dtype=torch.float64)
        self._homogeneous = _homogeneous(points, self._mean.float())
        norms = self._homogeneous[:, :-1].square().sum(1)
        if not bool(torch.isfinite(norms).all()):
            raise MethodError(
                "features hold NaN, infinite or huge values: expected finite ones; "
                "check the backbone's weights and the images"
            )
        # A product's rounding error is at most dim u |x||c|, and the nearest centre has
        # |c| <= |x| + r: a computed r^2 is short of the true one by at most g (8 |x|^2 + 5 r^2).
        g = (dim + 16) * _unit_roundoff()
        self._offset = norms * (1 + 9 * g)
        self._inflation = 1 + 6 * g
        self._slack = 8 * (dim + 16) * 2.0**-53 * float(norms.max())
        self._upper = torch.full((num_points,), torch.inf, device=points.device)
        self._known = np.full(num_points, np.inf)
        self._seen = np.zeros(num_points, dtype=np.int64)
        self._exact = np.full(num_points, np.inf)
        self._exact_seen = np.zeros(num_points, dtype=np.int64)
        self._max_candidates = min(
            MAX_CANDIDATES, max(MIN_CANDIDATES, num_points // POINTS_PER_CANDIDATE)
        )
        self.chosen: list[int] = []
        self._accept([first])

    def run(self) -> NDArray[np.int64]:
        size = MIN_CANDIDATES
        while len(self.chosen) < self._num_centers:
            accepted = self._round(size)
            if not accepted:  # every remaining point equals a chosen one
                break
            self._accept(accepted)
            if len(accepted) > 0.6 * size:
                size = min(2 * size, self._max_candidates)
            elif len(accepted) < 0.15 * size:
                size = max(size // 2, MIN_CANDIDATES)
        return np.asarray(self.chosen, dtype=np.int64)

    def _accept(self, accepted: list[int]) -> None:
        """Record new centres and lower every point's upper bound: one product for all of them."""
        self.chosen += accepted
        index = self._where(accepted)
        squared = _nearest(self._homogeneous, self._homogeneous[index]).add_(self._offset)
        torch.minimum(self._upper, squared.mul_(self._inflation), out=self._upper)
        self._upper[index] = -torch.inf

    def _round(self, size: int) -> list[int]:
        """The next centres: as many as the candidates decide beyond doubt; empty at the end."""
        size = min(size, len(self._points) - len(self.chosen))
        top = self._upper.topk(min(size + 1, len(self._points)))
        index = top.indices[:size].cpu().numpy()
        bound = float(top.values[size]) if len(top.values) > size else -np.inf
        values = self._refine(index)
        if values.max() - self._slack > bound:
            return self._play(index, values, bound)
        # Some other point may be as far as the best candidate: decide among all of those.
        index = torch.nonzero(self._upper >= values.max() - self._slack)[:, 0].cpu().numpy()
        winner = self._farthest(index, self._refine(index), [])
        return [] if winner is None else [int(index[winner])]

    def _play(
        self, index: NDArray[np.int64], values: NDArray[np.float64], bound: float
    ) -> list[int]:
        """Ordinary greedy among the candidates, while the best exceeds everybody else's bound."""
        rows = self._rows(index)
        norms = rows.square().sum(1)
        distances = torch.addmm(norms + norms[:, None], rows, rows.T, alpha=-2).cpu().numpy()
        accepted: list[int] = []
        room = self._num_centers - len(self.chosen)
        while len(accepted) < room and values.max() - self._slack > bound:
            winner = self._farthest(index, values, accepted)
            if winner is None:
                break
            accepted.append(int(index[winner]))
            np.minimum(values, distances[winner], out=values)
            values[winner] = -np.inf
        self._known[index] = values
        self._seen[index] = len(self.chosen) + len(accepted)
        return accepted

    def _farthest(
        self, index: NDArray[np.int64], values: NDArray[np.float64], accepted: list[int]
    ) -> int | None:
        """Position of the farthest candidate, ties to the lowest index; None if at distance 0."""
        best = values.max()
        contenders = np.flatnonzero(values >= best - 2 * self._slack)
        contenders = contenders[np.argsort(index[contenders])]
        if len(contenders) == 1 and best > self._slack:
            return int(contenders[0])
        rows = self._points[self._where(index[contenders])]
        if best > self._slack and bool((rows == rows[0]).all()):
            return int(contenders[0])
        exact = self._by_differences(index[contenders], self.chosen + accepted)
        return int(contenders[exact.argmax()]) if exact.max() > 0 else None

    def _by_differences(self, index: NDArray[np.int64], centers: list[int]) -> NDArray[np.float64]:
        """Squared distances to the nearest centre as the textbook has them, kept for next time."""
        for seen in np.unique(self._exact_seen[index]):
            stale = index[self._exact_seen[index] == seen]
            rows = self._points[self._where(stale)].double()
            for center in centers[seen:]:
                squared = (rows - self._points[center]).square_().sum(1).cpu().numpy()
                self._exact[stale] = np.minimum(self._exact[stale], squared)
        self._exact_seen[index] = len(centers)
        return self._exact[index]

    def _where(self, index: NDArray[np.int64] | list[int]) -> Tensor:
        return torch.as_tensor(index, device=self._points.device)

    def _rows(self, index: NDArray[np.int64] | list[int]) -> Tensor:
        """Centred rows in float64."""
        return self._points[self._where(index)].double() - self._mean

    def _refine(self, index: NDArray[np.int64]) -> NDArray[np.float64]:
        """Squared distances to the nearest centre in float64; also tightens the upper bounds."""
        stale = index[self._seen[index] < len(self.chosen)]
        if len(stale):
            fresh = self._nearest64(stale, self.chosen[self._seen[stale].min() :])
            self._known[stale] = np.minimum(self._known[stale], fresh)
            self._seen[stale] = len(self.chosen)
        values: NDArray[np.float64] = self._known[index]
        tight = torch.from_numpy(values * (1 + 2.0**-22) + self._slack).float()
        where = self._where(index)
        self._upper[where] = torch.minimum(self._upper[where], tight.to(self._upper.device))
        return values

    def _nearest64(self, index: NDArray[np.int64], centers: list[int]) -> NDArray[np.float64]:
        rows = self._rows(index)
        norms = rows.square().sum(1)
        nearest = torch.full_like(norms, torch.inf)
        for start in range(0, len(centers), 1024):
            others = self._rows(centers[start : start + 1024])
            weights = others.square().sum(1)
            for part in torch.split(torch.arange(len(rows), device=rows.device), 1024):
                squared = torch.addmm(weights, rows[part], others.T, alpha=-2).amin(1)
                nearest[part] = torch.minimum(nearest[part], squared)
        return (nearest + norms).cpu().numpy()
