"""Looks at files, remembered by their content, so that a run on unchanged data opens none.

One file per data-set root beside the index of digests: a cache and nothing more. Where it is
missing, damaged or cannot be written, files are looked at again.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, Protocol, TypeVar

from adbench.data.doubts import ImageLook, Looked, MaskLook
from adbench.errors import DataError, StoreError
from adbench.store.files import read_or_set_aside, write_json

_FORMAT: Final = "adbench-looks-1"

Look = TypeVar("Look", ImageLook, MaskLook)


class Contents(Protocol):
    """A selection's files."""

    @property
    def root(self) -> Path: ...
    @property
    def index_folder(self) -> Path: ...


def look_at_files(
    files: Contents,
    images: Mapping[str, str],
    masks: Mapping[str, str],
    of_normals: Mapping[str, str],
) -> Looked:
    """Looks at files that were not looked at before; what cannot be decoded is None.

    Args:
        files: where they are, and where looks are remembered.
        images: path, relative to the root, to SHA-256 of the content.
        masks: likewise, those of normal images included.
        of_normals: passed on.
    """
    base = os.fsencode(os.path.abspath(files.root))
    file = files.index_folder / f"{hashlib.sha256(base).hexdigest()[:32]}.looks"
    stored = _read(file)
    rows: dict[str, dict[str, Any]] = {
        kind: dict(own) if isinstance(own := stored.get(kind), dict) else {}
        for kind in ("images", "masks")
    }
    known = sum(map(len, rows.values()))

    def image(path: str) -> ImageLook:
        from adbench.data.looks import look_at_image

        return look_at_image(files.root / path)

    def mask(path: str) -> MaskLook:
        from adbench.data.looks import look_at_mask

        return look_at_mask(files.root / path)

    looked = Looked(
        _looks(images, rows["images"], image, ImageLook),
        _looks(masks, rows["masks"], mask, MaskLook),
        of_normals,
    )
    if sum(map(len, rows.values())) > known:
        with contextlib.suppress(StoreError):
            write_json(file, {"format": _FORMAT, **rows})
    return looked


def _looks(
    paths: Mapping[str, str],
    rows: dict[str, Any],
    look: Callable[[str], Look],
    kind: type[Look],
) -> dict[str, Look | None]:
    """Adds to `rows` what it had to look at, by content; a file under two names once."""
    from adbench.machine.threads import in_threads

    known = {content: _as_look(row, kind) for content, row in rows.items()}
    fresh = {content: path for path, content in paths.items() if known.get(content) is None}

    def seen(path: str) -> Look | None:
        try:
            return look(path)
        except (DataError, MemoryError):  # the cell that needs it fails, and says why
            return None

    for content, found in zip(fresh, in_threads(seen, fresh.values()), strict=True):
        if found is not None:
            known[content] = found
            rows[content] = list(found)
    return {path: known.get(content) for path, content in paths.items()}


def _as_look(row: object, kind: type[Look]) -> Look | None:
    """A stored look, or None for a row of another version."""
    if not isinstance(row, list) or len(row) != len(kind._fields):
        return None
    if kind is MaskLook:
        *others, levels = row
        row = [*others, tuple(tuple(level) for level in levels)]
    return kind(*row)


def _read(file: Path) -> dict[str, Any]:
    with contextlib.suppress(StoreError):
        stored = read_or_set_aside(file) or {}
        return stored if stored.get("format") == _FORMAT else {}
    return {}
