"""The golden fixtures and formula weights."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

SMALL = Path(__file__).parents[2] / "data" / "transfusion"
SHARED = Path(__file__).parents[4] / "shared" / "fixtures" / "transfusion"


@pytest.fixture(scope="session")
def golden():
    """`golden(name)`: the arrays of a fixture as a dict of tensors; skips where it is absent."""

    def load(name):
        for folder in (SMALL, SHARED):
            if (folder / f"{name}.npz").is_file():
                with np.load(folder / f"{name}.npz") as arrays:
                    return {key: torch.from_numpy(arrays[key]) for key in arrays.files}
        pytest.skip(f"{name}.npz is too large for the repository and not under {SHARED}")

    return load


@pytest.fixture(scope="session")
def official_parameters():
    """(name, shape) of the official network's 322 parameters, in order."""
    rows = json.loads((SMALL / "unet_params.json").read_text())
    return [(row["name"], tuple(row["shape"])) for row in rows]


@pytest.fixture(scope="session")
def official_state(official_parameters):
    """A state dict of the official size, filled by the README's formula."""
    state = {n: formula(i, n, s) for i, (n, s) in enumerate(official_parameters)}
    k = torch.arange(64, dtype=torch.float64)
    state["final_seg.norm.running_mean"] = (0.05 * k.sin()).float()
    state["final_seg.norm.running_var"] = (1 + 0.1 * k.cos()).float()
    return state


def formula(index, name, shape):
    s = torch.sin(0.37 * torch.arange(int(np.prod(shape)), dtype=torch.float64) + 1.3 * index + 0.1)
    if len(shape) > 1:
        values = s * 1.4 / np.sqrt(np.prod(shape[1:]))
    elif (".norm" in name or name.startswith("norm")) and name.endswith("weight"):
        values = 1 + 0.1 * s
    else:
        values = 0.1 * s
    return values.reshape(shape).float()
