"""From a fitted method and images to predictions that are what the contract promises."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from adbench.contracts import Images, Method, Prediction
from adbench.errors import MethodError
from adbench.store.predictions import PredictionChunks

PART_NAME = re.compile(r"[a-z][a-z-]{0,31}")


def predict_in_batches(method: Method, images: Images, divisor: int = 1) -> Prediction:
    """Predict a chunk in the method's own batches, or a part of them; check what comes back.

    Raises `MethodError` for a wrong shape or dtype, or a NaN, naming the image.
    """
    size = max(1, method.batch_size // divisor)
    whole: Prediction | None = None
    for start in range(0, len(images), size):
        batch = slice(start, min(start + size, len(images)))
        found = checked_prediction(method, images[batch])
        if whole is None:
            whole = _empty(len(images), method.geometry.size, tuple(found.parts))
        if list(found.parts) != list(whole.parts):
            raise MethodError(
                f"{method.card.name}.predict named the parts {list(found.parts)} after "
                f"{list(whole.parts)}; expected the same for every batch"
            )
        for all_of, own in zip(_with_parts(whole), _with_parts(found), strict=True):
            all_of.maps[batch], all_of.scores[batch] = own.maps, own.scores
    return _empty(0, method.geometry.size) if whole is None else whole


def _empty(count: int, side: int, parts: tuple[str, ...] = ()) -> Prediction:
    import numpy as np

    maps, scores = np.empty((count, side, side), np.float32), np.empty(count, np.float32)
    return Prediction(maps, scores, {name: _empty(count, side) for name in parts})


def _with_parts(prediction: Prediction) -> list[Prediction]:
    return [prediction, *prediction.parts.values()]


def predict_missing(
    method: Callable[[], Method], images: Images, chunks: PredictionChunks, divisor: int = 1
) -> Iterator[int]:
    """Fill the missing chunks, yielding the number of images done, first that of before; builds the
    method if needed."""
    missing = chunks.missing()
    done = len(images) - sum(stop - start for start, stop in missing)
    yield done
    if not missing:
        return
    fitted = method()
    for start, stop in missing:
        chunks.write((start, stop), predict_in_batches(fitted, images[start:stop], divisor))
        done += stop - start
        yield done


def checked_prediction(method: Method, images: Images) -> Prediction:
    """What the method predicts of one batch; raises `MethodError` where it is not as promised."""
    prediction = method.predict(images)
    whole = _checked(method, images, prediction, f"{method.card.name}.predict")
    for name, part in prediction.parts.items():
        if not PART_NAME.fullmatch(name) or getattr(part, "parts", None):
            raise MethodError(
                f"{method.card.name}.predict returned the part {name!r}; expected a name of "
                "lower-case letters and hyphens, and no parts in it"
            )
        _checked(method, images, part, f"{method.card.name}.predict, part {name},")
    return whole


def _checked(method: Method, images: Images, prediction: Prediction, name: str) -> Prediction:
    import numpy as np

    if not isinstance(prediction, Prediction):
        found = type(prediction).__name__
        raise MethodError(f"{name} returned {found}; expected adbench.contracts.Prediction")
    side = method.geometry.size
    maps, scores = np.asarray(prediction.maps), np.asarray(prediction.scores)
    if maps.shape != (len(images), side, side) or maps.dtype != np.float32:
        raise MethodError(
            f"{name} returned maps of shape {maps.shape} and type {maps.dtype}; "
            f"expected float32 ({len(images)}, {side}, {side})"
        )
    if scores.shape != (len(images),) or scores.dtype != np.float32:
        raise MethodError(
            f"{name} returned scores of shape {scores.shape} and type {scores.dtype}; "
            f"expected float32 ({len(images)},)"
        )
    bad = np.isnan(scores) | np.isnan(maps).any(axis=(1, 2))
    if bad.any():
        first = images.ids[int(np.flatnonzero(bad)[0])]
        has_choice = hasattr(method.hyperparameters, "precision")
        raise MethodError(
            f"{name} gave NaN for {int(bad.sum())} images, first {first}: "
            "the training diverged or the precision overflowed"
            + ("; try precision=fp32" if has_choice else "")
        )
    return prediction
