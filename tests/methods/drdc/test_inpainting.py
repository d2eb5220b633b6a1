"""Inpainting without a network: what is known stays, and the guess is the best linear one."""

import pytest
import torch

from adbench.methods.drdc.inpainting import LocalGaussian, interpolated
from adbench.methods.drdc.process import grid_masks

SIDE = 48


def textures(count, seed=0):
    """Smooth grey noise, whose neighbours tell of each other, (count, 3, SIDE, SIDE)."""
    generator = torch.Generator().manual_seed(seed)
    grey = torch.randn(count, 1, SIDE, SIDE, generator=generator)
    kernel = torch.hann_window(9, periodic=False).outer(torch.hann_window(9, periodic=False))
    smooth = torch.nn.functional.conv2d(grey, kernel[None, None] / kernel.norm(), padding=4)
    return (0.3 * smooth).expand(-1, 3, -1, -1).clone()


def masks(count, cell):
    generator = torch.Generator().manual_seed(3)
    return torch.stack([grid_masks(SIDE, cell, 2, generator)[0] for _ in range(count)])


@pytest.fixture(scope="module")
def model():
    normals = textures(40)
    return LocalGaussian(lambda: normals.split(16))


@pytest.mark.parametrize("cell", [1, 8])
def test_only_unknown_pixels_are_guessed_and_only_from_known_ones(cell, model):
    images, unknown = textures(2, seed=1), masks(2, cell)
    changed = torch.where(unknown, torch.full_like(images, 9.0), images)
    for inpaint in (interpolated, model.inpaint):
        found = inpaint(images, unknown)
        assert torch.equal(found[~unknown.expand_as(found)], images[~unknown.expand_as(images)])
        torch.testing.assert_close(inpaint(changed, unknown), found)


def test_a_plane_is_interpolated_as_one():
    rows = torch.linspace(-1, 1, SIDE)
    image = (rows[:, None] + 0.5 * rows).expand(1, 3, SIDE, SIDE)
    error = (interpolated(image, masks(1, 4)) - image).abs()
    assert float(error[..., 8:-8, 8:-8].max()) < 0.05 < float(image.std()) / 5


@pytest.mark.parametrize("cell", [1, 4])
def test_the_gaussian_guess_is_better_than_the_interpolation_and_the_mean(cell, model):
    images, unknown = textures(3, seed=1), masks(3, cell)
    hidden = unknown.expand_as(images)

    def error(guess):
        return float((guess - images)[hidden].square().mean())

    best = error(model.inpaint(images, unknown))
    assert best < error(interpolated(images, unknown)) < error(model.mean.expand_as(images))


def test_the_guess_is_the_conditional_mean():
    """Against the formula over the whole of an image that fits into one window."""
    generator = torch.Generator().manual_seed(0)
    normals = torch.randn(30, 3, 8, 8, generator=generator).cumsum(2) * 0.1
    model = LocalGaussian(lambda: [normals])
    image, unknown = normals[:1], torch.rand(1, 1, 8, 8, generator=generator) < 0.5
    deviations, hidden = (image - model.mean)[0].flatten(1), unknown.flatten()
    a = model.covariance[~hidden][:, ~hidden] + 1e-4 * torch.eye(int((~hidden).sum()))
    expected = model.covariance[hidden][:, ~hidden] @ torch.linalg.solve(
        a, deviations[:, ~hidden].T
    )
    found = (model.inpaint(image, unknown) - model.mean)[0].flatten(1)[:, hidden]
    torch.testing.assert_close(found, expected.T, atol=1e-4, rtol=1e-3)
