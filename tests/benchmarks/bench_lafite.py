"""LafitE's stages at its `fast` preset on noise images: what costs what.

    python tests/benchmarks/bench_lafite.py [--images 54] [--threads 2] [--repeats 5]

Prints wall and processor seconds (median) of a training step in float32 and bfloat16, a DDIM step,
the features, and the search by FAISS beside one matrix product and `topk`.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from adbench.methods.coreset import k_center_greedy
from adbench.methods.diffusion import cosine_scheduler
from adbench.methods.features import FeatureExtractor
from adbench.methods.lafite.network import create_unet, denoising_loss
from adbench.methods.lafite.settings import PRESETS, LafitESettings
from adbench.methods.neighbours import NeighbourSearch
from adbench.methods.training import autocast


def measure(name: str, call: Callable[[], object], repeats: int, per: float = 1) -> None:
    """Print the median cost of a call, divided by `per`."""
    call()
    wall, processor = [], []
    for _ in range(repeats):
        started = time.perf_counter(), time.process_time()
        call()
        wall.append((time.perf_counter() - started[0]) / per)
        processor.append((time.process_time() - started[1]) / per)
    print(
        f"{name:<52} {statistics.median(wall):>9.4f} {statistics.median(processor):>9.4f}",
        flush=True,
    )


def measure_network(own: LafitESettings, features: Tensor, repeats: int) -> None:
    """Training and DDIM steps."""
    network = create_unet(features.shape[3], own.base_width, own.map_size)
    optimizer = torch.optim.AdamW(network.parameters(), fused=True)
    data = features.permute(0, 3, 1, 2).contiguous()
    loss = denoising_loss(network, cosine_scheduler(), lambda indices: data[indices])
    indices = torch.arange(own.batch_size) % len(data)

    def step(precision: str) -> None:
        optimizer.zero_grad()
        with autocast("cpu", precision):
            value = loss(indices, torch.Generator().manual_seed(0))
        value.backward()
        optimizer.step()

    for precision in ("fp32", "bf16"):
        measure(
            f"training step of {own.batch_size}, {precision}", partial(step, precision), repeats
        )
    network.requires_grad_(False).eval()
    for precision in ("fp32", "bf16"):
        with torch.inference_mode(), autocast("cpu", precision):
            name = f"DDIM step, batch 8, {precision}, an image"
            measure(name, lambda: network(data[:8], 300), repeats, per=8)


def measure_bank(own: LafitESettings, features: Tensor, repeats: int) -> None:
    """Coreset and search."""
    slices = features.reshape(-1, features.shape[3])
    num_centers = own.num_centers(len(features), own.map_size)
    name = f"coreset, {num_centers} of {len(slices)}"
    measure(name, lambda: k_center_greedy(slices, num_centers), 1)
    bank = slices[torch.randperm(len(slices))[:num_centers]]
    queries = slices[: 8 * own.map_size**2]
    search, norms = NeighbourSearch(bank), bank.square().sum(1)

    def by_products() -> None:
        for part in torch.split(queries, 1024):
            torch.addmm(norms, part, bank.T, alpha=-2).topk(own.num_neighbours, 1, largest=False)

    name = f"search of {own.num_neighbours} in {num_centers}, an image"
    measure(f"{name}, FAISS and exact distances", lambda: search(queries, 5), repeats, per=8)
    measure(f"{name}, torch products and topk", by_products, repeats, per=8)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--images", type=int, default=54)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    own = LafitESettings(**PRESETS["fast"])
    extractor = FeatureExtractor(own.backbone, own.weights, own.map_size)
    size = own.image_size
    pixels = torch.randint(0, 256, (options.images, size, size, 3), dtype=torch.uint8)
    print(f"{options.threads} thread(s){'':<40} wall s     CPU s")
    with torch.inference_mode():
        measure("features, batch 8, an image", lambda: extractor(pixels[:8]), options.repeats, 8)
        parts = [extractor(part) for part in torch.split(pixels, 8)]
    features = torch.cat(parts)
    features = (features - features.mean()) / features.std()
    measure_bank(own, features, options.repeats)
    measure_network(own, features.clone(), options.repeats)


if __name__ == "__main__":
    main()
