"""The ten augmentations: against Pillow where it has them, by definition where it has not."""

from __future__ import annotations

import colorsys

import numpy as np
import pytest
import torch
from PIL import Image, ImageEnhance, ImageOps
from torch import Tensor

from adbench.methods.transfusion.synthesis import augmentations
from adbench.methods.transfusion.synthesis.augmentations import (
    AUGMENTATIONS,
    SPACES,
    apply_chosen,
    augment,
    edit_lab,
    edit_lightness,
    edit_luma,
    edit_luv,
    edit_value,
)


@pytest.fixture(scope="module")
def picture() -> Image.Image:
    rng = np.random.default_rng(0)
    coarse = Image.fromarray(rng.integers(0, 256, (9, 9, 3), dtype=np.uint8))
    return coarse.resize((64, 64), Image.Resampling.BICUBIC).point(lambda v: v * 0.7 + 20)


def levels_of(image: Image.Image) -> Tensor:
    return torch.from_numpy(np.array(image)).permute(2, 0, 1)[None]


def draws(*values: float) -> Tensor:
    return torch.tensor([[*values, *[0.0] * (4 - len(values))]])


def test_equal_to_pillow(picture):
    levels = levels_of(picture)
    for found, expected in (
        (augmentations.equalize(levels, draws()), ImageOps.equalize(picture)),
        (augmentations.invert(levels, draws()), ImageOps.invert(picture)),
        (augmentations.posterize(levels, draws(2.5 / 8)), ImageOps.posterize(picture, 3)),
        (augmentations.solarize(levels, draws(0.1, 0.5)), ImageOps.solarize(picture, 80)),
        (augmentations.solarize(levels, draws(0.6, 0.5)), picture),
        *(
            (
                augmentations.autocontrast(levels, draws((cutoff + 0.5) / 21)),
                ImageOps.autocontrast(picture, cutoff),
            )
            for cutoff in (0, 1, 7, 10, 20)
        ),
    ):
        assert torch.equal(found, levels_of(expected))


@pytest.mark.parametrize("factor", [0.0, 0.4, 1.0, 1.9])
def test_sharpness_is_pillows(picture, factor):
    found = augmentations.sharpness(levels_of(picture), draws(factor / 2)).int()
    expected = levels_of(ImageEnhance.Sharpness(picture).enhance(factor)).int()
    assert (found - expected).abs().max() <= 1  # the blend is rounded in another order


def test_flat_images_survive_their_histograms():
    levels = torch.full((2, 3, 16, 16), 77, dtype=torch.uint8)
    assert torch.equal(augmentations.equalize(levels, draws().expand(2, -1)), levels)
    assert torch.equal(augmentations.autocontrast(levels, draws(0.9).expand(2, -1)), levels)


def test_gamma_is_per_channel():
    levels = torch.full((1, 3, 4, 4), 128, dtype=torch.uint8)
    found = augmentations.gamma_contrast(levels, draws(0.0, 1 / 3, 0.999999))
    expected = [round(255 * (128 / 255) ** gamma) for gamma in (0.5, 1.0, 2.0)]
    assert found[0, :, 0, 0].tolist() == expected


def test_hue_and_saturation_as_colorsys(picture):
    # 60 of 101 integers from -50 on: 60.5 / 101 draws +10, 20.5 / 101 draws -30.
    found = augmentations.hue_and_saturation(levels_of(picture), draws(60.5 / 101, 20.5 / 101))
    pixels = np.array(picture) / 255
    for y, x in ((0, 0), (10, 50), (33, 7), (63, 63)):
        hue, saturation, value = colorsys.rgb_to_hsv(*pixels[y, x])
        moved = colorsys.hsv_to_rgb((hue + 10 / 255) % 1, max(saturation - 30 / 255, 0), value)
        assert np.abs(found[0, :, y, x].numpy() - np.array(moved) * 255).max() <= 0.51


@pytest.mark.parametrize("edit_space", SPACES)
def test_an_edit_that_changes_nothing(picture, edit_space):
    rgb = levels_of(picture).float() / 255
    rgb[..., :2, :] = 0.0  # black and white must stay too
    rgb[..., 2:4, :] = 1.0
    torch.testing.assert_close(edit_space(rgb, lambda channel: channel), rgb, atol=2e-3, rtol=0)


def test_brightness_channels_have_their_known_values():
    red = torch.tensor([1.0, 0.0, 0.0]).view(1, 3, 1, 1)
    seen = {}
    for edit_space in (edit_luma, edit_value, edit_lightness, edit_lab, edit_luv):

        def note(channel: Tensor, name: str = edit_space.__name__) -> Tensor:
            seen[name] = float(channel)
            return channel

        edit_space(red, note)
    known = {"luma": 0.299, "value": 1.0, "lightness": 0.5, "lab": 0.5324, "luv": 0.5324}
    assert seen == pytest.approx({f"edit_{name}": v for name, v in known.items()}, abs=1e-3)


def test_brightness_keeps_hue_in_hsv_and_hls():
    rgb = torch.tensor([0.6, 0.3, 0.2]).view(1, 3, 1, 1)
    value = edit_value(rgb, lambda v: 0.8 * v).flatten().tolist()
    assert colorsys.rgb_to_hsv(*value) == pytest.approx(
        (*colorsys.rgb_to_hsv(0.6, 0.3, 0.2)[:2], 0.48)
    )
    lightness = edit_lightness(rgb, lambda v: v + 0.3).flatten().tolist()
    hue, _, saturation = colorsys.rgb_to_hls(0.6, 0.3, 0.2)
    assert colorsys.rgb_to_hls(*lightness) == pytest.approx((hue, 0.7, saturation), abs=1e-5)


def test_brightness_edits_in_the_drawn_order():
    levels = torch.full((1, 3, 4, 4), 100, dtype=torch.uint8)
    # Y of YCrCb: factor 1.2, +30; adding first gives (100 + 30) * 1.2.
    up, down, luma = 0.9999999, 0.99, 0.0
    add_first = augmentations.brightness(levels, draws(up, down, 0.1, luma))
    multiply_first = augmentations.brightness(levels, draws(up, down, 0.9, luma))
    assert add_first[0, 0, 0, 0] == 156 and multiply_first[0, 0, 0, 0] == 150


def test_rotate_leaves_black_corners():
    levels = torch.full((1, 3, 32, 32), 200, dtype=torch.uint8)
    found = augmentations.rotate(levels, draws(0.0))  # -45 degrees
    assert not found[0, :, 0, 0].any() and (found[0, :, 16, 16] == 200).all()


def test_three_different_operations_each_equally_often(monkeypatch):
    used: list[tuple[int, int]] = []

    def recorder(number):
        def record(levels, draws):
            used.extend((int(label), number) for label in levels[:, 0, 0, 0])
            return levels

        return record

    recorders = tuple(recorder(number) for number in range(len(AUGMENTATIONS)))
    monkeypatch.setattr(augmentations, "AUGMENTATIONS", recorders)
    labels = torch.arange(200, dtype=torch.uint8)[:, None, None, None].expand(-1, 3, 1, 1)
    augment(labels, torch.Generator().manual_seed(0))
    assert len(used) == len(set(used)) == 3 * 200  # three a sample, none twice
    counts = np.bincount([number for _, number in used], minlength=10)
    assert counts.min() > 35 and counts.max() < 90


def test_parameters_cover_their_ranges():
    generator = torch.Generator().manual_seed(0)
    count = 400
    levels = torch.full((count, 3, 2, 2), 255, dtype=torch.uint8)
    draws = torch.rand((count, 4), generator=generator)
    kept = augmentations.posterize(levels, draws)[:, 0, 0, 0].tolist()
    assert set(kept) == {256 - 2 ** (8 - bits) for bits in range(1, 9)}
    inverted = augmentations.solarize(levels, draws)[:, 0, 0, 0] == 0
    assert 0.4 < inverted.float().mean() < 0.6


def test_every_sample_gets_its_own_function():
    levels = torch.zeros((4, 3, 2, 2), dtype=torch.uint8)
    functions = [lambda part, _, k=k: part + k for k in (10, 20, 30)]
    chosen = torch.tensor([2, 0, 2, 1])
    found = apply_chosen(levels, chosen, functions, torch.zeros(4, 1))
    assert found[:, 0, 0, 0].tolist() == [30, 10, 30, 20]


@pytest.mark.parametrize("augmentation", AUGMENTATIONS)
def test_a_sample_does_not_see_its_neighbours(augmentation):
    generator = torch.Generator().manual_seed(1)
    levels = torch.randint(0, 256, (3, 3, 24, 24), generator=generator, dtype=torch.uint8)
    draws = torch.rand((3, 4), generator=generator)
    together = augmentation(levels, draws)
    alone = torch.cat([augmentation(levels[i : i + 1], draws[i : i + 1]) for i in range(3)])
    assert together.dtype == torch.uint8 and together.shape == levels.shape
    assert (together.int() - alone.int()).abs().max() <= 1
