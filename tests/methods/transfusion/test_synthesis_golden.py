"""Synthetic anomalies against numbers made with the official functions (draws given as inputs)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from adbench.methods.transfusion.process import to_unit_range
from adbench.methods.transfusion.synthesis.anomalies import (
    anomaly_mask,
    shuffle_patches,
    simulate_previous_mask,
    to_levels,
)
from adbench.methods.transfusion.synthesis.noise import gradient_noise, turned

DATA = Path(__file__).parents[2] / "data" / "transfusion"


def golden(name: str) -> dict[str, Tensor]:
    with np.load(DATA / f"{name}.npz") as arrays:
        return {key: torch.from_numpy(arrays[key]) for key in arrays.files}


def test_noise_of_three_lattices():
    saved = golden("perlin")
    for k in range(3):
        expected = saved[f"noise_{k}"]
        noise = gradient_noise(saved[f"angles_{k}"][None], saved[f"res_{k}"][None], len(expected))
        torch.testing.assert_close(noise[0], expected, rtol=1e-5, atol=1e-6)


def test_lattices_of_different_size_share_a_batch():
    # Points beyond a sample's own lattice hold other angles, which must not matter.
    saved = golden("perlin")
    angles = torch.full((2, 33, 33), 1.234)
    angles[0, :5, :3] = saved["angles_0"]
    angles[1, :2, :2] = saved["angles_1"]
    noise = gradient_noise(angles, torch.stack([saved["res_0"], saved["res_1"]]), 32)
    expected = torch.stack([saved["noise_0"], saved["noise_1"]])
    torch.testing.assert_close(noise, expected, rtol=1e-5, atol=1e-6)


def test_rotation_to_the_nearest_pixel():
    saved = golden("rotate_nearest")
    images = saved["x"].expand(5, -1, -1, -1)  # every sample has its own angle
    assert torch.equal(turned(images, saved["angles_deg"], "nearest"), saved["y"])


def test_anomaly_mask_and_its_appearance():
    saved = golden("synth_masks")
    foreground = saved["foreground"][None, None] > 0
    mask = anomaly_mask(saved["noise"][None], foreground)
    assert torch.equal(mask[0, 0], saved["mask"])
    assert torch.equal(mask[0] * saved["texture"], saved["anomaly"])


@pytest.mark.parametrize("branch", ["drop", "shrink", "equal", "grow"])
def test_previous_mask(branch: str):
    saved = golden("synth_masks")
    draws = saved[f"{branch}_draws"]
    mask = simulate_previous_mask(
        saved["noise"][None], saved["foreground"][None, None] > 0, draws[:1], draws[-1:]
    )
    assert torch.equal(mask[0, 0], saved[f"{branch}_prev_mask"])


def test_drop_leaves_what_is_below_minus_the_maximum():
    saved = golden("synth_masks")
    noise, everywhere = -saved["noise"][None], torch.ones((1, 1, 64, 64), dtype=torch.bool)
    draw = torch.tensor([0.1])
    mask = simulate_previous_mask(noise, everywhere, draw, draw)
    assert torch.equal(mask[0, 0], saved["neg_noise_drop_prev_mask"])
    assert int(mask.sum()) == 19
    assert not simulate_previous_mask(noise, everywhere, draw, draw, drop="exact").any()


def test_structural_shuffle():
    saved = golden("structure_shuffle")
    levels = shuffle_patches(to_levels(saved["img"][None]), saved["perm"][None])
    torch.testing.assert_close(to_unit_range(levels)[0], saved["out"], rtol=1e-5, atol=1e-6)
