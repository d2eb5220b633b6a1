"""`run --calibrate`: which normals are held out, of what, and where that is seen."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace
from pathlib import Path

import pytest
from knob import KnobPlugin, write_knob
from reports import failed_record, make_record, notes, tables, texts
from scored import scored_record
from toy import PIXEL, Invoke, Toy, write_toy

from adbench.api import Result, execute
from adbench.cli.explain import explain_cell
from adbench.crew.reporter import Reporter
from adbench.data.calibration import CALIBRATION
from adbench.errors import DataError, UsageError
from adbench.figures.names import series
from adbench.report.beside import differences
from adbench.report.verdicts import VerdictReport
from adbench.request import Request
from adbench.store.points import anew
from adbench.store.records import Record

CONTENT = (("train", "good", 24), ("test", "good", 6), ("test", "hole", 5))


@pytest.fixture
def data(tmp_path: Path) -> Toy:
    """24 training normals of 16 pixels in each of two categories."""
    return write_toy(tmp_path / "data", side=16, content=CONTENT)


@pytest.fixture
def knob(tmp_path: Path) -> KnobPlugin:
    return write_knob(tmp_path / "plugins")


def request_for(data: Toy, methods: str, results: Path, **options: object) -> Request:
    own = Request(methods, (f"{data.reference}:a",), "smoke", data_root=data.folder,
                  results=results, device="cpu", timing=False, checkpoint_seconds=0.0)  # fmt: skip
    return replace(own, **options)  # type: ignore[arg-type]


def ran(request: Request) -> Result:
    result = execute(request, request.plan(), Reporter())
    assert [record.status for _, record in result.records] == ["done"] * len(result.records)
    return result


def only(request: Request) -> Record:
    ((_, record),) = ran(request).records
    return record


def test_nothing_changes_without_it(data: Toy, tmp_path: Path) -> None:
    plain = request_for(data, PIXEL, tmp_path / "r")
    (cell,), (other,) = plain.plan().cells, replace(plain, calibrate=0.25).plan().cells
    assert "calibrate" not in cell.identity and CALIBRATION not in cell.key_parts
    assert set(cell.data.file_digests(cell.categories)["a"]) == {"train", "test", "masks"}  # type: ignore[arg-type]
    keys = [{c.fit_key, c.predict_key, c.score_key} for c in (cell, other)]
    assert not keys[0] & keys[1]
    record = only(plain)
    assert record.calibration == {} and "calibrate" not in record.protocol


def test_held_out_normals_are_drawn_once_and_train_nothing(
    data: Toy, knob: KnobPlugin, tmp_path: Path
) -> None:
    request = request_for(data, f"{knob.reference},{PIXEL}", tmp_path / "r", calibrate=0.25,
                          seeds="0-1")  # fmt: skip
    records = [record for _, record in ran(request).records]
    held_out = records[0].calibration["id"]
    assert len(held_out) == 6 and all(r.calibration["id"] == held_out for r in records)
    assert records[0].calibration["share"] == 0.25 and records[0].calibration["seed"] == 0
    for line in knob.log("fit"):
        trained = {word for word in line.split() if word.endswith(".png")}
        assert len(trained) == 18 and not trained & set(held_out)
    # In the words of one who reads the folder, nothing else is drawn.
    folder = data.root / "a" / "train" / "good"
    names = sorted(f"a/train/good/{path.name}" for path in folder.iterdir())
    assert set(held_out) < set(names)
    assert records[0].data["train_images"] == 18
    assert records[0].timing["fit"]["images"] == 18


def test_the_scores_kept_are_those_of_the_fitted_model(data: Toy, tmp_path: Path) -> None:
    import adbench

    record = only(request_for(data, PIXEL, tmp_path / "r", calibrate=0.25))
    cell = adbench.load_cell(f"{PIXEL}:toy:a", tmp_path / "r")
    found = cell.predict([data.root / path for path in record.calibration["id"]])
    assert found.scores.tolist() == record.calibration["score"]
    low, high = record.calibration["maps"]["a"]
    assert 0 < low < high == found.maps.max()


def test_what_is_held_out_is_in_the_keys(data: Toy, tmp_path: Path) -> None:
    request = request_for(data, PIXEL, tmp_path / "r", calibrate=0.25)
    (before,) = request.plan().cells
    keys, held_out = (before.fit_key, before.key_parts), next(iter(before.data.held_out))
    (data.root / held_out.path).write_bytes((data.root / "a/test/good/000.png").read_bytes())
    (after,) = request.plan().cells
    assert keys[0] != after.fit_key and keys[1][CALIBRATION] != after.key_parts[CALIBRATION]


def test_the_data_are_the_same_and_the_protocol_is_another(
    data: Toy, tmp_path: Path, invoke: Invoke
) -> None:
    words = ["run", "--methods", PIXEL, *data.arguments("a"), "--preset", "smoke", "--no-timing"]
    assert invoke(*words).code == 0
    done = invoke(*words, "--calibrate", "0.25")
    assert done.code == 0, done.err
    assert "toy:a: 6 normals of 24 held out; verdicts at alpha 0.05 want 19" in done.err
    told = invoke("report").out
    assert "differ in calibrate (0.25, none); their numbers are not ranked together" in told
    assert "25 % of the normals kept to calibrate" in told
    assert "different data" not in told
    rows = json.loads(invoke("report", "--json").out)
    assert len({row["protocol"] for row in rows}) == 2
    assert len({row["data"] for row in rows}) == 1
    compared = invoke("compare", "results", "results")
    assert compared.code == 0, compared.err
    reused = invoke(*words, "--calibrate", "0.25")
    assert "1 cell, 1 there already" in reused.err


def test_a_number_of_another_protocol_is_not_compared(data: Toy, tmp_path: Path, invoke: Invoke):
    words = ["run", "--methods", PIXEL, *data.arguments("a"), "--preset", "smoke", "--no-timing"]
    assert invoke(*words, "--results", "plain").code == 0
    assert invoke(*words, "--results", "kept", "--calibrate", "0.25").code == 0
    found = invoke("compare", "plain", "kept")
    assert found.code == 5
    assert "protocol differs: calibrate None → 0.25" in found.out + found.err


def test_a_calibrated_training_is_no_part_of_another(data: Toy, tmp_path: Path) -> None:
    plain = request_for(data, PIXEL + "[steps=4]", tmp_path / "r")
    records = [only(plain), only(replace(plain, calibrate=0.25, budgets="0.5"))]
    assert [len(training.points) for training in anew(records)] == [1, 1]
    assert sorted(series(records)) == [
        "pixel_gaussian, steps=4", "pixel_gaussian, steps=4, budget=0.5 (calibrate 0.25)",
    ]  # fmt: skip


def test_a_failed_cell_counts_with_its_own_protocol(data: Toy, tmp_path: Path) -> None:
    plain = make_record(key_parts={"mask_rule": "nearest"}, created="2026-01-02T00:00:00Z")
    own = make_record(category="b", key_parts={"calibrate": 0.2}, protocol={"calibrate": 0.2})
    failed = failed_record(key_parts={"calibrate": 0.2, "mask_rule": "nearest"})
    found = [texts(table) for table in tables([plain, own, failed])]
    assert any("failed" in cell for table in found for row in table for cell in row)
    assert not any("mean of 2" in cell for table in found for row in table for cell in row)


def test_the_share_is_no_match_for_a_papers_number() -> None:
    from adbench.report.own_runs import own_runs
    from adbench.report.report import Report
    from adbench.report.reported import columns, published_numbers

    theirs = next(iter(columns(published_numbers(), ["mpdd"])))
    found = []
    for protocol in ({}, {"calibrate": 0.2}):
        report = Report([make_record(dataset="mpdd", protocol=protocol)])
        (run,) = own_runs(report.records, report.summaries, report.marks)
        found.append({d.what for d in differences(theirs, run, {})})
    assert found[1] - found[0] == {"held out to calibrate"}


def test_a_unified_model_holds_out_of_each_category(data: Toy, tmp_path: Path) -> None:
    request = request_for(data, PIXEL, tmp_path / "r", calibrate=0.25, scope="unified",
                          datasets=(data.reference,))  # fmt: skip
    record = only(request)
    assert record.calibration["category"] == ["a"] * 6 + ["b"] * 6
    assert [len(record.held_out_scores(c)) for c in ("a", "b", "c")] == [6, 6, 0]
    assert record.timing["fit"]["images"] == 36


def test_other_mask_rules_keep_the_scores_and_train_nothing(
    data: Toy, knob: KnobPlugin, tmp_path: Path
) -> None:
    request = request_for(data, knob.reference, tmp_path / "r", calibrate=0.25, keep_maps=True,
                          keep_model=False)  # fmt: skip
    first = only(request)
    second = only(replace(request, mask_rule="area_max"))
    assert len(knob.log("fit")) == 1
    assert second.calibration == first.calibration != {}


def test_a_killed_calibration_goes_on(data: Toy, knob: KnobPlugin, tmp_path: Path, monkeypatch):
    from adbench.cell import runner

    request = request_for(data, knob.reference, tmp_path / "r", calibrate=0.25)
    with monkeypatch.context() as patch:
        patch.setattr(runner, "write_pixel_statistics", _interrupted)
        with pytest.raises(KeyboardInterrupt):
            ran(request)
    knob.forget()
    assert only(request).calibration["id"]
    assert knob.log("fit") == knob.log("predict") == []


def _interrupted(*_arguments: object) -> None:
    raise KeyboardInterrupt


def test_why_a_cell_is_not_reused_is_told(data: Toy, tmp_path: Path) -> None:
    plain = request_for(data, PIXEL, tmp_path / "r")
    only(plain)
    (cell,) = replace(plain, calibrate=0.25).plan().cells
    told = explain_cell(cell, plain.store(), plain.store().records())
    assert "the share of normals that calibrate" in told and "trained again" in told


@pytest.mark.parametrize("share", ["0", "1", "-0.2", "1.5", "nan"])
def test_a_share_that_is_none_is_refused(data: Toy, invoke: Invoke, share: str) -> None:
    done = invoke("run", "--methods", PIXEL, *data.arguments(), f"--calibrate={share}")
    assert done.code == 2 and "--calibrate" in done.err and done.err.count("\n") == 1


def test_too_few_normals_are_refused_before_anything_runs(
    data: Toy, invoke: Invoke, tmp_path: Path
) -> None:
    done = invoke(
        "run", "--methods", PIXEL, *data.arguments("a"), "--limit", "3", "--calibrate", "0.5",
    )  # fmt: skip
    assert done.code == 4 and done.err.count("\n") == 1
    assert "a has 3 training normals: --calibrate 0.5 would leave 1 to train on" in done.err
    assert not (tmp_path / "results" / "cells").exists()


def test_what_was_chosen_on_the_same_normals_is_refused(data: Toy, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--calibrate with --selected"):
        request_for(data, PIXEL, tmp_path / "r", calibrate=0.2, selected=Path("s.json"))


def test_a_worker_is_told_of_it(data: Toy, tmp_path: Path) -> None:
    words = request_for(data, PIXEL, tmp_path / "r", calibrate=0.25).words()
    assert words[words.index("--calibrate") + 1] == "0.25"


def test_data_without_enough_normals_say_so(data: Toy, tmp_path: Path) -> None:
    request = request_for(data, PIXEL, tmp_path / "r", calibrate=0.99)
    with pytest.raises(DataError, match="would leave 0"):
        request.plan()


# ------------------------------------------------------------------------ report --verdicts


def calibrated(held_out: int, scores: list[float], labels: list[int], **changes: object) -> Record:
    """A record whose held-out normals score 1, 2, ..."""
    import numpy as np

    numbers = range(1, held_out + 1)
    kept = {"share": 0.2, "seed": 0, "id": [f"n{i}" for i in numbers],
            "category": ["a"] * held_out, "score": [float(i) for i in numbers]}  # fmt: skip
    record = scored_record(np.array(labels), np.array(scores), **changes)  # type: ignore[arg-type]
    return record.model_copy(update={"calibration": kept, "data": {"train_images": 61}})


def test_verdicts_count_false_alarms_and_recall() -> None:
    # With 19 normals only what scores above all of them has a p-value of 1/20.
    scores, labels = [19.0, 19.5, 3.0, 2.0, 30.0, 18.0], [0, 0, 0, 0, 1, 1]
    report = VerdictReport([calibrated(19, scores, labels)])
    (table,) = report.tables
    assert texts(table) == [
        ["m", "a", "19", "25.00", "0.6–80.6", "1/4", "50.00", "1.3–98.7", "1/2"]
    ]
    (row,) = report.all_rows
    assert (row["held_out"], row["false_alarms"], row["normal"]) == (19, 1, 4)
    assert (row["false_alarm_rate"], row["recall"]) == (0.25, 0.5)
    assert any("n = 19: 0.1–17.6 %" in note.text for note in report.notes)
    assert VerdictReport(report.records, alpha=0.1).all_rows[0]["false_alarms"] == 2


def test_too_few_held_out_normals_give_no_verdict_and_say_how_many_are_wanted() -> None:
    report = VerdictReport([calibrated(18, [1.0, 2.0], [0, 1])])
    assert texts(report.tables[0]) == [["m", "a", "18", *["–"] * 6]]
    assert any(
        "no verdict with 18 held-out normals; verdicts at alpha 0.05 want 19: --calibrate 0.24 "
        "holds out as many." in note.text
        for note in report.notes
    )
    few = report.records[0].model_copy(update={"data": {"train_images": 3}})
    told = [note.text for note in VerdictReport([few]).notes]
    assert any("verdicts at --alpha 0.053 or more are possible with these" in t for t in told)
    assert VerdictReport([few], alpha=0.053).all_rows[0]["false_alarms"] is not None


def test_a_report_of_verdicts_in_every_format(data: Toy, invoke: Invoke, tmp_path: Path) -> None:
    words = ["run", "--methods", PIXEL, *data.arguments(), "--preset", "smoke", "--no-timing"]
    none = invoke("report", "--verdicts")
    assert none.code == 2
    assert invoke(*words).code == 0
    none = invoke("report", "--verdicts")
    assert none.code == 2 and "adbench run --calibrate 0.2 --results results" in none.err
    assert invoke(*words, "--calibrate", "0.8").code == 0
    shown = invoke("report", "--verdicts")
    assert shown.code == 0 and "Verdicts at alpha 0.05: toy" in shown.out
    assert "all 2" in shown.out
    rows = json.loads(invoke("report", "--verdicts", "--json", "--alpha", "0.1").out)
    assert [(r["category"], r["held_out"], r["normal"], r["anomalous"]) for r in rows] == [
        ("a", 19, 6, 5), ("b", 19, 6, 5),
    ]  # fmt: skip
    assert {row["alpha"] for row in rows} == {0.1}
    table = list(csv.DictReader(io.StringIO(invoke("report", "--verdicts", "--format", "csv").out)))
    assert [row["category"] for row in table] == ["a", "b"]
    for style in ("markdown", "latex"):
        assert "false alarms" in invoke("report", "--verdicts", "--format", style).out
    for wrong in (
        ["--alpha", "0.1"],
        ["--verdicts", "--alpha", "2"],
        ["--verdicts", "--snapshots"],
    ):
        assert invoke("report", *wrong).code == 2


def test_the_note_on_a_protocol_says_what_is_kept_to_calibrate() -> None:
    assert any(
        "20 % of the normals kept to calibrate" in note
        for note in notes([make_record(protocol={"calibrate": 0.2})])
    )
