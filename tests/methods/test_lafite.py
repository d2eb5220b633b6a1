import numpy as np
import pytest
import torch
from pydantic import ValidationError

from adbench.contracts import Images
from adbench.errors import MethodError
from adbench.methods.lafite import fitting
from adbench.methods.lafite.editing import FeatureEditor, editing_weights
from adbench.methods.lafite.hyperparameters import LafitEHyperparameters
from adbench.methods.lafite.method import LafitE
from adbench.methods.lafite.network import create_unet
from adbench.methods.lafite.scaling import FeatureScaling, channel_moments
from adbench.methods.neighbours import NeighbourSearch
from adbench.methods.scoring import gaussian_blur, pooled_maximum, upsample

KINDS = ("normalised", "paper", "uniform", "inverse_softmax")


def build(**options):
    return LafitE(LafitE.Hyperparameters(**{**LafitE.presets["smoke"], **options}))


@pytest.fixture(scope="module")
def fitted(make_context, make_images):
    return build().fit(make_images(12), make_context())


@pytest.fixture(scope="module")
def test_images(make_images):
    return make_images(10, seed=1, anomalous=4)


# ------------------------------------------------------------------------------------ network


@pytest.mark.parametrize(
    ("channels", "base_width", "millions"),
    [(272, 256, 338.2), (272, 128, 84.9), (272, 64, 21.4), (272, 32, 5.4)],
)
def test_parameter_count(channels, base_width, millions):
    with torch.device("meta"):
        network = create_unet(channels, base_width, 32)
    count = sum(parameter.numel() for parameter in network.parameters())
    assert count / 1e6 == pytest.approx(millions, abs=0.06)


def test_unet_keeps_the_shape():
    network = create_unet(10, 32, 8).eval()
    with torch.inference_mode():
        assert network(torch.zeros(2, 10, 8, 8), 5).sample.shape == (2, 10, 8, 8)


# ------------------------------------------------------------------------------------ editing


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("scale", [0.0, 1e-3, 1.0, 1e3])
@pytest.mark.parametrize("num_neighbours", [1, 2, 5])
def test_editing_weights_are_finite_and_sum_to_one(kind, scale, num_neighbours):
    distances = (torch.rand(100, num_neighbours) * scale + scale).sort(1).values
    weights = editing_weights(distances, kind)
    assert torch.isfinite(weights).all() and (weights >= 0).all()
    expected = num_neighbours - 1 if kind == "paper" else 1
    torch.testing.assert_close(weights.sum(1), torch.full((100,), float(expected)))
    assert (weights.diff(dim=1) <= 1e-6).all()  # the nearest weighs most


def test_printed_weights_equal_ours_for_two_neighbours():
    distances = torch.rand(50, 2)
    torch.testing.assert_close(
        editing_weights(distances, "paper"), editing_weights(distances, "normalised")
    )


def test_one_neighbour_is_the_nearest_slice():
    bank = torch.randn(40, 6)
    features = torch.randn(2, 3, 3, 6)
    edited = FeatureEditor(NeighbourSearch(bank), 1, "normalised", 1.0)(features)
    nearest = torch.cdist(features.view(-1, 6), bank).argmin(1)
    torch.testing.assert_close(edited, bank[nearest].view(2, 3, 3, 6))


def test_temperature_is_in_raw_feature_units(make_context, make_images):
    """Editing does the same with and without scaling, which only moves and stretches space."""
    images = make_images(6)
    pixels = torch.from_numpy(make_images(1, seed=3).pixels)
    edited = []
    for kind in ("none", "global"):
        method = build(feature_scaling=kind, reconstruction=False, coreset_ratio=0.2)
        detector = method.fit(images, make_context()).detector_
        scaled = detector.editor(detector.scaling(detector.extractor(pixels)))
        edited.append(scaled * detector.scaling.std + detector.scaling.mean)
    torch.testing.assert_close(edited[0], edited[1], rtol=1e-3, atol=1e-3)


# ------------------------------------------------------------------------------------ scaling


def test_moments_are_numpys():
    features = np.random.default_rng(0).normal(50, 2, (5, 4, 4, 3)).astype(np.float32)
    mean, variance = channel_moments(features)
    rows = features.reshape(-1, 3).astype(np.float64)
    np.testing.assert_allclose(mean, rows.mean(0))
    np.testing.assert_allclose(variance, rows.var(0))


@pytest.mark.parametrize("kind", ["global", "channel"])
def test_scaled_features_have_mean_zero_and_unit_variance(kind):
    rng = np.random.default_rng(0)
    features = (rng.normal(size=(6, 4, 4, 3)) * [1, 5, 0.2] + 7).astype(np.float32)
    scaled = FeatureScaling.fit(features, kind)(torch.from_numpy(features)).view(-1, 3)
    assert scaled.mean(0).abs().max() < 1e-4
    assert scaled.square().mean() == pytest.approx(1, rel=1e-4)


def test_constant_features_are_left_finite():
    features = np.full((2, 2, 2, 3), 4.0, dtype=np.float32)
    for kind in ("none", "global", "channel"):
        assert torch.isfinite(FeatureScaling.fit(features, kind)(torch.tensor(features))).all()


# ----------------------------------------------------------------------------- hyper-parameters


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"feature_editing": False, "reconstruction": False}, "nothing to compare"),
        ({"tau": 5, "num_inference_steps": 10}, "exceeds tau"),
        ({"pool_kernel": 65}, "exceeds image_size"),
        ({"map_size": 12}, "multiple of 8"),
        ({"tau": 1000}, "less than or equal to 999"),
        ({"taus": 3}, "Extra inputs"),
        ({"weights": "nowhere.pth"}, "not point to a file"),
    ],
)
def test_impossible_hyperparameters(options, message):
    with pytest.raises(ValidationError, match=message):
        build(**options)


def test_paper_preset_is_the_papers_table():
    paper = LafitEHyperparameters()
    assert paper.num_steps(888) == 14_000 and paper.num_steps(3629) == 57_000
    assert paper.num_centers(888) == 90_931
    assert (paper.batch_size, paper.learning_rate, paper.learning_rate_drop) == (64, 1e-4, 0.8)
    assert (paper.tau, paper.num_neighbours, paper.smoothing, paper.pool_kernel) == (300, 5, 4, 16)


def test_estimates_match_the_specification():
    method = LafitE(LafitE.Hyperparameters())
    assert method.training_flops(888) == pytest.approx(0.18e18, rel=0.05)
    assert method.inference_flops(888) == pytest.approx(653e9 + 50.7e9 + 1.84e9, rel=0.01)


# ------------------------------------------------------------------------------ fit and predict


def test_scores_depend_on_neither_batch_nor_order(fitted, test_images):
    expected = fitted.predict(test_images)
    order = [7, 2, 9, 0, 5, 1, 8, 3, 6, 4]
    shuffled = fitted.predict(test_images.take(order))
    np.testing.assert_allclose(shuffled.scores, expected.scores[order], rtol=1e-4)
    np.testing.assert_allclose(shuffled.maps, expected.maps[order], rtol=1e-3, atol=1e-2)
    alone = [float(fitted.predict(test_images[i : i + 1]).scores[0]) for i in range(10)]
    np.testing.assert_allclose(alone, expected.scores, rtol=1e-4)


def test_start_noise_belongs_to_the_image_and_the_seed(fitted, test_images, make_context, tmp_path):
    renamed = Images(test_images.pixels, tuple("xyzuvwabcd"), test_images.categories)
    scores = fitted.predict(test_images).scores
    assert (fitted.predict(renamed).scores != scores).any()
    fitted.save(tmp_path)
    other_seed = build().load(tmp_path, make_context(seed=1))
    assert (other_seed.predict(test_images).scores != scores).any()


def test_same_seed_same_numbers(fitted, test_images, make_context, make_images):
    again = build().fit(make_images(12), make_context())
    expected = fitted.predict(test_images)
    np.testing.assert_array_equal(again.predict(test_images).maps, expected.maps)
    assert again.diagnostics() == fitted.diagnostics()


@pytest.mark.parametrize(
    "options", [{}, {"feature_editing": False}, {"reconstruction": False}], ids=str
)
def test_save_and_load(options, test_images, make_context, make_images, tmp_path):
    method = build(**options).fit(make_images(12), make_context())
    method.save(tmp_path)
    loaded = build(**options).load(tmp_path, make_context())
    np.testing.assert_array_equal(
        loaded.predict(test_images).maps, method.predict(test_images).maps
    )
    assert loaded.diagnostics() == method.diagnostics()
    assert loaded.protocol() == method.protocol()
    assert loaded.num_parameters() == method.num_parameters()


def test_other_backbone_weights_are_refused(fitted, make_context, tmp_path):
    fitted.save(tmp_path)
    state = tmp_path / "state.json"
    state.write_text(state.read_text().replace("900102f9", "00000000"))
    with pytest.raises(MethodError, match="trained on backbone weights 00000000"):
        build().load(tmp_path, make_context())


def test_a_killed_fit_resumes_to_the_same_scores(
    fitted, test_images, make_context, make_images, make_checkpoint
):
    checkpoint = make_checkpoint(due=True, dies_at=2)
    with pytest.raises(InterruptedError):
        build().fit(make_images(12), make_context(checkpoint=checkpoint))
    resumed = build().fit(make_images(12), make_context(checkpoint=checkpoint))
    expected = fitted.predict(test_images)
    np.testing.assert_array_equal(resumed.predict(test_images).scores, expected.scores)
    assert resumed.diagnostics() == fitted.diagnostics()


def test_edit_only_trains_no_network(test_images, make_context, make_images, monkeypatch):
    monkeypatch.setattr(fitting, "train", None)
    method = build(reconstruction=False, coreset_ratio=0.5)
    method.fit(make_images(12), make_context())
    assert method.detector_.network is None and "training" not in method.diagnostics()
    scores = method.predict(test_images).scores
    assert scores[-4:].min() > scores[:-4].max()  # the anomalous ones come last


def test_without_editing_no_slices_are_kept(test_images, make_context, make_images):
    method = build(feature_editing=False).fit(make_images(12), make_context())
    assert method.detector_.editor is None and method.search_flops() == 0
    assert np.isfinite(method.predict(test_images).maps).all()


def test_map_is_the_reconstruction_error(fitted, test_images):
    """Features, editing, and DDIM replaced by the identity: the map is what eq. 12 says."""
    method = build(reconstruction=False)
    method.detector_ = fitting.Detector(
        fitted.detector_.extractor, fitted.detector_.scaling, fitted.detector_.editor, None
    )
    features = fitted.detector_.scaling(
        fitted.detector_.extractor(torch.from_numpy(test_images.pixels))
    )
    errors = (fitted.detector_.editor(features) - features).square().sum(3)
    maps = gaussian_blur(upsample(errors, 64), 1.0)
    prediction = method.predict(test_images)
    np.testing.assert_allclose(prediction.maps, maps, rtol=1e-4)
    np.testing.assert_allclose(prediction.scores, pooled_maximum(maps, 4), rtol=1e-4)


@pytest.mark.parametrize("options", [{"eta": 1.0}, {"num_noise": 3}, {"score_power": 1}])
def test_sampling_options_change_the_scores(options, fitted, test_images):
    varied = build(**options)
    varied.detector_, varied._context = fitted.detector_, fitted._context
    scores = varied.predict(test_images).scores
    assert np.isfinite(scores).all() and (scores != fitted.predict(test_images).scores).any()


def test_diagnostics_show_whether_the_network_learned(fitted):
    diagnostics = fitted.diagnostics()
    training = diagnostics["training"]
    assert training["steps"] == 4 and training["images"] == 11 and training["held_out_images"] == 1
    assert 0 < training["loss_last"] < 3 and 0 < training["loss_first"] < 3
    errors = training["held_out_epsilon_mse"]
    assert len(errors["network"]) == len(errors["channel_gaussian"]) == len(errors["timesteps"])
    assert errors["zero"] == pytest.approx([1] * 6, abs=0.1)
    assert all(g < z for g, z in zip(errors["channel_gaussian"], errors["zero"], strict=True))
    coreset = diagnostics["coreset"]
    assert coreset["slices"] == 12 * 64 and coreset["centers"] == 7 and coreset["radius"] > 0


def test_held_out_images_can_be_turned_off(make_context, make_images):
    method = build(held_out_fraction=0).fit(make_images(3), make_context())
    assert "held_out_epsilon_mse" not in method.diagnostics()["training"]


def test_one_training_image_is_enough(make_context, make_images, test_images):
    method = build().fit(make_images(1), make_context())
    assert np.isfinite(method.predict(test_images).scores).all()


def test_progress_names_the_stages(make_context, make_images):
    stages = []
    build().fit(make_images(4), make_context(progress=lambda stage, *_, **__: stages.append(stage)))
    assert list(dict.fromkeys(stages)) == ["features", "coreset", "training"]
