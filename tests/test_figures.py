"""Figures: what is drawn and chosen, that curves agree with metrics, and what is said of gaps."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from scored import scored_record
from toy import PIXEL, Invoke, Toy, spawn, write_toy

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


@dataclass(frozen=True)
class Drawn:
    """A run with figures of a method with steps and one without, on a category of a known data set;
    what it said, and its figures."""

    data: Path
    results: Path
    err: str

    @property
    def figures(self) -> Path:
        return self.results / "figures"

    def copied(self, to: Path) -> Drawn:
        """The same, not yet drawn."""
        data, results = (shutil.copytree(p, to / p.name) for p in (self.data, self.results))
        shutil.rmtree(results / "figures")
        return Drawn(data, results, "")

    def draw(self, invoke: Invoke, *more: str) -> str:
        outcome = invoke("figures", "--results", str(self.results), *more)
        assert outcome.code == 0, outcome.err
        return outcome.err


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Drawn:
    folder = tmp_path_factory.mktemp("drawn")
    toy = write_toy(folder / "data", ("metal_plate",))
    (toy.folder / "toy").rename(toy.folder / "MPDD")
    (folder / "stepwise.py").write_text(STEPS_PLUGIN)
    methods = f"{folder / 'stepwise.py'}:Stepwise,{PIXEL}[noise=0.5]"
    words = ["run", "--methods", methods, "--dataset", "mpdd:metal_plate", "--figures"]
    words += ["--data-root", str(toy.folder), "--preset", "smoke", "--no-timing"]
    process = spawn(*words, cwd=folder)
    _, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    return Drawn(toy.folder, folder / "results", err)


def _run(invoke: Invoke, toy: Toy, method: str, *more: str) -> tuple[str, Path]:
    base = ["run", "--methods", method, *toy.arguments(), "--preset", "smoke", "--no-timing"]
    outcome = invoke(*base, *more)
    assert outcome.code == 0, outcome.err
    return outcome.err, toy.folder.parent / "results" / "figures"


def test_figures_draw_each_category_with_all_methods(drawn: Drawn) -> None:
    folder, stem = drawn.figures, "mpdd-metal_plate"
    found = sorted(str(p.relative_to(folder)) for p in folder.rglob("*.*"))
    stems = [stem, f"{stem}-stepwise-steps", f"curves/{stem}", f"histograms/{stem}"]
    images = [f"{name}.{suffix}" for name in stems for suffix in ("png", "pdf")]
    assert found == sorted([*images, f"gallery/{stem}.json"])
    assert "wrote 9 files" in drawn.err and "no cell was timed on an idle machine" in drawn.err
    assert (folder / f"{stem}.pdf").read_bytes().startswith(b"%PDF")
    with Image.open(folder / f"{stem}.png") as sheet, Image.open(folder / images[2]) as steps:
        colours = sheet.convert("RGB").getcolors(maxcolors=1 << 24)
        assert sheet.width > 300 and colours is not None and len(colours) > 100
        assert steps.width > sheet.width  # three more columns than input, mask and two maps


def test_the_gallery_holds_small_pictures_and_pixel_curves_of_every_method(drawn: Drawn) -> None:
    (entry,) = gallery.read(drawn.figures)
    assert (entry["dataset"], entry["category"]) == ("mpdd", "metal_plate")
    methods = ["stepwise", "pixel_gaussian, noise=0.5"]
    assert list(entry["drawn_from"]) == methods and entry["chosen_by"] == methods[0]
    assert set(entry["pixel_curves"][methods[0]]) == {"roc", "pr", "pro"}
    steps = {"method": "stepwise", "file": "mpdd-metal_plate-stepwise-steps.png"}
    assert entry["steps"] == [steps]
    roles = [case["role"] for case in entry["cases"]]
    assert roles == [f"{r} {k}" for k in ("defect", "normal") for r in ("best", "median", "worst")]
    for case in entry["cases"]:
        assert case["image"].startswith("data:image/jpeg;base64,")
        assert [m["method"] for m in case["maps"]] == methods
        assert (case["mask_share"] > 0) == (case["defect"] == "hole")


def test_a_finished_folder_is_drawn_later(invoke: Invoke, drawn: Drawn, tmp_path: Path) -> None:
    own = drawn.copied(tmp_path)
    record = next(r for r in own.results.glob("cells/*/record-*.json") if "noise" in r.read_text())
    err = own.draw(invoke)
    assert "mpdd: no picture without its images" in err
    assert (own.figures / "curves" / "mpdd-metal_plate.pdf").exists()
    assert not (own.figures / "mpdd-metal_plate.png").exists()
    # Its plug-in came from a file, not from a registered name, so only its steps are missing.
    assert "no steps of stepwise" in own.draw(invoke, "--data-root", str(own.data))
    assert (own.figures / "mpdd-metal_plate.png").exists()
    # Damaged maps cost their column, not the rest.
    for chunk in record.parent.glob("*/chunk-*"):
        chunk.write_bytes(b"damaged")
    assert "maps are damaged" in own.draw(invoke, "--data-root", str(own.data))
    (entry,) = gallery.read(own.figures)
    assert len(entry["drawn_from"]) == 1


def test_pictures_of_other_files_are_never_put_beside_maps(
    invoke: Invoke, drawn: Drawn, tmp_path: Path
) -> None:
    own = drawn.copied(tmp_path)
    test = own.data / "MPDD" / "metal_plate" / "test"
    shutil.copy(test / "good" / "001.png", test / "good" / "000.png")
    err = own.draw(invoke, "--data-root", str(own.data))
    assert "not those that the records were made from" in err
    assert not (own.figures / "mpdd-metal_plate.png").exists()


def test_what_a_run_did_not_keep_is_left_out_and_said(invoke: Invoke, tmp_path: Path) -> None:
    """No formula, no missing letter and no sign that a file name lacks stops a figure."""
    names = ("a$b$ <img src=x onerror=alert(1)>", "日本 \\frac{1}{ %s{0}")
    toy = write_toy(tmp_path / "data", names, side=24)
    (toy.folder / "stepwise.py").write_text(STEPS_PLUGIN)
    method = f"{toy.folder / 'stepwise.py'}:Stepwise"
    _run(invoke, toy, method, "--no-keep-model")
    err, folder = _run(invoke, toy, method, "--no-keep-model", "--figures")
    assert "2 cells without maps" in err and len(list(folder.glob("curves/toy-*.png"))) == 2
    assert not list(folder.glob("toy-*.png"))
    err, _ = _run(invoke, toy, method, "--no-keep-model", "--figures", "--overwrite", "all")
    assert "the model was not kept" in err
    assert len(list(folder.glob("toy-*.png"))) == 2 and not list(folder.glob("*-steps.png"))
    assert {e["category"] for e in gallery.read(folder)} == set(names)


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
    method: str, dataset: str, category: str, value: float | None, *, seconds: float = 0.1,
    valid: bool = True, **protocol: Any,
) -> Record:  # fmt: skip
    """A timed record in which every metric has one value."""
    record = scored_record(
        np.repeat([0, 1], 2), np.arange(4.0), category, method=method, preset="paper",
        protocol=protocol,
        timing={"fit": {"seconds": 1.0, "valid": True}, "inference": {
            "device_name": "GPU", "valid": valid,
            "seconds_per_image": {"median": seconds, "p95": seconds}, "images_per_second": 1.0,
            "peak_rss_bytes": 1, "peak_device_bytes": None, "parameters": 1, "flops_per_image": 1.0,
        }},
    )  # fmt: skip
    record.identity["dataset"] = dataset
    return record.model_copy(update={"metrics": {category: dict.fromkeys(METRICS, value)}})


def test_the_pareto_front_is_what_nothing_beats() -> None:
    a, b, c, d = (
        Point(n, s, v) for n, s, v in (("a", 1, 3), ("b", 1, 3), ("c", 2, 3), ("d", 2, 4))
    )
    slow, poor = Point("slow", 9, 4), Point("poor", 1, 2)
    assert pareto_front([slow, d, c, b, poor, a]) == [b, a, d]


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
    records = [
        _record(m, "toy", f"c{c}", 0.5 + c / 100, image_size=999 if m == "d" else 32)
        for m in "abcd"
        for c in range(60)
    ]
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
