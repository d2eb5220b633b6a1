"""`adbench compare`: pairing, reasons, sorting, three kinds of sides, three formats."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from outcomes import the_error
from scored import PROTOCOL, failed, scored_record, side, write_results
from simulation import binormal
from toy import PIXEL, Invoke, Toy

from adbench.compare.compare import compare
from adbench.compare.pairing import pair
from adbench.metrics.table import shown
from adbench.report.tables import MEAN
from adbench.store.records import Record

RNG = np.random.default_rng(0)
LABELS, BASE, HEAD = binormal(np.random.default_rng(4), 40, 40, 0.95, 0.80, 0.9)

OTHER = [f"x{i}" for i in range(80)]


def test_equal_records_do_not_differ() -> None:
    record = scored_record(LABELS, BASE)
    result = compare(side(record), side(record), shown())
    assert {c.difference.metric for c in result.compared} == {"image_auroc", "image_aupr"}
    for compared in result.compared:
        assert compared.difference.change == 0 and compared.p_holm == 1
        assert compared.interval == (0, 0) and not compared.significant


def test_drops_come_first_then_gains_then_the_rest_by_size() -> None:
    better = BASE + 0.5 * LABELS
    categories = {"a": (BASE, better), "b": (BASE, BASE), "c": (BASE, HEAD)}
    base, head = (
        side(*(scored_record(LABELS, both[i], name) for name, both in categories.items()))
        for i in (0, 1)
    )
    result = compare(base, head, ["image_auroc"])
    names = [c.difference.case.category for c in result.compared]
    assert names[0] == "c" and names.index("a") < names.index("b")
    first = result.compared[0]
    assert first.significant and first.interval is not None and first.interval[1] < 0
    (over,) = result.over_categories
    assert over.categories == 3 and over.p_value == 1.0 and over.p_holm == 1.0


def test_the_mean_over_categories_finds_what_each_alone_hides() -> None:
    rng = np.random.default_rng(8)
    drawn = {f"c{i}": binormal(rng, 25, 25, 0.92, 0.885, 0.95) for i in range(12)}
    base, head = (
        side(*(scored_record(d[0], d[i], name) for name, d in drawn.items())) for i in (1, 2)
    )
    result = compare(base, head, ["image_auroc"])
    mean = next(c for c in result.compared if c.difference.case.category == MEAN)
    assert mean.difference.case.categories == 12 and mean.significant
    each = [c for c in result.compared if c.difference.case.category != MEAN]
    assert mean.p_value is not None and mean.p_value < min(c.p_value or 1 for c in each)
    assert mean.difference.change == pytest.approx(
        np.mean([c.difference.change for c in each]), abs=1e-12
    )
    assert result.over_categories[0].p_value < 0.01


def test_seeds_are_averaged_and_missing_ones_named() -> None:
    base = [scored_record(LABELS, BASE + i, seed=i) for i in range(3)]
    head = [scored_record(LABELS, HEAD + i, seed=i) for i in range(2)]
    result = compare(side(*base), side(*head), ["image_auroc"])
    (only,) = result.compared
    assert only.difference.case.seeds == (0, 1)
    (missing,) = result.incomparable
    assert missing.where.endswith("seed 2") and missing.reason == "absent from head"


def unlike(**changes) -> Record:
    return scored_record(LABELS, HEAD, **changes)


@pytest.mark.parametrize(
    ("head", "reason"),
    [
        (unlike(protocol={"image_size": 64}), "protocol differs: image_size 32 → 64"),
        (unlike(protocol={"limit": 4}), "protocol differs: limit None → 4"),
        (unlike(ids=OTHER), "other images: 80 only in base, 80 only in head (first: a/0000.png)"),
        (scored_record(~LABELS, HEAD), "other labels for 80 images (first: a/0000.png)"),
        (failed(unlike()), "failed in head: it broke"),
        (unlike(status="skipped", reason="no", metrics={}), "skipped in head: no"),
        (unlike(key_parts={"test": "2"}), "other images: the same names, but their content"),
        (unlike(images={}), "no per-image scores in head"),
        (scored_record(LABELS, HEAD, "b"), "absent from head"),
    ],
)  # fmt: skip
def test_what_is_not_comparable_says_why(head: Record, reason: str) -> None:
    base = scored_record(LABELS, BASE, key_parts={"test": "1"})
    pairing = pair(side(base), side(head))
    assert pairing.cases == ()
    (found,) = pairing.incomparable
    assert found.reason.startswith(reason)
    assert found.where == "toy:a m fast separate seed 0"


def test_other_masks_leave_the_image_metrics() -> None:
    maps, masks = RNG.normal(size=(80, 6, 6)), np.zeros((80, 6, 6), bool)
    masks[40:, :2, :2] = True
    base, head = (
        scored_record(LABELS, s, maps=maps, masks=masks, key_parts={"masks": digest})
        for s, digest in ((BASE, "1"), (HEAD, "2"))
    )
    result = compare(side(base), side(head), ["image_auroc", "pixel_auroc"])
    assert [c.difference.metric for c in result.compared] == ["image_auroc"]
    assert [i.reason for i in result.incomparable] == ["other masks: their content changed"]


def test_an_undefined_metric_on_one_side_is_told() -> None:
    base = scored_record(LABELS, BASE)
    head = base.model_copy(deep=True)
    head.metrics["a"]["image_auroc"] = None
    result = compare(side(base), side(head), ["image_auroc", "pixel_auroc"])
    assert result.compared == () and result.incomparable[0].reason == "undefined in head"


def test_other_protocols_are_compared_on_request_and_marked() -> None:
    head = unlike(protocol={"backbone": "b"}, method="n")
    sides = side(scored_record(LABELS, BASE), method="m"), side(head, method="n")
    assert compare(*sides, ["image_auroc"]).compared == ()
    (compared,) = compare(*sides, ["image_auroc"], any_protocol=True).compared
    assert compared.difference.case.marks == ("backbone",)
    assert compared.difference.case.method == "m → n"


def test_the_record_of_the_same_protocol_is_chosen() -> None:
    limited = unlike(protocol={"limit": 4}, created="2026-06-01T00:00:00Z")
    head = side(limited, scored_record(LABELS, BASE))
    pairing = pair(side(scored_record(LABELS, BASE)), head)
    assert len(pairing.cases) == 1 and pairing.incomparable == ()
    assert PROTOCOL["limit"] is None and pairing.cases[0].pairs[0][1].protocol["limit"] is None


# ------------------------------------------------------------------------- on the command line


def test_two_folders_in_every_format(invoke: Invoke, tmp_path: Path) -> None:
    write_results(tmp_path / "one", [scored_record(LABELS, BASE, "a|b")])
    write_results(tmp_path / "two", [scored_record(LABELS, HEAD, "a|b")])
    text = invoke("compare", "one", "two")
    assert text.code == 0 and "m fast. Differences" in text.out and "toy:a|b " in text.out
    assert "2 significant drops" in text.out
    page = invoke("compare", "one", "two", "--format", "markdown").out
    assert page.startswith("### one → two") and r"a\|b" in page
    data = json.loads(invoke("compare", "one", "two", "--json").out)
    assert data["comparisons"][0]["metric"] in ("image_auroc", "image_aupr")
    assert data["comparisons"][0]["interval"][1] < 0
    out = invoke("compare", "one", "two", "--out", "page.md", "--format", "markdown")
    assert out.out == "" and (tmp_path / "page.md").read_text() == page
    assert invoke("baseline", "save", "base.json", "--results", "one").code == 0
    same = invoke("compare", "base.json", "one")
    assert same.code == 0 and "0 significant drops, 0 significant gains" in same.out
    (tmp_path / "empty").mkdir()
    nothing = invoke("compare", "one", "empty")
    assert nothing.code == 5 and "absent from head" in nothing.out
    assert nothing.err == "nothing comparable in one and empty\n"


def test_two_methods_of_one_folder(invoke: Invoke, toy: Toy) -> None:
    methods = f"{PIXEL},{PIXEL}[noise=0.9]"
    assert invoke(
        "run", "--methods", methods, *toy.arguments(), "--preset", "fast", "--no-timing"
    ).code == 0  # fmt: skip
    outcome = invoke("compare", "pixel_gaussian", "pixel_gaussian[noise=0.9]", "--json")
    assert outcome.code == 0, outcome.err
    data = json.loads(outcome.out)
    found = {(c["category"], c["metric"]) for c in data["comparisons"]}
    assert {("a", "image_auroc"), ("b", "aupro@0.05"), ("mean", "pixel_aupr")} <= found
    pixel = [c for c in data["comparisons"] if c["metric"].startswith("pixel")]
    # The noise is in the image scores alone: the maps are the same, and known to be.
    assert pixel and all(c["change"] == 0 and c["p_value"] == 1 for c in pixel)
    assert all(c["test"] == "bootstrap" for c in pixel)
    assert data["comparisons"][0]["method"] == "pixel_gaussian → pixel_gaussian[noise=0.9]"


def test_smoke_runs_are_neither_tested_nor_ranked(invoke: Invoke, tmp_path: Path) -> None:
    for folder, scores in (("one", BASE), ("two", HEAD)):
        named = [scored_record(LABELS, scores, name, preset="smoke") for name in "abc"]
        write_results(tmp_path / folder, named)
    text = invoke("compare", "one", "two").out
    assert " *" not in text and "SMOKE preset: its scores mean nothing" in text
    assert "0 significant drops" in text and "8 of preset smoke" in text and "Wilcoxon" not in text
    data = json.loads(invoke("compare", "one", "two", "--json").out)
    assert data["over_categories"] == []
    for found in data["comparisons"]:
        assert found["smoke"] and not found["significant"] and found["interval"] is None
        assert found["p_value"] is found["p_holm"] is None
    # They cost the others nothing, and stand after them.
    for folder, scores in (("one", BASE), ("two", HEAD)):
        write_results(tmp_path / folder, [scored_record(LABELS, scores, method="n")])
    mixed = json.loads(invoke("compare", "one", "two", "--json").out)["comparisons"]
    assert [c["smoke"] for c in mixed] == [False] * 2 + [True] * 8
    assert mixed[0]["p_holm"] <= 2 * mixed[0]["p_value"]


def apart(seeds: int, shift: float) -> tuple[list[Record], list[Record]]:
    """Base and head whose seeds differ by training: every other one of head is `shift` worse."""
    base = [scored_record(LABELS, BASE, seed=seed) for seed in range(seeds)]
    head = [
        scored_record(LABELS, HEAD - shift * (seed % 2) * LABELS, seed=seed)
        for seed in range(seeds)
    ]
    return base, head


def test_one_seed_is_said_not_to_cover_the_training(invoke: Invoke, tmp_path: Path) -> None:
    for count, covers in ((1, "images"), (3, "images and seeds")):
        for folder, records in zip(("one", "two"), apart(count, 1.0), strict=True):
            write_results(tmp_path / f"{folder}{count}", records)
        sides = f"one{count}", f"two{count}"
        text = invoke("compare", *sides).out
        assert ("how much a method changes from one training to the next" in text) is (count == 1)
        data = json.loads(invoke("compare", *sides, "--json").out)
        assert {c["interval_covers"] for c in data["comparisons"]} == {covers}
        assert invoke("baseline", "save", "b.json", "--results", sides[0]).code == 0
        gated = invoke("gate", "--baseline", "b.json", "--results", sides[1])
        assert ("cover the choice of test images only" in gated.out) is (count == 1)
        assert ("cover the choice of test images and the seeds" in gated.out) is (count == 3)


def test_seeds_that_differ_widen_the_interval() -> None:
    widths = []
    for shift in (0.0, 1.0):
        base, head = apart(3, shift)
        (only,) = compare(side(*base), side(*head), ["image_auroc"]).compared
        assert only.interval is not None
        widths.append(only.interval[1] - only.interval[0])
        assert only.significant is (shift == 0)
    assert widths[1] > 3 * widths[0]


def test_mistakes_are_one_line(invoke: Invoke, tmp_path: Path) -> None:
    write_results(tmp_path / "results", [scored_record(LABELS, BASE, method="mine")])
    assert "did you mean 'mine'" in the_error(invoke("compare", "mine", "mime"), 2)
    assert "there is no a/b" in the_error(invoke("compare", "a/b", "mine"), 2)
    assert "several methods" in the_error(invoke("compare", "m,n", "mine"), 2)
    message = the_error(invoke("compare", "mine", "mine", "--metrics", "image_auc"), 2)
    assert "did you mean 'image_auroc'" in message
    assert "unknown --format" in the_error(invoke("compare", "mine", "mine", "--format", "pdf"), 2)
