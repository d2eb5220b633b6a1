"""What images score, as a table, and their maps as files that other programs read."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import numpy as np
import pytest
from outcomes import the_error
from PIL import Image
from scored import scored_record, write_results
from toy import PIXEL, Invoke, Toy

import adbench
from adbench.contracts import Prediction
from adbench.errors import StoreError
from adbench.store.map_files import map_names
from adbench.store.predictions import PredictionChunks

NUMBERS = np.array([0.25, np.inf, -np.inf, 3.5], np.float32)


@pytest.fixture
def kept(toy: Toy, invoke: Invoke, tmp_path: Path) -> Path:
    """A results folder of one cell with its maps."""
    words = ["--methods", PIXEL, *toy.arguments("a"), "--preset", "smoke", "--no-timing"]
    done = invoke("run", *words, "--keep-maps", "--results", str(tmp_path / "kept"))
    assert done.code == 0, done.err
    return tmp_path / "kept"


def test_every_image_is_a_row_with_the_file_of_its_map(kept: Path, invoke: Invoke) -> None:
    told = invoke("report", "--images", "--format", "csv", "--results", str(kept))
    rows = list(csv.DictReader(io.StringIO(told.out)))
    assert len(rows) == 8 and {row["label"] for row in rows} == {"0", "1"}
    assert {row["method"] for row in rows} == {"pixel_gaussian"}
    for row in rows:
        assert row["map"].endswith(f"maps/{row['image'].removesuffix('.png')}.tiff")
        with Image.open(kept / row["map"]) as picture:  # as any other program would
            values = np.asarray(picture)
        assert values.shape == (32, 32) and values.dtype == np.float32
        assert values.max() == pytest.approx(float(row["score"]))
    same = json.loads(invoke("report", "--images", "--json", "--results", str(kept)).out)
    assert [row["image"] for row in same] == [row["image"] for row in rows]


def test_python_has_the_same_rows_and_reads_the_maps(kept: Path) -> None:
    table = adbench.load_scores(kept)
    assert len(table) == 8 and table["score"].dtype == "float64"
    row = table.iloc[0]
    values = adbench.read_map(row["map"])
    assert values.dtype == np.float32 and values.max() == pytest.approx(row["score"])


def test_tables_for_people_have_a_column_a_method(tmp_path: Path, invoke: Invoke) -> None:
    labels = np.array([0, 1])
    records = [
        scored_record(labels, labels + 0.5, method="one"),
        scored_record(labels, labels + 7.0, method="two"),
    ]
    write_results(tmp_path / "results", records)
    shown = invoke("report", "--images").out
    assert "one" in shown and "two" in shown and "7" in shown and "a/0001.png" in shown
    marked = invoke("report", "--images", "--format", "markdown").out
    assert marked.count("a/0001.png") == 1
    assert adbench.load_scores(tmp_path / "results")["map"].isna().all()


@pytest.mark.parametrize("more", [["--published"], ["--snapshots"], ["--layout", "paper"]])
def test_images_go_with_no_other_table(more: list[str], tmp_path: Path, invoke: Invoke) -> None:
    write_results(tmp_path / "results", [scored_record(np.array([0, 1]), np.array([0.0, 1.0]))])
    assert "table of its own" in the_error(invoke("report", "--images", *more), 2)


def test_maps_that_became_files_are_what_they_were(tmp_path: Path) -> None:
    maps = np.random.default_rng(0).normal(size=(4, 8, 8)).astype(np.float32)
    part = Prediction(maps + 1, NUMBERS)
    chunks = PredictionChunks(tmp_path / "own", [(0, 4)])
    chunks.write((0, 4), Prediction(maps, NUMBERS, {"base": part}))
    chunks.give_files(["c/good/0.png", "c/good/0.jpg", "../up.png", "c/bad/1.png"])
    assert chunks.are_there() and chunks.missing() == []
    found = chunks.read((0, 4))
    assert np.array_equal(found.maps, maps) and np.array_equal(found.scores, NUMBERS)
    assert np.array_equal(found.parts["base"].maps, maps + 1)
    names = {str(p.relative_to(tmp_path / "own")) for p in (tmp_path / "own").rglob("*.tiff")}
    own = {"c/good/0.png.tiff", "c/good/0.jpg.tiff", "0000002.tiff", "c/bad/1.tiff"}
    assert names == {f"maps/{n}" for n in own} | {f"maps-base/{n}" for n in own}


@pytest.mark.parametrize("harm", ["other", "short", "gone"])
def test_a_damaged_map_is_predicted_again(
    tmp_path: Path, harm: str, capsys: pytest.CaptureFixture[str]
) -> None:
    chunks = PredictionChunks(tmp_path, [(0, 2)])
    chunks.write((0, 2), Prediction(np.ones((2, 8, 8), np.float32), np.ones(2, np.float32)))
    chunks.give_files(["a.png", "b.png"])
    file = tmp_path / "maps" / "b.tiff"
    content = file.read_bytes()
    if harm == "gone":
        file.unlink()
    else:
        file.write_bytes(content[:-5] if harm == "short" else content[:-1] + b"x")
    assert chunks.missing() == [(0, 2)]
    assert "set aside" in capsys.readouterr().err


def test_an_index_leads_nowhere_else(tmp_path: Path) -> None:
    from adbench.store.files import write_json
    from adbench.store.map_files import write_map

    secret = write_map(tmp_path / "secret.tiff", np.zeros((4, 4), np.float32))
    entry = {"maps": [["../secret.tiff", secret]], "scores": [0.0]}
    write_json(tmp_path / "own" / "chunk-0000000-0000001.json", {"parts": {"": entry}})
    assert PredictionChunks(tmp_path / "own", [(0, 1)]).missing() == [(0, 1)]


@pytest.mark.parametrize("linked", ["maps", "maps/c", "maps/c/0.tiff"])
def test_maps_are_written_through_no_link(tmp_path: Path, linked: str) -> None:
    outside = tmp_path / "outside"
    (outside / "c").mkdir(parents=True)
    (outside / "c" / "0.tiff").write_text("precious")
    (outside / "0.tiff").write_text("precious")
    chunks = PredictionChunks(tmp_path / "own", [(0, 1)])
    chunks.write((0, 1), Prediction(np.ones((1, 8, 8), np.float32), np.ones(1, np.float32)))
    link = tmp_path / "own" / linked
    link.parent.mkdir(parents=True, exist_ok=True)
    link.symlink_to(outside / "0.tiff" if linked.endswith(".tiff") else outside)
    chunks.give_files(["c/0.png"])
    assert {p.read_text() for p in outside.rglob("*.tiff")} == {"precious"}
    assert chunks.missing() == []


def test_names_of_maps_tell_images_apart() -> None:
    assert map_names(["a/1.png", "b/1.png"]) == ["a/1.tiff", "b/1.tiff"]
    assert map_names(["a/1.png", "a/1.PNG"]) == ["a/1.png.tiff", "a/1.PNG.tiff"]
    assert map_names(["/etc/x.png", "a/../../x.png", "plain"]) == [
        "0000000.tiff", "0000001.tiff", "plain.tiff",
    ]  # fmt: skip


def test_what_is_no_map_is_an_error_of_one_line(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="--keep-maps"):
        adbench.read_map(tmp_path / "absent.tiff")
    (tmp_path / "text.tiff").write_text("no image")
    with pytest.raises(StoreError, match="no map of adbench"):
        adbench.read_map(tmp_path / "text.tiff")
    Image.new("RGB", (4, 4)).save(tmp_path / "colour.tiff")
    with pytest.raises(StoreError, match="32-bit float"):
        adbench.read_map(tmp_path / "colour.tiff")


def test_kept_maps_are_scored_under_another_rule_without_a_prediction(
    kept: Path, toy: Toy, invoke: Invoke, monkeypatch: pytest.MonkeyPatch
) -> None:
    from adbench.testing import PixelGaussian

    monkeypatch.setattr(PixelGaussian, "predict", None)
    words = ["--methods", PIXEL, *toy.arguments("a"), "--preset", "smoke", "--no-timing"]
    again = invoke("run", *words, "--mask-rule", "area_max", "--results", str(kept))
    assert again.code == 0, again.err
