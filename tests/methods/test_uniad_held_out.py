import math

import numpy as np
import pytest
import torch
from fits import build, make_context, make_images

from adbench.contracts import Images
from adbench.methods.reconstruction.fragments import COPIES, MIN_CHANGE, with_fragments
from adbench.methods.reconstruction.held_out import (
    HeldOut,
    auroc,
    position_means,
    position_moments,
)
from adbench.methods.reconstruction.losses import jitter


def darkness(images):
    return (images.pixels == 0).mean((1, 2, 3))


@pytest.fixture(scope="module")
def normals():
    """One hidden phase an image, over 20 held out and 60 seen ones."""
    rng = np.random.default_rng(0)
    phases = rng.uniform(0, 2 * np.pi, (80, 1, 1, 1))
    fields = rng.normal(size=(2, 4, 4, 6))
    features = np.cos(phases) * fields[0] + np.sin(phases) * fields[1] + 3
    split = torch.arange(20), torch.arange(20, 80)
    return HeldOut(make_images(80), features.astype(np.float32), *split, make_context())


def test_errors_of_known_predictors(normals):
    errors = normals.errors(lambda features: features - 2)
    assert errors["network"] == errors["training"] == pytest.approx(4, rel=1e-5)
    assert errors["position_mean"] == pytest.approx(1, abs=0.6)


def test_skill_is_zero_for_the_closed_form_itself_and_negative_for_the_mean(normals):
    scale = 2.0
    clean = normals._clean
    variance = scale**2 * float(clean.square().mean()) / 6

    def wiener(features):
        moved = normals._gaussian.denoise(features.permute(0, 3, 1, 2), 1.0, variance)
        return moved.permute(0, 2, 3, 1)

    skill = normals.skill(wiener, scale, darkness)
    assert skill.value == pytest.approx(0, abs=1e-6) and skill.held_out == 20
    assert skill.simple < skill.trivial
    mean = normals._features[20:].mean(0)
    at_mean = normals.skill(lambda shown: torch.from_numpy(mean), scale, darkness)
    assert at_mean.value < 0 and at_mean.error == pytest.approx(at_mean.trivial, rel=0.05)


def test_skill_is_measured_from_jittered_input(normals):
    """A network that copies is perfect on clean features, and is not what is asked for."""
    skill = normals.skill(lambda features: features, 1.0, darkness)
    noise = jitter(normals._clean, 1.0, 1.0, torch.Generator().manual_seed(0)) - normals._clean
    assert skill.error == pytest.approx(float(noise.square().mean()), rel=0.3)
    assert normals.skill(torch.zeros_like, 0.0, darkness).value is None


def test_skill_of_a_fit_and_of_too_few_held_out():
    method = build("uniad", held_out_fraction=0.05, standardise=True, attention_start="local")
    method.fit(make_images(40), make_context())
    skill, training = method.skill(), method.diagnostics()["training"]
    assert skill.held_out == training["held_out_images"] == method.protocol()["held_out"] == 16
    assert math.isfinite(skill.value) and skill.standard_error > 0
    assert 0 <= skill.beside["fragments_auroc"] <= 1
    assert set(training["held_out_mse"]) == {"network", "training", "position_mean"}
    few = build("uniad", held_out_fraction=0.5, steps=1).fit(make_images(6), make_context())
    assert few.protocol()["held_out"] == 3 and "3 normals are held out" in few.skill().reason


def test_a_snapshot_measures_its_own_network():
    kept = {}

    def snapshot(step, num_steps, finish):
        if step == 2:
            kept[step] = finish()

    method = build("uniad", held_out_fraction=0.05, standardise=True, learning_rate=1e-2)
    method.fit(make_images(40), make_context(snapshot=snapshot))
    early = kept[2]
    assert early.skill().error != method.skill().error
    assert early.hyperparameters.steps == 2 and early.skill().trivial == method.skill().trivial
    held_out = [m.diagnostics()["training"]["held_out_mse"] for m in (early, method)]
    assert held_out[0]["network"] != held_out[1]["network"]


def test_position_means_are_over_all_training_images_of_the_own_category():
    features = np.random.default_rng(0).normal(size=(7, 2, 2, 3)).astype(np.float32)
    categories = ["a", "b", "a", "a", "b", "a", "c"]
    own, held_out = torch.tensor([0, 1, 2, 4]), torch.tensor([3, 5, 6])
    means = position_means(features, categories, own, held_out)
    expected = [features[[0, 2]].mean(0), features[[0, 2]].mean(0), features[[0, 1, 2, 4]].mean(0)]
    np.testing.assert_allclose(means.numpy(), expected, rtol=1e-5, atol=1e-6)


def test_moments_are_of_the_images_named_and_never_zero():
    features = np.random.default_rng(0).normal(5, 2, size=(9, 3, 3, 4)).astype(np.float32)
    features[..., 3] = 7  # a dead channel
    mean, deviation = position_moments(features, torch.tensor([1, 4, 5]))
    own = features[[1, 4, 5]]
    np.testing.assert_allclose(mean, own.mean(0), rtol=1e-5)
    spread = np.sqrt(np.square(own - own.mean(0)).mean((0, 1, 2)))
    np.testing.assert_allclose(deviation[:3], spread[:3], rtol=1e-4)
    assert float(deviation[3]) == pytest.approx(
        0.01 * math.sqrt(np.square(spread).mean()), rel=1e-3
    )


def test_fragments_come_from_another_image_of_the_category_and_can_be_seen():
    levels = np.array([20, 60, 120, 200], np.uint8)
    pixels = np.broadcast_to(levels[:, None, None, None], (4, 64, 64, 3)).copy()
    normals = Images(pixels, ("0", "1", "2", "3"), ("a", "b", "a", "b"))
    made = with_fragments(normals, np.random.default_rng(0))
    assert len(made) == 4 * COPIES and len(set(made.ids)) == len(made)
    assert (normals.pixels == pixels).all() and made.categories == normals.categories * COPIES
    for number, image in enumerate(made.pixels):
        own = number % 4
        changed = (image != levels[own]).any(2)
        assert 3 < changed.sum() < 0.2 * changed.size  # at most 80 of 224 pixels a side
        assert (image[changed] == levels[(own + 2) % 4]).all()  # the other of its category
    again = with_fragments(normals, np.random.default_rng(0))
    assert (again.pixels == made.pixels).all()
    alone = with_fragments(make_images(1), np.random.default_rng(1))
    change = np.abs(alone.pixels.astype(float) - make_images(1).pixels)
    assert all(c[c.any(2)].mean() >= MIN_CHANGE for c in change)


def test_auroc_counts_ties_half():
    assert auroc(np.array([0.0, 1.0]), np.array([1.0, 2.0])) == 0.875
