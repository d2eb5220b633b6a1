"""An in-memory context, and images that need no disk."""

import copy

import numpy as np
import pytest
import torch

from adbench.contracts import Context, Images


@pytest.fixture(scope="session", autouse=True)
def _one_thread():
    """Tiny tensors gain nothing from a second thread, and lose much where cores are shared."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


class MemoryCheckpoint:
    """Keeps the last state; `dies_at` raises after that many saves, as a kill would."""

    def __init__(self, due=False, dies_at=None):
        self.state, self.saves = None, 0
        self._due, self._dies_at = due, dies_at

    def load(self):
        return copy.deepcopy(self.state)

    def due(self):
        return self._due

    def save(self, state):
        self.state = copy.deepcopy(dict(state))
        self.saves += 1
        if self.saves == self._dies_at:
            raise InterruptedError


class MemoryCache:
    """Arrays by key, and how often each was asked for and computed."""

    def __init__(self):
        self.arrays, self.computed, self.asked = {}, [], []

    def array(self, key, shape, dtype, fill):
        self.asked.append(key)
        if key not in self.arrays:
            self.computed.append(key)
            content = np.zeros(shape, dtype)
            fill(content)
            content.flags.writeable = False
            self.arrays[key] = content
        assert self.arrays[key].shape == shape
        return self.arrays[key]


@pytest.fixture(scope="session")
def make_context():
    """A function that builds a context on the CPU."""

    def build(seed=0, checkpoint=None, cache=None, precision="fp32", **more):
        return Context(
            "cpu", precision, seed, checkpoint or MemoryCheckpoint(), cache or MemoryCache(), **more
        )

    return build


@pytest.fixture
def memory_cache():
    return MemoryCache()


@pytest.fixture
def make_checkpoint():
    return MemoryCheckpoint


@pytest.fixture(scope="session")
def make_images():
    """A function that draws striped normal images, the last `anomalous` ones with a dark square."""

    def build(count, size=64, seed=0, anomalous=0, key=None):
        rng = np.random.default_rng(seed)
        columns = np.arange(size)
        waves = 128 + 60 * np.sin(columns / 3 + rng.uniform(0, 6, (count, 1)))
        pixels = waves[:, None, :, None] + rng.normal(0, 6, (count, size, size, 3))
        pixels[count - anomalous :, size // 4 : size // 2, size // 4 : size // 2] = 10
        names = tuple(f"{seed}/{index:03d}.png" for index in range(count))
        categories = tuple("ab"[index % 2] for index in range(count))
        return Images(pixels.clip(0, 255).astype(np.uint8), names, categories, key)

    return build
