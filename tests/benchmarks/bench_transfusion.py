"""How much faster TransFusion runs here than the same network run naively. Asserts nothing.

    python tests/benchmarks/bench_transfusion.py                            # some minutes
    python tests/benchmarks/bench_transfusion.py --size 128 --images 2 --threads 1

Naive is float32, contiguous, with attention as a plain softmax of the whole N x N matrix. Both
run the same weights, taking turns, in one process; ratios are of CPU seconds over all threads,
which other processes on the machine disturb less than the clock. A short training comes first,
because the masks of a random network hover around the threshold.
"""

from __future__ import annotations

import argparse
import time

import torch
from torch import Tensor, nn

from adbench.machine.devices import choose_precision
from adbench.methods.training import autocast
from adbench.methods.transfusion.losses import Targets, transfusion_loss
from adbench.methods.transfusion.network import Attention, TransFusionUNet
from adbench.methods.transfusion.process import final_map, sample, transparency_schedule
from adbench.methods.transfusion.synthesis import ProceduralTextures, SynthesisBatch, synthesise


class NaiveAttention(Attention):
    """The N x N matrix written out."""

    def forward(self, x: Tensor) -> Tensor:
        batch, channels, height, width = x.shape
        tokens = x.flatten(2).mT  # (B, N, C)
        query, key, value = self.projection(tokens).chunk(3, -1)
        weights = torch.softmax(query @ key.mT / channels**0.5, -1)
        mixed: Tensor = self.output(weights @ value) + tokens
        return mixed.mT.reshape(batch, channels, height, width)


class NaiveUNet(TransFusionUNet):
    """The same network, contiguous and with naive attention."""

    memory_format = torch.contiguous_format

    def __init__(self, width: int) -> None:
        super().__init__(width)
        for module in list(self.modules()):
            for name, child in list(module.named_children()):
                if isinstance(child, Attention):
                    setattr(module, name, NaiveAttention(child.output.in_features))


def main() -> None:
    options = parse()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    fast = TransFusionUNet(options.width).to(memory_format=torch.channels_last)
    print(f"width {options.width}, {options.size} px, {options.threads} threads")
    print(f"fast: {options.precision}, channels last, fused attention")
    train(fast, options)
    naive = NaiveUNet(options.width)
    naive.load_state_dict(fast.state_dict())
    compare_training(fast, naive, options)
    compare_sampling(fast.eval(), naive.eval(), options)


def train(network: nn.Module, options: argparse.Namespace) -> None:
    optimizer = torch.optim.AdamW(network.parameters(), lr=2e-4)
    for seed in range(options.train_steps):
        step(network, make_batch(options, seed), options.precision, optimizer)


def compare_training(fast: nn.Module, naive: nn.Module, options: argparse.Namespace) -> None:
    """One step each, in turns: forward, loss, backward, AdamW."""
    batch = make_batch(options, 10_000)
    seconds: dict[str, list[float]] = {"fast": [], "naive": []}
    runs = {"fast": (fast, options.precision), "naive": (naive, "fp32")}
    for _ in range(options.rounds + 1):
        for name, (network, precision) in runs.items():
            optimizer = torch.optim.AdamW(network.parameters(), lr=0.0, weight_decay=0.0)
            seconds[name].append(step(network, batch, precision, optimizer))
    report(f"training step, batch {options.batch}", seconds["fast"][1:], seconds["naive"][1:])


def compare_sampling(fast: nn.Module, naive: nn.Module, options: argparse.Namespace) -> None:
    """The 18-step reverse process image by image, and how far the maps are apart."""
    batch = make_batch(options, 20_000, options.images)
    schedule = transparency_schedule(20)
    # What a camera would see: anomalies of every opacity, on half of the images.
    images = batch.x_t
    seconds: dict[str, list[float]] = {"fast": [], "naive": []}
    maps: dict[str, list[Tensor]] = {"fast": [], "naive": []}
    runs = {"fast": (fast, options.precision), "naive": (naive, "fp32")}
    for image in images.split(1):
        for name, (network, precision) in runs.items():
            started = time.process_time()
            with torch.inference_mode(), autocast("cpu", precision):
                done = sample(network, image, schedule)
            seconds[name].append(time.process_time() - started)
            maps[name].append(final_map(done.m_disc, done.m_recon)[0])
    report("18-step inference, 1 image", seconds["fast"], seconds["naive"])
    found, expected = torch.stack(maps["fast"]), torch.stack(maps["naive"])
    scores = expected.amax((1, 2))
    print(f"largest difference of maps {(found - expected).abs().max():.4f}")
    print(f"scores naive {scores.numpy().round(4)}, fast {found.amax((1, 2)).numpy().round(4)}")
    print(f"ranking unchanged: {bool((scores.argsort() == found.amax((1, 2)).argsort()).all())}")


def step(
    network: nn.Module, batch: SynthesisBatch, precision: str, optimizer: torch.optim.Optimizer
) -> float:
    """CPU seconds of one optimiser step."""
    started = time.process_time()
    network.train()
    targets = Targets(batch.anomaly_scaled, batch.normal, batch.mask, batch.x_t, batch.t)
    with autocast("cpu", precision):
        outputs = network(batch.network_input, batch.t)
        loss = transfusion_loss(outputs, targets, transparency_schedule(20)).total
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    optimizer.step()
    return time.process_time() - started


def make_batch(options: argparse.Namespace, seed: int, count: int | None = None) -> SynthesisBatch:
    """Smooth random images with synthetic anomalies."""
    generator = torch.Generator().manual_seed(seed)
    small = torch.rand(count or options.batch, 3, 7, 7, generator=generator) * 1.6 - 0.8
    images = nn.functional.interpolate(small, (options.size,) * 2, mode="bicubic").clamp(-1, 1)
    foreground = torch.ones(len(images), 1, options.size, options.size, dtype=torch.bool)
    textures = ProceduralTextures(options.size, count=12)
    return synthesise(images, foreground, textures, transparency_schedule(20), generator)


def report(what: str, fast: list[float], naive: list[float]) -> None:
    """Medians and their ratio."""
    a, b = sorted(fast)[len(fast) // 2], sorted(naive)[len(naive) // 2]
    print(f"{what}: naive {b:.2f} CPU-s, fast {a:.2f} CPU-s, ratio {b / a:.2f}", flush=True)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--width", type=int, default=64)
    parser.add_argument("--batch", type=int, default=2, help="of the training step")
    parser.add_argument("--images", type=int, default=4, help="sampled one by one")
    parser.add_argument("--train-steps", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--precision", default=choose_precision("cpu"), choices=("fp32", "bf16"))
    return parser.parse_args()


if __name__ == "__main__":
    main()
