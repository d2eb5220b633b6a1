"""Folder trees of any shape and names: a table, or one line that says what is wrong."""

from __future__ import annotations

import os
import shutil
from pathlib import Path, PurePosixPath
from typing import Literal
from unittest import mock

from fuzz_images import sound_images
from hypothesis import strategies as st
from mutations import NAMES
from sandbox import check_message, fingerprint, guarded, usable

from adbench.contracts import Dataset
from adbench.data.selection import DataSelection, select_data
from adbench.data.verify import verify
from adbench.datasets.btad import BTAD
from adbench.datasets.magnetic_tile import MagneticTile
from adbench.datasets.mpdd import MPDD
from adbench.datasets.mvtec_layout import MVTecLayout
from adbench.datasets.visa import SPLIT_FILE, VisA
from adbench.text import printable


class AnyFolder(MVTecLayout):
    """A data set of one's own, without categories on the card."""

    card = MPDD.card.model_copy(update={"name": "any", "categories": {}})


DATASETS: tuple[type[Dataset], ...] = (AnyFolder, MPDD, VisA, BTAD, MagneticTile)

_CATEGORIES = (
    "a",
    "b",
    "tubes",
    "metal_plate",
    "candle",
    "pcb1",
    "01",
    "02",
    "MT_Free",
    "MT_Crack",
)
_FOLDERS = (
    "train/good", "test/good", "test/hole", "ground_truth/hole", "train/ok", "test/ko", "test/bad",
    "ground_truth/ko", "ground_truth/bad", "Data/Images/Normal", "Data/Images/Anomaly", "train",
    "Data/Masks/Anomaly", "Imgs", "", "train/bad", "train/good/day2", "test/hole/cam1",
    "test/Normal", "ground_truth/hole/cam1", "train/NORMAL", "validation/good",
)  # fmt: skip
_FILES = (
    "000.png", "001.png", "000_mask.png", "001_mask.png", "000.bmp", "000.JPG", "0000.JPG", "a.jpg",
    "a.png", "._000.png", ".hidden.png", "readme.txt", "x.PNG", "000.tar.png", "_mask.png",
    "000", "000.jfif", "a.jp2", "b.tga", "Thumbs.db", "a.json", "ö.png", "o\u0308.png",
)  # fmt: skip
_SPLITS = (
    b"object,split,label,image,mask\ncandle,train,normal,candle/Data/Images/Normal/0000.JPG,\n",
    b"object,split,label,image,mask\ncandle,train,anomaly,x/000.JPG,\n", b"object,split\n",
    b"object,split,label\n1\n", b"\xff\xfe\0", b"a" * 200_000, b'"', b"\0", b"",
)  # fmt: skip

Kind = Literal["file", "folder", "loop", "up", "broken", "pipe"]
_usual_path = st.builds(
    lambda *parts: str(PurePosixPath(*parts)),
    st.sampled_from(_CATEGORIES), st.sampled_from(_FOLDERS), st.sampled_from(_FILES),
)  # fmt: skip
_odd_path = st.lists(st.sampled_from(NAMES + _CATEGORIES + ("train", "good", "000.png")),
                     min_size=1, max_size=4).map("/".join)  # fmt: skip
_kind: st.SearchStrategy[Kind] = st.sampled_from(
    ("file", "file", "file", "file", "file", "folder", "loop", "up", "broken", "pipe")
)
_entry = st.tuples(_usual_path | _odd_path, _kind, st.integers(0, 60))

trees = st.tuples(
    st.lists(_entry, max_size=14),
    st.none() | st.sampled_from(_SPLITS),
    st.sampled_from(DATASETS),
    st.sampled_from([None, None, "a", "tubes", "candle", "01", "..", "nope"]),
)

Tree = tuple[list[tuple[str, Kind, int]], bytes | None, type[Dataset], str | None]


def check_tree(given: Tree, folder: Path) -> None:
    """Planning and verifying a tree end well or in one line, and leave it as it was."""
    entries, split, dataset_class, category = given
    root, cache = folder / "data", folder / "cache"
    shutil.rmtree(root, ignore_errors=True)
    _build(root, entries, split)
    before = fingerprint(root)
    dataset = dataset_class()
    try:
        with guarded(folder / "cache"):
            with usable():
                _select(dataset, root, category, cache)
            with usable():
                report = verify(dataset, root, [category] if category else ())
                assert report.exit_code in (0, 4)
                for line in (*report.findings, *report.summaries):
                    check_message(str(line))
        assert fingerprint(root) == before
    finally:
        shutil.rmtree(root)


def _select(dataset: Dataset, root: Path, category: str | None, cache: Path) -> None:
    """What a plan does with a data set; its table must be fit for records."""
    found = dataset.find_root(root)
    dataset.available_categories(found)
    selection = select_data_of(dataset, root, category, cache)
    for own, samples in selection.samples.items():
        assert printable(own) == own and "/" not in own
        for sample in samples:
            for path in filter(None, (sample.path, sample.mask_path)):
                assert printable(path) == path
                assert os.path.realpath(found / path).startswith(os.path.realpath(found))
        for part in ("train", "test", "masks"):
            assert len(selection.digest([own], part)) == 64


def select_data_of(
    dataset: Dataset, root: Path, category: str | None, cache: Path
) -> DataSelection:
    """`select_data` for an instance, where the command line has a name."""
    text = dataset.card.name + (f":{category}" if category else "")
    with mock.patch("adbench.data.selection.load_dataset", lambda *_words: dataset):
        return select_data(text, root, limit=None, index_folder=cache)


def _build(root: Path, entries: list[tuple[str, Kind, int]], split: bytes | None) -> None:
    root.mkdir()
    images = sound_images()
    for name, kind, content in entries:
        path = os.path.join(os.fsencode(root), os.fsencode(_encodable(name)).replace(b"\0", b"0"))
        path = os.path.normpath(path)
        if not path.startswith(os.fsencode(root) + b"/") or len(path) > 900:
            continue
        try:
            os.makedirs(os.path.dirname(path), exist_ok=True)
            match kind:
                case "file":
                    with open(path, "xb") as stream:
                        stream.write(images[content % len(images)])
                case "folder":
                    os.mkdir(path)
                case "pipe":
                    os.mkfifo(path)
                case "loop":
                    os.symlink(path, path)
                case "up":
                    os.symlink(os.path.dirname(path), path)
                case "broken":
                    os.symlink("nowhere", path)
        except OSError:
            continue  # two entries of one name, or a name that no file system takes
    if split is not None:
        (root / SPLIT_FILE).parent.mkdir(exist_ok=True)
        with (root / SPLIT_FILE).open("wb") as stream:
            stream.write(split)


def _encodable(name: str) -> str:
    """Surrogates that stand for no byte become ones that do."""
    return "".join("\udcff" if "\ud800" <= c <= "\udfff" else c for c in name)
