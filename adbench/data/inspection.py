"""What a data set may tell of its files beyond the contract, and how it is asked for it."""

from __future__ import annotations

import os
import re
import shlex
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from adbench.contracts import Dataset, Sample
from adbench.data.findings import UPRIGHT_COPY, FileFlaw, Finding, Flaw


class Inspected(Protocol):
    """One category as `inspect(root, category)` of a data set gives it, where it has one.

    `samples` as by the contract, but a defect image without a mask has `mask_path` None;
    `missing` and `extra` are names compared with the release; `renamed` maps paths here to
    paths in the release. For a data set without `inspect`, `samples` alone is looked at.
    """

    @property
    def samples(self) -> Sequence[Sample]: ...
    @property
    def problems(self) -> Sequence[Flaw]: ...
    @property
    def missing(self) -> Sequence[str]: ...
    @property
    def extra(self) -> Sequence[str]: ...
    @property
    def renamed(self) -> Mapping[str, str]: ...


@dataclass(frozen=True)
class _Plain:
    samples: Sequence[Sample]
    problems: Sequence[Flaw] = ()
    missing: Sequence[str] = ()
    extra: Sequence[str] = ()
    renamed: Mapping[str, str] = field(default_factory=dict)


def inspect_category(dataset: Dataset, root: Path, category: str) -> Inspected:
    """Ask a data set for one present category; raises `DataError` as the data set does."""
    inspect: Callable[[Path, str], Inspected] | None = getattr(dataset, "inspect", None)
    if inspect is None:
        samples = dataset.samples(root, [category])
        return _Plain(samples, _unmasked(samples))
    return inspect(root, category)


def _unmasked(samples: Sequence[Sample]) -> list[FileFlaw]:
    """What a data set that cannot be asked does not say itself: defect images without a mask."""
    paths = [s.path for s in samples if not s.has_pixel_labels]
    if len(paths) == sum(s.label for s in samples) > 0:
        message = f"no masks: none of the {len(paths)} defect images has one, so pixel metrics are "
        return [FileFlaw("warning", "no mask", f"{message}undefined", paths[0])]
    what = "has no mask; it counts in image metrics only"
    return [FileFlaw("warning", "no mask", f"{path} {what}", path) for path in paths]


def overlooked(dataset: Dataset, root: Path) -> list[Finding]:
    """What a data set says of folders that look like a category and are none, if it can tell."""
    tell: Callable[[Path], Sequence[Flaw]] | None = getattr(dataset, "overlooked", None)
    flaws = [] if tell is None else tell(root)
    return [Finding(f.severity, None, f.check, f.message, (f.path,), 1) for f in flaws]


def normal_masks(dataset: Dataset, root: Path, samples: Sequence[Sample]) -> Mapping[str, str]:
    """Normal images to files that lie where their masks would, where a data set can tell."""
    find: Callable[[Path, Sequence[Sample]], Mapping[str, str]] | None = getattr(
        dataset, "normal_masks", None
    )
    return {} if find is None else find(root, [s for s in samples if s.label == 0])


_COMMAND = "with: "
"""What stands before the command at the end of a message."""


def without_root(error: BaseException, root: Path) -> str:
    """The message without the machine's path, which no record may hold.

    In the command at its end DIR stands for the root.
    """
    said, sign, command = str(error).rpartition(_COMMAND)
    if not sign:
        said, command = command, ""
    command = command.replace(f"{_in_quotes(root)}/", "DIR/")
    message = f"{said}{sign}{command}".replace(f"{root}{os.sep}", "")
    return message.replace(str(root), "DIR") if root.is_absolute() else message


def with_root(message: str, root: Path) -> str:
    """A message of `without_root`, or a finding, with a command that can be pasted anywhere."""
    said, sign, command = message.rpartition(_COMMAND)
    if not sign:
        return message
    full = os.path.abspath(root)
    copy = ["-m", UPRIGHT_COPY.split()[2], full, f"{full}-upright"]
    command = command.replace(UPRIGHT_COPY, shlex.join([sys.executable, *copy]))
    return said + sign + re.sub(r"(?<![^\s'])DIR/", lambda _: f"{_in_quotes(root)}/", command)


def _in_quotes(root: Path) -> str:
    """The full path as it stands within what `shlex.quote` gives for a file below it."""
    return os.path.abspath(root).replace("'", "'\"'\"'")
