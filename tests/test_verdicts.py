"""The gate's three verdicts: regression, no regression with what was to be seen, and not known."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from outcomes import the_error
from scored import scored_record, side, write_results
from simulation import binormal, drop_seen, histograms_of
from toy import Invoke

from adbench.compare.gate import GateResult, run_gate
from adbench.compare.verdicts import Judged, Rules
from adbench.store.records import Record

CATEGORIES = ("cable", "cover", "film", "gear", "plate", "tile")
TOO_FEW = "too few images to tell"
AUROC = Rules(("image_auroc",))


def small_synthetic(side: str) -> tuple[Record, ...]:
    """Six categories of 6 normal and 12 defect images; `cover` loses 53 points of pixel AUROC."""
    records = []
    for category in CATEGORIES:
        rng = np.random.default_rng([3, CATEGORIES.index(category)])
        masks = np.zeros((18, 12, 12), bool)
        masks[6:, 3:7, 3:7] = True
        labels = np.array(masks.any(axis=(1, 2)))
        scores = rng.normal(size=18) + labels
        maps = rng.normal(size=masks.shape) + rng.normal(0, 2, (18, 1, 1)) + 2 * masks
        if category == "cover":
            strength = 1 if side == "base" else -6
            own = np.random.default_rng([7, side == "head"])
            maps = maps + masks * (strength + own.normal(0, 6, (18, 1, 1)))
        records.append(
            scored_record(labels, scores, category, maps=maps, masks=masks).model_copy(
                update={"diagnostics": {"maps": maps, "masks": masks}}
            )
        )
    return tuple(records)


def write_small_synthetic() -> None:
    for folder in ("base", "head"):
        records = small_synthetic(folder)
        pixels = {
            r.keys["score"]: histograms_of(r.diagnostics["maps"], r.diagnostics["masks"])
            for r in records
        }
        plain = [r.model_copy(update={"diagnostics": {}}) for r in records]
        write_results(Path(folder), plain, pixels)


def gate(invoke: Invoke, *options: str):
    assert invoke("baseline", "save", "base.json", "--results", "base").code == 0
    return invoke("gate", "--baseline", "base.json", "--results", "head", *options)


def test_a_53_point_drop_on_18_images_is_not_passed(invoke: Invoke) -> None:
    write_small_synthetic()
    text = gate(invoke)
    assert text.code == 0 and "gate passed" not in text.out, text.out
    headline = text.out.splitlines()[-1]
    assert TOO_FEW in headline and "toy:cover m fast pixel AUROC -5" in headline
    assert text.out.startswith("Too few images to tell")
    assert "docs/power.md" in text.out
    assert any(line.startswith("toy:cover") for line in text.out.splitlines()[2:5])
    strict = gate(invoke, "--strict")
    assert strict.code == 5 and "FAILED: --strict, and too few images to tell" in strict.out

    data = json.loads(gate(invoke, "--json").out)
    found = next(
        c for c in data["comparisons"]
        if (c["category"], c["metric"]) == ("cover", "pixel_auroc")
    )  # fmt: skip
    assert found["change"] < -0.4 and found["p_holm"] > 0.05 and found["verdict"] == TOO_FEW
    assert found["smallest_drop"] > 0.1 and data["passed"] is False
    assert len(data["comparisons"]) == 42
    assert "did you mean 'means'" in the_error(gate(invoke, "--on", "mean"), 2)
    page = gate(invoke, "--format", "markdown").out
    assert page.index("Too few images to tell") < page.index("No regression in 34 comparisons")


def judged(
    images: int, base: float, head: float, correlation: float, rules: Rules = AUROC, seed: int = 4
) -> GateResult:
    labels, *scores = binormal(np.random.default_rng(seed), images, images, base, head, correlation)
    before, after = (side(scored_record(labels, s)) for s in scores)
    return run_gate(before, after, rules)


def only(result: GateResult) -> Judged:
    (found,) = result.judged
    return found


def test_no_regression_says_the_smallest_drop_that_was_to_be_seen() -> None:
    few, many = only(judged(40, 0.95, 0.95, 0.9)), only(judged(400, 0.95, 0.95, 0.9))
    assert few.verdict == many.verdict == "no regression"
    assert few.smallest_drop is not None and many.smallest_drop is not None
    assert 0 < many.smallest_drop < few.smallest_drop < 0.1
    assert only(judged(8, 0.95, 0.95, 0.5)).verdict == TOO_FEW


def test_a_true_drop_of_that_size_is_seen_four_times_in_five() -> None:
    same, images = (0.95, 0.95, 0.7), (60, 60)
    said = [drop_seen(i, *images, *same).smallest_drop(0.05, 0.8) for i in range(200)]
    worse = (0.95, 0.95 - float(np.median(said)), 0.7)
    seen = [drop_seen(200 + i, *images, *worse).p_value("less") <= 0.05 for i in range(200)]
    assert 0.75 <= np.mean(seen) <= 0.95


def test_few_images_tell_little() -> None:
    labels = np.repeat([False, True], 2)
    record, turned = (scored_record(labels, sign * labels) for sign in (1.0, -1.0))
    worse = only(run_gate(side(record), side(turned), AUROC))
    assert worse.difference.change == -1 and worse.verdict == TOO_FEW
    same = only(run_gate(side(record), side(record), AUROC))
    assert same.verdict == "no regression" and same.is_alike and same.smallest_drop is None
    assert only(judged(15, 0.55, 0.97, 0.5)).verdict == "no regression"  # a large gain


def test_two_perfect_detectors_on_few_images_are_not_known_to_be_alike() -> None:
    def perfect(images: int) -> Judged:
        labels = np.repeat([False, True], images)
        rng = np.random.default_rng(0)
        base, head = (
            side(scored_record(labels, rng.random(2 * images) + labels)) for _ in range(2)
        )
        return only(run_gate(base, head, AUROC))

    assert perfect(6).verdict == TOO_FEW and perfect(100).verdict == "no regression"


def write_precise_and_one_vague() -> None:
    """60 precise numbers without a change, and one drop of 11 points on fewer images."""
    precise = binormal(np.random.default_rng(2), 40, 40, 0.95, 0.95, 0.99)
    vague = binormal(np.random.default_rng(28), 60, 60, 0.90, 0.79, 0.5)
    for number, folder in ((1, "base"), (2, "head")):
        records = [scored_record(precise[0], precise[number], f"c{i}") for i in range(60)]
        records.append(scored_record(vague[0], vague[number], "vague"))
        write_results(Path(folder), records)


def test_a_drop_beyond_the_ceiling_is_a_regression_where_images_are_enough_for_it(
    invoke: Invoke,
) -> None:
    write_precise_and_one_vague()
    options = ("--metrics", "image_auroc", "--on", "categories", "--json")
    red = gate(invoke, *options)
    data = json.loads(red.out)
    found = next(c for c in data["comparisons"] if c["category"] == "vague")
    assert found["change"] < -0.1 and found["p_holm"] > 0.05
    assert found["verdict"] == "regression" and found["by_max_drop"] and red.code == 1
    higher = gate(invoke, *options, "--max-drop", "0.2")
    vague = next(c for c in json.loads(higher.out)["comparisons"] if c["category"] == "vague")
    assert vague["verdict"] != "regression" and higher.code == 0


@pytest.mark.parametrize(("on", "count"), [("means", 1), ("categories", 2), (None, 3)])
def test_means_or_categories_alone_are_gated(invoke: Invoke, on: str | None, count: int) -> None:
    labels, base, head = binormal(np.random.default_rng(4), 40, 40, 0.95, 0.95, 0.9)
    for folder, scores in (("base", base), ("head", head)):
        write_results(Path(folder), [scored_record(labels, scores, name) for name in "ab"])
    options = ("--metrics", "image_auroc", "--json", *(("--on", on) if on else ()))
    found = json.loads(gate(invoke, *options).out)["comparisons"]
    assert len(found) == count
    if on:
        assert {c["category"] == "mean" for c in found} == {on == "means"}
    shutil.rmtree("base")
    write_results(Path("base"), [scored_record(labels, base, "a")])
    alone = json.loads(gate(invoke, *options).out)["comparisons"]
    assert [c["category"] for c in alone] == ["a"]  # the only one is its own mean
