"""What a number was made with: versions, hardware, the state of the code. No host, user, path."""

from __future__ import annotations

import os
import platform
import subprocess
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from adbench import __version__

PACKAGES = (
    "torch",
    "torchvision",
    "timm",
    "diffusers",
    "faiss-cpu",
    "faiss-gpu",
    "numpy",
    "scipy",
    "scikit-learn",
    "pandas",
    "pillow",
    "pydantic",
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


@cache
def git_state() -> dict[str, Any] | None:
    """Commit of the checkout that adbench runs from and whether it is changed; None elsewhere."""
    root = Path(__file__).resolve().parent.parent
    if not (root / ".git").exists():
        return None
    try:
        commit = _git(root, "rev-parse", "HEAD").strip()
        dirty = bool(_git(root, "status", "--porcelain", "--untracked-files=no").strip())
    except (OSError, subprocess.SubprocessError):
        return None
    return {"commit": commit, "dirty": dirty}


def _git(root: Path, *arguments: str) -> str:
    command = ["git", "-C", str(root), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)
    return done.stdout


@cache  # reading what pip wrote takes 4 ms a package, and every record names them all
def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
