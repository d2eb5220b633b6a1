"""The small language of the command line: `a,b[k=v,k2=v1|v2]`, `NAME:CATEGORY,...`, `0-4`.

Commas separate methods outside brackets and options inside; `|` sweeps, one cell each.
"""

from __future__ import annotations

import itertools
import math
import re
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from adbench.errors import UsageError, shortened
from adbench.own_paths import parts_of_path

MAX_COMBINATIONS = 10_000
"""Of swept values of one method, and seeds of one run: beyond it somebody mistyped."""

_BRACKETED = re.compile(r"(?:[^\[\]]|\[[^\[\]]*\])*")
_PART = re.compile(r"(?:[^,\[\]]|\[[^\[\]]*\])+")
_METHOD = re.compile(r"([^\[\]]+)(?:\[(.*)\])?", re.DOTALL)
_OPTION = re.compile(r"^\s*([A-Za-z_][A-Za-z0-9_]*)\s*=\s*(.*?)\s*$", re.DOTALL)


@dataclass(frozen=True)
class MethodSelector:
    """A method's name or reference and its options, each with one or more values to sweep."""

    name: str
    options: tuple[tuple[str, tuple[str, ...]], ...] = ()

    def combinations(self) -> Iterator[dict[str, str]]:
        """Every combination of the swept values, in the order written."""
        names = [name for name, _ in self.options]
        for values in itertools.product(*(values for _, values in self.options)):
            yield dict(zip(names, values, strict=True))


def parse_methods(text: str) -> list[MethodSelector]:
    """Parse `--methods`; raises `UsageError` with the offending part."""
    selectors = [_parse_method(part) for part in _split_outside_brackets(text)]
    if not selectors:
        raise UsageError("--methods is empty: expected NAME, NAME[k=v] or a comma-separated list")
    return selectors


def parse_overrides(texts: tuple[str, ...]) -> dict[str, dict[str, str]]:
    """Parse `--set METHOD.k=v` values into {method: {k: v}}."""
    overrides: dict[str, dict[str, str]] = {}
    for text in texts:
        target, separator, value = text.partition("=")
        method, dot, name = target.strip().rpartition(".")
        if not (separator and dot and method and name):
            raise UsageError(
                f"--set {_short(text)}: expected METHOD.NAME=VALUE, like lafite.tau=300"
            )
        overrides.setdefault(method, {})[name] = value.strip()
    return overrides


def parse_dataset(text: str) -> tuple[str, str | None]:
    """Parse `--dataset NAME[:CATEGORY,...]` into (name, reference or path, text after the colon or
    None).

    What categories that text means depends on their names: `split_categories`.
    """
    parts = text.strip().split(":")
    head = parts_of_path(parts)
    if not head:
        # A reference has a colon of its own: FILE.py:Class or module.path:Class.
        is_reference = len(parts) > 1 and (parts[0].endswith(".py") or "." in parts[0])
        head = 2 if is_reference else 1
    name, rest = ":".join(parts[:head]), ":".join(parts[head:])
    if not parts[0]:
        raise UsageError(f"--dataset {_short(text)}: expected NAME or NAME:CATEGORY,CATEGORY")
    if len(parts) <= head:
        return name, None
    if not rest.replace(",", "").strip():
        raise UsageError(f"--dataset {_short(text)}: no category after the colon")
    return name, rest


def split_categories(text: str, known: Iterable[str]) -> tuple[str, ...]:
    """The categories in `CATEGORY,CATEGORY`, in the order written, each once.

    A known name may hold commas: the longest that fits is taken, so first the whole text. Names
    are the same in every Unicode normal form. What fits no known name is cut at each comma.
    """
    names: dict[str, str] = {}
    for name in sorted(known):
        names.setdefault(unicodedata.normalize("NFC", name), name)
        names[name] = name
    most = 1 + max((name.count(",") for name in names), default=0)
    parts = text.split(",")
    found: dict[str, None] = {}
    while parts:
        for count in range(min(most, len(parts)), 0, -1):
            written = ",".join(parts[:count])
            forms = (written, written.strip(), unicodedata.normalize("NFC", written.strip()))
            match = next((names[form] for form in forms if form in names), None)
            if match is not None or count == 1:
                found[written.strip() if match is None else match] = None
                break
        parts = parts[count:]
    return tuple(name for name in found if name)


def parse_seeds(text: str) -> tuple[int, ...]:
    """Parse `0`, `0,2,5` and `0-4` (inclusive)."""
    seeds: dict[int, None] = {}
    for part in text.split(","):
        match = re.fullmatch(r"\s*(\d{1,9})(?:\s*-\s*(\d{1,9}))?\s*", part)
        if match is None:
            raise UsageError(
                f"--seeds {_short(text)}: expected whole numbers, like 0 or 0,3 or 0-4"
            )
        first, last = int(match[1]), int(match[2] or match[1])
        if last < first or last - first + len(seeds) >= MAX_COMBINATIONS:
            raise UsageError(
                f"--seeds {_short(text)}: {part.strip()} is no range from a number to a larger "
                f"one, like 0-4, or there are more than {MAX_COMBINATIONS:,} seeds in all"
            )
        seeds.update(dict.fromkeys(range(first, last + 1)))
    return tuple(seeds)


def parse_budgets(text: str) -> tuple[float, ...]:
    """Parse `0.25,0.5,1`, parts of a training's steps, each once."""
    found: dict[float, None] = {}
    for part in text.split(","):
        match = re.fullmatch(r"\s*(\d*\.?\d+|\d+\.)\s*", part)
        if match is None or not 0 < float(match[1]) <= 1:
            raise UsageError(
                f"--budgets {_short(text)}: expected parts of the steps above 0 and up to 1, like "
                "0.25,0.5,1"
            )
        found[float(match[1])] = None
    return tuple(found)


def parse_shard(text: str) -> tuple[int, int]:
    """Parse `--shard i/n`, 1 <= i <= n."""
    match = re.fullmatch(r"\s*(\d{1,6})\s*/\s*(\d{1,6})\s*", text)
    if match is None or not 1 <= int(match[1]) <= int(match[2]):
        raise UsageError(f"--shard {_short(text)}: expected i/n with 1 <= i <= n, like 2/8")
    return int(match[1]), int(match[2])


def _split_outside_brackets(text: str) -> list[str]:
    if _BRACKETED.fullmatch(text) is None:
        is_open = text.count("[") > text.count("]")
        found = "a bracket is not closed" if is_open else "brackets do not match"
        raise UsageError(f"--methods {_short(text)}: {found}, expected NAME[k=v]")
    return [part for part in map(str.strip, _PART.findall(text)) if part]


def _parse_method(text: str) -> MethodSelector:
    match = _METHOD.fullmatch(text)
    if match is None:
        raise UsageError(f"--methods: cannot read {_short(text)}; expected NAME[k=v,k2=v1|v2]")
    options: list[tuple[str, tuple[str, ...]]] = []
    for part in filter(None, (p.strip() for p in (match[2] or "").split(","))):
        option = _OPTION.match(part)
        if option is None:
            raise UsageError(
                f"--methods: cannot read option {_short(part)} of {match[1]}; expected k=v"
            )
        if option[1] in dict(options):
            raise UsageError(
                f"--methods: {option[1]} is set twice for {match[1]}; expected one value, or "
                f"{option[1]}=v1|v2 for a cell each"
            )
        options.append((option[1], tuple(map(str.strip, option[2].split("|")))))
    count = math.prod(len(values) for _, values in options)
    if count > MAX_COMBINATIONS:
        raise UsageError(
            f"--methods: {match[1]} sweeps {count:,} combinations; expected at most "
            f"{MAX_COMBINATIONS:,}: sweep fewer values at a time"
        )
    return MethodSelector(match[1].strip(), tuple(options))


def _short(text: str) -> str:
    """The text in quotes; of a very long one only how it begins."""
    return repr(shortened(text))
