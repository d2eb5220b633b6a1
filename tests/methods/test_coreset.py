"""The lazy selection against textbook greedy, written here in four lines."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from adbench.errors import MethodError
from adbench.methods import coreset
from adbench.methods.coreset import k_center_greedy, radius_bound


def textbook(features, num_centers, first):
    """Greedy k-center in float64, one pass over the data a centre, ties to the lowest index."""
    points = np.asarray(features, dtype=np.float64)
    chosen, nearest = [first], ((points - points[first]) ** 2).sum(1)
    while len(chosen) < num_centers and nearest.max() > 0:
        chosen.append(int(nearest.argmax()))
        nearest = np.minimum(nearest, ((points - points[chosen[-1]]) ** 2).sum(1))
    return chosen


def assert_textbook(features, num_centers, seed=0):
    chosen = k_center_greedy(features, num_centers, seed)
    assert chosen.dtype == torch.int64 and chosen.device.type == "cpu" and chosen.ndim == 1
    assert chosen.tolist() == textbook(features, num_centers, int(chosen[0]))


@pytest.fixture(params=[4, 256])
def min_candidates(request, monkeypatch):
    """Four candidates force many rounds and many unclear first picks on small data."""
    monkeypatch.setattr(coreset, "MIN_CANDIDATES", request.param)
    monkeypatch.setattr(coreset, "POINTS_PER_CANDIDATE", 100)


def mixture(num_points, dim, seed):
    rng = np.random.default_rng(seed)
    means = rng.normal(size=(20, dim)) * 5
    spread = rng.uniform(0.01, 1, (num_points, 1))
    points = means[rng.integers(20, size=num_points)] + spread * rng.normal(size=(num_points, dim))
    return (points + 100).astype(np.float32)  # far from the origin: cancellation shows


@pytest.mark.parametrize("seed", range(3))
def test_random_data(seed, min_candidates):
    assert_textbook(mixture(1500, 24, seed), 300, seed)


def test_many_large_rounds():
    assert_textbook(torch.randn(6000, 32, generator=torch.Generator().manual_seed(1)), 1500)


@pytest.mark.parametrize("copies", [2, 40])
def test_duplicates(copies, min_candidates):
    rng = np.random.default_rng(0)
    points = rng.permutation(np.repeat(mixture(1200 // copies, 8, 0), copies, axis=0))
    assert_textbook(points, 1200 // copies + 50)


def test_mostly_background(min_candidates):
    """Nine tenths of the slices are one flat colour, some of it with rounding noise."""
    rng = np.random.default_rng(0)
    points = np.full((2000, 16), 3.7, dtype=np.float32)
    points[:200] = mixture(200, 16, 1)
    points[200:600] *= 1 + 1e-6 * rng.normal(size=(400, 16)).astype(np.float32)
    assert_textbook(points, 260)


def test_exact_ties_on_a_grid(min_candidates):
    grid = np.stack(np.meshgrid(*[np.arange(5)] * 4), -1).reshape(-1, 4)
    assert_textbook(grid.astype(np.float32), 200)


@settings(max_examples=80, deadline=None)
@given(
    features=hnp.arrays(
        np.float32,
        hnp.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=40),
        elements=st.integers(-3, 3).map(float) | st.floats(-100, 100, width=16),
    ),
    seed=st.integers(0, 5),
    candidates=st.sampled_from([1, 3, 64]),
    data=st.data(),
)
def test_anything_small(features, seed, candidates, data):
    num_centers = data.draw(st.integers(1, len(features)))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(coreset, "MIN_CANDIDATES", candidates)
        patch.setattr(coreset, "POINTS_PER_CANDIDATE", 100)
        assert_textbook(features, num_centers, seed)


def test_stops_when_only_duplicates_remain():
    chosen = k_center_greedy(torch.tensor([[0.0], [0.0], [1.0], [1.0]]), 4)
    assert len(chosen) == 2 and len(set(chosen.tolist())) == 2


def test_seed_draws_the_first_centre():
    features = mixture(500, 4, 0)
    assert torch.equal(k_center_greedy(features, 9, 3), k_center_greedy(features, 9, 3))
    assert len({int(k_center_greedy(features, 1, seed)[0]) for seed in range(8)}) > 4


def test_radius_bound():
    features = mixture(400, 6, 0)
    centers = k_center_greedy(features, 40)
    distances = np.linalg.norm(features[:, None] - features[centers], axis=-1).min(1)
    bound = radius_bound(torch.from_numpy(features)[centers])
    assert distances.max() <= bound * (1 + 1e-6) and bound < 1.2 * distances.max()


@pytest.mark.parametrize("num_centers", [0, 4])
def test_number_out_of_range(num_centers):
    with pytest.raises(ValueError, match="expected .*num_centers <= N"):
        k_center_greedy(torch.zeros(3, 2), num_centers)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_not_finite(value):
    features = torch.randn(5, 2)
    features[3, 1] = value
    with pytest.raises(MethodError, match="NaN"):
        k_center_greedy(features, 2)
