"""`adbench cite`: the BibTeX of methods, data sets and adbench itself."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

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


class Citation(NamedTuple):
    kind: str  # method, data set or adbench
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
        found = [*map(_method, names), *map(_dataset, datasets)]
    else:
        found = list(_used(results))
    cited = [*dict.fromkeys(found), Citation("adbench", "adbench", OWN)]
    for citation in cited:
        if not citation.bibtex:
            say(f"note: the card of the {citation.kind} {citation.name} names nothing to cite")
    if as_json:
        print_json([citation._asdict() for citation in cited])
        return
    # Each text once: two names may come from one paper.
    entries = dict.fromkeys(citation.bibtex.strip() for citation in cited)
    show_lines("\n\n".join(filter(None, entries)) + "\n")


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


def _used(results: Path) -> Iterator[Citation]:
    """Records name what came from a user's own file, too; the cards of such are not at hand."""
    records = list(Store(results).records())
    if not records:
        raise UsageError(
            f"no record in {results}: give names, as in `adbench cite lafite --dataset mpdd`, or "
            "the folder of a run with --results DIR"
        )
    kinds: dict[str, Callable[[str], Citation]] = {"method": _method, "dataset": _dataset}
    for kind, of_name in kinds.items():
        for name in sorted({record.identity[kind] for record in records}):
            try:
                yield of_name(name)
            except AdbenchError:
                say(f"note: {name} is not installed: cite it by hand, or give it as FILE.py:Class")
