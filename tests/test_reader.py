"""What somebody who has not made the results sees: names, titles, widths, help."""

from __future__ import annotations

import csv
import inspect
import io
import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from five_tables import TABLES, grid
from reports import TIMING, make_record, notes, tables, texts
from rich.cells import cell_len
from toy import PIXEL, Invoke, Toy

import adbench
from adbench.consoles import SafeConsole
from adbench.figures.latency import latency_figure, settings
from adbench.figures.style import drawing
from adbench.hyperparameters import build_hyperparameters
from adbench.naming import Names, device_title
from adbench.registry import load_method
from adbench.report import formats
from adbench.report.report import Report
from adbench.store.folders import Store
from adbench.store.newest import latest
from adbench.store.records import Record

ROOT = Path(__file__).parents[1]
REFERENCE = ROOT / "results" / "reference"
VARIANTS = json.loads((ROOT / "results" / "published" / "variants.json").read_text())


# -------------------------------------------------------------------------------- names


@pytest.mark.parametrize(
    ("method", "variant", "name"),
    [
        ("lafite", "", "LafitE"),
        ("lafite", "feature_editing=false", "LafitE w/o F.E."),
        ("lafite", "reconstruction=False", "LafitE, edit only"),
        ("drdc", "output=base", "DRDC, base only"),
        ("transfusion", "texture_dir=dtd", "TransFusion"),
        ("lafite", "feature_editing=false,tau=300", "LafitE w/o F.E., tau=300"),
        ("patchcore", "num_neighbours=5", "PatchCore, num_neighbours=5"),
        ("mine", "k=1", "mine, k=1"),
        ("os:system", "", "os:system"),  # a name in a record loads nothing
    ],
)
def test_rows_are_called_as_in_papers(method: str, variant: str, name: str) -> None:
    record = make_record(method, variant=variant)
    (table,) = tables([record])
    ((value,),) = [row.cells[1] for row in table.rows]
    assert value.text == name
    assert value.selector == f"{record.method} fast"


@pytest.mark.parametrize("method", VARIANTS)
def test_variants_that_have_names_are_variants_of_the_method(method: str) -> None:
    for option in VARIANTS[method]:
        name, _, value = option.partition("=")
        own = load_method(method)
        if value == "*":
            assert name in own.Hyperparameters.model_fields
        else:
            build_hyperparameters(own, "fast", {name: value})


def test_two_runs_with_one_name_keep_their_selectors() -> None:
    both = [make_record("transfusion", variant=v) for v in ("texture_dir=a", "")]
    names = Names(both)
    assert [names.of_record(r) for r in both] == ["transfusion[texture_dir=a]", "transfusion"]


def test_a_preset_is_said_once_where_all_rows_share_it() -> None:
    shared = [make_record("m"), make_record("n")]
    for options in ({}, {"layout": "paper"}):
        (table,) = tables(shared, **options)
        assert "toy, separate, preset fast" in table.title
        assert "one model per category, preset fast" in table.caption
        heads = [column.head for column in table.columns]
        assert not any("fast" in text for row in [heads, *texts(table)] for text in row)
    (table,) = tables([make_record("m"), make_record("n", preset="paper")])
    assert [row[1] for row in texts(table)] == ["m, fast", "n, paper"]
    assert "preset" not in table.title


def test_costs_name_one_device_once_and_leave_out_what_nobody_has() -> None:
    cpu = {"device_name": "Intel(R) Xeon(R) Processor"}
    timing = TIMING | {"inference": TIMING["inference"] | cpu}
    one = [make_record("lafite", timing=timing), make_record("patchcore", timing=timing)]
    costs = Report(one).costs
    assert costs is not None and "preset fast, Intel Xeon" in costs.title
    heads = [column.head for column in costs.columns]
    assert "device" not in heads and "device mem., GB" not in heads
    assert [row[1] for row in texts(costs)] == ["LafitE", "PatchCore"]
    two = Report([one[0], make_record("patchcore", timing=TIMING)]).costs
    assert two is not None and [row[2] for row in texts(two)] == ["Intel Xeon", "GPU"]


@pytest.mark.parametrize(
    ("name", "short"),
    [
        ("Intel(R) Xeon(R) Platinum 8488C CPU @ 2.40GHz", "Intel Xeon Platinum 8488C"),
        ("AMD EPYC 7763 64-Core Processor", "AMD EPYC 7763"),
        ("NVIDIA A100-SXM4-80GB", "A100 80GB"),
        ("NVIDIA H100 80GB HBM3", "H100 80GB"),
        ("NVIDIA GeForce RTX 4090", "RTX 4090"),
        ("GPU", "GPU"),
    ],
)
def test_devices_have_short_names(name: str, short: str) -> None:
    assert device_title(name) == short


# -------------------------------------------------------------------------------- notes


def test_notes_speak_of_no_mean_where_there_is_none() -> None:
    alone = make_record(value=None, dataset="mpdd", category="tubes", data={"complete": False})
    said = " ".join(notes([alone]))
    assert "excluded: bracket_black" in said and "partial data root." in said
    assert "undefined: " in said and "mean" not in said
    both = [alone, make_record(dataset="mpdd", category="connector")]
    assert "in no mean" in " ".join(notes(both))


def test_a_scope_that_nobody_asked_for_is_no_note(invoke: Invoke, toy: Toy) -> None:
    words = ["plan", "--methods", "lafite", "--preset", "smoke", *toy.arguments("a")]
    default, asked = invoke(*words), invoke(*words, "--scope", "unified")
    assert default.code == asked.code == 0
    assert "unified" not in default.err and "with one category unified is separate" in asked.err


# ---------------------------------------------------------------------- terminals and files


@pytest.mark.parametrize("width", [60, 80, 120])
@pytest.mark.parametrize("name", ["long", "nine over one", "five seeds"])
def test_a_narrow_terminal_gets_narrower_tables_and_no_broken_row(name: str, width: int) -> None:
    records, options = TABLES[name]
    report = Report(records, **options)
    buffer = io.StringIO()
    console = SafeConsole(file=buffer, force_terminal=True, width=width, no_color=True)
    for table in report.tables:
        formats.print_table(table, console)
    lines = [re.sub(r"\x1b\[[\d;]*m", "", line) for line in buffer.getvalue().splitlines()]
    drawn = [line for line in lines if "%" not in line]
    assert max(map(cell_len, drawn)) <= width
    (table,) = report.tables
    parts = sum("%" in line for line in lines)
    numbered = sum(bool(re.search(r"\d\d\.\d\d|  \d\.\d\d", line)) for line in drawn)
    assert numbered == parts * len(table.rows)  # a line each, in every part
    assert parts > 1 or width == 120 or name != "long"


def test_csv_is_a_machines_table_in_every_layout() -> None:
    records, _ = TABLES["five seeds"]
    for options in ({}, {"layout": "paper"}, {"layout": "paper", "transpose": True}):
        read = list(csv.reader(io.StringIO(formats.csv(Report(records, **options)))))
        assert len({len(row) for row in read}) == 1 and "dataset" in read[0]
        assert not any("±" in cell or " / " in cell for row in read for cell in row)
    paper = csv.DictReader(io.StringIO(formats.csv(Report(records, layout="paper"))))
    rows = {row["category"]: row for row in paper}
    values = [r.metrics["tubes"]["image_auroc"] for r in records if r.metrics.get("tubes")][:5]
    mean = sum(v for v in values if v is not None) / 5
    assert float(rows["tubes"]["patchcore fast image_auroc"]) == pytest.approx(mean, abs=1e-12)
    assert float(rows["tubes"]["patchcore fast image_auroc std"]) > 0
    assert [rows[name]["level"] for name in ("tubes", "mean", "inter_category_std")] == [
        "category", "mean", "std",
    ]  # fmt: skip


def test_one_category_has_no_mean_of_itself() -> None:
    read = list(csv.DictReader(io.StringIO(formats.csv(Report([make_record("lafite")])))))
    assert [(row["category"], row["selector"]) for row in read] == [("a", "lafite")]
    read = list(csv.DictReader(io.StringIO(formats.csv(Report(grid(1, 2))))))
    assert [row["level"] for row in read] == ["category", "category", "mean"]


def test_a_folder_of_flat_record_files_is_read(tmp_path: Path, invoke: Invoke) -> None:
    flat = tmp_path / "flat"
    flat.mkdir()
    for number, path in enumerate(sorted(REFERENCE.glob("cells/*/record-*.json"))):
        shutil.copy(path, flat / f"run {number}.json")
    whole, copied = (invoke("report", "--results", str(f)) for f in (REFERENCE, flat))
    assert copied.code == 0 and copied.out == whole.out and not copied.err
    listed, others = (invoke("runs", "--json", "--results", str(f)) for f in (REFERENCE, flat))
    assert json.loads(listed.out) == json.loads(others.out)
    compared = invoke("compare", str(REFERENCE), str(flat), "--json")
    assert compared.code == 0, compared.err
    assert {c["change"] for c in json.loads(compared.out)["comparisons"]} == {0.0}
    (flat / "other.json").write_text("{}")
    before = sorted(path.name for path in flat.iterdir())
    outcome = invoke("report", "--results", str(flat))
    assert outcome.out == whole.out and "other.json is no record" in outcome.err
    assert sorted(path.name for path in flat.iterdir()) == before


def test_a_plan_in_a_file_has_its_total(invoke: Invoke, toy: Toy) -> None:
    outcome = invoke("plan", "--methods", PIXEL, "--preset", "smoke", *toy.arguments())
    assert outcome.code == 0
    *cells, total = outcome.out.splitlines()
    assert len(cells) == 2 and total.startswith("2 cells, 0 there already, 2 to run, about ")
    assert "to run" not in outcome.err


def test_the_python_interface_lists_and_explains_itself() -> None:
    assert dir(adbench) == sorted(adbench.__all__) and "run" in dir(adbench)
    told = inspect.getdoc(adbench.run) or ""
    for name in inspect.signature(adbench.run).parameters:
        assert re.search(rf"^    {name}: ", told, re.MULTILINE), name


def test_help_shows_first_what_people_need(invoke: Invoke) -> None:
    for command in ("run", "plan"):
        needed, advanced = invoke(command, "--help").out.split("\nAdvanced:\n")
        options = re.findall(r"^  (--[a-z-]+)", needed.split("\nOptions:\n")[1], re.MULTILINE)
        assert {"--methods", "--dataset", "--preset", "--results"} <= set(options)
        assert len(options) <= 11 and "--checkpoint-every" not in options
        assert "--overwrite" in advanced


def test_every_exit_code_is_in_both_tables(invoke: Invoke) -> None:
    page, told = (ROOT / "docs" / "running.md").read_text(), invoke("--help").out
    for code in (0, 1, 2, 3, 4, 5, 70, 130):
        assert f"| {code} |" in page and re.search(rf"\b{code}\b", told)


# ------------------------------------------------------------------------------- the page


def _page(records: list[Record], folder: Path, **options: Any) -> str:
    from adbench.report.html.document import document

    return document(Report(records, **options), folder)


def test_a_report_opens_with_the_ranking_beside_cost_and_skill(tmp_path: Path) -> None:
    skill = {"value": 0.5, "standard_error": 0.01, "held_out": 20, "reason": ""}
    text = _page(grid(4, 2, skill=skill), tmp_path)
    opening = text.split('<section id="overview">')[1].split('<section id="tables">')[0]
    places = re.findall(r'class="place">(\d*)<.*?title="([^"]*)">([^<]*)<', opening, re.DOTALL)
    shown = [(name, selector) for _, selector, name in places]
    assert [place for place, *_ in places] == ["1", "2", "3", "4"]
    assert ("LafitE w/o F.E.", "lafite[feature_editing=false] fast") in shown
    assert "0.500 ± 0.007" in opening and "ms per image" in opening and "MPDD" in opening
    assert "Image AUROC against latency: mpdd, separate, Intel Xeon" in opening
    order = [text.index(f'<section id="{name}">') for name in ("tables", "notes", "protocols")]
    assert order == sorted(order)


def test_what_is_not_comparable_has_places_of_its_own_and_smoke_none(tmp_path: Path) -> None:
    apart = [*grid(3, 1), make_record("n", "bracket_black", 0.99, dataset="mpdd",
                                      protocol={"image_size": 64})]  # fmt: skip
    opening = _page(apart, tmp_path).split('<section id="tables">')[0]
    assert re.findall(r'class="place">(\d*)<', opening) == ["1", "2", "3", ""]
    opening = _page(grid(3, 1, preset="smoke"), tmp_path).split('<section id="tables">')[0]
    assert re.findall(r'class="place">(\d*)<', opening) == [""] * 3


def test_long_notes_are_below_a_fold_unless_asked_for(tmp_path: Path) -> None:
    found = [
        {"severity": "warning", "category": None, "check": "x", "message": f"{n} " + "word " * 90}
        for n in range(8)
    ]
    records = [make_record(data={"findings": found})]
    assert "4 more notes</summary>" in _page(records, tmp_path)
    assert "more notes</summary>" not in _page(records, tmp_path, all_notes=True)
    assert "more notes</summary>" not in _page([make_record()], tmp_path)


def test_accuracy_ends_at_100_percent() -> None:
    record = make_record(value=1.0, timing=TIMING)
    with drawing():
        figure = latency_figure([record], settings([record])[0])
    assert figure is not None
    assert all(axis.get_ylim()[1] <= 100 for axis in figure.axes)


def test_the_reference_records_are_one_command(invoke: Invoke) -> None:
    """As README says; its numbers are held by tests/test_readme.py."""
    outcome = invoke("report", "--results", str(REFERENCE), "--format", "markdown")
    assert outcome.code == 0
    for record in latest(Store(REFERENCE).records()):
        (value,) = {own["image_auroc"] for own in record.metrics.values()}
        assert value is None or f"{100 * value:.2f}" in outcome.out
