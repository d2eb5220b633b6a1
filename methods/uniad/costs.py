"""Rough FLOPs (2 x MAC) of UniAD's transformer, for the estimate of a plan; imports no torch."""

from __future__ import annotations


def transformer_flops(channels: int, tokens: int, hidden: int, ffn: int, layers: int) -> float:
    """Of one evaluation on one image; what is elementwise is left out."""
    attention = 4 * tokens * hidden**2 + 2 * tokens**2 * hidden
    feed_forward = 2 * tokens * hidden * ffn
    ends = 2 * tokens * channels * hidden
    # A decoder layer has two attentions.
    return 2.0 * (layers * (3 * attention + 2 * feed_forward) + ends)
