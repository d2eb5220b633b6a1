"""Cells that differ in prediction-only hyper-parameters train once and have a record each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from toy import PIXEL, Invoke, Toy

from adbench import testing
from adbench.api import Result, execute
from adbench.cli.explain import explain_cell
from adbench.crew.reporter import Reporter
from adbench.estimates import estimate
from adbench.plan import Cell
from adbench.registry import load_method, method_names
from adbench.request import Request
from adbench.store.claims import ClaimWatch
from adbench.store.files import digest

PLUGIN = """
from typing import ClassVar

from pydantic import Field

from adbench.contracts import Prediction
from adbench.testing import PixelGaussian, PixelGaussianHyperparameters


class GainHyperparameters(PixelGaussianHyperparameters):
    prediction_only: ClassVar[frozenset[str]] = frozenset({"gain", "noise"})

    gain: float = Field(1.0, description="of the maps")


class Gain(PixelGaussian):
    card = PixelGaussian.card.model_copy(update={"name": "gain"})
    Hyperparameters = GainHyperparameters

    def predict(self, images):
        plain = super().predict(images)
        return Prediction(self.hyperparameters.gain * plain.maps, plain.scores)

    def diagnostics(self):
        return {"gain": self.hyperparameters.gain}

    def training_flops(self, num_train):
        return 1e15

    def inference_flops(self, num_train):
        return 1e9
"""


@pytest.fixture
def gain(tmp_path: Path) -> str:
    """Reference of a method whose `gain` and `noise` only prediction reads."""
    file = tmp_path / "gain.py"
    file.write_text(PLUGIN)
    return f"{file}:Gain"


@pytest.fixture
def sweep(gain: str, toy: Toy, tmp_path: Path) -> Request:
    """Two cells that share a fit."""
    return _request(f"{gain}[gain=1|-1]", toy, tmp_path)


@pytest.fixture
def fits(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """One entry a call of `fit`."""
    calls: list[str] = []
    original: Callable[..., Any] = testing.PixelGaussian.fit

    def counted(self: Any, *arguments: Any) -> Any:
        calls.append("fit")
        return original(self, *arguments)

    monkeypatch.setattr(testing.PixelGaussian, "fit", counted)
    return calls


def _request(methods: str, toy: Toy, tmp_path: Path) -> Request:
    data = (f"{toy.reference}:a",)
    return Request(methods, data, "smoke", data_root=toy.folder, results=tmp_path / "results")


def _run(request: Request, **options: Any) -> Result:
    values: Any = {"timing": False, "checkpoint_seconds": 0.0, "device": "cpu"} | options
    request = replace(request, **values)
    return execute(request, request.plan(), Reporter())


def _cells(request: Request) -> tuple[Cell, ...]:
    return request.plan().cells


def test_only_the_later_keys_depend_on_a_prediction_only_field(
    gain: str, toy: Toy, tmp_path: Path
) -> None:
    plain, other, longer = _cells(
        _request(f"{gain},{gain}[gain=2,noise=0.5],{gain}[steps=2]", toy, tmp_path)
    )
    assert plain.fit_key == other.fit_key != longer.fit_key
    assert len({plain.predict_key, other.predict_key, longer.predict_key}) == 3
    assert len({plain.score_key, other.score_key, longer.score_key}) == 3
    assert other.prediction_options == {"gain": 2.0, "noise": 0.5}


@pytest.mark.parametrize("method", ["patchcore", PIXEL])
def test_a_method_without_such_fields_keeps_the_keys_it_always_had(
    method: str, toy: Toy, tmp_path: Path
) -> None:
    (cell,) = _cells(_request(method, toy, tmp_path))
    after_fit = ("masks", "mask_rule", "mask_threshold", "aupro_limits", "metrics")
    for key, left_out in (
        (cell.fit_key, ("test", *after_fit)),
        (cell.predict_key, after_fit),
        (cell.score_key, ()),
    ):
        parts = {n: v for n, v in cell.key_parts.items() if n not in ("code", *left_out)}
        assert key == digest(parts)[:24]


@pytest.mark.parametrize("name", method_names())
def test_prediction_only_names_are_fields(name: str) -> None:
    hyperparameters = load_method(name).Hyperparameters
    assert hyperparameters.prediction_only <= set(hyperparameters.model_fields)


def test_a_sweep_trains_once_and_records_each(sweep: Request, fits: list[str]) -> None:
    (_, one), (_, other) = _run(sweep).records
    assert fits == ["fit"]
    assert (one.status, other.status) == ("done", "done")
    assert one.keys["fit"] == other.keys["fit"] and one.keys["score"] != other.keys["score"]
    assert (one.variant, other.variant) == ("", "gain=-1.0")
    # Not the same numbers twice: the map is upside down, and what each says of itself its own.
    assert one.metrics["a"]["pixel_auroc"] != other.metrics["a"]["pixel_auroc"]
    assert (one.diagnostics, other.diagnostics) == ({"gain": 1.0}, {"gain": -1.0})
    assert one.timing["fit"] == other.timing["fit"]
    assert _run(sweep).reused == 2 and fits == ["fit"]


def test_a_later_run_takes_the_model_and_says_so(
    gain: str, toy: Toy, tmp_path: Path, fits: list[str]
) -> None:
    _run(_request(gain, toy, tmp_path))
    later = _request(f"{gain}[gain=3]", toy, tmp_path)
    (cell,) = _cells(later)
    explained = explain_cell(cell, later.store(), later.store().records())
    assert "predicted again with the kept model, not trained" in explained
    assert "hyperparameters.gain (1.0 -> 3.0)" in explained
    assert _run(later).records[0][1].diagnostics == {"gain": 3.0}
    assert fits == ["fit"]


def test_each_has_its_own_inference_timing(sweep: Request) -> None:
    _run(sweep, timing=True)
    (folder,) = (sweep.results / "cells").iterdir()
    assert len(list(folder.glob("timing-*.json"))) == 2
    assert not (folder / "timing.json").exists()


def test_overwriting_one_leaves_the_others_record(
    sweep: Request, gain: str, toy: Toy, tmp_path: Path, fits: list[str]
) -> None:
    before = [record for _, record in _run(sweep, timing=True).records]
    _run(_request(f"{gain}[gain=-1]", toy, tmp_path), overwrite="all")
    assert fits == ["fit", "fit"]
    again = _run(sweep)
    assert again.reused == 2
    assert again.records[0][1] == before[0]
    (folder,) = (sweep.results / "cells").iterdir()
    assert len(list(folder.glob("timing-*.json"))) == 1  # the other's; this one was not timed


def test_overwriting_all_trains_anew_once(sweep: Request, fits: list[str]) -> None:
    _run(sweep)
    again = _run(sweep, overwrite="all")
    assert [record.status for _, record in again.records] == ["done", "done"]
    assert fits == ["fit", "fit"] and again.reused == 0
    assert sum(1 for _ in sweep.store().records()) == 2


def test_models_that_are_not_kept_serve_all_their_cells(sweep: Request, fits: list[str]) -> None:
    _run(sweep, keep_model=False)
    assert fits == ["fit"]
    assert not list((sweep.results / "cells").glob("*/model"))


def test_a_cell_waits_for_the_owner_of_the_shared_folder(sweep: Request, fits: list[str]) -> None:
    folder = sweep.store().cell(_cells(sweep)[0]).path
    claim = ClaimWatch().try_claim(folder)
    assert claim is not None
    assert _run(sweep, wait=False).left == 2 and fits == []
    claim.release()
    assert _run(sweep, wait=False).left == 0 and fits == ["fit"]


def test_the_estimate_counts_the_training_once(sweep: Request, tmp_path: Path) -> None:
    one, other = _cells(sweep)
    fresh = replace(sweep, cache_folder=tmp_path / "fresh")
    alone = estimate([one], fresh).total
    assert estimate([other], fresh).total == alone
    assert alone < estimate([one, other], fresh).total < 1.01 * alone


def test_a_sweep_shows_a_row_each(gain: str, toy: Toy, invoke: Invoke) -> None:
    done = invoke(
        "run", "--methods", f"{gain}[gain=1|-1|2]", *toy.arguments("a"), "--preset", "smoke",
        "--no-timing",
    )  # fmt: skip
    assert done.code == 0, done.err
    for row in ("  gain ", "  gain, gain=-1.0 ", "  gain, gain=2.0 "):
        assert row in done.out
