"""The folders of ../shared/cases that are about which files are images, with their right values."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from toy import Invoke, Outcome

CASES = Path(__file__).parents[2].parent / "shared" / "cases"
MEAN_IMAGE = f"{Path(__file__).parents[2] / 'examples' / 'mean_image.py'}:MeanImage"
CARD = """
from adbench.contracts import DatasetCard
from adbench.datasets.mvtec_layout import MVTecLayout


class Own(MVTecLayout):
    card = DatasetCard(
        name="own", title="Own", licence="CC0", page="none", citation="",
        layout="<category>/train/good", directory_names=("own",), categories={},
    )
"""


@pytest.fixture
def own(tmp_path: Path) -> str:
    """A reference to a data set of one's own that is called own and has any category."""
    file = tmp_path / "own_dataset.py"
    file.write_text(CARD)
    return f"{file}:Own"


def case(name: str, part: str = "data") -> str:
    folder = CASES / name / part
    if not folder.is_dir():
        pytest.skip(f"{name} is not at ../shared/cases")
    return str(folder)


def run(invoke: Invoke, dataset: str, root: str) -> tuple[dict[str, Any], Outcome]:
    """The row of the category, and what the command said."""
    outcome = invoke("run", "--methods", MEAN_IMAGE, "--preset", "fast", "--dataset", dataset,
                     "--data-root", root, "--no-timing", "--json")  # fmt: skip
    assert outcome.code == 0, outcome.err
    (row,) = [row for row in json.loads(outcome.out) if row["category"] == "a"]
    return row, outcome


def verified(invoke: Invoke, dataset: str, root: str, *more: str) -> Outcome:
    return invoke("data", "verify", dataset, "--data-root", root, *more)


def test_nested_folders(invoke: Invoke, own: str) -> None:
    root = case("nested-folders-ignored")
    said = verified(invoke, own, root)
    assert said.code == 0
    assert "6 train; 4 normal and 8 anomalous test images (dent 4, hole 4)" in said.out
    assert "a/train/good/day2" in said.out and "a/test/dent/cam1" in said.out
    assert "belongs to no image" not in said.out
    row, _ = run(invoke, own, root)
    assert row["pixel_auroc"] is not None


def test_unlisted_extensions(invoke: Invoke, own: str) -> None:
    root = case("unlisted-extensions-ignored")
    said = verified(invoke, own, root)
    assert said.code == 0 and "warning" not in said.out
    assert "6 train; 4 normal and 4 anomalous test images (hole 4)" in said.out
    run(invoke, own, root)


def test_normal_test_folder_by_another_name(invoke: Invoke, own: str) -> None:
    root = case("normal-test-folder-by-other-name")
    row, outcome = run(invoke, own, root)
    right, _ = run(invoke, own, case("normal-test-folder-by-other-name", "right"))
    assert (row["image_auroc"], row["image_aupr"]) == (1.0, 1.0)
    assert row["image_auroc"] == right["image_auroc"] and row["pixel_auroc"] == right["pixel_auroc"]
    assert "a/test/NORMAL" in outcome.err and "all-zero" not in outcome.err


def test_a_short_row_of_visas_split(invoke: Invoke) -> None:
    root = case("visa-csv-short-row-traceback")
    for outcome in (
        verified(invoke, "visa", root),
        invoke("run", "--methods", MEAN_IMAGE, "--dataset", "visa", "--data-root", root),
    ):
        assert outcome.code == 4 and "Traceback" not in outcome.err
        said = outcome.out + outcome.err
        assert "split_csv/1cls.csv cannot be read (line 5 has 3 of 5 columns)" in said
        assert "object, split, label, image, mask" in said


def test_no_masks_at_all(invoke: Invoke, own: str) -> None:
    root = case("no-masks-at-all")
    row, outcome = run(invoke, own, root)
    assert row["image_auroc"] == 1.0
    assert row["pixel_auroc"] is None and row["aupro@0.3"] is None
    assert "no masks" in outcome.err and "all-zero" not in outcome.err
    assert "all-zero" not in invoke("report").out and "no masks" in invoke("report").out
    said = verified(invoke, own, root)
    assert said.code == 0 and said.out.count("no masks") == 1
    assert verified(invoke, own, root, "--strict").code == 4
