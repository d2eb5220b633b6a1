"""Points along one training: kept, scored beside the record, and nowhere else."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from toy import PIXEL, Invoke, Toy, spawn

from adbench import testing
from adbench.cell.snapshots import snapshot_steps

METHOD = f"{PIXEL}[steps=20]"


def _run(invoke: Invoke, toy: Toy, *more: str, methods: str = METHOD) -> Any:
    done = invoke(
        "run", "--methods", methods, *toy.arguments("a"), "--preset", "smoke", "--no-timing",
        "--json", *more,
    )  # fmt: skip
    assert done.code == 0, done.err
    return json.loads(done.out), done.err


def _record(results: Path = Path("results")) -> dict[str, Any]:
    (path,) = results.glob("cells/*/record-*.json")
    record: dict[str, Any] = json.loads(path.read_text())
    return record


def _points(record: dict[str, Any]) -> list[dict[str, Any]]:
    """Without what differs from time to time."""
    return [{n: v for n, v in p.items() if n != "seconds"} for p in record["snapshots"]]


def test_steps_are_log_spaced_and_end_before_the_model() -> None:
    assert sorted(snapshot_steps(1000, 5)) == [10, 32, 100, 316]
    assert sorted(snapshot_steps(6, 8)) == [1, 2, 3]
    assert snapshot_steps(1000, 1) == snapshot_steps(1000, 0) == snapshot_steps(1, 5) == set()


def test_each_point_is_the_model_of_so_many_steps(invoke: Invoke, toy: Toy) -> None:
    _run(invoke, toy, "--snapshots", "4")
    record = _record()
    assert [p["step"] for p in record["snapshots"]] == [1, 4]
    assert {p["steps"] for p in record["snapshots"]} == {20}
    images = len(list((toy.root / "a/train/good").iterdir()))
    assert [p["training_flops"] for p in record["snapshots"]] == [
        4.0 * step * images * 32**2 for step in (1, 4)
    ]
    assert record["timing"]["fit"]["training_flops"] == 4.0 * 20 * images * 32**2
    seconds = [p["seconds"] for p in record["snapshots"]]
    assert 0 < seconds[0] <= seconds[1] <= record["timing"]["fit"]["seconds"]
    # Each pass sees the same images, so that the model is the same after any of them.
    for point in record["snapshots"]:
        own = point["metrics"]["a"]
        assert own == {name: record["metrics"]["a"][name] for name in own}
        assert "preset smoke" in point["skill"]["reason"]
    _run(invoke, toy, "--results", "plain")
    plain = _record(Path("plain"))
    assert plain["snapshots"] == [] and plain["keys"] == record["keys"]
    assert (plain["metrics"], plain["images"]) == (record["metrics"], record["images"])


def test_snapshots_count_into_no_fit_seconds(
    invoke: Invoke, toy: Toy, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = testing.PixelGaussian._after

    def slow(self: Any, *arguments: Any) -> Any:
        time.sleep(0.6)
        return original(self, *arguments)

    monkeypatch.setattr(testing.PixelGaussian, "_after", slow)
    _run(invoke, toy, "--snapshots", "4")
    record = _record()
    assert len(record["snapshots"]) == 2
    assert record["snapshots"][1]["seconds"] < record["timing"]["fit"]["seconds"] < 0.6


def test_a_killed_training_keeps_its_snapshots(
    invoke: Invoke, toy: Toy, monkeypatch: pytest.MonkeyPatch
) -> None:
    _run(invoke, toy, "--snapshots", "4", "--results", "undisturbed")
    made: list[int] = []
    original: Callable[..., Any] = testing.PixelGaussian._after

    def dies(self: Any, step: int, *rest: Any) -> Any:
        made.append(step)
        if made == [1, 4]:
            raise KeyboardInterrupt
        return original(self, step, *rest)

    monkeypatch.setattr(testing.PixelGaussian, "_after", dies)
    words = ["run", "--methods", METHOD, *toy.arguments("a"), "--preset", "smoke", "--no-timing"]
    invoke(*words, "--snapshots", "4", "--checkpoint-every", "0")
    assert [p.name for p in Path("results").glob("cells/*/snapshots/*")] == ["00000001"]
    _run(invoke, toy, "--snapshots", "4", "--checkpoint-every", "0")
    assert made == [1, 4, 4]  # the one that was cut off is made good, the other kept
    assert _points(_record()) == _points(_record(Path("undisturbed")))


def test_a_kill_while_snapshots_are_scored_costs_no_training(toy: Toy, tmp_path: Path) -> None:
    words = [
        "run", "--methods", f"{PIXEL}[steps=20]", *toy.arguments("a"), "--preset", "smoke",
        "--no-timing", "--snapshots", "20", "--json",
    ]  # fmt: skip
    process = spawn(*words, cwd=tmp_path)
    while process.poll() is None and not list(tmp_path.glob("results/cells/*/snapshots/*.json")):
        time.sleep(0.005)
    process.kill()
    process.communicate()
    models = {p: p.stat().st_mtime_ns for p in tmp_path.glob("results/cells/*/model/fit.json")}
    out, err = spawn(*words, cwd=tmp_path).communicate()
    assert json.loads(out)[0]["status"] == "done", err
    assert models == {p: p.stat().st_mtime_ns for p in models} and models
    record = _record(tmp_path / "results")
    assert [p["step"] for p in record["snapshots"]] == [1, 2, 3, 4, 5, 6, 8, 10, 12, 16]
    kept = [p.name for p in tmp_path.glob("results/cells/*/snapshots/*")]
    assert len(kept) == 10 and all(name.isdigit() for name in kept)


def test_a_model_that_cannot_predict_yet_costs_its_point_alone(
    invoke: Invoke, toy: Toy, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = testing.PixelGaussian._after

    def early(self: Any, step: int, *rest: Any) -> Any:
        fitted = original(self, step, *rest)
        if step == 1:
            fitted.mean_ *= float("nan")
        return fitted

    monkeypatch.setattr(testing.PixelGaussian, "_after", early)
    _, said = _run(invoke, toy, "--snapshots", "4")
    first, second = _record()["snapshots"]
    assert first["metrics"] == {} and "NaN" in first["failure"] and "NaN" in said
    assert second["metrics"]["a"]["image_auroc"] is not None
    assert _record()["status"] == "done"


def test_models_along_the_training_go_with_the_model(invoke: Invoke, toy: Toy) -> None:
    _run(invoke, toy, "--snapshots", "4", "--no-keep-model")
    assert len(_record()["snapshots"]) == 2
    assert not list(Path("results").glob("cells/*/snapshots"))
    _run(invoke, toy, "--snapshots", "2", "--overwrite", "all")
    assert [p["step"] for p in _record()["snapshots"]] == [1]
    _run(invoke, toy, "--overwrite", "all")
    assert _record()["snapshots"] == [] and not list(Path("results").glob("cells/*/snapshots"))


# ------------------------------------------------------------------- what is shown of them


def _rows(invoke: Invoke, *words: str) -> list[dict[str, Any]]:
    done = invoke("report", *words, "--json")
    assert done.code == 0, done.err
    rows: list[dict[str, Any]] = json.loads(done.out)
    return rows


def test_points_are_shown_on_request_and_in_no_table(invoke: Invoke, toy: Toy) -> None:
    table, _ = _run(invoke, toy, "--snapshots", "4", methods=f"{METHOD},{PIXEL}[image_size=16]")
    rows = _rows(invoke, "--snapshots")
    assert [(r["variant"], r["step"], r["share"]) for r in rows] == [
        ("image_size=16", None, 1.0),
        ("steps=20", 1, 0.05),
        ("steps=20", 4, 0.2),
        ("steps=20", 20, 1.0),
    ]
    own = next(row for row in table if row["variant"] == "steps=20")
    assert rows[-1]["image_auroc"] == own["image_auroc"]
    flops = [row["training_flops"] for row in rows[1:]]
    assert flops == sorted(flops) and rows[0]["skill"] is None
    shown = invoke("report", "--snapshots").out
    assert "Along one training: toy, a" in shown
    assert "Before the rate falls an earlier point is not what a shorter training" in shown
    assert len(invoke("report", "--snapshots", "--format", "csv").out.splitlines()) == 5
    assert "Along one training" in invoke("report", "--snapshots", "--format", "latex").out
    assert len(_rows(invoke)) == 2
    assert "snapshots" not in invoke("baseline", "save", "file.json").err
    (kept, *_) = json.loads(Path("file.json").read_text())["records"]
    assert kept["snapshots"] == []


def test_what_is_there_without_snapshots_is_said(invoke: Invoke, toy: Toy) -> None:
    _run(invoke, toy, methods=f"{METHOD},{PIXEL}")
    _, said = _run(invoke, toy, "--snapshots", "4", methods=f"{METHOD},{PIXEL}")
    assert "note: 1 cell there already without snapshots" in said and "--overwrite all" in said
    done = invoke("report", "--snapshots")
    assert done.code == 2 and "adbench run --snapshots 8" in done.err
    done = invoke("report", "--snapshots", "--published")
    assert done.code == 2 and "a table of its own" in done.err


def test_budgets_train_anew_and_stand_apart(invoke: Invoke, toy: Toy) -> None:
    both = f"{METHOD},{PIXEL}[image_size=16]"
    table, said = _run(invoke, toy, "--budgets", "0.25,0.5,1", methods=both)
    assert "has no shorter training at --budgets 0.25" in said
    variants = ["image_size=16", "steps=20", "steps=20,budget=0.25", "steps=20,budget=0.5"]
    assert sorted({row["variant"] for row in table}) == variants
    rows = _rows(invoke, "--budgets")
    assert [(r["variant"], r["share"]) for r in rows] == [
        ("image_size=16", 1.0),
        ("steps=20", 0.25),
        ("steps=20", 0.5),
        ("steps=20", 1.0),
    ]
    flops = [row["training_flops"] for row in rows[1:]]
    assert flops == [flops[2] / 4, flops[2] / 2, flops[2]]
    assert "Trained anew at parts of the steps: toy, a" in invoke("report", "--budgets").out
    assert {row["variant"] for row in _rows(invoke)} == {"image_size=16", "steps=20"}
    assert invoke("baseline", "save", "file.json").code == 0
    assert len(json.loads(Path("file.json").read_text())["records"]) == 2
    # What was trained for a part is not trained again where it is asked for by its steps.
    models = set(Path("results").glob("cells/*/model"))
    _run(invoke, toy, methods=f"{PIXEL}[steps=5]")
    assert set(Path("results").glob("cells/*/model")) == models
    _run(invoke, toy, "--budgets", "0.25,0.5,1", methods=both)
    assert set(Path("results").glob("cells/*/model")) == models


@pytest.mark.parametrize("budgets", ["", "0", "1.5", "half", "-0.5", "0.5,,1"])
def test_wrong_budgets_are_refused(invoke: Invoke, toy: Toy, budgets: str) -> None:
    done = invoke("run", "--methods", METHOD, *toy.arguments("a"), "--budgets", budgets)
    assert done.code == 2 and "parts of the steps above 0 and up to 1" in done.err


def test_pictures_of_both_kinds(invoke: Invoke, toy: Toy) -> None:
    words = "--methods", METHOD, *toy.arguments("a"), "--preset", "smoke", "--no-timing"
    invoke("run", *words, "--budgets", "0.5,1", "--snapshots", "3")
    assert invoke("figures").code == 0
    drawn = sorted(p.name for p in Path("results/figures/training").iterdir())
    assert drawn == [f"toy-a-{kind}.{end}" for kind in ("along", "anew") for end in ("pdf", "png")]
    assert not list(Path("results/figures").glob("**/*budget*"))
