import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter

from adbench.methods.scoring import gaussian_blur, pooled_maximum, upsample


@pytest.mark.parametrize(("side", "sigma"), [(224, 4.0), (64, 1.0), (20, 6.5), (32, 0.0)])
def test_blur_is_scipys(side, sigma):
    maps = np.random.default_rng(0).random((3, side, side), dtype=np.float32)
    expected = [gaussian_filter(image, sigma) for image in maps]
    np.testing.assert_allclose(gaussian_blur(torch.from_numpy(maps), sigma), expected, atol=2e-6)


def test_upsampling_keeps_the_corners():
    errors = torch.rand(2, 8, 8)
    maps = upsample(errors, 57)
    assert maps.shape == (2, 57, 57)
    torch.testing.assert_close(maps[:, ::8, ::8], errors)


def test_pooled_maximum_averages_windows_without_padding():
    maps = torch.zeros(2, 10, 10)
    maps[0, 4:8, 2:6] = 3.0
    maps[1, 0, 0] = 16.0
    assert pooled_maximum(maps, 4).tolist() == [3.0, 1.0]
