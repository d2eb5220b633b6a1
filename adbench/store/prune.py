"""What a results folder holds that no table uses: records that newer ones stand for, with their
models and maps, and files that were found damaged."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from adbench.store import files
from adbench.store.claims import ClaimWatch
from adbench.store.folders import OURS, CellFolder, Store
from adbench.store.newest import latest
from adbench.store.plan_files import forget_planned
from adbench.store.record_files import read_record, scan
from adbench.store.records import Record
from adbench.store.regular_files import is_readable_text

_DAMAGED: Final = re.compile(r".*\.damaged-[0-9a-f]{8}")


@dataclass(frozen=True)
class Unused:
    """Files of one cell's folder that may go, and why.

    Attributes:
        records: those among them, by the paths that they have; all else goes with them.
    """

    folder: Path
    what: str
    paths: tuple[Path, ...]
    records: tuple[tuple[Path, Record], ...] = ()

    @property
    def size(self) -> int:
        """Bytes."""
        return sum(map(_size, self.paths))


def find_unused(store: Store) -> list[Unused]:
    """What no table, nor `report --budgets`, would miss, folder by folder.

    `adbench history` shows older records too, as long as they are there.
    """
    records = list(store.records())
    used = {_place(record) for record in latest(records, budgets=True)}
    by_fit: dict[str, list[Record]] = {}
    for record in records:
        by_fit.setdefault(record.keys["fit"], []).append(record)
    found = []
    for own in by_fit.values():
        kept = [record for record in own if _place(record) in used]
        gone = [record for record in own if _place(record) not in used]
        if kept:
            found += [_unused(store.root, record, kept) for record in gone]
        else:
            found.append(_whole(store.root, gone))
    taken = {path for unused in found for path in unused.paths}
    return [*found, *_damaged(store.root, taken)]


def _place(record: Record) -> tuple[str, str]:
    return record.status, record.keys["score"]


def _unused(root: Path, record: Record, kept: Sequence[Record]) -> Unused:
    """A record of a folder of which others are kept, and what is its alone."""
    folder = CellFolder(root, record.keys)
    path = folder.path_of(record)
    own = [path, folder.pixels]
    if record.keys["predict"] not in {other.keys["predict"] for other in kept}:
        own.append(folder.predictions)
    there = tuple(path for path in own if path.exists() or path.is_symlink())
    return Unused(folder.path, _named(record), there, ((path, record),))


def _whole(root: Path, gone: Sequence[Record]) -> Unused:
    """All that is in a folder, of which no record is kept."""
    folders = [CellFolder(root, record.keys) for record in gone]
    entries = [Path(entry.path) for entry in scan(folders[0].path) if OURS.fullmatch(entry.name)]
    records = tuple((f.path_of(r), r) for f, r in zip(folders, gone, strict=True))
    what = "; ".join(map(_named, gone))
    return Unused(folders[0].path, f"{what}: with its model", tuple(sorted(entries)), records)


def _named(record: Record) -> str:
    return f"{record.name}, of {record.created[:10]}"


def _damaged(root: Path, taken: set[Path]) -> Iterator[Unused]:
    for entry in sorted(scan(root / "cells"), key=lambda entry: entry.name):
        if entry.is_dir(follow_symlinks=False):
            paths = tuple(
                Path(own.path) for own in scan(entry.path) if _DAMAGED.fullmatch(own.name)
            )
            paths = tuple(sorted(set(paths) - taken))
            if paths:
                yield Unused(Path(entry.path), "files that were found damaged", paths)


def remove_unused(store: Store, unused: Iterable[Unused]) -> tuple[int, list[Unused]]:
    """Remove it; gives the bytes that are free now, and what stays because another run has it or
    has changed it since."""
    watch, freed, stays = ClaimWatch(), 0, []
    scores: set[str] = set()
    for one in unused:
        claim = watch.try_claim(one.folder)
        if claim is None:
            stays.append(one)
            continue
        try:
            if all(_is_as_before(path, record) for path, record in one.records):
                freed += one.size
                for path in one.paths:
                    files.remove(path)
                scores |= {record.keys["score"] for _, record in one.records}
            else:
                stays.append(one)
        except OSError as error:
            raise files.explain_os_error(error, one.folder) from error
        finally:
            claim.release()
        with suppress(OSError):  # it holds something else
            one.folder.rmdir()
    forget_planned(store.root, scores)
    return freed, stays


def _is_as_before(path: Path, record: Record) -> bool:
    return is_readable_text(path) and read_record(path) == record


def _size(path: Path) -> int:
    inside = [own for own in path.rglob("*")] if path.is_dir() and not path.is_symlink() else []
    total = 0
    for own in (path, *inside):
        with suppress(OSError):
            total += 0 if own.is_dir() and not own.is_symlink() else own.lstat().st_size
    return total
