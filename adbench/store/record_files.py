"""The files of records in a results folder: read whole and checked, or their first lines alone."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple, TypeVar

from pydantic import BaseModel, ValidationError

from adbench.errors import StoreError
from adbench.store import files
from adbench.store.record_blocks import first_problem
from adbench.store.records import Record
from adbench.store.regular_files import TEXT_BYTES, open_regular
from adbench.text import say

Document = TypeVar("Document", bound=BaseModel)
OUTCOME: Final = re.compile(r"(record|failed)-[0-9a-f]{24}\.json")
_HEAD_BYTES: Final = 200
_NUMBER: Final = re.compile(rb'"number":\s*(\d{1,16}),\s*"family":\s*"([0-9a-f]*)"')
_OF_BEFORE: Final = re.compile(rb'"format":\s*1\b')


def read_record(path: Path) -> Record | None:
    """A record or failure, None where it is absent; a damaged one is named and set aside.

    Raises `StoreError` for one of another shape: a newer version wrote it.
    """
    return files.checked(path, _read)


def _read(path: Path) -> Record:
    try:
        record = Record.model_validate(files.read_json(path))
    except ValidationError as error:
        raise StoreError(
            f"{path} is not a record of this version ({first_problem(error)}): upgrade adbench, or "
            "give another folder with --results DIR"
        ) from None
    kind = "failed" if record.status == "failed" else "record"
    if (path.parent.name, path.name) != (record.keys["fit"], f"{kind}-{record.keys['score']}.json"):
        raise ValueError(f"{path.name} holds the record of another cell")
    return record


def read_flat(folder: Path) -> Iterator[Record]:
    """The records of a folder of their files alone, whatever these are called.

    It is nobody's results folder: nothing in it is renamed, and what is no record is named.
    """
    for path in sorted(folder.glob("*.json")):
        if path.name.startswith("pixels-"):  # which a record leads to
            continue
        try:
            yield Record.model_validate(files.read_json(path))
        except ValidationError as error:
            say(f"warning: {path} is no record of this version ({first_problem(error)}): left out")
        except (OSError, ValueError) as error:
            say(f"warning: {path} is no record ({error}): left out")


def read_document(
    path: Path, model: type[Document], kind: str, remedy: str, most: int = TEXT_BYTES
) -> Document:
    """What `files.write_json` wrote of a model, from a file that a user has named.

    Raises `StoreError` that says what is wrong with it, and the `remedy`.
    """
    try:
        return model.model_validate(files.read_json(path, most))
    except FileNotFoundError:
        raise StoreError(f"there is no {kind} {path}: {remedy}") from None
    except OSError as error:
        raise StoreError(f"cannot read the {kind} {path}: {error.strerror or error}") from error
    except ValidationError as error:
        raise StoreError(
            f"{path} is no {kind} of this version ({first_problem(error)}): upgrade adbench if a "
            f"newer one wrote it; {remedy}"
        ) from None
    except ValueError as error:
        raise StoreError(f"the {kind} {path} is damaged ({error}): {remedy}") from error


class Head(NamedTuple):
    """`Record.number` and `Record.family`: what orders records."""

    number: int
    family: str


def read_heads(cells: Path) -> dict[Path, Head]:
    """Of every record and failure in the folders of `cells`, read without the rest; records of
    before have none.

    What cannot be read is passed over: whoever reads the record whole tells of it.
    """
    found = {}
    for folder in scan(cells):
        for entry in scan(folder.path) if folder.is_dir(follow_symlinks=False) else ():
            head = _head(Path(entry.path)) if OUTCOME.fullmatch(entry.name) else None
            if head is not None:
                found[Path(entry.path)] = head
    return found


def scan(folder: Path | str) -> list[os.DirEntry[str]]:
    """What is in a folder; nothing where it cannot be looked into."""
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except OSError:
        return []


def _head(path: Path) -> Head | None:
    try:
        with open_regular(path) as stream:
            first = stream.read(_HEAD_BYTES)
        found = _NUMBER.search(first)
        if found is not None:
            return Head(int(found[1]), found[2].decode())
        if _OF_BEFORE.search(first) is not None:
            return None
        whole = files.read_json(path)  # a tool has sorted its lines
        return Head(int(whole["number"]), str(whole["family"]))
    except (OSError, StoreError, KeyError, TypeError, ValueError):
        return None
