"""One look at an image's header, or at a mask's pixels, remembered by the file's content, so that a
run on unchanged data opens none. What decodes is imported by whoever looks."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeVar

from adbench.data.remembered import add_rows, kept_file, read_rows
from adbench.errors import DataError, StoreError
from adbench.machine.threads import in_threads

if TYPE_CHECKING:
    from PIL import Image

_VERSION: Final = "adbench-looks-2"
_TINGE: Final = 32
"""A lossy format gives grey a tinge of at most this, which is no colour."""
_CLASS_NUMBERS: Final = 32
"""Masks that hold several values up to this one, and no others, number classes or instances."""


class MaskLook(NamedTuple):
    """What there is to say of a mask, whatever the threshold is.

    A value is the greatest of a pixel's colour channels, as stored.
    """

    width: int
    height: int
    orientation: int
    lossy: bool
    """Whether the file's format keeps values only roughly."""
    distinct: int
    largest: int
    border: int
    """The least of what the four borders hold at most: all four are reached where it is over the
    threshold."""
    coloured: bool
    alpha_differs: bool
    """Whether transparency says something else than the colours."""
    hides_entries: bool
    """Whether entries of a palette that are in use share a colour."""
    levels: tuple[tuple[int, int], ...]
    """Values, those above 255 as 255, with how many pixels have them; in order."""

    def share_above(self, threshold: int) -> float:
        """Share of pixels above `threshold`."""
        above = sum(count for value, count in self.levels if value > threshold)
        return above / max(1, self.width * self.height)

    @property
    def kind(self) -> str:
        """How its values read: two-valued, classes, void, coloured or grey."""
        numbers = [value for value, _ in self.levels if value > 0]
        small = [value for value in numbers if value <= _CLASS_NUMBERS]
        if self.lossy:
            return "coloured" if self.coloured and self.distinct > 2 else "grey"
        if self.distinct <= 2:
            return "two-valued"
        if len(small) == len(numbers):
            return "classes"
        if len(small) == len(numbers) - 1 and numbers[-1] == 255:
            return "void" if small else "grey"
        return "coloured" if self.coloured else "grey"


def look_at_image(path: Path) -> int:
    """1, or the tag by which viewers turn the picture, from its header; raises `DataError`."""
    from adbench.data.decode import image_header

    return image_header(path).orientation


def look_at_mask(path: Path) -> MaskLook:
    """Decodes the mask; raises `DataError`."""
    import numpy as np

    from adbench.data.decode import image_header, mask_image, mask_values

    header = image_header(path)
    with mask_image(path) as image:
        values = mask_values(image)
        levels = _levels(values)
        sides = (values[0], values[-1], values[:, 0], values[:, -1]) if values.size else ()
        clipped: Counter[int] = Counter()
        for value, count in levels:
            clipped[min(max(value, 0), 255)] += count
        return MaskLook(
            width=header.width,
            height=header.height,
            orientation=header.orientation,
            lossy=header.lossy,
            distinct=len(levels),
            largest=max((value for value, _ in levels), default=0),
            border=min((int(np.max(side)) for side in sides), default=0),
            coloured=_is_coloured(image),
            alpha_differs=_alpha_differs(image, values),
            hides_entries=_hides_entries(image),
            levels=tuple(clipped.items()),
        )


def _levels(values: Any) -> list[tuple[int, int]]:
    """Each value with how many pixels have it, in order."""
    import numpy as np
    from PIL import Image

    if values.dtype != np.uint8:
        found, counts = np.unique(values, return_counts=True)
        return list(zip(found.tolist(), counts.tolist(), strict=True))
    return [(v, n) for v, n in enumerate(Image.fromarray(values).histogram()) if n]


def _is_coloured(image: Image.Image) -> bool:
    import numpy as np

    if image.mode not in ("P", "PA", "RGB", "RGBA"):
        return False
    bands = np.asarray(image if image.mode == "RGB" else image.convert("RGB"))
    return bool((bands.max(axis=2) - bands.min(axis=2) > _TINGE).any())


def _alpha_differs(image: Image.Image, values: Any) -> bool:
    import numpy as np

    from adbench.data.decode import has_alpha

    if not has_alpha(image) or image.mode.startswith("I"):
        return False
    alpha = np.asarray(image.convert("RGBA").getchannel("A"))
    return bool(alpha.min() < alpha.max() and ((alpha > 0) != (values > 0)).any())


def _hides_entries(image: Image.Image) -> bool:
    if image.mode != "P":
        return False
    palette = image.getpalette("RGB") or []
    used = [entry for entry, count in enumerate(image.histogram()) if count]
    return len({tuple(palette[3 * entry : 3 * entry + 3]) for entry in used}) < len(used)


Look = TypeVar("Look", int, MaskLook)


def look_at_files(look: Callable[[Path], Look], files: Iterable[Path]) -> Iterator[Look | None]:
    """A look at each file, in order; None for what cannot be decoded."""

    def seen(file: Path) -> Look | None:
        try:
            return look(file)
        except (DataError, MemoryError):  # the cell that needs it fails, and says why
            return None

    return in_threads(seen, files)


def remembered_looks(
    look: Callable[[Path], Look], root: Path, contents: Mapping[str, str], folder: Path
) -> dict[str, Look | None]:
    """Looks at those of these files that were not looked at before, by content.

    Args:
        look: one of the above.
        root: what paths are relative to.
        contents: path to SHA-256; a file under two names is looked at once.
        folder: where looks are remembered; where they cannot be, files are looked at each time.
    """
    of_masks = look is look_at_mask
    file = kept_file(root, folder, "mask-looks" if of_masks else "orientations")
    stored = read_rows(file, _VERSION) if contents else {}
    as_look: Callable[[object], Any] = _as_mask_look if of_masks else _as_tag
    known: dict[str, Look | None] = {sha: as_look(stored.get(sha)) for sha in contents.values()}
    new = {sha: path for path, sha in contents.items() if known[sha] is None}
    found = look_at_files(look, [root / path for path in new.values()]) if new else ()
    fresh = {sha: one for sha, one in zip(new, found, strict=True) if one is not None}
    if fresh:
        with contextlib.suppress(StoreError):
            add_rows(file, _VERSION, fresh)
    known |= fresh
    return {path: known[sha] for path, sha in contents.items()}


def _as_tag(row: object) -> int | None:
    return row if isinstance(row, int) else None


def _as_mask_look(row: object) -> MaskLook | None:
    if not isinstance(row, list) or len(row) != len(MaskLook._fields):
        return None
    return MaskLook._make(tuple(map(tuple, v)) if isinstance(v, list) else v for v in row)
