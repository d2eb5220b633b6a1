"""What a run is said to take: by rates that earlier runs on this machine have left."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from toy import PIXEL, Invoke, Toy

from adbench.api import execute
from adbench.crew.reporter import Reporter
from adbench.estimates import (
    FILE,
    FIRST_GUESS,
    VERSION,
    Measured,
    Rates,
    estimate,
    learn,
    machine_label,
    settings_of,
    work_of,
)
from adbench.plan import Cell
from adbench.request import Request

STAGES = {"decode", "fit", "predict", "score", "time", "rest"}


@pytest.fixture
def request_(toy: Toy, tmp_path: Path) -> Request:
    """One cell of the toy set, with a cache of its own."""
    return Request(
        methods=PIXEL, datasets=(f"{toy.reference}:a",), data_root=toy.folder, preset="smoke",
        results=tmp_path / "results", cache_folder=tmp_path / "cache", device="cpu",
    )  # fmt: skip


def rows(request: Request) -> list[list[object]]:
    """What a request's cache folder says of stages."""
    assert request.cache_folder is not None
    body = (request.cache_folder / FILE).read_bytes().split(b"\n", 1)[1]
    stored = json.loads(body)
    assert stored["format"] == VERSION
    return [row for row in stored["files"].values() if row]


def only(request: Request) -> Cell:
    (cell,) = request.plan().cells
    return cell


def keep(request: Request, *measured: Measured) -> None:
    assert request.cache_folder is not None
    learn(request.cache_folder, "cpu", measured)


def test_a_run_leaves_what_its_stages_took_and_the_next_is_told_that(request_: Request) -> None:
    cell, first = only(request_), estimate([only(request_)], request_).total
    execute(request_, request_.plan(), Reporter())
    found = {str(row[1]): row for row in rows(request_)}
    assert set(found) == STAGES
    assert all(row[0] == machine_label("cpu") for row in found.values())
    assert found["predict"][4] == work_of(cell)["predict"]
    second = estimate([cell], request_)
    seconds = {stage: row[5] for stage, row in found.items()}
    assert second.cells[cell.score_key] == pytest.approx(
        sum(float(str(s)) for s in seconds.values()) - float(str(seconds["decode"]))
    )
    assert second.around == FIRST_GUESS["around"] and second.total != first


def test_images_that_are_in_the_cache_are_not_counted_again(request_: Request, toy: Toy) -> None:
    execute(request_, request_.plan(), Reporter())
    keep(request_, Measured("decode", "", "toy 32", 14.0, 7000.0))
    here = only(request_)
    there = only(replace(request_, datasets=(f"{toy.reference}:b",)))
    assert estimate([here], request_).total < 1000 < estimate([there], request_).total


def test_two_seeds_decode_and_compute_features_once(request_: Request) -> None:
    cells = replace(request_, seeds="0,1").plan().cells
    own = "pixel_gaussian", settings_of(cells[0])
    keep(
        request_,
        Measured("decode", "", "toy 32", 14.0, 1000.0),
        Measured("features", *own, 6.0, 500.0),
    )
    both = estimate(cells, request_).cells
    assert both[cells[0].score_key] - both[cells[1].score_key] == pytest.approx(1500.0)


def test_snapshots_are_predictions_and_scores_more(request_: Request) -> None:
    long = replace(request_, methods=f"{PIXEL}[steps=200]", timing=False)
    cell = only(long)
    own = "pixel_gaussian", settings_of(cell)
    keep(
        long,
        Measured("predict", *own, work_of(cell)["predict"], 10.0),
        Measured("score", *own, work_of(cell)["score"], 5.0),
    )
    plain = estimate([cell], long).total
    assert estimate([cell], replace(long, snapshots=4)).total - plain == pytest.approx(45.0)


def test_timing_counts_where_it_is_measured(request_: Request) -> None:
    cell = only(request_)
    keep(request_, Measured("time", "pixel_gaussian", settings_of(cell), 1.0, 77.0))
    untimed = replace(request_, timing=False)
    difference = estimate([cell], request_).total - estimate([cell], untimed).total
    assert difference == pytest.approx(77.0)


def test_the_rate_of_small_work_says_little_of_large_work() -> None:
    """A second for nearly no FLOPs, as with `smoke`, is no year for those of `paper`."""
    rates = Rates([Measured("fit", "m", "tiny", 1e9, 1.0)], (), gpu=False)
    unmeasured = Rates([], (), gpu=False)
    for settings in ("tiny", "other"):
        large = rates.seconds("fit", 1e18, "m", settings)
        assert large == pytest.approx(unmeasured.seconds("fit", 1e18, "m", settings), rel=0.01)
    assert rates.seconds("fit", 2e9, "m", "other") == pytest.approx(2.0)


def test_the_nearest_work_under_the_same_settings_counts() -> None:
    measured = [
        Measured("fit", "m", "own", 1e9, 1.0),
        Measured("fit", "m", "own", 1e12, 100.0),
        Measured("fit", "m", "other", 2e12, 9000.0),
    ]
    rates = Rates(measured, (), gpu=False)
    assert rates.seconds("fit", 2e12, "m", "own") == pytest.approx(200.0)
    assert rates.seconds("fit", 2e12, "m", "third") == pytest.approx(9000.0)


@pytest.mark.parametrize("content", [b"", b"\0" * 99, b'{"files": {}}'])
def test_a_damaged_file_of_rates_is_none(request_: Request, content: bytes) -> None:
    cell = only(request_)
    before = estimate([cell], request_)
    assert request_.cache_folder is not None
    request_.cache_folder.mkdir(exist_ok=True)
    (request_.cache_folder / FILE).write_bytes(content)
    assert estimate([cell], request_) == before


@pytest.mark.parametrize(
    "row", [[1], ["cpu", "fit", "m", "s", -1.0, 2.0], "text", {"a": 1}, [None] * 6]
)
def test_rows_of_another_shape_are_passed_over(request_: Request, row: object) -> None:
    from adbench.data.remembered import add_rows

    cell = only(request_)
    before = estimate([cell], request_)
    assert request_.cache_folder is not None
    add_rows(request_.cache_folder / FILE, VERSION, {"0" * 24: row})
    assert estimate([cell], request_) == before


def test_the_command_line_says_it_and_learns_what_is_around_a_run(
    request_: Request, toy: Toy, invoke: Invoke
) -> None:
    words = [*request_.words(), "--no-timing"]
    assert invoke("run", *words).code == 0
    assert {str(row[1]) for row in rows(request_)} == STAGES - {"time"} | {"around"}
    keep(request_, Measured.around(7200.0))
    told = invoke("plan", *words, "--overwrite", "all")
    assert "1 to run, about 2.0 h" in told.out + told.err
