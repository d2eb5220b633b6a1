"""A fitted model on disk: what the method saved, checksums, and what `fit` reported."""

from __future__ import annotations

import hashlib
import os
import shlex
import shutil
from pathlib import Path
from typing import Any

from adbench.contracts import Method
from adbench.errors import StoreError
from adbench.store import atomic
from adbench.store.regular_files import open_regular
from adbench.store.removal import remove

REPORT = "fit.json"
_UNDECLARED_BYTES = 16_000_000_000
"""Of a file of an older model, of whose files only the digests were written down."""
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
        names = [p.relative_to(temporary).as_posix() for p in files]
        sizes = {name: (temporary / name).stat().st_size for name in names}
        digests = {name: _file_digest(temporary, name, sizes[name]) for name in names}
        content = {**report, "files": digests, "sizes": sizes}
        atomic.write_json(temporary / REPORT, content)
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
    """The report of a finished, undamaged model, or None; a damaged one is named and set aside.

    Raises `StoreError` for one that may be read another time, or is too large for it.
    """
    if not os.path.lexists(model):
        return None
    try:
        return _checked_report(model)
    except OSError as error:
        if not (atomic.is_damage(error) or isinstance(error, FileNotFoundError)):
            raise StoreError(f"cannot read {error.filename}: {error.strerror}") from error
        reason = f"{Path(str(error.filename)).name}: {error.strerror}"
    except ValueError as error:
        reason = str(error)
    atomic.say_damaged(model, f"model is damaged ({reason})")
    return None


def _checked_report(model: Path) -> dict[str, Any]:
    """The report once every file of the model has the digest that stands in it."""
    if model.is_symlink():
        raise ValueError("it is a link")
    if not model.is_dir():
        raise ValueError("it is no folder")
    for path in model.rglob("*"):  # also what is in no list: a method may read it
        if not path.is_dir():
            open_regular(path).close()
    report = atomic.read_json(model / REPORT)
    files, sizes = report.pop("files", None), report.pop("sizes", {})
    if not isinstance(files, dict) or not isinstance(sizes, dict) or not _BLOCKS <= report.keys():
        raise ValueError(f"{REPORT} is no report of a fit")
    for name, expected in files.items():
        file = model / name
        if file.resolve().is_relative_to(model.resolve()) and file.is_file():
            if _file_digest(model, name, sizes.get(name)) == expected:
                continue
            raise ValueError(f"{name} does not match its checksum")
        raise ValueError(f"{name} is not there")
    return report


def _file_digest(model: Path, name: str, size: object) -> str | None:
    """SHA-256 (hex), None where the file has another size than was written down.

    Raises `StoreError` for one that is too large to be looked through and whose size nobody knows.
    """
    with open_regular(model / name) as stream:
        found = os.fstat(stream.fileno()).st_size
        if size is not None and size != found:
            return None
        if size is None and found > _UNDECLARED_BYTES:
            remedy = f"rm -r {shlex.quote(os.path.abspath(model))}"
            raise StoreError(
                f"{model / name} has {found / 1e9:,.1f} GB, expected at most "
                f"{_UNDECLARED_BYTES / 1e9:.0f} GB of a model whose {REPORT} tells no sizes: "
                f"remove the model, it is trained again: {remedy}"
            )
        return hashlib.file_digest(stream, "sha256").hexdigest()
