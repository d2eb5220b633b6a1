"""The refinement with stand-ins for the network: exactness, conditions, counts."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from adbench.methods.drdc.process import (
    grid_masks,
    inference_masks,
    linear_scheduler,
    refine,
    split_cells,
    stitch,
    training_masks,
)
from adbench.methods.drdc.settings import DRDCSettings

PAPER = (250, 200, 150, 100, 50, 0)


def run(network, images, grids, timesteps=PAPER, own=None, **options):
    """All steps of the refinement."""
    settings = DRDCSettings(
        image_size=224, diffusion_size=64, training_grids=(1,), grids=grids, scales=(1,),
        multipliers=(1,), attention_factors=(1,), timesteps=timesteps, **options,
    )  # fmt: skip
    return list(refine(network, images, own or generators(images, grids), settings))


def generators(images, grids, seed=0):
    rows = range(len(images))
    return [[torch.Generator().manual_seed(seed + 10 * i + g) for g in grids] for i in rows]


def uniform_images(count, size, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(count, 3, size, size, generator=generator) * 2 - 1


class Oracle:
    """Returns the true noise of every x_t, as a perfect network would; keeps what it was given."""

    def __init__(self, images, grids, num_sets=2):
        self.clean = images.repeat_interleave(len(grids) * num_sets, 0)
        self.abar = linear_scheduler().alphas_cumprod
        self.timesteps, self.inputs = [], []

    def __call__(self, inputs, t):
        self.timesteps.append(int(t[0]))
        self.inputs.append(inputs)
        abar = self.abar[t][:, None, None, None]
        return (inputs[:, :3] - abar.sqrt() * self.clean) / (1 - abar).sqrt()


def test_schedule_has_the_values_of_the_specification():
    abar = linear_scheduler().alphas_cumprod[[0, 50, 100, 150, 200, 250]]
    expected = torch.tensor([0.99990, 0.96995, 0.89514, 0.78589, 0.65635, 0.52142])
    torch.testing.assert_close(abar, expected, atol=5e-6, rtol=0)


@pytest.mark.parametrize("init", ["qsample", "noise_fill"])
@pytest.mark.parametrize("cell", [1, 16, 32])
def test_a_perfect_network_gives_the_image_back_at_224_pixels(cell, init):
    images = uniform_images(2, 224)
    oracle = Oracle(images, (cell,))
    for step in run(oracle, images, (cell,), init=init):
        error = (step.images[:, 0] - images).abs().max()
        assert error < 1e-3, step.timestep
    assert oracle.timesteps == list(PAPER)


def test_it_evaluates_the_network_once_a_step_on_all_masks_of_all_grids():
    images, grids = uniform_images(2, 32), (1, 8, 16)
    oracle = Oracle(images, grids)
    steps = run(oracle, images, grids)
    assert [len(inputs) for inputs in oracle.inputs] == [2 * 3 * 2] * 6
    assert sum(len(inputs) for inputs in oracle.inputs) / len(images) == 36
    assert [step.timestep for step in steps] == list(PAPER)
    assert all(step.images.shape == (2, 3, 3, 32, 32) for step in steps)


def test_disjoint_parts_are_summed_and_not_averaged():
    """Eq. 10 as printed halves a perfect reconstruction: mean error 0.48 instead of 0."""
    images = uniform_images(3, 16)
    unknown = torch.rand(3, 2, 2, 1, 16, 16) < 0.5
    unknown[:, :, 1] = ~unknown[:, :, 0]
    parts = images.repeat_interleave(4, 0)
    assert torch.equal(stitch(parts, unknown), images[:, None].expand(-1, 2, -1, -1, -1))
    printed = stitch(parts, unknown) / 2
    error = (printed - images[:, None]).norm(dim=2).mean()
    assert error == pytest.approx(0.48, abs=0.01)


def test_every_cell_comes_from_the_trajectory_that_did_not_see_it():
    """A network that predicts what it is shown: known pixels would come back, unknown are noise."""
    images = torch.full((1, 3, 64, 64), 0.25)
    abar = linear_scheduler().alphas_cumprod

    def copies_the_condition(inputs, t):
        a = abar[t][:, None, None, None]
        return (inputs[:, :3] - a.sqrt() * inputs[:, 3:]) / (1 - a).sqrt()

    (step,) = run(copies_the_condition, images, (8,), (250,), clip_sample=False)
    shown = step.images[0, 0]
    assert shown.std() == pytest.approx(1, abs=0.03) and shown.mean().abs() < 0.03
    assert ((shown - 0.25).abs() < 1e-3).float().mean() < 0.01


@pytest.mark.parametrize("put_back", [True, False])
def test_known_pixels_are_put_back_at_their_noise_level(put_back):
    images = uniform_images(1, 64)
    seen = []

    def wrong(inputs, t):
        seen.append(inputs)
        return torch.full_like(inputs[:, :3], 3.0)

    run(wrong, images, (8,), (250, 100), test_time_condition=put_back)
    sample, condition = seen[1].chunk(2, 1)
    known = condition == images
    abar = linear_scheduler().alphas_cumprod[100]
    noise = ((sample - abar.sqrt() * images) / (1 - abar).sqrt())[known]
    is_standard_normal = abs(float(noise.mean())) < 0.05 and abs(float(noise.std()) - 1) < 0.05
    assert is_standard_normal == put_back
    # Fresh noise: that of the first step would tell where it came from.
    first = (seen[0][:, :3] - linear_scheduler().alphas_cumprod[250].sqrt() * images)[known]
    correlation = torch.corrcoef(torch.stack([first, noise]))[0, 1]
    assert abs(float(correlation)) < 0.05 or not put_back


@pytest.mark.parametrize("init", ["qsample", "noise_fill"])
def test_where_the_process_starts(init):
    images = uniform_images(1, 64)
    oracle = Oracle(images, (8,))
    run(oracle, images, (8,), (250,), init=init)
    sample, condition = oracle.inputs[0].chunk(2, 1)
    unknown = condition != images
    power = images.expand_as(sample)[unknown].square().mean()
    slope = (sample * images)[unknown].mean() / power
    signal = linear_scheduler().alphas_cumprod[250].sqrt() if init == "qsample" else 0.0
    assert float(slope) == pytest.approx(float(signal), abs=0.05)


def test_without_model_condition_the_network_sees_three_channels():
    images = uniform_images(1, 16)
    oracle = Oracle(images, (4,))
    run(oracle, images, (4,), (50, 0), model_condition=False)
    assert [inputs.shape[1] for inputs in oracle.inputs] == [3, 3]


@pytest.mark.parametrize("clip", [True, False])
def test_predicted_images_are_clipped_unless_told_otherwise(clip):
    def wild(inputs, t):
        return torch.full_like(inputs[:, :3], -20.0)

    steps = run(wild, uniform_images(1, 16), (4,), (250, 0), clip_sample=clip)
    assert (max(float(step.images.abs().max()) for step in steps) <= 1) == clip


def test_an_image_depends_on_its_own_generators_alone():
    images, grids = uniform_images(3, 32), (4, 8)

    def rough(inputs, t):
        return (inputs[:, :3] + inputs[:, 3:]).tanh()

    def refined(chosen):
        own = [generators(images, grids)[i] for i in chosen]
        return run(rough, images[chosen], grids, own=own)

    together, alone = refined([0, 1, 2]), refined([1])
    for a, b in zip(together, alone, strict=True):
        torch.testing.assert_close(a.images[1:2], b.images, atol=1e-6, rtol=0)


# ------------------------------------------------------------------------------------- masks


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
