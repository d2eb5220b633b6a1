"""What the checks of a data set found: in words for people, as plain values for records."""

from __future__ import annotations

import os
import re
import shlex
import sys
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from adbench.contracts import JSON, Problem
from adbench.errors import DataError

Severity = Literal["error", "warning", "note"]

SHOWN = 5
"""Paths named by one finding; the others are counted."""
UPRIGHT_COPY = "python -m adbench.upright DIR DIR-upright"
"""Makes a copy of a data set whose files need no orientation tag; DIR is its folder."""
EMPTY_MASK = "empty mask"
"""The check of masks without an anomalous pixel."""
LOOKS_NORMAL = "looks normal"
"""The check of a defect of which no mask has one."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check saw in one category (or in the whole root, where `category` is None).

    Attributes:
        message: one line, without the root's own path.
        paths: up to five of the files or names concerned, relative to the root.
        count: how many there are.
        advice: what to do, with DIR for the root, for those who read the log; not for footnotes.
    """

    severity: Severity
    category: str | None
    check: str
    message: str
    paths: tuple[str, ...] = ()
    count: int = 0
    advice: str = ""

    def __str__(self) -> str:
        where = f"{self.category}: " if self.category else ""
        line = f"{self.severity}: {where}{self.message}"
        if not all(path in line for path in self.paths):
            more = f" and {self.count - len(self.paths)} more" * (self.count > len(self.paths))
            line += f" [{', '.join(self.paths)}{more}]"
        return f"{line}; {self.advice}" if self.advice else line

    def to_json(self) -> dict[str, JSON]:
        """Plain values, for records."""
        plain: dict[str, JSON] = {**asdict(self), "paths": list(self.paths)}
        if not self.advice:
            del plain["advice"]
        return plain


def finding_of(
    severity: Severity,
    category: str | None,
    check: str,
    message: str,
    paths: Sequence[str],
    advice: str = "",
) -> Finding:
    """A finding that names the first of `paths` and counts all."""
    return Finding(severity, category, check, message, tuple(paths[:SHOWN]), len(paths), advice)


def grouped(category: str, problems: Iterable[Problem]) -> list[Finding]:
    """One finding for all problems of a kind; the first one's message stands for all."""
    kinds: dict[tuple[Severity, str], list[Problem]] = defaultdict(list)
    for one in problems:
        kinds[one.severity, one.check].append(one)
    findings = []
    for (severity, check), same in kinds.items():
        message = same[0].message + (f" (and {len(same) - 1} more)" if len(same) > 1 else "")
        findings.append(finding_of(severity, category, check, message, [f.path for f in same]))
    return findings


@dataclass(frozen=True, slots=True)
class CategorySummary:
    """What a category holds; sizes and modes with how many images have them.

    `exact_release` says whether all of the card's path digests match; None where it has none.
    `regions` counts anomalous regions at native size, `regions_kept` at the evaluation size.
    """

    category: str
    train: int
    test_good: int
    defects: dict[str, int]
    sizes: dict[str, int]
    modes: dict[str, int]
    exact_release: bool | None
    regions: int
    regions_kept: int

    def __str__(self) -> str:
        defects = ", ".join(f"{name} {count}" for name, count in self.defects.items())
        release = {True: "names as released", False: "names differ from the release", None: ""}
        parts = [
            f"{self.train} train",
            f"{self.test_good} normal and {sum(self.defects.values())} anomalous test images"
            + f" ({defects})" * bool(defects),
            several(self.sizes, "sizes"),
            several(self.modes, "modes"),
            f"{self.regions} anomalous regions ({self.regions_kept} at the evaluation size)",
            release[self.exact_release],
        ]
        return f"{self.category}: {'; '.join(p for p in parts if p)}"


def several(counts: Mapping[str, int], what: str) -> str:
    """ "RGB", or "RGB 80, L 3", or "17 sizes" where there are many."""
    if len(counts) > 3:
        return f"{len(counts)} {what}"
    if len(counts) == 1:
        return next(iter(counts))
    return ", ".join(f"{name} {count}" for name, count in counts.items())


@dataclass(frozen=True)
class Report:
    """All findings, in the order of the checks, and one summary a category."""

    dataset: str
    version: str
    layout: str | None
    findings: tuple[Finding, ...]
    summaries: tuple[CategorySummary, ...]
    strict: bool = False

    @property
    def exit_code(self) -> int:
        """4 for an error, or under `strict` a warning; 0 otherwise."""
        fatal = {"error", "warning"} if self.strict else {"error"}
        return DataError.exit_code if any(f.severity in fatal for f in self.findings) else 0

    def to_json(self) -> dict[str, JSON]:
        """Plain values; no path of the machine."""
        plain = {"dataset": self.dataset, "version": self.version, "layout": self.layout}
        return {
            **plain,
            "exit_code": self.exit_code,
            "findings": [f.to_json() for f in self.findings],
            "summaries": [asdict(s) for s in self.summaries],
        }


# ------------------------------------------------------------ messages without the root

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
