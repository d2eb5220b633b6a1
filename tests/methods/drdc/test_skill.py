"""Skill of stand-ins for the UNet: what knows the image, what knows nothing, what copies."""

import pytest
import torch
from fits import build, make_context

from adbench.methods.drdc.inpainting import interpolated
from adbench.methods.drdc.process import linear_scheduler
from adbench.methods.drdc.skill import measured_skill

SIDE, COUNT = 32, 16


def images(count, seed):
    """Stripes of a random phase with a little noise, (count, 3, SIDE, SIDE)."""
    generator = torch.Generator().manual_seed(seed)
    phase = 6 * torch.rand(count, 1, 1, 1, generator=generator)
    waves = 0.5 * torch.sin(torch.arange(SIDE) / 3 + phase)
    return waves + 0.05 * torch.randn(count, 3, SIDE, SIDE, generator=generator)


HELD_OUT, NORMALS = images(COUNT, 1), images(32, 2)


def skill(predict, count=COUNT, **options):
    own = build("drdc", prediction_type="sample", mask_channel=True, **options).hyperparameters
    batches = lambda: NORMALS.split(16)  # noqa: E731
    return measured_skill(predict, HELD_OUT[:count], batches, own, make_context())


def knows(inputs, t):
    return HELD_OUT


def knows_nothing(inputs, t):
    return torch.zeros_like(inputs[:, :3])


def interpolates(inputs, t):
    return interpolated(inputs[:, 3:6], inputs[:, 6:] > 0)


def test_a_network_that_knows_the_image_has_all_the_skill_and_the_mean_none():
    best = skill(knows, init="noise_fill")
    assert best.value == pytest.approx(1, abs=1e-4) and best.held_out == COUNT
    nothing = skill(knows_nothing, init="noise_fill")
    assert nothing.value < 0 and nothing.error > 20 * nothing.simple


def test_of_a_noise_filled_image_the_condition_is_all_that_is_known():
    found = skill(interpolates, init="noise_fill")
    assert found.simple < found.error < found.trivial
    assert found.beside["other_condition"] > 2
    assert skill(knows_nothing, init="noise_fill").beside["other_condition"] == pytest.approx(1)
    snr = [a / (1 - a) for a in linear_scheduler().alphas_cumprod[[50, 150, 250]].tolist()]
    by_timestep = found.beside["error_by_timestep"]
    assert by_timestep[0] / by_timestep[2] == pytest.approx(snr[0] / snr[2], rel=1e-3)


def test_a_noised_image_shows_itself_and_the_denoiser_uses_it():
    def denoises(inputs, t):
        abar = linear_scheduler().alphas_cumprod[t][:, None, None, None]
        return inputs[:, :3] / abar.sqrt()

    found = skill(denoises, init="qsample")
    assert found.trivial == 1  # no noise predicted
    assert found.error == pytest.approx(1, abs=0.05)  # the noise is all that it errs by
    assert found.simple < 0.5 and found.beside["other_condition"] == pytest.approx(1)


def test_too_few_normals_say_nothing():
    found = skill(knows, count=15)
    assert found.value is None and "15 normals" in found.reason
