"""What a network learned: from errors to a number, from records to rows, tables and notes."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest
from reports import TIMING, failed_record, make_record, notes, ranked, tables, texts
from scored import write_results
from toy import PIXEL, Invoke, Toy

from adbench.compare.baseline import make_baseline
from adbench.contracts import Skill
from adbench.report import formats
from adbench.report.folder import report_text
from adbench.report.html.document import document
from adbench.report.latex import latex
from adbench.report.report import Report
from adbench.report.tables import MEAN, frame, rows, summarise_seeds
from adbench.store.records import Record


def test_skill_of_known_errors():
    simple = [2.0] * 8 + [4.0] * 8
    skill = Skill.of([1.0] * 8 + [2.0] * 8, simple, [6.0] * 16, "error")
    assert (skill.value, skill.standard_error, skill.held_out) == (0.5, 0.0, 16)
    assert (skill.error, skill.simple, skill.trivial) == (1.5, 3.0, 6.0)
    worse = Skill.of([4.0, 8.0] * 8, [2.0] * 16, [1.0] * 16, "error")
    assert worse.value == -2.0
    # The spread of a ratio whose denominator is constant is that of the mean of the numerator.
    assert worse.standard_error == pytest.approx((4.0 * 16 / 15 / 16) ** 0.5 / 2.0)


@pytest.mark.parametrize(("count", "says"), [(0, "no normals"), (1, "1 normal is"), (15, "15")])
def test_too_few_held_out_normals_say_nothing(count, says):
    skill = Skill.of([1.0] * count, [2.0] * count, [3.0] * count, "error")
    assert skill.value is None and says in skill.reason
    assert skill.to_json()["value"] is None


def test_errors_without_a_ratio_say_why():
    assert Skill.of([float("nan")] * 16, [1.0] * 16, [1.0] * 16, "x").value is None
    assert Skill.of([1.0] * 16, [0.0] * 16, [1.0] * 16, "x").value is None


# ------------------------------------------------------------------------------ reports


def skilled(value: float | None, error: float = 0.02, method: str = "m", **changes: Any) -> Record:
    """A finished record whose network has this skill, or a reason for none."""
    parts: dict[str, Any] = {
        "value": value, "standard_error": error, "held_out": 16, "reason": "", "error": 0.5,
        "simple": 1.0, "trivial": 2.0, "measured": "error of noise", "beside": {"t": [50, 150]},
    }  # fmt: skip
    if value is None:
        parts = Skill.unknown("no network is trained").to_json()
    return make_record(method, skill=parts, **changes)


def test_the_mean_over_cells_has_its_standard_error_and_lists_them() -> None:
    first, second, mean = rows([skilled(0.5, 0.03), skilled(0.3, 0.04, category="b")])
    assert (first["skill"], first["skill_standard_error"]) == (0.5, 0.03)
    assert first["skill_parts"]["measured"] == "error of noise"
    assert (mean["category"], mean["skill"]) == (MEAN, pytest.approx(0.4))
    assert mean["skill_standard_error"] == pytest.approx(0.05 / 2)
    cells = mean["skill_parts"]["cells"]
    assert {name: own["value"] for name, own in cells.items()} == {"a": 0.5, "b": 0.3}


@pytest.mark.parametrize(
    ("other", "reason"),
    [
        (skilled(None, category="b"), "no network is trained"),
        (failed_record("b"), "not recorded"),
    ],
)
def test_a_mean_over_fewer_cells_than_all_is_none(other: Record, reason: str) -> None:
    *_, mean = rows([skilled(0.5), other])
    assert mean["skill"] is None and mean["skill_standard_error"] is None
    assert mean["skill_parts"]["reason"] == reason
    assert mean["skill_parts"]["cells"]["a"]["value"] == 0.5


def test_one_training_for_all_categories_counts_once() -> None:
    record = skilled(0.5, 0.03, protocol={"scope": "unified"})
    identity = record.identity | {"categories": ["a", "b"], "scope": "unified"}
    metrics = {name: record.metrics["a"] for name in "ab"}
    unified = record.model_copy(update={"identity": identity, "metrics": metrics})
    found = rows([unified])
    assert {(r["skill"], r["skill_standard_error"]) for r in found} == {(0.5, 0.03)}
    assert len(found) == 3


def test_a_summary_over_seeds_claims_no_skill_of_one_of_them() -> None:
    for summary in summarise_seeds(rows([skilled(0.5), skilled(0.3, seed=1)])):
        assert not [name for name in summary if name.startswith("skill")]


def test_json_csv_and_frame_hold_skill_and_those_of_records_of_before_stay(tmp_path: Path) -> None:
    now = [skilled(0.5, 0.03), skilled(None, method="n")]
    for name, records in (("now", now), ("before", [make_record()])):
        results = write_results(tmp_path / name, records)
        listed = json.loads(report_text(results, "json", {}))
        table = list(csv.DictReader(io.StringIO(formats.csv(Report(records)))))
        if name == "before":
            assert not [key for row in (*listed, *table) for key in row if "skill" in key]
            assert frame(rows(records))["skill"].isna().all()
            continue
        assert [row["skill"] for row in listed] == [0.5, None]
        assert listed[0]["skill_parts"] == now[0].skill
        assert listed[1]["skill_parts"]["reason"] == "no network is trained"
        assert [row["skill"] for row in table] == ["0.5", ""]
        assert table[0]["skill_standard_error"] == "0.03"
        assert frame(rows(records))["skill"].tolist()[0] == 0.5


def test_what_parts_of_a_method_score_is_no_work_of_a_network_of_their_own(tmp_path: Path) -> None:
    record = skilled(0.5)
    results = write_results(tmp_path, [record.model_copy(update={"parts": {"p": record.metrics}})])
    own = json.loads(report_text(results, "json", {}))
    assert [(r.get("part"), r["skill"]) for r in own] == [(None, 0.5), ("p", None)]


def test_the_cost_table_has_a_row_of_each_method_as_soon_as_one_has_skill() -> None:
    timed = skilled(0.5, 0.03, timing=TIMING)
    records = [
        timed, skilled(-0.5, 0.0049, category="b"),  # on another device, for all that is known
        skilled(0.9, method="n", timing=TIMING), skilled(None, method="o", timing=TIMING),
    ]  # fmt: skip
    table = Report(records).timing
    assert table is not None and table.columns[-1].head == "Skill" and not ranked(table)
    found = {(row[1], row[2]): (row[3], row[-1]) for row in texts(table)}
    assert found == {
        ("m fast", "GPU"): ("1", "0.500 ± 0.030"), ("m fast", "–"): ("–", "−0.500 ± 0.005"),
        ("n fast", "GPU"): ("1", "0.900 ± 0.020"), ("o fast", "GPU"): ("1", "–"),
    }  # fmt: skip
    before = Report([make_record(timing=TIMING), make_record("n"), skilled(None, method="o")])
    assert before.timing is not None and len(before.timing.rows) == 1
    assert "Skill" not in [column.head for column in before.timing.columns]


def test_the_row_of_several_cells_has_their_mean() -> None:
    seeds = [skilled(0.5, 0.03, timing=TIMING), skilled(0.3, 0.04, seed=1, timing=TIMING)]
    table = Report(seeds).timing
    assert table is not None and [row[-1] for row in texts(table)] == ["0.400 ± 0.025"]
    table = Report([*seeds, skilled(None, seed=2, timing=TIMING)]).timing
    assert table is not None and [row[-1] for row in texts(table)] == ["–"]


@pytest.mark.parametrize(
    ("value", "error", "told"),
    [(0.5, 0.02, False), (0.021, 0.02, False), (0.019, 0.02, True), (-0.5, 0.02, True),
     (0.0, 0.0, True)],
)  # fmt: skip
def test_a_network_that_learned_nothing_measurable_is_a_footnote(
    value: float, error: float, told: bool
) -> None:
    found = [note for note in notes([skilled(value, error)]) if "nothing measurable" in note]
    assert len(found) == told
    if told:
        shown = f"{value:.3f} ± {error:.3f}".replace("-", "−")
        assert found[0].startswith("m on toy:") and f"a, seed 0: {shown}" in found[0]


def test_why_there_is_no_skill_is_a_footnote_where_others_have_it() -> None:
    records = [
        skilled(0.5), skilled(None, category="b"), skilled(None, method="n"), make_record("o"),
    ]  # fmt: skip
    found = [note for note in notes(records) if note.startswith("No skill")]
    assert found == [
        "No skill: m on toy (b, seed 0), n on toy: no network is trained.",
        "No skill: o on toy: not recorded.",
    ]
    assert not [note for note in notes(records[1:]) if "skill" in note]


def test_every_format_shows_skill_beside_the_cost(tmp_path: Path) -> None:
    report = Report([skilled(0.5, 0.03, timing=TIMING), skilled(None, method="n")])
    markdown, page = formats.markdown(report), document(report, tmp_path)
    assert "0.500 ± 0.030 |" in markdown and "**0.500" not in markdown
    assert "0.500 ± 0.030</td>" in page.replace("\n", "")
    assert "held out 16" in page and "none: no network is trained" in page
    assert r"0.500\tblpm{0.030}" in latex(report)


@pytest.mark.parametrize(
    "changes", [{"value": 0.5, "standard_error": None}, {"value": None, "reason": ""}]
)
def test_a_record_with_half_a_skill_is_refused(changes: dict[str, Any]) -> None:
    whole = skilled(0.5)
    with pytest.raises(ValueError, match="skill"):
        Record(**{**whole.model_dump(), "skill": whole.skill | changes})


def test_a_baseline_keeps_no_skill_and_smoke_has_none(invoke: Invoke, toy: Toy) -> None:
    (kept,) = make_baseline([skilled(0.5)], {}).records
    assert kept.skill == {}
    run = invoke("run", "--methods", PIXEL, "--preset", "smoke", "--json", *toy.arguments("a"))
    assert run.code == 0, run.err
    for row in json.loads(run.out):
        assert row["skill"] is None
        assert row["skill_parts"]["reason"] == "preset smoke trains for seconds"


def test_a_plug_in_that_says_nothing_of_skill_has_none(invoke: Invoke, toy: Toy) -> None:
    run = invoke("run", "--methods", PIXEL, "--preset", "fast", "--json", *toy.arguments("a"))
    assert run.code == 0, run.err
    (reason,) = {row["skill_parts"]["reason"] for row in json.loads(run.out)}
    assert reason == "the method does not measure it"


# ---------------------------------------------------------------------------- protocols


def held(count: int, **changes: Any) -> Record:
    return make_record(protocol={"held_out": count}, **changes)


def test_numbers_of_held_out_normals_that_sizes_decide_have_one_mean() -> None:
    (mean,) = [r for r in rows([held(16), held(20, category="b")]) if r["category"] == MEAN]
    assert mean["categories"] == 2


def test_nothing_held_out_is_what_methods_have_that_cannot() -> None:
    own, other = make_record(value=0.9), held(0, method="n")
    (table,) = tables([own, other])
    assert ranked(table) and not [note for note in notes([own, other]) if "differ" in note]


def test_a_training_on_fewer_normals_is_another_protocol_and_said() -> None:
    own, other = make_record(value=0.9), held(16, method="n")
    (table,) = tables([own, other])
    assert not ranked(table)
    (note,) = [note for note in notes([own, other]) if "differ" in note]
    assert "differ in held out (none, some); their numbers are not ranked together" in note
    assert any("last checkpoint, some normals held out" in note for note in notes([other]))


# ------------------------------------------------------------------------------ a plug-in

LEARNER = """
from adbench.contracts import Skill
from adbench.testing import PixelGaussian


class Learner(PixelGaussian):
    card = PixelGaussian.card.model_copy(update={"name": "learner"})

    def skill(self):
        return Skill.of([1.0, 2.0] * 8, [4.0] * 16, [9.0] * 16, "error", {"at": (1, 2)})
"""


def test_the_skill_of_a_plug_in_comes_through_from_run_to_report(
    invoke: Invoke, toy: Toy, tmp_path: Path
) -> None:
    plugin = tmp_path / "learner.py"
    plugin.write_text(LEARNER)
    words = ("--methods", f"{plugin}:Learner", "--preset", "fast", *toy.arguments())
    first = invoke("run", *words, "--json")
    assert first.code == 0, first.err
    assert [row["skill"] for row in json.loads(first.out)] == [0.625] * 3
    assert json.loads(invoke("report", "--json").out) == json.loads(first.out)
    table = invoke("report").out
    assert "Skill" in table and "0.625 ± " in table and "nothing measurable" not in table
