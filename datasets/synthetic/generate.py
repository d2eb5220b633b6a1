"""Draws the whole set into a folder, which appears complete or not at all."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import shutil
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
from PIL import Image

from adbench.datasets.synthetic.contents import CATEGORIES, MARKER, VERSION, Picture, pictures
from adbench.datasets.synthetic.render import render
from adbench.errors import StoreError
from adbench.text import say


def ensure_generated(folder: Path) -> None:
    """Draw the set at `folder` unless it is there. Seconds; safe with several processes.

    Raises:
        StoreError: the folder cannot be written or the disk is full.
    """
    if (folder / MARKER).exists():
        return
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with _alone(folder.with_suffix(".lock")):
            if not (folder / MARKER).exists():
                _generate(folder)
    except OSError as error:
        is_full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        way_out = "about 30 MB are needed: free some space, or " if is_full else ""
        raise StoreError(
            f"the synthetic data set cannot be written to {folder}: "
            f"{error.strerror or error}; {way_out}name a writable folder in ADBENCH_CACHE"
        ) from None


def write_set(folder: Path) -> None:
    """Draw all pictures and masks into an existing empty folder; says so, as it takes a while."""
    say("drawing the synthetic data set (once, about 10 s)")
    everything = [picture for category in CATEGORIES for picture in pictures(category)]
    for parent in sorted({(folder / p).parent for e in everything for p in _paths(e)}):
        parent.mkdir(parents=True)
    # numpy releases the interpreter lock in its loops: threads help, and need no start-up.
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        for _ in pool.map(lambda picture: _write_picture(folder, picture), everything):
            pass
    (folder / MARKER).write_text(json.dumps({"name": "synthetic", "version": VERSION}) + "\n")


@contextmanager
def _alone(lock: Path) -> Iterator[None]:
    """Wait until no other process draws the set. The kernel frees a dead process's lock."""
    # In a folder that others may have filled: never through a link, and never waiting for a pipe.
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK
    with open(os.open(lock, flags, 0o666)) as stream:
        with suppress(OSError):  # a file system without locks: both draw, the first one wins
            fcntl.flock(stream, fcntl.LOCK_EX)
        yield


def _generate(folder: Path) -> None:
    for abandoned in folder.parent.glob(f"{folder.name}.*.tmp"):
        shutil.rmtree(abandoned, ignore_errors=True)
    temporary = folder.with_name(f"{folder.name}.{uuid.uuid4().hex}.tmp")
    try:
        temporary.mkdir()
        write_set(temporary)
        if not (folder / MARKER).exists():
            shutil.rmtree(folder, ignore_errors=True)  # what somebody deleted in part
            os.rename(temporary, folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _paths(picture: Picture) -> list[str]:
    return [picture.path] + ([picture.mask_path] if picture.mask_path else [])


def _write_picture(folder: Path, picture: Picture) -> None:
    image, mask = render(picture.category, picture.address, picture.defect, picture.strength)
    Image.fromarray(image).save(folder / picture.path, compress_level=1)
    if picture.mask_path:
        Image.fromarray(mask.astype(np.uint8) * np.uint8(255)).save(folder / picture.mask_path)
