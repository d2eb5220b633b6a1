"""Numbers that differ in data, code, settings or clock are never mixed without a word."""

from __future__ import annotations

import csv
import html
import io
import json
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image
from reports import notes, tables, texts
from scored import failed, scored_record, write_results
from toy import Invoke, Toy, forget_plugins, write_toy

from adbench.figures.critical_difference import ranking
from adbench.figures.names import labeller
from adbench.report.html.document import document
from adbench.report.report import Report
from adbench.report.tables import MEAN, public, rows, summarise_seeds
from adbench.store import files
from adbench.store.comparability import data_versions
from adbench.store.folders import Store
from adbench.store.newest import latest
from adbench.store.record_files import read_heads
from adbench.store.records import Record

PLUGIN = """
from signs import SIGN

from adbench.testing import PixelGaussian, PixelGaussianHyperparameters


class Settings(PixelGaussianHyperparameters):
    shift: int = 0


class Own(PixelGaussian):
    card = PixelGaussian.card.model_copy(update={"name": "NAME"})
    Hyperparameters = Settings

    def predict(self, images):
        found = super().predict(images)
        sign = SIGN * (1 if self.hyperparameters.shift == 0 else -1)
        return type(found)(sign * found.maps, sign * found.scores)
"""
TEXTS = ("terminal", "markdown", "latex", "html")
FORMATS = (*TEXTS, "csv", "json")


@dataclass
class Bench:
    """A results folder, a toy data set and two plug-ins; each command loads them anew."""

    folder: Path
    toy: Toy
    invoke: Invoke
    said: str = ""

    def write(self, name: str, old: str = "", new: str = "") -> None:
        """(Re)write the plug-in `name`, with a part of its text replaced."""
        text = PLUGIN.replace("NAME", name)
        assert old in text
        (self.folder / f"{name}.py").write_text(text.replace(old, new) if old else text)

    def write_helper(self, sign: int) -> None:
        """(Re)write the module that the plug-ins import."""
        (self.folder / "signs.py").write_text(f"SIGN = {sign}\n")

    def run(self, name: str, *more: str, toy: Toy | None = None) -> None:
        self.call(
            "run", "--methods", f"{self.folder / name}.py:Own", *(toy or self.toy).arguments("a"),
            "--preset", "fast", "--no-timing", *more,
        )  # fmt: skip

    def call(self, *arguments: str) -> str:
        forget_plugins()
        done = self.invoke(*arguments)
        assert done.code == 0, done.err
        self.said = done.err
        return done.out

    def records(self) -> list[Path]:
        return sorted((self.folder / "results" / "cells").glob("*/record-*.json"))

    def edit(self, path: Path, change: Callable[[dict[str, Any]], None]) -> None:
        """Change a record as an older adbench, another machine or a wrong clock would have it."""
        value = files.read_json(path)
        change(value)
        files.write_json(path, value)


@pytest.fixture
def bench(tmp_path: Path, invoke: Invoke) -> Bench:
    bench = Bench(tmp_path, write_toy(tmp_path / "data", ("a",)), invoke)
    bench.write("one")
    bench.write("two")
    bench.write_helper(1)
    return bench


def a_changed_default(bench: Bench) -> None:
    bench.run("one")
    bench.write("one", "shift: int = 0", "shift: int = 1")
    bench.run("one", "--seeds", "1")


def a_changed_helper(bench: Bench) -> None:
    bench.run("one")
    bench.write_helper(-1)
    bench.run("one", "--seeds", "1")


def other_masks(bench: Bench) -> None:
    bench.run("one")
    for path in (bench.toy.root / "a" / "ground_truth" / "hole").iterdir():
        Image.fromarray(np.roll(np.asarray(Image.open(path)), 5)).save(path)
    bench.run("two")


def other_images(bench: Bench) -> None:
    bench.run("one")
    good = bench.toy.root / "a" / "test" / "good"
    Image.fromarray(np.full((40, 40, 3), 90, np.uint8)).save(good / "extra.png")
    bench.run("two")


def a_second_root(bench: Bench) -> None:
    bench.run("one")
    other = Toy(bench.folder / "elsewhere", bench.toy.reference)
    shutil.copytree(bench.toy.folder, other.folder)
    (other.root / "a" / "train" / "good" / "000.png").unlink()
    bench.run("two", toy=replace(other, reference=bench.toy.reference))


def a_record_of_2099(bench: Bench) -> None:
    bench.run("one")
    (first,) = bench.records()
    bench.edit(first, lambda value: value.update(created="2099-01-01T00:00:00Z"))
    bench.write_helper(-1)
    bench.run("one")


def other_libraries(bench: Bench) -> None:
    bench.run("one")
    (first,) = bench.records()
    bench.edit(first, lambda value: value["environment"]["packages"].update(numpy="1.0.0"))
    bench.run("two")


SAID: dict[Callable[[Bench], None], str | None] = {
    a_changed_default: "one fast on toy: 1 record of older settings left out (shift 0, now 1).",
    a_changed_helper: "one on toy: means mix versions of the method",
    other_masks: "toy: a and b are numbers of different data (a: masks changed)",
    other_images: "toy: a and b are numbers of different data (a: 1 test images more)",
    a_second_root: "toy: a and b are numbers of different data (a: 1 training images fewer)",
    a_record_of_2099: None,
    other_libraries: "toy: numbers of different library versions: numpy",
}


@pytest.mark.parametrize("change", SAID, ids=lambda change: str(change.__name__))
def test_no_format_mixes_silently(bench: Bench, change: Callable[[Bench], None]) -> None:
    change(bench)
    for style in FORMATS:
        chosen = ["--json"] if style == "json" else ["--format", style]
        check(change, style, bench.call("report", *chosen))


def check(change: Callable[[Bench], None], style: str, text: str) -> None:
    said = SAID[change]
    if style in TEXTS:
        plain = " ".join(html.unescape(re.sub(r"<[^>]*>|\\", "", text)).split())
        assert said is None or said in plain.replace("{}", ""), style
        if style != "html":  # its charts have ± of their own
            averaged = re.search(r"\d ?(±|\\tblpm)", text) is not None
            assert averaged == (change is a_changed_helper), style
        return
    table = json.loads(text) if style == "json" else list(csv.DictReader(io.StringIO(text)))
    own = [row for row in table if row["category"] == "a"]
    if change is a_changed_default:
        assert [str(row["seed"]) for row in own] == ["1"]
    elif change is a_record_of_2099:
        (row,) = own
        assert not row["created"].startswith("2099") and float(row["image_auroc"]) < 0.5
    else:
        columns = {"a_changed_helper": "code", "other_libraries": "libraries"}
        column = columns.get(change.__name__, "data")
        assert len(own) == 2 and own[0][column] != own[1][column]


def test_a_run_says_that_it_reuses_numbers_of_other_libraries(bench: Bench) -> None:
    bench.run("one")
    (first,) = bench.records()
    bench.edit(first, lambda value: value["environment"]["packages"].update(numpy="1.0.0"))
    bench.run("one")
    assert "other libraries (numpy 1.0.0, here " in bench.said


def test_other_data_are_never_ranked_or_averaged_together(bench: Bench) -> None:
    other_masks(bench)
    assert "**" not in bench.call("report", "--format", "markdown").partition("\n")[2]
    bench.run("one", "--seeds", "1")
    text = bench.call("report", "--format", "markdown")
    assert not re.search(r"\d ±", text) and "one (b)" in text and "one (a)" in text


def test_a_setting_or_code_that_comes_back_is_the_newest_again(bench: Bench) -> None:
    a_changed_default(bench)
    bench.write("one")
    bench.run("one")
    table = json.loads(bench.call("report", "--json"))
    assert {row["seed"] for row in table} == {0}


# ----------------------------------------------------------------------- on made-up records

LABELS = np.repeat([0, 1], 10)
GOOD = np.arange(20.0)


def record(number: int, category: str = "a", k: int | None = None, **changes: Any) -> Record:
    made = scored_record(LABELS, GOOD + number, category, **changes)
    made.identity["hyperparameters"] |= {} if k is None else {"k": k}
    return made.model_copy(update={"number": number})


def digests(train: str = "0", test: str = "0", masks: str = "0") -> dict[str, Any]:
    own = {"train": train, "test": test, "masks": masks}
    return {
        "digests": {"a": {part: {"files": 10, "sha256": text * 64} for part, text in own.items()}}
    }


def test_records_of_unknown_data_are_compared_and_marked() -> None:
    known = [record(1, data=digests()), record(2, method="n", data=digests(masks="1"))]
    unknown = record(3, method="o")
    (table,) = tables([*known, unknown])
    assert [row[1] for row in texts(table)] == ["m (a)", "n (b)", "o (b?)"]
    assert any("o (marked ?)" in n and "unknown" in n for n in notes([*known, unknown]))
    assert not any("unknown" in note for note in notes(known))
    assert not any("?" in row[1] for row in texts(tables([unknown])[0]))


def test_old_records_of_one_category_know_their_data() -> None:
    parts = {"train": "0" * 64, "test": "0" * 64, "masks": "0" * 64}
    old, new = record(1, key_parts=parts), record(2, method="n", data=digests())
    assert len(set(data_versions([old, new]).values())) == 1
    changed = record(3, method="o", data=digests(test="1"))
    assert len(set(data_versions([old, new, changed]).values())) == 2
    one, same, other = (rows([record(1, data=digests(test=t))])[0]["data"] for t in "001")
    assert one == same != other, "tables of two folders tell other data apart"


def test_a_category_may_be_called_mean() -> None:
    table = public(rows([record(1, "mean"), record(2, "b")]))
    assert [(row["category"], row["level"]) for row in table] == [
        ("mean", "category"), ("b", "category"), ("mean", "mean"),
    ]  # fmt: skip
    (shown,) = tables([record(1, "mean"), record(2, "b")])
    assert [row[0] for row in texts(shown)] == ["mean", "b", "mean of 2"]
    summaries = summarise_seeds(rows([record(1, "mean"), record(2, "mean", seed=1)]))
    assert {s["category"]: s["image_auroc"]["n"] for s in summaries} == {"mean": 2, MEAN: 2}


def test_the_number_decides_what_is_newest_and_no_clock() -> None:
    ahead = record(1, created="2099-01-01T00:00:00Z")
    late = record(2, created="2026-01-02T00:00:00Z")
    assert latest([late, ahead]) == [late]
    assert any("made in the future" in note for note in notes([ahead]))
    unnumbered = [r.model_copy(update={"number": 0}) for r in (ahead, late)]
    assert latest(unnumbered)[0].created == late.created


def test_the_newest_settings_alone_stand_and_the_rest_is_said() -> None:
    old = [record(i, c, k=1) for i, c in ((1, "a"), (2, "b"))]
    new = record(3, k=2)
    kept = latest([*old, new])
    assert [r.identity["hyperparameters"] for r in kept] == [{"k": 2}]
    (note,) = kept[0].left_out
    assert note == "m fast on toy: 2 records of older settings left out (k 1, now 2)."
    swept = [record(1, k=1), record(2, variant="k=2", k=2)]
    assert len(latest(swept)) == 2


def test_older_records_on_other_data_are_said() -> None:
    kept = latest([record(1, data=digests()), record(2, data=digests(test="1", masks="1"))])
    (note,) = kept[0].left_out
    assert "1 older record of other test images and masks left out" in note


def test_a_failure_names_the_variant() -> None:
    broken = failed(record(1, variant="mode=nan"))
    assert any(note.startswith("Failed: m[mode=nan] on toy:a") for note in notes([broken]))


def test_compare_and_gate_follow_the_same_rule(invoke: Invoke, tmp_path: Path) -> None:
    base = write_results(tmp_path / "base", [record(1, data=digests())])
    for changes, said in (
        ({"train": "1"}, "other training images"),
        ({"test": "1"}, "other images"),
    ):
        head = write_results(tmp_path / f"head-{said[6]}", [record(2, data=digests(**changes))])
        assert said in invoke("compare", str(base), str(head)).out
        assert invoke("baseline", "save", "b.json", "--results", str(base)).code == 0
        outcome = invoke("gate", "--baseline", "b.json", "--results", str(head))
        assert outcome.code == 5 and said in outcome.out


def test_compare_says_what_is_unknown_and_which_libraries_differ(
    invoke: Invoke, tmp_path: Path
) -> None:
    old, new = ({"packages": {"numpy": version}} for version in ("1.0", "2.0"))
    base = str(write_results(tmp_path / "base", [record(1, environment=old)]))
    changed = record(2, environment=new, data=digests())
    head = str(write_results(tmp_path / "head", [changed]))
    assert invoke("baseline", "save", "b.json", "--results", base).code == 0
    for command in (["compare", base, head], ["gate", "--baseline", "b.json", "--results", head]):
        text = " ".join(invoke(*command).out.split())
        assert "is unknown" in text and "numpy 1.0 → 2.0" in text


# -------------------------------------------------------- several protocols, failures, versions


def ruled(category: str, rule: str, limit: int | None = None, scores: np.ndarray = GOOD) -> Record:
    """Under a mask rule and a `--limit`, as a run keeps it."""
    own: dict[str, Any] = {"mask_rule": rule, "limit": limit}
    made = scored_record(LABELS, scores, category, protocol=own)
    made.identity["limit"] = limit
    key = files.digest([category, rule, limit])[:24]
    keys = dict.fromkeys(("fit", "predict", "score"), key)
    parts = {"mask_rule": rule, "mask_threshold": 0}
    return made.model_copy(update={"keys": keys, "key_parts": parts})


def test_compare_never_averages_over_protocols(invoke: Invoke, tmp_path: Path) -> None:
    kinds: list[tuple[str, int | None]] = [("nearest", None), ("area_max", None), ("nearest", 3)]
    sides = [
        [ruled(c, rule, limit, scores) for rule, limit in kinds for c in ("a", "b")]
        for scores in (GOOD, GOOD[::-1].copy())
    ]
    folders = [str(write_results(tmp_path / f"{n}", own)) for n, own in enumerate(sides)]
    found = json.loads(invoke("compare", *folders, "--metrics", "image_auroc", "--json").out)
    means = [row for row in found["comparisons"] if row["level"] == "mean"]
    assert [row["categories"] for row in means] == [2, 2, 2]
    assert len({row["protocol"] for row in means}) == 3
    assert [over["categories"] for over in found["over_categories"]] == [2, 2, 2]
    text = " ".join(invoke("compare", *folders, "--metrics", "image_auroc").out.split())
    assert "(mask rule area_max, limit none)" in text and "(mask rule nearest, limit 3)" in text


def test_a_failure_counts_with_its_own_run_alone() -> None:
    other_rule = [failed(ruled("a", "nearest")), ruled("a", "area_max")]
    assert [row[2] for row in texts(tables(other_rule)[0])] == ["failed", "100.00"]

    def unified(categories: str) -> Record:
        own = [ruled(c, "nearest") for c in categories]
        return own[0].model_copy(
            update={
                "identity": own[0].identity | {"categories": [*categories], "scope": "unified"},
                "protocol": own[0].protocol
                | {"scope": "unified", "trained_categories": [*categories]},
                "metrics": {c: r.metrics[c] for c, r in zip(categories, own, strict=True)},
                "keys": dict.fromkeys(("fit", "predict", "score"), categories),
            }
        )

    (table,) = tables([failed(unified("ab")), unified("abc")])
    assert {row[0]: row[2] for row in texts(table) if row[2] != "failed"} == {
        "a": "100.00", "b": "100.00", "c": "100.00", "mean of 3": "100.00",
    }  # fmt: skip


def test_code_of_before_is_unknown_and_not_another() -> None:
    old = record(1, key_parts={"code": {"m": "1"}, "decoder": "1", "metrics": "1"})
    new = record(2, "b", key_parts={"code_digest": "2", "decoder": "2", "metrics": "2"})
    said = notes([old.model_copy(update={"format": 1}), new])
    (note,) = [note for note in said if "older adbench" in note]
    assert "toy: 1 cell made by an older adbench (m on toy:a, seed 0)" in note
    assert not any("versions of" in note for note in said)
    assert sum("versions of" in note for note in notes([old, new])) == 3


@pytest.mark.parametrize("form", ["CRLF", "indented", "sorted"])
def test_a_record_that_a_tool_wrote_anew_keeps_its_place(tmp_path: Path, form: str) -> None:
    folder = write_results(tmp_path / "results", [record(7)])
    (path,) = (folder / "cells").glob("*/record-*.json")
    value = json.loads(path.read_text())
    texts = {
        "CRLF": path.read_text().replace("\n", "\r\n"),
        "indented": json.dumps(value, indent=4),
        "sorted": json.dumps(value, indent=1, sort_keys=True),
    }
    path.write_bytes(texts[form].encode())
    assert [r.number for r in Store(folder).records()] == [7]
    assert [head.number for head in read_heads(folder / "cells").values()] == [7]


def test_html_marks_each_cell_by_its_own_version_of_the_data(tmp_path: Path) -> None:
    made = [record(1, data=digests()), record(2, method="n", data=digests(masks="1"))]
    text = document(Report(made), tmp_path)
    assert ">m (a)</span>" in text and ">n (b)</span>" in text
    assert "(a, b)</span>" not in text and text.count('href="#cell-') >= 2


def test_figures_tell_older_data_apart_and_rank_none_of_it() -> None:
    worse = [GOOD, np.roll(GOOD, 4), np.roll(GOOD, 8)]

    def run(method: str, scores: np.ndarray, version: int) -> list[Record]:
        kept = dict.fromkeys("abcdef", digests(test=str(version))["digests"]["a"])
        return [
            scored_record(
                LABELS, scores, c, method=method, seed=version, data={"digests": kept}
            ).model_copy(update={"number": version})
            for c in kept
        ]

    older = [r for m, scores in zip("mno", worse, strict=True) for r in run(m, scores, 1)]
    newer = [r for m, scores in zip("onm", worse, strict=True) for r in run(m, scores, 2)]
    label = labeller([*older, *newer])
    assert (label(older[0]), label(newer[-1])) == ("m (older data)", "m")
    found = ranking([*older, *newer], "image_auroc")
    assert not isinstance(found, str) and found.labels == ("o", "n", "m")


def reused(folder: Path, *made: Record) -> list[tuple[Any, Record]]:
    """The folder holds them, all of one family; with what the store must know of their cells."""
    family = [
        r.model_copy(update={"family": "f", "keys": dict.fromkeys(r.keys, f"{r.number:024d}")})
        for r in made
    ]
    write_results(folder, family)
    names = [{f"{name}_key": key for name, key in r.keys.items()} for r in family]
    return [
        (SimpleNamespace(**own, prediction_options={}), r)
        for own, r in zip(names, family, strict=True)
    ]


def test_going_back_to_old_settings_reads_each_record_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cells = reused(tmp_path, *(record(n + 1, k=1, seed=n) for n in range(40)))
    read: list[Path] = []
    plain = files.checked

    def counted(path: Path, *rest: Any, **more: Any) -> Any:
        read.append(path)
        return plain(path, *rest, **more)

    monkeypatch.setattr(files, "checked", counted)
    Store(tmp_path).bring_forward(cells[:20])
    assert 0 < len(read) <= 20


def test_what_another_run_wrote_meanwhile_is_not_overwritten(tmp_path: Path) -> None:
    old, new = reused(tmp_path, record(1, k=1), record(2, k=2))
    update = {"number": 3, "created": "2026-02-02T00:00:00Z"}
    write_results(tmp_path, [old[1].model_copy(update=update)])
    Store(tmp_path).bring_forward([old])
    assert latest(Store(tmp_path).records())[0].created == update["created"]
    Store(tmp_path).bring_forward([new])
    assert [r.number for r in latest(Store(tmp_path).records())] == [4]


@pytest.mark.parametrize(
    "change",
    [
        {"environment": {"packages": ["torch"]}},
        {"environment": {"packages": {"torch": ["2"]}}},
        {"environment": {"git": "abc"}},
        {"environment": {"plugin_git": [1]}},
        {"identity": {**scored_record(LABELS, GOOD).identity, "categories": ["a", "a"]}},
        {
            "identity": {**scored_record(LABELS, GOOD).identity, "categories": [MEAN]},
            "metrics": {MEAN: {}},
        },
    ],
    ids=["packages", "version", "commit", "plug-ins", "twice", "a mean"],
)
def test_a_record_of_another_shape_is_refused_by_name(
    invoke: Invoke, tmp_path: Path, change: dict[str, Any]
) -> None:
    folder = str(write_results(tmp_path / "odd", [record(1).model_copy(update=change), record(2)]))
    for command in (["report"], ["report", "--format", "html"], ["history"], ["report", "--json"]):
        outcome = invoke(*command, "--results", folder)
        assert outcome.code == 2 and "is not a record of this version" in outcome.err


def test_versions_that_a_failed_cell_alone_tells_apart_have_no_empty_brackets() -> None:
    kept = {c: digests()["digests"]["a"] for c in "ab"}
    other = {"a": kept["a"], "b": digests(test="1")["digests"]["a"]}
    both = scored_record(LABELS, GOOD, method="n", data={"digests": other})
    both.identity["categories"] = ["a", "b"]
    both.metrics["b"] = both.metrics["a"]
    made = [
        failed(record(3, "b", data={"digests": {"b": kept["b"]}})),
        record(2, data={"digests": {"a": kept["a"]}}), both,
    ]  # fmt: skip
    (note,) = [note for note in notes(made) if "different data" in note]
    assert "()" not in note


def test_what_was_chosen_is_no_changed_setting() -> None:
    made = []
    for number, (category, k, fixed) in enumerate((("a", 1, 5), ("b", 2, 6)), 1):
        chosen = {"selected": ["k"], "selection_sha256": "0" * 64}
        own = record(number, category, k, protocol=chosen)
        own.identity.update(selected="0" * 64)
        own.identity["hyperparameters"]["fixed"] = fixed
        made.append(own)
    (kept,) = latest(made)
    assert kept.left_out[0].endswith("left out (fixed 5, now 6).")


def test_code_that_no_mean_mixes_is_no_note() -> None:
    made = [
        record(1, key_parts={"code_digest": "1"}),
        record(2, seed=1, key_parts={"code_digest": "2"}, protocol={"mask_rule": "area_max"}),
    ]
    assert not any("means mix" in note for note in notes(made))


@pytest.mark.parametrize("ids", [None, [f"other/{i}.png" for i in range(20)]])
def test_seeds_on_different_data_are_compared_each_for_itself(
    invoke: Invoke, tmp_path: Path, ids: list[str] | None
) -> None:
    made = [
        record(1, data=digests()),
        record(2, seed=1, data=digests(test="1"), ids=ids),
        record(3, seed=2, data=digests(test="1"), ids=ids),
    ]
    folder = str(write_results(tmp_path / "results", made))
    outcome = invoke("compare", folder, folder, "--metrics", "image_auroc")
    text = " ".join(outcome.out.split())
    assert outcome.code == 0 and "toy:a (seed 0)" in text and "toy:a (seed 1, 2)" in text
    assert invoke("baseline", "save", "b.json", "--results", folder).code == 0
    assert invoke("gate", "--baseline", "b.json", "--results", folder).code == 0


def test_parts_of_methods_are_marked_like_the_methods() -> None:
    made = [record(1, data=digests()), record(2, seed=1, data=digests(test="1"))]
    having = [r.model_copy(update={"parts": {"base": r.metrics}}) for r in made]
    (table,) = Report(having).parts
    assert {row[1] for row in texts(table)} == {"m (a)", "m (b)"}


def test_a_folder_merged_from_two_says_where_numbers_and_clocks_disagree() -> None:
    march, january = "2026-03-01T00:00:00Z", "2026-01-01T00:00:00Z"
    late, early = record(1, created=march), record(7, created=january)
    (kept,) = latest([late, early])
    assert kept.number == 7 and kept.left_out == ()  # brought forward: one folder's own numbers
    for other in (record(1, "b", created=march), record(7, "b", created=january)):
        (kept, _) = latest([late, early, other])
        (note,) = kept.left_out
        assert f"made {january} stands and 1 record made later (up to {march})" in note
    (kept, _) = latest([record(1, k=1, created=march), record(7, k=2), record(7, "b", k=2)])
    assert len(kept.left_out) == 2 and "folders merged" in kept.left_out[1]
