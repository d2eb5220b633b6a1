"""`adbench history`: points per commit, means over the same categories, the plot."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from outcomes import the_error
from PIL import Image
from scored import failed, scored_record, write_results
from toy import Invoke

from adbench.compare.history import history, time_axis
from adbench.store.records import Record

LABELS = np.arange(8) % 2 == 1
GOOD, POOR = LABELS.astype(float), np.arange(8.0)


def made(day: int, commit: str | None, scores: np.ndarray, *names: Any, **changes: Any) -> Record:
    git = None if commit is None else {"commit": commit * 40, "dirty": changes.pop("dirty", False)}
    record = scored_record(
        LABELS, scores, *names, created=f"2026-01-{day:02d}T00:00:00Z",
        environment={"git": git, "adbench": "0.1.0"}, **changes,
    )  # fmt: skip
    key = f"{record.keys['fit']}{day}"
    return record.model_copy(update={"keys": dict.fromkeys(record.keys, key)})


def values(series) -> list[tuple[str | None, float, float | None]]:
    return [(p.commit, p.value, p.change) for p in series.points]


def test_a_point_a_commit_in_the_order_of_time() -> None:
    records = [made(3, "b", GOOD), made(1, "a", POOR), made(5, "c", POOR, dirty=True)]
    (series,) = history(records, "image_auroc", None)
    poor = records[1].metrics["a"]["image_auroc"]
    assert poor is not None
    assert values(series) == [
        ("a" * 10, poor, None), ("b" * 10, 1.0, 1 - poor), ("c" * 10 + "+", poor, poor - 1),
    ]  # fmt: skip


def test_seeds_are_averaged_and_reruns_superseded() -> None:
    records = [made(1, "a", GOOD), made(2, "a", POOR, seed=1), made(4, "a", POOR)]
    (series,) = history(records, "image_auroc", None)
    (point,) = series.points
    assert point.seeds == 2 and point.created == "2026-01-04T00:00:00Z"
    assert point.value == records[2].metrics["a"]["image_auroc"]


def test_a_mean_over_other_categories_is_no_change() -> None:
    records = [made(1, "a", GOOD, "x"), made(1, "a", POOR, "y"), made(2, "b", GOOD, "x")]
    (series,) = history(records, "image_auroc", None)
    assert [p.categories for p in series.points] == [("x", "y"), ("x",)]
    assert [p.change for p in series.points] == [None, None]
    (only_x,) = history(records, "image_auroc", "x")
    assert [p.change for p in only_x.points] == [None, 0.0]
    assert history(records, "image_auroc", "z") == []


def test_other_protocols_and_presets_are_other_series() -> None:
    records = [
        made(1, "a", GOOD), made(2, "b", GOOD, protocol={"image_size": 64}),
        made(3, "c", GOOD, preset="paper"), made(4, None, GOOD),
    ]  # fmt: skip
    assert len(history(records, "image_auroc", None)) == 3
    assert history([failed(records[0])], "image_auroc", None) == []
    assert history(records, "pixel_auroc", None) == []


def test_table_json_and_plot(invoke: Invoke, tmp_path: Path) -> None:
    empty = invoke("history")
    assert empty.code == 0 and empty.out == "" and "no image_auroc" in empty.err
    assert invoke("history", "--json").out == "[]\n"
    write_results(tmp_path / "other", [made(1, "a", GOOD, variant="k=1")])
    assert "toy:mean m[k=1] fast separate" in invoke("history", "--results", "other").out
    write_results(tmp_path / "results", [made(1, "a", POOR), made(3, "b", GOOD)])
    outcome = invoke("history", "--out", "curve.png")
    assert outcome.code == 0 and "aaaaaaaaaa" in outcome.out and "100.00" in outcome.out
    with Image.open(tmp_path / "curve.png") as plot:
        assert plot.width > 600 and len(plot.convert("RGB").getcolors(1 << 24) or ()) > 20
    assert invoke("history", "--out", "curve.pdf").code == 0
    assert (tmp_path / "curve.pdf").read_bytes().startswith(b"%PDF")
    (series,) = json.loads(invoke("history", "--json", "--metric", "image_aupr").out)
    assert series["metric"] == "image_aupr" and len(series["points"]) == 2
    assert series["points"][1]["change"] > 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--metric", "auroc"), "did you mean 'pixel_auroc'"),
        (("--metric", "image_auroc,image_aupr"), "expected one metric"),
        (("--out", "curve.jpg"), "expected a name that ends in .png, .pdf, .svg"),
        (("--out", "curve.png"), "there is nothing to draw"),
    ],
)
def test_mistakes_are_one_line(invoke: Invoke, options: tuple[str, ...], message: str) -> None:
    assert message in the_error(invoke("history", *options), 2)


def test_series_on_other_data_have_names_of_their_own(invoke: Invoke, tmp_path: Path) -> None:
    def made(number: int, test: str | None, clock: str) -> Record:
        own = {part: {"files": 1, "sha256": "0" * 64} for part in ("train", "masks")}
        kept = {} if test is None else {"digests": {"a": own | {"test": own["train"] | {
            "sha256": test * 64}}}}  # fmt: skip
        commit = {"git": {"commit": str(number) * 10, "dirty": False}}
        return scored_record(
            LABELS, np.arange(len(LABELS)) + number, created=f"{clock}-01-01T00:00:00Z",
            environment=commit, data=kept,
        ).model_copy(update={"number": number})  # fmt: skip

    records = [made(1, "1", "2099"), made(2, "2", "2026"), made(3, None, "2025")]
    folder = str(write_results(tmp_path / "results", records))
    asked = ("history", "--results", folder, "--category", "a")
    found = json.loads(invoke(*asked, "--json").out)
    assert sorted([p["commit"][0] for p in own["points"]] for own in found) == [["1"], ["2", "3"]]
    assert len({own["data"] for own in found}) == 2
    text = invoke(*asked).out
    for own in found:
        assert f"m fast separate, data {own['data']}, protocol" in " ".join(text.split())
    assert "?" in text and "is unknown" in text
    assert time_axis(history(records, "image_auroc", "a")) == [c * 10 for c in "123"]
