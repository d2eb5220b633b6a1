"""Maps and scores on disk, in chunks that are each whole or absent.

A chunk is an archive (`files.write_archive`) of `maps` and `scores`, and `NAME.maps` and
`NAME.scores` of each part. A killed prediction goes on after its last whole chunk; a damaged chunk
is predicted again. Those that are kept become a file an image each (`map_files`) and an index.
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
from adbench.store.map_files import map_names, read_listed, way_to, write_map
from adbench.store.records import encode_scores

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
        return all(
            self._path(bound).is_file() or self._index(bound).is_file() for bound in self.bounds
        )

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

    def give_files(self, ids: Sequence[str]) -> None:
        """Put every map into a file of its own, named as its image; killed, it is as good before
        as after. Raises `StoreError`."""
        names = map_names(ids)
        for bound in self.bounds:
            whole = _archived(self._path(bound), bound)
            if whole is None:
                continue
            own = names[slice(*bound)]
            index = {"": self._in_files("maps", own, whole)}
            index |= {n: self._in_files(f"maps-{n}", own, one) for n, one in whole.parts.items()}
            files.write_json(self._index(bound), {"parts": index})
            files.remove(self._path(bound))

    def _in_files(self, place: str, names: Sequence[str], one: Prediction) -> dict[str, Any]:
        """What an index says of one part, with its maps written into the folder `place`."""
        files_of = [f"{place}/{name}" for name in names]
        maps = [
            [file, write_map(way_to(self._folder, file), own)]
            for file, own in zip(files_of, one.maps, strict=True)
        ]
        return {"maps": maps, "scores": encode_scores(one.scores)}

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

    def _index(self, bound: tuple[int, int]) -> Path:
        return self._path(bound).with_suffix(".json")

    def _load(self, bound: tuple[int, int]) -> Prediction | None:
        path = self._index(bound)
        read = partial(_read_files, count=bound[1] - bound[0])
        listed = files.checked(path, read, f"the index of maps {path.name}")
        return _archived(self._path(bound), bound) if listed is None else listed


def _archived(path: Path, bound: tuple[int, int]) -> Prediction | None:
    read = partial(_read, count=bound[1] - bound[0])
    return files.checked(path, read, f"the chunk of maps {path.name}")


def _read_files(path: Path, count: int) -> Prediction:
    """The maps that an index names; raises ValueError for any other content."""
    import numpy as np

    parts = {}
    try:
        for name, one in files.read_json(path)["parts"].items():
            maps = [read_listed(path.parent, entry) for entry in one["maps"]]
            scores = np.array([float(score) for score in one["scores"]], np.float32)
            parts[name] = Prediction(np.stack(maps), scores)
        whole = parts.pop("")
    except (AttributeError, KeyError, TypeError) as error:
        raise ValueError("it names no maps and scores") from error
    return _whole(Prediction(whole.maps, whole.scores, parts), count)


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
    return _whole(prediction, count)


def _whole(prediction: Prediction, count: int) -> Prediction:
    """Of `count` images, every part of it; raises ValueError for another."""
    for one in (prediction, *prediction.parts.values()):
        maps, scores = one.maps, one.scores
        if maps.ndim != 3 or len(maps) != count or scores.shape != (count,):
            raise ValueError(f"expected {count} maps and scores")
        if str(maps.dtype) != "float32" or str(scores.dtype) != "float32":
            raise ValueError("expected float32")
    return prediction
