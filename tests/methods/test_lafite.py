import numpy as np
import pytest
import torch
from fits import asked, build, fit, fit_once, make_context, make_images

from adbench.contracts import Images
from adbench.errors import UsageError
from adbench.methods import training
from adbench.methods.editing import FeatureEditor, editing_weights
from adbench.methods.lafite.denoisers import create_unet
from adbench.methods.lafite.network import FeatureScaling, channel_moments
from adbench.methods.scoring import gaussian_blur, pooled_maximum, upsample
from adbench.methods.settings import EditingSettings

KINDS = ("normalised", "paper", "uniform", "inverse_softmax")


@pytest.fixture(scope="module")
def fitted():
    return fit_once("lafite")


@pytest.fixture(scope="module")
def test_images():
    return make_images(10, seed=1, anomalous=4)


# ------------------------------------------------------------------------------------ network


@pytest.mark.parametrize(
    ("base_width", "millions"), [(256, 338.2), (128, 84.9), (64, 21.4), (32, 5.4)]
)
def test_parameter_count(base_width, millions):
    with torch.device("meta"):
        network = create_unet(272, base_width, 32)
    count = sum(parameter.numel() for parameter in network.parameters())
    assert count / 1e6 == pytest.approx(millions, abs=0.06)


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
    edited = FeatureEditor(bank, EditingSettings(num_neighbours=1))(features)
    nearest = torch.cdist(features.view(-1, 6), bank).argmin(1)
    torch.testing.assert_close(edited, bank[nearest].view(2, 3, 3, 6))


def test_temperature_is_in_raw_feature_units():
    """Editing does the same with and without scaling, which only moves and stretches space."""
    pixels = torch.from_numpy(make_images(1, seed=3).pixels)
    edited = []
    for kind in ("none", "global"):
        method = fit("lafite", feature_scaling=kind, reconstruction=False, coreset_ratio=0.2)
        scaled = method.editor_(method.scaling_(method.extractor_(pixels)))
        edited.append(scaled * method.scaling_.std + method.scaling_.mean)
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
        ({"denoiser": "gaussian", "prediction_type": "sample"}, "predicts the noise"),
        ({"train_timesteps": 300}, "tau=300 is not among"),
        ({"tau": 1000}, "less than or equal to 999"),
        ({"taus": 3}, "taus"),
        ({"weights": "nowhere.pth"}, "not point to a file"),
    ],
)
def test_impossible_hyperparameters(options, message):
    with pytest.raises(UsageError, match=message):
        build("lafite", **options)


def test_paper_preset_is_the_papers_table():
    paper = build("lafite", "paper").hyperparameters
    assert paper.optimiser_steps(888) == 14_000 and paper.optimiser_steps(3629) == 57_000
    assert paper.num_centers(888, paper.map_size) == 90_931
    assert (paper.batch_size, paper.learning_rate, paper.learning_rate_drop) == (64, 1e-4, 0.8)
    assert (paper.tau, paper.num_neighbours, paper.smoothing, paper.pool_kernel) == (300, 5, 4, 16)


@pytest.mark.parametrize(
    ("options", "gflops"),
    [
        ({"denoiser": "gaussian"}, 0.2013),
        ({"denoiser": "preconditioned"}, 1.2618),
        ({"denoiser": "preconditioned", "base_width": 64}, 3.427),
    ],
)
def test_estimates_of_denoisers_match_what_was_counted(options, gflops):
    """By torch's counter, on 192 channels of 32 x 32."""
    one, two = (
        build("lafite", "fast", **{"base_width": 32} | options, num_inference_steps=steps)
        for steps in (1, 2)
    )
    per_step = two.inference_flops(100) - one.inference_flops(100)
    assert per_step / 1e9 == pytest.approx(gflops, rel=0.05)


def test_estimates_match_the_specification():
    method = build("lafite", "paper")
    assert method.training_flops(888) == pytest.approx(0.18e18, rel=0.05)
    assert method.inference_flops(888) == pytest.approx(653e9 + 50.7e9 + 1.84e9, rel=0.01)


# ------------------------------------------------------------------------------ fit and predict


def test_start_noise_belongs_to_the_image_and_the_seed(fitted, test_images):
    renamed = Images(test_images.pixels, tuple("xyzuvwabcd"), test_images.categories)
    scores = fitted.predict(test_images).scores
    assert (fitted.predict(renamed).scores != scores).any()
    other_seed = asked(fitted, make_context(seed=1))
    assert (other_seed.predict(test_images).scores != scores).any()


def test_edit_only_trains_no_network_and_its_map_is_the_reconstruction_error(
    test_images, monkeypatch
):
    """Features, editing, and DDIM replaced by the identity: the map is what eq. 12 says."""
    monkeypatch.setattr(training, "train", None)
    method = fit("lafite", reconstruction=False, coreset_ratio=0.5)
    assert method.network_ is None and "training" not in method.diagnostics()
    features = method.scaling_(method.extractor_(torch.from_numpy(test_images.pixels)))
    errors = (method.editor_(features) - features).square().sum(3)
    maps = gaussian_blur(upsample(errors, 64), 1.0)
    prediction = method.predict(test_images)
    np.testing.assert_allclose(prediction.maps, maps, rtol=1e-4)
    np.testing.assert_allclose(prediction.scores, pooled_maximum(maps, 4), rtol=1e-4)
    assert prediction.scores[-4:].min() > prediction.scores[:-4].max()  # the anomalous ones
    loaded = asked(method, reconstruction=False)
    np.testing.assert_array_equal(loaded.predict(test_images).maps, prediction.maps)


def test_without_editing_no_slices_are_kept(test_images):
    method = fit("lafite", feature_editing=False)
    assert method.editor_ is None and method.search_flops() == 0
    loaded = asked(method, feature_editing=False)
    np.testing.assert_array_equal(
        loaded.predict(test_images).maps, method.predict(test_images).maps
    )


@pytest.mark.parametrize("options", [{"eta": 1.0}, {"num_noise": 3}, {"score_power": 1}])
def test_sampling_options_change_the_scores(options, fitted, test_images):
    scores = asked(fitted, **options).predict(test_images[:2]).scores
    assert np.isfinite(scores).all() and (scores != fitted.predict(test_images[:2]).scores).any()


def test_diagnostics_show_what_training_did(fitted):
    diagnostics = fitted.diagnostics()
    training = diagnostics["training"]
    assert training["steps"] == 4 and training["images"] == 12
    assert 0 < training["loss_last"] < 3 and 0 < training["loss_first"] < 3
    coreset = diagnostics["coreset"]
    assert coreset["slices"] == 12 * 64 and coreset["centers"] == 7 and coreset["radius"] > 0


def test_one_training_image_is_enough_and_progress_names_the_stages(test_images):
    stages = []
    context = make_context(progress=lambda stage, *_, **__: stages.append(stage))
    method = build("lafite", steps=1).fit(make_images(1), context)
    assert np.isfinite(method.predict(test_images).scores).all()
    assert list(dict.fromkeys(stages)) == ["features", "coreset", "training"]
