"""LafitE's denoisers beside the paper's: the closed-form Gaussian, and the network that corrects
it; and what their skill says."""

import numpy as np
import pytest
import torch
from fits import MemoryCheckpoint, asked, build, fit_once, make_context, make_images

from adbench.methods import training
from adbench.methods.diffusion import cosine_scheduler
from adbench.methods.gaussian import GaussianModel
from adbench.methods.lafite.denoisers import GaussianDenoiser, PreconditionedDenoiser
from adbench.methods.lafite.network import HELD_OUT_TIMESTEPS, denoising_loss, epsilon_skill

PRECONDITIONED = {
    "denoiser": "preconditioned", "train_timesteps": 500, "held_out_fraction": 0.1,
    "feature_editing": False,
}  # fmt: skip


@pytest.fixture(scope="module")
def test_images():
    return make_images(4, seed=1)


@pytest.fixture(scope="module")
def images():
    """Feature maps whose contrast differs from image to image, which no Gaussian can know."""
    generator = torch.Generator().manual_seed(0)
    contrast = torch.rand(40, 1, 1, 1, generator=generator) * 2
    noise = torch.randn(40, 6, 8, 8, generator=generator)
    return contrast * (noise + noise.mean((2, 3), keepdim=True) * 4)


@pytest.fixture(scope="module")
def gaussian(images):
    return GaussianModel.fit(lambda: images.split(8))


@pytest.fixture(scope="module")
def learned(images):
    """A preconditioned fit with 16 normals held out."""
    return build("lafite", **PRECONDITIONED).fit(make_images(32), make_context())


def preconditioned(gaussian, train_timesteps=500):
    with training.seeded(make_context(), "network"):
        return PreconditionedDenoiser(gaussian, cosine_scheduler(), 32, train_timesteps)


# -------------------------------------------------------------------------------- the denoisers


def test_an_untrained_correction_is_the_gaussian(gaussian, images):
    network, simple = preconditioned(gaussian), GaussianDenoiser(gaussian, cosine_scheduler())
    timesteps = torch.tensor([0, 50, 499, 999])
    noisy = images[:4] + 0.1
    torch.testing.assert_close(
        network(noisy, timesteps), simple(noisy, timesteps), atol=1e-4, rtol=1e-4
    )


def test_the_gaussian_finds_the_noise_that_its_model_expects(gaussian, images):
    """As well as its own error says: eps = (x_t - sqrt(abar) x0) / sqrt(1 - abar)."""
    scheduler = cosine_scheduler()
    noise = torch.randn(images.shape, generator=torch.Generator().manual_seed(1))
    timesteps = torch.full((len(images),), 300)
    noisy = scheduler.add_noise(images, noise, timesteps)
    error = (GaussianDenoiser(gaussian, scheduler)(noisy, timesteps) - noise).square().mean()
    abar = float(scheduler.alphas_cumprod[300])
    left = gaussian.error_variances(abar**0.5, 1 - abar).mean() * abar / (1 - abar)
    assert float(error) == pytest.approx(float(left), rel=0.1)
    assert float(error) < float(noise.square().mean())


def test_a_correction_learns_and_is_off_where_it_was_not_trained(gaussian, images):
    network, scheduler = preconditioned(gaussian), cosine_scheduler()
    options = {"learning_rate": 3e-3, "batch_size": 16, "decay": "cosine"}
    settings = build("lafite", **PRECONDITIONED, **options).hyperparameters
    loss = denoising_loss(network, scheduler, lambda chosen: images[chosen], 500)
    training.train(network, loss, len(images), settings, 40, make_context())
    noise = torch.randn(images.shape, generator=torch.Generator().manual_seed(2))
    timesteps = torch.full((len(images),), 300)
    noisy = scheduler.add_noise(images, noise, timesteps)
    simple = GaussianDenoiser(gaussian, scheduler)
    learned, closed_form = (
        float((denoiser(noisy, timesteps) - noise).square().mean())
        for denoiser in (network, simple)
    )
    assert learned < 0.95 * closed_form
    timesteps = torch.tensor([499, 500])
    differs = (network(images[:2], timesteps) - simple(images[:2], timesteps)).abs().amax((1, 2, 3))
    assert differs[0] > 1e-2 and differs[1] < 1e-4


# -------------------------------------------------------------------------------- in the method


def test_the_gaussian_alone_needs_no_network(test_images, monkeypatch):
    monkeypatch.setattr(training, "train", None)
    method = fit_once("lafite", denoiser="gaussian")
    assert method.network_ is None and "training" not in method.diagnostics()
    assert method.num_parameters() == sum(p.numel() for p in method.extractor_.parameters())
    assert (method.skill().value, method.skill().reason) == (None, "no network is trained")
    prediction = method.predict(test_images)
    loaded = asked(method, denoiser="gaussian")
    np.testing.assert_array_equal(loaded.predict(test_images).maps, prediction.maps)
    edited = asked(method, denoiser="gaussian", reconstruction=False).predict(test_images)
    assert np.isfinite(prediction.scores).all() and (prediction.scores != edited.scores).any()


def test_a_preconditioned_model_resumes_and_loads_to_the_same_scores(learned, test_images):
    expected, train = learned.predict(test_images), make_images(32)
    checkpoint = MemoryCheckpoint(dies_at=1)
    with pytest.raises(InterruptedError):
        build("lafite", **PRECONDITIONED).fit(train, make_context(checkpoint=checkpoint))
    checkpoint = MemoryCheckpoint(state=checkpoint.state)
    resumed = build("lafite", **PRECONDITIONED).fit(train, make_context(checkpoint=checkpoint))
    for other in (resumed, asked(learned, **PRECONDITIONED)):
        np.testing.assert_array_equal(other.predict(test_images).maps, expected.maps)
        assert other.skill() == learned.skill() and other.protocol() == learned.protocol()
        assert other.num_parameters() == learned.num_parameters()


def test_both_new_denoisers_restore_normal_features_better_than_noise(learned, test_images):
    """The maps are distances to the features; a tau near 0 changes little."""
    far, near = (asked(learned, **PRECONDITIONED, tau=tau).predict(test_images) for tau in (400, 2))
    assert 0 < near.scores.mean() < far.scores.mean()


# ---------------------------------------------------------------------------------------- skill


def test_skill_is_of_the_timesteps_that_sampling_passes(learned):
    skill = learned.skill()
    assert skill.held_out == 16 == learned.protocol()["held_out"]
    assert skill.beside["timesteps"] == [50, 100, 150, 200, 250, 300]
    assert skill.error == pytest.approx(np.mean(skill.beside["network"]))
    assert skill.simple == pytest.approx(np.mean(skill.beside["gaussian"]))
    assert skill.trivial == pytest.approx(1, abs=0.05)
    assert asked(learned, **PRECONDITIONED, tau=100).skill().beside["timesteps"] == [50, 100]
    assert asked(learned, **PRECONDITIONED, tau=10).skill().beside["timesteps"] == [50]


def test_skill_of_known_errors():
    errors = torch.ones(len(HELD_OUT_TIMESTEPS), 3, 16)
    errors[:, 0], errors[:, 1] = 0.25, 0.5
    assert epsilon_skill(errors, 300).value == 0.5
    assert epsilon_skill(errors[:, :, :15], 300).value is None


def test_nothing_held_out_has_no_skill_and_says_so():
    method = fit_once("lafite")
    assert method.protocol()["held_out"] == 0 and "no normals are held out" in method.skill().reason


def test_the_papers_network_is_held_to_the_gaussian_too():
    options = {"held_out_fraction": 0.1, "feature_editing": False}
    method = build("lafite", **options).fit(make_images(32), make_context())
    assert method.gaussian_ is None and method.skill().value < 0  # after 4 steps
    assert not any(name.startswith("gaussian") for name in method.learned())
