"""Folders of one's own as people have them: what is normal, what a defect, and where masks lie."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from adbench.contracts import Dataset, Sample
from adbench.data.verify import quick_check
from adbench.datasets.visa import VisA, normal_names
from adbench.errors import DataError, UsageError
from adbench.registry import OwnWords, load_dataset


def opened(folder: Path, normal: Sequence[str] = (), masks: Path | None = None) -> Dataset:
    return load_dataset(str(folder), OwnWords(tuple(normal), masks))


def table(dataset: Dataset) -> list[Sample]:
    root = dataset.find_root(None)
    return dataset.samples(root, dataset.available_categories(root))


def pairs(rows: Sequence[Sample]) -> dict[str, str | None]:
    return {s.path: s.mask_path for s in rows if s.label}


def labels(rows: Sequence[Sample]) -> dict[str, int]:
    return {s.path: s.label for s in rows}


def severe(dataset: Dataset) -> list[str]:
    root = dataset.find_root(None)
    found = quick_check(dataset, root, dataset.available_categories(root))
    return [f.message for f in found if f.severity != "note"]


GOOD = [f"good/{n}.jpg" for n in range(10)]
BAD = ["bad/0.jpg", "bad/1.jpg"]


def test_good_and_bad_split_by_a_draw_that_depends_on_names_alone(tmp_path, fill):
    rows = table(opened(fill(tmp_path / "parts", GOOD + BAD)))
    assert {s.category for s in rows} == {"parts"}
    assert [s.split for s in rows if s.label] == ["test", "test"]
    test = {s.path for s in rows if s.split == "test" and not s.label}
    assert len(test) == 2
    again = table(opened(fill(tmp_path / "elsewhere" / "copy", [*GOOD, *BAD, "good/new.jpg"])))
    assert test - {s.path for s in again if s.split == "test"} <= test
    assert len(test & {s.path for s in again if s.split == "test"}) >= 1
    rule = opened(tmp_path / "parts").split_rule(tmp_path / "parts", ["parts"])
    assert rule is not None and "20 %" in rule and "seed 0" in rule


@pytest.mark.parametrize(
    ("normal", "anomalous"),
    [("good", "bad"), ("OK", "NG"), ("i.O.", "n.i.O."), ("Normal", "Anomalous"), ("PASS", "Fail")],
)
def test_usual_names_in_any_case(tmp_path, fill, normal, anomalous):
    fill(tmp_path, [f"{normal}/sub/{n}.JPG" for n in range(5)] + [f"{anomalous}/0.JPG"])
    assert sorted(labels(table(opened(tmp_path))).values()) == [0] * 5 + [1]


@pytest.mark.parametrize(
    ("image", "mask"),
    [
        ("bad/{}.jpg", "masks/bad/{}.png"),
        ("bad/{}.jpg", "Ground_Truth/bad/{}_mask.png"),
        ("bad/{}.jpg", "masks/{}.png"),
        ("bad/{}.jpg", "bad_masks/{}.png"),
        ("bad/{}.jpg", "bad/masks/{}.png"),
        ("bad/images/{}.jpg", "bad/mask/{}.png"),
        ("bad/{}.jpg", "bad/{}_mask.png"),
        ("images/bad/{}.jpg", "masks/bad/{}.png"),
        ("bad/line 1/{}.jpg", "masks/bad/line 1/{}_mask.png"),
    ],
)
def test_masks_are_found_beside_in_and_parallel_to_their_images(tmp_path, fill, image, mask):
    good = [f"images/{p}" for p in GOOD] if image.startswith("images") else GOOD
    files = [p.format(n) for p in (image, mask) for n in ("a", "b")]
    dataset = opened(fill(tmp_path, [*good, *files]))
    expected = {image.format(n): mask.format(n) for n in ("a", "b")}
    assert pairs(table(dataset)) == expected
    assert severe(dataset) == []


def test_a_folder_for_each_defect_and_defects_within_bad(tmp_path, fill):
    fill(tmp_path, [*GOOD, "scratch/0.png", "dent/0.png", "bad/hole/0.png", "bad/1.png"])
    defects = {s.path: s.defect for s in table(opened(tmp_path)) if s.label}
    assert defects == {
        "scratch/0.png": "scratch", "dent/0.png": "dent", "bad/hole/0.png": "hole",
        "bad/1.png": "bad",
    }  # fmt: skip


def test_masks_for_some_images_and_masks_of_normal_ones(tmp_path, fill):
    fill(tmp_path, [*GOOD, *BAD, "masks/bad/0.png", "masks/good/3_mask.png"])
    dataset = opened(tmp_path)
    rows = table(dataset)
    assert pairs(rows) == {"bad/0.jpg": "masks/bad/0.png", "bad/1.jpg": None}
    assert dataset.normal_masks(tmp_path, [s for s in rows if not s.label]) == {
        "good/3.jpg": "masks/good/3_mask.png"
    }
    (said,) = severe(dataset)
    assert "bad/1.jpg has no mask; it counts in image metrics only" in said


def test_masks_elsewhere_by_an_option(tmp_path, fill):
    fill(tmp_path / "photos", GOOD + BAD + ["gt/old.png"])
    fill(tmp_path / "drawn", ["0_mask.png", "1_mask.png"])
    dataset = opened(tmp_path / "photos", masks=tmp_path / "drawn")
    assert pairs(table(dataset)) == {
        "photos/bad/0.jpg": "drawn/0_mask.png", "photos/bad/1.jpg": "drawn/1_mask.png"
    }  # fmt: skip
    assert any("gt holds 1 image, not used" in said for said in severe(dataset))
    assert set(dataset.folders(tmp_path)) == {tmp_path / "photos", tmp_path / "drawn"}
    (tmp_path / "photos/gt/old.png").unlink()
    before = {s.path for s in table(opened(tmp_path / "photos")) if s.split == "train"}
    after = {s.path for s in table(dataset) if s.split == "train"}
    assert after == {f"photos/{path}" for path in before}


def test_a_folder_of_categories(tmp_path, fill):
    files = [f"{c}/{p}" for c in ("bolt", "nut") for p in GOOD + BAD]
    fill(tmp_path, [*files, "masks/bolt/bad/0.png", "old/x.png", "notes/todo.txt"])
    dataset = opened(tmp_path)
    assert dataset.available_categories(tmp_path) == ("bolt", "nut")
    assert pairs(table(dataset))["bolt/bad/0.jpg"] == "masks/bolt/bad/0.png"
    assert any("old holds 1 image" in said for said in severe(dataset))


# ----------------------------------------------------------------------------- known layouts

TREE = ["train/good/0.png", "test/good/0.png", "test/hole/0.png", "ground_truth/hole/0_mask.png"]


@pytest.mark.parametrize("place", ["", "bolt/"])
@pytest.mark.parametrize("of", [str, lambda path: path.replace("good", "ok"), str.title])
def test_mvtec_and_btad_as_they_are_and_a_category_alone(tmp_path, fill, place, of):
    root = fill(tmp_path / "own", [place + of(path) for path in TREE])
    dataset = opened(root)
    assert dataset.recognise_layout(root) == ("btad" if of("good") == "ok" else "mvtec")
    assert dataset.available_categories(root) == ("bolt" if place else "own",)
    train, good, hole, mask = [place + of(path) for path in TREE]
    found = {s.path: (s.split, s.label, s.mask_path) for s in table(dataset)}
    assert found == {
        good: ("test", 0, None), hole: ("test", 1, mask), train: ("train", 0, None)
    }  # fmt: skip
    assert dataset.split_rule(root, dataset.available_categories(root)) is None
    assert severe(dataset) == []


def test_train_without_a_folder_and_what_no_split_reads(tmp_path, fill):
    files = ["train/0.png", "test/good/1.png", "test/bad/2.png"]
    fill(tmp_path, [*files, "test/3.png", "validation/good/4.png", "extra/5.png"])
    dataset = opened(tmp_path)
    assert labels(table(dataset)) == {"train/0.png": 0, "test/good/1.png": 0, "test/bad/2.png": 1}
    problems = dataset.inspect(tmp_path, tmp_path.name).problems
    unused = [p.path for p in problems if p.check == "unused"]
    assert sorted(unused) == ["extra", "test", "validation/good"]


def test_visa_as_it_is_with_its_own_split(tmp_path, fill):
    names = normal_names(VisA.card.categories["candle"])
    raw = [f"candle/Data/Images/Normal/{name}.JPG" for name in names]
    bad = "candle/Data/Images/Anomaly/000.JPG"
    mask = "candle/Data/Masks/Anomaly/000.png"
    root = fill(tmp_path, [*raw, bad, mask])
    split = {s.path: s.split for s in VisA().samples(root, ["candle"]) if not s.label}
    dataset = opened(root)
    rows = table(dataset)
    assert {s.path: s.split for s in rows if not s.label} == split
    assert pairs(rows) == {bad: mask}
    alone = table(opened(root / "candle"))
    assert {f"candle/{s.path}": s.split for s in alone if not s.label} == split


def test_own_images_in_the_layout_of_visa_are_drawn_or_listed(tmp_path, fill):
    raw = [f"screw/Data/Images/Normal/{n}.png" for n in range(5)]
    root = fill(tmp_path, [*raw, "screw/Data/Images/Anomaly/9.png"])
    assert opened(root).split_rule(root, ["screw"]) is not None
    (root / "split_csv").mkdir()
    lines = [f"screw,{'train' if n else 'test'},normal,{p}," for n, p in enumerate(raw)]
    (root / "split_csv/1cls.csv").write_text("\n".join(["object,split,label,image,mask", *lines]))
    assert [s.path for s in table(opened(root)) if s.split == "test" and not s.label] == raw[:1]


def test_loco_is_recognised_and_refused_with_the_reason(tmp_path, fill):
    loco = ["cat/train/good/0.png", "cat/test/logical_anomalies/0.png"]
    with pytest.raises(DataError, match=r"layout of MVTec LOCO AD.*sPRO.*path, label, split"):
        opened(fill(tmp_path, loco)).find_root(None)


# ------------------------------------------------------------------------------- wrong input


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ([], "an empty folder"),
        (["a.jpg"], r"found 1 image and no folder.*--normal \."),
        (["notes.txt"], "no image"),
        (BAD, r"no folder of normal images: found bad/.*--normal NAME"),
        ([*GOOD, "OK/0.jpg", *BAD], r"2 folders of normal.* OK/ and good/.*--normal OK --norm"),
        (["good/0.jpg", *BAD], "holds 1 normal image; expected 2 or more"),
        (["good/notes.txt", *BAD], "holds 0 normal images"),
        ([*GOOD, *BAD, "masks/bad/zz.png"], r"none of 1 mask has the name.*expected 0_mask\.png"),
        ([*GOOD, *BAD, "masks/bad/0.png", "masks/bad/0_mask.png"], "has 2 masks"),
        ([*GOOD, "bad/0.jpg", "dent/0.jpg", "masks/0.png"], "share the mask"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_one_line_with_the_way_out(tmp_path, fill, files, words):
    with pytest.raises(DataError, match=words) as caught:
        table(opened(fill(tmp_path / "parts", files) if files else _made(tmp_path / "parts")))
    assert "\n" not in str(caught.value)


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder


def test_options_that_name_nothing_are_wrong_words(tmp_path, fill):
    fill(tmp_path, GOOD + BAD)
    with pytest.raises(UsageError, match=r"--normal fine: no folder of that name.*bad/, good/"):
        opened(tmp_path, ["fine"]).find_root(None)
    with pytest.raises(UsageError, match="--masks gt: no such folder"):
        opened(tmp_path, masks=Path("gt"))
    with pytest.raises(UsageError, match="holds the images"):
        opened(tmp_path, masks=tmp_path)


def test_the_normal_folder_by_an_option(tmp_path, fill):
    fill(tmp_path, ["fine/0.png", "fine/1.png", "ok/0.png", "2.png", "3.png"])
    assert labels(table(opened(tmp_path, ["fine"]))) == {
        "fine/0.png": 0, "fine/1.png": 0, "ok/0.png": 1
    }  # fmt: skip
    assert any("ok/ counts as a defect" in said for said in severe(opened(tmp_path, ["fine"])))
    loose = labels(table(opened(tmp_path, ["."])))
    assert {path for path, label in loose.items() if not label} == {"2.png", "3.png"}
    both = labels(table(opened(tmp_path, ["fine/", "./ok"])))
    assert set(both.values()) == {0}
    fill(tmp_path / "other", ["images/0.png", "images/1.png", "holes/2.png"])
    named = labels(table(opened(tmp_path / "other", ["images"])))
    assert named == {"images/0.png": 0, "images/1.png": 0, "holes/2.png": 1}


def test_names_are_those_of_the_folders_and_never_a_registered_one(tmp_path, fill):
    for folder, name in (
        ("Line 3 (new)", "Line_3_new"),
        ("gehäuse", "gehäuse"),
        ("visa", "own_visa"),
    ):
        dataset = opened(fill(tmp_path / folder, GOOD + BAD))
        assert dataset.card.name == name and dataset.card.title == folder
    assert load_dataset(f"bolts={tmp_path / 'visa'}").card.name == "bolts"
