"""`adbench baseline save` and `adbench gate`: verdicts, exit codes, damaged files, the workflow."""

from __future__ import annotations

import json
import re
import shlex
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from outcomes import the_error, warnings_of
from scored import failed, scored_record, side, write_results
from simulation import binormal, histograms_of, maps_without_difference
from toy import Invoke, Toy, spawn

from adbench.compare.baseline import make_baseline, read_baseline, write_baseline
from adbench.compare.gate import GateResult, run_gate
from adbench.compare.sides import Side
from adbench.compare.verdicts import TOO_FEW, Rules
from adbench.store.pixel_statistics import encode_pixel_statistics
from adbench.store.records import Record

WORKFLOW = Path(__file__).parents[1] / "docs" / "gate-workflow.yml"
LABELS, BASE, HEAD = binormal(np.random.default_rng(4), 40, 40, 0.95, 0.80, 0.9)
AUROC = Rules(("image_auroc",))
NONE = "no regression"


def verdicts(result: GateResult) -> list[str]:
    return [j.verdict for j in result.judged]


# ------------------------------------------------------------------------------------ verdicts


def test_a_drop_must_be_both_large_and_outside_noise() -> None:
    base, worse = side(scored_record(LABELS, BASE)), side(scored_record(LABELS, HEAD))
    assert verdicts(run_gate(base, worse, AUROC)) == ["regression"]
    tolerant = run_gate(base, worse, Rules(("image_auroc",), tolerance=0.3))
    assert verdicts(tolerant) == [NONE] and tolerant.outcome == "passed"
    few = np.r_[0:5, 40:45]
    small, smaller = (side(scored_record(LABELS[few], s[few])) for s in (BASE, HEAD))
    change = run_gate(small, smaller, AUROC)
    assert change.judged[0].difference.change < -0.01 and verdicts(change) == [TOO_FEW]
    assert verdicts(run_gate(worse, base, AUROC)) == [NONE]  # a gain
    assert verdicts(run_gate(base, base, AUROC)) == [NONE]
    labels = np.array([True, False, False])
    lone, other = (scored_record(labels, sign * np.array([3.0, 1, 2])) for sign in (1, -1))
    untested = run_gate(side(lone), side(other), AUROC)
    assert verdicts(untested) == [TOO_FEW] and untested.judged[0].p_value is None


def test_changed_hyperparameters_of_a_preset_are_noted() -> None:
    head = scored_record(LABELS, BASE)
    head.identity["hyperparameters"] = {"k": 2}
    result = run_gate(side(scored_record(LABELS, BASE)), side(head), AUROC)
    assert len(result.judged) == 1 and "hyper-parameters differ" in result.notes[0]


def test_many_comparisons_are_corrected() -> None:
    rng = np.random.default_rng(5)
    labels, base, head = binormal(rng, 50, 50, 0.95, 0.93, 0.97)
    alone = run_gate(side(scored_record(labels, base)), side(scored_record(labels, head)), AUROC)
    (judged,) = alone.judged
    assert judged.p_value is not None and 0.002 < judged.p_value < 0.05
    others = [scored_record(labels, base, f"c{i}") for i in range(40)]
    many = run_gate(
        side(scored_record(labels, base), *others), side(scored_record(labels, head), *others),
        AUROC,
    )  # fmt: skip
    found = next(j for j in many.judged if j.difference.case.category == "a")
    assert found.p_value == judged.p_value and found.p_holm == 42 * found.p_value
    assert found.verdict == NONE and many.outcome == "passed"


def pixel_sides(statistics: bool) -> tuple[Side, Side]:
    masks, base, head = maps_without_difference(np.random.default_rng(1), 40)
    labels = np.array(masks.any(axis=(1, 2)))
    sides: list[Side] = []
    for maps in (base, head - 1.2 * masks):
        record = scored_record(labels, np.arange(40.0), maps=maps, masks=masks)
        encoded = encode_pixel_statistics(histograms_of(maps, masks))
        # Two records of one key would hide that each side reads its own.
        record.keys["score"] += str(len(sides))
        kept = {record.keys["score"]: {"a": encoded}} if statistics else {}
        sides.append(side(record, pixels=kept))
    return sides[0], sides[1]


def test_pixel_metrics_are_tested_where_statistics_were_kept() -> None:
    rules = Rules(("pixel_auroc", "pixel_aupr", "pixel_f1max", "aupro@0.3", "aupro@0.05"))
    tested = run_gate(*pixel_sides(statistics=True), rules)
    assert verdicts(tested) == ["regression"] * 5 and tested.outcome == "FAILED: regression"
    assert all(j.difference.estimate and j.difference.estimate.test == "bootstrap"
               for j in tested.judged)  # fmt: skip


def test_without_statistics_of_these_images_pixel_drops_are_seen_and_raise_no_alarm() -> None:
    rules = Rules(("pixel_auroc",))
    result = run_gate(*pixel_sides(statistics=False), rules)
    assert verdicts(result) == [TOO_FEW] and result.outcome == "UNDECIDED"
    assert result.undecided_drops and result.judged[0].smallest_drop is None
    assert "no pixel statistics" in str(result.judged[0].difference.untested)
    base, head = pixel_sides(statistics=True)
    (record,) = head.records
    wrong = encode_pixel_statistics(histograms_of(np.zeros((3, 4, 4)), np.ones((3, 4, 4), bool)))
    for text in (wrong, "no base 64 \x7f", wrong[:-9]):
        broken = side(record, pixels={record.keys["score"]: {"a": text}})
        assert verdicts(run_gate(base, broken, rules)) == [TOO_FEW]


@pytest.mark.parametrize("value", [1e308, -0.5, 98.0])
def test_a_metric_that_is_no_fraction_is_not_compared(value: float) -> None:
    records = [scored_record(LABELS, s, seed=i) for i in range(2) for s in (BASE, HEAD)]
    records[3].metrics["a"]["image_auroc"] = value
    result = run_gate(side(*records[::2]), side(*records[1::2]), AUROC)
    (found,) = result.incomparable
    assert found.reason == f"found {value:g} in head, expected a number from 0 to 1"
    assert result.outcome == "FAILED: nothing comparable"


# -------------------------------------------------------------------------------------- timing


def timed(median: float, **changes: Any) -> Record:
    inference = {
        "device": "cpu", "device_name": "cpu X", "valid": True,
        "seconds_per_image": {"median": median, "p95": 1.1 * median}, "parameters": 1,
        "images_per_second": 1 / median, "peak_rss_bytes": 1, "peak_device_bytes": None,
        "flops_per_image": 1.0,
    }  # fmt: skip
    threads = changes.pop("threads", 2)
    return scored_record(
        LABELS,
        BASE,
        timing={"fit": {"seconds": 1.0}, "inference": inference | changes},
        environment={"threads": threads},
    )


@pytest.mark.parametrize(
    ("head", "slower"),
    [
        (timed(0.2), True),
        (timed(0.12), False),  # within the tolerance
        (timed(0.05), False),
        (timed(0.2, valid=False), None),
        (timed(0.2, device_name="cpu Y"), None),
        (timed(0.2, threads=1), None),
        (scored_record(LABELS, BASE), None),
    ],
)
def test_timing_is_gated_only_where_both_sides_are_valid_on_one_device(
    head: Record, slower: bool | None
) -> None:
    result = run_gate(side(timed(0.1)), side(head), AUROC)
    expected = [] if slower is None else [slower]
    assert [t.verdict == "regression" for t in result.timings] == expected
    assert result.outcome == ("FAILED: regression" if slower else "passed")
    noisy = timed(0.1)
    noisy.timing["inference"]["seconds_per_image"]["p95"] = 0.3
    assert not run_gate(side(noisy), side(head), AUROC).slower  # within the spread of the base
    off = run_gate(side(timed(0.1)), side(head), Rules(("image_auroc",), timing_tolerance=None))
    assert off.timings == () and off.outcome == "passed"


# ---------------------------------------------------------------------------------- exit codes


def gate(invoke: Invoke, head: list[Record], *options: str, base: list[Record] | None = None):
    """The outcome of the gate as a user runs it."""
    for folder in ("base", "head"):
        shutil.rmtree(folder, ignore_errors=True)
    write_results(Path("base"), base or [scored_record(LABELS, BASE)])
    write_results(Path("head"), head)
    assert invoke("baseline", "save", "base.json", "--results", "base").code == 0
    return invoke("gate", "--baseline", "base.json", "--results", "head", *options)


def test_exit_codes(invoke: Invoke) -> None:
    same, worse = scored_record(LABELS, BASE), scored_record(LABELS, HEAD)
    other = scored_record(LABELS, BASE, "b")
    passed = gate(invoke, [same])
    assert passed.code == 0 and "gate passed: 2 comparisons" in passed.out
    red = gate(invoke, [worse])
    assert red.code == 1 and "REGRESSION" in red.out and "FAILED: regression" in red.out
    assert gate(invoke, [other]).code == 5
    assert gate(invoke, [worse, failed(other)]).code == 3  # before a regression
    assert gate(invoke, [worse, failed(other, exit_code=4)]).code == 4
    both = [same, scored_record(LABELS, BASE, "b")]
    assert gate(invoke, [same], base=both).code == 0
    required = gate(invoke, [same], "--require-all", base=both)
    assert required.code == 5 and "--require-all" in required.out


@pytest.mark.parametrize("absent", [True, False])
def test_an_empty_or_absent_results_folder_is_5(
    invoke: Invoke, tmp_path: Path, absent: bool
) -> None:
    gate(invoke, [scored_record(LABELS, BASE)])
    if not absent:
        (tmp_path / "nothing").mkdir()
    outcome = invoke("gate", "--baseline", "base.json", "--results", "nothing")
    assert outcome.code == 5 and "nothing comparable" in outcome.out
    assert (tmp_path / "nothing").exists() is not absent
    data = json.loads(
        invoke("gate", "--baseline", "base.json", "--results", "nothing", "--json").out
    )
    assert data["exit_code"] == 5 and data["passed"] is False


def test_a_crash_is_no_regression(
    invoke: Invoke, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    gate(invoke, [scored_record(LABELS, BASE)])

    def broken(*_arguments: object) -> None:
        raise RuntimeError("unforeseen")

    monkeypatch.setattr("adbench.compare.gate.judge", broken)
    outcome = invoke("gate", "--baseline", "base.json", "--results", "head")
    assert outcome.code == 70 and "Traceback" in outcome.err
    last = outcome.err.splitlines()[-1]
    assert last.startswith("error: adbench broke (RuntimeError: unforeseen)")

    def leaves(*_arguments: object) -> None:
        raise SystemExit("plug-in says no")

    monkeypatch.setattr("adbench.compare.gate.judge", leaves)
    outcome = invoke("gate", "--baseline", "base.json", "--results", "head")
    assert outcome.code == 70 and outcome.err == "error: plug-in says no\n"


# -------------------------------------------------------------------------------- presentation


def test_json_and_markdown_tell_the_same(invoke: Invoke) -> None:
    worse = scored_record(LABELS, HEAD, preset="smoke")
    base = [scored_record(LABELS, BASE, preset="smoke"), scored_record(LABELS, BASE, "b_@x")]
    red = gate(invoke, [worse], "--format", "markdown", base=base)
    assert red.code == 1 and red.out.startswith("### adbench gate\n\ngate FAILED: regression")
    assert "| toy:a m smoke | image AUROC |" in red.out and "SMOKE preset" in red.out
    assert r"b\_\@x m fast separate seed 0: absent from head" in red.out
    assert red.out.count("<details>") == red.out.count("</details>") == 2
    data = json.loads(gate(invoke, [worse], "--json", base=base).out)
    assert data["summary"]["regressions"] == 2 and data["exit_code"] == 1
    assert [i["reason"] for i in data["incomparable"]] == ["absent from head"]
    smoke, unknown, seeds = data["notes"]
    assert "is unknown" in unknown
    assert smoke == "SMOKE preset: it is gated like any other, but its scores mean nothing."
    assert seeds.startswith("One seed: intervals and p-values cover the choice of test images only")
    assert {c["test"] for c in data["comparisons"]} == {"DeLong", "bootstrap"}
    written = gate(invoke, [worse], "--format", "markdown", "--out", "pr.md", base=base)
    assert written.code == 1 and written.out == "" and Path("pr.md").read_text() == red.out
    assert "gate FAILED: regression" in written.err


# ------------------------------------------------------------------------------- baseline files


def test_a_baseline_holds_all_that_tests_need(tmp_path: Path) -> None:
    record = scored_record(LABELS, np.where(BASE > 3, np.inf, BASE), diagnostics={"x": 1})
    path = tmp_path / "deep" / "base.json"
    write_baseline(make_baseline([record], {record.keys["score"]: {"a": "text"}}), path)
    again = read_baseline(path)
    assert again.records[0].images == record.images and again.records[0].diagnostics == {}
    assert again.pixels == {record.keys["score"]: {"a": "text"}}


def damage(text: str, how: str) -> str:
    value = json.loads(text)
    if how == "cut":
        return text[: len(text) // 2]
    if how == "edited":
        value["records"][0]["images"]["score"][0] += 1
    elif how == "bare":
        del value["checksum"]
    return json.dumps(value)


@pytest.mark.parametrize("how", ["cut", "edited", "bare"])
def test_a_damaged_baseline_is_named_with_a_way_out(invoke: Invoke, how: str) -> None:
    gate(invoke, [scored_record(LABELS, BASE)])
    path = Path("base.json")
    path.write_text(damage(path.read_text(), how))
    message = the_error(invoke("gate", "--baseline", "base.json", "--results", "head"), 2)
    assert "the baseline base.json is damaged" in message
    assert "adbench baseline save base.json" in message and path.exists()


def test_other_files_are_no_baselines(invoke: Invoke, tmp_path: Path) -> None:
    gate(invoke, [scored_record(LABELS, BASE)])
    record = next((tmp_path / "head").glob("cells/*/record-*.json"))
    message = the_error(invoke("gate", "--baseline", str(record), "--results", "head"), 2)
    assert "is no baseline of this version" in message
    absent = the_error(invoke("gate", "--baseline", "none.json", "--results", "head"), 2)
    assert "there is no baseline none.json: `adbench baseline save none.json" in absent
    the_error(invoke("gate", "--baseline", str(tmp_path), "--results", "head"), 2)


def test_baseline_save_needs_finished_records(invoke: Invoke, tmp_path: Path) -> None:
    message = the_error(invoke("baseline", "save", "b.json", "--results", "none"), 2)
    assert "no finished record in none" in message
    write_results(tmp_path / "mixed", [failed(scored_record(LABELS, BASE, "b"))])
    the_error(invoke("baseline", "save", "b.json", "--results", "mixed"), 2)
    write_results(tmp_path / "mixed", [scored_record(LABELS, BASE)])
    saved = invoke("baseline", "save", "b.json", "--results", "mixed")
    assert saved.code == 0 and "1 cell; 1 failed or skipped left out" in saved.err
    assert "is a folder" in the_error(invoke("baseline", "save", "mixed", "--results", "mixed"), 2)
    assert invoke("baseline").code == 2


def test_baseline_save_names_smoke_runs_and_parts_of_the_images(
    invoke: Invoke, tmp_path: Path
) -> None:
    smoke = scored_record(LABELS, BASE, "s", preset="smoke")
    part = scored_record(LABELS, BASE, "p", protocol={"limit": 4})
    part.identity["limit"] = 4
    write_results(tmp_path / "results", [scored_record(LABELS, BASE), smoke, part])
    saved = invoke("baseline", "save", "b.json")
    assert saved.code == 0 and len(read_baseline(Path("b.json")).records) == 3
    assert warnings_of(saved) == [
        "warning: 1 cell of preset smoke, whose scores mean nothing: toy:s m smoke; saved all the "
        "same (--strict refuses)",
        "warning: 1 cell of a part of the images (--limit): toy:p m fast; saved all the same "
        "(--strict refuses)",
    ]
    Path("b.json").unlink()
    message = the_error(invoke("baseline", "save", "b.json", "--strict"), 2)
    assert "toy:s m smoke" in message and "toy:p m fast" in message and not Path("b.json").exists()
    (advice,) = re.findall("`(adbench .*?)`", message)
    assert invoke(*shlex.split(advice)[1:]).code == 0 and Path("b.json").exists()
    strict = invoke("baseline", "save", "b.json", "--strict", "--preset", "smoke")
    assert "toy:p" not in the_error(strict, 2)


def test_selections_narrow_both_sides(invoke: Invoke) -> None:
    base = [scored_record(LABELS, BASE), scored_record(LABELS, BASE, method="n")]
    head = [scored_record(LABELS, BASE), scored_record(LABELS, HEAD, method="n")]
    assert gate(invoke, head, base=base).code == 1
    assert gate(invoke, head, "--method", "m", base=base).code == 0


# --------------------------------------------------------------------- real runs, real workflow

PLUGIN = """
from adbench.contracts import Prediction
from adbench.testing import PixelGaussian


class Mine(PixelGaussian):
    card = PixelGaussian.card.model_copy(update={"name": "mine"})

    def predict(self, images):
        found = super().predict(images)
        return Prediction(SIGN * found.maps, SIGN * found.scores)
"""


def more_test_images(toy: Toy, copies: int = 3) -> None:
    for category in ("a", "b"):
        for folder in (toy.root / category / "test").iterdir():
            for path in list(folder.iterdir()):
                for copy in range(copies):
                    shutil.copy(path, path.with_name(f"{path.stem}{copy}.png"))
                    masks = toy.root / category / "ground_truth" / folder.name
                    mask = masks / f"{path.stem}_mask.png"
                    if mask.exists():
                        shutil.copy(mask, mask.with_name(f"{path.stem}{copy}_mask.png"))


def commands(workflow: str) -> list[list[str]]:
    """The adbench command lines of the workflow's `run` steps, continuation lines joined."""
    joined = re.sub(r"\\\n\s*", "", workflow)
    lines = [line.strip().removeprefix("- ").removeprefix("run: ") for line in joined.splitlines()]
    return [shlex.split(line)[1:] for line in lines if line.startswith("adbench ")]


def test_the_example_workflow_goes_red_when_the_code_gets_worse(
    invoke: Invoke, toy: Toy, tmp_path: Path
) -> None:
    more_test_images(toy)
    plugin = tmp_path / "mine.py"
    plugin.write_text(PLUGIN.replace("SIGN", "1"))
    run, gating = commands(WORKFLOW.read_text())
    assert run[0] == "run" and gating[0] == "gate"
    assert "--preset" in run and "--format" in gating and "--out" in gating
    # The user's method and data set stand where the example has its own.
    run[run.index("--methods") + 1] = f"{plugin}:Mine"
    run[run.index("--dataset") + 1] = toy.reference
    run[run.index("--data-root") + 1] = str(toy.folder)
    baseline = gating[gating.index("--baseline") + 1]
    results = gating[gating.index("--results") + 1]
    assert run[run.index("--results") + 1] == results

    assert invoke(*run).code == 0
    assert invoke("baseline", "save", baseline, "--results", results).code == 0
    green = invoke(*gating)
    assert green.code == 0, green
    shutil.rmtree(results)
    plugin.write_text(PLUGIN.replace("SIGN", "-1"))
    again = spawn(*run, cwd=tmp_path)  # this process knows the plug-in as it was
    said = again.communicate(timeout=120)
    assert again.returncode == 0, said
    red = invoke(*gating)
    assert red.code == 1, red
    summary = Path(gating[gating.index("--out") + 1]).read_text()
    assert "REGRESSION" in summary and "pixel AUROC" in summary and "toy:mean of 2" in summary
