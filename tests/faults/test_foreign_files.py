"""What adbench did not make stays: strangers' files in its folders, and what links point to."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from finished import RUN, words
from outcomes import the_error, warnings_of
from scored import scored_record, write_results
from toy import PIXEL, Invoke, Toy

from adbench.data.cache import DiskCache
from adbench.errors import StoreError
from adbench.figures.pictures import KeptMaps
from adbench.store.files import read_json, write_json
from adbench.store.folders import CellFolder

ENTRY = "0" * 64 + ".array"
TEMPORARY = f"{ENTRY}.{'1' * 32}.tmp"


def fill(array: Any) -> None:
    array[...] = 1


def contents(folder: Path) -> dict[str, bytes]:
    """Every file below `folder` with its bytes."""
    return {
        p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()
    }


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """A folder that is none of our business."""
    folder = tmp_path / "outside"
    (folder / "deep").mkdir(parents=True)
    for name in ("photo.png", "record-mine.json", "deep/notes.txt", "checkpoint.pt"):
        (folder / name).write_text("precious")
    return folder


# ------------------------------------------------------------------------------------- the cache


def test_the_cache_removes_no_file_that_it_did_not_name(tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    cache.mkdir()
    foreign = ("editor.tmp", "old.array", "x.damaged", f"{ENTRY}.tmp", "A" * 64 + ".array")
    for name in foreign:
        (cache / name).write_bytes(bytes(1000))
    DiskCache(cache, 1).array("key", (100,), "uint8", fill)  # sweeps, and everything is too much
    assert {name for name in foreign if (cache / name).exists()} == set(foreign)


def test_the_cache_never_touches_what_a_link_points_to(tmp_path: Path, outside: Path) -> None:
    cache = tmp_path / "cache"
    cache.mkdir()
    before = contents(outside)
    (cache / TEMPORARY).symlink_to(outside / "photo.png")
    (cache / ENTRY).symlink_to(outside / "checkpoint.pt")
    (cache / f"{'2' * 64}.array").symlink_to(outside)
    DiskCache(cache, 1).array("key", (100,), "uint8", fill)
    assert contents(outside) == before


def test_an_entry_that_is_a_link_is_read_and_never_written_through(
    tmp_path: Path, outside: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A link under the right name to a file without a header is damage, not a file of ours."""
    DiskCache(tmp_path / "a", None).array("key", (100,), "uint8", fill)
    (entry,) = (tmp_path / "a").iterdir()
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / entry.name).symlink_to(outside / "photo.png")
    before = contents(outside)
    found = DiskCache(tmp_path / "b", None).array("key", (100,), "uint8", fill)
    assert np.asarray(found).all() and contents(outside) == before
    assert "is damaged" in capsys.readouterr().err


@pytest.mark.parametrize("make", [os.mkdir, os.mkfifo])
def test_an_entry_that_is_no_file_is_set_aside(
    tmp_path: Path, make: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    DiskCache(tmp_path, None).array("key", (100,), "uint8", fill)
    (entry,) = tmp_path.iterdir()
    entry.unlink()
    make(entry)
    assert DiskCache(tmp_path, None).array("key", (100,), "uint8", fill).all()
    assert re.search("it is a (folder|named pipe)", capsys.readouterr().err)
    make(tmp_path / TEMPORARY)
    assert DiskCache(tmp_path, 1).array("other", (100,), "uint8", fill).all()


# ------------------------------------------------------------------------------------ the results


@pytest.fixture
def command(finished: tuple[Path, Toy]) -> list[str]:
    return words(RUN, finished[1])


@pytest.fixture
def cell(finished: tuple[Path, Toy], tmp_path: Path) -> Path:
    """The folder of one finished cell."""
    for name in ("results", "cache"):
        shutil.copytree(finished[0] / "whole" / name, tmp_path / name)
    (folder,) = (tmp_path / "results" / "cells").iterdir()
    return folder


def test_a_fresh_start_leaves_a_users_files_in_the_cells_folder(
    invoke: Invoke, command: list[str], cell: Path
) -> None:
    (cell / "notes.txt").write_text("mine")
    (cell / ".draft.tmp").write_text("mine")
    (cell / "plots").mkdir()
    (cell / "plots" / "a.png").write_text("mine")
    assert invoke(*command, "--overwrite", "all").code == 0
    for name in ("notes.txt", ".draft.tmp", "plots/a.png"):
        assert (cell / name).read_text() == "mine"


@pytest.mark.parametrize("again", [["--overwrite", "all"], []])
@pytest.mark.parametrize("part", ["model", "maps", ".model.123.tmp", "record", "checkpoint.pt"])
def test_links_in_a_cells_folder_are_removed_themselves(
    invoke: Invoke, command: list[str], cell: Path, outside: Path, part: str, again: list[str]
) -> None:
    maps = next(p for p in cell.iterdir() if p.is_dir() and p.name != "model")
    record = next(cell.glob("record-*"))
    place = {"maps": maps, "record": record}.get(part, cell / part)
    aside = cell.with_name("aside")
    if place.exists():
        place.rename(aside)
    if part != "record":
        record.unlink()
    place.symlink_to(outside / "photo.png" if part in ("record", "checkpoint.pt") else outside)
    before = contents(outside)
    assert invoke(*command, *again).code == 0
    assert contents(outside) == before


def test_a_cell_that_is_a_link_is_refused(
    invoke: Invoke, command: list[str], cell: Path, outside: Path
) -> None:
    """Else everything behind the link would be ours to write to and to delete."""
    cell.rename(cell.with_name("elsewhere"))
    cell.symlink_to(outside)
    before = contents(outside)
    for run in (command, [*command, "--overwrite", "all"]):
        message = the_error(invoke(*run), 2)
        assert cell.name in message and "link" in message
    assert invoke("report").code == 2  # and no record is read, or set aside, behind it
    assert contents(outside) == before


def test_results_and_cells_may_be_links_themselves(
    invoke: Invoke, command: list[str], tmp_path: Path
) -> None:
    big = tmp_path / "big disk"
    big.mkdir()
    (tmp_path / "results").symlink_to(big)
    assert invoke(*command).code == 0
    (tmp_path / "other").mkdir()
    (big / "cells").rename(tmp_path / "other" / "cells")
    (big / "cells").symlink_to(tmp_path / "other" / "cells")
    again = invoke(*command)
    assert again.code == 0 and "1 there already" in again.err


# ------------------------------------------------------------- names that stand in a record


@pytest.mark.parametrize("name", ["fit", "score"])
def test_a_key_that_leads_elsewhere_leads_nowhere(
    invoke: Invoke, tmp_path: Path, outside: Path, name: str
) -> None:
    """A record of a stranger, checksum and all; what its keys name is not JSON of ours."""
    record = scored_record(np.arange(4) % 2, np.arange(4.0))
    elsewhere = {"score": "y/../../../../outside/settings", "fit": "y/../../../outside"}[name]
    keys = record.keys | {"score": "settings", name: elsewhere}
    write_results(tmp_path / "results", [])
    cell = tmp_path / "results" / "cells" / record.keys["fit"]
    for folder in (cell / "pixels-y", cell.with_name("y")):
        folder.mkdir(parents=True)
    for path in (outside / "settings.json", outside / "pixels-settings.json"):
        path.write_text("precious")
    write_json(cell / "record-settings.json", record.model_dump(mode="json") | {"keys": keys})
    before = contents(outside)
    outcome = invoke("baseline", "save", "baseline.json")
    assert contents(outside) == before, outcome.err
    assert "record-settings.json holds the record of another cell" in outcome.err


@pytest.mark.parametrize("key", ["..", ".", "", "a/b", "/etc", "a\\b", "a\n", "a" * 65, "é"])
def test_only_a_plain_name_becomes_a_path(tmp_path: Path, key: str) -> None:
    record = scored_record(np.arange(4) % 2, np.arange(4.0))
    for name in ("fit", "predict", "score"):
        other = record.model_copy(update={"keys": record.keys | {name: key}})
        with pytest.raises(StoreError, match="expected a key of letters"):
            KeptMaps(tmp_path, other)
        with pytest.raises(StoreError, match="expected a key of letters"):
            CellFolder(tmp_path, other.keys)
    assert not KeptMaps(tmp_path, record).kept


def test_a_record_under_the_name_of_another_cell_is_not_trusted(
    invoke: Invoke, toy: Toy, tmp_path: Path
) -> None:
    both = ["run", "--no-timing", "--methods", PIXEL, "--preset", "smoke", *toy.arguments()]
    assert invoke(*both).code == 0
    one, other = tmp_path.glob("results/cells/*/record-*.json")
    before = read_json(other)
    other.write_bytes(one.read_bytes())
    again = invoke(*both)
    assert again.code == 0 and "1 there already" in again.err
    (warning,) = warnings_of(again)
    assert f"{other.name} holds the record of another cell; set aside as" in warning
    when = {"created": "", "number": 0}
    assert read_json(other) | when == before | when
