"""VisA's split file, as people's editors, spreadsheets and broken downloads leave it."""

from __future__ import annotations

import shutil
from pathlib import Path

from hypothesis import strategies as st
from mutations import NAMES, Draw, damaged_bytes
from sandbox import check_message, fingerprint, guarded, usable

from adbench.data.verify import verify
from adbench.datasets.visa import SPLIT_FILE, VisA, one_class_split

_HEADER = "object,split,label,image,mask"
_IMAGES = ("candle/Data/Images/Normal/0000.JPG", "candle/Data/Images/Normal/0001.JPG")
_SOUND = f"{_HEADER}\n" + "".join(f"candle,train,normal,{image},\n" for image in _IMAGES)
_CELLS = (
    "candle", "capsules", "train", "test", "normal", "anomaly", *_IMAGES, "",
    "candle\\Data\\Images\\Normal\\0001.JPG", "C:\\x\\0000.JPG", "/", "..", ".", "a/..", "\"", "\r",
)  # fmt: skip

_cell = st.sampled_from(_CELLS + NAMES)
_row = st.lists(_cell, max_size=7).map(",".join)
_usual_row = st.builds(
    lambda *cells: ",".join(cells),
    st.sampled_from(("candle", "cashew")), st.sampled_from(("train", "test")),
    st.sampled_from(("normal", "anomaly")), st.sampled_from(_CELLS), st.just(""),
)  # fmt: skip


@st.composite
def _tables(draw: Draw) -> bytes:
    """A table of rows, most of them usual, in an encoding and with line ends of some editor."""
    header = draw(st.sampled_from((_HEADER, _HEADER, _HEADER, "", "object,split", f"{_HEADER},x")))
    rows = draw(st.lists(st.one_of(_usual_row, _usual_row, _row), max_size=5))
    ends = draw(st.sampled_from(("\n", "\r\n", "\r", "\n\n", "\u2028", "\f")))
    encoding = draw(st.sampled_from(("utf-8", "utf-8", "utf-8-sig", "utf-16", "latin-1")))
    return ends.join([header, *rows]).encode(encoding, errors="replace")


split_files = st.one_of(_tables(), damaged_bytes([_SOUND.encode()]), st.binary(max_size=60))


def check_split(content: bytes, folder: Path) -> None:
    """It is read as a split of images inside the data set, or refused in a line; never changed."""
    root = folder / "split"
    shutil.rmtree(root, ignore_errors=True)
    for image in _IMAGES:
        (root / image).parent.mkdir(parents=True, exist_ok=True)
        (root / image).touch()
    (root / SPLIT_FILE).parent.mkdir()
    (root / SPLIT_FILE).write_bytes(content)
    before = fingerprint(root)
    dataset = VisA()
    with guarded():
        with usable():
            split, _ = one_class_split(root, "candle", dataset.card.categories["candle"])
            assert set(split.values()) <= {"train", "test"}
            assert all(name and "/" not in name and "\\" not in name for name in split)
        with usable():
            report = verify(dataset, root, ["candle"])
            for line in (*report.findings, *report.summaries):
                check_message(str(line))
    assert fingerprint(root) == before
    shutil.rmtree(root)
