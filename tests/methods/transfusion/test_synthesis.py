"""Batches of synthetic anomalies: ranges, shares and independence of what must not matter."""

from __future__ import annotations

from dataclasses import fields

import pytest
import torch
from torch import Tensor

from adbench.methods.transfusion.process import step, transparency_schedule
from adbench.methods.transfusion.synthesis import (
    ProceduralTextures,
    SynthesisBatch,
    TextureBank,
    synthesise,
)
from adbench.methods.transfusion.synthesis.anomalies import (
    anomaly_mask,
    random_appearance,
    simulate_previous_mask,
)
from adbench.methods.transfusion.synthesis.noise import random_noise, turned

SIZE = 64
SCHEDULE = transparency_schedule(20)
CPU = torch.device("cpu")


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def smooth_images(count: int, size: int = SIZE) -> Tensor:
    ramp = torch.linspace(-0.9, 0.9, size)
    image = torch.stack(
        [
            ramp[:, None] + 0 * ramp,
            ramp[None, :] + 0 * ramp[:, None],
            0.3 + 0 * ramp[:, None] * ramp,
        ]
    )
    return image.expand(count, -1, -1, -1).clone()


@pytest.fixture(scope="module")
def bank() -> ProceduralTextures:
    return ProceduralTextures(SIZE, count=24)


def make(count: int, bank: ProceduralTextures, seed: int = 0, **options) -> SynthesisBatch:
    everywhere = torch.ones((count, 1, SIZE, SIZE), dtype=torch.bool)
    images = smooth_images(count)
    return synthesise(images, everywhere, bank, SCHEDULE, seeded(seed), **options)


def test_anomalies_of_grey_images_are_grey_where_asked_for(bank):
    mixed = smooth_images(8)
    mixed[::2] = mixed[::2].mean(1, keepdim=True)
    everywhere = torch.ones((8, 1, SIZE, SIZE), dtype=torch.bool)
    as_is, matched = (
        synthesise(mixed, everywhere, bank, SCHEDULE, seeded(), match_grey=match)
        for match in (False, True)
    )
    coloured = (matched.anomaly != matched.anomaly[:, :1]).flatten(1).any(1)
    assert not coloured[::2].any() and coloured[1]
    assert (as_is.anomaly[::2] != as_is.anomaly[::2, :1]).any()
    assert torch.equal(matched.mask, as_is.mask)
    assert torch.equal(matched.anomaly[1::2], as_is.anomaly[1::2])


def test_shapes_types_and_ranges(bank):
    batch = make(8, bank)
    for name, channels in (
        ("x_t", 3), ("previous_mask", 1), ("normal", 3), ("mask", 1), ("anomaly", 3),
        ("anomaly_scaled", 3), ("network_input", 4),
    ):  # fmt: skip
        value = getattr(batch, name)
        assert value.shape == (8, channels, SIZE, SIZE), name
        assert value.dtype == torch.float32
        assert value.min() >= -1 and value.max() <= 1
        assert not value.requires_grad
    assert batch.t.shape == (8,) and batch.t.dtype == torch.int64
    assert set(batch.mask.unique().tolist()) <= {0.0, 1.0}
    assert set(batch.previous_mask.unique().tolist()) <= {0.0, 1.0}


@pytest.mark.parametrize(("count", "anomalous"), [(1, 1), (2, 1), (5, 2), (8, 4)])
def test_first_half_is_anomalous_and_the_rest_normal(bank, count, anomalous):
    batches = [make(count, bank, seed) for seed in range(12)]
    ever = torch.stack([batch.mask.flatten(1).any(1) for batch in batches]).any(0)
    assert ever.tolist() == [True] * anomalous + [False] * (count - anomalous)
    for batch in batches:
        rest = slice(anomalous, None)
        assert torch.equal(batch.x_t[rest], batch.normal[rest])
        assert not batch.anomaly[rest].any() and not batch.previous_mask[rest].any()


def test_composition_and_its_reverse_step(bank):
    # eq. 2, and eq. 4 fed with the truth: from beta_t to the composition at t - 1.
    batch = make(16, bank, 3)
    beta = SCHEDULE[batch.t][:, None, None, None]
    assert torch.equal(batch.anomaly, batch.mask * batch.anomaly)
    torch.testing.assert_close(batch.anomaly_scaled, beta * batch.anomaly)
    inside = (1 - beta) * batch.normal + beta * batch.anomaly
    expected = torch.where(batch.mask > 0, inside, batch.normal)
    torch.testing.assert_close(batch.x_t, expected)
    before = SCHEDULE[batch.t - 1][:, None, None, None]
    earlier = torch.where(
        batch.mask > 0, (1 - before) * batch.normal + before * batch.anomaly, batch.normal
    )
    found = step(batch.x_t, batch.mask, batch.normal, batch.anomaly_scaled, batch.t, SCHEDULE)
    torch.testing.assert_close(found, earlier, atol=1e-6, rtol=1e-5)


def test_steps_are_uniform_and_never_zero(bank):
    t = torch.cat([make(64, bank, seed).t for seed in range(16)])
    counts = torch.bincount(t, minlength=20)
    assert counts[0] == 0
    assert counts[1:].min() > 0.4 * len(t) / 19


def test_no_previous_mask_at_the_last_step_or_on_request(bank):
    batch = make(128, bank, 1)
    last = batch.t == 19
    assert last[:64].any()
    assert not batch.previous_mask[last].any()
    assert batch.previous_mask[~last].any()
    without = make(128, bank, 1, previous_mask="none")
    assert not without.previous_mask.any()
    assert torch.equal(without.x_t, batch.x_t)  # the option changes nothing else


def test_about_three_in_ten_are_rotated_all_tensors_alike(bank):
    still = make(128, bank, 2, rotation_probability=0.0)
    turned = make(128, bank, 2)
    images = smooth_images(128)
    assert torch.equal(still.normal, images)
    moved = (turned.normal != images).flatten(1).any(1)
    assert 0.15 < moved.float().mean() < 0.45
    same = ~moved
    for field in fields(SynthesisBatch):
        assert torch.equal(getattr(turned, field.name)[same], getattr(still, field.name)[same])
    outside = (turned.normal == 0).all(1, keepdim=True)
    assert outside.any()
    assert not (turned.x_t * outside).any() and not (turned.mask * outside).any()


def test_foreground_bounds_both_masks(bank):
    foreground = torch.zeros((16, 1, SIZE, SIZE), dtype=torch.bool)
    foreground[..., : SIZE // 2] = True
    batch = synthesise(
        smooth_images(16), foreground, bank, SCHEDULE, seeded(), rotation_probability=0.0
    )
    assert batch.mask.any() and batch.previous_mask.any()
    assert not batch.mask[~foreground].any() and not batch.previous_mask[~foreground].any()


def test_same_generator_same_batch_and_nothing_global(bank):
    torch.manual_seed(1)
    first = make(8, bank, 7)
    state = torch.get_rng_state()
    second = make(8, bank, 7)
    assert torch.equal(state, torch.get_rng_state())
    other = make(8, bank, 8)
    for field in fields(SynthesisBatch):
        assert torch.equal(getattr(first, field.name), getattr(second, field.name))
    assert not torch.equal(first.x_t, other.x_t)


def test_autocast_changes_nothing(bank):
    plain = make(8, bank, 5)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        cast = make(8, bank, 5)
    assert torch.equal(plain.x_t, cast.x_t)
    assert cast.x_t.dtype == torch.float32


def test_mask_statistics():
    # The specification's figures (5.1): empty 1.5 %, area 9.6 % mean and 9.4 % median.
    noise = random_noise(1500, 128, CPU, seeded())
    area = (noise.abs() > 0.5).float().mean((1, 2))
    assert 0.005 < (area == 0).float().mean() < 0.03
    assert abs(area.mean() - 0.096) < 0.01
    assert abs(area.median() - 0.094) < 0.01
    both = (noise > 0.5).any(2).any(1) & (noise < -0.5).any(2).any(1)
    assert both.float().mean() > 0.8  # lobes of either sign


def test_previous_mask_statistics():
    # Section 5.4: of non-empty masks, "drop" empties 51 %, "shrink" 42 %, "grow" is 3.8 x M.
    noise = random_noise(800, 128, CPU, seeded(1))
    everywhere = torch.ones((len(noise), 1, 128, 128), dtype=torch.bool)
    area = anomaly_mask(noise, everywhere).mean((1, 2, 3))
    found = {}
    for name, branch in (("drop", 0.1), ("shrink", 0.3), ("keep", 0.6), ("grow", 0.9)):
        amount = torch.rand(len(noise), generator=seeded(2))
        chosen = torch.full_like(amount, branch)
        mask = simulate_previous_mask(noise, everywhere, chosen, amount).mean((1, 2, 3))
        found[name] = (mask / area)[area > 0]
    assert abs((found["drop"] == 0).float().mean() - 0.51) < 0.06
    assert abs((found["shrink"] == 0).float().mean() - 0.42) < 0.08
    assert (found["shrink"] <= 1).all()
    assert (found["keep"] == 1).all()
    assert (found["grow"] >= 1).all()
    assert abs(found["grow"].median() - 3.8) < 0.7


def test_half_of_the_appearances_are_textures():
    class White(TextureBank):
        name = "white"

        def _make(self, number: int) -> Tensor:
            drawn.append(number)
            return torch.full((3, 16, 16), 255, dtype=torch.uint8)

    drawn: list[int] = []
    textures = White(3, 16, max_bytes=0)  # keeps nothing: each is made at every use
    appearance = random_appearance(-torch.ones(2000, 3, 16, 16), textures, seeded())
    assert appearance.shape == (2000, 3, 16, 16)
    assert set(drawn) == {0, 1, 2} and abs(len(drawn) / 2000 - 0.5) < 0.05


def test_small_rotations():
    image = torch.zeros((2, 1, 5, 5))
    image[:, :, 2, 4] = 1  # right of the centre
    for mode in ("bilinear", "nearest"):
        found = turned(image, torch.tensor([90.0, 0.0]), mode)
        assert found[0, 0, 0, 2] == pytest.approx(1, abs=1e-5)  # counter-clockwise: on top
        assert torch.equal(found[1].round(decimals=5), image[1])


@pytest.mark.parametrize(
    ("images", "foreground", "size", "message"),
    [
        ((2, 3, 60, 60), (2, 1, 60, 60), 60, "multiple of 8"),
        ((2, 3, 64, 32), (2, 1, 64, 32), 64, "expected"),
        ((2, 3, 64, 64), (2, 64, 64), 64, "foreground"),
        ((2, 3, 64, 64), (2, 1, 64, 64), 32, "textures of size 32"),
    ],
)
def test_wrong_shapes_are_refused(images, foreground, size, message):
    masks = torch.ones(foreground, dtype=torch.bool)
    textures = ProceduralTextures(size, count=6)
    with pytest.raises(ValueError, match=message):
        synthesise(torch.zeros(images), masks, textures, SCHEDULE, seeded())
