"""How much faster DRDC's refinement runs here than the same network run naively. Asserts nothing.

    python tests/benchmarks/bench_drdc.py                         # the fast preset, some minutes
    python tests/benchmarks/bench_drdc.py --images 1 --threads 1

Naive is float32, contiguous, with attention as a plain softmax of the whole N x N matrix, torch's
group normalisation, and one mask of one grid after the other. Both run the same weights, taking
turns, in one process; ratios are of CPU seconds over all threads, which other processes on the
machine disturb less than the clock. A short training comes first, as a fresh network predicts
nothing.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import torch
from torch import Tensor, nn

from adbench.hyperparameters import build_hyperparameters
from adbench.machine.devices import choose_precision
from adbench.methods.drdc.losses import noise_loss
from adbench.methods.drdc.method import DRDC
from adbench.methods.drdc.network import Attention, ConditionalUNet
from adbench.methods.drdc.process import refine
from adbench.methods.drdc.scoring import mean_error, mean_filter
from adbench.methods.drdc.settings import DRDCSettings
from adbench.methods.group_norm import SmallMapGroupNorm
from adbench.methods.training import autocast

Run = Callable[[Tensor, Tensor], Tensor]


class NaiveAttention(Attention):
    """The N x N matrix written out."""

    def forward(self, x: Tensor) -> Tensor:
        batch, channels, height, width = x.shape
        tokens = self.norm(x).flatten(2).mT  # (B, N, C)
        heads = self.projection(tokens).view(batch, height * width, 3, self.heads, -1)
        query, key, value = heads.permute(2, 0, 3, 1, 4)
        weights = torch.softmax(query @ key.mT / query.shape[-1] ** 0.5, -1)
        mixed: Tensor = self.output((weights @ value).transpose(1, 2).flatten(2))
        return x + mixed.mT.reshape(x.shape)


def naive_copy(network: ConditionalUNet, own: DRDCSettings) -> ConditionalUNet:
    """The same weights, contiguous, with naive attention and torch's own normalisation."""
    copy = create(own)
    for module in list(copy.modules()):
        for name, child in list(module.named_children()):
            if isinstance(child, Attention):
                setattr(module, name, NaiveAttention(child.output.in_features))
    for module in list(copy.modules()):
        for name, child in list(module.named_children()):
            if isinstance(child, SmallMapGroupNorm):
                setattr(module, name, nn.GroupNorm(child.num_groups, child.num_channels))
    copy.load_state_dict(network.state_dict())
    copy.memory_format = torch.contiguous_format
    return copy.eval().requires_grad_(False)


def create(own: DRDCSettings) -> ConditionalUNet:
    """The preset's network."""
    return ConditionalUNet(*own.network_shape)


def main() -> None:
    options = parse()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    built = build_hyperparameters(DRDC, options.preset, {})
    assert isinstance(built, DRDCSettings)
    images = draw_images(max(options.images, built.batch_size), built.inner_size)
    fast = create(built).to(memory_format=torch.channels_last)
    print(f"{options.preset}: width {built.base_width}, {built.inner_size} px, "
          f"{built.evaluations} evaluations, {options.threads} threads")  # fmt: skip
    print(f"fast: {options.precision}, channels last, fused attention, all masks together")
    seconds = [train_step(fast, built, images, k, options) for k in range(options.train_steps)]
    if seconds:
        print(f"training step, batch {built.batch_size}: {middle(seconds):.2f} CPU-s", flush=True)
    fast.eval().requires_grad_(False)
    compare(fast, naive_copy(fast, built), built, images[: options.images], options.precision)


def train_step(
    network: nn.Module,
    own: DRDCSettings,
    images: Tensor,
    step: int,
    options: argparse.Namespace,
) -> float:
    """CPU seconds of forward, backward and a plain gradient step."""
    started = time.process_time()
    loss = noise_loss(network, lambda indices: images[indices], own)
    with autocast("cpu", options.precision):
        value = loss(torch.arange(own.batch_size), torch.Generator().manual_seed(step))
    network.zero_grad()
    value.backward()
    with torch.no_grad():
        for parameter in network.parameters():
            if parameter.grad is not None:
                parameter.sub_(0.05 * parameter.grad)
    return time.process_time() - started


def compare(
    fast: nn.Module, naive: nn.Module, own: DRDCSettings, images: Tensor, precision: str
) -> None:
    """The refinement of each image, in turns, and how far the maps are apart."""
    seconds: dict[str, list[float]] = {"fast": [], "naive": []}
    maps: dict[str, list[Tensor]] = {"fast": [], "naive": []}
    runs: dict[str, tuple[Run, str]] = {
        "fast": (fast, precision),
        "naive": (one_by_one(naive), "fp32"),
    }
    for index, image in enumerate(images.split(1)):
        for name, (network, kind) in runs.items():
            started = time.process_time()
            maps[name].append(refined_map(network, image, own, index, kind))
            seconds[name].append(time.process_time() - started)
    a, b = middle(seconds["fast"]), middle(seconds["naive"])
    print(f"one image: naive {b:.2f} CPU-s, fast {a:.2f} CPU-s, ratio {b / a:.2f}")
    found, expected = torch.cat(maps["fast"]), torch.cat(maps["naive"])
    largest = (found - expected).abs().max() / expected.mean()
    print(f"largest difference of maps over their mean {largest:.4f}")


def one_by_one(network: nn.Module) -> Run:
    """Rows of a batch after each other."""

    def run(inputs: Tensor, t: Tensor) -> Tensor:
        rows = zip(inputs.split(1), t.split(1), strict=True)
        return torch.cat([network(row, own) for row, own in rows])

    return run


@torch.inference_mode()
def refined_map(
    network: Run, image: Tensor, own: DRDCSettings, index: int, precision: str
) -> Tensor:
    """The smoothed error map (1, H, W)."""

    def predict(inputs: Tensor, t: Tensor) -> Tensor:
        with autocast("cpu", precision):
            return network(inputs, t)

    generators = [[torch.Generator().manual_seed(100 * index + c) for c in own.grids]]
    steps = (step.images for step in refine(predict, image, generators, own))
    return mean_filter(mean_error(image, steps, own.scales), own.smoothing_kernel)


def draw_images(count: int, size: int) -> Tensor:
    """Smooth random images in [-1, 1]."""
    small = torch.rand(count, 3, 7, 7, generator=torch.Generator().manual_seed(0)) * 1.6 - 0.8
    return nn.functional.interpolate(small, (size, size), mode="bicubic").clamp(-1, 1)


def middle(seconds: list[float]) -> float:
    return sorted(seconds)[len(seconds) // 2]


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--preset", default="fast", choices=sorted(DRDC.presets))
    parser.add_argument("--images", type=int, default=3, help="refined one by one")
    parser.add_argument("--train-steps", type=int, default=5)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--precision", default=choose_precision("cpu"), choices=("fp32", "bf16"))
    return parser.parse_args()


if __name__ == "__main__":
    main()
