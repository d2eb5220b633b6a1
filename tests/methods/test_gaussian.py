"""The closed-form denoiser, against the textbook's formula with dense matrices."""

import math

import pytest
import torch

from adbench.methods.gaussian import GaussianModel, shrunken


def random_images(count, channels=3, height=4, width=4, seed=0):
    """Smooth, correlated channels about a mean that differs from position to position."""
    generator = torch.Generator().manual_seed(seed)
    mixing = torch.tensor([[2.0, 0.5, 0.1], [0.5, 1.0, 0.3], [0.1, 0.3, 0.2]])[:channels, :channels]
    noise = torch.randn(count, channels, height, width, generator=generator)
    smooth = noise + noise.mean(2, keepdim=True) * 2 + noise.mean((2, 3), keepdim=True) * 4
    place = torch.linspace(-3, 3, height * width).view(height, width)
    return torch.einsum("dc,bchw->bdhw", mixing, smooth) + place


def fitted(images, size=16):
    return GaussianModel.fit(lambda: images.split(size))


@pytest.fixture(scope="module")
def model():
    return fitted(random_images(100))


def dense_covariance(model):
    """Of the flattened image, from what each coefficient alone does to it."""
    size = model.mean.numel()
    directions = model.images(torch.eye(size).view(size, *model.mean.shape)).flatten(1)
    return directions.T @ (model.variances.flatten()[:, None] * directions)


def test_coefficients_are_an_orthonormal_change_of_basis(model):
    images = random_images(5, seed=1)
    coefficients = model.coefficients(images)
    torch.testing.assert_close(model.images(coefficients), images)
    torch.testing.assert_close(coefficients.square().sum((1, 2, 3)), images.square().sum((1, 2, 3)))


def test_the_flat_part_of_the_strongest_component_comes_first(model):
    assert model.variances.flatten().argmax() == 0
    strengths = model.variances.sum((1, 2))
    assert (strengths.diff() <= 0).all()


@pytest.mark.parametrize("shape", [(4, 4), (2, 6)])
@pytest.mark.parametrize("noise_variance", [0.01, 1.0, 100.0])
def test_denoising_is_the_posterior_mean_of_the_dense_gaussian(shape, noise_variance):
    model = fitted(random_images(60, height=shape[0], width=shape[1]))
    signal = math.sqrt(0.7)
    generator = torch.Generator().manual_seed(3)
    noise = torch.randn(4, 3, *shape, generator=generator) * math.sqrt(noise_variance)
    noisy = signal * random_images(4, height=shape[0], width=shape[1], seed=2) + noise
    covariance, mean = dense_covariance(model), model.mean.flatten()
    total = signal**2 * covariance + noise_variance * torch.eye(len(mean))
    gain = signal * torch.linalg.solve(total, covariance).T
    expected = mean + (noisy.flatten(1) - signal * mean) @ gain.T
    denoised = model.denoise(noisy, signal, noise_variance)
    torch.testing.assert_close(denoised.flatten(1), expected, rtol=1e-3, atol=1e-3)
    left = covariance - signal * gain @ covariance
    variances = model.error_variances(signal, noise_variance)
    torch.testing.assert_close(variances.sum(), left.trace(), rtol=1e-3, atol=1e-3)


def test_each_image_may_have_its_own_noise(model):
    noisy, levels = random_images(3, seed=4), [0.1, 1.0, 10.0]
    together = model.denoise(noisy, 1.0, torch.tensor(levels)[:, None, None, None])
    for i, level in enumerate(levels):
        torch.testing.assert_close(together[i], model.denoise(noisy[i : i + 1], 1.0, level)[0])


@pytest.mark.parametrize("count", [4, 20, 200])
@pytest.mark.parametrize("noise_variance", [0.1, 3.0, 1e3])
def test_on_new_images_it_errs_as_it_says_and_less_than_the_mean(count, noise_variance):
    model, images = fitted(random_images(count)), random_images(400, seed=5)
    generator = torch.Generator().manual_seed(6)
    noise = torch.randn(images.shape, generator=generator) * math.sqrt(noise_variance)
    error = (model.denoise(images + noise, 1.0, noise_variance) - images).square().sum((1, 2, 3))
    of_the_mean = (model.mean - images).square().sum((1, 2, 3))
    assert error.mean() < of_the_mean.mean()
    if count == 200:
        expected = float(model.error_variances(1.0, noise_variance).sum())
        assert float(error.mean()) == pytest.approx(expected, rel=0.1)


def test_passes_over_any_batches_give_the_same_model():
    images = random_images(30)
    first, second = fitted(images, 30), fitted(images, 7)
    torch.testing.assert_close(first.mean, second.mean)
    torch.testing.assert_close(first.variances, second.variances, rtol=1e-4, atol=1e-5)


def test_autocast_does_not_round_it(model):
    noisy = random_images(2, seed=7)
    with torch.autocast("cpu", torch.bfloat16):
        inside = model.denoise(noisy, 0.9, 0.19)
    assert torch.equal(inside, model.denoise(noisy, 0.9, 0.19))


def test_one_image_is_its_own_mean():
    image = random_images(1)
    model = fitted(image)
    torch.testing.assert_close(model.denoise(random_images(2, seed=8), 1.0, 1.0)[0], image[0])


def test_tensors_are_the_whole_model(model):
    again = GaussianModel(**{name: t.clone() for name, t in model.tensors().items()})
    noisy = random_images(2, seed=9)
    assert torch.equal(again.denoise(noisy, 0.8, 0.36), model.denoise(noisy, 0.8, 0.36))


def test_few_images_are_trusted_less_than_their_ring():
    variances = torch.rand(2, 4, 4, dtype=torch.float64)
    few, many = shrunken(variances, 2), shrunken(variances, 10_000)
    torch.testing.assert_close(many, variances, rtol=0.1, atol=0.01)
    assert few[:, 0, 1].sub(few[:, 1, 0]).abs().max() < 0.1  # one ring: nearly the same
    torch.testing.assert_close(few.sum((1, 2)), variances.sum((1, 2)))
