"""Maps and scores on disk, in chunks that are each whole or absent.

A chunk is a file: the SHA-256 of the rest, then an uncompressed .npz with `maps` and `scores`, and
`NAME.maps` and `NAME.scores` of each part. A killed prediction goes on after its last whole chunk;
a damaged chunk is predicted again.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from adbench.contracts import Prediction
from adbench.errors import AdbenchError
from adbench.store import atomic
from adbench.store.archives import DIGEST_BYTES, read_archive

if TYPE_CHECKING:
    from numpy.typing import NDArray

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
    """The chunks of one cell's predictions in `folder`."""

    def __init__(self, folder: Path, bounds: Sequence[tuple[int, int]]) -> None:
        self._folder = folder
        self.bounds = list(bounds)

    def are_there(self) -> bool:
        """Whether no chunk is absent; whether each is undamaged is not looked at."""
        return all(self._path(bound).is_file() for bound in self.bounds)

    def missing(self) -> list[tuple[int, int]]:
        """Ranges that are absent or damaged; a damaged file is named and set aside."""
        if self._folder.is_symlink():
            atomic.say_damaged(self._folder, f"the maps in {self._folder.name} are behind a link")
        elif self._folder.exists() and not self._folder.is_dir():
            atomic.say_damaged(self._folder, f"{self._folder.name} is no folder of maps")
        return [b for b in self.bounds if self._load(b) is None]

    def write(self, bound: tuple[int, int], prediction: Prediction) -> None:
        """Store one range atomically."""
        import numpy as np

        with atomic.replacing(self._path(bound)) as temporary, temporary.open("wb") as stream:
            stream.write(bytes(DIGEST_BYTES))
            body = _Digesting(stream)
            np.savez(body, **_arrays(prediction))
            stream.seek(0)
            stream.write(body.digest())

    def read(self, bound: tuple[int, int]) -> Prediction:
        """One stored range; raises `AdbenchError` when it was lost since it was written."""
        prediction = self._load(bound)
        if prediction is None:
            raise AdbenchError(
                f"maps were removed or damaged while they were scored ({self._path(bound).name}): "
                "run the same command again, only they are predicted anew"
            )
        return prediction

    def parts(self) -> dict[str, PredictionPart]:
        """By name, what the parts of the method predicted alone, in the order it gave them."""
        names = self.read(self.bounds[0]).parts if self.bounds else ()
        return {name: PredictionPart(self, name) for name in names}

    def _path(self, bound: tuple[int, int]) -> Path:
        return self._folder / f"chunk-{bound[0]:07d}-{bound[1]:07d}"

    def _load(self, bound: tuple[int, int]) -> Prediction | None:
        path = self._path(bound)
        try:
            return _decoded(*read_archive(path), bound[1] - bound[0])
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            reason = error.strerror or "cannot be read" if isinstance(error, OSError) else error
            atomic.say_damaged(path, f"maps in {path.name} are damaged ({reason})")
            return None


class PredictionPart(PredictionChunks):
    """What one part of the method predicted, in the chunks of the whole."""

    def __init__(self, chunks: PredictionChunks, name: str) -> None:
        super().__init__(chunks._folder, chunks.bounds)
        self._name = name

    def read(self, bound: tuple[int, int]) -> Prediction:
        """One stored range of this part."""
        return super().read(bound).parts[self._name]


class _Digesting(io.RawIOBase):
    """Writes through and digests on the way, so that no second copy of the maps is needed."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream, self._sha256 = stream, hashlib.sha256()

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self._sha256.update(data)
        return self._stream.write(data)

    def digest(self) -> bytes:
        return self._sha256.digest()


def _decoded(digest: bytes, body: bytes, count: int) -> Prediction:
    """The arrays of a chunk of `count` images; raises ValueError for any other content."""
    import numpy as np

    if hashlib.sha256(body).digest() != digest:
        raise ValueError("the content does not match its SHA-256")
    try:
        with np.load(io.BytesIO(body), allow_pickle=False) as arrays:
            prediction = _from_arrays(arrays)
    except (ImportError, MemoryError):
        raise
    except Exception as error:  # zip and npy readers raise a dozen kinds
        raise ValueError("no maps and scores in it") from error
    for one in (prediction, *prediction.parts.values()):
        maps, scores = one.maps, one.scores
        if maps.ndim != 3 or len(maps) != count or scores.shape != (count,):
            raise ValueError(f"expected {count} maps and scores")
        if maps.dtype != np.float32 or scores.dtype != np.float32:
            raise ValueError("expected float32")
    return prediction


def _arrays(prediction: Prediction) -> dict[str, Any]:
    """A prediction as named arrays."""
    found = {"maps": prediction.maps, "scores": prediction.scores}
    for name, part in prediction.parts.items():
        found |= {f"{name}.maps": part.maps, f"{name}.scores": part.scores}
    return found


def _from_arrays(arrays: Mapping[str, NDArray[Any]]) -> Prediction:
    """The reverse of `_arrays`; raises KeyError where one is missing."""
    names = [name.removesuffix(".maps") for name in arrays if name.endswith(".maps")]
    parts = {n: Prediction(arrays[f"{n}.maps"], arrays[f"{n}.scores"]) for n in names}
    return Prediction(arrays["maps"], arrays["scores"], parts)
