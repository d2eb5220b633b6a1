"""Memory stays where it is when a data set grows: every pass over images and maps is chunked."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from toy import PIXEL

import adbench
from adbench.contracts import Geometry, Sample, Split
from adbench.data.pixels import look_at
from adbench.machine.threads import MemoryBudget, in_threads
from adbench.metrics.exact import ranking

SIDE = 128
FEW, MANY = 160, 352  # two chunks of test images, and three
CARD = """
from adbench.contracts import DatasetCard
from adbench.datasets.mvtec_layout import MVTEC_TREE, MVTecLayout


class Many(MVTecLayout):
    card = DatasetCard(
        name="many", title="Many", licence="CC0", page="none", citation="", layout=MVTEC_TREE,
        directory_names=("many",), categories={},
    )
"""


def write_set(folder: Path, images: int) -> list[Sample]:
    """A data set of small files and its class in `folder`; half is for training, every 16th of the
    others has a defect."""
    rng = np.random.default_rng(0)
    samples = []
    for number in range(images):
        split: Split = "test" if number % 2 else "train"
        defect = "hole" if number % 16 == 1 else "good"
        path = f"part/{split}/{defect}/{number:06d}.png"
        mask = path.replace("test", "ground_truth") if defect == "hole" else None
        for name in filter(None, (path, mask)):
            (folder / "many" / name).parent.mkdir(parents=True, exist_ok=True)
        pixels = rng.integers(100, 140, (12, 12, 3), dtype=np.uint8)
        if mask:
            marked = np.zeros((12, 12), np.uint8)
            marked[4:6, 4:6] = 255
            Image.fromarray(marked).save(folder / "many" / mask, compress_level=1)
        Image.fromarray(pixels).save(folder / "many" / path, compress_level=1)
        samples.append(Sample("part", split, defect, path, mask, int(defect == "hole")))
    (folder / "many.py").write_text(CARD)
    return samples


def run(folder: Path, images: int) -> None:
    write_set(folder, images)
    table = adbench.run(
        f"{PIXEL}[image_size={SIDE}]", f"{folder / 'many.py'}:Many", preset="smoke",
        data_root=folder, results=folder / "results", device="cpu", timing=False,
    )  # fmt: skip
    assert table["pixel_auroc"].notna().all()


def peak_of_a_run(folder: Path, images: int) -> int:
    """Peak bytes that Python and numpy hold over a whole run, mapped files apart."""
    tracemalloc.start()
    try:
        run(folder, images)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_memory_of_a_run_does_not_grow_with_its_images(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ADBENCH_CACHE", str(tmp_path / "cache"))
    # Scores are sorted up to a limit at a time, which so few images would not reach.
    monkeypatch.setattr(ranking, "_LARGEST_CHUNK", 2**19)
    run(tmp_path / "warm", 32)  # what is imported and kept for good
    few, many = (peak_of_a_run(tmp_path / str(count), count) for count in (FEW, MANY))
    per_image = SIDE * SIDE * (3 + 4)  # bytes of pixels and maps
    growth = (many - few) / (MANY - FEW)
    # What may grow is with the anomalous pixels, which the metrics sort, and each image's counts.
    assert growth < per_image / 4, (few, many, growth, per_image)


@pytest.mark.stress
def test_a_hundred_thousand_images_take_less_than_two_gigabytes(tmp_path: Path) -> None:
    write_set(tmp_path, int(os.environ.get("IMAGES", "100000")))
    data = ["many.py:Many", "--data-root", "."]
    run = ["run", "--methods", f"{PIXEL}[image_size=16]", "--dataset", *data, "--preset", "smoke",
           "--no-timing"]  # fmt: skip
    verify = ["data", "verify", *data, "--evaluation-size", "16"]
    for words in (verify, run, run, ["report"], ["report", "--format", "html", "--out", "r.html"]):
        process = subprocess.Popen(
            [sys.executable, "-m", "adbench.cli", *words], cwd=tmp_path, stdout=subprocess.DEVNULL,
            env={**os.environ, "ADBENCH_CACHE": str(tmp_path / "cache")},
        )  # fmt: skip
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        assert process.returncode == 0, words
        assert usage.ru_maxrss * 1024 < 2e9, words


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

    def task(number: int) -> None:
        if number == 3:
            raise KeyError(number)
        done.append(number)

    with pytest.raises(KeyError):
        list(in_threads(task, range(1000), 2))
    assert len(done) < 100


def test_threads_wait_for_room() -> None:
    budget, lock = MemoryBudget(100), threading.Lock()
    inside, most = 0, 0

    def work(size: int) -> None:
        nonlocal inside, most
        for _ in range(50):
            with budget.hold(size), budget.hold(1000):  # further room is free within
                with lock:
                    inside += size
                    most = max(most, inside if size <= 100 else 0)
                    assert size <= 100 or inside == size, "too large for the budget: alone"
                with lock:
                    inside -= size

    list(in_threads(work, (30, 40, 50, 60, 500, 100), 6))
    assert inside == 0 and most <= 100
    with pytest.raises(ZeroDivisionError), budget.hold(100):
        raise ZeroDivisionError
    with budget.hold(100):
        pass


def test_verify_looks_at_images_in_order(tmp_path: Path) -> None:
    samples = write_set(tmp_path, 40)
    root = tmp_path / "many"
    seen = in_threads(lambda s: look_at(root, 0, Geometry(8), "nearest", s), samples)
    assert [one.regions for one in seen] == [s.label for s in samples]
