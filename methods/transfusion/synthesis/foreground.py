"""Foreground masks F of the training images: where a synthetic anomaly may lie (spec 5.2).

Files, or by how far a pixel's colour is from that of the border: the fall-back for the authors'
masks, which a large segmentation network made from prompts in the image's corners and which no data
set contains. Their recipe takes what is joined to the corners as background, so holes in the object
count as object; so they do here. Plain Otsu on grey, which the spec names, left only outlines of
parts that are as bright as their ground.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Literal

import numpy as np
import torch
from PIL import Image
from scipy import ndimage
from torch import Tensor
from torch.nn.functional import interpolate, max_pool2d

from adbench.contracts import Geometry, Images
from adbench.errors import DataError
from adbench.methods.transfusion.synthesis.augmentations import histograms
from adbench.methods.transfusion.synthesis.textures import image_files

BORDER = 0.02
"""Width of the border that is taken for background, as a share of the side."""
SPREAD_QUANTILE = 0.98
SPREAD_FACTOR = 1.6
"""A colour this much farther off than nearly all of the border is not background."""
DILATION = 5


def otsu_foreground(levels: Tensor) -> Tensor:
    """The object's pixels, holes filled, dilated; all ones where the border is no background.

    A pixel's distance is the largest difference of a channel from the border's median colour.
    It is foreground above Otsu's threshold of the distances, or above a lower threshold set by
    the border's own spread, where dark details would draw Otsu's threshold over the object's
    body. A spread above Otsu's threshold means that the image has no plain background.

    Args:
        levels: uint8 (N, 3, H, W).

    Returns:
        bool (N, 1, H, W), on the CPU.
    """
    border = _border(*levels.shape[-2:])
    colours = levels.cpu().float()
    median = colours[:, :, border].median(dim=2).values  # (N, 3)
    distance = (colours - median[:, :, None, None]).abs().amax(1)  # (N, H, W)
    otsu = otsu_threshold(histograms(distance.to(torch.uint8)[:, None])[:, 0]).float()
    spread = distance[:, border].quantile(SPREAD_QUANTILE, dim=1)  # (N,)
    threshold = torch.minimum(otsu, SPREAD_FACTOR * spread)
    found = (distance > threshold[:, None, None])[:, None]
    hopeless = (spread > otsu) | ~found.flatten(1).any(1)
    return dilate(_fill_holes(found)) | hopeless[:, None, None, None]


def otsu_threshold(histogram: Tensor) -> Tensor:
    """The value that parts a histogram into the two most distant classes (Otsu 1979, eq. 18).

    Args:
        histogram: int64 (N, 256).

    Returns:
        int64 (N,), 0..255; the upper class is what is greater than it.
    """
    weight = histogram.cumsum(1).double()
    moment = (histogram * torch.arange(256, device=histogram.device)).cumsum(1).double()
    total, total_moment = weight[:, -1:], moment[:, -1:]
    apart = total_moment * weight - total * moment
    between = apart**2 / (weight * (total - weight)).clamp_min(1)
    return between.argmax(1)


def dilate(masks: Tensor, side: int = DILATION) -> Tensor:
    """Grow bool (N, 1, H, W) masks by a square of odd side (spec 5.2: 5 x 5 ones, once)."""
    return max_pool2d(masks.float(), side, stride=1, padding=side // 2) > 0


def _fill_holes(masks: Tensor) -> Tensor:
    """Add what bool (N, 1, H, W) masks enclose. Runs once a training image, before training."""
    filled = [ndimage.binary_fill_holes(mask[0].numpy()) for mask in masks]
    return torch.stack([torch.from_numpy(mask) for mask in filled])[:, None]


def _border(height: int, width: int) -> Tensor:
    """bool (H, W): the outermost pixels."""
    rows, columns = max(1, round(BORDER * height)), max(1, round(BORDER * width))
    border = torch.ones((height, width), dtype=torch.bool)
    border[rows:-rows, columns:-columns] = False
    return border


CHUNK = 32
"""Images looked at together."""


def foreground_masks(
    train: Images,
    kinds: Mapping[str, Literal["object", "texture"]],
    geometry: Geometry,
    source: Path | Literal["otsu", "ones"] = "otsu",
) -> tuple[Tensor, dict[str, str]]:
    """Masks for every training image: all ones for textures, from `source` for objects.

    Args:
        train: the training images; pixels uint8 (N, S, S, 3).
        kinds: category to its card's kind; a category that is not listed is an object.
        geometry: how the images became squares; mask files get the same resize and crop.
        source: a folder of mask files, "otsu" for the fall-back, or "ones" for no restriction.

    Returns:
        the masks, bool (N, 1, S, S) on the CPU, and where those of each category are from, for
        the protocol.

    Raises:
        DataError: the folder has no mask for a training image.
    """
    size = geometry.size
    masks = torch.ones((len(train), 1, size, size), dtype=torch.bool)
    textures = {name for name in train.categories if kinds.get(name) == "texture"}
    rows = [i for i, name in enumerate(train.categories) if name not in textures]
    label = "ones"
    if isinstance(source, Path):
        label = f"folder {source.name}"
        files = _mask_files(source)
        for row in rows:
            masks[row] = _read_mask(_find_mask(files, train.ids[row], source), geometry)
    elif source == "otsu":
        label = "border-aware Otsu"
        for start in range(0, len(rows), CHUNK):
            part = rows[start : start + CHUNK]
            levels = torch.from_numpy(np.array(train.pixels[part]))
            masks[part] = otsu_foreground(levels.permute(0, 3, 1, 2))
    sources = {name: label for name in sorted(set(train.categories) - textures)}
    return masks, sources | {name: "ones (texture)" for name in sorted(textures)}


def _mask_files(folder: Path) -> dict[str, Path]:
    """Every image of the folder by its path without suffix, relative and POSIX."""
    if not folder.is_dir():
        raise DataError(
            f"found no folder of foreground masks at {folder}: expected one mask per training "
            "image, named as the image; leave the option out to use the Otsu fall-back"
        )
    return {
        path.relative_to(folder).with_suffix("").as_posix(): path for path in image_files(folder)
    }


def _find_mask(files: Mapping[str, Path], image_id: str, folder: Path) -> Path:
    """The mask of an image: by its path in the data set, or in any folder of that path.

    Never by position in a sorted list, as the official code does: one file missing would shift
    all the others.
    """
    parts = PurePosixPath(image_id).with_suffix("").parts
    for start in range(len(parts)):
        found = files.get("/".join(parts[start:]))
        if found is not None:
            return found
    raise DataError(
        f"found no foreground mask for {image_id} among {len(files)} images under {folder}: "
        f"expected {'/'.join(parts)}.png, or the same from a lower folder on"
    )


def _read_mask(path: Path, geometry: Geometry) -> Tensor:
    """bool (1, S, S): grey above half after a bilinear resize without antialias, dilated."""
    try:
        with Image.open(path) as image:
            grey = np.array(image.convert("L"))
    except OSError as error:
        raise DataError(
            f"foreground mask {path} cannot be read ({error}): replace the file"
        ) from error
    resized = interpolate(
        torch.from_numpy(grey)[None, None].float(), (geometry.resize,) * 2, mode="bilinear"
    )
    mask = dilate(resized / 255 > 0.5)[0]
    start = (geometry.resize - geometry.size) // 2
    return mask[:, start : start + geometry.size, start : start + geometry.size]
