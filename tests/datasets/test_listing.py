"""Which files are images, and how masks find theirs."""

from __future__ import annotations

import pytest

from adbench.datasets.listing import list_folders, list_images, numbered, pair_masks, same_stem
from adbench.errors import DataError


def test_extensions_match_in_any_case_and_other_files_are_ignored(tmp_path, fill):
    names = ["b.PNG", "a.Jpg", "c.bmp", "license.txt", "Thumbs.db", "._b.PNG", "noext"]
    fill(tmp_path, [f"x/good/{n}" for n in names])
    (tmp_path / "x/good/folder.png").mkdir()
    assert list_images(tmp_path, "x/good") == ["x/good/a.Jpg", "x/good/b.PNG", "x/good/c.bmp"]


def test_an_absent_folder_holds_nothing(tmp_path):
    assert list_images(tmp_path, "nowhere") == []
    assert list_folders(tmp_path / "nowhere") == []


def test_hidden_folders_are_ignored(tmp_path):
    for name in ("b", "a", ".git", "__MACOSX"):
        (tmp_path / name).mkdir()
    assert list_folders(tmp_path) == ["a", "b"]


def test_an_unreadable_folder_is_a_data_error(tmp_path, monkeypatch):
    def refuse(_path):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("os.scandir", refuse)
    with pytest.raises(DataError, match="Permission denied.*check its permissions"):
        list_images(tmp_path, "x")


@pytest.mark.parametrize("mask", ["g/000_mask.png", "g/000.png", "g/000.bmp", "g/000_mask.PNG"])
def test_masks_pair_by_stem(mask):
    pairs, problems = pair_masks(["t/000.png"], [mask], "g")
    assert pairs == {"t/000.png": mask}
    assert problems == []


def test_a_gap_does_not_shift_the_masks_behind_it():
    images = ["t/000.png", "t/001.png", "t/002.png"]
    pairs, problems = pair_masks(images, ["g/000_mask.png", "g/002_mask.png"], "g")
    assert pairs == {"t/000.png": "g/000_mask.png", "t/002.png": "g/002_mask.png"}
    assert [p.path for p in problems] == ["t/001.png"]
    assert problems[0].severity == "error"
    assert "g/001_mask.png or 001.png" in problems[0].message


def test_two_masks_for_one_stem_are_an_error():
    pairs, problems = pair_masks(["t/000.png"], ["g/000.png", "g/000_mask.png"], "g")
    assert pairs == {}
    assert "has 2 masks, g/000_mask.png and g/000.png" in problems[0].message


def test_one_mask_for_two_images_is_an_error():
    pairs, problems = pair_masks(["t/000.bmp", "t/000.png"], ["g/000.png"], "g")
    assert pairs == {"t/000.bmp": "g/000.png"}
    assert "t/000.png and t/000.bmp share the mask g/000.png" in problems[0].message


def test_a_mask_without_an_image_is_a_warning():
    _, problems = pair_masks([], ["g/009.png"], "g")
    assert [(p.severity, p.check) for p in problems] == [("warning", "stray mask")]


def test_an_image_under_two_extensions_is_a_warning():
    problems = same_stem(["x/0.bmp", "x/0.png", "y/0.png"])
    assert [(p.severity, p.path) for p in problems] == [("warning", "x/0.png")]


def test_numbers_leave_out_gaps():
    assert numbered("f", 3, 2, {1}) == {"f/00", "f/02", "f/03"}
