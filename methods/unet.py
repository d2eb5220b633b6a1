"""The layout that TransFusion's and DRDC's UNets over images share; B, C, H, W."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor, nn


class Block(nn.Module):
    """A residual block and, where the level has it, attention."""

    def __init__(self, residual: nn.Module, attention: nn.Module) -> None:
        super().__init__()
        self.residual, self.attention = residual, attention

    def forward(self, x: Tensor, embedding: Tensor) -> Tensor:
        mixed: Tensor = self.attention(self.residual(x, embedding))
        return mixed


class UNet(nn.Module):
    """Each level halves the sides; it has `blocks` blocks on the way down and one more on the way
    up. A subclass has a `stem`, and calls `add_levels` where its parameters are to stand."""

    stem: nn.Conv2d
    memory_format = torch.channels_last
    """Of the features: convolutions are faster on it."""

    def add_levels(
        self,
        widths: Sequence[int],
        attention: Sequence[bool],
        blocks: int,
        residual: Callable[[int, int], nn.Module],
        attend: Callable[[int], nn.Module],
        halve: Callable[[int], nn.Module],
        double: Callable[[int], nn.Module],
        *,
        narrows: bool,
    ) -> None:
        """Make the way down, the middle and the way up.

        Args:
            widths: channels of each level.
            attention: which levels have it.
            residual: from channels in and out to a block called with features and embedding.
            attend: from channels to self-attention.
            halve: from channels to what changes the level, a convolution or called as a block.
            double: likewise.
            narrows: the last block of a level on the way up has the width of the level above.
        """

        def block(inputs: int, outputs: int, attends: bool) -> Block:
            return Block(residual(inputs, outputs), attend(outputs) if attends else nn.Identity())

        def down() -> Iterator[nn.Module]:
            channels = widths[0]
            for level, width in enumerate(widths):
                for _ in range(blocks):
                    yield block(channels, width, attention[level])
                    channels = width
                if level < len(widths) - 1:
                    yield halve(width)

        def up() -> Iterator[nn.Module]:
            channels = widths[-1]
            for level in reversed(range(len(widths))):
                width, above = widths[level], widths[max(level - 1, 0)]
                for _ in range(blocks):
                    yield block(channels + width, width, attention[level])
                    channels = width
                # The last block of a level meets what came down into the level.
                last = above if narrows else width
                yield block(channels + above, last, attention[level])
                channels = last
                if level > 0:
                    yield double(channels)

        deepest = widths[-1]
        self.down = nn.ModuleList(down())
        self.middle = nn.ModuleList([block(deepest, deepest, True), residual(deepest, deepest)])
        self.up = nn.ModuleList(up())

    def encode(self, inputs: Tensor, embedding: Tensor) -> tuple[Tensor, list[Tensor]]:
        """The stem, the way down and the middle; features and the skip connections."""
        x = self.stem(inputs.contiguous(memory_format=self.memory_format))
        skips = [x]
        for module in self.down:
            x = _applied(module, x, embedding)
            skips.append(x)
        for module in self.middle:
            x = module(x, embedding)
        return x, skips

    def decode(self, x: Tensor, skips: list[Tensor], embedding: Tensor) -> Tensor:
        """The way up; each block takes the latest skip connection that is left."""
        for module in self.up:
            if isinstance(module, Block):
                x = torch.cat([x, skips.pop()], 1)
            x = _applied(module, x, embedding)
        return x


def _applied(module: nn.Module, x: Tensor, embedding: Tensor) -> Tensor:
    plain = isinstance(module, nn.Conv2d | nn.ConvTranspose2d)
    result: Tensor = module(x) if plain else module(x, embedding)
    return result


def in_full_precision(device_type: str) -> AbstractContextManager[object]:
    """A block without autocast; "meta", on which networks are only counted, knows none."""
    if not torch.amp.is_autocast_available(device_type):
        return nullcontext()
    return torch.autocast(device_type, enabled=False)
