"""Schedule, forward process, reverse step, sampling and final map against the official numbers."""

from typing import Any

import pytest
import torch

from adbench.methods.transfusion.process import (
    compose,
    final_map,
    reconstruction_error,
    reverse_timesteps,
    sample,
    step,
    transparency_schedule,
)

TOLERANCE: dict[str, Any] = {"rtol": 1e-5, "atol": 1e-6}


@pytest.mark.parametrize("num_steps", [5, 10, 20, 50])
def test_linear_schedule_is_the_official_one(golden, num_steps):
    schedule = transparency_schedule(num_steps)
    assert schedule.dtype == torch.float32 and schedule.shape == (num_steps,)
    torch.testing.assert_close(schedule, golden("beta")[f"linear_T{num_steps}"], **TOLERANCE)


@pytest.mark.parametrize("kind", ["quadratic", "root"])
@pytest.mark.parametrize("num_steps", [5, 20])
def test_other_schedules_are_our_reading(golden, kind, num_steps):
    expected = golden("beta")[f"specdef_{kind}_T{num_steps}"]
    torch.testing.assert_close(transparency_schedule(num_steps, kind), expected, **TOLERANCE)


def test_too_few_steps_are_refused():
    with pytest.raises(ValueError, match="num_steps=2"):
        transparency_schedule(2)


def test_forward_process_and_step_equal_the_official_ones(golden):
    g, schedule = golden("forward_transition_T20"), transparency_schedule(20)
    beta = schedule[g["t"]]
    for appearance in (g["eps_masked"], g["texture"]):
        x_t = compose(g["x0"], g["mask"], appearance, beta)
        torch.testing.assert_close(x_t, g["xt"], **TOLERANCE)
    scaled = beta[:, None, None, None] * g["eps_masked"]
    back = step(g["xt"], g["mask"], g["x0"], scaled, g["t"], schedule)
    torch.testing.assert_close(back, g["xtm1_from_ground_truth"], **TOLERANCE)
    predicted = step(
        g["xt"],
        g["pred_mask_prob"],
        g["pred_normal"],
        g["pred_anomaly_scaled"],
        g["t"],
        schedule,
    )
    torch.testing.assert_close(predicted, g["xtm1_from_predictions"], **TOLERANCE)


@pytest.mark.parametrize("kind", ["linear", "quadratic", "root"])
def test_a_step_with_the_truth_undoes_one_step_of_the_forward_process(kind):
    generator = torch.Generator().manual_seed(0)
    x0, appearance = (torch.rand(3, 3, 8, 8, generator=generator) * 2 - 1 for _ in range(2))
    mask = (torch.rand(3, 1, 8, 8, generator=generator) > 0.5).float()
    schedule, t = transparency_schedule(20, kind), torch.tensor([1, 7, 19])
    x_t = compose(x0, mask, appearance, schedule[t])
    scaled = schedule[t].view(-1, 1, 1, 1) * mask * appearance
    back = step(x_t, mask, x0, scaled, t, schedule)
    torch.testing.assert_close(back, compose(x0, mask, appearance, schedule[t - 1]), **TOLERANCE)
    one = step(x_t[1:2], mask[1:2], x0[1:2], scaled[1:2], 7, schedule)
    torch.testing.assert_close(one, back[1:2])


def closed_form(images_and_mask, t):
    """The fixture's model (README)."""
    image, mask = images_and_mask[:, :3], images_and_mask[:, 3:]
    tf = (t / 20).view(-1, 1, 1, 1)
    logit = 4 * image.mean(1, keepdim=True) + 0.8 * mask - 0.3 * tf
    return 0.5 * image.tanh() * tf, 0.6 * image.flip(1) + 0.05, logit


def test_sampling_equals_the_official_loop(golden):
    g = golden("closed_loop_T20")
    done = sample(closed_form, g["img"][None], transparency_schedule(20))
    assert list(done.timesteps) == g["t_visited"].tolist()
    torch.testing.assert_close(done.images[:, 0], g["traj_x"], **TOLERANCE)
    torch.testing.assert_close(done.mask_probabilities[:, 0], g["traj_prob"], **TOLERANCE)
    torch.testing.assert_close(done.reconstruction, g["x_end"], **TOLERANCE)
    torch.testing.assert_close(done.m_disc, g["m_disc"], **TOLERANCE)
    torch.testing.assert_close(done.m_recon[0], g["m_recon"], **TOLERANCE)


def test_literal_sampling_starts_at_the_last_trained_timestep():
    seen = []

    def network(x, t):
        seen.append((int(t[0]), float(x[:, 3].sum())))
        return x[:, :3], x[:, :3], torch.full_like(x[:, :1], 9.0)

    done = sample(network, torch.zeros(1, 3, 8, 8), transparency_schedule(5), rule="literal")
    assert [t for t, _ in seen] == [4, 3, 2, 1] == list(done.timesteps)
    assert [mask for _, mask in seen] == [0, 64, 64, 64]  # the found mask guides the next step
    torch.testing.assert_close(done.m_disc, done.mask_probabilities.mean(0)[:, 0])
    assert reverse_timesteps(5) == (3, 2, 1)
    seen.clear()
    sample(network, torch.zeros(1, 3, 8, 8), transparency_schedule(5), guided=False)
    assert [mask for _, mask in seen] == [0, 0, 0]


def test_final_map_equals_the_official_one(golden):
    g = golden("final_mask")
    logits = g["mask_logits_18"]
    masks = iter(logits[:, None, None])

    def network(x, t):  # its steps lead from the input to the recorded reconstruction
        return torch.zeros_like(x[:, :3]), torch.zeros_like(x[:, :3]), next(masks)

    done = sample(network, g["x"][None], transparency_schedule(20))
    assert list(done.timesteps) == g["t_visited"].tolist()
    fed = torch.cat([torch.zeros(1, 40, 40), (logits.sigmoid() > 0.5).float()[:-1]])
    torch.testing.assert_close(fed, g["input_masks_binary_18"])
    m_disc, m_recon = done.m_disc, reconstruction_error(g["x"][None], g["x_rec_last"][None])
    torch.testing.assert_close(m_disc[0], g["m_disc"], **TOLERANCE)
    torch.testing.assert_close(m_recon[0], g["m_recon"], **TOLERANCE)
    for weight, name in ((1.0, "m_disc_smooth"), (0.0, "m_recon_smooth"), (0.95, "m_final")):
        made = final_map(m_disc, m_recon, weight)[0]
        torch.testing.assert_close(made, g[name], **TOLERANCE)
    torch.testing.assert_close(final_map(m_disc, m_recon).max(), g["score"], **TOLERANCE)
    stack = g["stack20_probs"]
    torch.testing.assert_close(stack.mean(0), g["stack20_papermean"], **TOLERANCE)
