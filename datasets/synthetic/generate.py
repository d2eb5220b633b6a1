"""Draws one picture from its address, and the whole set into a folder.

The same address (category, split, number) gives the same bytes; the folder appears complete or not
at all.
"""

from __future__ import annotations

import fcntl
import json
import math
import os
import shutil
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from adbench.datasets.synthetic.canvas import SIZE, Bools, Scene
from adbench.datasets.synthetic.contents import CATEGORIES, MARKER, VERSION, Picture, pictures
from adbench.datasets.synthetic.defects import SURFACE
from adbench.datasets.synthetic.modelling import Change
from adbench.datasets.synthetic.parts import BUILDERS
from adbench.datasets.synthetic.shading import draw_light, photograph
from adbench.store.files import explain_cache_error
from adbench.text import say

HALO = 12
"""Pixels around a mask within which a defect's shadow or reflection may still show."""

_BENDS_ITSELF = frozenset({"bracket"})
"""Categories whose builder knows how to bend the part; the others get a dent."""


def render(
    category: str,
    address: tuple[int, ...],
    defect: str | None = None,
    strength: float = 0.0,
    *,
    twin: bool = False,
) -> tuple[NDArray[np.uint8], Bools]:
    """A picture and the mask of its defect.

    Args:
        category: a key of `BUILDERS`.
        address: integers that seed everything random in this picture.
        defect: its kind, or None for a flawless part.
        strength: 0 subtle to 1 obvious.
        twin: leave the defect out and keep all else; the mask is still the defect's.

    Returns:
        uint8 (SIZE, SIZE, 3) and bool (SIZE, SIZE).
    """
    part, lamp, damage, sensor = (np.random.default_rng([*address, i]) for i in range(4))
    change = Change(
        kind=defect if defect and _made_by_builder(category, defect) else "",
        choice=float(damage.random()),
        strength=strength,
        direction=float(damage.random()) * 2 * math.pi,
    )
    flawless, scene, fine = _scenes(category, part, change, defect, damage)
    image = photograph(flawless if twin else scene, draw_light(lamp), sensor)
    mask: Bools = np.any(fine.reshape(SIZE, 2, SIZE, 2), axis=(1, 3))
    return image, mask


def _scenes(
    category: str,
    part: np.random.Generator,
    change: Change,
    defect: str | None,
    damage: np.random.Generator,
) -> tuple[Scene, Scene, Bools]:
    """The flawless scene, the one with the defect, and where they differ (FINE, FINE)."""
    state = part.bit_generator.state
    flawless = BUILDERS[category](part, change)
    if defect is None:
        return flawless.scene, flawless.scene, flawless.touched
    if not change.kind:
        scene = flawless.scene.copy()
        return flawless.scene, scene, SURFACE[defect](scene, damage, change.strength)
    part.bit_generator.state = state
    altered = BUILDERS[category](part, replace(change, applied=True))
    fine = flawless.touched | altered.touched | _differ(flawless.scene, altered.scene)
    return flawless.scene, altered.scene, fine


def _differ(a: Scene, b: Scene) -> Bools:
    """Where any buffer does."""
    differ: Bools = (a.material != b.material) | (a.height != b.height) | (a.tone != b.tone)
    return differ


def _made_by_builder(category: str, defect: str) -> bool:
    return defect in ("missing", "misplaced") or (defect == "bend" and category in _BENDS_ITSELF)


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
        what = f"the synthetic data set cannot be written to {folder}"
        raise explain_cache_error(what, error, "about 30 MB are needed: ") from None


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
