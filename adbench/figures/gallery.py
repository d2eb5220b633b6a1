"""What the HTML report shows of a category: small pictures and pixel curves, in one JSON file.

The report needs neither the data set nor the maps: it reads these files, written when figures are
drawn, into `figures/gallery/` of the results folder.
"""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from adbench.figures.cases import gallery_cases
from adbench.figures.curves import Curve
from adbench.figures.grid import COLOURMAP
from adbench.figures.maps import Scale
from adbench.figures.names import file_part
from adbench.figures.sheets import Column, widest
from adbench.store import files

if TYPE_CHECKING:
    from adbench.figures.subjects import Subject

FORMAT = 1
SIDE = 256  # pixels of a gallery picture
MAX_CASES = 12
_QUALITY = 82
_CONTOUR = (86, 240, 240)


def entry(
    columns: Sequence[Column],
    category: str,
    files: Mapping[str, Any],
    pixel_curves: Mapping[str, Mapping[str, Curve]],
) -> dict[str, Any]:
    """The JSON of one category. `files` names the drawn sheets, relative to the figures' folder."""
    first, view = columns[0], widest(columns).subject
    cases = gallery_cases(first.images, MAX_CASES)
    ids = [first.images.ids[case.index] for case in cases]
    maps = {column.label: column.maps_of(ids) for column in columns}
    shown = []
    for row, (case, image_id) in enumerate(zip(cases, ids, strict=True)):
        mask = view.mask(image_id)
        shown.append(
            {
                "role": case.role,
                "id": image_id,
                "defect": first.images.defects[case.index],
                "image": jpeg(_resized(view.image(image_id))),
                "mask": _mask_png(np.zeros((1, 1), bool) if mask is None else mask),
                "mask_share": None if mask is None else round(float(mask.mean()), 6),
                "maps": [
                    {
                        "method": column.label,
                        "score": _finite(column.score_of(image_id)),
                        "picture": _map_jpeg(maps[column.label][row], column, view),
                    }
                    for column in columns
                ],
            }
        )
    return {
        "format": FORMAT,
        "dataset": first.subject.record.identity["dataset"],
        "category": category,
        "seed": first.subject.record.identity["seed"],
        "drawn_from": {c.label: c.subject.record.keys["score"] for c in columns},
        "chosen_by": first.label,
        "scales": {c.label: [c.scale.low, c.scale.high, c.scale.threshold] for c in columns},
        "pixel_curves": {
            label: {kind: curve.to_json() for kind, curve in kinds.items()}
            for label, kinds in pixel_curves.items()
        },
        "cases": shown,
        **files,
    }


def write(folder: Path, value: dict[str, Any]) -> Path:
    """Replace the category's file below the figures' folder."""
    name = f"{file_part(value['dataset'])}-{file_part(value['category'])}.json"
    path = folder / "gallery" / name
    files.write_json(path, value)
    return path


def read(folder: Path) -> Iterator[dict[str, Any]]:
    """The entries below a figures' folder; one of another version is passed over, and a damaged
    one named and set aside, as both can be drawn again."""
    for path in sorted((folder / "gallery").glob("*.json")):
        value = files.read_or_set_aside(path, "`adbench figures` draws it again")
        if value is not None and value.get("format") == FORMAT:
            yield value


def jpeg(picture: Image.Image, quality: int = _QUALITY) -> str:
    """A data URI."""
    buffer = io.BytesIO()
    picture.convert("RGB").save(buffer, "JPEG", quality=quality, optimize=True)
    return data_uri("image/jpeg", buffer.getvalue())


def data_uri(kind: str, content: bytes) -> str:
    """`data:kind;base64,...`."""
    return f"data:{kind};base64,{base64.b64encode(content).decode('ascii')}"


def _resized(pixels: NDArray[np.uint8]) -> Image.Image:
    return Image.fromarray(pixels).resize((SIDE, SIDE), Image.Resampling.BICUBIC)


def _mask_png(mask: NDArray[np.bool_]) -> str:
    picture = Image.fromarray(mask.astype(np.uint8) * 255)
    buffer = io.BytesIO()
    resized = picture.resize((SIDE, SIDE), Image.Resampling.NEAREST)
    resized.convert("1", dither=Image.Dither.NONE).save(buffer, "PNG", optimize=True)
    return data_uri("image/png", buffer.getvalue())


def _map_jpeg(values: NDArray[np.float32], column: Column, view: Subject) -> str:
    """The map in its colours with its contour, placed where it lies in the field of view."""
    picture = Image.fromarray(_coloured(values, column.scale))
    visible = 1 - 2 * view.margin
    side = round(SIDE * (1 - 2 * column.subject.margin) / visible)
    resampling = Image.Resampling.NEAREST if len(values) < SIDE else Image.Resampling.BICUBIC
    whole = Image.new("RGB", (SIDE, SIDE), (128, 128, 128))
    whole.paste(picture.resize((side, side), resampling), ((SIDE - side) // 2,) * 2)
    return jpeg(whole)


def _coloured(values: NDArray[np.float32], scale: Scale) -> NDArray[np.uint8]:
    from matplotlib import colormaps

    coloured = colormaps[COLOURMAP](scale.unit(values), bytes=True)[..., :3]
    pixels: NDArray[np.uint8] = np.array(coloured, np.uint8)
    if scale.threshold is not None:
        pixels[_outline(values >= scale.threshold)] = _CONTOUR
    return pixels


def _outline(region: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Pixels of a region (H, W) that have a neighbour outside it, above, below or beside."""
    padded = np.pad(region, 1, mode="edge")
    inner = padded[:-2, 1:-1] & padded[2:, 1:-1] & padded[1:-1, :-2] & padded[1:-1, 2:]
    outline: NDArray[np.bool_] = region & ~inner
    return outline


def _finite(score: float) -> float | None:
    return score if math.isfinite(score) else None
