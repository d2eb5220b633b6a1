"""The images that `adbench predict PATH` is to see: a file, a folder with all below it, a table."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from adbench.data.names import unprintable_name
from adbench.datasets.listing import read_image_folder
from adbench.datasets.own.table import read_paths
from adbench.errors import DataError
from adbench.own_paths import TABLES
from adbench.text import counted, is_printable


class NewImage(NamedTuple):
    """An image by the name that it has in PATH, and where it lies."""

    name: str
    path: Path


class Inputs(NamedTuple):
    """The images, each once, and what was found beside them."""

    images: tuple[NewImage, ...]
    warnings: tuple[str, ...] = ()


def find_inputs(path: Path) -> Inputs:
    """What PATH names; raises `DataError` where it names no image."""
    if path.is_dir():
        found = read_image_folder(path, "")
        warnings = tuple(p.message for p in found.problems if p.check != "sub-folder")
        inputs = Inputs(tuple(NewImage(name, path / name) for name in found.images), warnings)
    elif path.suffix.lower() in TABLES:
        rows = read_paths(path)
        inputs = Inputs(tuple(NewImage(name, Path(where)) for name, where in rows))
    elif path.exists():
        inputs = Inputs((NewImage(path.name, path),))
    else:
        raise DataError(f"there is no {path}: expected {_EXPECTED}")
    if not inputs.images:
        raise DataError(f"no image in {path}: expected {_EXPECTED}")
    for image in inputs.images:
        if not is_printable(image.name):
            raise DataError(f"{path}: {unprintable_name(image.name)}")
    return inputs


_EXPECTED = "an image, a folder of images, or a table of files with a column `path`"


def said(warnings: Sequence[str], most: int = 3) -> Iterator[str]:
    """The first of them, and how many more."""
    yield from warnings[:most]
    if len(warnings) > most:
        yield f"and {counted(len(warnings) - most, 'more file')} that are no images"
