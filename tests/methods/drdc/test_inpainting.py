"""Inpainting without a network: what is known stays, and the guess is the best linear one."""

import pytest
import torch

from adbench.methods.drdc.inpainting import GaussianInpainter, cell_sides, interpolated
from adbench.methods.drdc.process import grid_masks
from adbench.methods.gaussian import GaussianModel

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
    return GaussianModel.fit(lambda: normals.split(16))


@pytest.mark.parametrize("cell", [1, 8])
def test_only_unknown_pixels_are_guessed_and_only_from_known_ones(cell, model):
    images, unknown = textures(2, seed=1), masks(2, cell)
    changed = torch.where(unknown, torch.full_like(images, 9.0), images)
    gaussian = GaussianInpainter(model)
    for inpaint in (interpolated, lambda *arguments: gaussian(*arguments).images):
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

    best = error(GaussianInpainter(model)(images, unknown).images)
    assert best < error(interpolated(images, unknown)) < error(model.mean.expand_as(images))


@pytest.mark.parametrize("cell", [4, 8])
def test_the_scale_is_about_how_much_the_guess_errs(cell, model):
    images, unknown = textures(4, seed=1), masks(4, cell)
    guess = GaussianInpainter(model)(images, unknown)
    error = (guess.images - images)[unknown.expand_as(images)].square().mean().sqrt()
    assert 0.4 < float(guess.scale.mean() / error) < 3


def test_the_guess_is_the_conditional_mean():
    """Against the formula, with the covariance written out over all pixels of a small image."""
    generator = torch.Generator().manual_seed(0)
    normals = torch.randn(60, 3, 8, 8, generator=generator).cumsum(2) * 0.1
    model = GaussianModel.fit(lambda: [normals])
    image, unknown = normals[:1], torch.rand(1, 1, 8, 8, generator=generator) < 0.5
    pixels = torch.eye(3 * 64).view(-1, 3, 8, 8)
    covariance = model.images(model.variances * model.coefficients(pixels)).flatten(1)
    hidden = unknown.expand(1, 3, 8, 8).flatten()
    noise = 1e-3 * float(cell_sides(unknown)) * torch.eye(int((~hidden).sum()))
    weights = torch.linalg.solve(
        covariance[~hidden][:, ~hidden] + noise, (image - model.mean).flatten()[~hidden]
    )
    expected = model.mean.flatten()[hidden] + covariance[hidden][:, ~hidden] @ weights
    found = GaussianInpainter(model, 200)(image, unknown).images.flatten()[hidden]
    torch.testing.assert_close(found, expected, atol=2e-3, rtol=0)


@pytest.mark.parametrize("cell", [1, 4, 8])
def test_the_side_of_cells_is_told_from_the_mask(cell):
    assert float(cell_sides(masks(8, cell)).mean()) == pytest.approx(cell, rel=0.3)
