"""Multi-head attention with an additive mask, and the dropout of UniAD's layers.

Shapes: B images, T tokens, D hidden width.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

PRODUCTS_UP_TO = 1 << 24
"""Logits of a training batch that a CPU may hold: torch's fused kernel has no dropout there, and
its backward pass in bfloat16 takes several times as long as three matrix products."""


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
        if self.training and key.device.type == "cpu" and _num_logits(key) <= PRODUCTS_UP_TO:
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


def _num_logits(key: Tensor) -> int:
    return key.shape[0] * key.shape[1] * key.shape[2] ** 2


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
