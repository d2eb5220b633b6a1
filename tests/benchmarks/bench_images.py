"""How fast images reach a method: first time, and from the cache. Run it as a script.

    python tests/benchmarks/bench_images.py [--count 60] [--side 1024] [--large 13000]

The yardstick is a plain Pillow loop over the same files on the same machine, so that ratios can
be compared between machines. A warm read counts the stat of each file, opening and verifying
the cache entry in a fresh `DiskCache`, and touching every pixel.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import resource
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from adbench.contracts import Geometry, Sample
from adbench.data.cache import DiskCache
from adbench.data.images import load_images

GEOMETRY = Geometry(256)


def write_files(root: Path, count: int, side: int, suffix: str, noise: int = 4) -> None:
    """Smooth pictures with some noise, which compress about as photographs do."""
    rng = np.random.default_rng(0)
    for i in range(count):
        coarse = Image.fromarray(rng.integers(0, 256, (16, 16, 3), dtype=np.uint8))
        image = coarse.resize((side, side), Image.Resampling.BICUBIC)
        if noise:
            smooth = np.asarray(image, np.int16)
            noisy = smooth + rng.integers(-noise, noise + 1, smooth.shape)
            image = Image.fromarray(np.clip(noisy, 0, 255).astype(np.uint8))
        image.save(root / f"{i}.{suffix}", compress_level=1)


def plain_loop(root: Path, rows: list[Sample]) -> int:
    size = (GEOMETRY.resize, GEOMETRY.resize)
    total = 0
    for row in rows:
        with Image.open(root / row.path) as image:
            pixels = np.asarray(image.convert("RGB").resize(size, Image.Resampling.BILINEAR))
        total += int(pixels.sum())
    return total


def cached(root: Path, rows: list[Sample], workers: int | None = None) -> int:
    cache = DiskCache(root / "cache", None)
    return int(load_images(root, rows, GEOMETRY, cache, workers=workers).pixels.sum())


def seconds(work: Callable[[], int], repeats: int) -> tuple[float, int]:
    """The best time of `repeats`, and the last result."""
    best = float("inf")
    for _ in range(repeats):
        start = time.perf_counter()
        result = work()
        best = min(best, time.perf_counter() - start)
    return best, result


def report(root: Path, suffix: str, count: int, side: int) -> None:
    write_files(root, count, side, suffix)
    rows = [Sample("all", "train", "good", f"{i}.{suffix}", None, 0) for i in range(count)]
    plain, expected = seconds(lambda: plain_loop(root, rows), 2)
    cold, first = seconds(lambda: cached(root, rows), 1)
    warm, second = seconds(lambda: cached(root, rows), 3)
    assert expected == first == second
    for label, took in (("plain loop", plain), ("cold", cold), ("warm", warm)):
        print(f"{suffix}  {label:10}  {count / took:9.0f} images/s  {plain / took:7.2f} x plain")


def report_large(root: Path, side: int, count: int = 4) -> None:
    """Time and the most memory of a process that decodes a few very large images by 8 threads."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:  # its memory does not count
        pool.apply(write_files, (root, 1, side, "png", 0))
    for i in range(1, count):
        os.link(root / "0.png", root / f"{i}.png")
    rows = [Sample("all", "train", "good", f"{i}.png", None, 0) for i in range(count)]
    took, _ = seconds(lambda: cached(root, rows, 8), 1)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    print(f"{count} images of {side} x {side}: {took:.1f} s, at most {peak:.2f} GB in memory")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--count", type=int, default=60)
    parser.add_argument("--side", type=int, default=1024)
    parser.add_argument("--large", type=int, metavar="SIDE", help="this alone, by 8 threads")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        if options.large:
            report_large(Path(folder), options.large)
            return
        print(f"{options.count} images of {options.side} x {options.side} to 256 x 256")
        for suffix in ("png", "jpg"):
            report(Path(folder), suffix, options.count, options.side)


if __name__ == "__main__":
    main()
