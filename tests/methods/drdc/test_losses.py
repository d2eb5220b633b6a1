"""The law that the UNet is trained under."""

from __future__ import annotations

from collections import defaultdict

import pytest
import torch
from torch.nn import functional as F

from adbench.methods.drdc.hyperparameters import DRDCHyperparameters
from adbench.methods.drdc.losses import noise_loss

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
    own = DRDCHyperparameters(training_grids=(1, 8), t_max=t_max, timesteps=(3, 1))
    network = Watching()
    loss = noise_loss(network, lambda indices: torch.zeros(len(indices), 3, SIDE, SIDE), own)
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
