import sys

import numpy as np
import pytest
import torch

from adbench.errors import MethodError
from adbench.methods.neighbours import NeighbourSearch


def brute_force(queries, bank, k):
    distances = np.linalg.norm(
        np.asarray(queries, np.float64)[:, None] - np.asarray(bank, np.float64), axis=-1
    )
    return np.sort(distances, axis=1)[:, :k]


@pytest.mark.parametrize("offset", [0.0, 300.0])
@pytest.mark.parametrize("num_queries", [1, 7, 300])
def test_distances_are_exact_even_far_from_the_origin(offset, num_queries):
    rng = np.random.default_rng(0)
    bank = torch.from_numpy(rng.normal(offset, 1, (500, 12)).astype(np.float32))
    queries = bank[:num_queries] + 0.01
    distances, indices = NeighbourSearch(bank)(queries, 5)
    np.testing.assert_allclose(distances, brute_force(queries, bank, 5), rtol=1e-4, atol=1e-4)
    assert distances.dtype == torch.float32 and indices.dtype == torch.int64
    assert (distances.diff(dim=1) >= 0).all()
    assert (indices[:, 0] == torch.arange(num_queries)).all()


def test_ties_go_to_the_lowest_index():
    bank = torch.ones(30, 4)
    distances, indices = NeighbourSearch(bank)(torch.zeros(2, 4), 30)
    assert indices.tolist() == [list(range(30))] * 2
    assert (distances == 2).all()


def test_a_result_does_not_depend_on_the_other_queries():
    generator = torch.Generator().manual_seed(0)
    bank = torch.randn(2000, 32, generator=generator)
    queries = torch.randn(100, 32, generator=generator)
    search = NeighbourSearch(bank)
    together = search(queries, 3)
    for start in (0, 1, 50):
        alone = search(queries[start : start + 1], 3)
        assert torch.equal(alone[0][0], together[0][start])
        assert torch.equal(alone[1][0], together[1][start])


def test_a_small_bank_gives_what_it_has():
    distances, indices = NeighbourSearch(torch.randn(2, 3))(torch.randn(4, 3), 5)
    assert distances.shape == indices.shape == (4, 2)


def test_missing_faiss_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "faiss", None)
    with pytest.raises(MethodError, match=r"pip install 'adbench-diffusion\[cpu\]'.*never both"):
        NeighbourSearch(torch.zeros(1, 2))
