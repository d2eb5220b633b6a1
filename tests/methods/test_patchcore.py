import numpy as np
import pytest
import torch

from adbench.methods.neighbours import NeighbourSearch
from adbench.methods.patchcore import PatchCore


def build(**options):
    return PatchCore(PatchCore.Hyperparameters(**{**PatchCore.presets["smoke"], **options}))


@pytest.fixture(scope="module")
def fitted(make_context, make_images):
    return build().fit(make_images(12), make_context())


def test_anomalies_score_higher_and_where_they_are(fitted, make_images):
    prediction = fitted.predict(make_images(10, seed=1, anomalous=4))
    assert prediction.scores[-4:].min() > prediction.scores[:-4].max()
    for anomaly_map in prediction.maps[-4:]:
        row, column = np.unravel_index(anomaly_map.argmax(), anomaly_map.shape)
        assert 12 <= row <= 36 and 12 <= column <= 36


def test_training_images_lie_in_a_full_bank(make_context, make_images):
    images = make_images(4)
    method = build(coreset_ratio=1.0).fit(images, make_context())
    assert method.predict(images).maps.max() < 1e-2


def test_score_is_reweighted_by_the_surroundings_of_the_nearest_feature():
    """Equation 7 by hand: one image, two patches, a bank of four features in the plane."""
    bank = torch.tensor([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [9.0, 9.0]])
    method = build(map_size=4, num_neighbours=3)
    method.search_ = NeighbourSearch(bank)
    patches = torch.tensor([[0.0, 0.1], [-1.0, 0.0]])
    distances, nearest = method.search_(patches, 1)
    score = method._scores(patches, distances, nearest, 1)
    gaps = np.array([1.0, 2**0.5, 2.0])  # from (-1, 0) to the three features around (0, 0)
    assert score.item() == pytest.approx(1 - np.exp(1.0) / np.exp(gaps).sum(), rel=1e-5)


def test_large_distances_do_not_overflow():
    method = build(map_size=4)
    method.search_ = NeighbourSearch(torch.tensor([[0.0], [1.0], [5000.0]]))
    patches = torch.tensor([[-3000.0]])
    score = method._scores(patches, *method.search_(patches, 1), 1)
    assert torch.isfinite(score).all()


def test_neighbourhood_average_ignores_what_lies_outside():
    method = build()
    features = torch.zeros(1, 8, 8, 1)
    features[0, 0, 0] = 4.0
    averaged = method._patches(features).view(8, 8)
    assert averaged[0, 0] == 1.0  # of four cells, not nine
    assert averaged[1, 1] == pytest.approx(4 / 9)


def test_batch_and_order_do_not_matter(fitted, make_images):
    images = make_images(9, seed=1, anomalous=3)
    expected = fitted.predict(images)
    order = list(range(9))[::-1]
    np.testing.assert_allclose(
        fitted.predict(images.take(order)).scores[::-1], expected.scores, rtol=1e-4
    )
    alone = [float(fitted.predict(images[i : i + 1]).scores[0]) for i in range(9)]
    np.testing.assert_allclose(alone, expected.scores, rtol=1e-4)


def test_save_and_load(fitted, make_context, make_images, tmp_path):
    images = make_images(5, seed=2)
    fitted.save(tmp_path)
    loaded = build().load(tmp_path, make_context())
    np.testing.assert_array_equal(loaded.predict(images).scores, fitted.predict(images).scores)
    assert loaded.protocol() == fitted.protocol()
