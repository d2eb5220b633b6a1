"""How every command ends: at most one line that begins with `error:`, and an exit code.

The codes of `adbench.errors`, and: 70 adbench itself broke (a bug, with its traceback), 130
interrupted, 141 whoever read the output left.
"""

from __future__ import annotations

import io
import os
import sys
import warnings
from collections.abc import Callable
from typing import Any, NoReturn, cast

import typer
from typer.main import get_command

from adbench.errors import OK, WRONG_USAGE, AdbenchError, shortened
from adbench.text import printable_lines, say, say_traceback, unwritable

CRASHED = 70
"""EX_SOFTWARE of sysexits.h; Python's own 1 means a regression here."""
INTERRUPTED = 130
READER_LEFT = 141
"""What shells report for a program that SIGINT or SIGPIPE ended."""

# What Typer raises for a wrong command line; only its subclass has a public name.
_WrongUsage = cast(type[Exception], typer.BadParameter.__mro__[1])
_format_warning = warnings.formatwarning


def end(app: typer.Typer, prepare: Callable[[], None]) -> NoReturn:
    """Run the command line on `sys.argv`, as `prepare` leaves it, and exit."""
    _require_streams()
    warnings.formatwarning = _printable_warning  # type: ignore[assignment]
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # for terminals that lack a letter
    code = _call(app, prepare)
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError as error:
            if isinstance(error, BrokenPipeError):
                code = READER_LEFT
            elif code != WRONG_USAGE:  # else it was told when it was written
                code = _fail(unwritable(error), WRONG_USAGE)
            # Else the interpreter tries again on its way out, and complains.
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
    sys.exit(code)


def _require_streams() -> None:
    """Closed ones (`>&-`) are None: without stdout nothing is begun, without stderr all is."""
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w")  # noqa: SIM115 - until the end
    if sys.stdout is None:
        message = "stdout is closed: expected a terminal, a file or a pipe, like > /dev/null"
        sys.exit(_fail(message, WRONG_USAGE))


def _call(app: typer.Typer, prepare: Callable[[], None]) -> int:
    # Not by `app()`, which answers an interrupt and a closed pipe in a way of its own.
    command = get_command(app)
    try:
        prepare()
        with command.make_context("adbench", sys.argv[1:]) as context:
            command.invoke(context)
        return OK
    except typer.Exit as stop:
        return stop.exit_code
    except SystemExit as stop:
        if stop.code is None or isinstance(stop.code, int):
            return stop.code or OK
        return _fail(str(stop.code), CRASHED)  # no code of ours: some plug-in's `sys.exit("why")`
    except AdbenchError as error:
        return _fail(str(error), error.exit_code)
    except _WrongUsage as error:
        return _fail(_usage(error), WRONG_USAGE)
    except KeyboardInterrupt:
        return _fail(
            "interrupted: what is finished is kept and training goes on from its checkpoint; "
            "run the same command again",
            INTERRUPTED,
        )
    except BrokenPipeError:
        return READER_LEFT
    except OSError as error:
        # A folder that may not be looked at, a disk that fails: wherever nothing better is known.
        where = f"{error.filename}: " if error.filename else ""
        return _fail(f"{where}{error.strerror or error}", WRONG_USAGE)
    except Exception as error:  # a bug of ours, whatever it is: shown whole, and exit code 70
        say_traceback()
        what = " ".join(f"{type(error).__name__}: {error}".split()).rstrip(": ")
        return _fail(f"adbench broke ({what}): please report it with the lines above", CRASHED)


def _printable_warning(*about: Any) -> str:
    """A warning of Python as it is shown: it may hold a path."""
    return printable_lines(_format_warning(*about))


def _usage(error: Any) -> str:
    """Typer's complaint and where to read on, in one line."""
    command = error.ctx.command_path if error.ctx is not None else "adbench"
    message = shortened(" ".join(error.format_message().split()).rstrip("."), 500)
    return f"{message[:1].lower()}{message[1:]}; `{command} --help` lists what is possible"


def _fail(message: str, code: int) -> int:
    try:
        say(f"error: {message}")
    except OSError:
        pass  # nobody is left to tell; the exit code is
    return code
