"""UniAD's transformer over the tokens of a feature map (arXiv:2206.03687, section 3.2).

Shapes: B images, S x S tokens, T = S * S in row-major order, C feature channels, D hidden width.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

PRODUCTS_UP_TO = 1 << 24
"""Logits of a training batch that a CPU may hold: torch's fused kernel has no dropout there, and
its backward pass in bfloat16 takes several times as long as three matrix products."""

LOCAL_QUERIES, LOCAL_POSITIONS = 0.1, 2.0
"""What the decoder's random queries are scaled by, and the sines' amplitude, in a local start."""


class FeatureTransformer(nn.Module):
    """Reconstructs feature maps with attention that never reads a token's own neighbourhood.

    The mask, a learned query in every decoder layer and jittered inputs in training keep it from
    copying what it is shown, anomalies included. The encoder has `layers` layers and so has the
    decoder; `neighbour_window` is the side of the masked window (odd, less than S), or 0.

    With `standardise` it works on features less the mean of their position, in deviations of
    their channel (`set_moments`), and its last layer starts at zero: before training it predicts
    the mean. With `local_start` attention begins at the token that asks (`start_locally`).
    """

    def __init__(
        self,
        channels: int,
        feature_size: int = 14,
        hidden: int = 256,
        heads: int = 8,
        ffn: int = 1024,
        layers: int = 4,
        dropout: float = 0.1,
        neighbour_window: int = 7,
        standardise: bool = False,
        local_start: bool = False,
    ) -> None:
        super().__init__()
        self.enter = nn.Linear(channels, hidden)
        self.positions = PositionTable(feature_size, hidden)
        self.encoder = nn.ModuleList(
            EncoderLayer(hidden, heads, ffn, dropout) for _ in range(layers)
        )
        self.decoder = nn.ModuleList(
            DecoderLayer(feature_size, hidden, heads, ffn, dropout) for _ in range(layers)
        )
        self.norm = nn.LayerNorm(hidden)
        self.leave = nn.Linear(hidden, channels)
        self.mask: Tensor | None
        mask = neighbour_mask(feature_size, neighbour_window) if neighbour_window else None
        self.register_buffer("mask", mask, persistent=False)
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.xavier_uniform_(module.weight)
                nn.init.zeros_(module.bias)
        for module in self.modules():
            if isinstance(module, Attention):
                module.reset_parameters()
        if local_start:
            self.start_locally()
        self.mean: Tensor | None
        self.deviation: Tensor | None
        if standardise:
            nn.init.zeros_(self.leave.weight)
            self.register_buffer("mean", torch.zeros(feature_size, feature_size, channels))
            self.register_buffer("deviation", torch.ones(channels))
        else:
            self.mean = self.deviation = None

    @torch.no_grad()
    def start_locally(self) -> None:
        """Let a token's logits peak at its own row and column, and its queries leave what it reads
        visible: from random weights, most of a short training goes into finding where to look."""
        self.positions.start_as_sines()
        for module in self.modules():
            if isinstance(module, Attention):
                module.to_key.weight.copy_(module.to_query.weight)
            elif isinstance(module, DecoderLayer):
                module.query.mul_(LOCAL_QUERIES)

    def set_moments(self, mean: Tensor, deviation: Tensor) -> None:
        """The features' mean (S, S, C) and deviations (C,), of a network that standardises."""
        assert self.mean is not None and self.deviation is not None
        self.mean.copy_(mean)
        self.deviation.copy_(deviation)

    def forward(self, features: Tensor) -> Tensor:
        """Reconstructed features, of the same shape (B, S, S, C) and in float32."""
        if self.mean is None or self.deviation is None:
            return self.reconstruct(features)
        restored = self.reconstruct((features - self.mean) / self.deviation)
        return self.mean + self.deviation * restored

    def reconstruct(self, features: Tensor) -> Tensor:
        """The same in the space that the transformer works in."""
        tokens = self.enter(features.flatten(1, 2))  # (B, T, D)
        positions = self.positions()
        for layer in self.encoder:
            tokens = layer(tokens, positions, self.mask)
        memory = output = tokens
        for layer in self.decoder:
            output = layer(output, memory, positions, self.mask)
        restored: Tensor = self.leave(self.norm(output))
        return restored.float().view(features.shape)


class EncoderLayer(nn.Module):
    """Masked self-attention and a feed-forward layer, each with a residual and a norm after it."""

    def __init__(self, hidden: int, heads: int, ffn: int, dropout: float) -> None:
        super().__init__()
        self.attention = Attention(hidden, heads, dropout)
        self.attention_norm = nn.LayerNorm(hidden)
        self.feed_forward = FeedForward(hidden, ffn, dropout)
        self.dropout = Dropout(dropout)

    def forward(self, tokens: Tensor, positions: Tensor, mask: Tensor | None) -> Tensor:
        mixed = self.attention(tokens, tokens, positions, mask)
        after: Tensor = self.feed_forward(self.attention_norm(tokens + self.dropout(mixed)))
        return after


class DecoderLayer(nn.Module):
    """A layer-wise query decoder: its own learned query asks the encoder's memory, then the output
    of the layer before it (paper, section 3.2)."""

    def __init__(
        self, feature_size: int, hidden: int, heads: int, ffn: int, dropout: float
    ) -> None:
        super().__init__()
        self.query = nn.Parameter(torch.randn(1, feature_size**2, hidden))
        self.memory_attention = Attention(hidden, heads, dropout)
        self.memory_norm = nn.LayerNorm(hidden)
        self.output_attention = Attention(hidden, heads, dropout)
        self.output_norm = nn.LayerNorm(hidden)
        self.feed_forward = FeedForward(hidden, ffn, dropout)
        self.dropout = Dropout(dropout)

    def forward(
        self, output: Tensor, memory: Tensor, positions: Tensor, mask: Tensor | None
    ) -> Tensor:
        """The next output (B, T, D) from the last one and the encoder's memory, both (B, T, D)."""
        mixed = self.memory_attention(self.query, memory, positions, mask)
        tokens = self.memory_norm(self.query + self.dropout(mixed))
        mixed = self.output_attention(tokens, output, positions, mask)
        after: Tensor = self.feed_forward(self.output_norm(tokens + self.dropout(mixed)))
        return after


class FeedForward(nn.Module):
    """Two linear maps with a ReLU between them, a residual around them and a norm after it."""

    def __init__(self, hidden: int, ffn: int, dropout: float) -> None:
        super().__init__()
        self.widen = nn.Linear(hidden, ffn)
        self.narrow = nn.Linear(ffn, hidden)
        self.norm = nn.LayerNorm(hidden)
        self.dropout = Dropout(dropout)

    def forward(self, tokens: Tensor) -> Tensor:
        inner = self.narrow(self.dropout(F.relu(self.widen(tokens))))
        normed: Tensor = self.norm(tokens + self.dropout(inner))
        return normed


class PositionTable(nn.Module):
    """Learned position embeddings: a column's and a row's, half of the width each."""

    def __init__(self, feature_size: int, hidden: int) -> None:
        super().__init__()
        self.column = nn.Parameter(torch.rand(feature_size, hidden // 2))
        self.row = nn.Parameter(torch.rand(feature_size, hidden // 2))

    def start_as_sines(self) -> None:
        """Sines and cosines of frequencies spread over what S places can tell apart."""
        size, width = self.row.shape
        pair = torch.arange(width) // 2 + 1
        angles = (torch.arange(size)[:, None] + 0.5) * (torch.pi * pair / pair[-1])
        waves = torch.where(torch.arange(width) % 2 == 0, angles.sin(), angles.cos())
        self.column.copy_(LOCAL_POSITIONS * waves)
        self.row.copy_(LOCAL_POSITIONS * waves)

    def forward(self) -> Tensor:
        """Of all tokens, (T, D): column half first."""
        size = len(self.row)
        column = self.column.expand(size, -1, -1)  # (row, column, D / 2)
        row = self.row[:, None].expand(-1, size, -1)
        return torch.cat([column, row], 2).flatten(0, 1)


def neighbour_mask(feature_size: int, window: int) -> Tensor:
    """The additive mask (T, T): minus infinity where the second token lies in the first one's
    window, itself included and clipped at the borders, else 0."""
    index = torch.arange(feature_size)
    near = (index[:, None] - index).abs() <= window // 2  # (S, S), along one axis
    both = near[:, None, :, None] & near[None, :, None, :]  # (row, column, row, column)
    hidden = both.reshape(feature_size**2, feature_size**2)
    return torch.zeros(hidden.shape).masked_fill(hidden, -torch.inf)


class Attention(nn.Module):
    """Multi-head attention that adds positions to queries and keys, and not to values."""

    def __init__(self, hidden: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.to_query = nn.Linear(hidden, hidden)
        self.to_key = nn.Linear(hidden, hidden)
        self.to_value = nn.Linear(hidden, hidden)
        self.leave = nn.Linear(hidden, hidden)
        self.dropout = Dropout(dropout)

    def reset_parameters(self) -> None:
        """Xavier's uniform law, the three input maps taken as one (3 D, D) matrix as torch does."""
        for linear in (self.to_query, self.to_key, self.to_value):
            nn.init.xavier_uniform_(linear.weight, gain=0.5**0.5)

    def forward(
        self, queries: Tensor, tokens: Tensor, positions: Tensor, mask: Tensor | None
    ) -> Tensor:
        """What the queries read from the tokens.

        Args:
            queries: (B, T, D), or (1, T, D) where all images ask the same.
            tokens: (B, T, D), of which keys and values are made.
            positions: (T, D).
            mask: (T, T), added to the logits of query by key, or None.

        Returns:
            (B, T, D).
        """
        query = self._split(self.to_query(queries + positions))
        key = self._split(self.to_key(tokens + positions))
        value = self._split(self.to_value(tokens))
        query = query.expand_as(key)
        num_logits = key.shape[0] * key.shape[1] * key.shape[2] ** 2
        if self.training and key.device.type == "cpu" and num_logits <= PRODUCTS_UP_TO:
            logits = (query * key.shape[3] ** -0.5) @ key.mT
            if mask is not None:
                logits = logits + mask.to(logits.dtype)
            mixed = self.dropout(logits.softmax(-1)) @ value
        else:
            share = self.dropout.share if self.training else 0.0
            mixed = F.scaled_dot_product_attention(query, key, value, mask, share)
        read: Tensor = self.leave(mixed.transpose(1, 2).flatten(2))
        return read

    def _split(self, tokens: Tensor) -> Tensor:
        """From (B, T, D) to heads (B, heads, T, D / heads)."""
        return tokens.view(*tokens.shape[:2], self.heads, -1).transpose(1, 2)


class Dropout(nn.Module):
    """Dropout from torch's global generator; on a CPU, with sixteen random bits an entry.

    Torch draws a whole float there, which costs more than the matrix products between dropouts.
    The share is rounded to 1/65536; the scale that keeps the mean is that of the rounded share.
    """

    def __init__(self, share: float) -> None:
        super().__init__()
        self.share = share

    def forward(self, values: Tensor) -> Tensor:
        """Zero a share of the values and scale the others, in training only."""
        if not (self.training and self.share):
            return values
        if values.device.type != "cpu":
            return F.dropout(values, self.share)
        dropped = round(self.share * 65536)
        words = torch.empty(-(-values.numel() // 4), dtype=torch.int64).random_(-(2**63), None)
        bits = words.view(torch.int16)[: values.numel()].view(values.shape)
        kept = (bits >= dropped - 32768).to(values.dtype).mul_(65536 / (65536 - dropped))
        return values * kept
