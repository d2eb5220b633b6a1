"""VisA's three layouts, its split with and without the split file, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from adbench.datasets import visa
from adbench.datasets.visa import VisA, normal_names, one_class_split
from adbench.errors import DataError

HEADER = "object,split,label,image,mask\n"


def raw_paths(category="capsules"):
    card = VisA.card.categories[category]
    yield from (f"{category}/Data/Images/Normal/{n}.JPG" for n in normal_names(card))
    for n in range(100):
        yield f"{category}/Data/Images/Anomaly/{n:03d}.JPG"
        yield f"{category}/Data/Masks/Anomaly/{n:03d}.png"
    yield f"{category}/image_anno.csv"


def arranged_paths(good, bad, category="capsules"):
    split, _ = one_class_split(Path("nowhere"), category, VisA.card.categories[category])
    yield from (f"{category}/{part}/{good}/{name}.JPG" for name, part in split.items())
    for n in range(100):
        yield f"{category}/test/{bad}/{n:03d}.JPG"
        yield f"{category}/ground_truth/{bad}/{n:03d}.png"


@pytest.mark.parametrize("category", VisA.card.categories)
def test_the_split_is_computed_for_every_category(tmp_path, category):
    card = VisA.card.categories[category]
    split, _ = one_class_split(tmp_path, category, card)  # proves itself by the card's digest
    assert list(split.values()).count("train") == card.train_good
    assert list(split.values()).count("test") == card.test_good


def test_a_split_that_cannot_be_proved_asks_for_the_file(tmp_path, monkeypatch):
    monkeypatch.setattr(visa, "_SEED", 1)
    with pytest.raises(DataError, match=r"put split_csv/1cls\.csv of the VisA archive"):
        one_class_split(tmp_path, "candle", VisA.card.categories["candle"])


def test_raw_layout(tmp_path, fill):
    root = fill(tmp_path / "VisA_20220922", raw_paths())
    dataset = VisA()
    assert dataset.find_root(tmp_path) == root
    assert dataset.recognise_layout(root) == "visa-raw"
    assert dataset.available_categories(root) == ("capsules",)
    samples = dataset.samples(root, ["capsules"])
    assert len(samples) == 542 + 60 + 100
    assert sum(s.split == "train" for s in samples) == 542
    assert {s.defect for s in samples} == {"good", "anomaly"}
    assert samples[0].mask_path == "capsules/Data/Masks/Anomaly/000.png"
    found = dataset.inspect(root, "capsules")
    assert (found.problems, found.missing, found.extra) == ((), (), ())


@pytest.mark.parametrize(
    ("layout", "good", "bad"), [("visa-1cls", "good", "bad"), ("visa-ok-ko", "ok", "ko")]
)
def test_arranged_layouts(tmp_path, fill, layout, good, bad):
    root = fill(tmp_path / "VisA_pytorch" / "1cls", arranged_paths(good, bad))
    dataset = VisA()
    assert dataset.find_root(tmp_path) == root
    assert dataset.recognise_layout(root) == layout
    samples = dataset.samples(root, ["capsules"])
    assert sum(s.split == "train" for s in samples) == 542
    assert {s.defect for s in samples} == {"good", "anomaly"}
    assert samples[0].mask_path == f"capsules/ground_truth/{bad}/000.png"
    found = dataset.inspect(root, "capsules")
    assert (found.problems, found.missing, found.extra) == ((), (), ())
    assert found.renamed[f"capsules/test/{bad}/000.JPG"] == "capsules/Data/Images/Anomaly/000.JPG"


def test_the_split_file_is_preferred(tmp_path, fill):
    root = fill(
        tmp_path,
        [
            "candle/Data/Images/Normal/0000.jpg",
            "candle/Data/Images/Normal/0001.JPG",
            "candle/Data/Images/Anomaly/000.JPG",
            "candle/Data/Masks/Anomaly/000.png",
        ],
    )
    (root / "split_csv").mkdir()
    (root / "split_csv" / "1cls.csv").write_text(
        f"{HEADER}candle,train,normal,candle/Data/Images/Normal/0001.JPG,\n"
        "candle,test,normal,candle/Data/Images/Normal/0000.JPG,\n"
        "candle,test,anomaly,candle/Data/Images/Anomaly/000.JPG,candle/Data/Masks/Anomaly/000.png\n"
        "cashew,train,normal,cashew/Data/Images/Normal/000.JPG,\n"
    )
    samples = VisA().samples(root, ["candle"])
    assert [(Path(s.path).name, s.split) for s in samples if not s.label] == [
        ("0000.jpg", "test"),
        ("0001.JPG", "train"),
    ]


def test_an_image_outside_the_split_stops_a_run(tmp_path, fill):
    root = fill(tmp_path, ["candle/Data/Images/Normal/0000.JPG", "candle/Data/Images/Normal/x.JPG"])
    with pytest.raises(DataError, match=r"Normal/x\.JPG is not in the 1-class split"):
        VisA().samples(root, ["candle"])


def test_no_training_image_stops_a_run(tmp_path):
    (tmp_path / "candle/Data/Images/Normal").mkdir(parents=True)
    with pytest.raises(DataError, match="candle/Data/Images/Normal holds no training image"):
        VisA().samples(tmp_path, ["candle"])


def test_a_split_file_that_trains_on_anomalies_is_refused(tmp_path, fill):
    root = fill(tmp_path, ["candle/Data/Images/Normal/0000.JPG"])
    (root / "split_csv").mkdir()
    row = (
        "candle,train,anomaly,candle/Data/Images/Anomaly/000.JPG,candle/Data/Masks/Anomaly/000.png"
    )
    (root / "split_csv" / "1cls.csv").write_text(f"{HEADER}{row}\n")
    with pytest.raises(DataError, match="2-class split"):
        VisA().samples(root, ["candle"])


def test_a_split_file_of_another_shape_is_refused(tmp_path, fill):
    root = fill(tmp_path, ["candle/Data/Images/Normal/0000.JPG"])
    (root / "split_csv").mkdir()
    (root / "split_csv" / "1cls.csv").write_text("a,b\n1,2\n")
    with pytest.raises(DataError, match="expected columns object, split, label, image, mask"):
        VisA().samples(root, ["candle"])


ROW = "candle,train,normal,candle/Data/Images/Normal/0000.JPG,"


def with_split(tmp_path, fill, content: bytes):
    root = fill(tmp_path, ["candle/Data/Images/Normal/0000.JPG"])
    (root / "split_csv").mkdir()
    (root / "split_csv" / "1cls.csv").write_bytes(content)
    return root


@pytest.mark.parametrize(
    ("content", "where"),
    [
        (b"", "line 1 names the columns nothing"),
        (f"{ROW}\n".encode(), "line 1 names the columns candle, train"),
        (f"{HEADER.replace(',', ';')}".encode(), "line 1 names the columns object;split"),
        (f"{HEADER}{ROW}\ncandle,test,normal\n".encode(), "line 3 has 3 of 5 columns"),
        (f"{HEADER}{ROW},more\n".encode(), "line 2 has 6 of 5 columns"),
        (f"{HEADER}{ROW}\ncandle,tes".encode(), "line 3 has 2 of 5 columns"),
        (f"{HEADER}{ROW.replace('train', 'Train')}\n".encode(), "line 2 has the split 'Train'"),
        (f"{HEADER},,,,\n".encode(), "line 2 has the split ''"),
        (f"{HEADER}candle,train,normal,,\n".encode(), "line 2 has the image ''"),
        (f"{HEADER}candle,train,normal,/x/0000.JPG,\n".encode(), "line 2 has the image '/x"),
        (f"{HEADER}candle,train,normal,../0000.JPG,\n".encode(), "line 2 has the image '../"),
        (f"{HEADER}{ROW}\n{ROW.replace('train', 'test')}\n".encode(), "lines 2 and 3 are of one"),
        (
            f"{HEADER}{ROW.replace('Normal', 'Anomaly').replace('train', 'test')}\n".encode(),
            "line 2 calls candle/Data/Images/Anomaly/0000.JPG normal",
        ),
        (f"{HEADER}{ROW}\n".encode("utf-16-le"), "line 1 holds a null byte"),
        (f"{HEADER}{ROW}größe\n".encode("latin-1"), "line 2 is not UTF-8"),
        (f"{HEADER}{ROW}\n\0".encode(), "line 3 holds a null byte"),
        (f'{HEADER}"{ROW}\n'.encode(), "line 2: "),
        (f"{HEADER}{'a' * 200_000}\n".encode(), "line 2: field larger"),
    ],
)
def test_a_split_file_that_was_spoilt_by_hand_names_the_line(tmp_path, fill, content, where):
    root = with_split(tmp_path, fill, content)
    with pytest.raises(DataError) as caught:
        VisA().samples(root, ["candle"])
    message = str(caught.value)
    assert f"split_csv/1cls.csv cannot be read ({where}" in message and "\n" not in message
    assert "expected columns object, split, label, image, mask" in message
    assert len(message) < 800


@pytest.mark.parametrize(
    "content",
    [
        f"\ufeff{HEADER}{ROW}\n".encode(),
        f"{HEADER}{ROW}\n".replace("\n", "\r\n").encode(),
        f"{HEADER}\n\n{ROW}".encode(),
        f"mask,{HEADER.replace(',mask', '')},{ROW[:-1]}".encode(),
        f'{HEADER}"candle","train","normal","candle/Data/Images/Normal/0000.JPG",""'.encode(),
    ],
)
def test_what_editors_make_of_a_split_file_is_read(tmp_path, fill, content):
    root = with_split(tmp_path, fill, content)
    (sample,) = VisA().samples(root, ["candle"])
    assert sample.split == "train"


def test_backslashes_of_a_split_file_are_read_as_slashes_and_said(tmp_path, fill):
    content = (HEADER + ROW.replace("/", "\\")).encode()
    found = VisA().inspect(with_split(tmp_path, fill, content), "candle")
    assert [s.split for s in found.samples] == ["train"]
    (note,) = [p for p in found.problems if p.check == "split"]
    assert note.severity == "note" and "backslashes of line 2" in note.message


@pytest.mark.parametrize("target", ["/dev/zero", "gone.csv", "."])
def test_a_split_file_that_is_no_file_is_refused_at_once(tmp_path, fill, target):
    root = with_split(tmp_path, fill, b"")
    (root / "split_csv" / "1cls.csv").unlink()
    (root / "split_csv" / "1cls.csv").symlink_to(target)
    with pytest.raises(DataError, match=r"1cls\.csv cannot be read \(it is"):
        VisA().samples(root, ["candle"])


def test_the_other_split_files_are_ignored(tmp_path, fill):
    root = fill(tmp_path, [*raw_paths(), "split_csv/2cls_fewshot.csv"])
    assert len(VisA().samples(root, ["capsules"])) == 702


@pytest.mark.parametrize("folder", ["bad", "ko"])
def test_arranged_two_class_splits_are_refused(tmp_path, fill, folder):
    good = {"bad": "good", "ko": "ok"}[folder]
    root = fill(tmp_path, [f"candle/train/{good}/0000.JPG", f"candle/train/{folder}/000.JPG"])
    with pytest.raises(DataError, match=rf"candle/train/{folder}.*2-class split"):
        VisA().samples(VisA().find_root(root), ["candle"])
