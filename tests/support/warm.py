"""Processes of the command line that start warm: forks of one that has imported everything.

They are processes like any other: to be killed, interrupted, bound by limits. What a start of
Python itself does is left to the tests that start it cold.
"""

from __future__ import annotations

import array
import contextlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading
import traceback
from collections.abc import Mapping
from concurrent.futures import Future
from pathlib import Path
from typing import Any

LONGEST = 1_000_000
"""Bytes of a request."""


class Warm:
    """A running `adbench ARGUMENTS`, with the face of `subprocess.Popen` for text in pipes."""

    def __init__(
        self,
        arguments: list[str],
        cwd: Path,
        env: Mapping[str, str] | None = None,
        file_limit: int | None = None,
        user: int | None = None,
    ) -> None:
        self.args = arguments
        self.returncode: int | None = None
        self._status, status = os.pipe()
        self._out, out = _pipe_to_text()
        self._err, err = _pipe_to_text()
        environment = dict(os.environ if env is None else env)
        request = {"arguments": arguments, "cwd": str(cwd), "env": environment,
                   "file_limit": file_limit, "user": user}  # fmt: skip
        self.pid = _mother().start(request, [out, err, status])
        for descriptor in (out, err, status):
            os.close(descriptor)

    def poll(self) -> int | None:
        """The exit code, as `Popen` has it, or None."""
        if self.returncode is None and select.select([self._status], [], [], 0)[0]:
            self.returncode = int(os.read(self._status, 32))
            os.close(self._status)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Wait for the end; raises `subprocess.TimeoutExpired`."""
        if self.returncode is None and not select.select([self._status], [], [], timeout)[0]:
            raise subprocess.TimeoutExpired(self.args, timeout or 0)
        code = self.poll()
        assert code is not None
        return code

    def communicate(self, timeout: float | None = None) -> tuple[str, str]:
        """All that it wrote, once it has ended."""
        self.wait(timeout)
        return self._out.result(), self._err.result()

    def send_signal(self, number: int) -> None:
        """Unless it has ended."""
        if self.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


def _pipe_to_text() -> tuple[Future[str], int]:
    """What will have been written into a pipe, and the end to write to."""
    reader, writer = os.pipe()
    written: Future[str] = Future()

    def read() -> None:
        with open(reader, "rb") as stream:
            written.set_result(stream.read().decode())

    threading.Thread(target=read, daemon=True).start()
    return written, writer


Process = Warm | subprocess.Popen[str]


class _Mother:
    """The process that has imported everything, seen from the tests."""

    def __init__(self) -> None:
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.process = subprocess.Popen(
            [sys.executable, __file__, str(theirs.fileno())], pass_fds=[theirs.fileno()]
        )
        theirs.close()

    def start(self, request: dict[str, Any], descriptors: list[int]) -> int:
        """The pid of a new child."""
        passed = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", descriptors))]
        self._socket.sendmsg([json.dumps(request).encode()], passed)
        return int(self._socket.recv(32))

    def stop(self) -> None:
        self._socket.close()
        self.process.wait(30)


_mothers: list[_Mother] = []


def _mother() -> _Mother:
    if not _mothers:
        _mothers.append(_Mother())
    return _mothers[0]


def stop() -> None:
    """End the process that others are forked from, if one was started."""
    while _mothers:
        _mothers.pop().stop()


# ------------------------------------------------------------------- in the process of imports


def _serve(requests: socket.socket) -> None:
    """Fork at each request, and tell how each child ended through the pipe that came with it."""
    woken, wake = os.pipe()
    os.set_blocking(wake, False)
    signal.set_wakeup_fd(wake)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal's Ctrl-C is the tests' own
    status_of: dict[int, int] = {}
    while True:
        ready = select.select([requests.fileno(), woken], [], [])[0]
        if woken in ready:
            os.read(woken, 4096)
            _tell_ends(status_of)
        if requests.fileno() in ready:
            content, descriptors, _, _ = socket.recv_fds(requests, LONGEST, 3)
            if not content:
                return
            pid = os.fork()
            if pid == 0:
                signal.set_wakeup_fd(-1)
                requests.close()
                _become(json.loads(content), descriptors)
            status_of[pid] = descriptors[2]
            for descriptor in descriptors[:2]:
                os.close(descriptor)
            requests.send(str(pid).encode())


def _tell_ends(status_of: dict[int, int]) -> None:
    for pid in list(status_of):
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            pipe = status_of.pop(pid)
            with contextlib.suppress(BrokenPipeError):
                os.write(pipe, str(os.waitstatus_to_exitcode(status)).encode())
            os.close(pipe)


def _become(request: dict[str, Any], descriptors: list[int]) -> None:
    """Never returns: the command line, as if just started."""
    import resource

    code = 1
    try:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        for descriptor, own in zip(descriptors, (1, 2, None), strict=True):
            if own is not None:
                os.dup2(descriptor, own)
            os.close(descriptor)
        sys.stdout = open(1, "w", encoding="utf-8", closefd=False)
        sys.stderr = open(2, "w", 1, encoding="utf-8", errors="backslashreplace", closefd=False)
        os.environ.clear()
        os.environ.update(request["env"])
        os.chdir(request["cwd"])
        if request["file_limit"] is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (request["file_limit"],) * 2)
        if request["user"] is not None:
            os.setgid(request["user"])
            os.setuid(request["user"])
        sys.argv = ["adbench", *request["arguments"]]
        from adbench.cli import main

        main()
        code = 0
    except SystemExit as stop:
        code = stop.code if isinstance(stop.code, int) else int(stop.code is not None)
    except BaseException:
        traceback.print_exc()
    finally:
        with contextlib.suppress(OSError, ValueError):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)


_LEFT_OUT = ("adbench.methods.", "adbench.published.")
"""Takes longer than what it saves."""


def _import_everything() -> None:
    """What runs and reports import: the bulk of what a start takes."""
    import encodings.cp437  # noqa: F401
    import importlib
    import pkgutil
    import statistics  # noqa: F401

    import pandas  # noqa: F401
    import rich.console  # noqa: F401
    import torch  # noqa: F401

    import adbench

    for module in pkgutil.walk_packages(adbench.__path__, "adbench."):
        if not module.name.startswith(_LEFT_OUT) and "__main__" not in module.name:
            with contextlib.suppress(ImportError):
                importlib.import_module(module.name)


if __name__ == "__main__":
    _import_everything()
    _serve(socket.socket(fileno=int(sys.argv[1])))
