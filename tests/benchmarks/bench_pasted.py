"""DRDC on training normals alone: pasted fragments found by each map, and a picture of them gone.

    python tests/benchmarks/bench_pasted.py mpdd:metal_plate --data-root DIR --picture pasted.png
    python tests/benchmarks/bench_pasted.py magnetic_tile --data-root DIR --set base_steps=1

Trains the `fast` preset (`--set k=v` changes it) on most of the training normals and
prints what it learned (skill), and the image and pixel AUROC of normals with pasted fragments
against the same normals, which trained nothing, for each map and for several shares of the
diffusion in the fused one. No test image is opened.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from adbench.contracts import Context, Images
from adbench.data.cache import DiskCache
from adbench.hyperparameters import build_hyperparameters
from adbench.methods.drdc.method import DRDC
from adbench.methods.drdc.scoring import Units, fuse
from adbench.methods.scoring import pooled_maximum
from adbench.metrics.exact import image_metrics, pixel_metrics
from adbench.select.pseudo import pseudo_set, split_normals, training_selection

SHOWN = 4
"""Rows of the picture."""


class NoCheckpoint:
    """Nothing is kept."""

    def load(self) -> None:
        return None

    def due(self) -> bool:
        return False

    def save(self, state: Any) -> None:
        pass


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("dataset")
    parser.add_argument("--data-root", type=Path, required=True)
    parser.add_argument("--set", nargs="*", default=[], metavar="K=V")
    parser.add_argument("--fragments", type=int, default=16, help="normals that get some")
    parser.add_argument("--picture", type=Path)
    own = parser.parse_args()
    options = dict(pair.split("=", 1) for pair in own.set)
    method = DRDC(build_hyperparameters(DRDC, "fast", options))
    with tempfile.TemporaryDirectory() as folder:
        cache = DiskCache(Path(folder), None)
        index = Path(folder)
        chosen = training_selection(own.dataset, own.data_root, limit=None, index_folder=index)
        samples = [s for rows in chosen.samples.values() for s in rows]
        fitted, held_out = split_normals(samples, 0.2, 0)
        train = chosen.images(fitted, method.geometry, cache)
        normals = chosen.images(held_out[: own.fragments], method.geometry, cache)
        method.fit(train, Context("cpu", "fp32", 0, NoCheckpoint(), cache, shown))
        made = pseudo_set(normals, 0, cache)
        images = made.images.take(range(2 * len(normals)))  # normals, then one copy with fragments
        masks = np.array(made.masks.pixels[: len(images)])
        print(json.dumps(method.skill().to_json(), indent=1))
        told_apart(method, images, masks)
        if own.picture:
            draw(method, images[len(normals) :], own.picture)


def shown(stage: str, done: int, total: int, **numbers: float) -> None:
    if done % 50 == 0 or done == total:
        print(stage, done, total, numbers, flush=True)


def told_apart(method: DRDC, images: Images, masks: np.ndarray[Any, Any]) -> None:
    """Print the AUROCs of the maps."""
    maps = {name: part.maps for name, part in method.predict(images).parts.items()}
    means = [float(maps[name][: len(images) // 2].mean()) for name in ("base", "diffusion")]
    base, diffusion = (torch.from_numpy(maps[name]) for name in ("base", "diffusion"))
    for gamma in (0.0, 0.25, 0.5, 0.75, 0.9, 1.0):
        for fusion, units in (("paper", method._scorer.units()), ("calibrated", Units(*means))):
            fused = fuse(base, diffusion, gamma, units)
            scores = pooled_maximum(fused, method.hyperparameters.pool_kernel).numpy()
            image = image_metrics(scores, masks.any((1, 2)))["image_auroc"]
            pixel = pixel_metrics(fused.numpy(), masks, ())["pixel_auroc"]
            print(
                f"{fusion:10} gamma {gamma:.2f}: image {image:.4f}, pixel {pixel:.4f}", flush=True
            )


def draw(method: DRDC, images: Images, target: Path) -> None:
    """Rows of: the image with fragments, what is inpainted in its largest cells, the error."""
    found = method.intermediates(images[:SHOWN])
    inpainted = [v for name, v in found.items() if name.startswith("inpainted")][-1]
    error = found["diffusion map"]
    grey = (255 * error / error.max()).astype(np.uint8)[..., None].repeat(3, -1)
    rows = np.concatenate([np.array(images.pixels[:SHOWN]), inpainted, grey], 2)
    Image.fromarray(rows.reshape(-1, *rows.shape[2:])).save(target, optimize=True)


if __name__ == "__main__":
    main()
