"""One `--dataset` selection made concrete: a root, its samples, their digests, what is odd."""

from __future__ import annotations

import shlex
import unicodedata
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from adbench.contracts import JSON, NORMAL, Dataset, Geometry, Images, Sample
from adbench.data.calibration import CALIBRATION, drawn_normals, notes_of
from adbench.data.digests import content_digests
from adbench.data.findings import Finding
from adbench.data.names import unprintable_name
from adbench.data.verify import file_doubts, quick_check
from adbench.errors import DataError, UnknownNameError, UsageError
from adbench.registry import NOTHING_SAID, OwnWords, load_dataset, path_of, refuse_shared_names
from adbench.selectors import parse_dataset, split_categories
from adbench.store.files import digest
from adbench.text import is_printable

if TYPE_CHECKING:
    from adbench.data.cache import DiskCache
    from adbench.data.images import MaskRule, Masks


@dataclass(frozen=True)
class DataSelection:
    """The images of one data set that a run uses.

    Attributes:
        reference: how the data set was named on the command line.
        root: folder that holds the categories.
        categories: selected categories, in the card's order.
        complete: False where the root lacks categories that the card has and that were asked for.
        samples: per category, in the order used everywhere.
        limit: images per category and split, or None.
        quick_findings: what the checks saw that open no image.
        index_folder: where digests and looks are remembered.
        threshold_given: what is greater in a mask is anomalous; None: as the card says.
        calibrate: the share of each category's training normals that is held out of training, to
            calibrate; None for none.
    """

    reference: str
    dataset: Dataset
    root: Path
    layout: str
    categories: tuple[str, ...]
    complete: bool
    samples: dict[str, tuple[Sample, ...]]
    limit: int | None
    quick_findings: tuple[Finding, ...]
    index_folder: Path
    threshold_given: int | None = None
    calibrate: float | None = None

    @property
    def name(self) -> str:
        """The data set's name on its card."""
        return self.dataset.card.name

    @property
    def place(self) -> str | None:
        """Of images that a path names, what tells them from others of that name elsewhere: a digest
        of the path, in no key, so that what was moved is found again."""
        own = path_of(self.reference)
        return None if own is None else digest(str(own.path))[:12]

    @property
    def mask_threshold(self) -> int:
        """A mask value is anomalous when it is greater than this, at native size."""
        card = self.dataset.card.mask_threshold
        return card if self.threshold_given is None else self.threshold_given

    @cached_property
    def findings(self) -> tuple[Finding, ...]:
        """All that is doubtful, as `data verify` says it; only new files are opened for it."""
        own = (self.samples, self._digest_of, self.threshold_given, self.index_folder)
        return (*self.quick_findings, *file_doubts(self.dataset, self.root, *own))

    @property
    def verify_command(self) -> str:
        """What shows all that is wrong here, to be pasted in the user's folder."""
        words = ("adbench", "data", "verify", self.reference)
        return shlex.join([*words, *self.dataset.place_words(self.root)])

    def split_rule(self, categories: Sequence[str]) -> str | None:
        """How their split was drawn, where nobody has given one."""
        return self.dataset.split_rule(self.root, categories)

    @cached_property
    def held_out(self) -> frozenset[Sample]:
        """The normals that calibrate; raises `DataError` where too few are left to train on."""
        return drawn_normals(self.samples, self.calibrate)

    @property
    def calibration_notes(self) -> list[str]:
        """Which categories hold out too few for verdicts."""
        counts = {c: len(self.split([c], CALIBRATION)) for c in self.categories}
        train = {c: len(self.split([c], "train")) + n for c, n in counts.items()}
        return [] if self.calibrate is None else notes_of(self.name, counts, train)

    def split(self, categories: Sequence[str], split: str) -> list[Sample]:
        """Samples of one split of these categories, category by category: "train" (without what is
        held out), "calibration" (what is) or "test"."""
        every = (s for c in categories for s in self.samples[c])
        if not self.held_out:
            return [s for s in every if s.split == split]
        return [s for s in every if (CALIBRATION if s in self.held_out else s.split) == split]

    def images(self, samples: Sequence[Sample], geometry: Geometry, cache: DiskCache) -> Images:
        """What a method of this geometry sees of them; as `load_images`."""
        from adbench.data.images import load_images

        return load_images(self.root, samples, geometry, cache)

    def masks(
        self, samples: Sequence[Sample], geometry: Geometry, rule: MaskRule, cache: DiskCache
    ) -> Masks:
        """Their ground truth; as `load_masks`."""
        from adbench.data.images import load_masks

        threshold = self.mask_threshold
        return load_masks(self.root, samples, geometry, rule=rule, threshold=threshold, cache=cache)

    @cached_property
    def _digest_of(self) -> dict[str, str]:
        everything = [s for rows in self.samples.values() for s in rows]
        ordered = sorted({path for s in everything for path in (s.path, s.mask_path) if path})
        try:
            digests = content_digests(self.root, ordered, self.index_folder)
        except DataError as error:
            raise DataError(f"{error}. To see all: {self.verify_command}") from None
        return dict(zip(ordered, digests, strict=True))

    def digest(self, categories: Sequence[str], part: str) -> str:
        """Digest of names, labels and bytes of "train" (with what of it is held out), "calibration"
        (that alone, where there is any), "test" (images) or "masks" (test masks)."""
        return digest([self._parts[c][part][1] for c in categories])

    def file_digests(self, categories: Sequence[str]) -> dict[str, JSON]:
        """By category and part: how many files, and `digest` of that category alone."""
        return {
            category: {
                part: {"files": count, "sha256": self.digest([category], part)}
                for part, (count, _) in self._parts[category].items()
            }
            for category in categories
        }

    @cached_property
    def _parts(self) -> dict[str, dict[str, tuple[int, str]]]:
        """By category and part: how many files, and a digest of them."""
        sha, found = self._digest_of, {}
        for category, own in self.samples.items():
            rows: dict[str, list[list[object]]] = {"train": [], "test": [], "masks": []}
            rows |= {} if self.calibrate is None else {CALIBRATION: []}
            for s in own:
                row: list[object] = [s.path, s.category, s.defect, s.label, sha[s.path]]
                if s.split in rows:
                    rows[s.split].append(row)
                if self.held_out and s in self.held_out:
                    rows[CALIBRATION].append(row)
                if s.split == "test" and s.mask_path is not None:
                    rows["masks"].append([s.path, sha[s.mask_path]])
            found[category] = {part: (len(row), digest(row)) for part, row in rows.items()}
        return found


def select_data(
    text: str,
    data_root: Path | None,
    *,
    limit: int | None,
    index_folder: Path,
    mask_threshold: int | None = None,
    said: OwnWords = NOTHING_SAID,
    calibrate: float | None = None,
) -> DataSelection:
    """Resolve `NAME[:CATEGORY,...]`; `said` is what is told of folders of one's own.

    Raises:
        UsageError: an impossible limit, or a name that nothing has.
        PluginError: the data set cannot be imported.
        DataError: the data set or a category is missing or cannot be used.
    """
    if limit is not None and limit < 2:
        raise UsageError(f"--limit {limit}: expected 2 or more, a normal and a defect test image")
    reference, dataset, root, categories, complete = find_categories(text, data_root, said)
    if not categories:
        raise DataError(f"{dataset.card.name}: no category found in {root}")
    rows = dataset.samples(root, categories)
    samples = {c: tuple(_limit([s for s in rows if s.category == c], limit)) for c in categories}
    _refuse_unusable(dataset.card.name, reference, root, samples)
    return DataSelection(
        reference=reference,
        dataset=dataset,
        root=root,
        layout=dataset.recognise_layout(root),
        categories=categories,
        complete=complete,
        samples=samples,
        limit=limit,
        quick_findings=tuple(quick_check(dataset, root, categories)),
        index_folder=index_folder,
        threshold_given=mask_threshold,
        calibrate=calibrate,
    )


def check_threshold(threshold: int | None) -> None:
    """Raise `UsageError` for what no 8-bit mask could exceed, or every one would."""
    if threshold is not None and not 0 <= threshold <= 254:
        raise UsageError(
            f"--mask-threshold {threshold}: expected 0 to 254; what is greater is anomalous"
        )


def check_dataset_names(texts: Sequence[str], said: OwnWords) -> None:
    """Raise `UsageError` where two of `NAME[:CATEGORY,...]` are different data sets of one name, or
    where something is said of folders of one's own and none is there."""
    references = [parse_dataset(text)[0] for text in texts]
    if said != NOTHING_SAID and not any(map(path_of, references)):
        raise UsageError(
            f"--normal and --masks tell how a folder of your own is to be read, and "
            f"{', '.join(references)} is none; expected --dataset PATH, like ./parts"
        )
    refuse_shared_names("data set", [(r, load_dataset(r, said)) for r in references])


def _refuse_unusable(
    name: str, reference: str, root: Path, samples: Mapping[str, Sequence[Sample]]
) -> None:
    """Raise `DataError` for names that no record or file of ours can hold, and for empty splits."""
    for category, own in samples.items():
        if category in ("", ".", "..") or "/" in category:
            raise DataError(
                f"{name}: the category {category!a} is no plain name, as a folder has: rename it"
            )
        for path in (category, *(p for s in own for p in (s.path, s.mask_path or ""))):
            if not is_printable(path):
                raise DataError(f"{name}: under {root} {unprintable_name(path)}")
            if path.startswith("/") or ".." in path.split("/"):
                raise DataError(
                    f"{name}: {path!a} is not inside {root}; expected paths relative to the data "
                    "set's root, without '..'"
                )
        for split in ("train", "test"):
            if not any(s.split == split for s in own):
                raise DataError(
                    f"{name}:{category} has no {split} image under {root}; add some, or select "
                    f"other categories with --dataset {reference}:CATEGORY,..."
                )


class Found(NamedTuple):
    """What `NAME[:CATEGORY,...]` names: a reference, its data set and root, the categories in the
    card's order (all by default), and whether none of those asked for is absent."""

    reference: str
    dataset: Dataset
    root: Path
    categories: tuple[str, ...]
    complete: bool


def find_categories(text: str, data_root: Path | None, said: OwnWords = NOTHING_SAID) -> Found:
    """Resolve `NAME[:CATEGORY,...]`; raises as `select_data`."""
    reference, wanted = parse_dataset(text)
    dataset = load_dataset(reference, said)
    _refuse_unknown(dataset, wanted, dataset.card.categories)
    root = dataset.find_root(data_root)
    categories = _choose_categories(dataset, dataset.available_categories(root), wanted)
    complete = wanted is not None or set(dataset.card.categories) <= set(categories)
    return Found(reference, dataset, root, categories, complete)


def _refuse_unknown(dataset: Dataset, wanted: str | None, known: Collection[str]) -> None:
    """Raise `UnknownNameError` for a wanted category that is not known; without known ones, pass.

    Asked of the card first, so that a wrong name is told even where the data are missing.
    """
    for category in split_categories(wanted or "", known):
        if known and category not in known:
            raise UnknownNameError(f"category of {dataset.card.name}", category, known)


def _choose_categories(
    dataset: Dataset, present: tuple[str, ...], wanted: str | None
) -> tuple[str, ...]:
    names: Sequence[str] = present
    if wanted is not None:
        known = {*dataset.card.categories, *present}
        _refuse_unknown(dataset, wanted, known)
        names = split_categories(wanted, known)
        for category in names:
            if category not in present:
                raise DataError(
                    f"{dataset.card.name}:{category} is not under the data root, which has "
                    f"{', '.join(present)}; add it, or select among these"
                )
    chosen = tuple(c for c in present if c in names)
    _refuse_twins(dataset.card.name, chosen)
    return chosen


def _refuse_twins(name: str, categories: Sequence[str]) -> None:
    """Raise `DataError` for names that differ in nothing that a reader could see."""
    first: dict[str, str] = {}
    for category in categories:
        other = first.setdefault(unicodedata.normalize("NFC", category), category)
        if other != category:
            raise DataError(
                f"{name}: two categories are called {category}, {other!a} and {category!a}: one "
                "name in two Unicode normal forms; expected one folder, rename or merge them"
            )


def _limit(samples: list[Sample], limit: int | None) -> list[Sample]:
    """At most `limit` training and `limit` test images, the latter dealt over the defects."""
    ordered = sorted(samples)
    if limit is None:
        return ordered
    train = [s for s in ordered if s.split == "train"][:limit]
    by_defect: dict[str, list[Sample]] = {NORMAL: []}
    for sample in ordered:
        if sample.split == "test":
            by_defect.setdefault(sample.defect, []).append(sample)
    rounds = zip_longest(*by_defect.values())
    dealt = [sample for one in rounds for sample in one if sample is not None]
    return sorted(train + dealt[:limit])
