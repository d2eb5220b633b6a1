"""What a plan contains and what its keys depend on."""

from __future__ import annotations

from pathlib import Path

import pytest
from toy import PIXEL, Toy

from adbench.errors import UnknownNameError, UsageError
from adbench.request import Request


def _request(toy: Toy, *categories: str, **changes: object) -> Request:
    name = toy.reference + (":" + ",".join(categories) if categories else "")
    values: dict[str, object] = {
        "methods": PIXEL, "datasets": (name,), "preset": "smoke", "data_root": toy.folder,
    }  # fmt: skip
    return Request(**(values | changes))  # type: ignore[arg-type]


def test_separate_scope_makes_a_cell_a_category_and_unified_one(toy: Toy) -> None:
    separate = _request(toy).plan().cells
    assert [c.categories for c in separate] == [("a",), ("b",)]
    unified = _request(toy, scope="unified").plan().cells
    assert [(c.categories, c.scope) for c in unified] == [(("a", "b"), "unified")]


def test_unified_over_one_category_is_the_separate_cell_and_says_so(toy: Toy) -> None:
    unified = _request(toy, "a", scope="unified").plan()
    separate = _request(toy, "a").plan()
    assert [c.score_key for c in unified.cells] == [c.score_key for c in separate.cells]
    assert any("unified is separate" in note for note in unified.notes)


def test_keys_do_not_depend_on_the_order_of_methods_options_or_categories(toy: Toy) -> None:
    one = _request(toy, "a", "b", methods=f"{PIXEL}[noise=0.5,steps=2],{PIXEL}").plan()
    two = _request(toy, "b", "a", methods=f"{PIXEL},{PIXEL}[steps=2,noise=0.5]").plan()
    assert {c.score_key for c in one.cells} == {c.score_key for c in two.cells}
    assert len({c.score_key for c in one.cells}) == 4


def test_a_value_spelled_two_ways_is_one_cell(toy: Toy) -> None:
    plan = _request(toy, "a", methods=f"{PIXEL}[noise=0.5|0.50|5e-1]").plan()
    assert len(plan.cells) == 1


def test_an_option_beats_set_beats_the_preset(toy: Toy) -> None:
    request = _request(
        toy, "a", methods=f"{PIXEL}[steps=3]",
        overrides=("pixel_gaussian.steps=2", "pixel_gaussian.noise=0.1"),
    )  # fmt: skip
    (cell,) = request.plan().cells
    assert (cell.hyperparameters.steps, cell.hyperparameters.noise) == (3, 0.1)  # type: ignore[attr-defined]
    assert cell.variant == "noise=0.1,steps=3"


def test_test_images_masks_and_rules_change_only_the_later_keys(toy: Toy) -> None:
    (before,) = _request(toy, "a").plan().cells
    (other_rule,) = _request(toy, "a", mask_rule="area_max").plan().cells
    assert (other_rule.fit_key, other_rule.predict_key) == (before.fit_key, before.predict_key)
    assert other_rule.score_key != before.score_key
    _touch(toy.root / "a/test/good/000.png")
    (new_test,) = _request(toy, "a").plan().cells
    assert new_test.fit_key == before.fit_key
    assert new_test.predict_key != before.predict_key
    _touch(toy.root / "a/train/good/000.png")
    (new_train,) = _request(toy, "a").plan().cells
    assert new_train.fit_key != before.fit_key


def test_another_category_does_not_change_a_separate_key(toy: Toy) -> None:
    before = _request(toy).plan().cells[0]
    _touch(toy.root / "b/train/good/000.png")
    assert _request(toy).plan().cells[0].score_key == before.score_key


def test_shards_are_disjoint_and_complete(toy: Toy) -> None:
    whole = {c.score_key for c in _request(toy, seeds="0-4").plan().cells}
    shards = [_request(toy, seeds="0-4", shard=f"{i}/3").plan().cells for i in (1, 2, 3)]
    keys = [c.score_key for shard in shards for c in shard]
    assert sorted(keys) == sorted(whole) and len(keys) == len(whole)


def test_limit_deals_test_images_over_defects_and_normals(toy: Toy) -> None:
    (cell,) = _request(toy, "a", limit=4).plan().cells
    assert len(cell.data.split(("a",), "train")) == 4
    assert [s.label for s in cell.data.split(("a",), "test")] == [0, 0, 1, 1]


def test_unknown_names_offer_the_nearest(toy: Toy) -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'lafite'"):
        _request(toy, methods="laffite").plan()
    with pytest.raises(UnknownNameError, match="did you mean 'noise'"):
        _request(toy, methods=f"{PIXEL}[noize=1]").plan()
    with pytest.raises(UnknownNameError, match="did you mean 'smoke'"):
        _request(toy, preset="smok").plan()
    with pytest.raises(UnknownNameError, match="category"):
        _request(toy, "a", "zz").plan()
    with pytest.raises(UsageError, match="less than or equal to 1"):
        _request(toy, methods=f"{PIXEL}[noise=7]").plan()


def _touch(path: Path) -> None:
    """Change an image's content."""
    import numpy as np
    from PIL import Image

    pixels = np.asarray(Image.open(path)).copy()
    pixels[0, 0] ^= 1
    Image.fromarray(pixels).save(path)
