import numpy as np
import pytest
import torch
from fits import asked, build, fit_once, make_context, make_images
from torch.utils.flop_counter import FlopCounterMode

from adbench.errors import UsageError
from adbench.methods.reconstruction.held_out import squared_errors
from adbench.methods.reconstruction.losses import jitter, reconstruction_loss
from adbench.methods.reconstruction.network import FeatureTransformer
from adbench.methods.scoring import pooled_maximum, upsample
from adbench.methods.settings import OptimiserSettings
from adbench.methods.training import train


@pytest.fixture(scope="module")
def fitted():
    return fit_once("uniad")


@pytest.fixture(scope="module")
def edited():
    return fit_once("uniad", feature_editing=True)


@pytest.fixture(scope="module")
def test_images():
    return make_images(10, seed=1, anomalous=4)


# ----------------------------------------------------------------------------- hyper-parameters


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"heads": 3}, "does not divide"),
        ({"neighbour_window": 4}, "is even"),
        ({"neighbour_window": 9}, "hides every token"),
        ({"pool_kernel": 65}, "exceeds image_size"),
        ({"dropout": 1.0}, "less than 1"),
        ({"jitter": 20}, "jitter"),
        ({"weights": "nowhere.pth"}, "not point to a file"),
    ],
)
def test_impossible_hyperparameters(options, message):
    with pytest.raises(UsageError, match=message):
        build("uniad", **options)


def test_paper_preset_is_the_official_configuration():
    own = build("uniad", "paper").hyperparameters
    assert own.optimiser_steps(3629) == 454_000 and own.optimiser_steps(888) == 111_000
    assert (own.image_size, own.feature_size, own.pool_kernel) == (224, 14, 16)
    assert (own.hidden, own.heads, own.ffn, own.layers, own.dropout) == (256, 8, 1024, 4, 0.1)
    assert (own.neighbour_window, own.jitter_scale, own.jitter_probability) == (7, 20, 1)
    assert (own.batch_size, own.learning_rate, own.weight_decay) == (8, 1e-4, 1e-4)
    assert (own.learning_rate_drop, own.gradient_clip, own.feature_editing) == (0.8, 0.1, False)
    assert (own.standardise, own.attention_start, own.held_out_fraction) == (False, "random", 0)
    assert (own.warmup_steps, own.decay, own.ema_decay) == (0, "step", 0)


def test_estimates_match_the_specification():
    method = build("uniad", "paper")
    assert method.inference_flops(888) == pytest.approx(2 * 1.702e9 + 1.84e9, rel=0.001)
    assert method.training_flops(888) == pytest.approx(3 * 111_000 * 8 * 3.404e9, rel=0.001)
    edited = build("uniad", "paper", feature_editing=True)
    search = 2 * 196 * int(0.1 * 888 * 196) * 272
    assert edited.inference_flops(888) - method.inference_flops(888) == pytest.approx(search)


def test_estimate_is_what_torch_counts(fitted):
    own, features = fitted.hyperparameters, torch.zeros(3, 8, 8, 192)
    with torch.inference_mode(), FlopCounterMode(display=False) as counter:
        fitted.network_(features)
    # The queries of the decoder are projected once for all images of a batch.
    once = own.layers * 2 * 64 * own.hidden**2 * (3 - 1)
    assert counter.get_total_flops() == pytest.approx(3 * fitted.transformer_flops() - once)


# --------------------------------------------------------------------------------------- jitter


def test_jitter_has_the_papers_deviation():
    norms = torch.tensor([0.5, 3.0, 40.0]).view(1, 1, 3, 1)
    directions = torch.nn.functional.normalize(torch.randn(1, 1, 3, 4000), dim=3)
    features = (directions * norms).expand(50, 1, 3, 4000)
    added = jitter(features, 20.0, 1.0, torch.Generator().manual_seed(0)) - features
    expected = norms.view(3) / 4000 * 20
    torch.testing.assert_close(added.std((0, 1, 3)), expected, rtol=0.01, atol=0)
    assert (added.mean((0, 1, 3)).abs() < 0.01 * expected).all()


def test_jitter_happens_to_whole_batches_as_often_as_asked():
    features = torch.ones(2, 3, 3, 5)
    generator = torch.Generator().manual_seed(0)
    changed = [(jitter(features, 1.0, 0.25, generator) != features) for _ in range(400)]
    assert all(bool(mask.all()) or not bool(mask.any()) for mask in changed)
    assert sum(bool(mask.any()) for mask in changed) == pytest.approx(100, abs=30)
    assert torch.equal(jitter(features, 1.0, 0.0, generator), features)


def test_loss_is_the_error_over_all_entries_against_clean_features():
    features = torch.randn(4, 3, 3, 5)
    seen = []

    def network(noisy):
        seen.append(noisy)
        return torch.zeros_like(noisy)

    loss = reconstruction_loss(network, lambda indices: features[indices])
    value = loss(torch.tensor([2, 0]), torch.Generator().manual_seed(0))
    assert float(value) == pytest.approx(float(features[[2, 0]].square().mean()))
    assert not torch.isclose(seen[0], features[[2, 0]]).any()  # the network saw them jittered


def test_dropout_is_the_steps_own_and_leaves_the_global_generator_alone():
    dropped = []

    def network(noisy):
        dropped.append(torch.nn.functional.dropout(torch.ones(2000), 0.5))
        return noisy

    loss = reconstruction_loss(network, lambda _: torch.ones(2, 3, 3, 5))
    before = torch.get_rng_state()
    for seed in (0, 1, 0):
        loss(torch.arange(2), torch.Generator().manual_seed(seed))
        torch.rand(3)
    assert torch.equal(dropped[0], dropped[2]) and not torch.equal(dropped[0], dropped[1])
    torch.set_rng_state(before)
    loss(torch.arange(2), torch.Generator().manual_seed(0))
    assert torch.equal(torch.get_rng_state(), before)


# ------------------------------------------------------------------------------ fit and predict


def test_map_is_the_distance_to_the_reconstruction(fitted, test_images):
    features = fitted.extractor_(torch.from_numpy(test_images.pixels))
    restored = fitted.network_(features)
    maps = upsample(torch.linalg.vector_norm(restored - features, dim=3), 64)
    prediction = fitted.predict(test_images)
    np.testing.assert_allclose(prediction.maps, maps, rtol=1e-3)
    np.testing.assert_allclose(prediction.scores, pooled_maximum(maps, 4), rtol=1e-3)


def test_reconstruction_is_of_edited_and_distance_to_original_features(fitted, edited, test_images):
    features = edited.extractor_(torch.from_numpy(test_images.pixels))
    shown = edited.editor_(features)
    assert not torch.allclose(shown, features, rtol=0.1)
    errors = torch.linalg.vector_norm(edited.network_(shown) - features, dim=3)
    maps = edited.predict(test_images).maps
    np.testing.assert_allclose(maps, upsample(errors, 64), rtol=1e-3)
    coreset = edited.diagnostics()["coreset"]
    assert coreset["slices"] == 12 * 64 and coreset["centers"] == 38 and coreset["radius"] > 0
    assert edited.search_flops() == 2 * 64 * 38 * 192
    # Editing changes no training, and is saved.
    assert edited.diagnostics()["training"] == fitted.diagnostics()["training"]
    loaded = asked(edited, feature_editing=True)
    np.testing.assert_array_equal(loaded.predict(test_images).maps, maps)


@pytest.mark.parametrize("feature_size", [14, 28, 56])
def test_the_papers_map_sizes_run(feature_size, test_images):
    method = build("uniad", feature_size=feature_size, steps=1, batch_size=1)
    method.fit(make_images(3), make_context())
    assert np.isfinite(method.predict(test_images[:1]).maps).all()


def test_training_learns_what_the_distant_tokens_tell():
    """One hidden phase makes a whole map: only other tokens say what a masked one should be."""
    generator = torch.Generator().manual_seed(0)
    phases = 2 * torch.pi * torch.rand(200, 1, 1, 1, generator=generator)
    fields = torch.randn(2, 8, 8, 12, generator=generator)
    features = phases.cos() * fields[0] + phases.sin() * fields[1]
    training, held_out = features[:160], features[160:]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = FeatureTransformer(12, 8, 32, 2, 64, 1, dropout=0, neighbour_window=3)
    loss = reconstruction_loss(network, lambda indices: training[indices], scale=1)
    own = OptimiserSettings(
        batch_size=16, learning_rate=1e-2, learning_rate_drop=1, gradient_clip=0
    )
    train(network, loss, len(training), own, 250, make_context())
    mean = squared_errors(lambda shown: training.mean(0), held_out, held_out).mean()
    assert mean > 0.9 and squared_errors(network, held_out, held_out).mean() < 0.4


def test_bfloat16_training_is_close_to_float32(fitted, test_images):
    expected = fitted.predict(test_images).scores
    scores = fit_once("uniad", precision="bf16").predict(test_images).scores
    assert (scores != expected).any()
    np.testing.assert_allclose(scores, expected, rtol=0.02)


def test_nothing_held_out_and_progress_names_the_stages(fitted):
    stages = []
    context = make_context(progress=lambda stage, *_, **__: stages.append(stage))
    method = build("uniad", feature_editing=True)
    training = method.fit(make_images(3), context).diagnostics()["training"]
    assert training["images"] == 3 and "held_out_mse" not in training
    assert list(dict.fromkeys(stages)) == ["features", "coreset", "training"]
    assert fitted.protocol()["held_out"] == 0 and fitted.diagnostics()["training"]["steps"] == 6
    assert fitted.skill().value is None and "no normals are held out" in fitted.skill().reason
