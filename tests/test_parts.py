"""What the parts of a method score alone: predicted, stored, scored and shown, never ranked."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from toy import Invoke, Toy

from adbench.contracts import Prediction
from adbench.store.folders import Store
from adbench.store.predictions import PredictionChunks
from adbench.store.records import Record

PLUGIN = """
from adbench.contracts import Prediction
from adbench.testing import PixelGaussian

CALLS = []


class Mine(PixelGaussian):
    card = PixelGaussian.card.model_copy(update={"name": "mine"})
    batch_size = 3

    def predict(self, images):
        found = super().predict(images)
        CALLS.append(len(images))
        maps, scores = found.maps, found.scores
        return Prediction(maps, scores, PARTS)
"""
TWO = '{"same": Prediction(maps, scores), "turned-round": Prediction(-maps, -scores)}'


def plugin(folder: Path, parts: str) -> str:
    path = folder / "mine.py"
    path.write_text(PLUGIN.replace("PARTS", parts))
    return f"{path}:Mine"


@pytest.fixture
def arguments(toy: Toy) -> list[str]:
    return [*toy.arguments(), "--preset", "smoke", "--no-timing", "--seeds", "0-1"]


@pytest.fixture
def made(invoke: Invoke, arguments: list[str], tmp_path: Path) -> list[Record]:
    """The records of a method with two parts, in the folder `results`."""
    outcome = invoke("run", "--methods", plugin(tmp_path, TWO), *arguments)
    assert outcome.code == 0, outcome.err
    return list(Store(tmp_path / "results").records())


def test_each_part_is_scored_like_the_whole(made: list[Record]) -> None:
    assert len(made) == 4
    for record in made:
        assert list(record.parts) == ["same", "turned-round"]
        assert record.parts["same"] == record.metrics
        for category, values in record.parts["turned-round"].items():
            for metric in ("image_auroc", "pixel_auroc"):
                whole = record.metrics[category][metric]
                found = values[metric]
                assert whole is not None and found == pytest.approx(1 - whole)


def test_every_format_shows_the_parts_and_ranks_none(
    invoke: Invoke, made: list[Record], tmp_path: Path
) -> None:
    shown = invoke("report").out
    table = shown[shown.index("Parts of methods alone: toy, separate") :]
    for word in ("same", "turned-round", "whole", "mean of 2"):
        assert word in table
    text = invoke("report", "--format", "markdown").out
    own = text[text.index("**Parts of methods alone") :].split("\n\n")[1]
    assert "**" not in own and len(own.splitlines()) == 2 + 3 * 3
    latex = invoke("report", "--format", "latex").out
    assert "turned-round" in latex and latex.count("tab:adbench-parts-toy-separate") == 2
    page = invoke("report", "--format", "html").out
    assert "Parts of methods alone" in page and "turned-round" in page
    listed = list(csv.DictReader(invoke("report", "--format", "csv").out.splitlines()))
    assert [row["part"] for row in listed].count("turned-round") == 2 * 3
    assert [row["part"] for row in listed].count("") == 2 * 3
    rows = json.loads(invoke("report", "--json").out)
    assert [row.get("part") for row in rows] == [row["part"] or None for row in listed]


def test_a_method_without_parts_has_no_such_table_or_column(
    invoke: Invoke, arguments: list[str], tmp_path: Path
) -> None:
    outcome = invoke("run", "--methods", plugin(tmp_path, "{}"), *arguments)
    assert outcome.code == 0 and "Parts of methods" not in outcome.out
    assert "part" not in invoke("report", "--format", "csv").out.splitlines()[0].split(",")


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        ('{"same": Prediction(maps[:, 1:], scores)}', "part same, returned maps of shape"),
        ('{"same": Prediction(maps, scores * float("nan"))}', "part same, gave NaN"),
        ('{"same": maps}', "part same, returned ndarray"),
        ('{"../up": found}', "returned the part '../up'; expected a name of lower-case"),
        ('{"a": Prediction(maps, scores, {"b": found})}', "and no parts in it"),
        ('{"ab"[len(CALLS) % 2]: found}', "expected the same for every batch"),
    ],
)
def test_a_wrong_part_fails_the_cell_in_words(
    invoke: Invoke, toy: Toy, tmp_path: Path, parts: str, expected: str
) -> None:
    options = [*toy.arguments("a"), "--preset", "smoke", "--no-timing"]
    outcome = invoke("run", "--methods", plugin(tmp_path, parts), *options)
    assert outcome.code == 3 and "Traceback" not in outcome.err
    assert expected in outcome.err


def test_parts_are_stored_with_the_whole_and_damaged_with_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rng = np.random.default_rng(0)
    maps, scores = rng.random((3, 2, 4, 4), np.float32), rng.random((3, 2), np.float32)
    parts = {"b": Prediction(maps[1], scores[1]), "a": Prediction(maps[2], scores[2])}
    chunks = PredictionChunks(tmp_path, [(0, 2)])
    chunks.write((0, 2), Prediction(maps[0], scores[0], parts))
    assert chunks.missing() == [] and list(chunks.parts()) == ["b", "a"]
    for index, name in enumerate(("b", "a"), 1):
        found = chunks.parts()[name].read((0, 2))
        assert (found.maps == maps[index]).all() and (found.scores == scores[index]).all()
    short = {"a": Prediction(maps[2, :1], scores[2, :1])}
    chunks.write((0, 2), Prediction(maps[0], scores[0], short))
    assert chunks.missing() == [(0, 2)] and "expected 2 maps" in capsys.readouterr().err
