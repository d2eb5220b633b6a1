"""Every kind of file that a run leaves, with any content: found damaged and made again, or used."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import pickle
import shutil
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from fuzz_records import sealed
from hypothesis import strategies as st
from mutations import damaged_bytes, damaged_json
from sandbox import guarded, usable

from adbench.contracts import Prediction
from adbench.contracts.interruptions import is_out_of_memory
from adbench.data.cache import DiskCache
from adbench.data.digests import content_digests
from adbench.store.checkpoint import FileCheckpoint
from adbench.store.claims import ClaimWatch
from adbench.store.folders import Store
from adbench.store.model_files import read_model_report
from adbench.store.predictions import PredictionChunks

BOUND = (0, 2)
REPORT = {"protocol": {}, "diagnostics": {}, "timing": {}, "files": {"weights": "0" * 64}}


class Bomb:
    """What a pickle does to whoever loads it."""

    def __reduce__(self) -> tuple[Callable[[str], object], tuple[str]]:
        return Path.touch, (Path("/tmp/adbench-was-unpickled"),)  # type: ignore[return-value]


def _with_digest(body: bytes) -> bytes:
    return hashlib.sha256(body).digest() + body


def _npz(**arrays: Any) -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    return buffer.getvalue()


@cache
def _bodies() -> list[bytes]:
    """Contents of chunks and checkpoints, sound and unsound, that a right digest may stand for."""
    maps, scores = np.ones((2, 4, 4), np.float32), np.ones(2, np.float32)
    state = io.BytesIO()
    torch.save({"elapsed": 1.0, "resumes": 0, "state": {"step": torch.tensor(3)}}, state)
    odd = io.BytesIO()
    torch.save({"elapsed": "x"}, odd)
    return [
        _npz(maps=maps, scores=scores), _npz(maps=maps), _npz(maps=maps[:1], scores=scores),
        _npz(maps=maps.astype(np.float64), scores=scores), _npz(maps=1, scores=2),
        _npz(maps=np.array([Bomb(), Bomb()], object), scores=scores), state.getvalue(),
        odd.getvalue(), pickle.dumps(Bomb()), pickle.dumps({"state": Bomb()}, protocol=2), b"",
        b"PK",
    ]  # fmt: skip


_chunk = st.deferred(
    lambda: (
        damaged_bytes(_bodies()).map(_with_digest)
        | damaged_bytes([_with_digest(body) for body in _bodies()])
    )
)
_object = damaged_json(REPORT | {"format": 1, "created": "x", "cells": [{"fit": "0"}]})
_json = _object.map(sealed) | damaged_bytes([sealed(REPORT), sealed({"format": 1})])
_claim = damaged_bytes([b'{"host": "h", "pid": 1, "start": "1", "token": "t"}', b"{}", b"null"])
_claim_name = st.one_of(
    st.integers(-1, 10**20).map(str),
    st.text(st.characters(codec="utf-8", exclude_characters="/\0"), max_size=20),
    st.sampled_from(["", "0", "00", "007", "1 ", "٣", "²", "1.damaged-00000000", "9" * 200]),
).map(str.encode)


@cache
def _array_file() -> bytes:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        DiskCache(Path(folder), None).array("key", (3, 5), "uint8", lambda a: a.fill(7))
        (file,) = Path(folder).iterdir()
        return file.read_bytes()


_array = st.deferred(lambda: damaged_bytes([_array_file()]))
_index = st.one_of(
    damaged_json({"format": "adbench-digests-1", "files": {"x.png": [1, 2, 3, 4, "0" * 64]}})
    .map(lambda value: json.dumps(value).encode("utf-8", "surrogatepass"))
    .map(lambda body: hashlib.sha256(body).hexdigest().encode() + b"\n" + body),
    damaged_bytes([b"0" * 64 + b'\n{"format": "adbench-digests-1", "files": {}}']),
)

stored_files = st.one_of(
    st.tuples(st.just("chunk"), _chunk),
    st.tuples(st.just("checkpoint"), _chunk),
    st.tuples(st.just("model"), _json),
    st.tuples(st.just("marker"), _json),
    st.tuples(st.just("timing"), _json),
    st.tuples(st.just("plan"), _json),
    st.tuples(st.just("claim"), _claim),
    st.tuples(st.just("name of a claim"), _claim_name),
    st.tuples(st.just("pixels"), _json),
    st.tuples(st.just("pictures"), _json),
    st.tuples(st.just("selection"), _json),
    st.tuples(st.just("what is no file"), st.sampled_from([b"pipe", b"", b"folder", b"device"])),
    st.tuples(st.just("array"), _array),
    st.tuples(st.just("index"), _index),
)


def check_stored(given: tuple[str, bytes], folder: Path) -> None:
    """Reading ends, in an answer or one line; a pickle never runs; nothing else is touched."""
    kind, content = given
    place = folder / "kept"
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir()
    with (
        guarded(place),
        usable(),
        contextlib.redirect_stderr(io.StringIO()),
    ):
        _READERS[kind](place, content)


def _chunk_reader(place: Path, content: bytes) -> None:
    chunks = PredictionChunks(place, [BOUND])
    (place / "chunk-0000000-0000002").write_bytes(content)
    if not chunks.missing():
        found = chunks.read(BOUND)
        assert isinstance(found, Prediction) and len(found.maps) == len(found.scores) == 2
    chunks.write(BOUND, Prediction(np.ones((2, 4, 4), np.float32), np.ones(2, np.float32)))
    assert not chunks.missing()


def _checkpoint_reader(place: Path, content: bytes) -> None:
    path = place / "checkpoint.pt"
    path.write_bytes(content)
    try:
        state = FileCheckpoint(path, 0).load()
    except RuntimeError as error:
        assert is_out_of_memory(error)  # it says that it holds more numbers than there is room for
        return
    assert state is None or isinstance(state, dict)
    assert (state is None) != path.exists()


def _model_reader(place: Path, content: bytes) -> None:
    model = place / "model"
    model.mkdir()
    (model / "weights").write_bytes(b"x")
    (model / "fit.json").write_bytes(content)
    report = read_model_report(model)
    assert report is None or {"protocol", "diagnostics", "timing"} <= set(report)
    assert (report is None) != model.exists()


def _marker_reader(place: Path, content: bytes) -> None:
    (place / "adbench.json").write_bytes(content)
    Store(place).open_for_writing()
    assert list(Store(place).records()) == []


def _timing_reader(place: Path, content: bytes) -> None:
    from adbench.store.folders import read_timing

    (place / "timing.json").write_bytes(content)
    found = read_timing(place / "timing.json")
    assert found is None or {"device_name", "valid"} <= set(found)


def _plan_reader(place: Path, content: bytes) -> None:
    from adbench.store.plan_files import FOLDER, read_plans

    (place / FOLDER).mkdir()
    (place / FOLDER / f"plan-{'0' * 24}.json").write_bytes(content)
    read_plans(place)


def _claim_reader(place: Path, content: bytes) -> None:
    (place / "claim.1").write_bytes(content)
    claim = ClaimWatch().try_claim(place)
    if claim is not None:
        claim.release()


def _claim_name_reader(place: Path, content: bytes) -> None:
    """Whatever is called like a claim: the cell can be claimed, and its other files stay."""
    path = place / f"claim.{content.decode()}"
    path.write_text('{"host": "h", "pid": 1, "start": "1", "token": "t"}')
    claim = ClaimWatch().try_claim(place)
    if claim is not None:
        claim.release()
        assert path.exists() or content.decode().isdecimal()


def _pixels_reader(place: Path, content: bytes) -> None:
    from adbench.store.pixel_statistics import read_pixel_statistics

    (place / "pixels-x.json").write_bytes(content)
    found = read_pixel_statistics(place / "pixels-x.json")
    assert all(isinstance(value, str) for value in found.values())


def _pictures_reader(place: Path, content: bytes) -> None:
    from adbench.figures import gallery

    (place / "gallery").mkdir()
    (place / "gallery" / "toy-a.json").write_bytes(content)
    list(gallery.read(place))


def _selection_reader(place: Path, content: bytes) -> None:
    from adbench.select.file import read_selection

    (place / "chosen.json").write_bytes(content)
    read_selection(place / "chosen.json")


def _strange_reader(place: Path, content: bytes) -> None:
    """In the place of each small file at once: every reader answers."""
    import os

    for name in ("adbench.json", "timing.json", "pixels-x.json", "checkpoint.pt",
                 "chunk-0000000-0000002", "claim.1", "chosen.json", _array_name()):  # fmt: skip
        path = place / name
        if content == b"pipe":
            os.mkfifo(path)
        elif content == b"folder":
            path.mkdir()
        else:
            path.symlink_to("/dev/null" if content == b"device" else place / "nothing")
    Store(place).open_for_writing()
    assert FileCheckpoint(place / "checkpoint.pt", 0).load() is None
    assert PredictionChunks(place, [BOUND]).missing() == [BOUND]
    found = DiskCache(place, None).array("key", (3, 5), "uint8", lambda a: a.fill(7))
    assert (np.asarray(found) == 7).all() and ClaimWatch().look(place).state != "free"


def _array_reader(place: Path, content: bytes) -> None:
    name = _array_name()
    (place / name).write_bytes(content)
    found = DiskCache(place, None).array("key", (3, 5), "uint8", lambda a: a.fill(7))
    assert (np.asarray(found) == 7).all()


@cache
def _array_name() -> str:
    from adbench.store.cache_files import entry_name, head_of

    return entry_name("key", head_of((3, 5), "uint8"))


def _index_reader(place: Path, content: bytes) -> None:
    (place / "data").mkdir()
    (place / "data" / "x.png").write_bytes(b"x")
    base = str(place / "data")
    index = place / f"{hashlib.sha256(base.encode()).hexdigest()[:32]}.index"
    index.write_bytes(content)
    assert content_digests(place / "data", ["x.png"], place) == [hashlib.sha256(b"x").hexdigest()]


_READERS: dict[str, Callable[[Path, bytes], None]] = {
    "chunk": _chunk_reader,
    "checkpoint": _checkpoint_reader,
    "model": _model_reader,
    "marker": _marker_reader,
    "timing": _timing_reader,
    "plan": _plan_reader,
    "claim": _claim_reader,
    "name of a claim": _claim_name_reader,
    "pixels": _pixels_reader,
    "pictures": _pictures_reader,
    "selection": _selection_reader,
    "what is no file": _strange_reader,
    "array": _array_reader,
    "index": _index_reader,
}
