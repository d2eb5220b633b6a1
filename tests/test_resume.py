"""The cache and resume cases that bit other harnesses (specs: ten known bugs), each a test.

1 failed is not done, 2 order of methods, 3 mutable state, 4 no data loading when all is there,
5 hits are counted, 6 partial is not complete, 7 timings survive, 8 nothing left still prints the
table, 9 another device or precision hits, 10 a metric change does not retrain.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from toy import PIXEL, Invoke, Toy

from adbench import testing
from adbench.api import Result, execute
from adbench.code_digest import MethodCode
from adbench.crew.reporter import Reporter
from adbench.plan import Plan
from adbench.request import Request
from adbench.store.folders import Store
from adbench.store.records import Record

CHANGED = MethodCode("0" * 16, {"changed": "x"})


@pytest.fixture
def request_(toy: Toy, tmp_path: Path) -> Request:
    return Request(
        PIXEL, (toy.reference,), preset="smoke", data_root=toy.folder, results=tmp_path / "results"
    )


@pytest.fixture
def fits(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of what was called, in order."""
    calls: list[str] = []
    for name in ("fit", "predict", "load"):
        original: Callable[..., Any] = getattr(testing.PixelGaussian, name)

        def counted(self: Any, *a: Any, _n: str = name, _o: Any = original, **k: Any) -> Any:
            calls.append(_n)
            return _o(self, *a, **k)

        monkeypatch.setattr(testing.PixelGaussian, name, counted)
    return calls


def _run(request: Request, plan: Plan | None = None, **options: Any) -> Result:
    reporter = options.pop("reporter", Reporter())
    values: Any = {"timing": False, "checkpoint_seconds": 0.0, "device": "cpu"} | options
    request = replace(request, **values)
    return execute(request, plan or request.plan(), reporter)


def _metrics(result: Result) -> list[dict[str, Any]]:
    return [record.metrics for _, record in result.records]


def _break(monkeypatch: pytest.MonkeyPatch, category: str) -> None:
    original = testing.PixelGaussian.fit

    def fit(self: Any, train: Any, context: Any) -> Any:
        if category in train.categories:
            raise RuntimeError("broken on purpose")
        return original(self, train, context)

    monkeypatch.setattr(testing.PixelGaussian, "fit", fit)


def test_a_failed_cell_stops_no_other_and_is_not_done(
    request_: Request, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as broken:
        _break(broken, "a")
        result = _run(request_)
    assert [r.status for _, r in result.records] == ["failed", "done"]
    assert result.exit_code == 3
    failure = result.records[0][1].failure
    assert failure is not None and failure.message == "broken on purpose"
    assert any("in fit" in line for line in failure.traceback)
    assert _run(request_, overwrite="never").records[0][1].status == "failed"
    again = _run(request_)
    assert [r.status for _, r in again.records] == ["done", "done"] and again.reused == 1
    assert not list((request_.results / "cells").glob("*/failed-*"))


def test_a_failure_record_names_no_machine(
    request_: Request, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    _break(monkeypatch, "a")
    _run(request_)
    for path in (request_.results / "cells").glob("*/*.json"):
        text = path.read_text()
        assert str(tmp_path) not in text and str(Path.home()) not in text


def test_a_method_that_changes_its_own_state_does_not_change_keys(request_: Request) -> None:
    before = [c.score_key for c in request_.plan().cells]
    _run(request_)
    assert [c.score_key for c in request_.plan().cells] == before


def test_a_finished_grid_loads_nothing_and_counts_hits(
    request_: Request, fits: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    first = _run(request_)
    assert first.reused == 0
    fits.clear()
    for name in ("decode_image", "load_images", "load_masks"):
        monkeypatch.setattr(f"adbench.data.images.{name}", _forbidden)
    monkeypatch.setattr("adbench.data.cache.DiskCache.array", _forbidden)
    again = _run(request_)
    assert again.reused == 2 and fits == [] and _metrics(again) == _metrics(first)


def test_overwrite_all_runs_again(request_: Request, fits: list[str]) -> None:
    first = _run(request_)
    second = _run(request_, overwrite="all")
    assert second.reused == 0 and fits.count("fit") == 4
    assert _metrics(first) == _metrics(second)


def test_a_cell_without_its_record_is_not_complete_and_goes_on(
    request_: Request, fits: list[str]
) -> None:
    whole = _run(request_)
    for path in (request_.results / "cells").glob("*/record-*.json"):
        path.unlink()
    assert list(request_.store().records()) == []
    fits.clear()
    resumed = _run(request_)
    assert _metrics(resumed) == _metrics(whole)
    assert "fit" not in fits and "load" in fits


def test_training_goes_on_from_its_checkpoint_with_equal_numbers(
    request_: Request, toy: Toy, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = Request(
        f"{PIXEL}[steps=6]", (f"{toy.reference}:a",), preset="smoke", data_root=toy.folder,
        results=request_.results,
    )  # fmt: skip
    steps: list[int] = []

    class Killed(BaseException):
        pass

    class Dies(Reporter):
        def cell_progress(self, stage: str, done: int, total: int, **numbers: float) -> None:
            if stage == "fit":
                steps.append(done)
                if done == 4 and len(steps) == 4:
                    raise Killed

    with pytest.raises(Killed):
        _run(request, reporter=Dies())
    resumed = _run(request, reporter=Dies())
    assert steps == [1, 2, 3, 4, 4, 5, 6]
    fit = resumed.records[0][1].timing["fit"]
    assert fit["resumes"] == 1
    fresh = _run(request, overwrite="all")
    assert _metrics(resumed) == _metrics(fresh)
    assert resumed.records[0][1].images == fresh.records[0][1].images


def test_a_fit_that_took_features_from_the_cache_is_not_timed(
    request_: Request, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = testing.PixelGaussian.fit

    def fit(self: Any, train: Any, context: Any) -> Any:
        context.cache.array("features of the first fit", (4,), "float32", lambda array: None)
        return original(self, train, context)

    monkeypatch.setattr(testing.PixelGaussian, "fit", fit)
    fits = [record.timing["fit"] for _, record in _run(request_).records]
    assert [f["cached_arrays"] for f in fits] == [0, 1]
    assert fits[1]["valid"] is False


def test_timings_survive_a_resume(request_: Request) -> None:
    first = _run(request_, timing=True)
    for path in (request_.results / "cells").glob("*/record-*.json"):
        path.unlink()
    for path in (request_.results / "cells").glob("*/timing.json"):
        content = json.loads(path.read_text())
        assert content["seconds_per_image"]["median"] > 0
    second = _run(request_, timing=True)
    for (_, a), (_, b) in zip(first.records, second.records, strict=True):
        assert a.timing["fit"] == b.timing["fit"]
        if a.timing["inference"]["valid"]:
            assert a.timing["inference"] == b.timing["inference"]


def test_nothing_left_to_do_still_prints_the_table(invoke: Invoke, toy: Toy) -> None:
    arguments = ["run", "--methods", PIXEL, *toy.arguments("a"), "--preset", "smoke"]
    first, second = invoke(*arguments), invoke(*arguments)
    assert (first.code, second.code) == (0, 0)
    assert "1 there already" in second.err
    assert second.out and "image AUROC" in second.out


def test_precision_does_not_enter_the_key(
    request_: Request, fits: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for precision in ("fp32", "bf16"):
        monkeypatch.setattr("adbench.work.work.choose_precision", lambda _, found=precision: found)
        fits.clear()
        result = _run(request_)
    assert result.reused == 2 and fits == []


def test_a_metric_or_mask_change_scores_again_without_training(
    request_: Request, fits: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    _run(request_)
    fits.clear()
    monkeypatch.setattr("adbench.plan.metrics_digest", lambda: "other")
    rescored = _run(request_)
    assert rescored.reused == 0 and "fit" not in fits and "predict" in fits
    assert {r.keys["score"] for r in _records(request_)} >= {
        c.score_key for c, _ in rescored.records
    }


def test_kept_maps_are_scored_again_without_predicting(
    request_: Request, fits: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    first = _run(request_, keep_maps=True)
    fits.clear()
    monkeypatch.setattr("adbench.plan.metrics_digest", lambda: "other")
    again = _run(request_, keep_maps=True)
    assert fits == [] and _metrics(again) == _metrics(first)


def test_new_test_images_do_not_retrain(request_: Request, toy: Toy, fits: list[str]) -> None:
    _run(request_)
    fits.clear()
    (toy.root / "a/test/good/003.png").unlink()
    result = _run(request_)
    assert result.reused == 1 and "fit" not in fits and "load" in fits
    assert len(result.records[0][1].images["id"]) == 7


def test_a_changed_method_is_run_again(request_: Request, monkeypatch: pytest.MonkeyPatch) -> None:
    _run(request_)
    monkeypatch.setattr("adbench.plan.method_code", lambda method: CHANGED)
    assert _run(request_).reused == 0


def test_explain_cache_says_what_changed(invoke: Invoke, toy: Toy) -> None:
    base = ["run", *toy.arguments("a"), "--preset", "smoke", "--no-timing", "--explain-cache"]
    assert "never run" in invoke(*base, "--methods", PIXEL).err
    assert "reused, all keys equal" in invoke(*base, "--methods", PIXEL).err
    changed = invoke(*base, "--methods", f"{PIXEL}[noise=0.25]").err
    assert "trained again" in changed and "hyperparameters.noise (0.0 -> 0.25)" in changed
    rule = invoke(*base, "--methods", PIXEL, "--mask-rule", "area_max").err
    assert "not trained" in rule and "mask_rule" in rule


def _records(request: Request) -> list[Record]:
    return list(request.store().records())


def _forbidden(*_arguments: Any, **_options: Any) -> Any:
    raise AssertionError("a finished grid must not load data")


def test_overwrite_timing_measures_again_and_keeps_the_scores(
    request_: Request, fits: list[str]
) -> None:
    first = _run(request_)
    assert first.records[0][1].timing["inference"] is None
    fits.clear()
    timed = _run(request_, timing=True, overwrite="timing")
    assert timed.reused == 0 and "fit" not in fits
    assert timed.records[0][1].timing["inference"]["images_per_second"] > 0
    assert _metrics(timed) == _metrics(first)
    assert timed.records[0][1].created == first.records[0][1].created


@pytest.mark.parametrize(
    ("kept", "said", "fitted"),
    [
        (("--keep-maps", "--no-keep-model"), "scored again from kept maps", []),
        (("--keep-maps",), "scored again from kept maps", []),
        ((), "predicted again with the kept model, not trained", []),
        (("--no-keep-model",), "trained again, since neither its maps nor its model", ["fit"]),
    ],
)
def test_explain_cache_says_truly_what_another_score_costs(
    invoke: Invoke, toy: Toy, fits: list[str], kept: tuple[str, ...], said: str, fitted: list[str]
) -> None:
    base = ["run", *toy.arguments("a"), "--methods", PIXEL, "--preset", "smoke", "--no-timing"]
    assert invoke(*base, *kept).code == 0
    (first,) = Store(Path("results")).records()
    fits.clear()
    again = invoke(*base, *kept, "--mask-rule", "area_max", "--explain-cache")
    assert said in again.err and [name for name in fits if name == "fit"] == fitted
    (other,) = [r for r in Store(Path("results")).records() if r.keys != first.keys]
    assert other.protocol == {**first.protocol, "mask_rule": "area_max"}
    assert other.images == first.images and other.diagnostics == first.diagnostics
    if not fitted:
        assert other.timing == first.timing
