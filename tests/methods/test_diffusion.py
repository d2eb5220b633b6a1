import pytest
import torch

from adbench.methods.diffusion import (
    CLEAN,
    cosine_scheduler,
    ddim_step,
    noise_like,
    timestep_pairs,
)


def denoise(sample, start, num_steps, predict_noise):
    scheduler = cosine_scheduler()
    for timestep, prev_timestep in timestep_pairs(start, num_steps):
        noise = predict_noise(sample, timestep)
        sample = ddim_step(scheduler, noise, timestep, prev_timestep, sample).prev_sample
    return sample


def test_cosine_schedule_has_the_values_of_the_specification():
    abar = cosine_scheduler().alphas_cumprod[[50, 100, 200, 300, 500, 700, 900]]
    expected = torch.tensor([0.9917, 0.9716, 0.8978, 0.7856, 0.4923, 0.2019, 0.0236])
    torch.testing.assert_close(abar, expected, atol=5e-5, rtol=0)


@pytest.mark.parametrize("start", [1, 50, 300, 700, 950])
@pytest.mark.parametrize("num_steps", [1, 7, 10, 50])
def test_true_noise_gives_the_clean_sample_back(start, num_steps):
    generator = torch.Generator().manual_seed(start)
    clean = torch.randn(2, 8, 16, 16, generator=generator)
    noise = torch.randn(clean.shape, generator=generator)
    noisy = cosine_scheduler().add_noise(clean, noise, torch.tensor([start]))
    restored = denoise(noisy, start, min(num_steps, start), lambda sample, timestep: noise)
    torch.testing.assert_close(restored, clean, atol=1e-4, rtol=0)


@pytest.mark.parametrize(("num_steps", "expected"), [(5, 2.29), (10, 2.34), (25, 2.36), (50, 2.37)])
def test_gaussian_data_pulls_an_outlier_towards_its_mean(num_steps, expected):
    """Exact noise of N(1, 0.5^2) from the start value 3: LafitE's eq. 7 as printed gives 3.27 at
    10 steps, the correct division 2.34."""
    scheduler = cosine_scheduler()

    def predict_noise(sample, timestep):
        abar = scheduler.alphas_cumprod[timestep]
        return (1 - abar).sqrt() * (sample - abar.sqrt()) / (abar * 0.25 + 1 - abar)

    noise = torch.randn(200_000, generator=torch.Generator().manual_seed(0))
    noisy = scheduler.add_noise(torch.full_like(noise, 3.0), noise, torch.tensor([300]))
    mean = float(denoise(noisy, 300, num_steps, predict_noise).mean())
    assert mean == pytest.approx(expected, abs=0.008)


def test_timesteps_go_evenly_down_to_the_clean_sample():
    assert timestep_pairs(300, 4) == [(300, 225), (225, 150), (150, 75), (75, CLEAN)]
    assert timestep_pairs(7, 7)[-1] == (1, CLEAN)


def test_eta_one_has_the_variance_of_ddpm():
    scheduler = cosine_scheduler()
    abar, previous = (float(scheduler.alphas_cumprod[t]) for t in (300, 270))
    noise = torch.ones(4)
    zero = torch.zeros(4)
    with_noise = ddim_step(scheduler, zero, 300, 270, zero, eta=1.0, variance_noise=noise)
    expected = ((1 - previous) / (1 - abar) * (1 - abar / previous)) ** 0.5
    torch.testing.assert_close(with_noise.prev_sample, torch.full((4,), expected))
    with pytest.raises(ValueError, match="variance_noise"):
        ddim_step(scheduler, zero, 300, 270, zero, eta=1.0)


def test_noise_of_a_row_depends_on_its_generator_alone():
    def generators(*seeds):
        return [torch.Generator().manual_seed(seed) for seed in seeds]

    sample = torch.zeros(3, 2, 4, 4)
    noise = noise_like(sample, generators(5, 6, 7))
    assert torch.equal(noise_like(sample[:1], generators(6))[0], noise[1])
