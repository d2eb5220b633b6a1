"""A fitted model on disk: what the method saved, checksums, and what `fit` reported."""

from __future__ import annotations

import hashlib
import os
import shutil
from pathlib import Path
from typing import Any

from adbench import atomic
from adbench.contracts import Method
from adbench.storage.removal import remove

REPORT = "fit.json"
_BLOCKS = {"protocol", "diagnostics", "timing"}
"""What a report holds beside the digests of the model's files."""


def publish_model(method: Method, report: dict[str, Any], target: Path) -> None:
    """Save a fitted method and its report under `target`, which appears by one rename."""
    temporary = target.with_name(f".model.{os.getpid()}.tmp")
    try:
        remove(temporary)
        temporary.mkdir(parents=True)
        method.save(temporary)
        files = sorted(p for p in temporary.rglob("*") if p.is_file())
        _sync(temporary)
        digests = {p.relative_to(temporary).as_posix(): _file_digest(p) for p in files}
        atomic.write_json(temporary / REPORT, {**report, "files": digests})
        remove(target)
        os.replace(temporary, target)
        atomic.sync_folder(target.parent)
    except OSError as error:
        raise atomic.explain_os_error(error, target) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)  # on a full disk it takes what is needed


def _sync(folder: Path) -> None:
    """Put what a method saved on the disk: once the model is there, its checkpoint goes."""
    for path in folder.rglob("*"):
        if path.is_file():
            atomic.sync_file(path)
        elif path.is_dir():
            atomic.sync_folder(path)


def read_model_report(model: Path) -> dict[str, Any] | None:
    """The report of a finished, undamaged model, or None; a damaged one is named and set aside."""
    if not model.is_dir() and not model.is_symlink():
        return None
    try:
        return _checked_report(model)
    except OSError as error:
        reason = f"{Path(str(error.filename)).name}: {error.strerror}"
    except ValueError as error:
        reason = str(error)
    atomic.say_damaged(model, f"model is damaged ({reason})")
    return None


def _checked_report(model: Path) -> dict[str, Any]:
    """The report once every file of the model has the digest that stands in it."""
    if model.is_symlink():
        raise ValueError("it is a link")
    report = atomic.read_json(model / REPORT)
    files = report.pop("files", None)
    if not isinstance(files, dict) or not _BLOCKS <= report.keys():
        raise ValueError(f"{REPORT} is no report of a fit")
    for name, expected in files.items():
        file = model / name
        if file.resolve().is_relative_to(model.resolve()) and file.is_file():
            if _file_digest(file) == expected:
                continue
            raise ValueError(f"{name} does not match its checksum")
        raise ValueError(f"{name} is not there")
    return report


def _file_digest(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
