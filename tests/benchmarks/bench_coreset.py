"""Greedy k-center: lazy batches against one distance pass per centre, in one thread.

    python tests/benchmarks/bench_coreset.py [--points 20000 100000] [--share 0.1]

Prints processor seconds (so that a busy machine does not matter), their ratio, both covering
radii and whether the selections agree. The passes all cost the same: of many, only the first
`--passes` are run and the rest is extrapolated; without all of them no selection is compared.
"""

from __future__ import annotations

import argparse
import time

import torch
from torch import Tensor

from adbench.methods.coreset import k_center_greedy, radius_bound
from adbench.methods.features import FeatureExtractor


def backbone_features(num_points: int) -> Tensor:
    """Slices of ImageNet features (N, 192) of images of smooth and rough noise."""
    generator = torch.Generator().manual_seed(0)
    extractor = FeatureExtractor("tf_efficientnet_lite0")
    slices = []
    with torch.inference_mode():
        for _ in range(-(-num_points // (8 * 1024))):
            coarse = torch.rand(8, 3, 14, 14, generator=generator)
            smooth = torch.nn.functional.interpolate(coarse, (224, 224), mode="bicubic")
            rough = 0.2 * torch.randn(8, 3, 224, 224, generator=generator)
            pixels = (255 * (smooth + rough * coarse.mean((1, 2, 3), keepdim=True))).clip(0, 255)
            slices.append(extractor(pixels.permute(0, 2, 3, 1).byte()).reshape(-1, 192))
    return torch.cat(slices)[:num_points].clone()


def mixture(num_points: int) -> Tensor:
    """200 clusters of different spread, (N, 272)."""
    generator = torch.Generator().manual_seed(0)
    means = 5 * torch.randn(200, 272, generator=generator)
    spread = 2 * torch.rand(num_points, 1, generator=generator)
    members = torch.randint(200, (num_points,), generator=generator)
    return means[members] + spread * torch.randn(num_points, 272, generator=generator)


def gaussian(num_points: int) -> Tensor:
    """The hardest case: no structure, (N, 272)."""
    return torch.randn(num_points, 272, generator=torch.Generator().manual_seed(0))


def one_pass_per_centre(
    points: Tensor, num_centers: int, first: int, passes: int
) -> tuple[Tensor, float]:
    """The textbook with products: chosen indices, and seconds for all centres."""
    norms = points.square().sum(1)
    nearest = torch.full_like(norms, torch.inf)
    chosen = [first]
    started = time.process_time()
    for _ in range(min(passes, num_centers) - 1):
        center = chosen[-1]
        squared = torch.addmv(norms + norms[center], points, points[center], alpha=-2)
        nearest = torch.minimum(nearest, squared)
        nearest[center] = -1
        chosen.append(int(nearest.argmax()))
    seconds = time.process_time() - started
    return torch.tensor(chosen), seconds * (num_centers - 1) / max(1, len(chosen) - 1)


def compare(name: str, points: Tensor, share: float, passes: int) -> None:
    """One row of the table."""
    num_centers = int(share * len(points))
    started = time.process_time()
    chosen = k_center_greedy(points, num_centers)
    lazy = time.process_time() - started
    first = int(chosen[0])
    textbook, naive = one_pass_per_centre(points, num_centers, first, passes)
    prefix = chosen[: len(textbook)]
    # In float32 the textbook itself errs at near ties: compare with it in float64.
    textbook, _ = one_pass_per_centre(points.double(), num_centers, first, passes)
    same = float((prefix == textbook).double().mean())
    radius, other = radius_bound(points[prefix]), radius_bound(points[textbook])
    print(
        f"{name:<10} {len(points):>8} {points.shape[1]:>4} {num_centers:>8} {naive:>9.2f} "
        f"{lazy:>8.2f} {naive / lazy:>7.1f}x {other:>9.4f} {radius:>9.4f} {same:>8.2%} of "
        f"{len(textbook)}",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--points", type=int, nargs="+", default=[20_000, 100_000])
    parser.add_argument("--share", type=float, default=0.1)
    parser.add_argument("--passes", type=int, default=2000)
    options = parser.parse_args()
    torch.set_num_threads(1)
    print("CPU seconds, one thread, float32; selection compared with the textbook in float64")
    print("data         points  dim  centres  per-pass     lazy    ratio  radius p  radius l  same")
    for num_points in options.points:
        for name, make in (
            ("lite0", backbone_features), ("mixture", mixture), ("gaussian", gaussian)
        ):  # fmt: skip
            compare(name, make(num_points), options.share, options.passes)


if __name__ == "__main__":
    main()
