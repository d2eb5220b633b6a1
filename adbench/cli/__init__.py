"""The command line: every command, in the order of `adbench --help`, and the entry point.

Nothing heavy is imported before a command needs it.
"""

# Importing a module adds its commands, and `--help` lists them in this order.
# isort: off
from adbench.cli import cli_runs as _runs  # noqa: F401
from adbench.cli import cli_results as _results  # noqa: F401
from adbench.cli import cli_regression as _regression  # noqa: F401
from adbench.cli import cli_catalogue as _catalogue  # noqa: F401

# isort: on
from adbench.cli.app import app
from adbench.cli.exits import end


def main() -> None:
    """Entry point: one line for a user's mistake, never a traceback."""
    end(app)
