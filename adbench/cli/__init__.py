"""The command line: every command, in the order of `adbench --help`, and the entry point.

A command is one function: its options (those of several commands stand in `options`), its help,
and a call, imported there and then, of what does the work in a lower package.
"""

import sys

# Importing a module adds its commands, and `--help` lists them in this order.
# isort: off
from adbench.cli import cli_runs as _runs  # noqa: F401
from adbench.cli import cli_predict as _predict  # noqa: F401
from adbench.cli import results as _results  # noqa: F401
from adbench.cli import compare as _compare  # noqa: F401
from adbench.cli import catalogue as _catalogue  # noqa: F401

# isort: on
from adbench.cli.app import app
from adbench.cli.exits import end


def main() -> None:
    """Entry point: one line for a user's mistake, never a traceback."""
    end(app, _expand_grid)


def _expand_grid() -> None:
    """Put the words of `--grid FILE` in its place."""
    if sys.argv[1:2] in (["run"], ["plan"]) and any(w.startswith("--grid") for w in sys.argv):
        from adbench.grid_files import expanded

        sys.argv[1:] = expanded(sys.argv[1:])
