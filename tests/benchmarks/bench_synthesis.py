"""How fast TransFusion's synthetic anomalies are made, and where the time goes. Run as a script.

    python tests/benchmarks/bench_synthesis.py [--batch 8] [--size 256] [--batches 20]
                                               [--textures DIR] [--device cpu] [--threads 2]

Prints samples a second (every sample of the batch counts, though half of them stay normal), each
stage's share, and the same for the noise map alone against a plain numpy loop over samples, the
yardstick that lets ratios be compared between machines. CPU seconds are printed beside wall time:
on a busy machine they are the steadier number.
"""

from __future__ import annotations

import argparse
import math
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage

from adbench.methods.transfusion.process import transparency_schedule
from adbench.methods.transfusion.synthesis import (
    FolderTextures,
    ProceduralTextures,
    TextureBank,
    anomalies,
    noise,
    synthesise,
)

STAGES = {
    "lattice noise": (noise, "gradient_noise"),
    "noise rotation": (noise, "turned"),
    "masks": (anomalies, "anomaly_mask"),
    "previous masks": (anomalies, "simulate_previous_mask"),
    "ten augmentations": (anomalies, "augment"),
    "structural shuffle": (anomalies, "shuffle_patches"),
    "sample rotation": (anomalies, "turned"),
    "composition": (anomalies, "_compose"),
}


def timed(function: Callable[..., Any], name: str, spent: dict[str, float]) -> Callable[..., Any]:
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        start = time.perf_counter()
        result = function(*args, **kwargs)
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        spent[name] += time.perf_counter() - start
        return result

    return wrapper


def loop_noise(count: int, size: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """The noise of spec 5.1 in the usual way: one sample at a time, four corners at a time."""
    maps = []
    for _ in range(count):
        rows, columns = 2 ** rng.integers(0, 6, 2)
        angles = rng.uniform(0, 2 * math.pi, (rows + 1, columns + 1))
        y, x = np.meshgrid(
            np.arange(size) * rows / size, np.arange(size) * columns / size, indexing="ij"
        )
        i, j = y.astype(int), x.astype(int)
        y, x = y - i, x - j
        fade_y, fade_x = (v**3 * (v * (v * 6 - 15) + 10) for v in (y, x))
        value = np.zeros((size, size))
        for a in (0, 1):
            for b in (0, 1):
                angle = angles[i + a, j + b]
                dot = np.cos(angle) * (y - a) + np.sin(angle) * (x - b)
                weight = (fade_y if a else 1 - fade_y) * (fade_x if b else 1 - fade_x)
                value += weight * dot
        turned = ndimage.rotate(value, rng.uniform(-90, 90), reshape=False, order=1)
        maps.append(turned * math.sqrt(2))
    return np.stack(maps)


def report(label: str, samples: int, work: Callable[[], object]) -> float:
    """Run once, print its rate, return its wall seconds."""
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    print(f"{label:34} {samples / wall:8.1f} samples/s wall   {samples / cpu:8.1f} per CPU second")
    return wall


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--batches", type=int, default=20)
    parser.add_argument("--textures", type=Path)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    bank: TextureBank = (
        FolderTextures(options.textures, options.size)
        if options.textures
        else ProceduralTextures(options.size, count=60)
    )
    bank.take(range(min(60, len(bank))))  # what training pays once
    shape = (options.batch, 3, options.size, options.size)
    generator = torch.Generator().manual_seed(0)
    images = (torch.rand(shape, generator=generator) * 2 - 1).to(options.device)
    foreground = torch.ones_like(images[:, :1], dtype=torch.bool)
    schedule = transparency_schedule(20)

    def run() -> None:
        for _ in range(options.batches):
            synthesise(images, foreground, bank, schedule, generator)
        if torch.cuda.is_available():
            torch.cuda.synchronize()

    run()
    print(f"batch {options.batch} at {options.size} on {options.device}, {options.threads} threads")
    report("synthesise", options.batch * options.batches, run)

    spent: dict[str, float] = defaultdict(float)
    for name, (module, attribute) in STAGES.items():
        setattr(module, attribute, timed(getattr(module, attribute), name, spent))
    start = time.perf_counter()
    run()
    total = time.perf_counter() - start
    for name in STAGES:
        print(f"  {name:22} {spent[name] / total:6.1%}")
    print(f"  {'the rest':22} {1 - sum(spent.values()) / total:6.1%}")

    rng = np.random.default_rng(0)
    device = torch.device(options.device)
    ours = report(
        "noise and its rotation, batched",
        64,
        lambda: [noise.random_noise(8, options.size, device, generator).cpu() for _ in range(8)],
    )
    plain = report(
        "noise and its rotation, numpy loop", 64, lambda: loop_noise(64, options.size, rng)
    )
    print(f"ratio {plain / ours:.1f} x")


if __name__ == "__main__":
    main()
