"""What data sets and methods say of themselves: frozen descriptions, read without running them."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

Scope = Literal["separate", "unified"]
Split = Literal["train", "test"]
Preset = Literal["paper", "fast", "smoke"]
JSON = None | bool | int | float | str | list["JSON"] | dict[str, "JSON"]


class Card(BaseModel):
    """A frozen description; an unknown field is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class CategoryCard(Card):
    """What one category should hold. Counts and digests are optional for a user's own set.

    A digest is the SHA-256 (hex) of the newline-joined, sorted POSIX paths relative to the
    data-set root, category first; images and masks apart.
    """

    kind: Literal["object", "texture"] = "object"
    """All that a method is told of a card; a change of it makes new numbers."""
    train_good: int | None = Field(None, ge=0)
    test_good: int | None = Field(None, ge=0)
    test_anomalous: int | None = Field(None, ge=0)
    defects: dict[str, int] = {}
    image_paths_sha256: str | None = None
    mask_paths_sha256: str | None = None
    train_paths_sha256: str | None = None


class DatasetCard(Card):
    """Title, licence, source and expected content of a data set."""

    name: str = Field(pattern=r"^[a-z][a-z0-9_]*$")
    title: str
    version: str = "1"
    licence: str
    page: str
    citation: str
    """BibTeX."""
    layout: str
    """The expected tree, for people."""
    directory_names: tuple[str, ...]
    """The spellings under which `--data-root` is searched, in order."""
    categories: dict[str, CategoryCard]
    revision: int = Field(1, ge=1)
    """Raised, it makes every number on this data set be computed anew, where its images, masks and
    paths do not tell that something changed."""
    mask_threshold: int = Field(0, ge=0, le=254)
    """A mask value is anomalous when it is greater than this, at native size."""
    notes: tuple[str, ...] = ()
    """Oddities that a reader of the scores should know."""


class GridStep(Card):
    """One hyper-parameter that `adbench select` chooses, after those before it."""

    name: str
    values: tuple[bool | int | float | str, ...] = Field(min_length=1)
    """In order of preference: of values that are as good as the best, the first is chosen."""
    holding: dict[str, bool | int | float | str] = {}
    """Other hyper-parameters, as they are while this one is chosen and only then."""
    requires: dict[str, bool | int | float | str] = {}
    """The step is left out where another hyper-parameter has another value than here."""


class SelectionCard(Card):
    """How a paper chooses hyper-parameters without test data, and what one fit serves."""

    steps: tuple[GridStep, ...] = ()
    fit_serves: dict[str, bool | int | float | str] = {}
    """Name to the value whose saved fit serves every other value: what those lack is not read."""


class MethodCard(Card):
    """What a method is and where it comes from."""

    name: str = Field(pattern=r"^[a-z][a-z0-9_]*$")
    title: str
    paper: str
    year: int
    url: str
    citation: str
    """BibTeX."""
    group: Literal["diffusion", "baselines", "testing"]
    revision: int = Field(1, ge=1)
    """Raised, it makes every number of this method be computed anew, where its code does not tell
    that something changed (a library, a file that it reads)."""
    scope: Scope
    """The scope of the paper's own tables; `--scope` overrides it."""
    summary: str
    deviations: tuple[str, ...] = ()
    """Each difference from the publication, one sentence with its reason."""
    selection: SelectionCard | None = None
    """The default grid of `adbench select`; None: it has to be given one."""
