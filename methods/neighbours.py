"""Exact nearest-neighbour search in a bank of feature slices, by FAISS."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from adbench.errors import MethodError

SPARE = 4
"""Hits asked for beyond k: products round distances, so the k nearest are chosen among more."""
BLOCK = 8192
"""Queries in one call of the index: a matrix product's worth of work for every thread."""


class NeighbourSearch:
    """Nearest neighbours among the rows of a bank, in Euclidean distance.

    FAISS ranks by float32 products; distances are recomputed from differences and decide, so a
    query's result does not depend on the queries beside it and does not suffer cancellation.

    Args:
        bank: (K, d) float32.
        device: FAISS's GPU index is used on a CUDA device where faiss-gpu is installed.

    Raises:
        MethodError: FAISS is not installed.
    """

    def __init__(self, bank: Tensor, device: str | torch.device = "cpu") -> None:
        self._faiss = _import_faiss()
        self.bank = bank.to(device)
        self._index = self._faiss.IndexFlatL2(bank.shape[1])
        if self.bank.is_cuda and hasattr(self._faiss, "StandardGpuResources"):
            resources = self._faiss.StandardGpuResources()
            self._index = self._faiss.index_cpu_to_gpu(
                resources, self.bank.device.index or 0, self._index
            )
        self._index.add(bank.cpu().contiguous().numpy())

    def __call__(self, queries: Tensor, k: int) -> tuple[Tensor, Tensor]:
        """The k nearest rows of the bank, or all of a smaller one, nearest first.

        From queries (Q, d) float32 to distances, float32 (Q, k), and indices into the bank, int64
        (Q, k), on the bank's device.
        """
        k = min(k, len(self.bank))
        parts = [
            self._search(block.to(self.bank.device), k) for block in torch.split(queries, BLOCK)
        ]
        return torch.cat([part[0] for part in parts]), torch.cat([part[1] for part in parts])

    def _search(self, queries: Tensor, k: int) -> tuple[Tensor, Tensor]:
        # FAISS has an OpenMP pool of its own: give it as many threads as torch was given.
        self._faiss.omp_set_num_threads(torch.get_num_threads())
        wanted = min(k + SPARE, len(self.bank))
        _, hits = self._index.search(queries.cpu().contiguous().numpy(), wanted)
        indices = torch.from_numpy(hits).sort(1).values.to(self.bank.device)  # ties: lowest first
        distances = (self.bank[indices] - queries[:, None]).square_().sum(2).sqrt_()
        distances, order = distances.sort(stable=True, dim=1)
        return distances[:, :k], indices.gather(1, order[:, :k])

    def flops(self, num_queries: int) -> float:
        """FLOPs of a search, which torch's counter does not see."""
        return 2.0 * num_queries * self.bank.numel()


def _import_faiss() -> Any:
    try:
        import faiss
    except ImportError as error:
        raise MethodError(
            "FAISS is not installed: pip install 'adbench-diffusion[cpu]', or "
            "'adbench-diffusion[gpu]' on a machine with CUDA; never both, they break each other"
        ) from error
    return faiss
