import errno
import os
import subprocess
import sys
import textwrap

import numpy as np
import pytest

from adbench.data.cache import DiskCache, default_cache_folder
from adbench.errors import StoreError


def fill_with(value):
    def fill(array):
        array[...] = value

    return fill


def never(_array):
    raise AssertionError("computed although it is cached")


def stored(folder, key, value=1, size=100, limit=None):
    """One key through a cache object of its own, as another run has it."""
    return DiskCache(folder, limit).array(key, (size,), "uint8", fill_with(value))


def entries(folder, suffix=".array"):
    return sorted(folder.glob("*" + suffix))


def test_a_miss_computes_and_a_hit_reads(tmp_path):
    cache = DiskCache(tmp_path / "cache", None)
    first = cache.array("key", (3, 4), "float32", fill_with(2.5))
    again = cache.array("key", (3, 4), "float32", never)
    assert (cache.hits, cache.misses) == (1, 1)
    assert first.dtype == np.float32 and (first == 2.5).all() and (again == 2.5).all()
    assert isinstance(again, np.memmap) and not first.flags.writeable
    later = DiskCache(tmp_path / "cache", None)
    assert (later.array("key", (3, 4), "float32", never) == 2.5).all()
    assert (later.hits, later.misses) == (1, 0)


def test_shape_and_type_are_part_of_the_key(tmp_path):
    cache = DiskCache(tmp_path, None)
    cache.array("key", (2, 6), "int32", fill_with(1))
    assert (cache.array("key", (12,), "int32", fill_with(2)) == 2).all()
    assert (cache.array("key", (2, 6), "uint8", fill_with(3)) == 3).all()
    assert cache.misses == 3


def test_keys_never_become_paths(tmp_path):
    stored(tmp_path / "cache", "../../escape/\0/" + "x" * 5000)
    assert [p.name for p in tmp_path.iterdir()] == ["cache"]
    assert len(entries(tmp_path / "cache")) == 1


def test_structured_and_empty_arrays(tmp_path):
    cache = DiskCache(tmp_path, None)

    def fill(rows):
        rows[1] = (np.ones((2, 2)), 7)

    rows = cache.array("rows", (3,), "(2,2)?,<i4", fill)
    assert rows["f0"][1].all() and not rows["f0"][0].any() and rows["f1"][1] == 7
    assert cache.array("none", (0, 5), "float32", never).shape == (0, 5)


def test_a_failing_fill_leaves_nothing(tmp_path):
    def fail(_array):
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        DiskCache(tmp_path, None).array("key", (4,), "uint8", fail)
    assert list(tmp_path.iterdir()) == []


def flip(path, position):
    content = bytearray(path.read_bytes())
    content[position] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda path: flip(path, 4096 + 17), "does not match its SHA-256"),
        (lambda path: flip(path, 0), "header is unreadable"),
        (lambda path: flip(path, 4095), "header is unreadable"),
        (lambda path: os.truncate(path, 4096 + 50), "bytes where"),
        (lambda path: os.truncate(path, 0), "bytes where"),
    ],
)
def test_a_damaged_entry_is_set_aside_and_computed_again(tmp_path, capsys, damage, reason):
    stored(tmp_path, "key", 9)
    damage(entries(tmp_path)[0])
    cache = DiskCache(tmp_path, None)
    assert (cache.array("key", (100,), "uint8", fill_with(9)) == 9).all()
    said = capsys.readouterr().err
    assert reason in said and "set aside as" in said and "computed again" in said
    assert (cache.hits, cache.misses) == (0, 1)
    assert len(entries(tmp_path, ".damaged-*")) == 1
    assert (DiskCache(tmp_path, None).array("key", (100,), "uint8", never) == 9).all()


def test_least_recently_used_entries_go_first(tmp_path):
    size = 1000 * 1024
    for age, key in enumerate("abc"):
        stored(tmp_path, key, size=size)
        newest = max(entries(tmp_path), key=lambda path: path.stat().st_ctime_ns)
        os.utime(newest, ns=(age, newest.stat().st_mtime_ns))
    DiskCache(tmp_path, None).array("a", (size,), "uint8", never)  # b is the oldest now
    stored(tmp_path, "d", size=size, limit=3_300_000)
    assert len(entries(tmp_path)) == 3
    later = DiskCache(tmp_path, None)
    for key in "acd":
        later.array(key, (size,), "uint8", never)
    later.array("b", (size,), "uint8", fill_with(1))
    assert (later.hits, later.misses) == (3, 1)


def test_what_this_run_opened_is_never_evicted(tmp_path):
    cache = DiskCache(tmp_path, 1)  # everything is too much
    for i in range(4):
        cache.array(str(i), (1000,), "uint8", fill_with(i))
    for i in range(4):
        assert (cache.array(str(i), (1000,), "uint8", never) == i).all()


def test_what_another_reader_has_mapped_is_not_evicted(tmp_path):
    mapped = stored(tmp_path, "held")
    stored(tmp_path, "one", limit=1)
    assert len(entries(tmp_path)) == 2
    del mapped
    stored(tmp_path, "two", limit=1)
    assert len(entries(tmp_path)) == 1


PROGRAM = """
    import sys
    from pathlib import Path
    from adbench.data.cache import DiskCache
    def fill(array):
        print("filling", flush=True)
        sys.stdin.readline()
        array[:] = 3
    cache = DiskCache(Path(sys.argv[1]), None)
    print(int(cache.array("key", (100_000,), "int64", fill).sum()), cache.misses)
"""


def two_writers(folder):
    """Two processes in the middle of writing one key; they go on when they are told to."""
    command = [sys.executable, "-c", textwrap.dedent(PROGRAM), str(folder)]
    pipe = subprocess.PIPE
    processes = [subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) for _ in range(2)]
    for process in processes:
        assert process.stdout is not None and process.stdout.readline() == "filling\n"
    return processes


def test_two_processes_that_write_one_key(tmp_path):
    for process in two_writers(tmp_path):
        output, _ = process.communicate("go on\n", timeout=30)
        assert output.split()[-2] == "300000" and process.returncode == 0
    assert len(list(tmp_path.iterdir())) == 1


def test_a_killed_writer_leaves_nothing_for_the_next_run(tmp_path):
    killed, alive = two_writers(tmp_path)
    killed.kill()
    killed.communicate()
    try:
        assert len(entries(tmp_path, ".tmp")) == 2
        stored(tmp_path, "other")
        assert len(entries(tmp_path, ".tmp")) == 1  # the living one's
    finally:
        alive.kill()
        alive.communicate()


@pytest.mark.parametrize(
    ("number", "where", "message"),
    [
        (errno.ENOSPC, "posix_fallocate", "No space left on device; .* MiB are needed"),
        (errno.EROFS, "replace", "Read-only file system; .*ADBENCH_CACHE"),
        (errno.EACCES, "fsync", "Permission denied; .*ADBENCH_CACHE"),
    ],
)
def test_an_unusable_folder_is_a_one_line_store_error(
    tmp_path, monkeypatch, number, where, message
):
    def refuse(*_arguments):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, where, refuse)
    with pytest.raises(StoreError, match=message) as caught:
        stored(tmp_path, "key")
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_a_file_is_a_store_error(tmp_path):
    (tmp_path / "cache").write_text("")
    with pytest.raises(StoreError, match="cannot be used"):
        stored(tmp_path / "cache", "key")


def test_without_fallocate_the_space_is_written(tmp_path, monkeypatch):
    def refuse(*_arguments):
        raise OSError(errno.EOPNOTSUPP, "not supported")

    monkeypatch.setattr(os, "posix_fallocate", refuse)
    assert (stored(tmp_path, "key", 4, size=100_000) == 4).all()


def test_default_folder(monkeypatch, tmp_path):
    for name in ("ADBENCH_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert default_cache_folder() == tmp_path / ".cache" / "adbench"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert default_cache_folder() == tmp_path / "xdg" / "adbench"
    monkeypatch.setenv("ADBENCH_CACHE", str(tmp_path / "own"))
    assert default_cache_folder() == tmp_path / "own"
