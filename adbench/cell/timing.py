"""Inference timing as an exclusive phase: warm-up, then median and p95, device named.

What was measured while other work used the machine is marked `valid: false` and left out of
tables.
"""

from __future__ import annotations

import fcntl
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

from adbench.contracts import Images, Method
from adbench.machine.devices import device_name, synchronise
from adbench.machine.load import ForeignLoad
from adbench.machine.memory import PeakMemory

WARM_UP = 3
MIN_REPEATS, MAX_REPEATS = 5, 50
BUDGET_SECONDS = 5.0


@contextmanager
def exclusive(device: str) -> Iterator[bool]:
    """Hold the host's lock for `device`; gives False where another timing holds it already."""
    owner = os.getuid() if hasattr(os, "getuid") else 0
    name = f"adbench-timing-{owner}-{device.replace(':', '')}.lock"
    # In a folder that all may write to: never through a link, and nothing is ever truncated.
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW
    try:
        stream = open(os.open(Path(tempfile.gettempdir()) / name, flags, 0o600))
    except OSError:
        yield False
        return
    with stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            yield False
            return
        yield True


def measure_inference(method: Method, images: Images, device: str) -> dict[str, Any]:
    """Time `predict` on real test images, one by one and in the method's own batches.

    Seconds are wall seconds. Decoding and reading are outside, features are inside.
    """
    with exclusive(device) as alone:
        load = ForeignLoad()
        memory = PeakMemory(device)
        single = _repeat(method, images, 1, device)
        size = min(method.batch_size, len(images))
        batched = _repeat(method, images, size, device) if size > 1 else single
        undisturbed = load.verdict()
        host_bytes, device_bytes = memory.host_bytes(), memory.device_bytes()
    flops = count_flops(method, images[:1])
    return {
        "device": device.partition(":")[0],
        "device_name": device_name(device),
        "foreign_load": undisturbed["foreign_load"],
        "valid": alone and undisturbed["valid"],
        "seconds_per_image": _summary(single, 1),
        "batch_size": size,
        "seconds_per_image_batched": _summary(batched, size),
        "images_per_second": size / median(batched),
        "peak_rss_bytes": host_bytes,
        "peak_device_bytes": device_bytes,
        "parameters": method.num_parameters(),
        "flops_per_image": flops + method.search_flops(),
        "flops_networks": flops,
    }


def count_flops(method: Method, image: Images) -> float:
    """FLOPs (2 x MAC) that torch operators spend on one image, without foreign search code."""
    from torch.utils.flop_counter import FlopCounterMode

    with FlopCounterMode(display=False) as counter:
        method.predict(image)
    return float(counter.get_total_flops())


def _repeat(method: Method, images: Images, size: int, device: str) -> list[float]:
    """Wall seconds of each `predict` call on `size` images, cycling through `images`."""
    starts = range(0, len(images) - size + 1, size)
    began = time.perf_counter()
    seconds: list[float] = []
    call = 0
    while True:
        start = starts[call % len(starts)]
        batch = images[start : start + size]
        synchronise(device)
        before = time.perf_counter()
        method.predict(batch)
        synchronise(device)
        after = time.perf_counter()
        # A slow method warms up once only: its first call says little about the next ones.
        if call >= WARM_UP or (call >= 1 and after - began > BUDGET_SECONDS / 3):
            seconds.append(after - before)
        call += 1
        enough = len(seconds) >= MIN_REPEATS and after - began > BUDGET_SECONDS
        if len(seconds) >= MAX_REPEATS or enough:
            return seconds


def _summary(seconds: list[float], size: int) -> dict[str, float]:
    ordered = sorted(seconds)
    p95 = ordered[min(len(ordered) - 1, round(0.95 * (len(ordered) - 1)))]
    return {"median": median(seconds) / size, "p95": p95 / size, "repeats": len(seconds)}
