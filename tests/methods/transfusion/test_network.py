"""The network against the official one: size, names, numbers, and its fast paths."""

from typing import Any

import pytest
import torch
from torch.nn import functional as F

from adbench.errors import MethodError
from adbench.methods.group_norm import GroupNorm
from adbench.methods.transfusion.network import (
    Attention,
    TimeEmbedding,
    TransFusionUNet,
    encode_positions,
)
from adbench.methods.transfusion.settings import forward_flops
from adbench.methods.transfusion.weights import load_checkpoint, load_official_state_dict, own_name

TOLERANCE: dict[str, Any] = {"rtol": 1e-5, "atol": 1e-6}
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def network():
    return TransFusionUNet().eval()


def deviation(found, expected):
    """Largest difference relative to the largest value."""
    return float((found - expected).abs().max() / expected.abs().max())


def test_parameters_are_the_official_ones(network, official_parameters):
    own = {name: tuple(p.shape) for name, p in network.named_parameters()}
    assert sum(p.numel() for p in network.parameters()) == 54_559_431
    assert len(own) == len(official_parameters) == 322
    assert own == {own_name(name): shape for name, shape in official_parameters}


def test_formula_weights_give_the_official_outputs(network, official_state, golden):
    g = golden("unet_full_formula_weights")
    load_official_state_dict(network, {f"model.{k}": v for k, v in official_state.items()})
    with torch.inference_mode():
        anomaly, normal, mask_logit = network(g["x"], g["t"])
        embedding = network.time_embedding(g["t"])
        middle, skips = network.encode(network.with_positions(g["x"]), embedding)
        training = network.train()(g["x"], g["t"])[2]
        network.eval()
    for found, name in ((anomaly, "anomaly"), (normal, "normal"), (mask_logit, "mask_logit")):
        assert deviation(found, g[f"{name}_eval"]) < 1e-4
    assert deviation(training, g["mask_logit_train"]) < 1e-4
    assert deviation(skips[0][:, ::8, ::4, ::4], g["proj_sub"]) < 1e-4
    assert deviation(skips[1][:, ::8, ::4, ::4], g["down0_sub"]) < 1e-4
    assert deviation(middle[:, ::8], g["middle_sub"]) < 1e-4
    assert len(skips) == 12


def test_weights_that_do_not_fit_are_named(official_state):
    with pytest.raises(MethodError, match="shape .*width 64"):
        load_official_state_dict(TransFusionUNet(width=32), official_state)
    missing = {k: v for k, v in official_state.items() if k != "final.bias"}
    with pytest.raises(MethodError, match="1 tensors are missing.*anomaly_head.bias"):
        load_official_state_dict(TransFusionUNet(), missing)


def test_a_damaged_checkpoint_is_named(tmp_path):
    file = tmp_path / "carpet_model.pkl"
    file.write_bytes(b"nothing")
    with pytest.raises(MethodError, match="carpet_model.pkl"):
        load_checkpoint(torch.nn.Linear(1, 1), file)
    torch.save([1, 2], file)
    with pytest.raises(MethodError, match="no state dict"):
        load_checkpoint(torch.nn.Linear(1, 1), file)


def test_positions_and_times_are_the_official_ones(golden):
    g = golden("pe_time")
    rows = encode_positions("row", 224, 224, CPU)
    torch.testing.assert_close(rows[0, 0, :, 17], g["pe_224_rows"], **TOLERANCE)
    torch.testing.assert_close(rows[0, 0, ::16, ::16], g["pe_224_sub"], **TOLERANCE)
    small = encode_positions("row", 8, 12, CPU).expand(2, -1, -1, -1)
    torch.testing.assert_close(small, g["pe_8x12"], **TOLERANCE)
    assert not encode_positions("none", 8, 8, CPU).any()
    both = encode_positions("2d", 8, 8, CPU)[0, 0]
    assert not torch.equal(both[:, 1], both[:, 3])
    embedding = TimeEmbedding(256)
    torch.testing.assert_close(embedding.sinusoids(g["t"]), g["time_raw_64"], **TOLERANCE)
    names = ("expand.weight", "expand.bias", "project.weight", "project.bias")
    given = (g[k] for k in ("lin1_w", "lin1_b", "lin2_w", "lin2_b"))
    embedding.load_state_dict(dict(zip(names, given, strict=True)))
    torch.testing.assert_close(embedding(g["t"]), g["time_out_256"], **TOLERANCE)


def test_attention_is_plain_softmax_attention():
    torch.manual_seed(0)
    attention, x = Attention(32), torch.randn(2, 32, 6, 4)
    tokens = x.flatten(2).mT
    query, key, value = attention.projection(tokens).chunk(3, -1)
    weights = torch.softmax(query @ key.mT / 32**0.5, -1)
    plain = (attention.output(weights @ value) + tokens).mT.reshape(x.shape)
    torch.testing.assert_close(attention(x), plain)


@pytest.mark.parametrize("mean", [2, 300])
@pytest.mark.parametrize("silu", [False, True])
def test_group_norm_in_bfloat16_has_the_gradient_of_float32(silu, mean):
    torch.manual_seed(0)
    norm = GroupNorm(8, 32, silu=silu)
    torch.nn.init.normal_(norm.weight), torch.nn.init.normal_(norm.bias)
    x = (3 * torch.randn(4, 32, 16, 16) + mean).bfloat16()
    upstream = torch.randn(x.shape).bfloat16()
    low, full = x.clone().requires_grad_(), x.float().requires_grad_()
    plain = F.group_norm(full, 8, norm.weight, norm.bias)
    plain = F.silu(plain) if silu else plain
    expected = torch.autograd.grad(plain, (full, *norm.parameters()), upstream.float())
    found = torch.autograd.grad(norm(low), (low, *norm.parameters()), upstream)
    for mine, theirs in zip(found, expected, strict=True):
        assert deviation(mine.float(), theirs) < 1e-2


def test_bfloat16_stays_close(official_state, golden, network):
    g = golden("unet_full_formula_weights")
    load_official_state_dict(network, official_state)
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        outputs = network.eval()(g["x"], g["t"])
    for found, name in zip(outputs, ("anomaly", "normal", "mask_logit"), strict=True):
        assert found.dtype == torch.float32
        assert deviation(found, g[f"{name}_eval"]) < 5e-2


@pytest.mark.parametrize(("size", "expected"), [(64, 17.69), (224, 264.62), (256, 366.52)])
def test_cost_estimate_is_the_measured_one(size, expected):
    assert forward_flops(size, 64, 4, 2, 2) / 1e9 == pytest.approx(expected, abs=0.01)
