"""What all data sets in folders share: finding the root, and a table out of inspections."""

from __future__ import annotations

import shlex
from abc import abstractmethod
from collections.abc import Iterator, Sequence
from pathlib import Path

from adbench.contracts import Dataset, Inspection, Sample
from adbench.datasets.listing import is_folder, list_folders
from adbench.errors import DataError, UnknownNameError


class FolderDataset(Dataset):
    """A data set whose categories are found, listed and paired by looking at folders.

    Required of a subclass: `card`, `layout_at`, `has_category` and `inspect`. A card without
    categories means: whatever categories the folder holds.
    """

    reference: str | None = None
    """What the command line calls this data set, set where it is loaded; None: its card's name."""

    @abstractmethod
    def layout_at(self, root: Path) -> str | None:
        """The name of the layout at `root`, or None. Raises nothing."""

    @abstractmethod
    def has_category(self, root: Path, category: str) -> bool:
        """Whether `category` is present at `root`, which has a recognised layout."""

    @abstractmethod
    def inspect(self, root: Path, category: str) -> Inspection:
        """One present category with all its problems. Raises nothing for a flaw in one file."""

    def find_root(self, data_root: Path | None) -> Path:
        """The first folder with a recognised layout: `data_root`/SPELLING, then `data_root`.

        Raises:
            DataError: no data root was given, or nothing is recognised under it.
        """
        name = self.card.name
        if data_root is None:
            raise DataError(
                f"{name} needs to know where its images are: give --data-root DIR or set "
                f"ADBENCH_DATA, with DIR holding {self._spellings()}. {self._way_out('DIR')}"
            )
        for folder in (*(data_root / s for s in self.card.directory_names), data_root):
            if self.layout_at(folder) is not None:
                return folder
        named = [s for s in self.card.directory_names if is_folder(data_root / s)]
        if named:
            raise DataError(
                f"{name}: {data_root / named[0]} holds no category in a known layout: "
                f"{self.contents(data_root / named[0])}. {self._way_out(str(data_root))}"
            )
        raise DataError(
            f"{name} not found under {data_root}: {self.contents(data_root)}; expected "
            f"{self._spellings()}. {self._way_out(str(data_root))}"
        )

    def recognise_layout(self, root: Path) -> str:
        """The name of the layout at `root`; raises `DataError` where none is recognised."""
        layout = self.layout_at(root)
        if layout is None:
            raise DataError(
                f"{root} holds no {self.card.title} in a known layout: {self.contents(root)}. "
                f"{self._way_out(str(root))}"
            )
        return layout

    def contents(self, folder: Path) -> str:
        """What is in a folder that was not recognised, in words. Raises nothing."""
        return _contents(folder)

    def available_categories(self, root: Path) -> tuple[str, ...]:
        """Names of the categories present at `root`, in the card's order."""
        return tuple(c for c in self._candidates(root) if self.has_category(root, c))

    def samples(self, root: Path, categories: Sequence[str]) -> list[Sample]:
        """All images of these categories, sorted; no image is opened.

        Raises:
            UnknownNameError: the card does not know a category.
            DataError: a category is absent, has no training image, or a defect image has several
                masks by its stem, or none although the card promises one.
        """
        self.recognise_layout(root)
        self._require(root, categories)
        inspections = [self.inspect(root, c) for c in dict.fromkeys(categories)]
        errors = [p for i in inspections for p in i.problems if p.severity == "error"]
        if errors:
            more = f"; {len(errors) - 1} more problems like this" if len(errors) > 1 else ""
            raise DataError(
                f"{self.card.name}: {errors[0].message}{more}. To see all: {self._verify(root)}"
            )
        return sorted(s for i in inspections for s in i.samples)

    def _candidates(self, root: Path) -> Iterator[str]:
        return iter(self.card.categories or list_folders(root))

    def _require(self, root: Path, categories: Sequence[str]) -> None:
        present = self.available_categories(root)
        for category in categories:
            if category in present:
                continue
            if self.card.categories and category not in self.card.categories:
                raise UnknownNameError(
                    f"category of {self.card.name}", category, self.card.categories
                )
            raise DataError(
                f"{self.card.name}:{category} is not at {root}, which has "
                f"{', '.join(present) or 'no category'}; add it or select among these. "
                f"{self._way_out(str(root))}"
            )

    def _verify(self, data_root: Path | str) -> str:
        words = ("adbench", "data", "verify", self.reference or self.card.name)
        return shlex.join([*words, *self.place_words(Path(data_root))])

    def _spellings(self) -> str:
        folders = [f"{s}/" for s in self.card.directory_names]
        return f"{', '.join(folders)} or the categories themselves" if folders else "the categories"

    def _way_out(self, data_root: str) -> str:
        tree = ", ".join(line.strip() for line in self.card.layout.splitlines() if line.strip())
        return (
            f"Expected tree: {tree}. Home page: {self.card.page} (licence: {self.card.licence}). "
            f"Once it is unpacked: {self._verify(data_root)}"
        )


def _contents(folder: Path, at_most: int = 8) -> str:
    """What is in `folder`, in words."""
    try:
        names = sorted(p.name + "/" * is_folder(p) for p in folder.iterdir())
    except FileNotFoundError:
        return "no such folder"
    except (OSError, ValueError) as error:  # ValueError: a name with a null byte
        return f"it cannot be read ({getattr(error, 'strerror', error)})"
    more = f" and {len(names) - at_most} more" if len(names) > at_most else ""
    return f"found {', '.join(names[:at_most]) or 'an empty folder'}{more}"
