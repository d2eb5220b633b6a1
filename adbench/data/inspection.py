"""What a data set may tell of its files beyond the contract, and messages without its root."""

from __future__ import annotations

import os
import re
import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from adbench.contracts import Dataset, Sample
from adbench.data.findings import UPRIGHT_COPY, Finding, Flaw, finding_of


@dataclass(frozen=True)
class Inspected:
    """One category as `inspect(root, category)` of a data set gives it, where it has one.

    `samples` as by the contract, but a defect image without a mask has `mask_path` None;
    `missing` and `extra` are names compared with the release; `renamed` maps paths here to
    paths in the release. For a data set without `inspect`, `samples` alone is looked at.
    """

    samples: Sequence[Sample]
    problems: Sequence[Flaw] = ()
    missing: Sequence[str] = ()
    extra: Sequence[str] = ()
    renamed: Mapping[str, str] = field(default_factory=dict)


def inspect_category(dataset: Dataset, root: Path, category: str) -> Inspected:
    """Ask a data set for one present category; raises `DataError` as the data set does."""
    found: Inspected | None = _asked(dataset, "inspect", root, category)
    if found is None:
        samples = dataset.samples(root, [category])
        return Inspected(samples, _unmasked(samples))
    return found


def overlooked(dataset: Dataset, root: Path) -> list[Finding]:
    """What a data set says of folders that look like a category and are none, if it can tell."""
    flaws: Sequence[Flaw] = _asked(dataset, "overlooked", root) or ()
    return [finding_of(f.severity, None, f.check, f.message, [f.path]) for f in flaws]


def normal_masks(dataset: Dataset, root: Path, samples: Sequence[Sample]) -> Mapping[str, str]:
    """Normal images to files that lie where their masks would, where a data set can tell."""
    normals = [s for s in samples if s.label == 0]
    found: Mapping[str, str] | None = _asked(dataset, "normal_masks", root, normals)
    return found or {}


def _asked(dataset: Dataset, question: str, *arguments: object) -> Any:
    answer = getattr(dataset, question, None)
    return None if answer is None else answer(*arguments)


def _unmasked(samples: Sequence[Sample]) -> list[Flaw]:
    """What a data set that cannot be asked does not say itself: defect images without a mask."""
    paths = [s.path for s in samples if not s.has_pixel_labels]
    if len(paths) == sum(s.label for s in samples) > 0:
        message = f"no masks: none of the {len(paths)} defect images has one, so pixel metrics are "
        return [Flaw("warning", "no mask", f"{message}undefined", paths[0])]
    what = "has no mask; it counts in image metrics only"
    return [Flaw("warning", "no mask", f"{path} {what}", path) for path in paths]


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
