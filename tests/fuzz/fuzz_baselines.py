"""Baselines, selections and pixel statistics of any content: compared, or refused in one line."""

from __future__ import annotations

import shutil
from functools import cache
from pathlib import Path
from typing import Any

from fuzz_records import sealed, sound_record
from hypothesis import strategies as st
from mutations import damaged_bytes, damaged_json
from sandbox import call, check_outcome, guarded

from adbench.compare.baseline import make_baseline
from adbench.store.records import Record

_COMMANDS = (
    ("gate", "--baseline", "FILE"), ("gate", "--baseline", "FILE", "--json"),
    ("compare", "FILE", "RESULTS"), ("compare", "RESULTS", "FILE", "--format", "markdown"),
)  # fmt: skip


@cache
def _record() -> dict[str, Any]:
    """A record of one category with enough images for a test."""
    value = sound_record()
    columns = {
        "id": [f"a/test/{i}.png" for i in range(12)], "category": ["a"] * 12,
        "label": [0, 1] * 6, "defect": ["good", "hole"] * 6,
        "score": [float(i % 5) for i in range(12)],
    }  # fmt: skip
    identity = value["identity"] | {"categories": ["a"], "scope": "separate"}
    protocol = value["protocol"] | {"trained_categories": ["a"], "scope": "separate"}
    data = value["data"] | {"ground_truth": {"a": value["data"]["ground_truth"]["a"]}}
    parts = {"mask_rule": "nearest", "test": "0", "masks": "1"}
    return value | {
        "identity": identity, "protocol": protocol, "images": columns, "data": data,
        "metrics": {"a": value["metrics"]["a"]}, "key_parts": parts,
    }  # fmt: skip


@cache
def _baseline() -> dict[str, Any]:
    made = make_baseline([Record.model_validate(_record())], {"2" * 24: {"a": "AAAA"}})
    value: dict[str, Any] = made.model_dump(mode="json")
    return value


_file = st.deferred(
    lambda: st.one_of(
        damaged_json(_baseline()).map(sealed),
        damaged_bytes([sealed(_baseline())]),
        damaged_json(_record()).map(lambda record: sealed(_baseline() | {"records": [record]})),
    )
)
_pixels = st.deferred(
    lambda: (
        damaged_json({"format": 1, "categories": {"a": "AAAA"}}).map(sealed)
        | damaged_bytes([sealed({"format": 1, "categories": {"a": "AAAA"}})])
    )
)
baseline_files = st.tuples(_file, st.none() | _pixels, st.sampled_from(_COMMANDS))


def check_baseline(given: tuple[bytes, bytes | None, tuple[str, ...]], folder: Path) -> None:
    """Gate and compare give a verdict or one line, never a traceback taken for a regression."""
    content, pixels, command = given
    results, file = folder / "results", folder / "baseline.json"
    shutil.rmtree(results, ignore_errors=True)
    cell = results / "cells" / ("0" * 24)
    cell.mkdir(parents=True)
    (cell / f"record-{'2' * 24}.json").write_bytes(sealed(_record()))
    if pixels is not None:
        (cell / f"pixels-{'2' * 24}.json").write_bytes(pixels)
    file.write_bytes(content)
    places = {"FILE": str(file), "RESULTS": str(results)}
    words = [places.get(word, word) for word in command]
    with guarded(results):
        check_outcome(call(*words, "--results", str(results)))
    assert file.read_bytes() == content
