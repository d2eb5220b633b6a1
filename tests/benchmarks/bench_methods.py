"""What training and prediction cost here, and how much faster than written naively. No asserts.

    python tests/benchmarks/bench_methods.py                            # all, fast preset
    python tests/benchmarks/bench_methods.py transfusion drdc --steps 3 --images 2 --threads 1

Naive is float32, attention as a plain softmax of the whole N x N matrix, torch's own group
normalisation and SiLU, and images laid out channel by channel, as in the official codes. Both run
in one process, taking turns `--rounds` times, of which the fastest counts; times are CPU seconds
over all threads, which other processes on the machine disturb less than the clock. A training step
is the difference between a fit of `--steps` + 1 steps and one of a single step, so that it holds
neither features nor coresets. `--set k=v` changes a hyper-parameter, for instance image_size.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any
from unittest import mock

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from adbench.contracts import Context, Images, Method
from adbench.data.cache import DiskCache
from adbench.hyperparameters import build_hyperparameters
from adbench.machine.devices import choose_precision
from adbench.methods.group_norm import GroupNorm
from adbench.methods.unet import UNet
from adbench.registry import load_method


class NoCheckpoint:
    """Nothing is kept."""

    def load(self) -> None:
        return None

    def due(self) -> bool:
        return False

    def save(self, state: Any) -> None:
        raise AssertionError("never due")


def plain_attention(query: Tensor, key: Tensor, value: Tensor, **_: Any) -> Tensor:
    """The N x N matrix written out."""
    return torch.softmax(query @ key.mT / query.shape[-1] ** 0.5, -1) @ value


def plain_norm(norm: GroupNorm, x: Tensor) -> Tensor:
    """torch's own."""
    normalised = nn.GroupNorm.forward(norm, x)
    return torch.nn.functional.silu(normalised) if norm.silu else normalised


@contextmanager
def naively() -> Iterator[None]:
    """Without what makes it fast."""
    attention = mock.patch("torch.nn.functional.scaled_dot_product_attention", plain_attention)
    norm = mock.patch.object(GroupNorm, "forward", plain_norm)
    with attention, norm, mock.patch.object(UNet, "memory_format", torch.contiguous_format):
        yield


def draw_images(count: int, size: int) -> Images:
    """Smooth pictures with some noise."""
    rng = np.random.default_rng(0)
    pixels = np.empty((count, size, size, 3), np.uint8)
    for row in pixels:
        coarse = Image.fromarray(rng.integers(0, 256, (8, 8, 3), dtype=np.uint8))
        smooth = np.asarray(coarse.resize((size, size), Image.Resampling.BICUBIC), np.int16)
        row[:] = np.clip(smooth + rng.integers(-4, 5, smooth.shape), 0, 255)
    return Images(pixels, tuple(f"a/train/good/{i}.png" for i in range(count)), ("a",) * count)


def fitted(method: type[Method], steps: int, options: argparse.Namespace, context: Context) -> Any:
    """The method after so many optimiser steps, and the CPU seconds of that."""
    fields = method.Hyperparameters.model_fields
    own = dict(pair.split("=") for pair in options.set)
    own |= {"steps": str(steps)} if "steps" in fields else {}
    built = method(build_hyperparameters(method, options.preset, own))
    train = draw_images(options.train, built.geometry.size)
    began = time.process_time()
    built.fit(train, context)
    return built, time.process_time() - began


def measure(
    method: type[Method], naive: bool, options: argparse.Namespace, cache: DiskCache
) -> tuple[float, list[float]]:
    """CPU seconds of a training step and of the prediction of each image."""
    context = Context("cpu", "fp32" if naive else options.precision, 0, NoCheckpoint(), cache)
    fitted(method, 1, options, context)  # pays for what is made once
    _, one = fitted(method, 1, options, context)
    built, more = fitted(method, options.steps + 1, options, context)
    images, seconds = draw_images(options.images + 1, built.geometry.size), []
    for i in range(len(images)):  # the first pays for what is made once
        image = Images(images.pixels[i : i + 1], images.ids[i : i + 1], ("a",))
        began = time.process_time()
        built.predict(image)
        seconds.append(time.process_time() - began)
    return max(0.0, more - one) / options.steps, seconds[1:]


def main() -> None:
    options = parse()
    torch.set_num_threads(options.threads)
    print(f"{options.preset}, {options.precision}, {options.threads} threads, CPU seconds")
    print(f"{'method':14}{'':16}{'naive':>10}{'here':>10}{'ratio':>8}")
    for name in options.methods:
        method = load_method(name)
        with tempfile.TemporaryDirectory() as folder:
            cache = DiskCache(Path(folder), None)
            slow, fast = [], []
            for _ in range(options.rounds):
                with naively():
                    slow.append(measure(method, True, options, cache))
                fast.append(measure(method, False, options, cache))
        show(name, "training step", min(s for s, _ in slow), min(s for s, _ in fast))
        show(name, "one image", *(min(median(s) for _, s in each) for each in (slow, fast)))


def show(name: str, what: str, naive: float, here: float) -> None:
    """A line of the table."""
    ratio = f"{naive / here:8.2f}" if here else ""
    print(f"{name:14}{what:16}{naive:10.3f}{here:10.3f}{ratio}", flush=True)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    everything = ["patchcore", "uniad", "lafite", "drdc", "transfusion"]
    parser.add_argument("methods", nargs="*", default=everything)
    parser.add_argument("--preset", default="fast")
    parser.add_argument("--train", type=int, default=16, help="training images")
    parser.add_argument("--steps", type=int, default=5, help="optimiser steps that count")
    parser.add_argument("--images", type=int, default=3, help="predicted one by one")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--set", action="append", default=[], metavar="K=V")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--precision", default=choose_precision("cpu"), choices=("fp32", "bf16"))
    return parser.parse_args()


if __name__ == "__main__":
    main()
