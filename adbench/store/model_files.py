"""A fitted model on disk: what the method saved, checksums, and what `fit` reported."""

from __future__ import annotations

import hashlib
import os
import shutil
from pathlib import Path
from typing import Any

from adbench.contracts import Method
from adbench.store import files
from adbench.store.regular_files import open_regular

REPORT = "fit.json"
_BLOCKS = {"protocol", "diagnostics", "timing"}
"""What a report holds beside the digests of the model's files, and skill; models of before tell
none."""


def publish_model(method: Method, report: dict[str, Any], target: Path) -> None:
    """Save a fitted method and its report under `target`, which appears by one rename."""
    temporary = target.with_name(f".model.{os.getpid()}.tmp")
    try:
        files.remove(temporary)
        temporary.mkdir(parents=True)
        method.save(temporary)
        digests, sizes = {}, {}
        for path in sorted(temporary.rglob("*")):
            if path.is_dir():
                files.sync_folder(path)
            elif path.is_file():  # on the disk: once the model is there, its checkpoint goes
                files.sync_file(path)
                name = path.relative_to(temporary).as_posix()
                sizes[name] = path.stat().st_size
                digests[name] = _file_digest(path, sizes[name])
        files.write_json(temporary / REPORT, {**report, "files": digests, "sizes": sizes})
        files.remove(target)
        os.replace(temporary, target)
        files.sync_folder(target.parent)
    except OSError as error:
        raise files.explain_os_error(error, target) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)  # on a full disk it takes what is needed


def read_model_report(model: Path) -> dict[str, Any] | None:
    """The report of a finished, undamaged model, or None; a damaged one is named and set aside.

    Raises `StoreError` for one that may be read another time, or is too large for it.
    """
    if not os.path.lexists(model):
        return None
    return files.checked(model, _read, "model")


def _read(model: Path) -> dict[str, Any]:
    """The report once every file of the model has the digest that stands in it."""
    if model.is_symlink():
        raise ValueError("it is a link")
    if not model.is_dir():
        raise ValueError("it is no folder")
    for path in model.rglob("*"):  # also what is in no list: a method may read it
        if not path.is_dir():
            open_regular(path).close()
    if not os.path.lexists(model / REPORT):
        raise ValueError(f"{REPORT} is not there")
    report = files.read_json(model / REPORT)
    digests, sizes = report.pop("files", None), report.pop("sizes", {})
    if not isinstance(digests, dict) or not isinstance(sizes, dict) or not _BLOCKS <= report.keys():
        raise ValueError(f"{REPORT} is no report of a fit")
    for name, expected in digests.items():
        file = model / name
        if not (file.resolve().is_relative_to(model.resolve()) and file.is_file()):
            raise ValueError(f"{name} is not there")
        if _file_digest(file, sizes.get(name)) != expected:
            raise ValueError(f"{name} does not match its checksum")
    return report


def _file_digest(path: Path, size: object) -> str | None:
    """SHA-256 (hex), None where the file has another size than was written down; models of before
    tell none."""
    with open_regular(path) as stream:
        if size not in (None, os.fstat(stream.fileno()).st_size):
            return None
        return hashlib.file_digest(stream, "sha256").hexdigest()
