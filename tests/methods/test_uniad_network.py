import math

import pytest
import torch
from torch import nn

from adbench.methods.reconstruction import network as attention
from adbench.methods.reconstruction.network import (
    Attention,
    DecoderLayer,
    Dropout,
    EncoderLayer,
    FeatureTransformer,
    PositionTable,
    neighbour_mask,
)
from adbench.methods.training import autocast


def small(**options):
    settings = {"channels": 10, "feature_size": 8, "hidden": 16, "heads": 2, "ffn": 24, "layers": 2}
    torch.manual_seed(0)
    return FeatureTransformer(**{**settings, **options})


def as_torch(own, hidden, heads):
    """torch's attention with the same weights."""
    other = nn.MultiheadAttention(hidden, heads, batch_first=True)
    inputs = [own.to_query, own.to_key, own.to_value]
    with torch.no_grad():
        other.in_proj_weight.copy_(torch.cat([linear.weight for linear in inputs]))
        other.in_proj_bias.copy_(torch.cat([linear.bias for linear in inputs]))
    other.out_proj.load_state_dict(own.leave.state_dict())
    return other


# -------------------------------------------------------------------------------- whole network


def test_parameter_count_is_the_papers():
    network = FeatureTransformer(272)
    count = sum(parameter.numel() for parameter in network.parameters())
    attention_count = 4 * (256 * 256 + 256)
    feed_forward = 2 * 256 * 1024 + 1024 + 256
    encoder = attention_count + feed_forward + 2 * 512
    decoder = 2 * attention_count + feed_forward + 3 * 512 + 196 * 256
    ends = 272 * 256 + 256 + 256 * 272 + 272
    assert count == 4 * (encoder + decoder) + 512 + 2 * 14 * 128 + ends == 7_717_392
    assert f"{count / 1e6:.2f}" == "7.72"
    assert all(parameter.requires_grad for parameter in network.parameters())


def test_linear_maps_start_by_xaviers_law_with_zero_biases():
    network = FeatureTransformer(272)
    for name, parameter in network.named_parameters():
        if name.endswith("bias"):
            assert (parameter == 0).all(), name
    bounds = {
        "enter": math.sqrt(6 / (272 + 256)),
        "encoder.3.feed_forward.widen": math.sqrt(6 / (256 + 1024)),
        "decoder.1.memory_attention.leave": math.sqrt(6 / 512),
        "decoder.0.output_attention.to_key": math.sqrt(6 / (256 + 768)),  # torch's packed matrix
    }
    for name, bound in bounds.items():
        weight = network.get_parameter(f"{name}.weight").detach()
        assert 0.97 * bound < weight.abs().max() <= bound
        assert float(weight.std()) == pytest.approx(bound / math.sqrt(3), rel=0.02)
    query = network.get_parameter("decoder.2.query").detach()
    assert float(query.mean()) == pytest.approx(0, abs=0.02)
    assert float(query.std()) == pytest.approx(1, rel=0.02)


def test_every_parameter_is_used():
    network = small()
    network(torch.randn(2, 8, 8, 10)).square().mean().backward()
    for name, parameter in network.named_parameters():
        # A constant added to every key moves all logits of a query alike.
        if not name.endswith("to_key.bias"):
            assert parameter.grad.abs().max() > 0, name


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_output_is_float32_under_autocast_too(precision):
    network, features = small().eval(), torch.randn(2, 8, 8, 10)
    with torch.inference_mode(), autocast("cpu", precision):
        restored = network(features)
    assert restored.dtype == torch.float32
    torch.testing.assert_close(restored, network(features), rtol=0.05, atol=0.05)


def test_standardised_network_starts_at_the_mean_and_works_in_deviations():
    plain, own = small().eval(), small(standardise=True).eval()
    mean, deviation = torch.randn(8, 8, 10), torch.rand(10) + 0.5
    own.set_moments(mean, deviation)
    features = torch.randn(2, 8, 8, 10)
    torch.testing.assert_close(own(features), mean.expand(2, -1, -1, -1))
    own.load_state_dict(plain.state_dict(), strict=False)
    expected = mean + deviation * plain((features - mean) / deviation)
    torch.testing.assert_close(own(features), expected)


def test_local_start_reads_the_token_that_asks():
    """Of the attention at the start: from where does a decoder layer take what it reads?"""

    def own_share(network):
        layer, positions = network.decoder[0].memory_attention, network.positions()
        tokens = torch.zeros(1, 64, 32)
        query = layer._split(layer.to_query(network.decoder[0].query + positions))
        key = layer._split(layer.to_key(tokens + positions))
        weights = (query @ key.mT * key.shape[3] ** -0.5).softmax(-1)
        return float(weights.diagonal(dim1=2, dim2=3).mean())

    with torch.no_grad():
        random, local = (
            own_share(small(hidden=32, local_start=value, neighbour_window=0).eval())
            for value in (False, True)
        )
    assert random < 2 / 64 and local > 4 / 64


# --------------------------------------------------------------------------------------- layers


def test_encoder_layer_is_torchs_post_norm_layer():
    layer = EncoderLayer(16, 2, 24, 0.0)
    reference = nn.TransformerEncoderLayer(16, 2, 24, 0.0, batch_first=True)
    reference.self_attn = as_torch(layer.attention, 16, 2)
    reference.linear1, reference.linear2 = layer.feed_forward.widen, layer.feed_forward.narrow
    tokens, mask = torch.randn(3, 64, 16), neighbour_mask(8, 5)
    expected = reference(tokens, src_mask=mask)
    torch.testing.assert_close(layer(tokens, torch.zeros(64, 16), mask), expected)


def test_decoder_layer_asks_the_memory_first_and_then_the_last_output():
    layer = DecoderLayer(8, 16, 2, 24, 0.0).eval()
    output, memory, positions = torch.randn(3, 64, 16), torch.randn(3, 64, 16), torch.rand(64, 16)
    mask = neighbour_mask(8, 5)
    first = as_torch(layer.memory_attention, 16, 2)
    second = as_torch(layer.output_attention, 16, 2)
    query = layer.query.expand(3, -1, -1)
    read, _ = first(query + positions, memory + positions, memory, attn_mask=mask)
    tokens = nn.functional.layer_norm(query + read, (16,))
    read, _ = second(tokens + positions, output + positions, output, attn_mask=mask)
    tokens = nn.functional.layer_norm(tokens + read, (16,))
    forward = layer.feed_forward
    inner = forward.narrow(forward.widen(tokens).relu())
    expected = nn.functional.layer_norm(tokens + inner, (16,))
    torch.testing.assert_close(layer(output, memory, positions, mask), expected)


def test_positions_hold_the_column_first_and_start_in_the_unit_interval():
    table = PositionTable(5, 12)
    positions = table().view(5, 5, 12)
    for row in range(5):
        for column in range(5):
            expected = torch.cat([table.column[column], table.row[row]])
            assert torch.equal(positions[row, column], expected)
    with torch.no_grad():
        values = PositionTable(14, 256)()
    assert 0 <= values.min() < 0.01 and 0.99 < values.max() < 1


# ------------------------------------------------------------------------------ mask, attention


def test_mask_hides_the_papers_share_of_the_pairs():
    mask = neighbour_mask(14, 7)
    hidden = mask.isneginf()
    assert hidden.float().mean() == pytest.approx(0.193, abs=5e-4)
    assert hidden.sum() == 86**2  # of an axis: 4 + 5 + 6 + 8 x 7 + 6 + 5 + 4
    assert (mask[~hidden] == 0).all() and hidden.diagonal().all()
    assert not hidden.all(1).any()  # else its soft-max would be NaN


@pytest.mark.parametrize(("size", "window"), [(8, 7), (8, 3), (9, 1), (14, 7)])
def test_mask_is_the_clipped_window(size, window):
    hidden = neighbour_mask(size, window).isneginf().view(size, size, size, size)
    for row, column in [(0, 0), (0, size // 2), (size // 2, size // 2), (size - 1, size - 2)]:
        expected = torch.zeros(size, size, dtype=torch.bool)
        reach = window // 2
        rows = slice(max(row - reach, 0), row + reach + 1)
        expected[rows, max(column - reach, 0) : column + reach + 1] = True
        assert torch.equal(hidden[row, column], expected)


def test_no_window_no_mask():
    network = small(neighbour_window=0).eval()
    assert network.mask is None
    features = torch.randn(1, 8, 8, 10, requires_grad=True)
    (gradient,) = torch.autograd.grad(network(features)[0, 4, 4].sum(), features)
    assert (gradient.abs().sum(3) > 0).all()


@pytest.mark.parametrize("training", [False, True])
def test_attention_is_torchs(training, monkeypatch):
    layer = Attention(16, 4, 0.0).train(training)
    queries, tokens = torch.randn(1, 64, 16), torch.randn(3, 64, 16)
    positions, mask = torch.rand(64, 16), neighbour_mask(8, 3)
    asked = (queries + positions).expand(3, -1, -1)
    keys = tokens + positions
    expected, _ = as_torch(layer, 16, 4)(asked, keys, tokens, attn_mask=mask)
    torch.testing.assert_close(layer(queries, tokens, positions, mask), expected)
    monkeypatch.setattr(attention, "PRODUCTS_UP_TO", 0)  # the fused kernel in training as well
    torch.testing.assert_close(layer(queries, tokens, positions, mask), expected)


@pytest.mark.parametrize("share", [0.1, 0.5])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_dropout_drops_the_share_and_keeps_the_mean(share, dtype):
    torch.manual_seed(0)
    values = torch.ones(3, 333_331, dtype=dtype, requires_grad=True)
    dropped = Dropout(share)(values)
    zero = dropped == 0
    assert zero.float().mean() == pytest.approx(share, abs=0.002)
    kept = dropped[~zero].float()
    assert (kept == kept[0]).all()
    assert float(kept[0].detach()) == pytest.approx(1 / (1 - share), rel=4e-3)
    dropped.sum().backward()
    assert (values.grad == dropped.detach()).all()
    assert Dropout(share).eval()(values) is values
    # Neighbours are dropped apart: sixteen bits each, none used twice.
    pairs = (zero[:, 1:] & zero[:, :-1]).float().mean()
    assert pairs == pytest.approx(share**2, abs=0.002)
