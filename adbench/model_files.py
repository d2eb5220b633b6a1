"""A fitted model on disk: what the method saved, checksums, and what `fit` reported."""

from __future__ import annotations

import hashlib
import os
import shutil
import sys
from pathlib import Path
from typing import Any

from adbench import atomic
from adbench.contracts import Method


def publish_model(method: Method, report: dict[str, Any], target: Path) -> None:
    """Save a fitted method and its report under `target`, which appears by one rename."""
    temporary = target.with_name(f".model.{os.getpid()}.tmp")
    try:
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir(parents=True)
        method.save(temporary)
        digests = {p.name: _file_digest(p) for p in sorted(temporary.iterdir())}
        atomic.write_json(temporary / "fit.json", {**report, "files": digests})
        if target.exists():
            shutil.rmtree(target)
        os.replace(temporary, target)
    except OSError as error:
        raise atomic.explain_os_error(error, target) from error


def read_model_report(model: Path) -> dict[str, Any] | None:
    """The report of a finished, undamaged model, or None; a damaged one is named and set aside."""
    if not model.is_dir():
        return None
    try:
        report = atomic.read_json(model / "fit.json")
        for name, expected in report.pop("files").items():
            if _file_digest(model / name) != expected:
                raise ValueError(f"{name} does not match its checksum")
    except (OSError, ValueError, KeyError) as error:
        kept = atomic.set_aside(model).name
        print(f"warning: model is damaged ({error}); set aside as {kept}", file=sys.stderr)
        return None
    return report


def _file_digest(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
