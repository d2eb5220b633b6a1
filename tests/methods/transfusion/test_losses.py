"""The four terms of the loss and SSIM against the official numbers."""

from typing import Any

import pytest
import torch

from adbench.methods.transfusion.losses import (
    TERMS,
    data_range,
    focal_map,
    gaussian_window,
    ssim,
    ssim_map,
    transfusion_loss,
)
from adbench.methods.transfusion.process import compose, transparency_schedule
from adbench.methods.transfusion.synthesis import SynthesisBatch

TOLERANCE: dict[str, Any] = {"rtol": 1e-5, "atol": 1e-6}
SCALAR: dict[str, Any] = {"rtol": 0, "atol": 1e-5}
PAIRS = (
    ("a", "b", "loss_ab"),
    ("a_pos", "b_pos", "loss_pos"),
    ("a", "b_pos", "loss_pos_first_neg"),
    ("a_pos", "b", "loss_pos_second_neg"),
    ("const_a", "const_b", "loss_const"),
    ("gray_a", "gray_b", "loss_gray"),
)


def test_ssim_equals_the_official_one(golden):
    g = golden("ssim")
    for (first, second, name), span in zip(PAIRS, g["dynamic_range_used"], strict=True):
        torch.testing.assert_close(1 - ssim(g[first], g[second]), g[name], **SCALAR)
        assert data_range(g[first]) == span
    window = gaussian_window()
    torch.testing.assert_close(window[:, None] * window, g["window_2d"], **TOLERANCE)
    # Products of separable filters round otherwise than one 11 x 11 filter.
    torch.testing.assert_close(1 - ssim_map(g["a"], g["b"]), g["map_ab"], rtol=1e-5, atol=3e-6)


def test_fixed_range_is_two():
    first, second = torch.rand(2, 1, 3, 16, 16).unbind()  # never below -0.5
    assert data_range(first) == 1
    assert ssim(first, second, "fixed") > ssim(first, second, "data")


@pytest.fixture
def batch(golden):
    """Outputs and targets of the fixture: two samples with an anomaly, two clean ones."""
    g, schedule = golden("loss_norot"), transparency_schedule(20)
    mask, texture = torch.zeros(4, 1, 32, 32), torch.zeros(4, 3, 32, 32)
    mask[:2], texture[:2] = g["mask_half"], g["texture_half"]
    beta = schedule[g["t"]]
    x_t = compose(g["x0"], mask, mask * texture, beta)
    torch.testing.assert_close(x_t, g["net_input"][:, :3], **TOLERANCE)
    anomaly = mask * texture
    scaled = beta.view(-1, 1, 1, 1) * anomaly
    targets = SynthesisBatch(x_t, 0 * mask, g["t"], g["x0"], mask, anomaly, scaled)
    return (g["pred_anomaly"], g["pred_normal"], g["pred_mask_logit"]), targets, schedule


def test_loss_equals_the_official_one(golden, batch):
    g = golden("loss_norot")
    outputs, targets, schedule = batch
    terms = transfusion_loss(outputs, targets, schedule)
    assert tuple(terms) == TERMS
    for name, term in terms.items():
        torch.testing.assert_close(term, g[f"loss_{name}"], **SCALAR)
    torch.testing.assert_close(sum(terms.values()), g["loss_total"], **SCALAR)
    focal = focal_map(outputs[2], targets.mask)
    torch.testing.assert_close(focal.mean(), g["focal_mean"], **SCALAR)
    torch.testing.assert_close(focal[0, 0], g["focal_map_sample0"], **TOLERANCE)
    torch.testing.assert_close(terms["mask"] - 5 * focal.mean(), g["smooth_l1"], **SCALAR)
    structure = 1 - ssim(outputs[1], targets.normal)
    torch.testing.assert_close(structure, g["ssim_normal"], **SCALAR)
    torch.testing.assert_close(terms["normal"] - structure, g["l1_normal"], **SCALAR)


@pytest.mark.parametrize("name", TERMS)
def test_a_term_can_be_switched_off(batch, name):
    every = transfusion_loss(*batch)
    rest = transfusion_loss(*batch, terms=[term for term in TERMS if term != name])
    torch.testing.assert_close(rest, {term: every[term] for term in TERMS if term != name})


def test_consistency_gives_the_mask_head_no_gradient(batch):
    outputs, targets, schedule = batch
    heads = [output.clone().requires_grad_() for output in outputs]
    terms = transfusion_loss(tuple(heads), targets, schedule, terms=["consistency"])
    terms["consistency"].backward()
    assert heads[0].grad.abs().sum() > 0 and heads[1].grad.abs().sum() > 0
    assert heads[2].grad is None
    outside = (heads[2].sigmoid() <= 0.5).expand(-1, 3, -1, -1)
    assert (heads[1].grad[outside] == 0).all()


def test_autocast_changes_nothing(batch):
    with torch.autocast("cpu", torch.bfloat16):
        low = transfusion_loss(*batch)
    assert low["normal"].dtype == torch.float32
    torch.testing.assert_close(low, transfusion_loss(*batch), rtol=0, atol=0)
