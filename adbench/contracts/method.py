"""What a method is: hyper-parameters, `fit` on normal images, `predict` maps and scores."""

from __future__ import annotations

import glob
import hashlib
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

from pydantic import BaseModel, ConfigDict

from adbench.contracts.cards import JSON, CategoryCard, MethodCard, Scope
from adbench.contracts.context import Context
from adbench.contracts.skill import Skill

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class Hyperparameters(BaseModel):
    """Base of a method's hyper-parameters: validated, immutable, no unknown names."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)

    prediction_only: ClassVar[frozenset[str]] = frozenset()
    """Names of the fields that `predict` alone reads: neither `fit` nor what `save` writes depends
    on them. Cells that differ in nothing else train once and share the model; `protocol` and
    `diagnostics` are asked of each."""
    training_length: ClassVar[frozenset[str]] = frozenset()
    """Names of the whole numbers that the length of a training goes by, of which one may be None:
    `run --budgets` takes parts of them. None where nothing is trained in steps."""

    def canonical(self) -> dict[str, JSON]:
        """Plain JSON values for keys and records: a path becomes its name and its content's
        SHA-256, so that no record holds a machine's path and a changed file changes the key."""
        return dict(self._canonical)

    def fit_values(self) -> dict[str, JSON]:
        """Those of `canonical` that `fit` and what `save` writes depend on: cells that agree in
        them train once. All that is not `prediction_only`; a method overrides this where it depends
        on a value whether `fit` reads it."""
        return {n: v for n, v in self._canonical.items() if n not in self.prediction_only}

    @cached_property
    def _canonical(self) -> dict[str, JSON]:
        values: dict[str, JSON] = self.model_dump(mode="json")
        for name in type(self).model_fields:
            value = getattr(self, name)
            if isinstance(value, Path):
                values[name] = f"{value.name}#sha256:{_content_digest(value)[:16]}"
        return values


CATEGORY = "{category}"
"""In a path it stands for the name of any category."""


def files_behind(path: Path) -> list[Path]:
    """The file itself, every file of a folder, or those that a path with `CATEGORY` fits."""
    if CATEGORY in str(path):
        parts = [glob.escape(part) for part in str(path).split(CATEGORY)]
        return sorted(p for p in map(Path, glob.glob("*".join(parts))) if p.is_file())
    if path.is_dir():
        return sorted(p for p in path.rglob("*") if p.is_file())
    return [path] if path.is_file() else []


def _content_digest(path: Path) -> str:
    digest = hashlib.sha256()
    fixed = path if path.is_dir() else next(p for p in path.parents if CATEGORY not in str(p))
    for file in files_behind(path):
        if path.is_dir() or CATEGORY in str(path):
            digest.update(file.relative_to(fixed).as_posix().encode() + b"\0")
        with file.open("rb") as stream:
            digest.update(hashlib.file_digest(stream, "sha256").digest())
    return digest.hexdigest()


@dataclass(frozen=True, slots=True)
class Geometry:
    """How an image becomes the square that a method sees, and on which maps are scored."""

    resize: int
    """Side in pixels; PIL bilinear with antialias, aspect ratio ignored."""
    crop: int | None = None
    """Side of a centre crop after the resize."""

    @property
    def size(self) -> int:
        """Side of the final square."""
        return self.crop or self.resize


@dataclass(frozen=True)
class Images:
    """Decoded images. `pixels` may be a read-only memory map larger than RAM: index it in chunks.

    Attributes:
        pixels: uint8 (N, H, W, 3), RGB.
        ids: N paths relative to the data-set root; unique within the set.
        categories: N category names.
        key: digest of content and geometry, for caches of derived arrays; None for ad-hoc sets.
    """

    pixels: NDArray[np.uint8]
    ids: tuple[str, ...]
    categories: tuple[str, ...]
    key: str | None = None

    def __post_init__(self) -> None:
        if not len(self.pixels) == len(self.ids) == len(self.categories):
            raise ValueError(
                f"{len(self.pixels)} images, {len(self.ids)} ids and "
                f"{len(self.categories)} categories: expected equal counts"
            )

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, part: slice) -> Images:
        return Images(self.pixels[part], self.ids[part], self.categories[part])

    def take(self, indices: Sequence[int]) -> Images:
        """The images at `indices`, in that order, in memory."""
        return Images(
            self.pixels[list(indices)],
            tuple(self.ids[i] for i in indices),
            tuple(self.categories[i] for i in indices),
        )


@dataclass(frozen=True)
class Prediction:
    """What a method says of N images. Higher is more anomalous, always.

    Attributes:
        maps: float32 (N, H, W), H = W = `geometry.size`.
        scores: float32 (N,).
        parts: what single parts of the method say of the same images, by a name of lower-case
            letters and hyphens, the same names for every batch. Each is scored like the whole and
            shown below it, never ranked. Parts have no parts.
    """

    maps: NDArray[np.float32]
    scores: NDArray[np.float32]
    parts: Mapping[str, Prediction] = field(default_factory=dict)


class Method(ABC):
    """A detector: hyper-parameters in, `fit` on normal images, `predict` maps and scores.

    The module that holds the class imports nothing heavier than pydantic; torch and the rest are
    imported by what `fit` and `predict` call. Attributes learned by `fit` end in an underscore.
    Only `fit` (all of it) and `predict` (per batch, features included) are timed.
    """

    card: ClassVar[MethodCard]
    Hyperparameters: ClassVar[type[Hyperparameters]]
    presets: ClassVar[Mapping[str, Mapping[str, Any]]]
    """Preset name ("paper", "fast", "smoke") to the values that differ from the defaults."""
    splits_batches: ClassVar[bool] = False
    """Whether `fit` heeds `Context.batch_parts` and `Context.team`."""

    def __init__(self, hyperparameters: Any) -> None:
        self.hyperparameters = hyperparameters

    @property
    @abstractmethod
    def geometry(self) -> Geometry:
        """The image size that the method sees and scores."""

    @abstractmethod
    def fit(self, train: Images, context: Context) -> Self:
        """Learn from normal images. Resumes from `context.checkpoint` where one is found.

        Must give the same result for the same seed, device and versions, resumed or not.
        """

    @abstractmethod
    def predict(self, images: Images) -> Prediction:
        """Maps and scores. A score depends on the image and the seed, not on its neighbours."""

    @abstractmethod
    def save(self, folder: Path) -> None:
        """Write all learned state into an existing empty folder, without pickled code."""

    @abstractmethod
    def load(self, folder: Path, context: Context) -> Self:
        """Restore what `save` wrote; `predict` then gives equal scores."""

    @property
    def batch_size(self) -> int:
        """Images that one `predict` call should get, for speed; any other number works too."""
        return 8

    def protocol(self) -> dict[str, JSON]:
        """Of a fitted method: what else makes its numbers comparable (backbone, weights digest)."""
        return {}

    def diagnostics(self) -> dict[str, JSON]:
        """Of a fitted method: what training did (losses, held-out error), kept in the record."""
        return {}

    def skill(self) -> Skill:
        """Of a fitted method: whether its network learned, or why that is not known."""
        return Skill.unknown("the method does not measure it")

    def intermediates(self, images: Images) -> dict[str, NDArray[Any]]:
        """Of a fitted method: what `predict` computes on its way, for people to look at.

        Name to uint8 (N, H, W, 3) pictures or float32 (N, H, W) maps, in drawing order.
        """
        return {}

    def num_parameters(self) -> int:
        """Of a fitted method: parameters of every network that `predict` evaluates."""
        return 0

    def search_flops(self) -> float:
        """Of a fitted method: FLOPs per image outside torch (nearest-neighbour search)."""
        return 0.0

    def training_flops(self, num_train: int) -> float:
        """Rough FLOPs of `fit` on `num_train` images, for the plan's estimate. Before fit."""
        return 0.0

    def inference_flops(self, num_train: int) -> float:
        """Rough FLOPs of `predict` per image after training on `num_train`. Before fit."""
        return 0.0

    def unsupported(self, scope: Scope, categories: Mapping[str, CategoryCard]) -> str | None:
        """The reason why this method cannot run on these categories, or None."""
        return None
