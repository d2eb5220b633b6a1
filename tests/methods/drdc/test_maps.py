import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage

from adbench.methods.drdc.scoring import (
    Units,
    enlarged,
    fuse,
    mean_error,
    mean_filter,
    scale_errors,
)


def random(*shape, seed=0):
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def test_error_at_a_scale_is_the_distance_of_averages():
    images, refined = random(2, 3, 16, 16), random(2, 5, 3, 16, 16, seed=1)
    found = scale_errors(images, refined, 4)
    assert found.shape == (2, 5, 4, 4)
    block = images[1, :, 4:8, 8:12].mean((1, 2)) - refined[1, 3, :, 4:8, 8:12].mean((1, 2))
    assert float(found[1, 3, 1, 2]) == pytest.approx(float(block.norm()), rel=1e-5)
    assert torch.equal(scale_errors(images, images[:, None], 2), torch.zeros(2, 1, 8, 8))


def test_sums_in_place_equal_the_mean_of_all_resized_maps():
    images, scales = random(2, 3, 32, 32), (1, 2, 4, 8)
    steps = [random(2, 3, 3, 32, 32, seed=seed) for seed in range(1, 7)]
    maps = [
        enlarged(scale_errors(images, step, scale)[:, grid], 32)
        for step in steps
        for grid in range(3)
        for scale in scales
    ]
    assert len(maps) == 72
    torch.testing.assert_close(
        mean_error(images, iter(steps), scales), torch.stack(maps).mean(0), atol=1e-6, rtol=1e-5
    )


@pytest.mark.parametrize("kernel", [1, 5, 41])
def test_mean_filter_equals_scipys_with_reflected_borders(kernel):
    maps = random(2, 48, 48)
    found = mean_filter(maps, kernel)
    expected = [ndimage.uniform_filter(m, kernel, mode="mirror") for m in maps.double().numpy()]
    np.testing.assert_allclose(found.numpy(), np.stack(expected), atol=1e-5)


def test_fusion_is_eq_19():
    base, diffusion = random(1, 4, 4), random(1, 4, 4, seed=1)
    found = fuse(base, diffusion, 0.9, Units(272, 3))
    torch.testing.assert_close(found, 0.1 * base / 272 + 0.9 * diffusion / 3)
    assert torch.equal(fuse(base, diffusion, 0.0, Units(1, 3)), base)
    assert torch.equal(fuse(base, diffusion, 1.0, Units(7, 1)), diffusion)


@given(st.floats(1e-3, 1e3), st.floats(1e-3, 1e3), st.floats(0, 1))
def test_calibrated_fusion_knows_no_units(a, b, gamma):
    """Maps in other units have means in other units: what is fused stays."""
    base, diffusion = random(1, 6, 6) + 2, random(1, 6, 6, seed=1) + 2
    units = Units(float(base.mean()), float(diffusion.mean()))
    plain = fuse(base, diffusion, gamma, units)
    scaled = fuse(a * base, b * diffusion, gamma, Units(a * units.base, b * units.diffusion))
    torch.testing.assert_close(scaled, plain, rtol=1e-4, atol=1e-6)
    assert float(plain.mean()) == pytest.approx(1, rel=1e-4)
