"""Which files are images, and how masks find theirs."""

from __future__ import annotations

import os
import unicodedata

import pytest
from PIL import Image

from adbench.datasets.listing import (
    IMAGE_SUFFIXES,
    list_folders,
    numbered,
    read_image_folder,
    unused_images,
)
from adbench.datasets.masks import odd_names, pair_masks
from adbench.errors import DataError


def said(folder) -> list[tuple[str, str]]:
    return [(p.severity, p.path) for p in folder.problems]


def test_extensions_match_in_any_case_and_other_files_are_named(tmp_path, fill):
    names = ["b.PNG", "a.Jpg", "c.bmp", "license.txt", "Thumbs.db", "._b.PNG", "noext"]
    fill(tmp_path, [f"x/good/{n}" for n in names])
    found = read_image_folder(tmp_path, "x/good")
    assert found.images == ("x/good/a.Jpg", "x/good/b.PNG", "x/good/c.bmp")
    assert said(found) == [("warning", "x/good/license.txt"), ("warning", "x/good/noext")]


@pytest.mark.parametrize("format", ["PNG", "JPEG", "BMP", "TIFF", "WEBP", "GIF", "JPEG2000", "PPM"])
def test_what_the_decoder_reads_is_listed_and_needs_no_extension(tmp_path, format):
    (tmp_path / "x").mkdir()
    picture = Image.new("RGB", (9, 9), "red")
    picture.save(tmp_path / "x" / "000", format)
    picture.save(tmp_path / "x" / "001.orig", format)
    found = read_image_folder(tmp_path, "x")
    assert found.images == ("x/000",)
    assert said(found) == [("warning", "x/001.orig")]
    Image.init()
    own = {suffix for suffix, name in Image.EXTENSION.items() if name == format}
    assert own - {".pfm"} <= IMAGE_SUFFIXES


def test_formats_that_are_not_read_are_named_with_a_way_out(tmp_path, fill):
    found = read_image_folder(fill(tmp_path, ["x/a.AVIF", "x/b.tga", "x/c.png"]), "x")
    assert found.images == ("x/c.png",)
    assert said(found) == [("warning", "x/a.AVIF"), ("warning", "x/b.tga")]
    assert "convert it, to PNG" in found.problems[0].message


@pytest.mark.parametrize("text", [b"BMW: 3 scratches, see the list of it", b"P12 is torn"])
def test_a_text_that_begins_a_little_like_an_image_is_none(tmp_path, text):
    (tmp_path / "notes").write_bytes(text)
    found = read_image_folder(tmp_path.parent, tmp_path.name)
    assert found.images == () and said(found) == [("warning", f"{tmp_path.name}/notes")]


def test_sub_folders_are_read_and_said(tmp_path, fill):
    fill(tmp_path, ["x/b.png", "x/day2/a.png", "x/day2/deep/er/c.png", "x/.git/d.png"])
    found = read_image_folder(tmp_path, "x")
    assert found.images == ("x/b.png", "x/day2/a.png", "x/day2/deep/er/c.png")
    assert said(found) == [("note", "x/day2"), ("note", "x/day2/deep/er")]


def test_a_link_to_a_folder_inside_is_named_and_not_followed(tmp_path, fill):
    fill(tmp_path, ["x/b.png", "y/c.png"])
    for name, target in (("up", ".."), ("self", "."), ("other", "../y")):
        (tmp_path / "x" / name).symlink_to(target)
    found = read_image_folder(tmp_path, "x")
    assert found.images == ("x/b.png",)
    assert said(found) == [("warning", f"x/{n}") for n in ("other", "self", "up")]


def test_a_folder_may_be_a_link_but_not_to_what_it_lies_in(tmp_path, fill):
    fill(tmp_path, ["x/b.png", "y/c.png"])
    (tmp_path / "z").symlink_to("y")
    assert read_image_folder(tmp_path, "z").images == ("z/c.png",)
    (tmp_path / "y" / "back").symlink_to(tmp_path)
    found = read_image_folder(tmp_path, "y/back")
    assert found.images == () and said(found) == [("warning", "y/back")]


@pytest.mark.parametrize("name", ["odd.png", "odd", "odd.txt", "Thumbs.db"])
def test_what_is_no_regular_file_is_an_error_under_any_name(tmp_path, name):
    (tmp_path / "x").mkdir()
    os.mkfifo(tmp_path / "x" / name)
    (tmp_path / "x" / f"zero-{name}").symlink_to("/dev/zero")
    found = read_image_folder(tmp_path, "x")
    assert found.images == ()
    assert said(found) == [("error", f"x/{name}"), ("error", f"x/zero-{name}")]
    assert "a named pipe" in found.problems[0].message and "a device" in found.problems[1].message


def test_images_beside_the_folders_that_are_read(tmp_path, fill):
    fill(tmp_path, ["x/a.png", "x/good/b.png", "x/bad/c.png", "x/notes/d.txt", "x/license.txt"])
    problems = unused_images(tmp_path, "x", ["good"], "why")
    assert [(p.severity, p.path) for p in problems] == [
        ("warning", "x/a.png"),
        ("warning", "x/bad"),
    ]
    assert "holds 1 image, not used: why" in problems[1].message


def test_a_hidden_image_is_named_and_litter_is_not(tmp_path):
    (tmp_path / "x").mkdir()
    Image.new("RGB", (9, 9)).save(tmp_path / "x" / ".000.png")
    (tmp_path / "x" / "._000.png").write_bytes(b"\0\5\x16\7\0\2")
    (tmp_path / "x" / ".DS_Store").write_bytes(b"\0\0\0\1Bud1")
    os.mkfifo(tmp_path / "x" / ".pipe.png")
    found = read_image_folder(tmp_path, "x")
    assert found.images == () and said(found) == [("warning", "x/.000.png")]


def test_an_absent_folder_holds_nothing(tmp_path):
    assert read_image_folder(tmp_path, "nowhere").images == ()
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
        read_image_folder(tmp_path, "x")


@pytest.mark.parametrize("mask", ["g/000_mask.png", "g/000.png", "g/000.bmp", "g/000_mask.PNG"])
def test_masks_pair_by_stem(mask):
    pairs, problems = pair_masks(["t/000.png"], [mask], "g")
    assert pairs == {"t/000.png": mask}
    assert problems == []


def test_masks_in_sub_folders_pair_by_their_place():
    images = ["t/cam1/000.png", "t/cam2/000.png", "t/x/007.png"]
    masks = ["g/000_mask.png", "g/007.png", "g/cam1/000.png", "g/cam2/000_mask.png"]
    pairs, problems = pair_masks(images, masks, "g")
    assert pairs == {images[0]: masks[2], images[1]: masks[3], images[2]: masks[1]}
    assert [(p.severity, p.path) for p in problems] == [("warning", "g/000_mask.png")]


def test_a_stem_that_two_sub_folders_share_needs_masks_by_place():
    images = ["t/cam1/000.png", "t/cam2/000.png"]
    _, problems = pair_masks(images, ["g/000_mask.png"], "g")
    assert problems[0].severity == "error" and "share the mask" in problems[0].message


def test_a_mask_named_in_another_unicode_form_is_the_images_own():
    images, masks = ["t/größe.png"], [unicodedata.normalize("NFD", "g/größe_mask.png")]
    pairs, problems = pair_masks(images, masks, "g")
    assert pairs == {images[0]: masks[0]} and problems == []
    both = [*images, unicodedata.normalize("NFD", images[0])]
    assert [p.check for p in odd_names(both)] == ["same name"]


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
    problems = odd_names(["x/0.bmp", "x/0.png", "y/0.png"])
    assert [(p.severity, p.path) for p in problems] == [("warning", "x/0.png")]


def test_numbers_leave_out_gaps():
    assert numbered("f", 3, 2, {1}) == {"f/00", "f/02", "f/03"}
