"""Records of any content behind a right checksum, and files of any bytes: a table or one line."""

from __future__ import annotations

import json
import shutil
from functools import cache
from pathlib import Path
from typing import Any

from hypothesis import strategies as st
from mutations import damaged_bytes, damaged_json
from sandbox import call, check_outcome, guarded

from adbench.store import files
from adbench.store.records import METRICS, Record

COMMANDS = (
    ("report",), ("report", "--json"), ("report", "--format", "markdown"),
    ("report", "--format", "csv"), ("runs",), ("runs", "--json", "--all"), ("history",),
    ("report", "--format", "latex"), ("report", "--format", "csv", "--layout", "paper"),
    ("report", "--method", "m", "--dataset", "toy"),
)  # fmt: skip


@cache
def sound_record() -> dict[str, Any]:
    """What a run writes, with every block filled."""
    labels = [0, 0, 1, 1]
    record = Record(
        status="done",
        created="2026-01-01T00:00:00Z",
        identity={
            "method": "m", "hyperparameters": {"steps": 1, "weights": "auto"}, "dataset": "toy",
            "dataset_version": "1", "categories": ["a", "b"], "scope": "unified", "seed": 0,
            "limit": None,
        },
        preset="fast",
        variant="steps=2",
        keys={"fit": "0" * 24, "predict": "1" * 24, "score": "2" * 24},
        key_parts={"mask_rule": "nearest", "code": {"m": "0"}},
        protocol={
            "dataset": "toy", "dataset_version": "1", "scope": "unified",
            "trained_categories": ["a", "b"], "image_size": 32, "crop": None,
            "evaluation_size": 32, "mask_rule": "nearest", "mask_threshold": 0,
            "metrics": "exact-1", "aupro_limits": [0.3, 0.05], "selection": "last", "limit": None,
            "backbone": "net", "weights_sha256": "0" * 64,
        },
        metrics={c: dict.fromkeys(METRICS, 0.5) for c in "ab"},
        images={
            "id": [f"a/test/{i}.png" for i in range(4)], "category": list("aabb"), "label": labels,
            "defect": ["good", "good", "hole", "hole"], "score": [0.5, 1.0, "inf", "-inf"],
        },
        timing={
            "fit": {"seconds": 1.5, "resumes": 0, "valid": True, "device": "cpu"},
            "inference": {
                "device": "cpu", "device_name": "cpu", "foreign_load": 0.0, "valid": True,
                "seconds_per_image": {"median": 0.1, "p95": 0.2, "repeats": 5}, "batch_size": 8,
                "images_per_second": 10.0, "peak_rss_bytes": 10**9, "peak_device_bytes": None,
                "parameters": 10, "flops_per_image": 1e9, "flops_networks": 1e9,
            },
        },
        data={
            "layout": "mvtec", "complete": False,
            "findings": [{"severity": "warning", "category": None, "check": "counts",
                          "message": "odd", "paths": [], "count": 0}],
            "ground_truth": {
                c: {"regions": 3, "regions_after_resize": 2, "masks_lost_in_resize": ["x.png"],
                    "empty_masks": ["y.png"], "test_normal": 2, "test_anomalous": 2}
                for c in "ab"
            },
        },
        environment={"adbench": "0.1.0", "git": {"commit": "0" * 40, "dirty": False}},
    )  # fmt: skip
    value: dict[str, Any] = record.model_dump(mode="json")
    return value


def sealed(value: Any) -> bytes:
    """The bytes of a JSON value with its right checksum, as far as it can have one."""
    try:
        body = dict(value)
        body[files.CHECKSUM] = files.digest(value)
        return json.dumps(body).encode("utf-8", "surrogatepass")
    except (ValueError, TypeError):  # not finite, or no object
        return json.dumps(value).encode("utf-8", "surrogatepass")


_any_record = st.one_of(
    st.deferred(lambda: damaged_json(sound_record())).map(sealed),
    st.deferred(lambda: damaged_json(sound_record())).map(sealed),
    st.deferred(lambda: damaged_bytes([sealed(sound_record())])),
    st.sampled_from([b"", b"{}", b"[]", b"null", b"[" * 100_000, b'{"a":' * 50_000, b"1" * 6_000,
                     b'{"checksum": 1e999}', b"\xef\xbb\xbf{}", b"NaN", b'{"checksum": null}']),
)  # fmt: skip

record_files = st.tuples(
    _any_record, st.booleans(), st.sampled_from(COMMANDS), st.sampled_from(["record", "failed"])
)


def check_record(given: tuple[bytes, bool, tuple[str, ...], str], folder: Path) -> None:
    """Every command that reads a results folder shows it, or says in one line why not."""
    content, beside_a_sound_one, command, kind = given
    results = folder / "results"
    shutil.rmtree(results, ignore_errors=True)
    cell = results / "cells" / ("0" * 24)
    cell.mkdir(parents=True)
    (cell / f"{kind}-{'2' * 24}.json").write_bytes(content)
    if beside_a_sound_one:
        sound = sound_record()
        sound["keys"] = sound["keys"] | {"score": "3" * 24}
        (cell / f"record-{'3' * 24}.json").write_bytes(sealed(sound))
    with guarded(results):
        check_outcome(call(*command, "--results", str(results)))
