"""How every command ends: at most one line that begins with `error:`, and an exit code.

    0    ok
    1    a regression was found (`gate`), and nothing else
    2    wrong usage or configuration, a folder or file that cannot be used
    3    some cells failed
    4    a problem with the data
    5    nothing was comparable (`gate`, `compare`), too few images to tell (`gate --strict`)
    70   adbench itself broke (a bug, with its traceback): never to be taken for a regression
    130  interrupted        141  whoever read the output left

Where several hold, the first of 2, 4, 3, 1, 5.
"""

from __future__ import annotations

import io
import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NoReturn, cast

import typer
from typer.core import TyperGroup

from adbench.errors import AdbenchError, shortened
from adbench.text import printable_lines, say, say_traceback, unwritable

OK = 0
REGRESSION = 1
CELLS_FAILED = 3
DATA_PROBLEM = 4
NOTHING_COMPARABLE = 5
CRASHED = 70
"""EX_SOFTWARE of sysexits.h; Python's own 1 means a regression here."""
INTERRUPTED = 130
READER_LEFT = 141
"""What shells report for a program that SIGINT or SIGPIPE ended."""

# What Typer raises for a wrong command line; only its subclass has a public name.
_WrongUsage = cast(type[Exception], typer.BadParameter.__mro__[1])


_format_warning = warnings.formatwarning


class _Interrupted(Exception):
    """Ctrl-C or SIGTERM, under a name that Typer lets pass."""


class _ReaderLeft(Exception):
    """Whoever read our output is gone (`| head`), under a name that Typer lets pass."""


class CommandGroup(TyperGroup):
    """Keeps Typer from answering an interrupt or a closed pipe in its own way."""

    def make_context(self, *arguments: Any, **options: Any) -> Any:
        """Read the command line; prints where `--help` is asked for."""
        with _renamed():
            return super().make_context(*arguments, **options)

    def invoke(self, ctx: Any) -> Any:
        """Call the chosen command."""
        with _renamed():
            return super().invoke(ctx)


@contextmanager
def _renamed() -> Iterator[None]:
    try:
        yield
    except KeyboardInterrupt:
        raise _Interrupted from None
    except BrokenPipeError:
        raise _ReaderLeft from None


def end(app: typer.Typer) -> NoReturn:
    """Run the command line on `sys.argv` and exit."""
    _require_streams()
    warnings.formatwarning = _printable_warning  # type: ignore[assignment]
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # for terminals that lack a letter
    code = _call(app)
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError as error:
            if isinstance(error, BrokenPipeError):
                code = READER_LEFT
            elif code != AdbenchError.exit_code:  # else it was told when it was written
                code = _fail(unwritable(error), AdbenchError.exit_code)
            # Else the interpreter tries again on its way out, and complains.
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
    sys.exit(code)


def _require_streams() -> None:
    """Closed ones (`>&-`) are None: without stdout nothing is begun, without stderr all is."""
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w")  # noqa: SIM115 - until the end
    if sys.stdout is None:
        message = "stdout is closed: expected a terminal, a file or a pipe, like > /dev/null"
        sys.exit(_fail(message, AdbenchError.exit_code))


def _call(app: typer.Typer) -> int:
    try:
        # Typer gives back the code of an `Exit`, and None from a command that merely ended.
        return app(prog_name="adbench", standalone_mode=False) or 0
    except SystemExit as stop:
        if stop.code is None or isinstance(stop.code, int):
            return stop.code or OK
        return _fail(str(stop.code), CRASHED)  # no code of ours: some plug-in's `sys.exit("why")`
    except AdbenchError as error:
        return _fail(str(error), error.exit_code)
    except _WrongUsage as error:
        return _fail(_usage(error), AdbenchError.exit_code)
    except (_Interrupted, KeyboardInterrupt):
        return _fail(
            "interrupted: what is finished is kept and training goes on from its checkpoint; "
            "run the same command again",
            INTERRUPTED,
        )
    except (_ReaderLeft, BrokenPipeError):
        return READER_LEFT
    except OSError as error:
        # A folder that may not be looked at, a disk that fails: wherever nothing better is known.
        where = f"{error.filename}: " if error.filename else ""
        return _fail(f"{where}{error.strerror or error}", AdbenchError.exit_code)
    except Exception as error:  # a bug of ours, whatever it is: shown whole, and exit code 70
        say_traceback()
        what = " ".join(f"{type(error).__name__}: {error}".split()).rstrip(": ")
        return _fail(f"adbench broke ({what}): please report it with the lines above", CRASHED)


def _printable_warning(*about: Any) -> str:
    """A warning of Python as it is shown: it may hold a path."""
    return printable_lines(_format_warning(*about))


def _usage(error: Any) -> str:
    """Typer's complaint and where to read on, in one line."""
    context = error.ctx
    command = context.command_path if context is not None else "adbench"
    message = shortened(" ".join(error.format_message().split()).rstrip("."), 500)
    return f"{message[:1].lower()}{message[1:]}; `{command} --help` lists what is possible"


def _fail(message: str, code: int) -> int:
    try:
        say(f"error: {message}")
    except OSError:
        pass  # nobody is left to tell; the exit code is
    return code
