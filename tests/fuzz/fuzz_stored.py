"""Every kind of file that a run leaves, with any content: found damaged and made again, or used."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import pickle
import shutil
import tempfile
from collections.abc import Callable
from functools import cache, partial
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
from adbench.data.cache import DiskCache, Entry
from adbench.data.digests import content_digests
from adbench.figures import gallery
from adbench.select.file import read_selection
from adbench.store.checkpoint import FileCheckpoint
from adbench.store.claims import ClaimWatch
from adbench.store.files import checked
from adbench.store.folders import Store, read_timing
from adbench.store.model_files import read_model_report
from adbench.store.pixel_statistics import read_pixel_statistics
from adbench.store.plan_files import read_plans
from adbench.store.predictions import PredictionChunks

BOUND = (0, 2)
REPORT = {
    "protocol": {},
    "diagnostics": {},
    "skill": {},
    "timing": {},
    "files": {"weights": "0" * 64},
}
OWNER = b'{"host": "h", "pid": 1, "start": "1", "token": "t"}'
ENTRY = Entry("key", (3, 5), "uint8")
Reader = Callable[[Path, bytes], None]


class Bomb:
    """What a pickle does to whoever loads it."""

    def __reduce__(self) -> tuple[Callable[[str], object], tuple[str]]:
        return Path.touch, (Path("/tmp/adbench-was-unpickled"),)  # type: ignore[return-value]


def _with_digest(body: bytes) -> bytes:
    return hashlib.sha256(body).digest() + body


def _written(save: Callable[[Any], None]) -> bytes:
    buffer = io.BytesIO()
    save(buffer)
    return buffer.getvalue()


def _save_arrays(arrays: dict[str, Any], buffer: io.BytesIO) -> None:
    np.savez(buffer, **arrays)


@cache
def _bodies() -> list[bytes]:
    """Contents of chunks and checkpoints, sound and unsound, that a right digest may stand for."""
    maps, scores = np.ones((2, 4, 4), np.float32), np.ones(2, np.float32)
    bombs = np.array([Bomb(), Bomb()], object)
    arrays: list[dict[str, Any]] = [
        {"maps": maps, "scores": scores}, {"maps": maps}, {"maps": maps[:1], "scores": scores},
        {"maps": maps.astype(np.float64), "scores": scores}, {"maps": 1, "scores": 2},
        {"maps": bombs, "scores": scores},
    ]  # fmt: skip
    states: list[Any] = [
        {"elapsed": 1.0, "resumes": 0, "state": {"step": torch.tensor(3)}}, {"elapsed": "x"},
    ]  # fmt: skip
    return [
        *[_written(partial(_save_arrays, own)) for own in arrays],
        *[_written(partial(torch.save, own)) for own in states],
        pickle.dumps(Bomb()), pickle.dumps({"state": Bomb()}, protocol=2), b"", b"PK",
    ]  # fmt: skip


def _fill(array: Any) -> None:
    array.fill(7)


@cache
def _array_file() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        DiskCache(Path(folder), None).array(ENTRY.key, ENTRY.shape, ENTRY.dtype, _fill)
        return (Path(folder) / ENTRY.name).read_bytes()


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


def _json_reader(name: str, read: Callable[[Path], Any]) -> Reader:
    def reader(place: Path, content: bytes) -> None:
        (place / name).parent.mkdir(exist_ok=True)
        (place / name).write_bytes(content)
        read(place / name)

    return reader


def _open_results(marker: Path) -> None:
    Store(marker.parent).open_for_writing()
    assert list(Store(marker.parent).records()) == []


def _claim_reader(place: Path, content: bytes) -> None:
    (place / "claim.1").write_bytes(content)
    claim = ClaimWatch().try_claim(place)
    if claim is not None:
        claim.release()


def _claim_name_reader(place: Path, content: bytes) -> None:
    """Whatever is called like a claim: the cell can be claimed, and its other files stay."""
    path = place / f"claim.{content.decode()}"
    path.write_bytes(OWNER)
    claim = ClaimWatch().try_claim(place)
    if claim is not None:
        claim.release()
        assert path.exists() or content.decode().isdecimal()


def _array_reader(place: Path, content: bytes) -> None:
    (place / ENTRY.name).write_bytes(content)
    found = DiskCache(place, None).array(ENTRY.key, ENTRY.shape, ENTRY.dtype, _fill)
    assert (np.asarray(found) == 7).all()


def _index_reader(place: Path, content: bytes) -> None:
    (place / "data").mkdir()
    (place / "data" / "x.png").write_bytes(b"x")
    name = hashlib.sha256(str(place / "data").encode()).hexdigest()[:32]
    (place / f"{name}.index").write_bytes(content)
    assert content_digests(place / "data", ["x.png"], place) == [hashlib.sha256(b"x").hexdigest()]


_archive = st.deferred(
    lambda: (
        damaged_bytes(_bodies()).map(_with_digest)
        | damaged_bytes([_with_digest(body) for body in _bodies()])
    )
)
_object = damaged_json(REPORT | {"format": 1, "created": "x", "cells": [{"fit": "0"}]})
_json = _object.map(sealed) | damaged_bytes([sealed(REPORT), sealed({"format": 1})])
_claim_name = st.one_of(
    st.integers(-1, 10**20).map(str),
    st.text(st.characters(codec="utf-8", exclude_characters="/\0"), max_size=20),
    st.sampled_from(["", "0", "00", "007", "1 ", "٣", "²", "1.damaged-00000000", "9" * 200]),
).map(str.encode)
_index = st.one_of(
    damaged_json({"format": "adbench-digests-1", "files": {"x.png": [1, 2, 3, 4, "0" * 64]}})
    .map(lambda value: json.dumps(value).encode("utf-8", "surrogatepass"))
    .map(lambda body: hashlib.sha256(body).hexdigest().encode() + b"\n" + body),
    damaged_bytes([b"0" * 64 + b'\n{"format": "adbench-digests-1", "files": {}}']),
)
_KINDS: dict[str, tuple[st.SearchStrategy[bytes], Reader]] = {
    "chunk": (_archive, _chunk_reader),
    "checkpoint": (_archive, _checkpoint_reader),
    "model": (_json, _model_reader),
    "marker": (_json, _json_reader("adbench.json", _open_results)),
    "timing": (_json, _json_reader("t.json", lambda p: checked(p, read_timing))),
    "plan": (
        _json,
        _json_reader(f"plans/plan-{'0' * 24}.json", lambda path: read_plans(path.parent.parent)),
    ),
    "pixels": (_json, _json_reader("pixels-x.json", read_pixel_statistics)),
    "pictures": (
        _json,
        _json_reader("gallery/toy-a.json", lambda path: list(gallery.read(path.parent.parent))),
    ),
    "selection": (_json, _json_reader("chosen.json", read_selection)),
    "claim": (damaged_bytes([OWNER, b"{}", b"null"]), _claim_reader),
    "name of a claim": (_claim_name, _claim_name_reader),
    "array": (st.deferred(lambda: damaged_bytes([_array_file()])), _array_reader),
    "index": (_index, _index_reader),
}

stored_files = st.one_of(
    *[st.tuples(st.just(kind), content) for kind, (content, _) in _KINDS.items()]
)


def check_stored(given: tuple[str, bytes], folder: Path) -> None:
    """Reading ends, in an answer or one line; a pickle never runs; nothing else is touched."""
    kind, content = given
    place = folder / "kept"
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir()
    with guarded(place), usable(), contextlib.redirect_stderr(io.StringIO()):
        _KINDS[kind][1](place, content)
