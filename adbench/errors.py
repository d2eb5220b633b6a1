"""Every error that adbench raises on purpose, and the exit codes that commands end with.

    AdbenchError                 2
    ├── UsageError               2   the command line or a Python argument is wrong
    │   └── UnknownNameError     2   a name that nothing has; offers the nearest one
    ├── PluginError              2   a method or data set could not be imported
    ├── StoreError               2   the results or cache folder cannot be used
    ├── DataError                4   the data set is missing, partial or damaged
    └── MethodError              3   a method cannot go on (weights, memory, loss not finite)

A message is one line and holds what was found, what was expected and a way out. Of several codes
the first of 2, 4, 3, 1, 5 holds.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable

OK = 0
REGRESSION = 1
"""Found by `gate`, and nothing else."""
WRONG_USAGE = 2
"""Or configuration, or a folder or file that cannot be used."""
CELLS_FAILED = 3
DATA_PROBLEM = 4
NOTHING_COMPARABLE = 5
"""For `gate` and `compare`; for `gate --strict` also too few images to tell."""


def shortened(text: str, most: int = 200) -> str:
    """Of a very long text only how it begins, so that a message stays one to read."""
    return text if len(text) <= most else f"{text[:most]}..."


class AdbenchError(Exception):
    """Base of all: a mistake with a known way out, shown without a traceback."""

    exit_code = WRONG_USAGE


class UsageError(AdbenchError):
    """The command line or a Python argument asks for something impossible."""


class UnknownNameError(UsageError):
    """A name is not known; the nearest valid one is offered."""

    def __init__(self, kind: str, name: str, valid: Iterable[str], *, hint: str = "") -> None:
        names = sorted(valid)
        close = difflib.get_close_matches(name, names, n=1, cutoff=0.4)
        offer = f"did you mean {close[0]!r}? " if close else ""
        message = (
            f"unknown {kind} {shortened(name)!r}: {offer}valid: {', '.join(names) or '(none)'}"
        )
        super().__init__(f"{message}. {hint}".rstrip(". ") if hint else message)


class PluginError(AdbenchError):
    """A method or data set could not be imported or does not keep its contract."""


class StoreError(AdbenchError):
    """The results or cache folder cannot be read or written."""


class DataError(AdbenchError):
    """A data set is missing, partial or damaged."""

    exit_code = DATA_PROBLEM


class MethodError(AdbenchError):
    """A method cannot go on: no weights, a missing extra, a loss that is not finite."""

    exit_code = CELLS_FAILED
