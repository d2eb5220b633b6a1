"""Kept maps as files that others read: one 32-bit TIFF an image, named as the image.

Below `maps/` in the folder of a cell's predictions, `maps-NAME/` for each part of the method. An
index of each chunk says which files are its maps and what they held when they were written.
"""

from __future__ import annotations

import hashlib
import io
from collections import Counter
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from adbench.errors import StoreError
from adbench.store.files import explain_os_error
from adbench.store.regular_files import LARGE_TEXT_BYTES, read_bounded

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

SUFFIX = ".tiff"


def map_names(ids: Sequence[str]) -> list[str]:
    """The file of each image's map, relative to the folder of maps: its own name with `.tiff` for
    its suffix, behind it where two images differ in nothing else."""
    stems = [own.removesuffix(PurePosixPath(own).suffix) for own in ids]
    count = Counter(stem.casefold() for stem in stems)
    names = [s if count[s.casefold()] == 1 else own for s, own in zip(stems, ids, strict=True)]
    return [f"{n}{SUFFIX}" if _is_inside(n) else f"{i:07d}{SUFFIX}" for i, n in enumerate(names)]


def _is_inside(name: str) -> bool:
    path = PurePosixPath(name)
    return bool(path.parts) and not path.is_absolute() and ".." not in path.parts


def way_to(folder: Path, name: str) -> Path:
    """The path of a file below a folder that anybody may have made: links in the way are removed,
    never what they point to."""
    path = folder
    for part in PurePosixPath(name).parts:
        path = path / part
        if path.is_symlink():
            path.unlink()
    return path


def write_map(path: Path, values: NDArray[np.float32]) -> str:
    """Write a map float32 (H, W); gives the SHA-256 of the file. Raises `StoreError`."""
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(values).save(buffer, "TIFF")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(buffer.getbuffer())
    except OSError as error:
        raise explain_os_error(error, path) from error
    return hashlib.sha256(buffer.getbuffer()).hexdigest()


def read_map(path: str | Path) -> NDArray[np.float32]:
    """The anomaly map of one image, float32 (H, W), higher is more anomalous.

    `path` is a file that `adbench.load_scores` names; any program that reads 32-bit TIFF reads it
    as well. Raises `adbench.errors.StoreError` for any other file.
    """
    path = Path(path)
    try:
        return decoded(read_bounded(path, LARGE_TEXT_BYTES))
    except FileNotFoundError:
        raise StoreError(f"there is no map {path}: `adbench run --keep-maps` keeps maps") from None
    except OSError as error:
        raise StoreError(f"cannot read the map {path}: {error.strerror or error}") from error
    except ValueError as error:
        raise StoreError(f"{path} is no map of adbench's: {error}") from None


def read_listed(folder: Path, entry: Any) -> NDArray[np.float32]:
    """The map that an index names as [file, SHA-256]; raises ValueError for any other content."""
    name, sha256 = entry
    if not _is_inside(name):
        raise ValueError(f"it names {name!r}, expected a file below it")
    try:
        content = read_bounded(folder / name, LARGE_TEXT_BYTES)
    except FileNotFoundError:
        raise ValueError(f"{name} is missing") from None
    if hashlib.sha256(content).hexdigest() != sha256:
        raise ValueError(f"{name} does not match its SHA-256")
    return decoded(content)


def decoded(content: bytes) -> NDArray[np.float32]:
    """The float32 image that a TIFF holds, uncompressed as we write them; raises ValueError."""
    import numpy as np
    from PIL import Image

    try:
        with Image.open(io.BytesIO(content), formats=("TIFF",)) as image:
            if image.mode != "F" or 4 * image.width * image.height > len(content):
                raise ValueError("expected a 32-bit float TIFF without compression")
            return np.array(image, np.float32)
    except ValueError:
        raise
    except Exception as error:  # Pillow raises a dozen kinds for damaged files
        raise ValueError(f"it cannot be decoded ({error})") from error
