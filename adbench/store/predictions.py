"""Maps and scores on disk, in chunks that are each whole or absent.

A chunk is an archive (`files.write_archive`) of `maps` and `scores`, and `NAME.maps` and
`NAME.scores` of each part. A killed prediction goes on after its last whole chunk; a damaged chunk
is predicted again.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from adbench.contracts import Prediction
from adbench.errors import AdbenchError
from adbench.store import files

CHUNK_IMAGES = 64


def chunk_bounds(categories: Sequence[str]) -> list[tuple[int, int]]:
    """Ranges of at most `CHUNK_IMAGES` images, none across two categories."""
    bounds: list[tuple[int, int]] = []
    start = 0
    for stop in range(1, len(categories) + 1):
        at_end = stop == len(categories) or categories[stop] != categories[start]
        if at_end or stop - start == CHUNK_IMAGES:
            bounds.append((start, stop))
            start = stop
    return bounds


class PredictionChunks:
    """The chunks of one cell's predictions in `folder`; of one `part` of the method alone, if any
    is named."""

    def __init__(self, folder: Path, bounds: Sequence[tuple[int, int]], part: str = "") -> None:
        self._folder = folder
        self._part = part
        self.bounds = list(bounds)

    def are_there(self) -> bool:
        """Whether no chunk is absent; whether each is undamaged is not looked at."""
        return all(self._path(bound).is_file() for bound in self.bounds)

    def missing(self) -> list[tuple[int, int]]:
        """Ranges that are absent or damaged; a damaged file is named and set aside."""
        if self._folder.is_symlink():
            files.say_damaged(self._folder, f"the maps in {self._folder.name} are behind a link")
        elif self._folder.exists() and not self._folder.is_dir():
            files.say_damaged(self._folder, f"{self._folder.name} is no folder of maps")
        return [b for b in self.bounds if self._load(b) is None]

    def write(self, bound: tuple[int, int], prediction: Prediction) -> None:
        """Store one range atomically."""
        import numpy as np

        arrays: dict[str, Any] = {"maps": prediction.maps, "scores": prediction.scores}
        for name, part in prediction.parts.items():
            arrays |= {f"{name}.maps": part.maps, f"{name}.scores": part.scores}
        buffer = io.BytesIO()
        np.savez(buffer, **arrays)
        files.write_archive(self._path(bound), lambda stream: stream.write(buffer.getbuffer()))

    def read(self, bound: tuple[int, int]) -> Prediction:
        """One stored range; raises `AdbenchError` when it was lost since it was written."""
        prediction = self._load(bound)
        if prediction is None:
            raise AdbenchError(
                f"maps were removed or damaged while they were scored ({self._path(bound).name}): "
                "run the same command again, only they are predicted anew"
            )
        return prediction.parts[self._part] if self._part else prediction

    def parts(self) -> dict[str, PredictionChunks]:
        """By name, what the parts of the method predicted alone, in the order it gave them."""
        names = self.read(self.bounds[0]).parts if self.bounds else ()
        return {name: PredictionChunks(self._folder, self.bounds, name) for name in names}

    def _path(self, bound: tuple[int, int]) -> Path:
        return self._folder / f"chunk-{bound[0]:07d}-{bound[1]:07d}"

    def _load(self, bound: tuple[int, int]) -> Prediction | None:
        path = self._path(bound)
        read = partial(_read, count=bound[1] - bound[0])
        return files.checked(path, read, f"the chunk of maps {path.name}")


def _read(path: Path, count: int) -> Prediction:
    """A chunk of `count` images; raises ValueError for any other content."""
    import numpy as np

    body = files.read_archive(path)
    try:
        with np.load(io.BytesIO(body), allow_pickle=False) as arrays:
            names = [name.removesuffix(".maps") for name in arrays if name.endswith(".maps")]
            parts = {n: Prediction(arrays[f"{n}.maps"], arrays[f"{n}.scores"]) for n in names}
            prediction = Prediction(arrays["maps"], arrays["scores"], parts)
    except (ImportError, MemoryError):
        raise
    except Exception as error:  # zip and npy readers raise a dozen kinds
        raise ValueError("no maps and scores in it") from error
    for one in (prediction, *parts.values()):
        maps, scores = one.maps, one.scores
        if maps.ndim != 3 or len(maps) != count or scores.shape != (count,):
            raise ValueError(f"expected {count} maps and scores")
        if maps.dtype != np.float32 or scores.dtype != np.float32:
            raise ValueError("expected float32")
    return prediction
