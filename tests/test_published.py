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
from toy import Invoke

from adbench.errors import AdbenchError
from adbench.hyperparameters import build_hyperparameters
from adbench.registry import load_dataset, load_method, method_names
from adbench.report import comparison, paper_table
from adbench.report.beside import beside, reported_rows
from adbench.report.protocol_differences import selector_options
from adbench.report.reported import KINDS, SECONDS, columns, published_numbers
from adbench.report.tables import MEAN, SPREAD, rows, summarise_seeds
from adbench.store import files
from adbench.store.records import METRICS, Record

ROOT = Path(__file__).parents[1]
TRANSCRIPTION = ROOT.parent / "shared" / "published" / "published.csv"
COUNTS = {"transfusion": 443, "transfusion_code": 87, "lafite": 436, "drdc": 543}
NUMBERS = published_numbers()
B4 = "tf_efficientnet_b4.aa_in1k"
MPDD = tuple(load_dataset("mpdd").card.categories)

mapping = import_module("adbench.published.mapping")


def _lafite(**changes: Any) -> Record:
    """A unified LafitE run on MPDD under the paper's protocol, with `changes` to it."""
    options = changes.pop("options", {})
    preset = changes.pop("preset", "paper")
    categories = changes.pop("categories", MPDD)
    value = changes.pop("value", 0.95)
    seed = changes.pop("seed", 0)
    images = changes.pop("images", {})
    protocol = {
        "dataset": "mpdd", "dataset_version": "1", "scope": "unified",
        "trained_categories": list(categories), "image_size": 224, "crop": None,
        "evaluation_size": 224, "mask_rule": "nearest", "mask_threshold": 0, "metrics": "exact-1",
        "aupro_limits": [0.3, 0.05], "selection": "last", "limit": None, "backbone": B4,
        "weights_sha256": "0" * 64,
    } | changes  # fmt: skip
    built = build_hyperparameters(load_method("lafite"), preset, options)
    return Record(
        status="done", created="2026-01-01T00:00:00Z", preset=preset,
        variant=",".join(f"{k}={v}" for k, v in options.items()),
        keys={"fit": "f", "predict": "p", "score": "s"}, protocol=protocol, images=images,
        identity={
            "method": "lafite", "hyperparameters": built.canonical(), "dataset": "mpdd",
            "dataset_version": protocol["dataset_version"], "categories": list(categories),
            "scope": protocol["scope"], "seed": seed, "limit": protocol["limit"],
        },
        metrics={category: dict.fromkeys(METRICS, value) for category in categories},
    )  # fmt: skip


def _nearest(records: list[Record], name: str = "LafitE") -> Any:
    found = beside(records, summarise_seeds(rows(records)), NUMBERS)
    return next(b for b in found if b.column.name == name and b.column.paper == "lafite")


# ---------------------------------------------------------------------------- the files


def test_every_number_of_the_transcription_is_accounted_for() -> None:
    assert dict(Counter(number.paper for number in NUMBERS)) == COUNTS
    assert sum(COUNTS.values()) == 1509


@pytest.mark.skipif(not TRANSCRIPTION.is_file(), reason=f"{TRANSCRIPTION.name} is not at ../shared")
def test_the_files_are_what_the_mapping_makes_of_the_transcription() -> None:
    with TRANSCRIPTION.open(encoding="utf-8", newline="") as stream:
        source = list(csv.DictReader(stream))
    files = mapping.convert(source)
    folder = resources.files("adbench.published")
    for stem, converted in files.items():
        assert folder.joinpath(f"{stem}.csv").read_text(encoding="utf-8") == mapping.csv_text(
            converted
        )
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
        assert number.scope in ("separate", "unified") and number.kind in KINDS
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
    seen: dict[tuple[str, ...], list[Any]] = {}
    for n in NUMBERS:
        if n.kind == "value":
            key = (n.paper, n.name, n.selector, n.dataset, n.category, n.metric, n.scope)
            seen.setdefault(key, []).append(n)
    assert any(len(group) > 1 for group in seen.values())
    for group in seen.values():
        assert max(n.value for n in group) - min(n.value for n in group) <= Decimal("0.0005")


def test_a_printed_difference_becomes_a_number_beside_its_full_method() -> None:
    found = {c.name: c for c in columns(NUMBERS, ["mvtec"]) if c.paper == "transfusion"}
    full = found["TransFusion"].numbers[MEAN, "image_auroc"].value
    without = found["TransFusion w/o PE"].numbers[MEAN, "image_auroc"].value
    (delta,) = [
        n.value for n in NUMBERS
        if n.kind == "difference" and n.name == "TransFusion w/o PE"
        and (n.dataset, n.metric) == ("mvtec", "image_auroc")
    ]  # fmt: skip
    assert without == full + delta < full


def test_known_numbers() -> None:
    """LafitE, arXiv:2307.08059, Table 2."""
    lafite = next(c for c in columns(NUMBERS, ["mpdd"]) if c.name == "LafitE")
    assert lafite.numbers["tubes", "image_auroc"].text == "94.8 ± 0.46"
    assert lafite.numbers[MEAN, "pixel_auroc"].value == Decimal("0.990")
    assert lafite.categories == set(MPDD) and lafite.scope == "unified"
    assert {c.paper for c in columns(NUMBERS, ["mpdd"])} == {"lafite"}


def test_the_folder_is_linked_into_the_package_and_lists_its_files() -> None:
    link = ROOT / "adbench" / "published"
    assert link.is_symlink() and os.readlink(link) == "../results/published"
    readme = resources.files("adbench.published").joinpath("README.md").read_text()
    for stem, count in COUNTS.items():
        assert f"| `{stem}.csv` | {count} |" in readme


# ------------------------------------------------------------------------ beside ours


def test_a_difference_is_shown_where_everything_agrees() -> None:
    item = _nearest([_lafite(value=0.95)])
    assert item.run is not None and item.differences == ()
    assert item.difference(MEAN, "image_auroc") == pytest.approx(0.95 - 0.965)
    # One seed and no images: nothing to say about noise.
    assert item.difference_text(MEAN, "image_auroc") == "−1.5"
    assert item.covered(MEAN, "image_auroc") is None


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
    (note,) = [n for n in comparison.notes([_lafite(**changes)], NUMBERS) if "LafitE [1] is" in n]
    assert what in note.lower() and "not compared" in note


def test_other_rules_and_other_means_forbid_single_numbers_only() -> None:
    item = _nearest([_lafite(mask_rule="area_max")])
    assert item.differences == ()
    assert item.difference(MEAN, "image_auroc") is not None
    assert item.difference_text(MEAN, "pixel_auroc") == "≠ mask rule"
    # TransFusion's categories are trained apart: each is comparable where the mean is not.
    record = _transfusion("bottle")
    found = beside([record], summarise_seeds(rows([record])), NUMBERS)
    item = next(b for b in found if b.column.paper == "transfusion" and b.run is not None)
    assert item.difference("bottle", "image_auroc") is not None
    assert item.difference_text(MEAN, "image_auroc") == "≠ categories"


def _transfusion(category: str) -> Record:
    built = build_hyperparameters(load_method("transfusion"), "paper", {"crop": 224})
    base = _lafite(categories=(category,), scope="separate", image_size=256, crop=224)
    identity = base.identity | {
        "method": "transfusion", "dataset": "mvtec", "hyperparameters": built.canonical(),
    }  # fmt: skip
    protocol = base.protocol | {"dataset": "mvtec", "backbone": None}
    return base.model_copy(
        update={"identity": identity, "protocol": protocol, "variant": "crop=224"}
    )


def test_a_preset_is_recognised_by_its_values() -> None:
    """`paper` with a crop of 224 is what the preset paper_text is."""
    record = _transfusion("bottle")
    found = beside([record], summarise_seeds(rows([record])), NUMBERS)
    heads = {b.column.paper: b.head for b in found if b.column.name == "TransFusion"}
    assert heads["transfusion"] == ["TransFusion", "reported [1]"]
    assert heads["transfusion_code"] == ["TransFusion", "reported [2]", "≠ image size"]


def test_an_ablation_stands_beside_its_own_published_number_only() -> None:
    records = [_lafite(), _lafite(options={"feature_editing": False})]
    assert _nearest(records, "LafitE w/o F.E.").run.first["variant"] == "feature_editing=False"
    assert _nearest(records).run.first["variant"] == ""
    assert _nearest(records[:1], "LafitE w/o F.E.").run is None
    shown = [t.head for t in paper_table.paper_tables(records[:1], NUMBERS)]
    assert not any("w/o F.E." in head for heads in shown for head in heads)


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


def _numbered(number: int, test: str | None = None, **changes: Any) -> Record:
    """On test images of which the digest is known, or not."""
    kept = {
        part: {"files": 1, "sha256": (test or "0") * 64 if part == "test" else "0" * 64}
        for part in ("train", "test", "masks")
    }
    update: dict[str, Any] = {
        "number": number, "keys": dict.fromkeys(("fit", "predict", "score"), str(number)),
        "data": {} if test is None else {"digests": dict.fromkeys(MPDD, kept)},
    }  # fmt: skip
    return _lafite(**changes).model_copy(update=update)


def test_seeds_that_scored_other_images_have_no_interval_over_images() -> None:
    own = [
        _numbered(seed, images=_images(1.0, count=count), seed=seed)
        for seed, count in ((1, 60), (2, 50))
    ]
    (row,) = [
        row for row in reported_rows(beside(own, summarise_seeds(rows(own)), NUMBERS))
        if row["method"] == "LafitE" and row["category"] == MEAN and row["against"]
    ]  # fmt: skip
    assert row["covered"]["image_auroc"] is not None


def test_the_run_on_the_newest_data_stands_beside_a_paper() -> None:
    own = [_numbered(1, "0"), _numbered(2, "1", seed=1, value=0.5)]
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
def results(tmp_path: Path) -> Path:
    """A results folder with two of our methods on one category of MPDD."""
    folder = tmp_path / "results"
    for number, record in enumerate(
        [
            _lafite(categories=("metal_plate",), scope="separate", preset="fast", value=0.999),
            _lafite(
                categories=("metal_plate",), scope="separate", preset="fast", value=0.99,
                options={"reconstruction": False},
            ),
        ]
    ):  # fmt: skip
        keys = dict.fromkeys(record.keys, str(number))
        path = folder / "cells" / str(number) / f"record-{number}.json"
        files.write_json(path, record.model_dump(mode="json") | {"keys": keys})
    return folder


def test_reported_numbers_are_blocked_by_scope_and_never_ranked(results: Path) -> None:
    records = [
        _lafite(categories=("metal_plate",), scope="separate"),
        _lafite(categories=("metal_plate",), scope="separate", options={"tau": 90}, value=0.9),
    ]
    for tables in (
        comparison.comparison(records, NUMBERS),
        paper_table.paper_tables(records, NUMBERS),
        paper_table.paper_tables(records, NUMBERS, transpose=True),
    ):
        ours, theirs = tables
        assert ours.title.startswith("mpdd, separate") and ours.best
        assert not (ours.reported_rows or ours.reported_columns)
        assert theirs.title.startswith("mpdd, unified") and "as reported" in theirs.title
        assert theirs.best == theirs.second == frozenset() and not theirs.has_own
    unified = [_lafite(), _lafite(value=0.9, options={"tau": 90})]
    (table,) = paper_table.paper_tables(unified, NUMBERS)
    assert table.best and table.reported_columns
    assert not {column for _, column in table.best} & table.reported_columns
    (long,) = comparison.comparison(unified, NUMBERS)
    assert long.best and not {row for row, _ in long.best} & long.reported_rows


def test_metal_plate_alone_is_not_the_papers_mpdd(results: Path, invoke: Invoke) -> None:
    outcome = invoke("report", "--results", str(results), "--published", "--layout", "paper")
    assert outcome.code == 0, outcome.err
    for words in ("≠ scope", "≠ trained on", "≠ preset", "reported [1]"):
        assert words in outcome.out
    assert "ours −" not in outcome.out
    assert "ours separate, theirs unified" in outcome.out
    assert "arXiv:2307.08059" in outcome.out


def test_csv_and_json_hold_every_reported_number(results: Path, invoke: Invoke) -> None:
    arguments = ("report", "--results", str(results), "--published")
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
    plain = invoke("report", "--results", str(results), "--format", "csv").out
    assert "source" not in plain.splitlines()[0] and "reported" not in plain


def test_published_times_stand_below_ours_where_a_paper_timed_our_method() -> None:
    inference = {
        "valid": True, "device_name": "d", "seconds_per_image": {"median": 1.0, "p95": 2.0},
        "images_per_second": 1.0, "peak_rss_bytes": 1, "peak_device_bytes": None,
        "parameters": 1, "flops_per_image": 1.0,
    }  # fmt: skip
    timing = {"fit": {"seconds": 1.0, "valid": True}, "inference": inference}
    ours = _lafite().model_copy(update={"timing": timing})
    table = comparison.timing_table([ours], NUMBERS)
    assert table is not None and len(table.rows) == 1
    theirs = _transfusion("bottle").model_copy(update={"timing": timing})
    table = comparison.timing_table([theirs], NUMBERS)
    assert table is not None and len(table.reported_rows) == 4
    assert ("all", "TransFusion, reported", "NVIDIA A100") in {row[:3] for row in table.rows}


def test_rows_of_a_method_that_is_not_installed_are_not_compared() -> None:
    record = _lafite()
    stranger = record.model_copy(update={"identity": record.identity | {"method": "drdc9"}})
    with pytest.raises(AdbenchError):
        load_method("drdc9")
    found = beside([stranger], summarise_seeds(rows([stranger])), NUMBERS)
    assert all(item.run is None for item in found)
    assert reported_rows(found)
