"""Running the command line as a user without rights: root may write anywhere."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

EVERYTHING = (
    "scoring, testing, images, stats\n"
    "import adbench.reports.report, adbench.machine.timing\n"
    "import encodings.cp437, pandas, statistics, torch"
)
"""Modules that a whole run needs, for `imports`."""


def start_as_nobody(
    arguments: list[str], cwd: Path, imports: str = "testing", **environment: str
) -> subprocess.Popen[str]:
    """Start it; skips the test where we cannot become another user.

    What it will import is imported before: that user may not be able to read this interpreter.
    """
    if os.geteuid() != 0:
        pytest.skip("only root can become another user; root may write anywhere")
    script = (
        "import os, sys, rich.console, adbench.cache, adbench.commands.run\n"
        f"from adbench.cli import main\nfrom adbench import {imports}\n"
        f"os.setgid(65534); os.setuid(65534)\nsys.argv = ['adbench', *{arguments!r}]\nmain()\n"
    )
    return subprocess.Popen(
        [sys.executable, "-c", script], cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        text=True, env={**os.environ, **environment},
    )  # fmt: skip
