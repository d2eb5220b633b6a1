import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from adbench.methods.drdc.process import grid_masks, inference_masks, split_cells, training_masks


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


@given(st.integers(1, 300), st.integers(1, 8), st.integers(0, 1000))
def test_a_split_is_as_even_as_it_can_be(num_cells, num_sets, seed):
    sizes = torch.bincount(split_cells(num_cells, num_sets, generator(seed)), minlength=num_sets)
    assert sizes.sum() == num_cells
    assert sizes.max() - sizes.min() <= 1


@pytest.mark.parametrize(("cell", "sizes"), [(1, {25_088}), (16, {98}), (32, {24, 25})])
def test_masks_of_the_paper_at_224_pixels(cell, sizes):
    masks = grid_masks(224, cell, 2, generator())
    assert masks.shape == (2, 1, 224, 224)
    assert torch.equal(masks[0], ~masks[1])
    cells = masks[:, 0, ::cell, ::cell]
    assert set(cells.sum((1, 2)).tolist()) <= sizes
    # A cell is unknown as a whole.
    assert torch.equal(cells.repeat_interleave(cell, 1).repeat_interleave(cell, 2), masks[:, 0])


def test_the_odd_cell_falls_on_either_half_in_training():
    cells = training_masks(40, 224, (32,), generator(1)).sum((1, 2, 3)) // 32**2
    assert set(cells.tolist()) == {24, 25}


def test_masks_differ_by_image_and_grid_and_depend_on_nothing_else():
    def masks(*seeds):
        pairs = [[generator(2 * s), generator(2 * s + 1)] for s in seeds]
        return inference_masks(32, (1, 8), 2, pairs)

    both = masks(3, 4)
    assert both.shape == (2, 2, 2, 1, 32, 32)
    assert torch.equal(both[1:], masks(4))
    assert not torch.equal(both[0], both[1])


def test_training_masks_are_halves_of_all_grids():
    masks = training_masks(60, 32, (1, 8, 16), generator())
    assert masks.shape == (60, 1, 32, 32)
    assert torch.equal(masks.float().mean((1, 2, 3)), torch.full((60,), 0.5))
    by_grid = {cell: sum(is_made_of(mask[0], cell) for mask in masks) for cell in (16, 8, 1)}
    coarse, middle = by_grid[16], by_grid[8] - by_grid[16]
    assert 10 <= coarse <= 30 and 10 <= middle <= 30 and 10 <= 60 - coarse - middle <= 30


def is_made_of(mask, cell):
    corners = mask[::cell, ::cell]
    return bool((corners.repeat_interleave(cell, 0).repeat_interleave(cell, 1) == mask).all())
