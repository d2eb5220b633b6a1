"""What readers call things: methods as papers do, data sets and devices in short.

A method is called by its card's title and the names of its variants, `LafitE w/o F.E.`; what no
variant names stays as it is written, `LafitE, tau=300`. The words that select the same run on a
command line are `Record.method`.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from functools import cache
from importlib import resources
from typing import Any

from adbench.errors import AdbenchError
from adbench.registry import dataset_names, load_dataset, load_method, method_names
from adbench.store.records import Record, selector_text

_ANY = "*"
"""As the value of an option in the table of variants: whatever it is."""


class Names:
    """Of the runs among some records; two that would share a name keep their selectors.

    Rows are mappings with `method`, `variant` and `preset`. The preset belongs to a name where
    it differs from row to row, which is for whoever shows them to know: by default, where the
    records have several.
    """

    def __init__(self, records: Iterable[Record]) -> None:
        runs = [(str(r.identity["method"]), r.variant, r.preset) for r in records]
        self.presets = list(dict.fromkeys(preset for *_, preset in runs))
        self._lines = {run[:2]: _lines(*run[:2]) for run in dict.fromkeys(runs)}
        shared = Counter(self._lines.values())
        for (method, variant), lines in self._lines.items():
            if shared[lines] > 1:
                self._lines[method, variant] = (selector_text(method, variant),)

    def lines(self, row: Mapping[str, Any], *, preset: bool | None = None) -> tuple[str, ...]:
        """A name in parts: title, variants, preset."""
        run = (str(row["method"]), str(row["variant"]))
        shown = len(self.presets) > 1 if preset is None else preset
        own = self._lines.get(run) or _lines(*run)
        return (*own, str(row["preset"])) if shown else own

    def of(self, row: Mapping[str, Any], *, preset: bool | None = None) -> str:
        """A name in one line."""
        title, *rest = self.lines(row, preset=preset)
        return title + "".join(f"{_between(part)}{part}" for part in rest)

    def of_record(self, record: Record, *, preset: bool | None = None) -> str:
        """The same for the run that made a record."""
        return self.of(run_of(record), preset=preset)


def run_of(record: Record) -> dict[str, str]:
    """What tells the runs of a table apart, as its rows have it."""
    method = str(record.identity["method"])
    return {"method": method, "variant": record.variant, "preset": record.preset}


def _lines(method: str, variant: str) -> tuple[str, ...]:
    """Options that a paper names in the table's order, then the others as they are written."""
    left = dict(option.partition("=")[::2] for option in variant.split(",") if option)
    names = []
    for options, name in _variants(method).items():
        own = dict(option.partition("=")[::2] for option in options.split(","))
        if all(key in left and value in (_ANY, left[key].lower()) for key, value in own.items()):
            names.append(name)
            left = {key: value for key, value in left.items() if key not in own}
    rest = [f"{key}={value}" if value else key for key, value in left.items()]
    return (_title(method), *filter(None, names), *rest)


def _between(part: str) -> str:
    return " " if part.startswith(("w/o ", "w/ ")) else ", "


@cache
def _variants(method: str) -> dict[str, str]:
    """Options, `k=v,k2=v2`, to what papers call a method with them; "" where they are no variant
    but what the paper itself has."""
    text = resources.files("adbench.published").joinpath("variants.json").read_text("utf-8")
    found: dict[str, dict[str, str]] = json.loads(text)
    return found.get(method, {})


@cache
def _title(method: str) -> str:
    """Of its card; of a method from a file, or one that is no longer installed, its name."""
    if method in method_names():  # a name in a record loads no other code
        try:
            return load_method(method).card.title
        except AdbenchError:
            return method
    return method


@cache
def dataset_title(name: str) -> str:
    """Of its card, without what stands in brackets; else the name."""
    if name in dataset_names():
        try:
            return load_dataset(name).card.title.partition(" (")[0]
        except AdbenchError:
            return name
    return name


_NOISE = (
    r"\((?:R|TM|C)\)|\b(?:NVIDIA|GeForce|Tesla|CPU|Processor|\d+-Core)\b|@ .*$|with .* Graphics"
    r"|-(?:SXM\d?|PCIE?)\b|\bPCIe\b|\bHBM\w*|\bGPU\b"
)


def device_title(name: str) -> str:
    """What tells a device from others: `Intel Xeon`, `A100 80GB`, `RTX 4090`."""
    left = re.sub(r"-(?=\d+GB\b)", " ", re.sub(_NOISE, " ", name))
    return " ".join(left.split()) or name
