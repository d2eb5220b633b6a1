import numpy as np
import pytest
import torch
from pydantic import ValidationError

from adbench.errors import MethodError
from adbench.methods.lafite.editing import FeatureEditor
from adbench.methods.scoring import pooled_maximum, upsample
from adbench.methods.training import TrainingPlan, train
from adbench.methods.uniad import fitting
from adbench.methods.uniad.fitting import fit_base, held_out_split
from adbench.methods.uniad.hyperparameters import UniADHyperparameters
from adbench.methods.uniad.losses import held_out_error, jitter, reconstruction_loss
from adbench.methods.uniad.method import UniAD
from adbench.methods.uniad.scoring import base_maps
from adbench.methods.uniad.storage import load_base, save_base


def build(**options):
    return UniAD(UniADHyperparameters(**{**UniAD.presets["smoke"], **options}))


@pytest.fixture(scope="module")
def fitted(make_context, make_images):
    return build().fit(make_images(12), make_context())


@pytest.fixture(scope="module")
def test_images(make_images):
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
        ({"jitter": 20}, "Extra inputs"),
        ({"weights": "nowhere.pth"}, "not point to a file"),
    ],
)
def test_impossible_hyperparameters(options, message):
    with pytest.raises(ValidationError, match=message):
        build(**options)


def test_paper_preset_is_the_official_configuration():
    own = UniADHyperparameters(**UniAD.presets["paper"])
    assert own.num_steps(3629) == 454_000 and own.num_steps(888) == 111_000
    assert (own.image_size, own.feature_size, own.pool_kernel) == (224, 14, 16)
    assert (own.hidden, own.heads, own.ffn, own.layers, own.dropout) == (256, 8, 1024, 4, 0.1)
    assert (own.neighbour_window, own.jitter_scale, own.jitter_probability) == (7, 20, 1)
    assert (own.batch_size, own.learning_rate, own.weight_decay) == (8, 1e-4, 1e-4)
    assert (own.learning_rate_drop, own.gradient_clip, own.feature_editing) == (0.8, 0.1, False)


def test_estimates_match_the_specification():
    method = UniAD(UniADHyperparameters())
    assert method.inference_flops(888) == pytest.approx(2 * 1.702e9 + 1.84e9, rel=0.001)
    assert method.training_flops(888) == pytest.approx(3 * 111_000 * 8 * 3.404e9, rel=0.001)
    edited = UniAD(UniADHyperparameters(feature_editing=True))
    search = 2 * 196 * int(0.1 * 888 * 196) * 272
    assert edited.inference_flops(888) - method.inference_flops(888) == pytest.approx(search)


def test_estimate_is_what_torch_counts():
    from torch.utils.flop_counter import FlopCounterMode

    from adbench.methods.uniad.costs import transformer_flops
    from adbench.methods.uniad.network import UniADTransformer

    network = UniADTransformer(24, 8, 32, 4, 48, 2, neighbour_window=5)
    network.requires_grad_(False).eval()
    with torch.inference_mode(), FlopCounterMode(display=False) as counter:
        network(torch.zeros(3, 8, 8, 24))
    # The queries of the decoder are projected once for all images of a batch.
    once = 2 * 2 * 64 * 32 * 32 * (3 - 1)
    expected = 3 * transformer_flops(24, 64, 32, 48, 2) - once
    assert counter.get_total_flops() == pytest.approx(expected)


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

    loss = reconstruction_loss(network, UniADHyperparameters(), lambda indices: features[indices])
    value = loss(torch.tensor([2, 0]), torch.Generator().manual_seed(0))
    assert float(value) == pytest.approx(float(features[[2, 0]].square().mean()))
    assert not torch.isclose(seen[0], features[[2, 0]]).any()  # the network saw them jittered


def test_dropout_is_the_steps_own_and_leaves_the_global_generator_alone():
    features = torch.ones(2, 3, 3, 5)
    dropped = []

    def network(noisy):
        dropped.append(torch.nn.functional.dropout(torch.ones(2000), 0.5))
        return noisy

    loss = reconstruction_loss(network, UniADHyperparameters(), lambda _: features)
    before = torch.get_rng_state()
    for seed in (0, 1, 0):
        loss(torch.arange(2), torch.Generator().manual_seed(seed))
        torch.rand(3)
    assert torch.equal(dropped[0], dropped[2]) and not torch.equal(dropped[0], dropped[1])
    torch.set_rng_state(before)
    loss(torch.arange(2), torch.Generator().manual_seed(0))
    assert torch.equal(torch.get_rng_state(), before)


def test_held_out_error_of_known_predictors():
    training, held_out = torch.randn(20, 4, 4, 6), torch.randn(11, 4, 4, 6) + 1
    errors = held_out_error(lambda features: features - 2, held_out, training, held_out - 3)
    assert errors["network"] == errors["training"] == pytest.approx(4, rel=1e-5)
    assert errors["position_mean"] == pytest.approx(9, rel=1e-5)


def test_position_means_are_over_all_training_images_of_the_own_category():
    features = np.random.default_rng(0).normal(size=(7, 2, 2, 3)).astype(np.float32)
    categories = ["a", "b", "a", "a", "b", "a", "c"]
    own, held_out = torch.tensor([0, 1, 2, 4]), torch.tensor([3, 5, 6])
    means = fitting.position_means(features, categories, own, held_out)
    expected = [features[[0, 2]].mean(0), features[[0, 2]].mean(0), features[[0, 1, 2, 4]].mean(0)]
    np.testing.assert_allclose(means.numpy(), expected, rtol=1e-5, atol=1e-6)


# ------------------------------------------------------------------------------ fit and predict


def test_map_is_the_distance_to_the_reconstruction(fitted, test_images):
    features = fitted.detector_.extractor(torch.from_numpy(test_images.pixels))
    restored = fitted.detector_.network(features)
    maps = upsample(torch.linalg.vector_norm(restored - features, dim=3), 64)
    prediction = fitted.predict(test_images)
    np.testing.assert_allclose(prediction.maps, maps, rtol=1e-3)
    np.testing.assert_allclose(prediction.scores, pooled_maximum(maps, 4), rtol=1e-3)
    assert base_maps(fitted.detector_, fitted.hyperparameters, test_images).dtype == torch.float32


def test_reconstruction_is_of_edited_and_distance_to_original_features(
    make_context, make_images, test_images
):
    method = build(feature_editing=True, steps=1).fit(make_images(12), make_context())
    detector = method.detector_
    assert isinstance(detector.editor, FeatureEditor)
    features = detector.extractor(torch.from_numpy(test_images.pixels))
    edited = detector.editor(features)
    assert not torch.allclose(edited, features, rtol=0.1)
    errors = torch.linalg.vector_norm(detector.network(edited) - features, dim=3)
    np.testing.assert_allclose(method.predict(test_images).maps, upsample(errors, 64), rtol=1e-3)
    coreset = method.diagnostics()["coreset"]
    assert coreset["slices"] == 12 * 64 and coreset["centers"] == 38 and coreset["radius"] > 0
    assert method.search_flops() == 2 * 64 * 38 * 192


def test_editing_does_not_change_training(fitted, make_context, make_images):
    edited = build(feature_editing=True).fit(make_images(12), make_context())
    assert edited.diagnostics()["training"] == fitted.diagnostics()["training"]


@pytest.mark.parametrize("feature_size", [14, 28, 56])
def test_the_papers_map_sizes_run(feature_size, make_context, make_images, test_images):
    method = build(feature_size=feature_size, steps=1, batch_size=2)
    method.fit(make_images(3), make_context())
    assert np.isfinite(method.predict(test_images[:2]).maps).all()


def test_scores_depend_on_neither_batch_nor_order(fitted, test_images):
    expected = fitted.predict(test_images)
    order = [7, 2, 9, 0, 5, 1, 8, 3, 6, 4]
    shuffled = fitted.predict(test_images.take(order))
    np.testing.assert_allclose(shuffled.scores, expected.scores[order], rtol=1e-4)
    alone = [float(fitted.predict(test_images[i : i + 1]).scores[0]) for i in range(10)]
    np.testing.assert_allclose(alone, expected.scores, rtol=1e-4)


def test_same_seed_same_numbers_other_seed_others(fitted, test_images, make_context, make_images):
    torch.manual_seed(1)
    again = build().fit(make_images(12), make_context())
    expected = fitted.predict(test_images)
    np.testing.assert_array_equal(again.predict(test_images).maps, expected.maps)
    assert again.diagnostics() == fitted.diagnostics()
    other = build().fit(make_images(12), make_context(seed=1))
    assert (other.predict(test_images).scores != expected.scores).any()


def test_a_killed_fit_resumes_to_the_same_scores(
    fitted, test_images, make_context, make_images, make_checkpoint
):
    checkpoint = make_checkpoint(due=True, dies_at=3)
    with pytest.raises(InterruptedError):
        build().fit(make_images(12), make_context(checkpoint=checkpoint))
    resumed = build().fit(make_images(12), make_context(checkpoint=checkpoint))
    expected = fitted.predict(test_images)
    np.testing.assert_array_equal(resumed.predict(test_images).scores, expected.scores)
    assert resumed.diagnostics() == fitted.diagnostics()


@pytest.mark.parametrize("options", [{}, {"feature_editing": True}], ids=str)
def test_save_and_load(options, test_images, make_context, make_images, tmp_path):
    method = build(**options)
    detector, diagnostics = fit_base(method.hyperparameters, make_images(12), make_context())
    save_base(tmp_path, detector, diagnostics)
    before = torch.get_rng_state()
    loaded, read = load_base(tmp_path, method.hyperparameters, make_context(seed=5))
    assert torch.equal(torch.get_rng_state(), before)
    expected = base_maps(detector, method.hyperparameters, test_images)
    assert torch.equal(base_maps(loaded, method.hyperparameters, test_images), expected)
    assert read == diagnostics and (loaded.editor is None) == (not options)


def test_other_backbone_weights_are_refused(fitted, make_context, tmp_path):
    fitted.save(tmp_path)
    state = tmp_path / "uniad.json"
    state.write_text(state.read_text().replace("900102f9", "00000000"))
    with pytest.raises(MethodError, match="trained on backbone weights 00000000"):
        build().load(tmp_path, make_context())


def test_training_learns_what_the_distant_tokens_tell(make_context):
    """One hidden phase makes a whole map: only other tokens say what a masked one should be."""
    generator = torch.Generator().manual_seed(0)
    phases = 2 * torch.pi * torch.rand(200, 1, 1, 1, generator=generator)
    fields = torch.randn(2, 8, 8, 12, generator=generator)
    features = phases.cos() * fields[0] + phases.sin() * fields[1]
    training, held_out = features[:160], features[160:]
    own = UniADHyperparameters(
        **{"feature_size": 8, "neighbour_window": 3, "hidden": 32, "heads": 2, "ffn": 64},
        **{"layers": 1, "dropout": 0, "jitter_scale": 1},  # 12 channels, and not 272
    )
    network = fitting.create_network(own, 12, make_context())
    loss = reconstruction_loss(network, own, lambda indices: training[indices])
    plan = TrainingPlan(steps=250, batch_size=16, learning_rate=1e-2, weight_decay=1e-4)
    train(network, loss, len(training), plan, make_context())
    means = training.mean(0).expand_as(held_out)
    errors = held_out_error(network, held_out, training, means)
    assert errors["position_mean"] > 0.9 and errors["network"] < 0.4


def test_bfloat16_training_is_close_to_float32(fitted, test_images, make_context, make_images):
    rounded = build(precision="bf16").fit(make_images(12), make_context())
    expected = fitted.predict(test_images).scores
    scores = rounded.predict(test_images).scores
    assert (scores != expected).any()
    np.testing.assert_allclose(scores, expected, rtol=0.02)


def test_held_out_images_are_apart_and_never_all(make_context):
    own = UniADHyperparameters(held_out_fraction=0.5)
    for count in (1, 2, 7, 1000):
        held_out, trained = held_out_split(own, count, make_context())
        assert sorted([*held_out.tolist(), *trained.tolist()]) == list(range(count))
        assert len(held_out) == min(-(-count // 2), count - 1, fitting.MAX_HELD_OUT)


def test_diagnostics_show_what_training_did(fitted, make_context, make_images):
    training = fitted.diagnostics()["training"]
    assert training["steps"] == 6 and training["images"] == 11 and training["held_out_images"] == 1
    assert training["loss_first"] > 0 and set(training["held_out_mse"]) == {
        "network", "training", "position_mean"
    }  # fmt: skip
    every = build(held_out_fraction=0).fit(make_images(3), make_context()).diagnostics()
    assert every["training"]["images"] == 3 and "held_out_mse" not in every["training"]


def test_progress_names_the_stages(make_context, make_images):
    stages = []
    context = make_context(progress=lambda stage, *_, **__: stages.append(stage))
    build(feature_editing=True).fit(make_images(4), context)
    assert list(dict.fromkeys(stages)) == ["features", "coreset", "training"]
