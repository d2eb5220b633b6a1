"""What fitting a method in a test takes: a context in memory, images without a disk, and models
that all tests of a session share."""

from __future__ import annotations

import copy
from functools import cache

import numpy as np

from adbench.contracts import Context, Images
from adbench.hyperparameters import build_hyperparameters
from adbench.registry import load_method


class MemoryCheckpoint:
    """Keeps the last state; `dies_at` raises after that many saves, as a kill would."""

    def __init__(self, due=False, dies_at=None, state=None):
        self.state, self.saves, self.loads = state, 0, 0
        self._due, self._dies_at = due or dies_at is not None, dies_at

    def load(self):
        self.loads += 1
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


def make_context(seed=0, checkpoint=None, cache=None, precision="fp32", **more):
    """A context on the CPU."""
    checkpoint, cache = checkpoint or MemoryCheckpoint(), cache or MemoryCache()
    return Context("cpu", precision, seed, checkpoint, cache, **more)


def make_images(count, size=64, seed=0, anomalous=0, key=None):
    """Striped normal images, the last `anomalous` ones with a dark square."""
    rng = np.random.default_rng(seed)
    columns = np.arange(size)
    waves = 128 + 60 * np.sin(columns / 3 + rng.uniform(0, 6, (count, 1)))
    pixels = waves[:, None, :, None] + rng.normal(0, 6, (count, size, size, 3))
    pixels[count - anomalous :, size // 4 : size // 2, size // 4 : size // 2] = 10
    names = tuple(f"{seed}/{index:03d}.png" for index in range(count))
    categories = tuple("ab"[index % 2] for index in range(count))
    return Images(pixels.clip(0, 255).astype(np.uint8), names, categories, key)


def build(name, preset="smoke", **options):
    """A method, not fitted, from what could stand on the command line."""
    method = load_method(name)
    return method(build_hyperparameters(method, preset, options))


def training_images(method):
    """Those of `fit_once`."""
    return make_images(12, method.geometry.size)


def fit(name, context=None, **options):
    """A `smoke` model of its own, on the images of `fit_once`."""
    method = build(name, **options)
    return method.fit(training_images(method), context or make_context())


@cache
def fit_once(name, precision="fp32", **options):
    """The `smoke` model that all tests share, to be left as it is."""
    return fit(name, make_context(precision=precision), **options)


def asked(method, context=None, **options):
    """The same model with other hyper-parameters, as if saved and loaded."""
    other = type(method)(build_hyperparameters(type(method), "smoke", options))
    other.protocol_, other.diagnostics_ = dict(method.protocol_), dict(method.diagnostics_)
    tensors = {name: tensor.clone() for name, tensor in method.learned().items()}
    other.restore(tensors, context or make_context())
    return other
