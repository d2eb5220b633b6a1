"""The command line: every command, in the order of `adbench --help`, and the entry point.

Nothing heavy is imported before a command needs it.
"""

# Importing a module adds its commands, and `--help` lists them in this order.
# isort: off
from adbench.commands import cli_runs as _runs  # noqa: F401
from adbench.commands import cli_results as _results  # noqa: F401
from adbench.commands import cli_regression as _regression  # noqa: F401
from adbench.commands import cli_catalogue as _catalogue  # noqa: F401

# isort: on
from adbench.commands.app import app
from adbench.commands.exits import end


def main() -> None:
    """Entry point: one line for a user's mistake, never a traceback."""
    end(app)


if __name__ == "__main__":
    main()
