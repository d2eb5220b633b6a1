"""Where texture anomalies take their images from: a folder of photographs, or a built-in bank.

Both keep images as uint8 (3, S, S), make each at its first use, and stay within a memory bound.
"""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from PIL import Image, UnidentifiedImageError
from torch import Tensor
from torch.nn.functional import interpolate

from adbench.errors import DataError
from adbench.methods.transfusion.synthesis.procedural import FAMILIES, render

IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp"})
MAX_BYTES = 2**29
"""Memory for kept images: 2,730 of 256 x 256."""


class TextureBank(Protocol):
    """Texture images, by number."""

    @property
    def name(self) -> str:
        """Which images these are, for the protocol; without any path of this machine."""
        ...

    @property
    def size(self) -> int:
        """Side of every image in pixels."""
        ...

    def __len__(self) -> int:
        """How many images there are."""
        ...

    def take(self, numbers: Sequence[int]) -> Tensor:
        """uint8 (N, 3, size, size), RGB, on the CPU: images by number, repeats allowed."""
        ...


class _LazyBank(ABC):
    """Makes each image once and keeps as many as fit; the others are made at every use."""

    def __init__(self, count: int, size: int, max_bytes: int) -> None:
        self._count, self.size = count, size
        capacity = min(count, max_bytes // (3 * size * size))
        # The system commits the memory of rows that are written, not of the whole tensor.
        self._kept = torch.empty((capacity, 3, size, size), dtype=torch.uint8)
        self._rows: dict[int, int] = {}

    @abstractmethod
    def _make(self, number: int) -> Tensor:
        """The image `number`, uint8 (3, size, size)."""

    def __len__(self) -> int:
        return self._count

    def take(self, numbers: Sequence[int]) -> Tensor:
        """uint8 (N, 3, size, size), RGB, on the CPU: images by number, repeats allowed."""
        return torch.stack([self._image(number) for number in numbers])

    def _image(self, number: int) -> Tensor:
        row = self._rows.get(number)
        if row is not None:
            return self._kept[row]
        image = self._make(number)
        if len(self._rows) < len(self._kept):
            row = self._rows[number] = len(self._rows)
            self._kept[row] = image
        return image


def image_files(folder: Path) -> list[Path]:
    """Every image in `folder` and below by its suffix, in the order of relative paths.

    Raises `DataError` for a pipe or device of such a name, which nobody should open.
    """
    found = [p for p in folder.rglob("*") if p.suffix.lower() in IMAGE_SUFFIXES and not p.is_dir()]
    for path in found:
        if not path.is_file():
            raise DataError(f"{path} is no file: expected images only, remove it")
    return sorted(found, key=lambda path: path.relative_to(folder).as_posix())


class FolderTextures(_LazyBank):
    """The images of a folder, searched recursively: DTD's `images` or any other.

    Args:
        folder: is searched for files with an image's suffix.
        size: S; images are resized to S x S, bilinear without antialias, aspect ratio ignored.
        max_bytes: memory for decoded images; those beyond it are decoded at every use.

    Raises:
        DataError: there is no such folder or no image in it; on use, an image is damaged.
    """

    def __init__(self, folder: Path, size: int, *, max_bytes: int = MAX_BYTES) -> None:
        if not folder.is_dir():
            raise DataError(
                f"texture_dir {folder} is no folder: expected a folder of images, for instance "
                "DTD's `images`; leave it out to use the built-in textures"
            )
        self._files = image_files(folder)
        if not self._files:
            raise DataError(
                f"found no image under texture_dir {folder}: expected files ending in "
                f"{', '.join(sorted(IMAGE_SUFFIXES))}; leave it out to use the built-in textures"
            )
        names = "\n".join(path.relative_to(folder).as_posix() for path in self._files)
        digest = hashlib.sha256(names.encode()).hexdigest()[:12]
        self.name = f"folder {folder.name}: {len(self._files)} images, names sha256 {digest}"
        super().__init__(len(self._files), size, max_bytes)

    def _make(self, number: int) -> Tensor:
        path = self._files[number]
        try:
            with Image.open(path) as image:
                pixels = np.array(image.convert("RGB"))
        except (OSError, UnidentifiedImageError) as error:
            raise DataError(
                f"texture image {path} cannot be read ({error}): remove or replace the file"
            ) from error
        image_chw = torch.from_numpy(pixels).permute(2, 0, 1)[None].float()
        resized = interpolate(image_chw, (self.size, self.size), mode="bilinear")
        return resized[0].round().to(torch.uint8)


class ProceduralTextures(_LazyBank):
    """The built-in bank: colour textures of several families, each a function of seed and number.

    Args:
        size: S.
        seed: other seeds give other banks.
        count: images in the bank; image k belongs to family k mod 6.
        max_bytes: memory for rendered images.
    """

    def __init__(
        self, size: int, *, seed: int = 0, count: int = 600, max_bytes: int = MAX_BYTES
    ) -> None:
        self._seed = seed
        families = ", ".join(family.__name__ for family in FAMILIES)
        self.name = f"procedural: {count} images of {families}, seed {seed}"
        super().__init__(count, size, max_bytes)

    def _make(self, number: int) -> Tensor:
        # Each image has its own generator: the bank does not depend on the order of use.
        generator = torch.Generator().manual_seed(self._seed * 1_000_003 + number)
        return render(FAMILIES[number % len(FAMILIES)], self.size, generator)
