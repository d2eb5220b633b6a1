"""The UNet's size, cost and attention (spec section 4), on the meta device: nothing is computed."""

import pytest
import torch
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from adbench.methods.drdc.method import unet_flops
from adbench.methods.drdc.network import Attention, ConditionalUNet, ResidualBlock
from adbench.methods.group_norm import SMALL, SmallMapGroupNorm

PLAIN = {"multipliers": (1, 1, 2, 2, 4, 4), "attention_factors": (8, 16, 32)}
SMALL_LAYOUT = {"multipliers": (1, 1, 2, 3, 4), "attention_factors": (4, 8, 16)}
TABLE = [
    # size, base width, condition, layout, blocks, million parameters, GFLOP a forward pass
    (224, 256, True, PLAIN, 2, 552.8, 1712.6),
    (224, 128, True, PLAIN, 2, 138.3, 430.5),
    (112, 64, True, SMALL_LAYOUT, 2, 26.3, 30.6),
    # ADM at 256 pixels: (table 3 of arXiv:2105.05233) and 1120 GMAC
    (256, 256, False, PLAIN, 2, 552.8, 2240),
    (64, 32, True, {"multipliers": (1, 2, 3), "attention_factors": (2,)}, 3, None, None),
]


def on_meta(*arguments, **options):
    with torch.device("meta"):
        return ConditionalUNet(*arguments, **options)


def flops(network, size, channels=6):
    inputs = torch.empty(1, channels, size, size, device="meta")
    with FlopCounterMode(display=False) as counter:
        network(inputs, torch.zeros(1, device="meta"))
    return counter.get_total_flops()


def count(network):
    return sum(parameter.numel() for parameter in network.parameters())


@pytest.mark.parametrize(
    ("size", "width", "condition", "layout", "blocks", "parameters", "gflop"), TABLE
)
def test_sizes_and_costs_are_those_of_the_table(
    size, width, condition, layout, blocks, parameters, gflop
):
    channels = 3 + 3 * condition
    network = on_meta(channels, width, blocks=blocks, **layout)
    counted = flops(network, size, channels)
    estimate = unet_flops(size, channels, width, **layout, blocks=blocks)
    assert counted == pytest.approx(estimate, rel=0.01)
    if parameters is not None:
        assert count(network) / 1e6 == pytest.approx(parameters, abs=0.05)
        assert counted / 1e9 == pytest.approx(gflop, rel=0.01)


def test_attention_is_where_the_factors_say_at_224_pixels():
    """guided-diffusion's rule, 224 // 32 and so on, would leave only the middle's."""
    sides = set()
    network = on_meta(base_width=32)
    found = [module for module in network.modules() if isinstance(module, Attention)]
    for module in found:
        module.register_forward_pre_hook(lambda _, inputs: sides.add(inputs[0].shape[-1]))
    flops(network, 224)
    assert sides == {28, 14, 7}
    assert len(found) == 3 * (2 + 3) + 1


def test_it_starts_by_predicting_nothing_and_its_blocks_by_changing_nothing():
    torch.manual_seed(0)
    network = ConditionalUNet(6, 32, (1, 2), (2,), 1)
    inputs, t = torch.randn(2, 6, 16, 16), torch.tensor([3, 500])
    assert torch.equal(network(inputs, t), torch.zeros(2, 3, 16, 16))
    x, embedding = torch.randn(2, 32, 8, 8), torch.randn(2, 128)
    assert torch.equal(ResidualBlock(32, 32, 128)(x, embedding), x)
    assert torch.equal(ResidualBlock(32, 32, 128, "down")(x, embedding), F.avg_pool2d(x, 2))
    assert torch.equal(Attention(32)(x), x)


def test_timestep_condition_and_image_all_reach_the_output():
    torch.manual_seed(0)
    network = ConditionalUNet(6, 32, (1, 2), (2,), 1)
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.05)
    x, condition = torch.randn(1, 3, 16, 16), torch.randn(1, 3, 16, 16)

    def predict(x, condition, t):
        return network(torch.cat([x, condition], 1), torch.tensor([t]))

    first = predict(x, condition, 50)
    for other in (
        predict(x, condition, 250),
        predict(x, condition.flip(3), 50),
        predict(x.flip(3), condition, 50),
    ):
        assert (other - first).abs().max() > 1e-3


@pytest.mark.parametrize("side", [7, 28, 40])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_group_norm_has_torchs_values_and_gradients(side, dtype):
    torch.manual_seed(side)
    ours, theirs = SmallMapGroupNorm(32, 64), torch.nn.GroupNorm(32, 64)
    x = torch.randn(2, 64, side, side) * 2 + 1
    made, expected = (x.to(dtype).requires_grad_() for _ in range(2))
    channels_last = made.contiguous(memory_format=torch.channels_last)
    found, wanted = ours(channels_last), theirs(expected)
    tolerance = 1e-5 if dtype == torch.float32 else 0.05
    torch.testing.assert_close(found, wanted, atol=tolerance, rtol=0)
    weights = torch.linspace(-1, 1, side).to(dtype)
    (found * weights).sum().backward()
    (wanted * weights).sum().backward()
    torch.testing.assert_close(made.grad, expected.grad, atol=tolerance, rtol=0)
    assert found.is_contiguous(memory_format=torch.channels_last)
    assert SMALL == 32 * 32


def test_attention_equals_the_plain_formula():
    torch.manual_seed(0)
    attention = Attention(128)
    torch.nn.init.normal_(attention.output.weight, std=0.1)
    assert attention.heads == 2 and Attention(96).heads == 3
    x = torch.randn(2, 128, 5, 4)
    tokens = attention.norm(x).flatten(2).mT
    query, key, value = attention.projection(tokens).split(128, -1)
    mixed = []
    for head in (slice(0, 64), slice(64, 128)):
        weights = (query[..., head] @ key[..., head].mT / 8).softmax(-1)
        mixed.append(weights @ value[..., head])
    expected = x + attention.output(torch.cat(mixed, -1)).mT.reshape(x.shape)
    torch.testing.assert_close(attention(x), expected, atol=1e-5, rtol=1e-5)
