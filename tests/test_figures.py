"""Figures: what is drawn and chosen, that curves agree with metrics, and what is said of gaps."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from toy import PIXEL, Invoke, Toy, write_toy

from adbench.figures import gallery
from adbench.figures.cases import ImageScores, extreme_cases, gallery_cases
from adbench.figures.critical_difference import (
    Ranking,
    critical_difference_figure,
    ranking,
)
from adbench.figures.curves import PRO_LIMIT, Curve, image_curves, pixel_curves
from adbench.figures.latency import (
    Point,
    latency_figure,
    pareto_front,
    points,
)
from adbench.figures.latency import settings as latency_settings
from adbench.figures.names import file_part, labeller
from adbench.figures.pictures import Scale
from adbench.figures.style import drawing, line_style, point_style, save, svg
from adbench.metrics.exact import image_metrics, pixel_metrics
from adbench.store.records import METRICS, Record

STEPS_PLUGIN = """
from adbench.testing import PixelGaussian


class Stepwise(PixelGaussian):
    card = PixelGaussian.card.model_copy(update={"name": "stepwise", "title": "Stepwise"})

    def intermediates(self, images):
        import numpy as np

        grey = images.pixels.mean(axis=3)
        return {
            "mean image": np.repeat(self.mean_[None], len(images), 0).astype(np.float32),
            "difference at t=1": np.abs(grey - self.mean_).astype(np.float32),
            "negative": 255 - images.pixels,
        }
"""


# ------------------------------------------------------------------------ the command line


def _run(
    invoke: Invoke, toy: Toy, methods: str, *more: str, only: tuple[str, ...] = ("a",)
) -> tuple[str, Path]:
    base = ["run", "--methods", methods, *toy.arguments(*only), "--preset", "smoke", "--no-timing"]
    outcome = invoke(*base, *more)
    assert outcome.code == 0, outcome.err
    return outcome.err, toy.folder.parent / "results" / "figures"


def test_figures_draw_each_category_with_all_methods(invoke: Invoke, toy: Toy) -> None:
    err, folder = _run(invoke, toy, f"{PIXEL},{PIXEL}[noise=0.5]", "--figures", only=())
    found = sorted(str(p.relative_to(folder)) for p in folder.rglob("*.*"))
    drawn = [f"{kind}toy-{c}" for kind in ("", "curves/", "histograms/") for c in "ab"]
    images = [f"{stem}.{suffix}" for stem in drawn for suffix in ("png", "pdf")]
    assert found == sorted([*images, "gallery/toy-a.json", "gallery/toy-b.json"])
    assert f"wrote {len(found)} files" in err and "no cell was timed on an idle machine" in err
    with Image.open(folder / "toy-a.png") as sheet:
        colours = sheet.convert("RGB").getcolors(maxcolors=1 << 24)
        assert sheet.width > 300 and colours is not None and len(colours) > 100
    assert (folder / "toy-a.pdf").read_bytes().startswith(b"%PDF")


def test_the_gallery_holds_small_pictures_and_pixel_curves_of_every_method(
    invoke: Invoke, toy: Toy
) -> None:
    _, folder = _run(invoke, toy, f"{PIXEL},{PIXEL}[noise=0.5]", "--figures")
    (entry,) = gallery.read(folder)
    assert (entry["dataset"], entry["category"]) == ("toy", "a")
    methods = ["pixel_gaussian", "pixel_gaussian[noise=0.5]"]
    assert list(entry["drawn_from"]) == methods and entry["chosen_by"] == methods[0]
    assert set(entry["pixel_curves"][methods[0]]) == {"roc", "pr", "pro"}
    roles = [case["role"] for case in entry["cases"]]
    assert roles == [f"{r} {k}" for k in ("defect", "normal") for r in ("best", "median", "worst")]
    for case in entry["cases"]:
        assert case["image"].startswith("data:image/jpeg;base64,")
        assert [m["method"] for m in case["maps"]] == methods
        assert (case["mask_share"] > 0) == (case["defect"] == "hole")


def test_cells_without_maps_are_said_to_be_missing(invoke: Invoke, toy: Toy) -> None:
    base = ["run", "--methods", PIXEL, *toy.arguments("a"), "--preset", "smoke", "--no-timing"]
    assert invoke(*base).code == 0
    again = invoke(*base, "--figures")
    assert again.code == 0 and "1 cell without maps" in again.err
    folder = toy.folder.parent / "results" / "figures"
    assert (folder / "curves" / "toy-a.png").exists() and not (folder / "toy-a.png").exists()


def test_a_method_that_shows_its_steps_gets_a_sheet_of_them(invoke: Invoke, toy: Toy) -> None:
    plugin = toy.folder / "stepwise.py"
    plugin.write_text(STEPS_PLUGIN)
    _, folder = _run(invoke, toy, f"{plugin}:Stepwise,{PIXEL}", "--figures")
    steps = folder / "toy-a-stepwise-steps.png"
    with Image.open(steps) as sheet, Image.open(folder / "toy-a.png") as contact:
        assert sheet.width > contact.width  # three more columns than input, mask and two maps
    assert not (folder / "toy-a-pixel_gaussian-steps.png").exists()
    (entry,) = gallery.read(folder)
    assert entry["steps"] == [{"method": "stepwise", "file": steps.name}]


def test_steps_of_a_model_that_was_not_kept_are_left_out_and_said(invoke: Invoke, toy: Toy) -> None:
    plugin = toy.folder / "stepwise.py"
    plugin.write_text(STEPS_PLUGIN)
    err, folder = _run(invoke, toy, f"{plugin}:Stepwise", "--figures", "--no-keep-model")
    assert "the model was not kept" in err
    assert (folder / "toy-a.png").exists() and not list(folder.glob("*-steps.png"))


def test_names_from_data_are_drawn_as_they_are(invoke: Invoke, tmp_path: Path) -> None:
    """No formula, no missing letter and no sign that a file name lacks stops a figure."""
    names = ("a$b$", "<img src=x onerror=alert(1)>", "日本 \\frac{1}{", "%s{0}")
    toy = write_toy(tmp_path / "data", names, side=24)
    _, folder = _run(invoke, toy, PIXEL, "--figures", only=())
    assert len(list(folder.glob("toy-*.png"))) == len(names)
    assert {e["category"] for e in gallery.read(folder)} == set(names)


def test_damaged_maps_cost_their_column_not_the_rest(invoke: Invoke, toy: Toy) -> None:
    _, folder = _run(invoke, toy, f"{PIXEL},{PIXEL}[noise=0.5]", "--figures")
    shutil.rmtree(folder)
    cells = folder.parent / "cells"
    record = next(r for r in cells.glob("*/record-*.json") if '"noise=0.5"' in r.read_text())
    for chunk in record.parent.glob("*/chunk-*"):
        chunk.write_bytes(b"damaged")
    err, _ = _run(invoke, toy, f"{PIXEL},{PIXEL}[noise=0.5]", "--figures")
    assert "maps are damaged" in err
    (entry,) = gallery.read(folder)
    assert list(entry["drawn_from"]) == ["pixel_gaussian"]


@pytest.fixture
def known(tmp_path: Path) -> Toy:
    """The toy images as a category of a registered data set, so that records name it."""
    toy = write_toy(tmp_path / "data", ("metal_plate",))
    (toy.folder / "toy").rename(toy.folder / "MPDD")
    return Toy(toy.folder, "mpdd")


def _figures(invoke: Invoke, *arguments: str) -> str:
    outcome = invoke("figures", *arguments)
    assert outcome.code == 0, outcome.err
    return outcome.err


def test_a_finished_folder_is_drawn_later(invoke: Invoke, known: Toy) -> None:
    _, folder = _run(invoke, known, PIXEL, "--keep-maps", only=())
    assert not folder.exists()
    err = _figures(invoke, "--data-root", str(known.folder))
    sheet = folder / "mpdd-metal_plate.png"
    assert sheet.exists() and (folder / "gallery" / "mpdd-metal_plate.json").exists()
    # Its plug-in came from a module, not from a registered name, so only its steps are missing.
    assert "no steps of pixel_gaussian" in err
    before = sheet.read_bytes()
    _figures(invoke, "--data-root", str(known.folder))
    assert sheet.read_bytes() == before


def test_without_the_data_set_there_are_curves_and_no_picture(invoke: Invoke, known: Toy) -> None:
    _, folder = _run(invoke, known, PIXEL, "--keep-maps", only=())
    err = _figures(invoke)
    assert "mpdd: no picture without its images" in err
    assert (folder / "curves" / "mpdd-metal_plate.pdf").exists()
    assert not (folder / "mpdd-metal_plate.png").exists()


def test_pictures_of_other_files_are_never_put_beside_maps(invoke: Invoke, known: Toy) -> None:
    _, folder = _run(invoke, known, PIXEL, "--keep-maps", only=())
    test = known.folder / "MPDD" / "metal_plate" / "test"
    shutil.copy(test / "good" / "001.png", test / "good" / "000.png")
    err = _figures(invoke, "--data-root", str(known.folder))
    assert "not those that the records were made from" in err
    assert not (folder / "mpdd-metal_plate.png").exists()


def test_an_empty_folder_is_a_usage_error(invoke: Invoke) -> None:
    outcome = invoke("figures")
    assert outcome.code == 2 and "no record in results" in outcome.err


# ----------------------------------------------------------------------------- the curves


def _area(curve: Curve, limit: float = 1.0) -> float:
    return float(np.trapezoid(curve.y, curve.x)) / limit


def _step_area(curve: Curve) -> float:
    return float(np.sum(np.diff(curve.x) * curve.y[1:]))


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(st.integers(-3, 3), st.booleans()), min_size=2, max_size=40))
def test_the_area_under_an_image_curve_is_its_metric(pairs: list[tuple[int, bool]]) -> None:
    scores, labels = [float(s) for s, _ in pairs], [int(k) for _, k in pairs]
    curves = image_curves(scores, labels)
    if len(set(labels)) < 2:
        assert curves == {}
        return
    metrics = image_metrics(scores, labels)
    assert _area(curves["roc"]) == pytest.approx(metrics["image_auroc"], abs=1e-12)
    assert _step_area(curves["pr"]) == pytest.approx(metrics["image_aupr"], abs=1e-12)


@pytest.mark.parametrize("seed", range(6))
def test_the_area_under_a_pixel_curve_is_its_metric(seed: int) -> None:
    rng = np.random.default_rng(seed)
    masks = np.zeros((5, 24, 24), bool)
    for mask in masks[:4]:
        top, left = rng.integers(0, 16, 2)
        mask[top : top + 6, left : left + 5] = True
        mask[0, 20] = rng.random() < 0.5
    # Few distinct values, so that ties cross every limit of the integration.
    maps = rng.integers(0, 12, masks.shape).astype(np.float32) + 4 * masks

    def chunks() -> Iterator[tuple[Any, Any]]:
        yield maps[:2], masks[:2]
        yield maps[2:], masks[2:]

    curves, metrics = pixel_curves(chunks), pixel_metrics(maps, masks, (PRO_LIMIT,))
    assert _area(curves["roc"]) == pytest.approx(metrics["pixel_auroc"], abs=1e-12)
    assert _step_area(curves["pr"]) == pytest.approx(metrics["pixel_aupr"], abs=1e-12)
    assert _area(curves["pro"], PRO_LIMIT) == pytest.approx(metrics["aupro@0.3"], abs=1e-12)
    assert curves["pro"].x[-1] == PRO_LIMIT


def test_pixel_curves_without_anomalous_pixels_are_none() -> None:
    maps = np.ones((2, 4, 4), np.float32)
    assert pixel_curves(lambda: [(maps, np.zeros(maps.shape, bool))]) == {}


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(2, 60))
def test_a_thinned_curve_keeps_its_ends_and_its_course(seed: int, most: int) -> None:
    rng = np.random.default_rng(seed)
    steps = rng.random((2, 500))
    x, y = np.cumsum(steps, axis=1) / steps.sum(1, keepdims=True)
    thin = Curve(x, y).thinned(most)
    assert thin.x.size <= most
    assert (thin.x[0], thin.x[-1], thin.y[-1]) == (x[0], x[-1], y[-1])
    # Evenly along the length, which is 2: no point lies further from its neighbour.
    gaps = np.diff(thin.x) + np.diff(thin.y)
    assert gaps.max() <= 2 / (most - 1) + np.diff(x).max() + np.diff(y).max() + 1e-12
    assert Curve.from_json(json.loads(json.dumps(thin.to_json()))).x.size == thin.x.size


# ------------------------------------------------------------------------ choosing images


def _images(scores: list[float], labels: list[int], defects: list[str]) -> ImageScores:
    ids = tuple(f"{i}.png" for i in range(len(scores)))
    return ImageScores(tuple(range(len(scores))), ids, tuple(labels), tuple(defects), tuple(scores))


def test_cases_are_best_median_and_worst_by_score() -> None:
    images = _images([5, 9, 7, 1, 3, math.inf], [1, 1, 1, 0, 0, 0], ["x"] * 3 + ["good"] * 3)
    chosen = [(case.index, case.role) for case in extreme_cases(images)]
    assert chosen == [
        (1, "best defect"), (2, "median defect"), (0, "worst defect"),
        (3, "best normal"), (4, "median normal"), (5, "worst normal"),
    ]  # fmt: skip


@pytest.mark.parametrize(("normals", "defects"), [(0, 1), (1, 0), (2, 1), (1, 2)])
def test_few_images_are_each_shown_once(normals: int, defects: int) -> None:
    labels = [0] * normals + [1] * defects
    images = _images([float(i) for i in range(len(labels))], labels, ["d"] * len(labels))
    chosen = [case.index for case in extreme_cases(images)]
    assert sorted(chosen) == list(range(len(labels)))


def test_the_gallery_adds_the_median_of_each_defect_up_to_its_limit() -> None:
    names = [f"defect {i}" for i in range(9)]
    images = _images([float(i) for i in range(9)], [1] * 9, names)
    every = gallery_cases(images, most=99)
    assert len(every) == 9 and every[3].role == "median of defect 1"
    assert gallery_cases(images, most=5) == every[:5]


def test_a_map_is_shown_on_its_methods_scale_whatever_the_image() -> None:
    scale = Scale(low=10.0, high=20.0, threshold=None)
    values = np.array([5, 10, 15, 20, 99], np.float32)
    np.testing.assert_allclose(scale.unit(values), [0, 0, 0.5, 1, 1])


# ------------------------------------------------------------------- latency and its front


def _record(
    method: str, dataset: str, category: str, value: float | None, **changes: Any
) -> Record:
    seconds, valid = changes.pop("seconds", 0.1), changes.pop("valid", True)
    protocol = {
        "dataset": dataset, "dataset_version": "1", "scope": "separate",
        "trained_categories": [category], "image_size": 32, "crop": None, "evaluation_size": 32,
        "mask_rule": "nearest", "mask_threshold": 0, "metrics": "exact-1",
        "aupro_limits": [0.3, 0.05], "selection": "last", "limit": None,
    }  # fmt: skip
    values: dict[str, Any] = {
        "status": "done", "created": "2026-01-01T00:00:00Z", "preset": "paper", "variant": "",
        "keys": {"fit": "f", "predict": "p", "score": f"{method}{category}"},
        "identity": {
            "method": method, "hyperparameters": {}, "dataset": dataset, "dataset_version": "1",
            "categories": [category], "scope": "separate", "seed": changes.pop("seed", 0),
            "limit": changes.pop("limit", None),
        },
        "protocol": protocol, "metrics": {category: dict.fromkeys(METRICS, value)},
        "timing": {"fit": {"seconds": 1.0, "valid": True}, "inference": {
            "device_name": "GPU", "valid": valid,
            "seconds_per_image": {"median": seconds, "p95": seconds}, "images_per_second": 1.0,
            "peak_rss_bytes": 1, "peak_device_bytes": None, "parameters": 1, "flops_per_image": 1.0,
        }},
    }  # fmt: skip
    return Record(**(values | changes))


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(st.integers(1, 6), st.integers(0, 6)), min_size=1, max_size=12))
def test_the_pareto_front_is_what_nothing_beats(places: list[tuple[int, int]]) -> None:
    own = [Point(str(i), float(s), float(v)) for i, (s, v) in enumerate(places)]
    front = pareto_front(own)
    assert front == sorted(front, key=lambda p: (p.seconds, p.value))
    for point in own:
        as_good = [o for o in own if o.seconds <= point.seconds and o.value >= point.value]
        beaten = any((o.seconds, o.value) != (point.seconds, point.value) for o in as_good)
        assert (point in front) is not beaten


def test_only_undisturbed_methods_with_all_categories_are_plotted() -> None:
    records = [
        _record("fast", "toy", "a", 0.5, seconds=0.01),
        _record("fast", "toy", "b", 0.7, seconds=0.03),
        _record("slow", "toy", "a", 0.9, seconds=1.0),
        _record("slow", "toy", "b", 0.9, seconds=1.0),
        _record("disturbed", "toy", "a", 0.9), _record("disturbed", "toy", "b", 0.9, valid=False),
        _record("partial", "toy", "a", 0.99),
        _record("undefined", "toy", "a", 0.9), _record("undefined", "toy", "b", None),
    ]  # fmt: skip
    (setting,) = latency_settings(records)
    found, left_out = points(records, setting, "image_auroc")
    assert found == [Point("fast", 0.03, 0.6), Point("slow", 1.0, 0.9)] and left_out == 3
    with drawing():
        figure = latency_figure(records, setting)
        assert figure is not None and "slow" in svg(figure)


# -------------------------------------------------------------------- critical differences


def test_methods_within_the_critical_difference_are_joined() -> None:
    found = Ranking(("a", "b", "c", "d"), (1.0, 1.8, 2.5, 3.9), 1.0, 20, 0)
    assert found.cliques() == [(0, 1), (1, 2)]
    assert Ranking(("a", "b", "c"), (1.0, 2.0, 3.0), 0.5, 99, 0).cliques() == []
    assert Ranking(("a", "b", "c"), (1.0, 2.0, 3.0), 9.0, 99, 0).cliques() == [(0, 2)]


def test_ranks_come_from_the_categories_that_all_methods_have() -> None:
    values = {"best": 0.9, "middle": 0.8, "worst": 0.7}
    records = [
        _record(name, "toy", f"c{c}", value + c / 1000)
        for name, value in values.items()
        for c in range(10)
    ]
    records.append(_record("best", "toy", "extra", 0.1))
    found = ranking(records, "image_auroc")
    assert isinstance(found, Ranking)
    assert found.labels == ("best", "middle", "worst") and found.ranks == (1.0, 2.0, 3.0)
    assert (found.num_cases, found.left_out) == (10, 1)
    # Demšar 2006, table 5: q = 2.343 for three methods at 5 %.
    assert found.difference == pytest.approx(2.343 * math.sqrt(3 * 4 / (6 * 10)), abs=1e-3)
    with drawing():
        text = svg(critical_difference_figure(found, "image_auroc"))
    assert "best (1.00)" in text and "over 10 categories, 1 left out" in text


def test_methods_of_another_protocol_are_not_ranked_with_the_others() -> None:
    records = [_record(m, "toy", f"c{c}", 0.5 + c / 100) for m in "abcd" for c in range(60)]
    for record in records:
        if record.identity["method"] == "d":
            record.protocol["image_size"] = 999
    found = ranking(records, "image_auroc")
    assert isinstance(found, Ranking)
    assert set(found.labels) == set("abc") and found.other_protocols == 1
    with drawing():
        text = svg(critical_difference_figure(found, "image_auroc"))
    assert "1 method of other protocols not" in text
    few = [r for r in records if r.identity["method"] in "acd"]
    assert "2 methods of one protocol (1 of others)" in str(ranking(few, "image_auroc"))


def test_too_few_cases_and_scores_that_mean_nothing_are_no_ranking() -> None:
    few = [_record(m, "toy", f"c{c}", 0.5) for m in "abc" for c in range(5)]
    assert "5 categories in common; expected at least 3 methods and 6" in str(
        ranking(few, "image_auroc")
    )
    smoke = [r.model_copy(update={"preset": "smoke"}) for r in few]
    assert "smoke and --limit compare with nothing" in str(ranking(smoke, "image_auroc"))
    undefined = [_record(m, "toy", f"c{c}", None) for m in "abc" for c in range(9)]
    assert "0 methods" in str(ranking(undefined, "image_auroc"))


# ------------------------------------------------------------------------ names and styles


@settings(max_examples=200)
@given(st.lists(st.text(min_size=1, max_size=120), min_size=2, max_size=5, unique=True))
def test_file_names_are_safe_and_never_shared(texts: list[str]) -> None:
    parts = [file_part(text) for text in texts]
    assert len(set(parts)) == len(texts)
    for part in parts:
        assert len(part.encode()) <= 80 and not part.startswith(".")
        assert not set(part) & set('/\\:*?"<>|\0 ')


def test_labels_name_only_what_tells_records_apart() -> None:
    one = _record("m", "toy", "a", 0.5)
    fast = one.model_copy(update={"preset": "fast"})
    unified = one.model_copy(update={"identity": {**one.identity, "scope": "unified"}})
    assert labeller([one])(one) == "m"
    label = labeller([one, fast])
    assert (label(one), label(fast)) == ("m paper", "m fast")
    assert labeller([one, unified])(unified) == "m unified"


def test_methods_differ_by_more_than_colour() -> None:
    lines = [tuple(line_style(i).values()) for i in range(28)]
    markers = [tuple(point_style(i).values()) for i in range(70)]
    assert len(set(lines)) == 28 and len(set(markers)) == 70


def test_equal_figures_are_equal_bytes(tmp_path: Path) -> None:
    found = Ranking(("a", "b", "c"), (1.0, 2.0, 3.0), 0.5, 12, 0)
    contents = []
    for name in ("one", "two"):
        with drawing():
            paths = save(critical_difference_figure(found, "aupro@0.3"), tmp_path / name)
        contents.append([path.read_bytes() for path in paths])
    assert contents[0] == contents[1]
