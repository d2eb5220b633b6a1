"""Published numbers: nothing lost on the way here, and never compared where protocols differ."""

from __future__ import annotations

import csv
import io
import json
import os
from collections import Counter
from decimal import Decimal
from importlib import import_module, resources
from pathlib import Path
from typing import Any

import pytest
from reports import TIMING, make_record, notes, ranked, tables, texts
from scored import write_results
from toy import Invoke

from adbench.errors import AdbenchError
from adbench.hyperparameters import build_hyperparameters
from adbench.registry import load_dataset, load_method, method_names
from adbench.report.beside import reported_rows, selector_options
from adbench.report.report import Report
from adbench.report.reported import SECONDS, columns, published_numbers
from adbench.report.tables import MEAN, SPREAD, grouped
from adbench.store.records import METRICS, Record

ROOT = Path(__file__).parents[1]
TRANSCRIPTION = ROOT.parent / "shared" / "published" / "published.csv"
COUNTS = {"transfusion": 443, "transfusion_code": 87, "lafite": 436, "drdc": 543}
NUMBERS = published_numbers()
B4 = "tf_efficientnet_b4.aa_in1k"
MPDD = tuple(load_dataset("mpdd").card.categories)

mapping = import_module("adbench.published.mapping")
FOLDER = resources.files("adbench.published")


def _lafite(**changes: Any) -> Record:
    """A unified LafitE run on MPDD under the paper's protocol, with `changes` to it."""
    options, categories = changes.pop("options", {}), changes.pop("categories", MPDD)
    preset, value = changes.pop("preset", "paper"), changes.pop("value", 0.95)
    seed, images = changes.pop("seed", 0), changes.pop("images", {})
    protocol = {
        "scope": "unified", "trained_categories": list(categories), "image_size": 224,
        "evaluation_size": 224, "backbone": B4, "weights_sha256": "0" * 64,
    } | changes  # fmt: skip
    built = build_hyperparameters(load_method("lafite"), preset, options).canonical()
    made = make_record("lafite", dataset="mpdd", protocol=protocol, hyperparameters=built)
    told = {name: made.protocol[name] for name in ("dataset_version", "scope", "limit")}
    own = {"categories": list(categories), "seed": seed, **told}
    update: dict[str, Any] = {
        "preset": preset, "variant": ",".join(f"{k}={v}" for k, v in options.items()),
        "identity": made.identity | own, "images": images,
        "metrics": {category: dict.fromkeys(METRICS, value) for category in categories},
    }  # fmt: skip
    return made.model_copy(update=update)


def _nearest(records: list[Record], name: str = "LafitE") -> Any:
    found = Report(records, NUMBERS).beside
    return next(b for b in found if b.name == name and b.column.first.paper == "lafite")


# ---------------------------------------------------------------------------- the files


def test_every_number_is_there_and_listed_in_a_folder_that_the_package_links_to() -> None:
    assert dict(Counter(number.paper for number in NUMBERS)) == COUNTS
    link = ROOT / "adbench" / "published"
    assert link.is_symlink() and os.readlink(link) == "../results/published"
    readme = FOLDER.joinpath("README.md").read_text()
    assert all(f"| `{stem}.csv` | {count} |" in readme for stem, count in COUNTS.items())


@pytest.mark.skipif(not TRANSCRIPTION.is_file(), reason=f"{TRANSCRIPTION.name} is not at ../shared")
def test_the_files_are_what_the_mapping_makes_of_the_transcription() -> None:
    with TRANSCRIPTION.open(encoding="utf-8", newline="") as stream:
        source = list(csv.DictReader(stream))
    files = mapping.convert(source)
    for stem, converted in files.items():
        text = FOLDER.joinpath(f"{stem}.csv").read_text(encoding="utf-8")
        assert text == mapping.csv_text(converted)
    # Every printed digit survives: percent again, row by row in the order of each paper.
    back = [(Decimal(r["value"]) * 100, r["scope"]) for rows in files.values() for r in rows]
    shift = {"percent": Decimal(1), "second": Decimal(100)}
    printed = [(Decimal(r["value"]) * shift[r["unit"]], r["scope"]) for r in source]
    assert Counter(back) == Counter(printed)


def test_a_word_without_a_translation_is_an_error_that_names_its_row() -> None:
    row = {
        "method": "LafitE", "variant": "w/o something", "dataset": "mpdd", "category": "tubes",
        "metric": "image_auroc", "value": "1", "std": "", "unit": "percent", "scope": "unified",
        "image_size": "224", "source": "LafitE arXiv:2307.08059 Table 2",
    }  # fmt: skip
    assert mapping.convert([row | {"variant": ""}])["lafite"][0]["value"] == "0.01"
    with pytest.raises(ValueError, match=r"row 2: no translation of .*w/o something"):
        mapping.convert([row])
    with pytest.raises(ValueError, match="Another paper"):
        mapping.convert([row | {"source": "Another paper, Table 1"}])


def test_numbers_are_in_our_words() -> None:
    for number in NUMBERS:
        assert number.scope in ("separate", "unified")
        assert number.metric in (*METRICS, SECONDS), number
        if number.dataset in ("mvtec", "mpdd", "visa", "btad"):
            names = {*load_dataset(number.dataset).card.categories, MEAN, SPREAD}
            assert number.category in names, number
        if number.kind == "value" and number.metric != SECONDS:
            assert 0 <= number.value <= 1, number
        assert number.source and number.image_size in (224, 256)


def test_selectors_name_hyperparameters_that_our_methods_have() -> None:
    selectors = {(n.method, n.preset, n.selector) for n in NUMBERS if n.preset}
    ours = {method for method, _, _ in selectors}
    assert {"drdc", "lafite", "patchcore", "transfusion", "uniad"} == ours <= set(method_names())
    for method, preset, selector in selectors:
        build_hyperparameters(load_method(method), preset, selector_options(selector))
    unmapped = {n.method for n in NUMBERS if not n.preset}
    assert not {name.lower() for name in unmapped} & set(method_names())


def test_where_two_tables_print_a_number_twice_they_agree() -> None:
    groups = grouped(
        (n for n in NUMBERS if n.kind == "value"),
        lambda n: (n.paper, n.name, n.selector, n.dataset, n.category, n.metric, n.scope),
    )
    values = [[n.value for n in group] for group in groups.values()]
    assert any(len(own) > 1 for own in values)
    assert all(max(own) - min(own) <= Decimal("0.0005") for own in values)


def test_known_numbers_and_a_printed_difference_beside_its_full_method() -> None:
    found = {c.first.name: c for c in columns(NUMBERS, ["mvtec"]) if c.first.paper == "transfusion"}
    full = found["TransFusion"].numbers[MEAN, "image_auroc"].value
    without = found["TransFusion w/o PE"].numbers[MEAN, "image_auroc"].value
    (delta,) = [
        n.value for n in NUMBERS
        if n.kind == "difference" and n.name == "TransFusion w/o PE"
        and (n.dataset, n.metric) == ("mvtec", "image_auroc")
    ]  # fmt: skip
    assert without == full + delta < full
    # LafitE, arXiv:2307.08059, Table 2.
    lafite = next(c for c in columns(NUMBERS, ["mpdd"]) if c.first.name == "LafitE")
    assert lafite.numbers["tubes", "image_auroc"].text == "94.8 ± 0.46"
    assert lafite.numbers[MEAN, "pixel_auroc"].value == Decimal("0.990")
    assert lafite.categories == set(MPDD) and lafite.first.scope == "unified"
    assert {c.first.paper for c in columns(NUMBERS, ["mpdd"])} == {"lafite"}


# ------------------------------------------------------------------------ beside ours


def test_a_difference_is_shown_where_everything_agrees() -> None:
    item = _nearest([_lafite(value=0.95)])
    assert item.run is not None and item.differences == ()
    assert item.difference(MEAN, "image_auroc") == pytest.approx(0.95 - 0.965)
    # One seed and no images: nothing to say about noise.
    assert item.difference_text(MEAN, "image_auroc") == "−1.5"
    assert item.covered(MEAN, "image_auroc") is None
    # Another mask rule forbids pixel metrics alone.
    other = _nearest([_lafite(mask_rule="area_max")])
    assert other.differences == () and other.difference(MEAN, "image_auroc") is not None
    assert other.difference_text(MEAN, "pixel_auroc") == "≠ mask rule"


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"dataset_version": "2"}, "version"),
        ({"image_size": 256}, "image size"),
        ({"image_size": 256, "crop": 224}, "image size"),
        ({"backbone": "tf_efficientnet_lite0"}, "backbone"),
        ({"backbone": None}, "backbone"),
        ({"limit": 8}, "limit"),
        ({"preset": "fast"}, "preset"),
        ({"options": {"tau": 200}}, "tau"),
        ({"options": {"reconstruction": False}}, "reconstruction"),
        ({"categories": ("metal_plate",)}, "trained on"),
        ({"categories": ("metal_plate",), "scope": "separate"}, "scope"),
    ],
)
def test_each_protocol_difference_alone_forbids_a_comparison(
    changes: dict[str, Any], what: str
) -> None:
    item = _nearest([_lafite(**changes)])
    assert what in [difference.what for difference in item.differences]
    for category in ("metal_plate", MEAN):
        assert item.difference(category, "image_auroc") is None
        assert item.difference_text(category, "image_auroc") == ""
    assert f"≠ {what}" in item.head
    (note,) = [n for n in notes([_lafite(**changes)], published=NUMBERS) if "LafitE [1] is" in n]
    assert what in note.lower() and "not compared" in note


def _transfusion() -> Record:
    """On one category of MVTec AD: `paper` with a crop of 224 is what the preset paper_text is."""
    built = build_hyperparameters(load_method("transfusion"), "paper", {"crop": 224}).canonical()
    base = _lafite(categories=("bottle",), scope="separate", image_size=256, crop=224)
    identity = {"method": "transfusion", "dataset": "mvtec", "hyperparameters": built}
    update = {
        "identity": base.identity | identity, "variant": "crop=224", "timing": TIMING,
        "protocol": base.protocol | {"dataset": "mvtec", "backbone": None},
    }  # fmt: skip
    return base.model_copy(update=update)


def test_of_separate_models_each_category_is_comparable_where_the_mean_is_not() -> None:
    found = Report([_transfusion()], NUMBERS).beside
    items = {b.column.first.paper: b for b in found if b.name == "TransFusion"}
    assert items["transfusion"].head == ("TransFusion", "reported [1]")
    assert items["transfusion_code"].head == ("TransFusion", "reported [2]", "≠ image size")
    assert items["transfusion"].difference("bottle", "image_auroc") is not None
    assert items["transfusion"].difference_text(MEAN, "image_auroc") == "≠ categories"


def test_an_ablation_stands_beside_its_own_published_number_only() -> None:
    records = [_lafite(), _lafite(options={"feature_editing": False})]
    assert _nearest(records, "LafitE w/o F.E.").run.first["variant"] == "feature_editing=False"
    assert _nearest(records).run.first["variant"] == ""
    assert _nearest(records[:1], "LafitE w/o F.E.").run is None
    shown = tables(records[:1], published=NUMBERS, layout="paper")
    assert not any("w/o F.E." in column.head for table in shown for column in table.columns)


def _images(separation: float, categories: tuple[str, ...] = MPDD, count: int = 60) -> Any:
    table: dict[str, list[Any]] = {n: [] for n in ("id", "category", "label", "defect", "score")}
    for category in categories:
        for index in range(count):
            label = index % 2
            values = (f"{category}/{index}", category, label, "hole" if label else "good")
            score = (index * 37 % count) / count + separation * label
            for name, value in zip(table, (*values, score), strict=True):
                table[name].append(value)
    return table


def test_the_interval_of_image_metrics_resamples_images() -> None:
    close = _nearest([_lafite(value=0.96, images=_images(0.6))])
    far = _nearest([_lafite(value=0.5, images=_images(0.0))])
    low, high = close.run.interval("tubes", "image_auroc")
    assert 0.8 < low < high <= 1
    assert close.covered("tubes", "image_auroc") is True
    assert far.covered("tubes", "image_auroc") is False
    assert close.difference_text("tubes", "image_auroc") == "+1.2 in"
    assert far.difference_text("tubes", "image_auroc").endswith("out")
    # The mean over six categories is known better than one.
    low_mean, high_mean = close.run.interval(MEAN, "image_auroc")
    assert high_mean - low_mean < high - low


def test_seeds_that_scored_other_images_have_no_interval_over_images() -> None:
    own = [_lafite(images=_images(1.0, count=count), seed=count) for count in (60, 50)]
    (row,) = [
        row for row in reported_rows(Report(own, NUMBERS).beside)
        if row["method"] == "LafitE" and row["category"] == MEAN and row["against"]
    ]  # fmt: skip
    assert row["covered"]["image_auroc"] is not None


def test_the_run_on_the_newest_data_stands_beside_a_paper() -> None:
    own = []
    for number, value in ((1, 0.95), (2, 0.5)):
        files = {p: {"files": 1, "sha256": f"{number}" * 64} for p in ("train", "test", "masks")}
        update: dict[str, Any] = {
            "number": number, "keys": dict.fromkeys(("fit", "predict", "score"), str(number)),
            "data": {"digests": dict.fromkeys(MPDD, files)},
        }  # fmt: skip
        own.append(_lafite(seed=number, value=value).model_copy(update=update))
    found = _nearest(own)
    assert found.run is not None and found.run.name == "lafite paper (b)"
    assert found.run.value("tubes", "image_auroc") == 0.5


def test_the_interval_of_pixel_metrics_is_over_seeds() -> None:
    """Student's t with one degree of freedom: 12.706 times 0.01 / sqrt(2) * sqrt(2) / sqrt(2)."""
    records = [_lafite(value=0.98), _lafite(value=0.99, seed=1)]
    low, high = _nearest(records).run.interval("tubes", "pixel_auroc")
    assert (low + high) / 2 == pytest.approx(0.985)
    assert (high - low) / 2 == pytest.approx(12.7062 * 0.005, rel=1e-4)


# ------------------------------------------------------------------------ in tables


@pytest.fixture
def results(tmp_path: Path) -> str:
    """A results folder with two of our methods on one category of MPDD."""
    own: dict[str, Any] = {"categories": ("metal_plate",), "scope": "separate", "preset": "fast"}
    made = [_lafite(**own), _lafite(**own, options={"reconstruction": False})]
    keyed = [
        record.model_copy(update={"keys": dict.fromkeys(record.keys, str(number))})
        for number, record in enumerate(made)
    ]
    return str(write_results(tmp_path / "results", keyed))


def test_reported_numbers_are_blocked_by_scope_and_never_ranked() -> None:
    records = [
        _lafite(categories=("metal_plate",), scope="separate"),
        _lafite(categories=("metal_plate",), scope="separate", options={"tau": 90}, value=0.9),
    ]
    for options in ({}, {"layout": "paper"}, {"layout": "paper", "transpose": True}):
        ours, theirs = tables(records, published=NUMBERS, **options)
        assert ours.title.startswith("mpdd, separate") and ranked(ours) and not ours.has_reported
        assert theirs.title.startswith("mpdd, unified") and "as reported" in theirs.title
        assert not ranked(theirs) and not ranked(theirs, "second") and not theirs.has_own
        unified = [_lafite(), _lafite(value=0.9, options={"tau": 90})]
        (table,) = tables(unified, published=NUMBERS, **options)
        assert ranked(table) and table.has_reported
        for row, column in ranked(table):
            assert not table.rows[row].reported and not table.columns[column].reported


def test_metal_plate_alone_is_not_the_papers_mpdd(results: str, invoke: Invoke) -> None:
    outcome = invoke("report", "--results", results, "--published", "--no-transpose")
    assert outcome.code == 0, outcome.err
    for words in ("≠ scope", "≠ trained on", "≠ preset", "reported [1]"):
        assert words in outcome.out
    assert "ours −" not in outcome.out
    assert "ours separate, theirs unified" in outcome.out
    assert "arXiv:2307.08059" in outcome.out


def test_csv_and_json_hold_every_reported_number(results: str, invoke: Invoke) -> None:
    arguments = ("report", "--results", results, "--published")
    data = json.loads(invoke(*arguments, "--json").out)
    reported = [row for row in data if row["status"] == "reported"]
    numbers = sum(row[metric] is not None for row in reported for metric in METRICS)
    # Two of MPDD's means stand in two tables each, for LafitE and for UniAD.
    assert numbers == sum(n.dataset == "mpdd" for n in NUMBERS) - 4
    tubes = next(r for r in reported if (r["method"], r["category"]) == ("LafitE", "tubes"))
    assert tubes["image_auroc"] == 0.948 and tubes["std"]["image_auroc"] == 0.0046
    assert tubes["differs"] == "scope, trained on, preset" and tubes["against"] == "lafite fast"
    assert tubes["difference"]["image_auroc"] is None and tubes["covered"] == {}
    read = list(csv.DictReader(io.StringIO(invoke(*arguments, "--format", "csv").out)))
    assert sum(row["status"] == "reported" for row in read) == len(reported)
    plain = invoke("report", "--results", results, "--format", "csv").out
    assert "source" not in plain.splitlines()[0] and "reported" not in plain


def test_published_times_stand_below_ours_where_a_paper_timed_our_method() -> None:
    table = Report([_lafite().model_copy(update={"timing": TIMING})], NUMBERS).timing
    assert table is not None and len(table.rows) == 1
    table = Report([_transfusion()], NUMBERS).timing
    assert table is not None and sum(row.reported for row in table.rows) == 4
    assert ["all", "TransFusion, reported", "NVIDIA A100"] in [row[:3] for row in texts(table)]


def test_rows_of_a_method_that_is_not_installed_are_not_compared() -> None:
    record = _lafite()
    stranger = record.model_copy(update={"identity": record.identity | {"method": "drdc9"}})
    with pytest.raises(AdbenchError):
        load_method("drdc9")
    found = Report([stranger], NUMBERS).beside
    assert all(item.run is None for item in found)
    assert reported_rows(found)
