"""Random grid masks: the cells of an image, split into sets of as equal size as they go.

The paper's M is 1 where an image stays known and 0 on the cells of the set S_i that is painted
anew; the masks here are of the unknown, 1 - M. B images, G grids, K sets (the paper's n_s).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def split_cells(num_cells: int, num_sets: int, generator: torch.Generator) -> Tensor:
    """A set (0..num_sets-1) for each cell, int64 (num_cells,): a random split.

    The paper's |S_i| = |G| / n_s cannot be had for the 49 cells of 32 pixels at 224: sizes differ
    by one at most.
    """
    order = torch.randperm(num_cells, generator=generator, device=generator.device)
    labels = torch.empty_like(order)
    labels[order] = torch.arange(num_cells, device=order.device) % num_sets
    return labels


def grid_masks(size: int, cell: int, num_sets: int, generator: torch.Generator) -> Tensor:
    """The unknown pixels of each set, bool (num_sets, 1, size, size); every pixel is in one set.

    Args:
        size: side of the image, a multiple of `cell`.
        cell: side of a cell in pixels (the paper's c).
        num_sets: K.
        generator: also says on which device.
    """
    side = size // cell
    labels = split_cells(side**2, num_sets, generator).view(side, side)
    pixels = labels.repeat_interleave(cell, 0).repeat_interleave(cell, 1)
    sets = torch.arange(num_sets, device=labels.device)
    return pixels == sets[:, None, None, None]


def inference_masks(
    size: int,
    grids: Sequence[int],
    num_sets: int,
    generators: Sequence[Sequence[torch.Generator]],
) -> Tensor:
    """The unknown pixels of all sets, bool (B, G, K, 1, size, size).

    Args:
        size: side of the images.
        grids: G sides of cells.
        num_sets: K.
        generators: one for each image and grid.
    """
    masks = [
        torch.stack([grid_masks(size, *pair) for pair in _pairs(grids, num_sets, own)])
        for own in generators
    ]
    unknown = torch.stack(masks)
    # The parts are stitched by a plain sum, which is right only for a partition of unity.
    assert bool((unknown.sum(2) == 1).all())
    return unknown


def _pairs(
    grids: Sequence[int], num_sets: int, generators: Sequence[torch.Generator]
) -> list[tuple[int, int, torch.Generator]]:
    return [(cell, num_sets, own) for cell, own in zip(grids, generators, strict=True)]


def training_masks(
    count: int, size: int, grids: Sequence[int], generator: torch.Generator
) -> Tensor:
    """Of each image one half of the cells of a random grid, bool (count, 1, size, size)."""
    # Of an odd number of cells either half may have the one that is over.
    chosen = torch.randint(2 * len(grids), (count,), generator=generator, device=generator.device)
    masks = [grid_masks(size, grids[i // 2], 2, generator)[i % 2] for i in chosen.tolist()]
    return torch.stack(masks)
