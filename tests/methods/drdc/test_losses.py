"""The law that the UNet is trained under."""

from __future__ import annotations

from collections import defaultdict

import pytest
import torch
from fits import build
from torch.nn import functional as F

from adbench.methods.drdc.losses import training_loss
from adbench.methods.drdc.process import linear_scheduler
from adbench.methods.drdc.settings import DRDCSettings

SIDE = 32


class Watching(torch.nn.Module):
    """Notes the timesteps and which pixels are unknown."""

    def __init__(self):
        super().__init__()
        self.timesteps, self.unknown = [], []

    def forward(self, inputs, t):
        self.timesteps += t.tolist()
        self.unknown.append((inputs[:, 3:] != 0).any(1, keepdim=True))  # clean images are 0
        return torch.zeros_like(inputs[:, :3])


def cell_of(unknown):
    """The largest side of cells, 8 or 1, of which every one is unknown as a whole."""
    share = F.avg_pool2d(unknown.float(), 8)
    return 8 if bool(((share == 0) | (share == 1)).all()) else 1


@pytest.mark.parametrize("t_max", [4, 300])
def test_timesteps_and_grids_are_drawn_independently(t_max):
    own = DRDCSettings(training_grids=(1, 8), t_max=t_max, timesteps=(3, 1))
    network = Watching()
    loss = training_loss(network, lambda indices: torch.zeros(len(indices), 3, SIDE, SIDE), own)
    for seed in range(40):
        loss(torch.arange(8), torch.Generator().manual_seed(seed))
    cells = [cell_of(u[None]) for batch in network.unknown for u in batch]
    counts: dict[int, list[int]] = defaultdict(lambda: [0, 0])
    for t, cell in zip(network.timesteps, cells, strict=True):
        # Draws from one stream of words agree in their remainders.
        counts[t % 4][cell == 8] += 1
    assert set(counts) == {0, 1, 2, 3}
    for fine, coarse in counts.values():
        assert 0.3 < fine / (fine + coarse) < 0.7


def test_the_loss_is_the_noises_over_the_asked_region():
    """A network that is told the clean image errs by construction where the cells are masked."""
    images = torch.rand(8, 3, 32, 32, generator=torch.Generator().manual_seed(0)) * 2 - 1
    abar = linear_scheduler().alphas_cumprod
    seen = []

    class Copies(torch.nn.Module):
        def forward(self, inputs, t):
            seen.append((inputs, t))
            a = abar[t][:, None, None, None]
            return (inputs[:, :3] - a.sqrt() * inputs[:, 3:]) / (1 - a).sqrt()

    def loss(**options):
        own = build("drdc", "paper", image_size=32, feature_size=8, training_grids="4x8", grids="4",
                    scales="1", smoothing_kernel=3, pool_kernel=4, **options)  # fmt: skip
        compute = training_loss(Copies(), lambda indices: images[indices], own.hyperparameters)
        return float(compute(torch.arange(8), torch.Generator().manual_seed(1)))

    everywhere, masked = loss(), loss(loss_region="masked")
    assert masked == pytest.approx(2 * everywhere, rel=1e-4)  # known pixels err by nothing
    inputs, t = seen[0]
    unknown = inputs[:, 3:] != images
    assert unknown.float().mean() == pytest.approx(0.5, abs=0.01)
    # x_0 is the clean image and not I_in: on known and unknown pixels alike x_t is its noising.
    a = abar[t][:, None, None, None]
    noise = (inputs[:, :3] - a.sqrt() * images) / (1 - a).sqrt()
    assert noise.std() == pytest.approx(1, abs=0.02)
    assert abs(float((noise * inputs[:, 3:])[unknown].mean())) < 0.05
    loss(t_max=300, timesteps="250x0")
    assert seen[-1][1].max() < 300 < max(int(t.max()) for _, t in seen)
