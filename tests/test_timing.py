"""Timing: exclusive, honest about load, complete."""

from __future__ import annotations

import json
import multiprocessing
import time
from pathlib import Path

import numpy as np
import pytest

from adbench.cell import timing
from adbench.contracts import Context, Images
from adbench.data.cache import DiskCache
from adbench.machine.load import FOREIGN_LOAD, ForeignLoad
from adbench.store.checkpoint import FileCheckpoint
from adbench.testing import PixelGaussian, PixelGaussianHyperparameters


@pytest.fixture
def images() -> Images:
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 255, (10, 16, 16, 3)).astype(np.uint8)
    return Images(pixels, tuple(map(str, range(10))), ("a",) * 10)


@pytest.fixture
def method(images: Images, tmp_path: Path) -> PixelGaussian:
    checkpoint = FileCheckpoint(tmp_path / "c.pt", 60)
    context = Context("cpu", "fp32", 0, checkpoint, DiskCache(tmp_path / "cache", None))
    return PixelGaussian(PixelGaussianHyperparameters(image_size=16)).fit(images, context)


def test_timing_holds_what_the_table_shows(method: PixelGaussian, images: Images) -> None:
    measured = timing.measure_inference(method, images, "cpu")
    json.dumps(measured, allow_nan=False)
    single = measured["seconds_per_image"]
    assert 0 < single["median"] <= single["p95"] and single["repeats"] >= timing.MIN_REPEATS
    assert measured["batch_size"] == 8 and measured["images_per_second"] > 0
    assert measured["peak_rss_bytes"] > 1e6 and measured["device"] == "cpu"


def test_flops_are_those_of_the_network() -> None:
    import torch

    layer = torch.nn.Conv2d(3, 4, 3, bias=False)

    class Conv(PixelGaussian):
        def predict(self, images: Images):
            layer(torch.zeros(len(images), 3, 16, 16))

    images = Images(np.zeros((1, 16, 16, 3), np.uint8), ("0",), ("a",))
    counted = timing.count_flops(Conv(PixelGaussianHyperparameters(image_size=16)), images)
    assert counted == 2 * 14 * 14 * 4 * 3 * 9


def _burn(seconds: float) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        sum(range(10_000))


def test_load_of_other_processes_is_seen() -> None:
    context = multiprocessing.get_context("fork")
    burner = context.Process(target=_burn, args=(1.5,))
    burner.start()
    time.sleep(0.2)
    load = ForeignLoad()
    time.sleep(1.0)
    seen = load.verdict()  # while the other still runs: a child that ended counts as our own
    burner.join()
    share = seen["foreign_load"]
    assert share is None or (share > FOREIGN_LOAD and not seen["valid"])


def test_a_second_timing_on_the_host_is_not_alone() -> None:
    with timing.exclusive("cpu") as first, timing.exclusive("cpu") as second:
        assert (first, second) == (True, False)
    with timing.exclusive("cpu") as again:
        assert again
