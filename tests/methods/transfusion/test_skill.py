"""The yardstick of the mask head: oracles, copies and constants have the values they must have."""

import pytest
import torch
from fits import make_context

from adbench.methods.transfusion.losses import mask_loss_map
from adbench.methods.transfusion.process import transparency_schedule
from adbench.methods.transfusion.skill import best_logit, measure
from adbench.methods.transfusion.synthesis import ProceduralTextures, synthesise

SIZE, IMAGES = 32, 40
SCHEDULE = transparency_schedule(20)


@pytest.fixture(scope="module")
def shown():
    """`shown(answer)`: the skill of a network that answers (batch) with a mask logit."""
    bank = ProceduralTextures(SIZE, count=6)
    pixels = torch.rand(IMAGES, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(0)) * 2 - 1
    everywhere = torch.ones(IMAGES, 1, SIZE, SIZE, dtype=torch.bool)

    def skill(answer, held_out=range(16)):
        seen = []

        def compose(indices, generator):
            seen.append(synthesise(pixels[indices], everywhere[indices], bank, SCHEDULE, generator))
            return seen[-1]

        held = torch.tensor(list(held_out))
        others = torch.arange(len(held), IMAGES)

        def network(inputs, _t):
            return inputs, inputs, answer(seen[-1])

        return measure(network, compose, held, others, make_context().generator)

    return skill


def test_an_oracle_has_all_the_skill_and_a_copy_none(shown):
    assert shown(lambda batch: 40 * batch.mask - 20).value > 0.99
    copy = shown(lambda batch: 2 * batch.previous_mask - 1.7)
    assert -1 < copy.value < 0.1
    assert copy.simple < copy.trivial


def test_a_constant_is_no_better_than_the_constant(shown):
    flat = shown(lambda batch: torch.full_like(batch.mask, -3.0))
    assert flat.value < 0 and flat.error >= 0.9 * flat.trivial
    assert flat.beside["with anomaly"] > flat.beside["without"]


def test_the_draws_are_fixed(shown):
    answer = lambda batch: batch.x_t[:, :1]  # noqa: E731
    assert shown(answer) == shown(answer)


def test_few_held_out_normals_say_nothing(shown):
    assert shown(lambda batch: batch.mask, range(5)).value is None


@pytest.mark.parametrize("share", [0.02, 0.3, 0.9])
def test_the_best_logit_loses_least(share):
    def loss(logit):
        missed, raised = (mask_loss_map(logit, torch.full_like(logit, m)) for m in (1.0, 0.0))
        return share * missed + (1 - share) * raised

    best = best_logit(share)
    assert (loss(best) <= loss(torch.linspace(-6, 6, 500)) + 1e-4).all()
