"""How fast, and in how much memory, the exact metrics are. Asserts nothing, prints a table.

    python tests/benchmarks/bench_metrics.py                 # all sizes, some minutes
    python tests/benchmarks/bench_metrics.py --sizes discs quarter --no-memory     # a minute
    python tests/benchmarks/bench_metrics.py --sizes small --rounds 9 --sklearn

Times are CPU seconds over all threads (nothing here starts any), medians of interleaved rounds.
"x sort" is the median over rounds of the ratio to one `np.sort` copy of the same scores in the same
round, which cancels most of what other processes do to the clock and the caches. Memory is the peak
above the loaded inputs, each method in a process of its own (Linux only). "discs" and "quarter" are
smoothed noise, all scores distinct, with under 1 % and with 20 % of the pixels anomalous.

What one `np.sort` costs depends on the processor: with AVX2 a sixth of what it does without, and on
AMD's Zen 4 six times as much with AVX-512. NPY_DISABLE_CPU_FEATURES=X86_V4 takes the AVX2 one.
"""

from __future__ import annotations

import argparse
import multiprocessing
import re
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from scipy.ndimage import gaussian_filter

from adbench.metrics.exact import pixel_metrics

SIZES = {"small": (117, 256), "large": (83, 1024), "discs": (117, 256), "quarter": (117, 256)}
Method = Callable[[np.ndarray, np.ndarray], object]


def make_group(size: str, num_images: int, side: int) -> tuple[np.ndarray, np.ndarray]:
    """Maps (N, H, W) float32 and masks (N, H, W) uint8 of that kind."""
    if size in ("discs", "quarter"):
        return smoothed_noise(num_images, side, quarter=size == "quarter")
    return blobs(num_images, side)


def smoothed_noise(num_images: int, side: int, quarter: bool) -> tuple[np.ndarray, np.ndarray]:
    """Noise of which no two scores are equal; of every six images five have a small disc and, if
    `quarter`, their left quarter anomalous."""
    rng = np.random.default_rng(0)
    noise = np.stack(
        [gaussian_filter(rng.standard_normal((side, side)), 4) for _ in range(num_images)]
    )
    maps = np.empty(noise.shape, dtype=np.float32)
    maps.reshape(-1)[np.argsort(noise, axis=None)] = np.arange(noise.size) / noise.size - 0.5
    masks = np.zeros(maps.shape, dtype=np.uint8)
    rows, columns = np.mgrid[:side, :side] / side
    for index in range(num_images):
        row, column = rng.uniform(0.3, 0.8, 2)
        if index % 6:
            masks[index] = (rows - row) ** 2 + (columns - column) ** 2 < 0.05**2
            masks[index, :, : side // 4] |= quarter
    return maps, masks


def blobs(num_images: int, side: int) -> tuple[np.ndarray, np.ndarray]:
    """Maps (N, H, W) float32 and masks (N, H, W) uint8 with about 1 % anomalous pixels.

    Every other image has one smooth blob, which the map shows shifted and under noise.
    """
    rng = np.random.default_rng(0)
    maps = np.empty((num_images, side, side), dtype=np.float32)
    masks = np.zeros((num_images, side, side), dtype=np.uint8)
    axis = np.linspace(0, 1, side, dtype=np.float32)
    for index in range(num_images):
        score_map = maps[index]
        rng.standard_normal(out=score_map, dtype=np.float32)
        score_map *= 0.25
        # A slow background, so that normal scores are spatially correlated, too.
        row_phase, column_phase = rng.uniform(0, 6, 2).astype(np.float32)
        score_map += 0.3 * np.sin(7 * axis + row_phase)[:, None]
        score_map += 0.3 * np.sin(9 * axis + column_phase)
        if index % 2:
            centre, shift = rng.uniform(0.2, 0.8, 2), rng.uniform(-0.02, 0.02, 2)
            blob = _blob(axis, centre, 0.04)
            masks[index] = blob > 0.14  # radius of about 0.08, 2 % of this image
            score_map += _blob(axis, centre + shift, 0.05)
    return maps, masks


def _blob(axis: np.ndarray, centre: np.ndarray, sigma: float) -> np.ndarray:
    row, column = np.exp(-((axis - centre[:, None]) ** 2) / (2 * sigma**2)).astype(np.float32)
    return np.outer(row, column)


def sort_scores(maps: np.ndarray, masks: np.ndarray) -> object:
    return np.sort(maps, axis=None)


def sklearn_auroc_ap_f1(maps: np.ndarray, masks: np.ndarray) -> object:
    from sklearn.metrics import average_precision_score, precision_recall_curve, roc_auc_score

    labels, scores = masks.ravel(), maps.ravel()
    precision, recall, _ = precision_recall_curve(labels, scores)
    f1 = 2 * precision * recall / np.maximum(precision + recall, 1e-300)
    return roc_auc_score(labels, scores), average_precision_score(labels, scores), f1.max()


def measure_times(
    methods: dict[str, Method], maps: np.ndarray, masks: np.ndarray, rounds: int
) -> dict[str, list[float]]:
    """CPU seconds of every method in every round; the first, warming round is dropped."""
    seconds: dict[str, list[float]] = {name: [] for name in methods}
    for _ in range(rounds + 1):
        for name, method in methods.items():
            start = time.process_time()
            method(maps, masks)
            seconds[name].append(time.process_time() - start)
    return {name: values[1:] for name, values in seconds.items()}


def measure_memory(method: Method, size: str, num_images: int, side: int) -> float:
    """Peak MB above the loaded inputs while `method` runs, in a fresh process."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(_memory_of, (method, size, num_images, side))


def _memory_of(method: Method, size: str, num_images: int, side: int) -> float:
    tiny = make_group("small", 2, 16)
    method(*tiny)  # imports and first-use tables are not the method's working memory
    maps, masks = make_group(size, num_images, side)
    Path("/proc/self/clear_refs").write_text("5")  # resets the peak to what is resident now
    before = _status_kib("VmRSS")
    method(maps, masks)
    return (_status_kib("VmHWM") - before) * 1024 / 1e6


def _status_kib(field: str) -> int:
    found = re.search(rf"^{field}:\s+(\d+) kB", Path("/proc/self/status").read_text(), re.M)
    assert found is not None
    return int(found[1])


def report(size: str, rounds: int, with_sklearn: bool, with_memory: bool) -> None:
    num_images, side = SIZES[size]
    methods: dict[str, Method] = {"np.sort": sort_scores, "pixel_metrics": pixel_metrics}
    if with_sklearn:
        methods["sklearn AUROC+AP+F1"] = sklearn_auroc_ap_f1
    # Before the parent holds inputs of its own: both copies might not fit.
    memory = {
        name: measure_memory(method, size, num_images, side) if with_memory else float("nan")
        for name, method in methods.items()
    }
    maps, masks = make_group(size, num_images, side)
    seconds = measure_times(methods, maps, masks, rounds)

    print(
        f"\n{size}: {num_images} x {side} x {side} float32, {np.count_nonzero(masks):,} anomalous"
    )
    print(f"{'method':22} {'CPU s':>8} {'x sort':>8} {'min..max':>14} {'extra MB':>9}")
    for name, values in seconds.items():
        ratios = [value / sort for value, sort in zip(values, seconds["np.sort"], strict=True)]
        spread = f"{min(ratios):.2f}..{max(ratios):.2f}"
        print(
            f"{name:22} {statistics.median(values):8.4f} {statistics.median(ratios):8.2f} "
            f"{spread:>14} {memory[name]:9.0f}"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description="Benchmark adbench.metrics against np.sort.")
    parser.add_argument("--sizes", nargs="+", choices=SIZES, default=list(SIZES))
    parser.add_argument("--rounds", type=int, default=7, help="rounds that count (default 7)")
    parser.add_argument("--sklearn", action="store_true", help="also scikit-learn, at size small")
    parser.add_argument("--no-memory", action="store_true", help="times alone")
    arguments = parser.parse_args()
    for size in arguments.sizes:
        report(
            size, arguments.rounds, arguments.sklearn and size == "small", not arguments.no_memory
        )


if __name__ == "__main__":
    main()
