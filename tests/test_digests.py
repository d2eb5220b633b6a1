import hashlib
import os
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from adbench.data import digests
from adbench.data.digests import content_digests
from adbench.errors import DataError, StoreError

SETTLED = 0.15  # seconds after which a new file's digest may be remembered


@pytest.fixture
def files(tmp_path):
    root = tmp_path / "data"
    root.mkdir()
    for i in range(5):
        (root / f"{i}.bin").write_bytes(bytes([i]) * (1000 + i))
    time.sleep(SETTLED)
    return root


NAMES = [f"{i}.bin" for i in range(5)]


@pytest.fixture
def read(monkeypatch):
    """Names of the files whose content was read."""
    names = []
    original = digests._hash

    def watched(base, path):
        names.append(path)
        return original(base, path)

    monkeypatch.setattr(digests, "_hash", watched)
    return names


def expected(root, names=NAMES):
    return [hashlib.sha256((root / n).read_bytes()).hexdigest() for n in names]


def test_digests_in_order_with_repeats(files, tmp_path):
    names = ["3.bin", "0.bin", "3.bin"]
    assert content_digests(files, names, tmp_path / "index") == expected(files, names)


def test_a_rerun_reads_nothing(files, tmp_path, read):
    first = content_digests(files, NAMES, tmp_path / "index")
    assert sorted(read) == NAMES
    read.clear()
    assert content_digests(files, NAMES, tmp_path / "index") == first
    assert read == []


def test_only_a_changed_file_is_read_again(files, tmp_path, read):
    content_digests(files, NAMES, tmp_path / "index")
    read.clear()
    status = (files / "2.bin").stat()
    (files / "2.bin").write_bytes(b"\xff" * status.st_size)
    os.utime(files / "2.bin", ns=(status.st_atime_ns, status.st_mtime_ns))  # only ctime tells
    assert content_digests(files, NAMES, tmp_path / "index") == expected(files)
    assert read == ["2.bin"]


def test_a_file_written_just_now_is_not_remembered(tmp_path, read):
    (tmp_path / "new.bin").write_bytes(b"a")
    for _ in range(2):
        content_digests(tmp_path, ["new.bin"], tmp_path / "index")
    assert read == ["new.bin", "new.bin"]


@pytest.mark.parametrize("damage", [b"", b"{}", b"\x00\xff" * 100, None])
def test_a_damaged_index_is_rebuilt(files, tmp_path, read, damage):
    content_digests(files, NAMES, tmp_path / "index")
    (index,) = (tmp_path / "index").iterdir()
    content = index.read_bytes()
    flipped = content.replace(b"1.bin", b"7.bin")
    index.write_bytes(flipped if damage is None else damage)
    read.clear()
    assert content_digests(files, NAMES, tmp_path / "index") == expected(files)
    assert sorted(read) == NAMES
    assert index.read_bytes() == content


def test_concurrent_writers_agree(files, tmp_path):
    def one(i):
        return content_digests(files, NAMES[: 1 + i % 5], tmp_path / "index")

    with ThreadPoolExecutor(8) as pool:
        for i, found in enumerate(pool.map(one, range(24))):
            assert found == expected(files, NAMES[: 1 + i % 5])


def test_a_missing_file_is_a_data_error(files, tmp_path):
    with pytest.raises(DataError, match=r"nine\.bin: no such file; .* restore it") as caught:
        content_digests(files, ["0.bin", "nine.bin"], tmp_path / "index")
    assert "\n" not in str(caught.value)


def test_an_index_that_cannot_be_written_is_a_store_error(files, tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", refuse)
    with pytest.raises(StoreError, match="No space left on device.*ADBENCH_CACHE"):
        content_digests(files, NAMES, tmp_path / "index")
    assert list((tmp_path / "index").iterdir()) == []
