"""Texture banks and foreground masks: where anomalies take their look and their place from."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from adbench.contracts import Geometry, Images
from adbench.errors import DataError
from adbench.methods.transfusion.synthesis import (
    FolderTextures,
    ProceduralTextures,
    foreground_masks,
)
from adbench.methods.transfusion.synthesis.foreground import otsu_foreground, otsu_threshold
from adbench.methods.transfusion.synthesis.textures import FAMILIES


def write_image(path: Path, colour: int, size: tuple[int, int] = (40, 30)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, (colour, colour, colour)).save(path)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for number, place in enumerate(("a/x/0.png", "a/1.png", "b/2.PNG", "3.png")):
        write_image(tmp_path / "textures" / place, 10 * number)
    (tmp_path / "textures" / "notes.txt").write_text("no image")
    return tmp_path / "textures"


def test_folder_is_searched_recursively_and_sorted(folder):
    bank = FolderTextures(folder, 16)
    assert len(bank) == 4
    taken = bank.take([3, 0, 1, 1])  # 3.png, a/1.png, a/x/0.png, b/2.PNG
    assert taken.dtype == torch.uint8 and taken.shape == (4, 3, 16, 16)
    assert bank.take(range(4))[:, 0, 0, 0].tolist() == [30, 10, 0, 20]
    assert taken[:, 0, 0, 0].tolist() == [20, 30, 10, 10]
    assert bank.name.startswith("folder textures: 4 images") and str(folder) not in bank.name


def test_each_file_is_decoded_once_within_the_bound(folder, monkeypatch):
    opened: list[Path] = []
    original = Image.open

    def record(path):
        opened.append(path)
        return original(path)

    monkeypatch.setattr(Image, "open", record)
    bank = FolderTextures(folder, 16, max_bytes=2 * 3 * 16 * 16)
    first = bank.take([0, 1, 2, 3])
    assert torch.equal(bank.take([0, 1, 2, 3]), first)
    assert len(opened) == 4 + 2  # two are kept, two are read again


def test_textures_are_resized_without_antialias(tmp_path):
    # One bright column in sixteen: bilinear at half the size keeps it at 128 or loses it.
    pixels = np.zeros((32, 32, 3), np.uint8)
    pixels[:, 16] = 255
    Image.fromarray(pixels).save(tmp_path / "0.png")
    row = FolderTextures(tmp_path, 16).take([0])[0, 0, 0]
    assert row.tolist() == [0] * 8 + [128] + [0] * 7


def test_bad_folders_are_named(tmp_path):
    with pytest.raises(DataError, match="no folder"):
        FolderTextures(tmp_path / "missing", 16)
    with pytest.raises(DataError, match="found no image"):
        FolderTextures(tmp_path, 16)
    (tmp_path / "broken.png").write_bytes(b"nothing")
    with pytest.raises(DataError, match="broken.png"):
        FolderTextures(tmp_path, 16).take([0])


def test_procedural_bank_depends_on_seed_and_number_only():
    bank = ProceduralTextures(32, count=12)
    forward = bank.take(range(12))
    backward = ProceduralTextures(32, count=12).take(range(11, -1, -1)).flip(0)
    assert torch.equal(forward, backward)
    assert not torch.equal(forward, ProceduralTextures(32, seed=1, count=12).take(range(12)))
    assert len(torch.unique(forward.flatten(1), dim=0)) == 12
    assert all(family.__name__ in bank.name for family in FAMILIES)


def test_procedural_textures_have_contrast_and_colour():
    taken = ProceduralTextures(64, count=36).take(range(36)).float()
    assert taken.shape == (36, 3, 64, 64)
    assert (taken.std((2, 3)).amax(1) > 5).all()
    assert ((taken.amax(1) - taken.amin(1)).mean((1, 2)) > 20).float().mean() > 0.6


def test_otsu_threshold_parts_two_classes():
    histogram = torch.zeros((2, 256), dtype=torch.int64)
    histogram[0, 20:30], histogram[0, 200:220] = 5, 3
    histogram[1, 100] = 7  # a flat image must not divide by zero
    low, flat = otsu_threshold(histogram).tolist()
    assert 29 <= low < 200
    assert 0 <= flat <= 255


@pytest.mark.parametrize(("ground", "part"), [(40, 200), (220, 90)])
def test_otsu_takes_the_border_for_background(ground, part):
    levels = torch.full((1, 3, 64, 64), ground, dtype=torch.uint8)
    levels[..., 20:44, 16:48] = part
    levels[..., 28:36, 28:36] = ground  # a hole counts as object, as in the authors' recipe
    expected = torch.zeros((1, 1, 64, 64), dtype=torch.bool)
    expected[..., 18:46, 14:50] = True  # dilated by two pixels
    assert torch.equal(otsu_foreground(levels), expected)


def test_otsu_sees_colour_where_grey_is_equal():
    levels = torch.tensor([90, 90, 90], dtype=torch.uint8).view(1, 3, 1, 1).repeat(1, 1, 64, 64)
    part = torch.tensor([200, 40, 60], dtype=torch.uint8)  # about as bright
    levels[..., 20:44, 20:44] = part[:, None, None]
    assert 0.15 < otsu_foreground(levels).float().mean() < 0.25


def test_otsu_gives_up_where_the_border_is_no_background():
    noise = torch.randint(0, 256, (2, 3, 64, 64), generator=torch.Generator().manual_seed(0))
    flat = torch.full((1, 3, 64, 64), 128)
    assert otsu_foreground(torch.cat([noise, flat]).to(torch.uint8)).all()


def training_images() -> Images:
    pixels = np.full((3, 32, 32, 3), 40, np.uint8)
    pixels[:, 12:20, 12:20] = 200
    ids = ("part/train/good/000.png", "part/train/good/001.png", "cloth/train/good/000.png")
    return Images(pixels, ids, ("part", "part", "cloth"))


def test_foreground_of_objects_and_textures():
    found, source = foreground_masks(
        training_images(), {"part": "object", "cloth": "texture"}, Geometry(32)
    )
    assert found.shape == (3, 1, 32, 32) and found.dtype == torch.bool
    assert found[2].all()
    assert found[:2].sum((1, 2, 3)).tolist() == [144, 144]
    assert source == {"part": "border-aware Otsu", "cloth": "ones (texture)"}
    everywhere, sources = foreground_masks(training_images(), {}, Geometry(32), "ones")
    assert everywhere.all() and sources == {"part": "ones", "cloth": "ones"}


@pytest.mark.parametrize("place", ["part/train/good", "train/good", ""])
def test_folder_masks_are_paired_by_name(tmp_path, place):
    for name, columns in (("000", 32), ("001", 16)):
        mask = np.zeros((64, 64), np.uint8)
        mask[:, :columns] = 255
        path = tmp_path / "masks" / place / f"{name}.bmp"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(mask).save(path)
    found, source = foreground_masks(
        training_images(), {"cloth": "texture"}, Geometry(32), tmp_path / "masks"
    )
    assert source["part"] == "folder masks"
    assert found[:, 0, 0].sum(1).tolist() == [16 + 2, 8 + 2, 32]


def test_folder_masks_follow_the_crop(tmp_path):
    mask = np.zeros((40, 40), np.uint8)
    mask[:, :10] = 255
    for name in ("000", "001"):
        Image.fromarray(mask).save(tmp_path / f"{name}.png")
    found, source = foreground_masks(
        training_images(), {"cloth": "texture"}, Geometry(40, crop=32), tmp_path
    )
    assert found[0, 0, 0].tolist() == [True] * 8 + [False] * 24  # 10 + 2 - 4


def test_missing_masks_are_named(tmp_path):
    Image.new("L", (8, 8)).save(tmp_path / "000.png")
    with pytest.raises(DataError, match="part/train/good/001.png"):
        foreground_masks(training_images(), {"cloth": "texture"}, Geometry(32), tmp_path)
    with pytest.raises(DataError, match="no folder of foreground masks"):
        foreground_masks(training_images(), {}, Geometry(32), tmp_path / "missing")


def test_a_pipe_among_the_textures_is_named_and_not_opened(tmp_path):
    os.mkfifo(tmp_path / "a.png")
    with pytest.raises(DataError, match=r"a\.png is no file"):
        FolderTextures(tmp_path, 16)
