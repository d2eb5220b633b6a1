"""The file that `adbench select` writes and `adbench run --selected` reads."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, FailFast

from adbench.store import files
from adbench.store.record_files import read_document
from adbench.store.records import mean_metrics

CRITERION = "image_auroc"
"""Averaged over the categories (LafitE, section 4.5)."""
TOLERANCE = 0.001
"""Of values that lie within so much of the best, the first one of the grid is chosen."""


def value_text(value: object) -> str:
    """A hyper-parameter's value as the command line takes it."""
    return str(value).lower() if isinstance(value, bool) or value is None else str(value)


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class HeldOut(_Part):
    """One category's pseudo-validation images. Digests are SHA-256 over newline-joined names."""

    fitted: int
    normals: int
    synthetic: int
    faint: int
    """Synthetic images with a fragment that hardly differs from what it covers."""
    normal_ids_sha256: str


class Point(_Part):
    """One value that was tried.

    `hyperparameters` are all of them, in canonical form; `metrics` maps category to metric to
    value, None where undefined, as in a record.
    """

    value: Any
    hyperparameters: dict[str, Any]
    metrics: dict[str, dict[str, float | None]]

    def mean(self, metric: str) -> float | None:
        """A metric averaged over the categories."""
        return mean_metrics(self.metrics)[0][metric]


class Curve(_Part):
    """One step of the search: a hyper-parameter, what was held, every value, the choice."""

    name: str
    holding: dict[str, Any]
    points: Annotated[tuple[Point, ...], FailFast()]
    chosen: Any


class Choice(_Part):
    """What was chosen for one method on one set of trained categories."""

    method: str
    code: dict[str, str]
    preset: str
    variant: str
    """What differed from the preset before the search, `k=v,k2=v2`."""
    hyperparameters: dict[str, Any]
    """All of them, in canonical form, with the chosen values."""
    dataset: str
    dataset_version: str
    categories: Annotated[tuple[str, ...], FailFast()]
    scope: str
    seed: int
    limit: int | None
    train_sha256: str
    """Of names and bytes of all training images, held-out ones too."""
    recipe: str
    held_out_fraction: float
    held_out: dict[str, HeldOut]
    curves: Annotated[tuple[Curve, ...], FailFast()]

    @property
    def chosen(self) -> dict[str, Any]:
        """Hyper-parameter to chosen value, in the order of the search."""
        return {curve.name: curve.chosen for curve in self.curves}

    @property
    def title(self) -> str:
        """`lafite on mpdd:tubes, separate, fast, seed 0`, for people."""
        where = ",".join(self.categories)
        return (
            f"{self.method} on {self.dataset}:{where}, {self.scope}, {self.preset}, "
            f"seed {self.seed}"
        )


class SelectionFile(_Part):
    """Choices and all that is needed to trust them. No absolute path, host or user name."""

    format: Literal[1] = 1
    """Raised when a file can no longer be read by the version before."""
    adbench: str
    created: str
    criterion: str = CRITERION
    tolerance: float = TOLERANCE
    choices: Annotated[tuple[Choice, ...], FailFast()]

    @property
    def digest(self) -> str:
        """SHA-256 (hex) of what was found: the same search later or elsewhere has the same."""
        found = self.model_dump(mode="json", exclude={"adbench", "created"})
        return files.digest(found)


def write_selection(path: Path, selection: SelectionFile) -> None:
    """Replace `path` atomically; raises `StoreError` where it cannot be written."""
    files.write_json(path, selection.model_dump(mode="json"))


def read_selection(path: Path) -> SelectionFile:
    """Read and check what `write_selection` wrote; raises `StoreError` that names the file."""
    return read_document(path, SelectionFile, "selection", "`adbench select` makes one")
