"""Maps belong to the model that made them: no record mixes the numbers of two."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from toy import PIXEL, Invoke, Toy

from adbench.store import predictions
from adbench.testing import PixelGaussian


@pytest.fixture
def command(toy: Toy) -> list[str]:
    words = ["run", "--no-timing", "--methods", PIXEL, "--preset", "smoke", "--keep-maps"]
    return [*words, *toy.arguments("a")]


@pytest.fixture
def train_otherwise(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """From the call on, training ends in another model, as on another machine."""

    def change() -> None:
        fit = PixelGaussian.fit

        def other(self: Any, train: Any, context: Any) -> Any:
            fitted = fit(self, train, context)
            fitted.mean_ = fitted.mean_[::-1] - 40
            return fitted

        monkeypatch.setattr(PixelGaussian, "fit", other)

    return change


def numbers(results: Path) -> list[Any]:
    """Scores and metrics of all records, in the order of their names."""
    paths = sorted(results.glob("cells/*/record-*.json"))
    found = [json.loads(path.read_text()) for path in paths]
    return [(record["images"]["score"], record["metrics"]) for record in found]


def test_a_model_that_is_trained_again_predicts_all_images_again(
    invoke: Invoke,
    command: list[str],
    tmp_path: Path,
    train_otherwise: Callable[[], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A kill after some chunks; then the model is found damaged."""
    monkeypatch.setattr(predictions, "CHUNK_IMAGES", 2)
    assert invoke(*command).code == 0
    (record,) = tmp_path.glob("results/cells/*/record-*.json")
    record.unlink()
    chunks = sorted(record.parent.glob("*/chunk-*"))
    chunks[-1].unlink()
    (record.parent / "model" / "mean.npy").write_bytes(b"damaged")
    train_otherwise()
    assert invoke(*command).code == 0
    assert invoke(*command, "--results", "fresh").code == 0
    assert numbers(tmp_path / "results") == numbers(tmp_path / "fresh")
    assert len(chunks) == len(sorted(record.parent.glob("*/chunk-*"))) > 2


def test_kept_maps_are_scored_beside_their_own_models_report_alone(
    invoke: Invoke, command: list[str], tmp_path: Path, train_otherwise: Callable[[], None]
) -> None:
    """The model was not kept, and another mask rule asks for a new record: the maps are enough for
    it where they are those of the record before, else the model is trained and predicts again."""
    assert invoke(*command, "--no-keep-model").code == 0
    (first,) = numbers(tmp_path / "results")
    train_otherwise()
    otherwise = [*command, "--no-keep-model", "--mask-rule", "area_max"]
    assert invoke(*otherwise).code == 0
    scores = [score for score, _ in numbers(tmp_path / "results")]
    assert scores == [first[0]] * 2

    assert invoke(*otherwise, "--results", "fresh").code == 0
    (fresh,) = numbers(tmp_path / "fresh")
    assert fresh[0] != first[0]
    (maps,) = (tmp_path / "results").glob("cells/*/*/chunk-*")
    (others,) = (tmp_path / "fresh").glob("cells/*/*/chunk-*")
    shutil.copy(others, maps)  # maps of another model than the records tell of
    for record in (tmp_path / "results").glob("cells/*/record-*.json"):
        if json.loads(record.read_text())["protocol"]["mask_rule"] == "area_max":
            record.unlink()
    assert invoke(*otherwise).code == 0
    both = numbers(tmp_path / "results")
    assert len(both) == 2 and first in both and fresh in both
