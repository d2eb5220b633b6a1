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
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from adbench.figures.cases import gallery_cases
from adbench.figures.curves import Curve
from adbench.figures.names import file_part
from adbench.figures.pictures import Column, Maps, Subject
from adbench.figures.sheets import widest
from adbench.figures.style import COLOURMAP, CONTOUR
from adbench.store import files

FORMAT = 1
SIDE = 256  # pixels of a gallery picture
MAX_CASES = 12


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
    maps = [column.maps_of(ids) for column in columns]
    shown = []
    for row, (case, image_id) in enumerate(zip(cases, ids, strict=True)):
        mask = view.mask(image_id)
        shown.append(
            {
                "role": case.role,
                "id": image_id,
                "defect": first.images.defects[case.index],
                "image": jpeg(Image.fromarray(view.image(image_id)).resize((SIDE, SIDE))),
                "mask": _mask_png(np.zeros((1, 1), bool) if mask is None else mask),
                "mask_share": None if mask is None else round(float(mask.mean()), 6),
                "maps": [
                    {
                        "method": column.label,
                        "score": _score(column, image_id),
                        "picture": _map_jpeg(own[row], column, view),
                    }
                    for column, own in zip(columns, maps, strict=True)
                ],
            }
        )
    identity = first.subject.record.identity
    return {
        "format": FORMAT,
        "dataset": identity["dataset"],
        "category": category,
        "seed": identity["seed"],
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


def jpeg(picture: Image.Image, quality: int = 82) -> str:
    """A data URI."""
    buffer = io.BytesIO()
    picture.convert("RGB").save(buffer, "JPEG", quality=quality, optimize=True)
    return data_uri("image/jpeg", buffer.getvalue())


def data_uri(kind: str, content: bytes) -> str:
    """`data:kind;base64,...`."""
    return f"data:{kind};base64,{base64.b64encode(content).decode('ascii')}"


def _mask_png(mask: NDArray[np.bool_]) -> str:
    buffer = io.BytesIO()
    resized = Image.fromarray(mask).resize((SIDE, SIDE), Image.Resampling.NEAREST)
    resized.save(buffer, "PNG", optimize=True)
    return data_uri("image/png", buffer.getvalue())


def _map_jpeg(values: Maps, column: Column, view: Subject) -> str:
    """The map in its colours with its contour, placed where it lies in the field of view."""
    from matplotlib import colormaps, colors
    from scipy.ndimage import binary_erosion

    pixels = np.array(colormaps[COLOURMAP](column.scale.unit(values), bytes=True)[..., :3])
    if column.scale.threshold is not None:
        region = values >= column.scale.threshold
        pixels[region & ~binary_erosion(region, border_value=1)] = [
            round(255 * part) for part in colors.to_rgb(CONTOUR)
        ]
    side = round(SIDE * (1 - 2 * column.subject.margin) / (1 - 2 * view.margin))
    resampling = Image.Resampling.NEAREST if len(values) < SIDE else Image.Resampling.BICUBIC
    whole = Image.new("RGB", (SIDE, SIDE), (128, 128, 128))
    picture = Image.fromarray(pixels).resize((side, side), resampling)
    whole.paste(picture, ((SIDE - side) // 2,) * 2)
    return jpeg(whole)


def _score(column: Column, image_id: str) -> float | None:
    score = column.images.scores[column.images.ids.index(image_id)]
    return score if math.isfinite(score) else None
