"""`adbench select`, `adbench selected` and `run --selected`, as a user types them."""

from __future__ import annotations

import json
import shlex
import shutil
import subprocess
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from knob import KnobPlugin, write_knob
from scored import scored_record
from toy import PIXEL, Invoke, Toy, spawn, write_toy

from adbench.registry import load_method
from adbench.select.afterwards import TestPoint, _correlation
from adbench.select.afterwards import test_curve as curve_of_tests
from adbench.select.file import read_selection
from adbench.select.search import choose
from adbench.store import files
from adbench.store.folders import Store
from adbench.store.newest import latest
from adbench.store.records import Record

GRID = ["--grid", "knob.quantile=0.0|0.5|0.9|1.0"]


@pytest.fixture
def knob(tmp_path: Path) -> KnobPlugin:
    return write_knob(tmp_path / "knob")


def arguments(knob: KnobPlugin, toy: Toy, *categories: str, options: str = "") -> list[str]:
    name = f"{knob.reference}[{options}]" if options else knob.reference
    return ["--methods", name, *toy.arguments(*categories), "--preset", "smoke", "--device", "cpu"]


def selection_of(invoke: Invoke, *words: str) -> dict[str, Any]:
    outcome = invoke("select", *words, "--json")
    assert outcome.code == 0, outcome.err
    value: dict[str, Any] = json.loads(outcome.out)
    return value


def records(folder: str = "results") -> list[Record]:
    return latest(Store(Path(folder)).records())


# -------------------------------------------------------------------------------- the search


def test_the_default_grid_is_searched_one_hyperparameter_after_the_other(
    invoke: Invoke, toy: Toy, knob: KnobPlugin
) -> None:
    found = selection_of(invoke, *arguments(knob, toy, "a"))
    (choice,) = found["choices"]
    first, second = choice["curves"]
    assert (first["name"], second["name"]) == ("quantile", "offset")
    assert [p["value"] for p in first["points"]] == [0.0, 0.5, 0.9, 1.0]
    assert {p["hyperparameters"]["offset"] for p in first["points"]} == {9}  # held
    assert {p["hyperparameters"]["quantile"] for p in second["points"]} == {first["chosen"]}
    assert choice["chosen"] == {"quantile": first["chosen"], "offset": second["chosen"]}
    assert choice["hyperparameters"]["offset"] == second["chosen"]
    for curve in choice["curves"]:
        criteria = [p["mean"]["image_auroc"] for p in curve["points"]]
        assert curve["points"][choose(criteria)]["value"] == curve["chosen"]
        assert len(set(criteria)) > 1
    assert choice["held_out"]["a"] | {"normal_ids_sha256": ""} == {
        "fitted": 3, "normals": 3, "synthetic": 6, "faint": choice["held_out"]["a"]["faint"],
        "normal_ids_sha256": "",
    }  # fmt: skip


def test_held_out_normals_are_never_fitted_on_and_the_metrics_are_a_runs(
    invoke: Invoke, toy: Toy, knob: KnobPlugin, tmp_path: Path
) -> None:
    """The whole of one point, made again by hand."""
    from adbench.contracts import Context
    from adbench.data.cache import DiskCache
    from adbench.data.images import load_images
    from adbench.hyperparameters import build_hyperparameters
    from adbench.metrics.exact import image_metrics, pixel_metrics
    from adbench.registry import load_dataset
    from adbench.select.pseudo import pseudo_set, split_normals

    found = selection_of(invoke, *arguments(knob, toy, "a"), "--grid", "knob.quantile=0.9")
    (point,) = found["choices"][0]["curves"][0]["points"]
    rows = [s for s in load_dataset(toy.reference).samples(toy.root, ["a"]) if s.split == "train"]
    fitted, normals = split_normals(rows, 0.1, 0)
    assert [line.split()[3:] for line in knob.log("fit")] == [[s.path for s in fitted]]
    assert not {s.path for s in fitted} & {s.path for s in normals}
    cache = DiskCache(tmp_path / "own", None)
    built = build_hyperparameters(
        load_method(knob.reference), "smoke", {"quantile": 0.9, "offset": 9}
    )
    method = load_method(knob.reference)(built)
    checkpoint: Any = type("None", (), {"load": lambda self: None, "due": lambda self: False})()
    method.fit(
        load_images(toy.root, fitted, method.geometry, cache),
        Context("cpu", "fp32", 0, checkpoint, cache),
    )
    pseudo = pseudo_set(load_images(toy.root, normals, method.geometry, cache), 0, cache)
    prediction = method.predict(pseudo.images)
    expected = image_metrics(prediction.scores, pseudo.masks.regions_before)
    expected |= pixel_metrics(prediction.maps, np.array(pseudo.masks.pixels))
    for name, value in point["metrics"]["a"].items():
        assert value == pytest.approx(expected[name], abs=1e-12), name


def test_one_fit_serves_all_values_that_only_prediction_reads(
    invoke: Invoke, toy: Toy, knob: KnobPlugin
) -> None:
    base = arguments(knob, toy, "a", options="offset=9")
    selection_of(invoke, *base, *GRID)
    assert len(knob.log("fit")) == 1 and len(knob.log("predict")) == 4
    selection_of(invoke, *base, *GRID, "--grid", "knob.steps=1|2|3")
    assert len(knob.log("fit")) == 3 and len(knob.log("predict")) == 6  # steps=1 was there


def test_a_part_that_the_search_uses_anywhere_is_fitted_for_all_of_it(
    invoke: Invoke, toy: Toy, knob: KnobPlugin
) -> None:
    selection_of(invoke, *arguments(knob, toy, "a"), "--grid", "knob.masked=false|true")
    assert len(knob.log("fit")) == 1 and "masked=True" in knob.log("fit")[0]
    knob.forget()
    base = arguments(knob, toy, "a", options="masked=false")
    outcome = invoke("select", *base)
    assert "knob.offset is not chosen: that needs masked=true" in outcome.err
    assert len(knob.log("fit")) == 1 and "masked=False" in knob.log("fit")[0]


def test_unified_scope_averages_over_all_categories_at_once(
    invoke: Invoke, toy: Toy, knob: KnobPlugin
) -> None:
    found = selection_of(invoke, *arguments(knob, toy), *GRID, "--scope", "unified")
    (choice,) = found["choices"]
    assert choice["categories"] == ["a", "b"] and choice["scope"] == "unified"
    for point in choice["curves"][0]["points"]:
        own = [values["image_auroc"] for values in point["metrics"].values()]
        assert len(own) == 2 and point["mean"]["image_auroc"] == pytest.approx(np.mean(own))
    separate = selection_of(invoke, *arguments(knob, toy), *GRID)
    assert [c["categories"] for c in separate["choices"]] == [["a"], ["b"]]


@pytest.mark.parametrize(
    ("criteria", "index"),
    [
        ([0.7, 0.9, 0.8], 1),
        ([0.8991, 0.9, 0.9], 0),
        ([0.899, 0.9, 0.9], 0),  # exactly 0.1 points: a tie
        ([0.8989, 0.9, 0.9], 1),
        ([None, 0.2, None], 1),
        ([None, None], 0),
        ([0.1, 0.2], 1),  # below chance is a value like any other: nothing is flipped
    ],
)
def test_the_first_value_as_good_as_the_best_is_chosen(criteria: Any, index: int) -> None:
    assert choose(criteria) == index


# ------------------------------------------------------------------------------ no test data

SPY = """
import sys
opened = open(sys.argv[1], "w")
def hear(event, values):
    if event == "open" and isinstance(values[0], (str, bytes)):
        name = values[0] if isinstance(values[0], str) else values[0].decode()
        opened.write(name + "\\n")
        opened.flush()
sys.addaudithook(hear)
sys.argv = ["adbench", *sys.argv[2:]]
from adbench.cli import main
main()
"""


def test_no_test_image_or_mask_is_opened_or_needed(
    invoke: Invoke, toy: Toy, knob: KnobPlugin, tmp_path: Path
) -> None:
    words = ["select", *arguments(knob, toy), *GRID, "--out"]
    spied = tmp_path / "opened"
    done = subprocess.run(
        [sys.executable, "-c", SPY, str(spied), *words, "with.json", "--cache", "one"],
        cwd=tmp_path, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    inside = [p for p in spied.read_text().splitlines() if p.startswith(str(toy.root))]
    assert any("/train/" in p for p in inside)  # the spy sees what is opened
    assert [p for p in inside if "/test/" in p or "/ground_truth/" in p] == []
    for category in ("a", "b"):
        shutil.rmtree(toy.root / category / "test")
        shutil.rmtree(toy.root / category / "ground_truth")
    outcome = invoke(*words, "without.json", "--cache", "two", "--results", "other")
    assert outcome.code == 0, outcome.err
    one, two = read_selection(tmp_path / "with.json"), read_selection(tmp_path / "without.json")
    assert one.choices == two.choices and one.digest == two.digest


# --------------------------------------------------------------------------------- resuming


def test_an_interrupted_search_goes_on_after_its_last_point(
    invoke: Invoke, toy: Toy, knob: KnobPlugin, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = [*arguments(knob, toy, "a", options="offset=3"), *GRID]
    whole = selection_of(invoke, *words, "--results", "whole")
    knob.forget()
    plugin = load_method(knob.reference)
    predict, calls = plugin.predict, []

    def interrupted(self: Any, images: Any) -> Any:
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return predict(self, images)

    with monkeypatch.context() as patch:
        patch.setattr(plugin, "predict", interrupted)
        outcome = invoke("select", *words)
        assert outcome.code == 130 and outcome.err.splitlines()[-1].startswith("error: interrupted")
    assert len(knob.log("predict")) == 2
    resumed = selection_of(invoke, *words)
    assert len(knob.log("fit")) == 1 and len(knob.log("predict")) == 4
    assert resumed["digest"] == whole["digest"]
    again = invoke("select", *words, "--json")
    assert "1 search, 4 values, all there already" in again.err
    assert len(knob.log("predict")) == 4
    assert json.loads(again.out)["digest"] == whole["digest"]


def test_a_failing_value_is_named_and_the_others_are_kept(
    invoke: Invoke, toy: Toy, knob: KnobPlugin
) -> None:
    outcome = invoke("select", *arguments(knob, toy, "a"), "--grid", "knob.quantile=0.5|0.66|1")
    assert outcome.code == 3
    last = outcome.err.splitlines()[-1]
    assert last.startswith("error: ") and "quantile=0.66" in last and "ZeroDivisionError" in last
    knob.forget()
    selection_of(invoke, *arguments(knob, toy, "a"), "--grid", "knob.quantile=0.5|1")
    assert knob.log("fit") == knob.log("predict") == []


def test_two_processes_share_a_search_and_find_the_same(
    toy: Toy, knob: KnobPlugin, tmp_path: Path
) -> None:
    words = ["select", *arguments(knob, toy, "a", options="offset=3"), *GRID, "--json"]
    both = [spawn(*words, cwd=tmp_path) for _ in range(2)]
    digests = {json.loads(process.communicate(timeout=120)[0])["digest"] for process in both}
    assert [process.returncode for process in both] == [0, 0] and len(digests) == 1
    assert len(knob.log("fit")) == 1 and len(knob.log("predict")) == 4


def test_records_of_a_search_are_no_test_results(
    invoke: Invoke, toy: Toy, knob: KnobPlugin
) -> None:
    selection_of(invoke, *arguments(knob, toy, "a", options="offset=3"), *GRID)
    assert records() == [] and invoke("report").code == 2
    assert "toy-pseudo, separate" in invoke("report", "--results", "results/selections").out


def test_other_training_images_another_seed_or_code_begin_anew(
    invoke: Invoke, toy: Toy, knob: KnobPlugin
) -> None:
    words = [*arguments(knob, toy, "a", options="offset=3"), *GRID]
    first = selection_of(invoke, *words)
    other_seed = selection_of(invoke, *words, "--seed", "1")
    assert len(knob.log("predict")) == 8
    key = "normal_ids_sha256"
    held = [f["choices"][0]["held_out"]["a"][key] for f in (first, other_seed)]
    assert held[0] != held[1]
    image = toy.root / "a/train/good/000.png"
    shutil.copy(toy.root / "b/train/good/000.png", image)
    selection_of(invoke, *words)
    assert len(knob.log("predict")) == 12


# ------------------------------------------------------------------------- run --selected


@pytest.fixture(scope="module")
def selection_text(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A selection whose categories are made to differ, as real ones do."""
    folder = tmp_path_factory.mktemp("selection")
    knob, toy = write_knob(folder / "knob"), write_toy(folder / "data")
    words = [*arguments(knob, toy, options="offset=3"), *GRID, "--out", "chosen.json"]
    process = spawn("select", *words, cwd=folder)
    said = process.communicate(timeout=300)
    assert process.returncode == 0, said
    value = files.read_json(folder / "chosen.json")
    for choice, quantile in zip(value["choices"], (0.9, 1.0), strict=True):
        choice["hyperparameters"]["quantile"] = choice["curves"][0]["chosen"] = quantile
    files.write_json(folder / "chosen.json", value)
    return (folder / "chosen.json").read_text()


@pytest.fixture
def chosen(tmp_path: Path, selection_text: str) -> Path:
    path = tmp_path / "chosen.json"
    path.write_text(selection_text)
    return path


def test_run_uses_the_chosen_values_and_records_where_they_are_from(
    invoke: Invoke, toy: Toy, knob: KnobPlugin, chosen: Path
) -> None:
    words = arguments(knob, toy, options="offset=3")
    outcome = invoke("run", *words, "--selected", str(chosen), "--seeds", "0-1")
    assert outcome.code == 0, outcome.err
    digest = read_selection(chosen).digest
    found = records()
    assert len(found) == 4
    for record in found:
        (category,) = record.identity["categories"]
        assert record.identity["hyperparameters"]["quantile"] == {"a": 0.9, "b": 1.0}[category]
        assert record.identity["selected"] == digest
        assert record.protocol["selection"] == "pseudo-validation"
        assert record.protocol["selection_sha256"] == digest
        assert record.protocol["selected"] == ["quantile"]
        assert record.variant == f"offset=3,selected={digest[:8]}"
    # One row for both categories, though their values differ, and a footnote that tells them.
    report = invoke("report")
    assert (
        "mean of 2" in report.out
        and report.out.count(f"knob, offset=3, selected={digest[:8]} ") >= 2
    )
    assert f"knob, offset=3, selected={digest[:8]} on toy:a: quantile=0.9, chosen without" in (
        report.out
    )
    assert "quantile chosen on pseudo-validation images" in report.out
    plan = invoke("plan", *words[:-2], "--selected", str(chosen), "--seeds", "0-1", "--json")
    assert [cell["cached"] for cell in json.loads(plan.out)] == [True] * 4


def test_chosen_values_and_the_same_values_by_hand_share_the_fit_but_not_the_record(
    invoke: Invoke, toy: Toy, knob: KnobPlugin, chosen: Path
) -> None:
    words = arguments(knob, toy, "a", options="offset=3")
    assert invoke("run", *words, "--selected", str(chosen)).code == 0
    by_hand = arguments(knob, toy, "a", options="offset=3,quantile=0.9")
    assert invoke("run", *by_hand).code == 0
    assert len(knob.log("fit")) == 1
    one, two = sorted(records(), key=lambda r: len(r.protocol))
    assert "selected" not in one.identity and one.protocol["selection"] == "last"
    assert one.metrics == two.metrics and two.protocol["selection"] == "pseudo-validation"
    assert one.keys["fit"] == two.keys["fit"] and one.keys["score"] != two.keys["score"]
    said = invoke("plan", *words[:-2], "--selected", str(chosen), "--explain-cache")
    assert "reused, all keys equal" in said.err


def test_a_method_that_the_file_has_nothing_on_runs_as_it_is(
    invoke: Invoke, toy: Toy, knob: KnobPlugin, chosen: Path
) -> None:
    words = arguments(knob, toy, options="offset=3")
    words[1] += f",{PIXEL}"
    outcome = invoke("run", *words, "--selected", str(chosen))
    assert outcome.code == 0, outcome.err
    assert "note: pixel_gaussian:" in outcome.err and "has nothing on it" in outcome.err
    assert {r.protocol["selection"] for r in records()} == {"last", "pseudo-validation"}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (["--set", "knob.quantile=0.5"], "knob.quantile is set by the command and chosen by"),
        (["--set", "knob.steps=2"], "was made with knob steps=1 (here: 2)"),
        (["--preset", "fast"], "preset smoke (here: fast)"),
        (["--scope", "unified"], "has nothing on toy/2 cat."),
        (["--limit", "5"], "--limit None (here: 5)"),
        (["--methods", PIXEL], "chooses for knob, and this command runs pixel_gaussian"),
    ],
)
def test_a_file_that_does_not_fit_the_command_is_refused(
    invoke: Invoke, toy: Toy, knob: KnobPlugin, chosen: Path, change: list[str], message: str
) -> None:
    outcome = invoke(
        "run", *arguments(knob, toy, options="offset=3"), "--selected", str(chosen), *change
    )
    assert outcome.code == 2 and knob.log("fit") == []
    assert outcome.err.splitlines()[-1].startswith("error: ") and message in outcome.err


def test_a_sweep_and_other_training_images_are_refused_and_other_code_is_told(
    invoke: Invoke, toy: Toy, knob: KnobPlugin, chosen: Path
) -> None:
    sweep = arguments(knob, toy, options="offset=3,quantile=0.1|0.2")
    outcome = invoke("run", *sweep, "--selected", str(chosen))
    assert outcome.code == 2 and "leave one of the two out" in outcome.err
    value = files.read_json(chosen)
    for choice in value["choices"]:
        choice["code"] = dict.fromkeys(choice["code"], "0" * 16)
    files.write_json(chosen, value)
    words = [*arguments(knob, toy, options="offset=3"), "--selected", str(chosen)]
    outcome = invoke("run", *words)
    assert outcome.code == 0 and "note: knob: its code has changed since" in outcome.err
    shutil.copy(toy.root / "b/train/good/000.png", toy.root / "a/train/good/000.png")
    outcome = invoke("run", *words)
    assert outcome.code == 2 and "was made with other training images of toy:a" in outcome.err


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda text: text.replace("0.9", "0.8", 1), "does not match its checksum"),
        (lambda text: text[: len(text) // 2], "is not valid JSON"),
        (lambda text: "{}", "has no checksum"),
    ],
)
def test_a_damaged_file_is_named(
    invoke: Invoke, toy: Toy, knob: KnobPlugin, chosen: Path, damage: Any, message: str
) -> None:
    chosen.write_text(damage(chosen.read_text()))
    words = arguments(knob, toy, options="offset=3")
    for command in (["run", *words, "--selected", str(chosen)], ["selected", str(chosen)]):
        outcome = invoke(*command)
        assert outcome.code == 2 and outcome.out == ""
        last = outcome.err.splitlines()[-1]
        assert str(chosen) in last and message in last and "adbench select" in last


def test_a_file_of_another_kind_or_version_or_none_is_named(invoke: Invoke, tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    assert "there is no selection" in invoke("selected", str(path)).err
    files.write_json(path, {"format": 2})
    assert "upgrade adbench if a newer one wrote it" in invoke("selected", str(path)).err
    files.write_json(path, {"format": 1})
    outcome = invoke("selected", str(path))
    assert (
        outcome.code == 2
        and "is no selection of this version (adbench: Field required)" in outcome.err
    )


def test_a_mask_rule_is_recorded_with_a_model_that_was_fitted_under_another(
    invoke: Invoke, toy: Toy, knob: KnobPlugin
) -> None:
    words = arguments(knob, toy, "a")
    assert invoke("run", *words).code == invoke("run", *words, "--mask-rule", "area_max").code == 0
    assert len(knob.log("fit")) == 1
    assert sorted(r.protocol["mask_rule"] for r in records()) == ["area_max", "nearest"]


# ------------------------------------------------------------------------- looking at it


def test_select_shows_the_curves_and_writes_the_default_file(
    invoke: Invoke, toy: Toy, knob: KnobPlugin
) -> None:
    outcome = invoke("select", *arguments(knob, toy, "a"))
    assert outcome.code == 0, outcome.err
    path = Path("results/selections/knob-toy-smoke-seed0.json")
    choice = read_selection(path).choices[0]
    assert f"wrote {path}" in outcome.err
    assert "knob on toy:a, separate, smoke, seed 0: pseudo-validation" in outcome.out
    assert "quantile (offset=9)" in outcome.out and "SMOKE preset" in outcome.out
    assert f"Chosen (*): quantile={choice.chosen['quantile']}, offset=" in outcome.out
    assert invoke("selected", str(path)).out == outcome.out
    text = path.read_text()
    assert str(toy.folder) not in text and str(knob.folder) not in text and "/home" not in text


def test_test_curves_are_shown_beside_from_finished_records_only(
    invoke: Invoke, toy: Toy, knob: KnobPlugin, chosen: Path
) -> None:
    before = chosen.read_bytes()
    outcome = invoke("selected", str(chosen), "--compare-with-test", "results")
    assert outcome.code == 0 and "no record" in outcome.out
    command = next(line for line in outcome.err.splitlines() if "adbench run" in line)
    words = shlex.split(command.partition("; adbench ")[2])
    assert words[2] == "knob[offset=9,quantile=0.0|0.5|0.9|1.0]"  # 3, but held at 9 meanwhile
    # The command as printed, but for the plug-in's file and the data, which no file names.
    words[words.index("--methods") + 1] = words[2].replace("knob", knob.reference, 1)
    words[words.index("--dataset") + 1] = f"{toy.reference}:a"
    extra = ["--data-root", str(toy.folder), "--device", "cpu", "--seeds", "0-1"]
    assert invoke(*words, *extra).code == 0
    shown = invoke("selected", str(chosen), "--compare-with-test", "results", "--json")
    curve = json.loads(shown.out)["choices"][0]["curves"][0]
    by_value: dict[float, list[Any]] = defaultdict(list)
    for record in records():
        quantile = record.identity["hyperparameters"]["quantile"]
        by_value[quantile].append(record.metrics["a"]["image_auroc"])
    test = [p["mean"]["image_auroc"] for p in curve["test"]["points"]]
    assert test == [pytest.approx(np.mean(by_value[p["value"]])) for p in curve["points"]]
    assert all(p["seeds"] == [0, 1] for p in curve["test"]["points"])
    from scipy.stats import spearmanr

    own = [p["mean"]["image_auroc"] for p in curve["points"]]
    expected = spearmanr(own, test).statistic
    assert curve["test"]["spearman"]["image_auroc"] == pytest.approx(expected)
    text = invoke("selected", str(chosen), "--compare-with-test", "results")
    assert "test image AUROC" in text.out and "(n=2)" in text.out
    assert "Spearman correlation of pseudo-validation and test over 4 of 4 values" in text.out
    assert "toy:b" in text.err or "toy:b" in text.out  # the other category still has none
    assert chosen.read_bytes() == before


def test_a_test_curve_holds_records_on_the_newest_data_alone(chosen: Path) -> None:
    choice = read_selection(chosen).choices[0]
    first, second, *_ = choice.curves[0].points
    labels, made = np.repeat([0, 1], 5), []
    (category,) = choice.categories
    for number, point in enumerate((first, second, second), 1):
        files = {"files": 1, "sha256": str(number // 2) * 64}  # the first on older ones
        own = scored_record(
            labels, np.arange(10.0) + number, category, seed=number,
            data={"digests": {category: dict.fromkeys(("train", "test", "masks"), files)}},
            key_parts={"mask_rule": "nearest"},
        )  # fmt: skip
        own.identity.update(
            method=choice.method, dataset=choice.dataset, scope=choice.scope, limit=choice.limit,
            dataset_version=choice.dataset_version, hyperparameters=point.hyperparameters,
        )  # fmt: skip
        made.append(own.model_copy(update={"number": number}))
    found = curve_of_tests(choice, choice.curves[0], made).points
    assert found[0] is None and found[1] is not None and found[1].seeds == (2, 3)


def test_a_correlation_is_undefined_for_two_points_and_for_a_flat_curve(chosen: Path) -> None:
    curve = read_selection(chosen).choices[0].curves[0]

    def correlation(values: list[float | None]) -> float | None:
        points = [None if v is None else TestPoint({"image_auroc": v}, (0,)) for v in values]
        return _correlation(curve, points, "image_auroc")

    assert correlation([0.1, 0.2, None, None]) is None
    assert correlation([0.5, 0.5, 0.5, 0.5]) is None
    own = [point.mean("image_auroc") for point in curve.points]
    assert correlation(own) == pytest.approx(1.0)
    assert correlation([None if v is None else 1 - v for v in own]) == pytest.approx(-1.0)


def test_the_picture_is_drawn_and_the_same_each_time(invoke: Invoke, chosen: Path) -> None:
    for name in ("one", "two"):
        words = ["--plot", f"{name}.pdf", "--compare-with-test", "results"]
        assert invoke("selected", str(chosen), *words).code == 0
    one, two = (Path(f"{name}.pdf").read_bytes() for name in ("one", "two"))
    assert one.startswith(b"%PDF") and one == two


# ------------------------------------------------------------------------------ wrong input


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (["--grid", "knob.quantile"], "expected METHOD.NAME=V1|V2"),
        (["--grid", "quantile=1"], "expected METHOD.NAME=V1|V2"),
        (["--grid", "knob.quantile=1||2"], "expected METHOD.NAME=V1|V2"),
        ([*GRID, *GRID], "knob.quantile is given twice"),
        (["--grid", "knobs.quantile=1"], "'knobs': did you mean 'knob'?"),
        (["--grid", "knob.quantil=1"], "'quantil': did you mean 'quantile'?"),
        (["--grid", "knob.quantile=0|2"], "candidate offset=9, quantile=2: knob.quantile"),
        (["--held-out", "0.7"], "expected a fraction in (0, 0.5]"),
        (["--limit", "3"], "expected 4 or more training images"),
        (["--plot", "curve.svg"], "expected a name that ends in .png or .pdf"),
        (["--out", "."], "is a folder: expected a file"),
        (["--methods", PIXEL], "pixel_gaussian has no grid of its own: give --grid"),
    ],
)
def test_wrong_words_are_told_before_any_work(
    invoke: Invoke, toy: Toy, knob: KnobPlugin, change: list[str], message: str
) -> None:
    outcome = invoke("select", *arguments(knob, toy), *change)
    assert outcome.code == 2 and message in outcome.err.splitlines()[-1]
    assert knob.log("fit") == [] and not Path("results").exists()


def test_what_cannot_be_searched_is_told(invoke: Invoke, toy: Toy, knob: KnobPlugin) -> None:
    outcome = invoke("select", *arguments(knob, toy, options="offset=1|2"))
    assert outcome.code == 2 and "more than once or sweeps it" in outcome.err
    for option in (["--results", str(toy.root / "r")], ["--out", str(toy.root / "a.json")]):
        outcome = invoke("select", *arguments(knob, toy), *option)
        assert outcome.code == 2 and "is inside the data set" in outcome.err
    shutil.rmtree(toy.root)
    outcome = invoke("select", *arguments(knob, toy))
    assert outcome.code == 4 and outcome.err.splitlines()[-1].startswith("error: toy")


def test_days_of_work_without_a_gpu_are_refused(
    invoke: Invoke, toy: Toy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("adbench.cli.run.gpu_visible", lambda: False)
    outcome = invoke("select", "--methods", "lafite", *toy.arguments(), "--preset", "paper")
    assert outcome.code == 2 and not Path("results").exists()
    assert "no GPU was found and" in outcome.err
    assert "18 values, 18 to try" in outcome.err and "--preset fast" in outcome.err
