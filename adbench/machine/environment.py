"""What a number was made with: versions, hardware, the state of the code. No host, user, path."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from adbench.version import __version__

PACKAGES = (
    *("torch", "torchvision", "timm", "diffusers", "faiss-cpu", "faiss-gpu"),
    *("numpy", "scipy", "scikit-learn", "pandas", "pillow", "pydantic"),
)


def package_versions() -> dict[str, str | None]:
    """Installed versions; None where a package is absent."""
    return {name: _version(name) for name in PACKAGES}


def environment(device: str, precision: str) -> dict[str, Any]:
    """The environment block of a record."""
    import torch

    from adbench.machine.devices import cpu_name, device_name

    return {
        "adbench": __version__,
        "git": git_state(),
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "packages": {n: v for n, v in package_versions().items() if v},
        "cpu": cpu_name(),
        "cpu_count": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None,
        "threads": torch.get_num_threads(),
        "device": device.partition(":")[0],
        "device_name": device_name(device),
        "cuda": torch.version.cuda if device.startswith("cuda") else None,
        "precision": precision,
    }


def git_state() -> dict[str, Any] | None:
    """Commit of the checkout that adbench runs from and whether it is changed; None elsewhere."""
    return file_state(Path(__file__).resolve().parents[1] / "__init__.py")


def plugin_states(**modules: str) -> dict[str, Any]:
    """The same of the repositories that hold modules of the user's own, by the names given.

    What is part of adbench, installed, or in no repository is left out.
    """
    states = {}
    for name, module in modules.items():
        file = getattr(sys.modules.get(module), "__file__", None)
        if file and not module.startswith("adbench."):
            states[name] = file_state(Path(file).resolve())
    return {name: state for name, state in states.items() if state is not None}


@cache
def file_state(file: Path) -> dict[str, Any] | None:
    """Commit of the repository that holds a file, and whether it is changed or lacks the file.

    None where there is none: an installed or ignored file is no part of the repository around it.
    """
    installed = {"site-packages", "dist-packages"} & set(file.parts)
    if installed or not any((folder / ".git").exists() for folder in file.parents):
        return None
    try:
        known = _git(file.parent, "ls-files", "-tco", "--exclude-standard", "--", file.name)
        state = ("status", "--porcelain=v2", "--branch", "--untracked-files=no")
        status = _git(file.parent, *state).splitlines() if known else []
    except (OSError, subprocess.SubprocessError, UnicodeDecodeError):
        return None
    commit = next((s.split()[-1] for s in status if s.startswith("# branch.oid ")), "(initial)")
    if commit == "(initial)":
        return None
    changed = known.startswith("?") or any(not line.startswith("#") for line in status)
    return {"commit": commit, "dirty": changed}


def _git(folder: Path, *arguments: str) -> str:
    # A hook's variables would name its own repository; a look must write and start nothing.
    own = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    done = subprocess.run(
        ["git", "-c", "core.fsmonitor=false", *arguments],
        cwd=folder,
        env={**own, "GIT_OPTIONAL_LOCKS": "0", "GIT_LITERAL_PATHSPECS": "1"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=10,
        check=True,
    )
    return done.stdout


@cache  # reading what pip wrote takes 4 ms a package, and every record names them all
def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
