"""What was found out about the files of a data set, kept in the cache folder: one JSON object a
root and kind of finding, a row a file, behind a checksum. It is a cache and nothing more."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from adbench.errors import StoreError
from adbench.store.files import (
    explain_cache_error,
    forbids_writing,
    is_damage,
    replacing,
    say_damaged,
    say_unkept,
)
from adbench.store.regular_files import LARGE_TEXT_BYTES, read_bounded, refuse_json_bomb


def kept_file(root: Path, folder: Path, kind: str) -> Path:
    """Where rows of one kind about the files below `root` lie."""
    base = os.fsencode(os.path.abspath(root))
    return folder / f"{hashlib.sha256(base).hexdigest()[:32]}.{kind}"


def read_rows(file: Path, version: str) -> dict[str, Any]:
    """The rows kept there; none where it is absent, of another version or damaged, which is said.

    Raises `StoreError` for a file that is too large to be ours.
    """
    try:
        content = read_bounded(file, LARGE_TEXT_BYTES)
        refuse_json_bomb(content, file, most_names=4_000_000)
        checksum, body = content.split(b"\n", 1)
        if checksum.decode() != hashlib.sha256(body).hexdigest():
            raise ValueError("it does not match its checksum")
        stored = json.loads(body)
        return dict(stored["files"]) if stored["format"] == version else {}
    except FileNotFoundError:
        pass
    except OSError as error:
        if is_damage(error):
            say_damaged(file, f"the index {file.name} is damaged ({error.strerror})")
    except (ValueError, KeyError, TypeError, RecursionError):
        say_damaged(file, f"the index {file.name} is damaged")
    return {}


def add_rows(file: Path, version: str, fresh: Mapping[str, Any]) -> None:
    """Add to the rows kept there and replace the file in one step, where we may.

    Two writers at once may lose one's rows; those are found out again by whoever needs them.
    Raises `StoreError` where the disk is full, and the like.
    """
    rows = {**read_rows(file, version), **fresh}
    body = json.dumps({"format": version, "files": rows}, separators=(",", ":")).encode()
    try:
        with replacing(file) as temporary:
            temporary.write_bytes(hashlib.sha256(body).hexdigest().encode() + b"\n" + body)
    except StoreError as error:
        cause = error.__cause__
        if not isinstance(cause, OSError):
            raise
        if forbids_writing(cause):
            say_unkept(file.parent)
            return
        raise explain_cache_error(f"the index {file} cannot be written", cause) from None
