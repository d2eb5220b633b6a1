"""Pseudo-validation data: random masks, held-out normals, fragments."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adbench.contracts import Images, Sample
from adbench.data.cache import DiskCache
from adbench.errors import DataError, UsageError
from adbench.select.held_out import split_normals, training_selection
from adbench.select.pseudo import MIN_CHANGE, PER_NORMAL, pseudo_set
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


def test_selection_of_training_images_has_no_test_image(toy) -> None:
    data = training_selection(toy.reference, toy.folder, limit=None, index_folder=toy.folder)
    assert {s.split for own in data.samples.values() for s in own} == {"train"}
    assert [len(own) for own in data.samples.values()] == [6, 6]


def test_too_few_training_images_are_told(toy) -> None:
    for path in sorted((toy.root / "b/train/good").iterdir())[3:]:
        path.unlink()
    with pytest.raises(DataError, match="toy:b has 3 training images .* needs 4 or more"):
        training_selection(toy.reference, toy.folder, limit=None, index_folder=toy.folder)
    with pytest.raises(UsageError, match="--limit 3"):
        training_selection(toy.reference, toy.folder, limit=3, index_folder=toy.folder)


# ----------------------------------------------------------------------------- fragments


def test_anomalies_are_fragments_of_other_normals_of_the_category(cache: DiskCache) -> None:
    normals = flat_images("aaabbbb")
    made = pseudo_set(normals, 0, cache)
    assert len(made.images) == (1 + PER_NORMAL) * len(normals)
    assert [s.path for s in made.samples] == list(made.images.ids)
    assert len(set(made.images.ids)) == len(made.images)
    value_of = dict(zip(normals.ids, normals.pixels[:, 0, 0, 0], strict=True))
    for sample, pixels, mask in zip(
        made.samples, made.images.pixels, made.masks.pixels, strict=True
    ):
        target = value_of[sample.path.partition("#")[0]]
        assert (pixels[~mask] == target).all()
        if sample.label == 0:
            assert not mask.any() and sample.defect == "good"
        else:
            same = {v for name, v in value_of.items() if name[0] == sample.category}
            assert mask.any() and not mask.all()
            assert set(np.unique(pixels[mask])) <= same - {target}
    assert made.faint == {"a": 0, "b": 0}


def test_categories_come_one_after_the_other_normals_first(cache: DiskCache) -> None:
    made = pseudo_set(flat_images("abab"), 0, cache)
    assert [(s.category, s.label) for s in made.samples] == [
        *[("a", 0)] * 2, *[("a", 1)] * 4, *[("b", 0)] * 2, *[("b", 1)] * 4,
    ]  # fmt: skip


def test_the_set_is_a_function_of_the_seed(tmp_path: Path) -> None:
    def made(seed: int, folder: str):
        found = pseudo_set(flat_images("aaa"), seed, DiskCache(tmp_path / folder, None))
        return np.array(found.images.pixels), np.array(found.masks.pixels)

    one, again, other = made(0, "x"), made(0, "y"), made(1, "x")
    np.testing.assert_array_equal(one[0], again[0])
    np.testing.assert_array_equal(one[1], again[1])
    assert (one[1] != other[1]).any()


def test_an_image_does_not_depend_on_other_categories(cache: DiskCache) -> None:
    alone = pseudo_set(flat_images("bbb", start=4), 0, cache)
    beside = pseudo_set(flat_images("aaaabbb"), 0, cache)
    own = [i for i, s in enumerate(beside.samples) if s.category == "b"]
    assert [beside.samples[i] for i in own] == list(alone.samples)
    np.testing.assert_array_equal(beside.images.pixels[own], alone.images.pixels)


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
    for sample, pixels, mask in zip(
        made.samples, made.images.pixels, made.masks.pixels, strict=True
    ):
        if sample.label:
            before = half[normals.ids.index(sample.path.partition("#")[0])]
            change = np.abs(pixels[mask].astype(float) - before[mask]).mean() / 255
            assert change >= MIN_CHANGE / 2  # of one fragment at least; two may overlap
