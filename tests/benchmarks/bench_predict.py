"""What `adbench predict` costs beside its prediction, and how its memory grows with the images.

python tests/benchmarks/bench_predict.py               200 images of 512 pixels, PatchCore fast
python tests/benchmarks/bench_predict.py --many 100000 so many small ones, in a process apart
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image, ImageFilter

sys.path.insert(0, str(Path(__file__).parents[1] / "support"))
from toy import PIXEL, Toy, write_toy  # noqa: E402

import adbench  # noqa: E402
from adbench.apply.files import predict_files  # noqa: E402
from adbench.apply.fitted import square_of  # noqa: E402
from adbench.apply.inputs import find_inputs  # noqa: E402
from adbench.apply.table import PredictionTable, rows_of  # noqa: E402
from adbench.data.decode import plain_image  # noqa: E402

CONTENT = (("train", "good", 12), ("test", "good", 2), ("test", "hole", 2))


def write_photographs(folder: Path, count: int, side: int) -> None:
    """Images that compress as photographs do: smooth with grain."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    for number in range(count):
        smooth = Image.fromarray(rng.integers(0, 255, (side, side, 3), np.uint8))
        smooth = smooth.filter(ImageFilter.GaussianBlur(side / 20))
        grain = rng.normal(0, 3, (side, side, 3))
        pixels = (np.asarray(smooth) + grain).clip(0, 255).astype(np.uint8)
        Image.fromarray(pixels).save(folder / f"{number:06d}.png", compress_level=1)


def fitted(folder: Path, method: str, preset: str, side: int) -> tuple[Toy, Path]:
    data, results = write_toy(folder / "data", ("a",), side, CONTENT), folder / "results"
    adbench.run(method, data.reference, preset=preset, data_root=data.folder, results=results,
                calibrate=0.25, timing=False, device="cpu")  # fmt: skip
    return data, results


def ratio(folder: Path, count: int, side: int) -> None:
    """Wall time of a whole prediction against decoding and inference alone, one after the other."""
    _, results = fitted(folder, "patchcore", "fast", 256)
    write_photographs(folder / "new", count, side)
    cell, images = (
        adbench.load_cell("patchcore", results, device="cpu"),
        find_inputs(folder / "new"),
    )
    began, used = time.perf_counter(), time.process_time()
    squares = []
    for image in images.images:
        with plain_image(image.path) as picture:
            squares.append(square_of(picture, cell.geometry))
    decoded, decoded_used = time.perf_counter(), time.process_time()
    size, names = cell.method.batch_size, [image.name for image in images.images]
    cell.score(np.stack(squares[:size]), names[:size])  # warm
    warm, warm_used = time.perf_counter(), time.process_time()
    for start in range(0, count, size):
        cell.score(np.stack(squares[start : start + size]), names[start : start + size])
    alone = decoded - began + time.perf_counter() - warm
    cpu_alone = time.process_time() - used - (warm_used - decoded_used)
    for maps in (True, False):
        began, used = time.perf_counter(), time.process_time()
        predict_files(cell, images.images, folder / "new", folder / f"out{maps}", alpha=0.05,
                      maps=maps, progress=lambda done, total: None)  # fmt: skip
        took = time.perf_counter() - began
        print(
            f"{count} images of {side} pixels, maps {maps}: {took:.1f} s, decoding and inference "
            f"alone {alone:.1f} s: {took / alone:.2f}; processor "
            f"{(time.process_time() - used) / cpu_alone:.2f}"
        )


def fill(results: Path, new: Path, out: Path, count: int) -> None:
    """A table that holds so many of the images already, as a killed run leaves it."""
    cell, images = adbench.load_cell(PIXEL, results, device="cpu"), find_inputs(new).images
    table = PredictionTable(out, cell, new)
    with table.claimed():
        table.resume(images, 0.05, lambda name: True)
        with table.growing() as add:
            for row in rows_of(cell, [image.name for image in images[:count]], [3.5] * count, 0.05):
                add(row)


def memory(folder: Path, count: int, left: int) -> None:
    """Peak memory of the command on so many images of 64 pixels, all but `left` of which are in the
    table already."""
    data, results = fitted(folder, PIXEL, "smoke", 64)
    new = folder / "new"
    new.mkdir()
    content = (data.root / "a" / "test" / "hole" / "000.png").read_bytes()
    for number in range(count):
        if number % 10_000 == 0:  # a file system allows 65,000 links
            source = new / f"{number:06d}.png"
            source.write_bytes(content)
        else:
            os.link(source, new / f"{number:06d}.png")
    if left < count:
        fill(results, new, folder / "out", count - left)
    command = [sys.executable, "-m", "adbench.cli", "predict", "--cell", PIXEL, str(new)]
    command += ["--results", str(results), "--out", str(folder / "out"), "--device", "cpu"]
    command += ["--no-maps"] if left < count else []
    began = time.perf_counter()
    subprocess.run(command, check=True)
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 2**20
    print(f"{count} images: peak {peak:.2f} GiB, {time.perf_counter() - began:.0f} s")


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--many", type=int, default=0)
    parser.add_argument("--left", type=int, default=None)
    parser.add_argument("--images", type=int, default=200)
    parser.add_argument("--side", type=int, default=512)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        os.environ.setdefault("ADBENCH_CACHE", f"{name}/cache")
        if given.many:
            memory(Path(name), given.many, given.left or given.many)
        else:
            ratio(Path(name), given.images, given.side)
