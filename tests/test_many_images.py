"""Memory stays where it is when a data set grows: every pass over images and maps is chunked."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import numpy as np
from PIL import Image

from adbench.cell.predicting import predict_missing
from adbench.cell.scoring import ground_truth_notes, image_columns, score_categories
from adbench.contracts import Context, Geometry, Sample
from adbench.data.cache import DiskCache
from adbench.data.images import load_images, load_masks
from adbench.data.pixels import look_at
from adbench.machine.threads import in_threads
from adbench.plan import AUPRO_LIMITS
from adbench.store.predictions import PredictionChunks, chunk_bounds
from adbench.testing import PixelGaussian

SIDE = 128
FEW, MANY = 128, 384


class NoCheckpoint:
    def load(self) -> None:
        return None

    def due(self) -> bool:
        return False

    def save(self, state: object) -> None:
        raise AssertionError


def write_images(root: Path, count: int) -> list[Sample]:
    """Small files, which are large once they are resized; every 16th has a defect."""
    root.mkdir()
    rng = np.random.default_rng(0)
    samples = []
    for number in range(count):
        pixels = rng.integers(100, 140, (12, 12, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(root / f"{number}.png")
        mask = None
        if number % 16 == 0:
            mask = f"{number}_mask.png"
            marked = np.zeros((12, 12), np.uint8)
            marked[4:6, 4:6] = 255
            Image.fromarray(marked).save(root / mask)
        samples.append(
            Sample("c", "test", "hole" if mask else "good", f"{number}.png", mask, int(bool(mask)))
        )
    return samples


def peak_of_a_cell(folder: Path, count: int) -> int:
    """Peak bytes that Python and numpy hold over all stages of a cell, mapped files apart."""
    samples = write_images(folder, count)
    cache = DiskCache(folder / "cache", None)
    method = PixelGaussian(PixelGaussian.Hyperparameters(image_size=SIDE))
    context = Context("cpu", "fp32", 0, NoCheckpoint(), cache)
    tracemalloc.start()
    try:
        images = load_images(folder, samples, Geometry(SIDE), cache)
        masks = load_masks(
            folder, samples, Geometry(SIDE), rule="nearest", threshold=0, cache=cache
        )
        method.fit(images, context)
        chunks = PredictionChunks(folder / "maps", chunk_bounds(images.categories))
        assert list(predict_missing(lambda: method, images, chunks))[-1] == count
        metrics = score_categories(samples, chunks, masks, AUPRO_LIMITS)
        assert metrics["c"]["pixel_auroc"] is not None
        assert len(image_columns(samples, chunks)["score"]) == count
        ground_truth_notes(samples, masks)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_memory_of_a_cell_does_not_grow_with_its_images(tmp_path: Path) -> None:
    peak_of_a_cell(tmp_path / "warm", 8)  # what is imported and kept for good
    few, many = peak_of_a_cell(tmp_path / "few", FEW), peak_of_a_cell(tmp_path / "many", MANY)
    per_image = SIDE * SIDE * (3 + 4)  # bytes of pixels and maps
    growth = (many - few) / (MANY - FEW)
    # What may grow is with the anomalous pixels, here 64 an image: the metrics sort them all.
    assert growth < per_image / 10, (few, many, growth, per_image)


def test_tasks_are_taken_as_results_are() -> None:
    """A hundred thousand images are no hundred thousand waiting tasks."""
    taken = []

    def items() -> object:
        for number in range(1000):
            taken.append(number)
            yield number

    results = in_threads(lambda n: n * n, items(), 2)  # type: ignore[arg-type]
    assert [next(results) for _ in range(5)] == [0, 1, 4, 9, 16]
    assert len(taken) <= 2 * 5 + 5
    assert list(results) == [n * n for n in range(5, 1000)]


def test_the_first_failure_is_raised_and_what_has_not_begun_is_not_done() -> None:
    done = []

    def task(number: int) -> int:
        if number == 3:
            raise KeyError(number)
        done.append(number)
        return number

    try:
        list(in_threads(task, range(1000), 2))
    except KeyError:
        assert len(done) < 100
    else:
        raise AssertionError("nothing was raised")


def test_verify_looks_at_images_in_order(tmp_path: Path) -> None:
    samples = write_images(tmp_path / "data", 40)
    seen = in_threads(lambda s: look_at(tmp_path / "data", 0, Geometry(8), "nearest", s), samples)
    assert [one.regions for one in seen] == [int(s.label) for s in samples]
