"""Running the command line without the right to write anywhere, which root has."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
from pathlib import Path

import pytest
from warm import Warm


def start_as_nobody(arguments: list[str], cwd: Path, **environment: str) -> Warm:
    """Start it; skips the test where we cannot become another user.

    What it imports is imported before: that user may not be able to read this interpreter.
    """
    if os.geteuid() != 0:
        pytest.skip("only root can become another user; root may write anywhere")
    return Warm(arguments, cwd, {**os.environ, **environment}, user=65534)


def start_powerless(arguments: list[str], cwd: Path, **environment: str) -> subprocess.Popen[str]:
    """Start it as ourselves, but bound by the modes of files; so are the processes it starts.

    Root gives up the capability to pass over them; a program it starts has no way to it back.
    """
    libc = ctypes.CDLL(None, use_errno=True)

    def lose_it() -> None:
        # PR_CAPBSET_DROP, CAP_DAC_OVERRIDE. No user but root has it.
        if os.geteuid() == 0 and libc.prctl(24, 1, 0, 0, 0) != 0:
            raise OSError

    try:
        return subprocess.Popen(
            [sys.executable, "-m", "adbench.cli", *arguments], cwd=cwd, preexec_fn=lose_it,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            env={**os.environ, **environment},
        )  # fmt: skip
    except subprocess.SubprocessError:
        pytest.skip("this root may not give up its power over modes")
