"""Results folders that are damaged, full, read-only, of a newer version, or no folder at all."""

from __future__ import annotations

import errno
import json
import os
import time
from pathlib import Path
from typing import Any

import pytest
from nobody import start_as_nobody
from outcomes import the_error, warnings_of
from toy import PIXEL, Invoke, Outcome, Toy

from adbench.errors import StoreError
from adbench.store import atomic
from adbench.store.records import FORMAT

OPTIONS = ["--methods", PIXEL, "--preset", "smoke"]


@pytest.fixture
def results(tmp_path: Path) -> Path:
    return tmp_path / "results"


@pytest.fixture
def command(toy: Toy) -> list[str]:
    return ["run", "--no-timing", *OPTIONS, *toy.arguments()]


def only(folder: Path, pattern: str) -> Path:
    """The first match, in the order of names."""
    return sorted(folder.glob(pattern))[0]


def numbers(outcome: Outcome) -> list[Any]:
    """Rows of `--json` without their time."""
    return [{k: v for k, v in r.items() if k != "created"} for r in json.loads(outcome.out)]


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 10] ^= 0x10  # not in the checksum, which proves nothing of itself
    path.write_bytes(content)


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def empty(path: Path) -> None:
    path.write_bytes(b"")


# -------------------------------------------------------------------------------- damaged files


@pytest.mark.parametrize("damage", [flip, truncate, empty])
def test_a_damaged_record_is_named_set_aside_and_made_again(
    invoke: Invoke, command: list[str], results: Path, damage: Any
) -> None:
    first = invoke(*command, "--json")
    record = only(results, "cells/*/record-*.json")
    damage(record)
    again = invoke(*command, "--json")
    assert again.code == 0 and numbers(again) == numbers(first)
    (warning,) = warnings_of(again)
    assert record.name in warning and "set aside as" in warning
    assert len(list(record.parent.glob(f"{record.name}.damaged-*"))) == 1
    assert warnings_of(invoke(*command)) == []


@pytest.mark.parametrize("damage", [flip, truncate, empty])
def test_a_damaged_marker_is_made_again(
    invoke: Invoke, command: list[str], results: Path, damage: Any
) -> None:
    first = invoke(*command, "--json")
    damage(results / "adbench.json")
    only(results, "cells/*/record-*.json").unlink()
    again = invoke(*command, "--json")
    assert again.code == 0 and numbers(again) == numbers(first)
    assert any("adbench.json" in line for line in warnings_of(again))
    assert atomic.read_json(results / "adbench.json") == {"format": FORMAT}


@pytest.mark.parametrize("name", ["mean.npy", "fit.json", "state.json"])
@pytest.mark.parametrize("damage", [flip, empty, Path.unlink])
def test_a_damaged_model_is_trained_again(
    invoke: Invoke, command: list[str], results: Path, name: str, damage: Any
) -> None:
    first = invoke(*command, "--json")
    record = only(results, "cells/*/record-*.json")
    record.unlink()
    damage(record.parent / "model" / name)
    again = invoke(*command, "--json")
    assert again.code == 0 and numbers(again) == numbers(first)
    (warning,) = warnings_of(again)
    assert "model is damaged" in warning and name in warning and "set aside as" in warning


@pytest.mark.parametrize("damage", [flip, truncate, empty])
def test_a_damaged_checkpoint_starts_training_anew(
    invoke: Invoke, toy: Toy, results: Path, damage: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from adbench.testing import PixelGaussian

    options = ["--checkpoint-every", "0", "--json", *toy.arguments("a")]
    command = ["run", "--no-timing", *OPTIONS, *options, "--methods", f"{PIXEL}[steps=3]"]
    whole = invoke(*command, "--results", "other")
    with monkeypatch.context() as broken:
        broken.setattr(PixelGaussian, "save", _fail)
        assert invoke(*command).code == 3
    damage(only(results, "cells/*/checkpoint.pt"))
    again = invoke(*command)
    assert again.code == 0 and numbers(again) == numbers(whole)
    (warning,) = warnings_of(again)
    assert "checkpoint is damaged" in warning and "set aside as" in warning


def _fail(*_arguments: object) -> None:
    raise RuntimeError("cannot save")


# ------------------------------------------------------------------------------- newer versions


def test_a_folder_of_a_newer_version_is_left_alone(
    invoke: Invoke, command: list[str], results: Path
) -> None:
    results.mkdir()
    atomic.write_json(results / "adbench.json", {"format": 99})
    before = (results / "adbench.json").read_bytes()
    for words in (command, ["plan", *command[2:]], ["report"], ["runs"], ["runs", "--json"]):
        message = the_error(invoke(*words), 2)
        assert "newer adbench (format 99" in message and "upgrade adbench" in message
    assert [p.name for p in results.iterdir()] == ["adbench.json"]
    assert (results / "adbench.json").read_bytes() == before


def test_versions_before_seals_find_the_checksum_right(tmp_path: Path) -> None:
    path = tmp_path / "adbench.json"
    for value in ({"format": 2}, {"a": {"b": [1.5, "ä", None]}}):
        atomic.write_json(path, value)
        # As version 0.1 read it, which renamed what did not match.
        found = json.loads(path.read_text())
        assert found.pop("checksum") == atomic.digest(found)
        assert atomic.read_json(path) == value
        path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
        assert atomic.read_json(path) == value
        path.write_bytes(path.read_bytes().replace(b'"seal": "', b'"seal": "0', 1))
        with pytest.raises(ValueError, match="does not match its checksum"):
            atomic.read_json(path)
        path.write_text(json.dumps({**value, "checksum": atomic.digest(value)}))
        assert atomic.read_json(path) == value


@pytest.mark.parametrize("change", [{"format": 99}, {"invention": 1}])
def test_a_record_of_a_newer_version_is_never_read_nor_removed(
    invoke: Invoke, command: list[str], results: Path, change: dict[str, int]
) -> None:
    invoke(*command)
    record = only(results, "cells/*/record-*.json")
    atomic.write_json(record, atomic.read_json(record) | change)
    before = record.read_bytes()
    for words in (command, ["report"], ["runs"]):
        message = the_error(invoke(*words), 2)
        assert record.name in message and "upgrade adbench" in message
    assert record.read_bytes() == before


# ------------------------------------------------------------------------ places that refuse


def test_results_that_are_a_file_are_a_usage_error(
    invoke: Invoke, command: list[str], results: Path
) -> None:
    results.write_text("mine")
    for words in (command, ["plan", *command[2:]], ["report"], ["runs"]):
        assert "is a file: give a folder with --results DIR" in the_error(invoke(*words), 2)
    assert results.read_text() == "mine"


def as_nobody(arguments: list[str], cwd: Path, **environment: str) -> Outcome:
    """Run the command line as a user without rights."""
    process = start_as_nobody(arguments, cwd, **environment)
    out, err = process.communicate()
    return Outcome(process.wait(), out, err)


@pytest.fixture
def open_to_all(tmp_path: Path) -> None:
    """Let another user reach the test's folder."""
    for folder in (tmp_path, *tmp_path.parents[:2]):
        folder.chmod(folder.stat().st_mode | 0o555)


@pytest.mark.usefixtures("open_to_all")
def test_a_read_only_results_folder_is_one_line(
    command: list[str], results: Path, tmp_path: Path
) -> None:
    results.mkdir(mode=0o755)
    cache = tmp_path / "cache"
    cache.mkdir()
    cache.chmod(0o777)
    outcome = as_nobody(command, tmp_path, ADBENCH_CACHE=str(cache))
    message = the_error(outcome, 2)
    assert "results" in message and "not writable: give another with --results DIR" in message


@pytest.mark.usefixtures("open_to_all")
def test_another_users_cache_is_read_and_what_it_lacks_is_computed(
    invoke: Invoke, command: list[str], toy: Toy, tmp_path: Path
) -> None:
    """With one line that says so; nothing in it is touched."""
    cache = tmp_path / "cache"
    cache.mkdir(mode=0o755)
    time.sleep(0.2)  # the index remembers what did not change just now
    part = ["run", "--no-timing", *OPTIONS, *toy.arguments("a"), "--cache", str(cache)]
    assert invoke(*part, "--results", "mine").code == 0
    before = {path.name: path.read_bytes() for path in cache.iterdir()}
    (tmp_path / "results").mkdir()
    (tmp_path / "results").chmod(0o777)
    words = [*command, "--json"]
    outcome = as_nobody(words, tmp_path, ADBENCH_CACHE=str(cache))
    assert outcome.code == 0, outcome.err
    assert numbers(outcome) == numbers(invoke(*words, "--results", "all"))
    assert outcome.err.count("you may not write into the cache folder") == 1
    assert before and {path.name: path.read_bytes() for path in cache.iterdir()} == before


@pytest.mark.usefixtures("open_to_all")
def test_a_finished_folder_of_another_user_gives_its_table(
    invoke: Invoke, command: list[str], results: Path, tmp_path: Path
) -> None:
    first = invoke(*command, "--json")
    assert first.code == 0
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache").chmod(0o777)
    words = [*command, "--json"]
    outcome = as_nobody(words, tmp_path, ADBENCH_CACHE=str(tmp_path / "cache"))
    assert outcome.code == 0 and numbers(outcome) == numbers(first)
    (note,) = [line for line in outcome.err.splitlines() if "nothing was written" in line]
    assert note.startswith("note: all was there already") and str(results.name) in note


@pytest.mark.usefixtures("open_to_all")
def test_a_results_folder_that_may_not_be_looked_at_is_one_line(
    command: list[str], results: Path, tmp_path: Path
) -> None:
    results.mkdir(mode=0o700)
    for words in (command, ["report"], ["runs"]):
        assert "results" in the_error(as_nobody(words, tmp_path), 2)


@pytest.mark.parametrize(
    "writer", ["adbench.store.atomic.os.fsync", "adbench.store.atomic.os.replace"]
)
def test_a_full_disk_stops_with_one_line_and_the_rest_is_kept(
    invoke: Invoke, command: list[str], results: Path, monkeypatch: pytest.MonkeyPatch, writer: str
) -> None:
    calls, cache = 0, os.environ["ADBENCH_CACHE"]
    original = getattr(os, writer.rpartition(".")[2])

    def refuse(*arguments: Any) -> Any:
        nonlocal calls
        # The index of digests, in the cache, has a message of its own.
        calls += not str(arguments[-1]).startswith(str(cache))
        if calls > 4:
            raise OSError(errno.ENOSPC, "No space left on device")
        return original(*arguments)

    with monkeypatch.context() as full:
        full.setattr(writer, refuse)
        message = the_error(invoke(*command), 2)
    assert "the disk is full: free space or give another folder with --results DIR" in message
    assert not list(results.glob("cells/*/claim.*"))
    assert not [p for p in results.rglob("*") if p.name.endswith(".tmp")]
    assert invoke(*command).code == 0


def test_a_write_that_fails_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "file"
    atomic.write_text(path, "old")

    def refuse(_descriptor: int) -> None:
        raise OSError(errno.EDQUOT, "Disk quota exceeded")

    monkeypatch.setattr("adbench.store.atomic.os.fsync", refuse)
    with pytest.raises(StoreError, match="the disk is full"):
        atomic.write_text(path, "new")
    assert path.read_text() == "old" and [p.name for p in tmp_path.iterdir()] == ["file"]


def test_overwriting_under_one_mask_rule_keeps_the_records_of_another(
    invoke: Invoke, command: list[str], results: Path
) -> None:
    assert invoke(*command).code == 0
    assert invoke(*command, "--mask-rule", "area_max").code == 0
    before = {path: path.read_bytes() for path in results.glob("cells/*/record-*.json")}
    assert invoke(*command, "--overwrite", "all").code == 0
    after = {path: path.read_bytes() for path in results.glob("cells/*/record-*.json")}
    assert before.keys() == after.keys()
    assert sum(before[path] == after[path] for path in before) == len(before) // 2
