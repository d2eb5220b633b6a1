"""How fast images reach a method: first time, and from the cache. Run it as a script.

    python tests/benchmarks/bench_images.py [--count 60] [--side 1024]

The yardstick is a plain Pillow loop over the same files on the same machine, so that ratios can
be compared between machines. A warm read counts the stat of each file, opening and verifying
the cache entry in a fresh `DiskCache`, and touching every pixel.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from adbench.cache import DiskCache
from adbench.contracts import Geometry, Sample
from adbench.images import load_images

GEOMETRY = Geometry(256)


def write_files(root: Path, count: int, side: int, suffix: str) -> list[Sample]:
    """Smooth pictures with some noise, which compress about as photographs do."""
    rng = np.random.default_rng(0)
    rows = []
    for i in range(count):
        coarse = Image.fromarray(rng.integers(0, 256, (16, 16, 3), dtype=np.uint8))
        smooth = np.asarray(coarse.resize((side, side), Image.Resampling.BICUBIC), np.int16)
        noisy = np.clip(smooth + rng.integers(-4, 5, smooth.shape), 0, 255).astype(np.uint8)
        Image.fromarray(noisy).save(root / f"{i}.{suffix}")
        rows.append(Sample("all", "train", "good", f"{i}.{suffix}", None, 0))
    return rows


def plain_loop(root: Path, rows: list[Sample]) -> int:
    size = (GEOMETRY.resize, GEOMETRY.resize)
    total = 0
    for row in rows:
        with Image.open(root / row.path) as image:
            pixels = np.asarray(image.convert("RGB").resize(size, Image.Resampling.BILINEAR))
        total += int(pixels.sum())
    return total


def cached(root: Path, rows: list[Sample], folder: Path) -> int:
    images = load_images(root, rows, GEOMETRY, DiskCache(folder, None))
    return int(images.pixels.sum())


def seconds(work: Callable[[], int], repeats: int = 1) -> tuple[float, int]:
    """The best time of `repeats`, and the last result."""
    best = float("inf")
    for _ in range(repeats):
        start = time.perf_counter()
        result = work()
        best = min(best, time.perf_counter() - start)
    return best, result


def report(suffix: str, count: int, side: int) -> None:
    with tempfile.TemporaryDirectory() as name:
        root, folder = Path(name), Path(name) / "cache"
        rows = write_files(root, count, side, suffix)
        plain, expected = seconds(lambda: plain_loop(root, rows), 2)
        cold, first = seconds(lambda: cached(root, rows, folder))
        warm, second = seconds(lambda: cached(root, rows, folder), 3)
    assert expected == first == second
    for label, took in (("plain loop", plain), ("cold", cold), ("warm", warm)):
        print(f"{suffix}  {label:10}  {count / took:9.0f} images/s  {plain / took:7.2f} x plain")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--count", type=int, default=60)
    parser.add_argument("--side", type=int, default=1024)
    options = parser.parse_args()
    print(f"{options.count} images of {options.side} x {options.side} to 256 x 256")
    for suffix in ("png", "jpg"):
        report(suffix, options.count, options.side)


if __name__ == "__main__":
    main()
