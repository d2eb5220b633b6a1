"""MTD's own layout and its fixed split."""

from __future__ import annotations

import pytest

from adbench.datasets.magnetic_tile import MagneticTile
from adbench.errors import DataError


def tiles(count=10):
    for n in range(count):
        yield f"MT_Free/Imgs/exp1_num_{n:03d}.jpg"
        yield f"MT_Free/Imgs/exp1_num_{n:03d}.png"
    yield "MT_Break/Imgs/a.JPG"
    yield "MT_Break/Imgs/a.png"
    yield "README.md"
    yield "masks/a.png"


def test_kinds_are_defects_and_free_tiles_are_split(tmp_path, fill):
    root = fill(tmp_path / "MTD", tiles())
    dataset = MagneticTile()
    assert dataset.find_root(tmp_path) == root
    assert dataset.recognise_layout(root) == "magnetic-tile"
    assert dataset.available_categories(root) == ("magnetic_tile",)
    samples = dataset.samples(root, ["magnetic_tile"])
    assert [(s.defect, s.path, s.mask_path) for s in samples if s.label] == [
        ("break", "MT_Break/Imgs/a.JPG", "MT_Break/Imgs/a.png")
    ]
    assert sum(s.split == "train" for s in samples) == 8
    assert all(s.mask_path is None for s in samples if not s.label)
    assert dataset.inspect(root, "magnetic_tile").problems == ()


def test_the_split_never_changes(tmp_path, fill):
    samples = MagneticTile().samples(fill(tmp_path, tiles(10)), ["magnetic_tile"])
    tested = [s.path[-7:-4] for s in samples if s.split == "test" and not s.label]
    assert tested == ["001", "008"]  # the last two of default_rng(0).permutation(10)


def test_a_defect_without_its_mask_stops_a_run(tmp_path, fill):
    root = fill(tmp_path, [*tiles(), "MT_Fray/Imgs/b.jpg"])
    with pytest.raises(DataError, match=r"MT_Fray/Imgs/b\.jpg has no mask"):
        MagneticTile().samples(root, ["magnetic_tile"])


def test_no_training_image_stops_a_run(tmp_path, fill):
    root = fill(tmp_path, tiles(0))
    (root / "MT_Free" / "Imgs").mkdir(parents=True)
    with pytest.raises(DataError, match="MT_Free/Imgs holds too few images"):
        MagneticTile().samples(root, ["magnetic_tile"])
