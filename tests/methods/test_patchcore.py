import numpy as np
import pytest
import torch
from fits import build, fit, fit_once, make_images, training_images

from adbench.methods.neighbours import NeighbourSearch


def test_anomalies_score_higher_and_where_they_are():
    prediction = fit_once("patchcore").predict(make_images(10, seed=1, anomalous=4))
    assert prediction.scores[-4:].min() > prediction.scores[:-4].max()
    for anomaly_map in prediction.maps[-4:]:
        row, column = np.unravel_index(anomaly_map.argmax(), anomaly_map.shape)
        assert 12 <= row <= 36 and 12 <= column <= 36


def test_training_images_lie_in_a_full_bank():
    method = fit("patchcore", coreset_ratio=1.0)
    assert method.predict(training_images(method)).maps.max() < 1e-2


def scored(bank, patches, **options):
    """The score of one image by a bank of features."""
    method = build("patchcore", map_size=4, **options)
    method.search_ = NeighbourSearch(torch.tensor(bank))
    patches = torch.tensor(patches)
    return method._scores(patches, *method.search_(patches, 1), 1).item()


def test_score_is_reweighted_by_the_surroundings_of_the_nearest_feature():
    """Equation 7 by hand: one image, two patches, a bank of four features in the plane."""
    bank = [[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [9.0, 9.0]]
    score = scored(bank, [[0.0, 0.1], [-1.0, 0.0]], num_neighbours=3)
    gaps = np.array([1.0, 2**0.5, 2.0])  # from (-1, 0) to the three features around (0, 0)
    assert score == pytest.approx(1 - np.exp(1.0) / np.exp(gaps).sum(), rel=1e-5)


def test_large_distances_do_not_overflow():
    assert np.isfinite(scored([[0.0], [1.0], [5000.0]], [[-3000.0]]))


def test_neighbourhood_average_ignores_what_lies_outside():
    features = torch.zeros(1, 8, 8, 1)
    features[0, 0, 0] = 4.0
    averaged = build("patchcore")._patches(features).view(8, 8)
    assert averaged[0, 0] == 1.0  # of four cells, not nine
    assert averaged[1, 1] == pytest.approx(4 / 9)
