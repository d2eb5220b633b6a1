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
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image

from adbench.contracts import Geometry, Sample
from adbench.data.cache import DiskCache
from adbench.data.images import load_images

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


def report_large(side: int, count: int = 4) -> None:
    """Time and the most memory of a process that decodes a few very large images by 8 threads."""
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        (row,) = write_large(root, side)
        rows = [row]
        for i in range(1, count):
            os.link(root / row.path, root / f"{i}.png")
            rows.append(replace(row, path=f"{i}.png"))
        start = time.perf_counter()
        load_images(root, rows, GEOMETRY, DiskCache(root / "cache", None), workers=8)
        took = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    print(f"{count} images of {side} x {side}: {took:.1f} s, at most {peak:.2f} GB in memory")


def write_large(root: Path, side: int) -> list[Sample]:
    """By a process of its own, whose memory does not count."""
    context = multiprocessing.get_context("spawn")
    with context.Pool(1) as pool:
        pool.apply(_write_large, (root, side))
    return [Sample("all", "train", "good", "0.png", None, 0)]


def _write_large(root: Path, side: int) -> None:
    coarse = Image.fromarray(np.random.default_rng(0).integers(0, 256, (16, 16, 3), np.uint8))
    smooth = coarse.resize((side, side), Image.Resampling.BICUBIC)
    smooth.save(root / "0.png", compress_level=1)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--count", type=int, default=60)
    parser.add_argument("--side", type=int, default=1024)
    parser.add_argument("--large", type=int, metavar="SIDE", help="this alone, by 8 threads")
    options = parser.parse_args()
    if options.large:
        report_large(options.large)
        return
    print(f"{options.count} images of {options.side} x {options.side} to 256 x 256")
    for suffix in ("png", "jpg"):
        report(suffix, options.count, options.side)


if __name__ == "__main__":
    main()
