"""DRDC on training normals alone: pasted fragments found by each map, and a picture of them gone.

    adbench run --methods drdc --dataset mpdd:metal_plate --preset fast --results DIR
    python tests/benchmarks/bench_pasted.py drdc:mpdd --results DIR --picture pasted.png

Takes the model of a finished cell and the held-out normals that it carries: they trained nothing
(fusion=calibrated takes its scale from them). Prints what it learned (skill), and the image and
pixel AUROC of them with pasted fragments against them without, for each map and for several shares
of the diffusion in the fused one. No test image is opened.
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

import adbench
from adbench.contracts import Images
from adbench.data.cache import DiskCache
from adbench.methods.drdc.method import DRDC
from adbench.methods.drdc.scoring import Units, fuse
from adbench.methods.scoring import pooled_maximum
from adbench.metrics.exact import image_metrics, pixel_metrics
from adbench.select.pseudo import pseudo_set

SHOWN = 4
"""Rows of the picture."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("cell", help="METHOD[:DATASET[:CATEGORY]]")
    parser.add_argument("--results", type=Path, default=Path("results"))
    parser.add_argument("--picture", type=Path)
    own = parser.parse_args()
    method = adbench.load_cell(own.cell, own.results).method
    if not isinstance(method, DRDC):
        parser.error(f"{own.cell} is a cell of {type(method).__name__}: expected one of DRDC")
    kept = method.calibration_
    names = tuple(f"held out {number}" for number in range(len(kept)))
    normals = Images(kept, names, ("",) * len(kept))
    with tempfile.TemporaryDirectory() as folder:
        made = pseudo_set(normals, 0, DiskCache(Path(folder), None))
        images = made.images.take(range(2 * len(normals)))  # normals, then one copy with fragments
    masks = np.array(made.masks.pixels[: len(images)])
    print(json.dumps(method.skill().to_json(), indent=1), flush=True)
    if own.picture:
        draw(method, images[len(normals) :], own.picture)
    told_apart(method, images, masks)


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
