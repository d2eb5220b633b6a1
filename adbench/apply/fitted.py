"""A finished cell with its model: scores, maps, p-values and verdicts of images in memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from adbench.apply.choose import Chosen, choose_cell, run_command
from adbench.code_digest import method_code
from adbench.contracts import CategoryCard, Context, Geometry, Hyperparameters, Images, Method
from adbench.data.calibration import share_for, way_to_verdicts
from adbench.errors import StoreError, UnknownNameError, UsageError
from adbench.hyperparameters import build_hyperparameters
from adbench.machine.devices import choose_device, choose_precision
from adbench.machine.environment import package_versions
from adbench.plan import decoder_digest
from adbench.registry import load_method
from adbench.selectors import parse_overrides
from adbench.stats.conformal import ALPHA, check_alpha, p_values, wanted
from adbench.store.comparability import library_versions
from adbench.store.folders import CellFolder
from adbench.text import counted

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import ArrayLike, NDArray
    from PIL import Image

    NewImages = NDArray[np.uint8] | Sequence[NDArray[np.uint8] | Image.Image | Path | str]

ANOMALOUS, NORMAL = "anomalous", "normal"
_FILE = "#sha256:"
"""In the record's value of a hyper-parameter that is a file."""


@dataclass(frozen=True)
class Judged:
    """What a cell says of N images.

    Attributes:
        scores: float32 (N,), higher is more anomalous.
        maps: float32 (N, S, S), of the square that the method saw.
        p_values: float64 (N,): (1 + held-out normals that score at least as high) / (n + 1); None
            where the cell is not calibrated.
        verdicts: "normal" or "anomalous" each, at the rate of false alarms asked for; None where
            none is possible.
        reason: why there are no p-values, or no verdicts; "" where there are.
    """

    scores: NDArray[np.float32]
    maps: NDArray[np.float32]
    p_values: NDArray[np.float64] | None
    verdicts: tuple[str, ...] | None
    reason: str


class FittedCell:
    """A finished cell, ready for new images of one category.

    Attributes:
        record: its record.
        category: whose images it is to see: the held-out normals are of that.
        method: the fitted method.
        notes: what a user must know of its model.
    """

    def __init__(
        self, chosen: Chosen, method: Method, results: Path, notes: Sequence[str], changed: str
    ) -> None:
        """`changed`: what of the code that decides scores is no longer that of the record."""
        self.record, self.category, self.method = chosen.record, chosen.category, method
        self.notes, self._changed = tuple(notes), changed
        self._chosen, self._results = chosen, results

    @property
    def geometry(self) -> Geometry:
        """How images become the square that the method sees."""
        return self.method.geometry

    @cached_property
    def held_out(self) -> list[float]:
        """Scores of the normals that calibrate; none where there are none, or none that count."""
        return [] if self._changed else self.record.held_out_scores(self.category)

    @property
    def map_ends(self) -> tuple[float, float] | None:
        """The median and the highest value of the held-out normals' maps; None without any."""
        own = self.record.calibration.get("maps", {}).get(self.category)
        return None if own is None or self._changed else (own[0], own[1])

    def predict(self, images: NewImages, *, alpha: float = ALPHA) -> Judged:
        """Scores, maps, p-values and verdicts.

        Args:
            images: uint8 (N, H, W, 3) in RGB, or a sequence of such arrays of any sizes (grey ones
                (H, W) too), of PIL images, or of paths.
            alpha: the rate of false alarms to allow.

        Raises:
            DataError: a file is missing, damaged or of an unsupported kind.
            UsageError: an array is no 8-bit image, or `alpha` no rate.
            MethodError: the method cannot score them.
        """
        check_alpha(alpha)
        import numpy as np

        if isinstance(images, str | Path):
            images = [images]
        if isinstance(images, np.ndarray) and images.ndim != 4:
            raise UsageError(
                f"images of shape {images.shape}: expected (N, H, W, 3), or a list of images"
            )
        size = self.geometry.size
        squares = [self._square(image) for image in images]
        pixels = np.stack(squares) if squares else np.empty((0, size, size, 3), np.uint8)
        names = [str(n) if isinstance(n, str | Path) else str(i) for i, n in enumerate(images)]
        scores, maps = self.score(pixels, names)
        values, verdicts = self.judge(scores, alpha)
        return Judged(scores, maps, values, verdicts, self.reason(alpha))

    def score(
        self, pixels: NDArray[np.uint8], names: Sequence[str]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Scores (N,) and maps (N, S, S) of squares as the method sees them."""
        from adbench.cell.predicting import predict_in_batches

        own = Images(pixels, tuple(names), (self.category,) * len(names))
        found = predict_in_batches(self.method, own)
        return found.scores, found.maps

    def judge(
        self, scores: ArrayLike, alpha: float
    ) -> tuple[NDArray[np.float64] | None, tuple[str, ...] | None]:
        """P-values and verdicts of scores (N,), None each where there are none."""
        import numpy as np

        if not self.held_out:
            return None, None
        # As float32, which held-out scores are: what is read from a text may be a digit off.
        values = p_values(np.asarray(scores, np.float32), self.held_out)
        if len(self.held_out) < wanted(alpha):
            return values, None
        return values, tuple(ANOMALOUS if p <= alpha else NORMAL for p in values)

    def reason(self, alpha: float) -> str:
        """Why there are no p-values, or no verdicts, and the way out; "" where there are."""
        own, count = self.record, len(self.held_out)
        if count >= wanted(alpha):
            return ""
        # Of a category as large as the others.
        every = own.data.get("train_images", 0) + len(own.calibration.get("id", ()))
        normals = every // len(own.identity["categories"])
        share = share_for(normals, alpha)
        words = "--calibrate", f"{share or 0.5:g}"
        command = run_command(self._chosen, type(self.method), self._results, *words)
        if count:
            way = way_to_verdicts(count, normals, alpha) + (f": {command}" if share else "")
            return f"no verdicts with {counted(count, 'held-out normal')}; {way}"
        why = "the cell is not calibrated"
        if own.calibration:
            why = f"{self._changed} changed since the cell was calibrated"
        return f"no p-values: {why}; this calibrates one: {command}"

    def _square(self, image: NDArray[np.uint8] | Image.Image | Path | str) -> NDArray[np.uint8]:
        from PIL import Image

        from adbench.data.decode import plain_image

        if isinstance(image, str | Path):
            with plain_image(Path(image)) as picture:
                return square_of(picture, self.geometry)
        if not isinstance(image, Image.Image):
            image = Image.fromarray(_checked(image))
        return square_of(image.convert("RGB"), self.geometry)


def square_of(picture: Image.Image, geometry: Geometry) -> NDArray[np.uint8]:
    """An RGB picture of any size as the method sees it, uint8 (S, S, 3), S = `geometry.size`."""
    import numpy as np
    from PIL import Image

    from adbench.data.images import prepare_image

    # Resized here, of what may be large no copy is made; then there is nothing left to resize.
    side = (geometry.resize, geometry.resize)
    return prepare_image(np.asarray(picture.resize(side, Image.Resampling.BILINEAR)), geometry)


def _checked(image: Any) -> NDArray[np.uint8]:
    import numpy as np

    array = np.asarray(image)
    if array.dtype != np.uint8 or not (array.ndim == 2 or array.shape[2:] == (3,)):
        raise UsageError(
            f"an image of shape {array.shape} and type {array.dtype}: expected uint8 (H, W, 3) in "
            "RGB, or (H, W)"
        )
    return array


def load_cell(
    cell: str,
    results: str | Path = "results",
    *,
    device: str = "auto",
    overrides: Sequence[str] = (),
) -> FittedCell:
    """A finished cell of a results folder, ready to `predict` new images.

    Args:
        cell: `METHOD[:DATASET[:CATEGORY]]`, as much of it as is unique, or the beginning of an id
            that `adbench runs` shows.
        results: the results folder.
        device: auto, cpu or cuda:N.
        overrides: `METHOD.NAME=FILE` for hyper-parameters that are files, which records know by
            name and content alone.

    Raises `adbench.errors.AdbenchError`: no such cell, or its model was not kept.

    Example:
        >>> import adbench
        >>> cell = adbench.load_cell("pixel_gaussian:synthetic:plate", folder)  # doctest: +SKIP
        >>> cell.predict(["new.png"]).scores  # doctest: +SKIP
    """
    from adbench.data.cache import DiskCache, default_cache_folder
    from adbench.store.checkpoint import FileCheckpoint
    from adbench.store.model_files import read_model_report

    results = Path(results)
    chosen = choose_cell(cell, results)
    record = chosen.record
    method = _method(chosen)
    folder = CellFolder(results, record.keys)
    built = method(_hyperparameters(method, chosen, overrides))
    if read_model_report(folder.model) is None:
        again = run_command(chosen, method, results, "--overwrite", "all")
        raise StoreError(
            f"the model of {cell} is not in {results} (any more); run it again: {again}"
        )
    where = choose_device(device)
    kinds = record.key_parts.get("kinds", {})
    context = Context(
        device=where,
        precision=choose_precision(where),
        seed=record.identity["seed"],
        checkpoint=FileCheckpoint(folder.checkpoint, every_seconds=float("inf")),
        cache=DiskCache(default_cache_folder(), None),
        category_cards={name: CategoryCard(kind=kind) for name, kind in kinds.items()},
    )
    fitted = built.load(folder.model, context)
    changed = _changed(chosen, method)
    notes = [*_notes(chosen, where, context.precision)]
    if changed:
        notes.append(f"{changed} changed since the cell was trained: its scores may be others now")
    return FittedCell(chosen, fitted, results, notes, changed)


def _method(chosen: Chosen) -> type[Method]:
    try:
        return load_method(chosen.reference)
    except UnknownNameError:
        key = chosen.record.keys["score"][:12]
        raise UsageError(
            f"{chosen.reference} is no installed method: name its file too, like --cell "
            f"FILE.py:Class:{key}"
        ) from None


def _hyperparameters(
    method: type[Method], chosen: Chosen, overrides: Sequence[str]
) -> Hyperparameters:
    """Those of the record; files have to be given where they are not at their default."""
    own, name = chosen.record.identity["hyperparameters"], method.card.name
    given = parse_overrides(tuple(overrides)).get(name, {})
    kept = {n: v for n, v in own.items() if not (isinstance(v, str) and _FILE in v)}
    built = build_hyperparameters(method, chosen.record.preset, kept | given)
    values = built.canonical()
    for option in {*kept, *given} & own.keys():
        if values[option] != own[option]:
            raise UsageError(
                f"{name}.{option} is {values[option]}, but the cell was trained with "
                f"{own[option]}: give the same with --set {name}.{option}=..."
            )
    return built


def _changed(chosen: Chosen, method: type[Method]) -> str:
    """What decides scores and is no longer as it was; of records of before it is not known."""
    kept = chosen.record.key_parts
    here = {"code_digest": method_code(method).digest, "decoder": decoder_digest()}
    words = {"code_digest": f"the code of {method.card.name}", "decoder": "the image decoder"}
    return " and ".join(words[n] for n, now in here.items() if kept.get(n, now) != now)


def _notes(chosen: Chosen, device: str, precision: str) -> Iterator[str]:
    """Other libraries and another kind of device may move a score, mostly in its last digits."""
    if chosen.record.preset == "smoke":
        yield "the preset smoke proves that everything runs; its scores mean nothing"
    record, here = chosen.record, package_versions()
    changes = [
        f"{name} {version}, here {here[name]}"
        for name, version in (library_versions(record) or {}).items()
        if here.get(name) not in (None, version)
    ]
    then = record.environment.get("device"), record.environment.get("precision")
    now = device.partition(":")[0], precision
    if then not in ((None, None), now):
        changes.append(f"{then[0]} in {then[1]}, here {now[0]} in {now[1]}")
    if changes:
        made = "; ".join(changes)
        yield f"the cell was made with {made}: scores may differ in their last digits"
