"""Where texture anomalies take their images from: a folder of photographs, or a built-in bank.

Both keep images as uint8 (3, S, S), make each at its first use, and stay within a memory bound. A
built-in texture is a scalar field, float32 (S, S) in [0, 1], of one of six families, seen through a
palette.
"""

from __future__ import annotations

import hashlib
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image, UnidentifiedImageError
from torch import Tensor
from torch.nn.functional import interpolate

from adbench.errors import DataError
from adbench.methods.transfusion.synthesis.noise import LATTICE, gradient_noise, integers, uniform

Field = Callable[[int, torch.Generator], Tensor]


def clouds(size: int, generator: torch.Generator) -> Tensor:
    """Fractal noise: octaves of gradient noise, each twice as fine and half as strong or more."""
    start = int(integers((), 0, 2, generator))
    fall = float(uniform((), 0.45, 0.8, generator))
    octaves = [_smooth(size, 2**e, generator) * fall**e for e in range(start, 6)]
    return _stretch(torch.stack(octaves).sum(0))


def stripes(size: int, generator: torch.Generator) -> Tensor:
    """Waves along one direction, bent by noise, from sinusoidal to nearly square."""
    count, bend, sharpness = (
        float(uniform((), low, high, generator)) for low, high in ((3, 30), (0, 1.5), (0.5, 6))
    )
    y, x = _coordinates(size)
    angle = float(uniform((), 0, math.pi, generator))
    along = math.cos(angle) * x + math.sin(angle) * y
    phase = 2 * math.pi * count * along + 2 * bend * _smooth(size, 4, generator)
    return 0.5 + 0.5 * torch.tanh(sharpness * phase.sin()) / math.tanh(sharpness)


def cells(size: int, generator: torch.Generator) -> Tensor:
    """Voronoi cells of random points: flat grains with dark borders, or domes."""
    nearest, second, owner = _voronoi(size, int(integers((), 15, 120, generator)), generator)
    if float(uniform((), 0, 1, generator)) < 0.5:
        border = ((second - nearest) * size / 3).clamp(0, 1)  # three pixels wide
        return owner * border
    return _stretch(second - nearest)


def blobs(size: int, generator: torch.Generator) -> Tensor:
    """Spots of random places and sizes on a cloudy ground."""
    count = int(integers((), 10, 60, generator))
    radius = uniform((count, 1, 1), 0.01, 0.08, generator)
    height = uniform((count, 1, 1), -1, 1, generator)
    distance = _square_distances(size, uniform((count, 2), 0, 1, generator)).sqrt()
    spots = (((radius - distance) * size / 4).clamp(0, 1) * height).sum(0)
    return _stretch(spots + 0.3 * _smooth(size, 4, generator))


def weave(size: int, generator: torch.Generator) -> Tensor:
    """Two crossing sets of threads, a little bent: cloth, tiles and chequers."""
    count = uniform((2,), 4, 32, generator).tolist()
    y, x = _coordinates(size)
    bend = float(uniform((), 0, 0.02, generator))
    x = x + bend * _smooth(size, 4, generator)
    y = y + bend * _smooth(size, 4, generator)
    over = (2 * math.pi * count[0] * x).sin()
    under = (2 * math.pi * count[1] * y).sin()
    if float(uniform((), 0, 1, generator)) < 0.5:
        return _stretch(torch.tanh(4 * over * under))
    return _stretch(torch.maximum(over, under))


def grain(size: int, generator: torch.Generator) -> Tensor:
    """Fine random grain, drawn out along an axis by up to sixteen pixels: sand to brushed metal."""
    rows, columns = (max(2, size >> int(k)) for k in integers((2,), 0, 4, generator))
    coarse = uniform((1, 1, rows, columns), 0, 1, generator)
    return _stretch(interpolate(coarse, (size, size), mode="bilinear")[0, 0])


FAMILIES: tuple[Field, ...] = (clouds, stripes, cells, blobs, weave, grain)


def render(family: Field, size: int, generator: torch.Generator) -> Tensor:
    """One texture: a field of `family` through a random palette, with some grain and shading.

    Returns:
        uint8 (3, size, size), RGB.
    """
    field = family(size, generator)
    palette = _palette(generator)
    place = field.clamp(0, 1) * 3
    lower = place.long().clamp_max(2)
    share = (place - lower)[..., None]
    colour = palette[lower] * (1 - share) + palette[lower + 1] * share  # (S, S, 3)
    shade = 0.12 * _smooth(size, 2, generator) + 0.04 * torch.randn(
        (size, size), generator=generator
    )
    levels = ((colour + shade[..., None]) * 255).round().clamp(0, 255)
    return levels.to(torch.uint8).permute(2, 0, 1).contiguous()


def _palette(generator: torch.Generator) -> Tensor:
    """Four colours (4, 3), evenly spaced on [0, 1], from vivid to grey."""
    colours = uniform((4, 3), 0, 1, generator)
    greyness = uniform((), 0, 1, generator)
    return colours + greyness * (colours.mean(1, keepdim=True) - colours)


def _smooth(size: int, cells: int, generator: torch.Generator) -> Tensor:
    """Gradient noise (S, S), about [-1, 1]."""
    angles = uniform((1, LATTICE, LATTICE), 0, 2 * math.pi, generator)
    return gradient_noise(angles, torch.full((1, 2), cells), size)[0]


def _coordinates(size: int) -> tuple[Tensor, Tensor]:
    """y (S, 1) and x (1, S) of the pixels' centres, in (0, 1)."""
    centres = (torch.arange(size) + 0.5) / size
    return centres[:, None], centres[None, :]


def _square_distances(size: int, points: Tensor) -> Tensor:
    """(K, S, S): each pixel's squared distance to each of the points (K, 2)."""
    y, x = _coordinates(size)
    down, across = y - points[:, 0, None, None], x - points[:, 1, None, None]
    return down.square() + across.square()  # (K, S, 1) + (K, 1, S)


def _voronoi(size: int, count: int, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
    """Distances to the nearest and the second point, and a random value of the nearest."""
    distances = _square_distances(size, uniform((count, 2), 0, 1, generator))
    nearest, index = distances.min(0)
    distances.scatter_(0, index[None], torch.inf)  # leaves the second as the smallest
    owner = uniform((count,), 0, 1, generator)[index]
    return nearest.sqrt(), distances.amin(0).sqrt(), owner


def _stretch(field: Tensor) -> Tensor:
    """To [0, 1]."""
    low, high = field.aminmax()
    return (field - low) / (high - low).clamp_min(1e-6)


IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp"})
MAX_BYTES = 2**29
"""Memory for kept images: 2,730 of 256 x 256."""


class TextureBank(ABC):
    """Texture images by number: each is made once, and as many are kept as fit; the others are
    made at every use.

    Attributes:
        name: which images these are, for the protocol; without any path of this machine.
        size: side of every image in pixels.
    """

    name: str

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


class FolderTextures(TextureBank):
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


class ProceduralTextures(TextureBank):
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
