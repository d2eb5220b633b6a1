"""Pseudo-validation data: random masks, held-out normals, fragments."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adbench.contracts import Geometry, Images, Sample
from adbench.data.cache import DiskCache
from adbench.errors import DataError, UsageError
from adbench.select.pseudo import (
    MIN_CHANGE,
    PER_NORMAL,
    pseudo_data,
    pseudo_set,
    split_normals,
    training_selection,
)
from adbench.select.shapes import SHAPES, random_mask

SIDE = 48


@pytest.fixture
def cache(tmp_path: Path) -> DiskCache:
    return DiskCache(tmp_path / "cache", None)


def flat_images(categories: str, start: int = 0) -> Images:
    """Image i of all is of one grey value, 20 (i + start): a pasted pixel tells its source."""
    count = len(categories)
    values = 20 * (np.arange(count, dtype=np.uint8) + start)
    pixels = np.broadcast_to(values[:, None, None, None], (count, SIDE, SIDE, 3))
    ids = tuple(f"{c}/{i + start:03d}.png" for i, c in enumerate(categories))
    return Images(pixels.copy(), ids, tuple(categories), key=f"flat-{categories}-{start}")


# --------------------------------------------------------------------------------- masks


@settings(max_examples=60, deadline=None)
@given(size=st.integers(8, 96), seed=st.integers(0, 2**32 - 1))
def test_a_mask_fits_its_image_and_its_own_box(size: int, seed: int) -> None:
    mask = random_mask(size, np.random.default_rng(seed))
    assert mask.dtype == bool and max(mask.shape) <= size and mask.sum() >= 4
    assert mask[0].any() and mask[-1].any() and mask[:, 0].any() and mask[:, -1].any()


@pytest.mark.parametrize("shape", SHAPES, ids=lambda s: s.__name__)
def test_shapes_scale_with_the_image_and_differ(shape) -> None:
    def areas(size: int) -> list[float]:
        y, x = np.mgrid[:size, :size] - (size - 1) / 2
        draws = [shape(y, x, size / 224, np.random.default_rng(seed)) for seed in range(40)]
        return [float(d.mean()) for d in draws]

    large, small = areas(224), areas(112)
    assert len(set(large)) > 20  # of different sizes
    assert np.mean(small) == pytest.approx(np.mean(large), rel=0.25)
    assert 0 < np.mean(large) < 0.15  # 80 x 80 of 224 x 224 is 0.13


def test_masks_come_in_every_orientation() -> None:
    """Bars in the drawn frame would be wide, never tall; a rotation makes both."""
    boxes = np.array([random_mask(224, np.random.default_rng(s)).shape for s in range(200)])
    tall = (boxes[:, 0] > boxes[:, 1]).mean()
    assert 0.35 < tall < 0.65


# ------------------------------------------------------------------------------ held out


def rows(count: int, category: str = "a") -> list[Sample]:
    return [
        Sample(category, "train", "good", f"{category}/{i:03d}.png", None, 0) for i in range(count)
    ]


@pytest.mark.parametrize(
    ("count", "held_out"), [(4, 2), (6, 3), (20, 10), (54, 10), (100, 10), (101, 11), (895, 90)]
)
def test_a_tenth_is_held_out_at_least_ten_at_most_half(count: int, held_out: int) -> None:
    fitted, normals = split_normals(rows(count), 0.1, 0)
    assert len(normals) == held_out and len(fitted) == count - held_out
    assert sorted(fitted + normals) == rows(count)  # disjoint, and together all


def test_the_split_is_a_function_of_seed_category_and_names() -> None:
    _, one = split_normals(rows(40), 0.1, 0)
    _, shuffled = split_normals(rows(40)[::-1], 0.1, 0)
    _, beside = split_normals([*rows(30, "b"), *rows(40)], 0.1, 0)
    _, other = split_normals(rows(40), 0.1, 1)
    assert sorted(one) == sorted(shuffled) == [s for s in beside if s.category == "a"]
    assert one != other


def test_pseudo_data_fit_on_some_normals_and_test_on_the_others(toy, cache: DiskCache) -> None:
    normals = training_selection(toy.reference, toy.folder, limit=None, index_folder=toy.folder)
    assert {s.split for own in normals.samples.values() for s in own} == {"train"}
    data = pseudo_data(normals, 0.1, 0)
    train, test = data.split(["a"], "train"), data.split(["a"], "test")
    held_out = [s.path for s in test if not s.label]
    assert len(train) == len(held_out) == 3 and len(test) == 3 * (1 + PER_NORMAL)
    every = {s.path for s in normals.samples["a"]}
    assert every == {s.path for s in train} | set(held_out)
    assert {s.path.partition("#")[0] for s in test} == set(held_out)
    images = data.images(test, Geometry(32), cache)
    masks = data.masks(test, Geometry(32), "nearest", cache)
    assert images.ids == tuple(s.path for s in test)
    assert [bool(mask.any()) for mask in masks.pixels] == [bool(s.label) for s in test]
    for part in ("train", "test", "masks"):  # another seed has other images, in keys too
        assert data.digest(["a"], part) != pseudo_data(normals, 0.1, 1).digest(["a"], part)


def test_too_few_training_images_are_told(toy) -> None:
    for path in sorted((toy.root / "b/train/good").iterdir())[3:]:
        path.unlink()
    with pytest.raises(DataError, match="toy:b has 3 training images .* needs 4 or more"):
        training_selection(toy.reference, toy.folder, limit=None, index_folder=toy.folder)
    with pytest.raises(UsageError, match="--limit 3"):
        training_selection(toy.reference, toy.folder, limit=3, index_folder=toy.folder)


# ----------------------------------------------------------------------------- fragments


def test_anomalies_are_fragments_of_other_normals_of_the_category(cache: DiskCache) -> None:
    normals = flat_images("abbabba")
    made = pseudo_set(normals, 0, cache)
    assert len(set(made.images.ids)) == (1 + PER_NORMAL) * len(normals)
    assert "".join(made.images.categories) == "a" * 9 + "b" * 12  # and of each, normals first
    assert ["#" in name for name in made.images.ids[:9]] == [False] * 3 + [True] * 6
    value_of = dict(zip(normals.ids, normals.pixels[:, 0, 0, 0], strict=True))
    for name, pixels, mask in zip(
        made.images.ids, made.images.pixels, made.masks.pixels, strict=True
    ):
        target = value_of[name.partition("#")[0]]
        assert (pixels[~mask] == target).all() and mask.any() == ("#" in name)
        same = {v for other, v in value_of.items() if other[0] == name[0]}
        assert not mask.all() and set(np.unique(pixels[mask])) <= same - {target}
    assert made.faint == {"a": 0, "b": 0}


def test_an_image_is_a_function_of_the_seed_and_its_category_alone(tmp_path: Path) -> None:
    def made(images: str, seed: int, folder: str, start: int = 0) -> list[Any]:
        found = pseudo_set(flat_images(images, start), seed, DiskCache(tmp_path / folder, None))
        own = [i for i, category in enumerate(found.images.categories) if category == "b"]
        return [np.array(found.images.pixels)[own], np.array(found.masks.pixels)[own]]

    alone = made("bbb", 0, "x", start=4)
    for other in (made("bbb", 0, "y", start=4), made("aaaabbb", 0, "x")):
        np.testing.assert_equal(other, alone)
    assert (made("bbb", 1, "x", start=4)[1] != alone[1]).any()


def test_background_on_background_is_drawn_again_or_counted(cache: DiskCache) -> None:
    normals = flat_images("aaaa")
    alike = Images(np.full_like(normals.pixels, 90), normals.ids, normals.categories, "alike")
    made = pseudo_set(alike, 0, cache)
    assert made.faint == {"a": PER_NORMAL * 4}  # counted, and none is dropped
    # Left halves alike, right halves not: what is pasted where nothing changes is drawn again.
    half = normals.pixels.copy()
    half[:, :, : SIDE // 2] = 90
    made = pseudo_set(Images(half, normals.ids, normals.categories, "half"), 0, cache)
    assert made.faint == {"a": 0}
    for name, pixels, mask in zip(
        made.images.ids, made.images.pixels, made.masks.pixels, strict=True
    ):
        if mask.any():
            before = half[normals.ids.index(name.partition("#")[0])]
            change = np.abs(pixels[mask].astype(float) - before[mask]).mean() / 255
            assert change >= MIN_CHANGE / 2  # of one fragment at least; two may overlap
