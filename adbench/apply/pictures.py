"""What is written of one image: its map as a 32-bit TIFF, and as colours over the picture."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, NamedTuple

from adbench.contracts import Geometry
from adbench.errors import StoreError
from adbench.figures.style import COLOURMAP
from adbench.store.files import digest
from adbench.store.map_files import SUFFIX, map_names, write_map
from adbench.text import printable

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL import Image

VIEW = 512
"""Pixels of the longer side of an overlay, at most: the map itself is in the TIFF."""
OPACITY = 0.7
"""Of the colour that is the highest."""
PLAIN_PNG = 1
"""How hard to compress: more takes longer than the whole prediction of a fast method."""


class Targets(NamedTuple):
    """Where the two files of an image lie."""

    map: Path
    overlay: Path


def targets(names: Sequence[str], folder: Path) -> dict[str, Targets]:
    """Named as the images; where two differ in their extension alone, it stays in the name."""
    own = map_names([_inside(name) for name in names])
    return {
        name: Targets(
            folder / "maps" / file, folder / "overlays" / f"{file.removesuffix(SUFFIX)}.png"
        )
        for name, file in zip(names, own, strict=True)
    }


def _inside(name: str) -> str:
    """The name as a path inside a folder; of one that leads elsewhere its end and a digest."""
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts:
        return f"{path.stem}-{digest(name)[:8]}{path.suffix}"
    return name


def view_of(picture: Image.Image) -> Image.Image:
    """A copy of an RGB picture, at most `VIEW` pixels wide and high."""
    from PIL import Image

    scale = min(1.0, VIEW / max(picture.size))
    width, height = (max(1, round(scale * side)) for side in picture.size)
    return picture.resize((width, height), Image.Resampling.BILINEAR, reducing_gap=2.0)


class Painter:
    """Draws maps over pictures.

    The colours begin at the median of the held-out normals' maps and end at their highest value,
    so that they mean the same in all images; without such, at the ends of each map.
    """

    def __init__(self, geometry: Geometry, ends: tuple[float, float] | None) -> None:
        self._geometry, self._ends = geometry, ends

    @cached_property
    def _palette(self) -> bytes:
        import matplotlib
        import numpy as np

        colours = matplotlib.colormaps[COLOURMAP](np.arange(256), bytes=True)
        return bytes(np.ascontiguousarray(colours[:, :3]).tobytes())

    def overlay(self, view: Image.Image, values: NDArray[np.float32]) -> Image.Image:
        """A map (S, S) over a picture of any size; what a centre crop cut off stays as it is."""
        import numpy as np
        from PIL import Image

        low, high = self._ends or _finite_ends(values)
        unit = ((values - low) / max(high - low, 1e-12)).clip(0, 1)
        heat = Image.fromarray((255 * unit).round().astype(np.uint8))
        own = self._geometry
        if own.crop:
            whole = Image.new("L", (own.resize, own.resize))
            whole.paste(heat, ((own.resize - own.size) // 2,) * 2)
            heat = whole
        heat = heat.resize(view.size, Image.Resampling.BILINEAR)
        colour = heat.copy()
        colour.putpalette(self._palette)
        opacity = heat.point([round(OPACITY * level) for level in range(256)])
        return Image.composite(colour.convert("RGB"), view, opacity)

    def write(self, view: Image.Image, values: NDArray[np.float32], where: Targets) -> None:
        """Both files; raises `StoreError` where the disk refuses."""
        with writing(where.map):
            write_map(where.map, values)
        with writing(where.overlay):
            where.overlay.parent.mkdir(parents=True, exist_ok=True)
            self.overlay(view, values).save(where.overlay, compress_level=PLAIN_PNG)


def _finite_ends(values: NDArray[np.float32]) -> tuple[float, float]:
    import numpy as np

    finite = values[np.isfinite(values)]
    return (float(finite.min()), float(finite.max())) if finite.size else (0.0, 0.0)


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """A block that writes `path`; raises `StoreError` in the words of `predict` where the disk
    refuses: the store's own are of results folders."""
    try:
        yield
    except (OSError, StoreError) as error:
        cause = error if isinstance(error, OSError) else error.__cause__
        if not isinstance(cause, OSError):
            raise
        reason = os.strerror(cause.errno) if cause.errno else str(cause)
        raise StoreError(
            f"cannot write {printable(str(path))}: {reason}: free some space, or give another "
            "folder with --out DIR; what is written is kept, and the same command goes on from it"
        ) from error
