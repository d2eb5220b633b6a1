"""UniAD's transformer on a CPU: what its own attention and dropout save in training.

    python tests/benchmarks/bench_uniad.py [--size 14] [--threads 1] [--repeats 3]

Prints wall and processor seconds (median) of a training step on a batch of 8, in float32 and
bfloat16: as it is, with torch's fused attention, with torch's dropout, and without dropout.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from unittest import mock

import torch
from torch import nn

from adbench.methods.reconstruction import network as attention
from adbench.methods.reconstruction.losses import reconstruction_loss
from adbench.methods.reconstruction.method import ReconstructionSettings
from adbench.methods.reconstruction.network import Dropout, FeatureTransformer
from adbench.methods.training import autocast

CHANNELS = 192


def measure(name: str, call: Callable[[], object], repeats: int) -> None:
    """Print the median cost of a call."""
    call()
    wall, processor = [], []
    for _ in range(repeats):
        started = time.perf_counter(), time.process_time()
        call()
        wall.append(time.perf_counter() - started[0])
        processor.append(time.process_time() - started[1])
    print(
        f"{name:<52} {statistics.median(wall):>9.4f} {statistics.median(processor):>9.4f}",
        flush=True,
    )


def training_step(own: ReconstructionSettings, precision: str) -> Callable[[], None]:
    """A step of the optimiser on eight random maps."""
    network = FeatureTransformer(CHANNELS, own.feature_size, dropout=own.dropout)
    optimizer = torch.optim.AdamW(network.parameters(), fused=True)
    features = torch.randn(8, own.feature_size, own.feature_size, CHANNELS)
    loss = reconstruction_loss(network, lambda indices: features[indices])

    def step() -> None:
        optimizer.zero_grad()
        with autocast("cpu", precision):
            value = loss(torch.arange(8), torch.Generator().manual_seed(0))
        value.backward()
        nn.utils.clip_grad_norm_(network.parameters(), own.gradient_clip)
        optimizer.step()

    return step


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--size", type=int, default=14)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    own = ReconstructionSettings(feature_size=options.size)
    without = ReconstructionSettings(feature_size=options.size, dropout=0)
    fused = mock.patch.object(attention, "PRODUCTS_UP_TO", 0)
    theirs = mock.patch.object(
        Dropout,
        "forward",
        lambda module, values: nn.functional.dropout(values, module.share, module.training),
    )
    print(f"{options.threads} thread(s){'':<40} wall s     CPU s")
    for precision in ("fp32", "bf16"):
        measure(f"step, {precision}", training_step(own, precision), options.repeats)
        with fused:
            measure(
                f"step, {precision}, torch's fused attention",
                training_step(own, precision),
                options.repeats,
            )
        with theirs:
            measure(
                f"step, {precision}, torch's dropout",
                training_step(own, precision),
                options.repeats,
            )
        with fused, theirs:
            measure(
                f"step, {precision}, both of torch", training_step(own, precision), options.repeats
            )
        measure(
            f"step, {precision}, no dropout", training_step(without, precision), options.repeats
        )
        with fused:
            measure(
                f"step, {precision}, no dropout, fused attention",
                training_step(without, precision),
                options.repeats,
            )


if __name__ == "__main__":
    main()
