"""`adbench cite`: the BibTeX of methods, data sets and adbench itself."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from adbench.errors import AdbenchError, UsageError
from adbench.registry import expand_group, load_dataset, load_method
from adbench.store.folders import Store
from adbench.text import print_json, say, show_lines
from adbench.version import __version__

OWN = f"""@misc{{adbench,
  author = {{{{The adbench developers}}}},
  title  = {{{{adbench}}: one protocol for diffusion anomaly detectors}},
  note   = {{Version {__version__}}}
}}"""
"""As CITATION.cff has it, which is no part of a wheel."""


@dataclass(frozen=True)
class Citation:
    """What to cite for one name."""

    kind: Literal["method", "data set", "adbench"]
    name: str
    bibtex: str


def cite(
    methods: Sequence[str], datasets: Sequence[str], results: Path, as_json: bool = False
) -> None:
    """Print the BibTeX of these names, or of all that a results folder was made with.

    Raises `UnknownNameError` for a name that is neither installed nor FILE.py:Class.
    """
    if methods or datasets:
        names = [n for given in methods for n in expand_group(given) or [given]]
        found = [_method(name) for name in names] + [_dataset(name) for name in datasets]
    else:
        found = _used(results)
    cited = [*dict.fromkeys(found), Citation("adbench", "adbench", OWN)]
    for citation in cited:
        if not citation.bibtex:
            say(f"note: the card of the {citation.kind} {citation.name} names nothing to cite")
    if as_json:
        print_json([asdict(citation) for citation in cited])
        return
    show_lines("\n\n".join(_entries(cited)) + "\n")


def _entries(cited: Sequence[Citation]) -> list[str]:
    """Each text once: two names may come from one paper."""
    return list(dict.fromkeys(c.bibtex.strip() for c in cited if c.bibtex.strip()))


def _method(reference: str) -> Citation:
    name = re.sub(r"\[.*\]$", "", reference, flags=re.DOTALL)  # options change no paper
    card = load_method(name).card
    return Citation("method", card.name, card.citation)


def _dataset(reference: str) -> Citation:
    head, _, tail = reference.partition(":")
    # NAME:CATEGORY,... as on the other commands, but FILE.py:Class and MODULE:Class are whole.
    is_file = head.endswith(".py") or "." in head
    card = load_dataset(reference if is_file or not tail else head).card
    return Citation("data set", card.name, card.citation)


def _used(results: Path) -> list[Citation]:
    records = list(Store(results).records())
    if not records:
        raise UsageError(
            f"no record in {results}: give names, as in `adbench cite lafite --dataset mpdd`, or "
            "the folder of a run with --results DIR"
        )
    found = []
    for name in sorted({record.identity["method"] for record in records}):
        found += _installed(_method, name)
    for name in sorted({record.identity["dataset"] for record in records}):
        found += _installed(_dataset, name)
    return found


def _installed(cite_one: Callable[[str], Citation], name: str) -> list[Citation]:
    """Records name what came from a user's own file, too; the cards of such are not at hand."""
    try:
        return [cite_one(name)]
    except AdbenchError:
        say(f"note: {name} is not installed: cite it by hand, or give it as FILE.py:Class")
        return []
