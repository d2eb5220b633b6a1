"""What a fuzzed input must leave behind: no traceback, no hang, nothing written elsewhere."""

from __future__ import annotations

import contextlib
import io
import os
import signal
import sys
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

from adbench.cli.exits import CRASHED
from adbench.errors import AdbenchError
from adbench.text import printable, printable_lines

LONGEST_SECONDS = 30
"""One input may take; tiny as they all are, more is a hang."""
LONGEST_MESSAGE = 4_000
_WRITES = {"w", "a", "x", "+"}
_CHANGES = {
    "os.remove", "os.rename", "os.rmdir", "os.mkdir", "os.link", "os.symlink", "os.truncate",
    "os.chmod", "os.chown", "os.utime", "shutil.rmtree", "shutil.move",
}  # fmt: skip
_NEVER = {"os.system", "os.exec", "os.posix_spawn", "subprocess.Popen", "pickle.find_class",
          "socket.connect"}  # fmt: skip


class Trespass(AssertionError):
    """A write outside the allowed folders, another program started, a pickle executed."""


class Hang(AssertionError):
    """An input that takes for ever."""


class _Guard:
    """Sees, through Python's audit events, whatever this process does to files and programs."""

    def __init__(self) -> None:
        self.allowed: tuple[str, ...] | None = None
        self.seen: list[str] = []
        sys.addaudithook(self._hook)

    def _hook(self, event: str, arguments: tuple[Any, ...]) -> None:
        if self.allowed is None:
            return
        if event in _NEVER:
            self.seen.append(f"{event} {arguments!r:.200}")
        elif event in _CHANGES or (event == "open" and _for_writing(arguments)):
            paths = arguments[:2] if event in ("os.rename", "os.link") else arguments[:1]
            folder = arguments[-1] if event in ("os.remove", "os.rmdir") else -1
            for path in paths:
                place = _absolute(path, folder)
                if place is not None and not place.startswith(self.allowed):
                    self.seen.append(f"{event} {place!r:.300}")


_guard = _Guard()


def _for_writing(arguments: tuple[Any, ...]) -> bool:
    _, mode, flags = arguments
    if isinstance(mode, str):
        return bool(_WRITES & set(mode))
    return bool(flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC))


def _absolute(path: Any, folder: Any) -> str | None:
    """The real place of what is changed: links of its folders resolved, its own not."""
    if isinstance(path, int):
        return None  # opened before, and seen then
    name = os.fsdecode(path)
    if isinstance(folder, int) and folder >= 0:
        name = os.path.join(os.readlink(f"/proc/self/fd/{folder}"), name)
    head, tail = os.path.split(os.path.abspath(name))
    return os.path.join(os.path.realpath(head), tail)


@contextlib.contextmanager
def guarded(*writable: Path) -> Iterator[None]:
    """Fail on a hang, and on any write that is not below one of these folders."""

    def stop(_signal: int, _frame: FrameType | None) -> None:
        raise Hang(f"more than {LONGEST_SECONDS} s")

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, LONGEST_SECONDS)
    _guard.seen = []
    places = [os.path.realpath(p) for p in writable]
    _guard.allowed = (*places, "/dev/null", "/proc/self/")
    try:
        yield
    finally:
        _guard.allowed = None
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    if _guard.seen:
        raise Trespass("; ".join(_guard.seen))


@contextlib.contextmanager
def usable() -> Iterator[None]:
    """Let pass what a user may be told; whatever else is raised is a traceback, and fails."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except AdbenchError as error:
        check_message(str(error))


def check_message(message: str) -> None:
    """An error must say something, in one line once it is printed, and no novel."""
    shown = printable(message)
    assert len(shown.split()) >= 3, f"says nothing: {message!r}"
    assert len(shown) <= LONGEST_MESSAGE, f"{len(shown)} characters: {shown[:300]}..."
    assert "\n" not in shown and "Traceback" not in shown, message


@dataclass(frozen=True)
class Outcome:
    """What a command did."""

    code: int
    out: str
    err: str


def call(*arguments: str) -> Outcome:
    """Run the command line in this process."""
    from adbench.cli import main

    out, err = io.StringIO(), io.StringIO()
    argv, sys.argv = sys.argv, ["adbench", *arguments]
    code = 0
    try:
        with (
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(err),
            warnings.catch_warnings(),
        ):
            warnings.simplefilter("ignore")
            main()
    except SystemExit as stop:
        code = stop.code if isinstance(stop.code, int) else int(stop.code is not None)
    finally:
        sys.argv = argv
    return Outcome(code, out.getvalue(), err.getvalue())


def check_outcome(outcome: Outcome) -> None:
    """No traceback; a refusal is one line, the last, and nothing is on stdout."""
    assert "Traceback" not in outcome.err and outcome.code != CRASHED, outcome.err
    assert outcome.code in (0, 1, 2, 3, 4, 5), outcome
    errors = [line for line in outcome.err.split("\n") if line.startswith("error: ")]
    assert len(errors) <= 1, outcome.err
    if errors:
        assert outcome.err.rstrip("\n").split("\n")[-1] == errors[0], outcome.err
        check_message(errors[0])
    for text in (outcome.out, outcome.err):
        assert printable_lines(text) == text, "steers the terminal"


def fingerprint(folder: Path) -> dict[str, tuple[int, int, str]]:
    """Name to kind, time of change and content (or target) of everything below `folder`."""
    found = {}
    for base, folders, files in os.walk(os.fsencode(folder)):
        for name in (*folders, *files):
            path = os.path.join(base, name)
            status = os.lstat(path)
            content = os.readlink(path) if os.path.islink(path) else b""
            if not content and os.path.isfile(path):
                with open(path, "rb") as stream:
                    content = stream.read()
            key = os.fsdecode(path)
            found[key] = (status.st_mode, status.st_mtime_ns, content.hex())
    return found
