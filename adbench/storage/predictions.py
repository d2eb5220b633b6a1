"""Maps and scores on disk, in chunks that are each whole or absent.

A chunk is a file: the SHA-256 of the rest, then an uncompressed .npz with `maps` and `scores`.
A killed prediction goes on after its last whole chunk; a damaged chunk is predicted again.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from adbench import atomic
from adbench.contracts import Images, Method, Prediction
from adbench.errors import AdbenchError, MethodError

if TYPE_CHECKING:
    from collections.abc import Callable

CHUNK_IMAGES = 64
_DIGEST_BYTES = 32


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

    def missing(self) -> list[tuple[int, int]]:
        """Ranges that are absent or damaged; a damaged file is named and set aside."""
        if self._folder.is_symlink():
            atomic.say_damaged(self._folder, f"the maps in {self._folder.name} are behind a link")
        return [b for b in self.bounds if self._load(b) is None]

    def write(self, bound: tuple[int, int], prediction: Prediction) -> None:
        """Store one range atomically."""
        import numpy as np

        with atomic.replacing(self._path(bound)) as temporary, temporary.open("wb") as stream:
            stream.write(bytes(_DIGEST_BYTES))
            body = _Digesting(stream)
            np.savez(body, maps=prediction.maps, scores=prediction.scores)
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

    def _path(self, bound: tuple[int, int]) -> Path:
        return self._folder / f"chunk-{bound[0]:07d}-{bound[1]:07d}"

    def _load(self, bound: tuple[int, int]) -> Prediction | None:
        path = self._path(bound)
        try:
            with path.open("rb") as stream:
                digest, body = stream.read(_DIGEST_BYTES), stream.read()
            return _decoded(digest, body, bound[1] - bound[0])
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            reason = error.strerror or "cannot be read" if isinstance(error, OSError) else error
            atomic.say_damaged(path, f"maps in {path.name} are damaged ({reason})")
            return None


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
            prediction = Prediction(arrays["maps"], arrays["scores"])
    except (ImportError, MemoryError):
        raise
    except Exception as error:  # zip and npy readers raise a dozen kinds
        raise ValueError("no maps and scores in it") from error
    maps, scores = prediction.maps, prediction.scores
    if maps.ndim != 3 or len(maps) != count or scores.shape != (count,):
        raise ValueError(f"expected {count} maps and scores")
    if maps.dtype != np.float32 or scores.dtype != np.float32:
        raise ValueError("expected float32")
    return prediction


def predict_in_batches(method: Method, images: Images, divisor: int = 1) -> Prediction:
    """Predict a chunk in the method's own batches, or a part of them; check what comes back.

    Raises `MethodError` for a wrong shape or dtype, or a NaN, naming the image.
    """
    import numpy as np

    size = max(1, method.batch_size // divisor)
    side = method.geometry.size
    maps = np.empty((len(images), side, side), np.float32)
    scores = np.empty(len(images), np.float32)
    for batch in _batches(len(images), size):
        part = _checked(method, images[batch])
        maps[batch], scores[batch] = part.maps, part.scores
    return Prediction(maps, scores)


def predict_missing(
    method: Callable[[], Method], images: Images, chunks: PredictionChunks, divisor: int = 1
) -> Iterator[int]:
    """Fill the missing chunks, yielding the number of images done; builds the method if needed."""
    missing = chunks.missing()
    done = len(images) - sum(stop - start for start, stop in missing)
    if not missing:
        return
    fitted = method()
    for start, stop in missing:
        chunks.write((start, stop), predict_in_batches(fitted, images[start:stop], divisor))
        done += stop - start
        yield done


def _batches(count: int, size: int) -> list[slice]:
    return [slice(start, min(start + size, count)) for start in range(0, count, size)]


def _checked(method: Method, images: Images) -> Prediction:
    import numpy as np

    prediction = method.predict(images)
    name = method.card.name
    if not isinstance(prediction, Prediction):
        found = type(prediction).__name__
        raise MethodError(f"{name}.predict returned {found}; expected adbench.contracts.Prediction")
    side = method.geometry.size
    maps, scores = np.asarray(prediction.maps), np.asarray(prediction.scores)
    if maps.shape != (len(images), side, side) or maps.dtype != np.float32:
        raise MethodError(
            f"{name}.predict returned maps of shape {maps.shape} and type {maps.dtype}; "
            f"expected float32 ({len(images)}, {side}, {side})"
        )
    if scores.shape != (len(images),) or scores.dtype != np.float32:
        raise MethodError(
            f"{name}.predict returned scores of shape {scores.shape} and type {scores.dtype}; "
            f"expected float32 ({len(images)},)"
        )
    bad = np.isnan(scores) | np.isnan(maps).any(axis=(1, 2))
    if bad.any():
        first = images.ids[int(np.flatnonzero(bad)[0])]
        raise MethodError(
            f"{name}.predict gave NaN for {int(bad.sum())} images, first {first}: "
            "the training diverged or the precision overflowed; try precision=fp32"
        )
    return Prediction(maps, scores)
