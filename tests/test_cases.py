"""Data that mean something else than they seem to: the right value, or the warning.

The inputs and the right values are those of ../shared/cases; the method is the mean image.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from outcomes import warnings_of
from PIL import Image
from toy import Invoke, Outcome

from adbench.upright import copy_upright

ROOT = Path(__file__).parents[1]
CASES = ROOT.parent / "shared" / "cases"
METHOD = ["--methods", f"{ROOT / 'examples' / 'mean_image.py'}:MeanImage", "--preset", "fast"]
CARD = """
from adbench.contracts import DatasetCard
from adbench.datasets.mvtec_layout import MVTEC_TREE, MVTecLayout


class Own(MVTecLayout):
    card = DatasetCard(
        name="own", title="Own", licence="CC0", page="none", citation="",
        layout=MVTEC_TREE, directory_names=("own",), categories={},
    )
"""

Case = Callable[..., list[str]]


@pytest.fixture
def case(tmp_path: Path) -> Case:
    """Options that select one folder of a case."""
    (tmp_path / "own.py").write_text(CARD)

    def select(name: str, part: str = "data", dataset: str = f"{tmp_path / 'own.py'}:Own"):
        if not (CASES / name / part).is_dir():
            pytest.skip(f"{name} is not at ../shared/cases")
        return ["--dataset", dataset, "--data-root", str(CASES / name / part)]

    return select


def run(invoke: Invoke, *arguments: str) -> Outcome:
    return invoke("run", *METHOD, "--no-timing", "--device", "cpu", *arguments)


def verify(invoke: Invoke, selected: list[str], *arguments: str) -> Outcome:
    return invoke("data", "verify", selected[1], *selected[2:], *arguments)


def row(outcome: Outcome) -> dict[str, Any]:
    """Of the category."""
    assert outcome.code == 0, outcome.err
    (found,) = [row for row in json.loads(outcome.out) if row["category"] == "a"]
    assert isinstance(found, dict)
    return found


def scores(outcome: Outcome) -> tuple[float, float]:
    """Pixel AUROC and AUPRO in percent, two digits."""
    found = row(outcome)
    return round(100 * found["pixel_auroc"], 2), round(100 * found["aupro@0.3"], 2)


def said_everywhere(invoke: Invoke, selected: list[str], words: str) -> str:
    """The one warning with `words`: in `run`, in its table in every format, and in `verify`."""
    outcome = run(invoke, *selected)
    assert outcome.code == 0, outcome.err
    (warning,) = [line for line in warnings_of(outcome) if words in line]
    begun = [n for n, line in enumerate(outcome.err.splitlines()) if ": started" in line]
    assert outcome.err.splitlines().index(warning) < begun[0], "said before anything is trained"
    message = warning.removeprefix("warning: own: a: ").partition(" [")[0]
    checked = verify(invoke, selected)
    assert checked.code == 0 and f"warning: a: {message}" in checked.out
    assert verify(invoke, selected, "--strict").code == 4
    for form in ("terminal", "markdown", "latex", "html"):
        told = invoke("report", "--format", form)
        text = " ".join(told.out.replace("\\", "").split())
        assert told.code == 0 and message.partition(" (first")[0][:80] in text, form
    return message


# ------------------------------------------------------------------------------------ pixels


def test_antialiased_masks(invoke: Invoke, case: Case) -> None:
    selected = case("antialiased-masks")
    message = said_everywhere(invoke, selected, "--mask-threshold")
    assert message.startswith("4 of 4 masks ") and "a/ground_truth/hole/000_mask.png" in message
    assert scores(run(invoke, *selected, "--json"))[1] == 50.20
    # Not quite 100: what was rounded away in the resize is not to be had back.
    assert scores(run(invoke, *selected, "--mask-threshold", "127", "--json")) == (99.98, 99.94)


def test_jpeg_masks(invoke: Invoke, case: Case) -> None:
    selected = case("jpeg-masks")
    message = said_everywhere(invoke, selected, "--mask-threshold")
    assert message.startswith("4 of 4 masks ") and "JPEG" in message
    decided = run(invoke, *selected, "--mask-threshold", "127", "--json")
    assert scores(decided) == (100, 100) and warnings_of(decided) == []
    checked = verify(invoke, selected, "--mask-threshold", "127", "--strict")
    assert checked.code == 0 and "4 anomalous regions" in checked.out


@pytest.mark.parametrize("part", ["inverted", "photo_overlay", "rgba", "viridis"])
def test_a_mask_that_covers_its_image(
    invoke: Invoke, case: Case, part: str, tmp_path: Path
) -> None:
    selected = case("mask-covers-image", "right" if part in ("rgba", "viridis") else part)
    if part in ("rgba", "viridis"):
        shutil.copytree(CASES / "mask-covers-image" / "right", tmp_path / "data")
        selected[3] = str(tmp_path / "data")
        for path in (tmp_path / "data").rglob("*_mask.png"):
            repaint(path, part)
    message = said_everywhere(invoke, selected, "more than half")
    assert message.startswith("4 of 4 masks ") and "hole/000_mask.png" in message


def repaint(path: Path, how: str) -> None:
    """White with a transparent ground, or the colours of viridis."""
    mask = np.asarray(Image.open(path)) > 0
    if how == "rgba":
        Image.fromarray(np.dstack([mask | True] * 3 + [mask]).astype(np.uint8) * 255).save(path)
    else:
        image = Image.fromarray(mask.astype(np.uint8)).convert("P")
        image.putpalette([68, 1, 84, 253, 231, 37] + [0] * 762)
        image.save(path)


@pytest.mark.parametrize(
    ("name", "part"),
    [
        *((name, "right") for name in ("mask-covers-image", "exif-orientation-180", "jpeg-masks")),
        ("antialiased-masks", "right"),
        ("opaque-alpha-refused", "data"),
    ],
)
def test_the_right_data_are_not_doubted(invoke: Invoke, case: Case, name: str, part: str) -> None:
    selected = case(name, part)
    outcome = run(invoke, *selected, "--json")
    assert scores(outcome) == (100, 100) and warnings_of(outcome) == []
    assert verify(invoke, selected, "--strict").code == 0


def test_orientation_tags(invoke: Invoke, case: Case, tmp_path: Path) -> None:
    selected = case("exif-orientation-180")
    message = said_everywhere(invoke, selected, "orientation")
    assert message.startswith("14 images ") and "a/test/good/000.jpg" in message
    own = CASES / "exif-orientation-180" / "data" / "own"
    advice = next(line for line in verify(invoke, selected).out.splitlines() if "upright" in line)
    assert str(own) in advice
    copy_upright(own, tmp_path / "upright")
    selected[3] = str(tmp_path / "upright")
    # JPEG encodes anew what was turned, and a level or two of noise more is no misplaced mask.
    assert min(scores(run(invoke, *selected, "--json"))) > 99.9
    assert verify(invoke, selected, "--strict").code == 0


def test_a_leak_is_said_by_run(invoke: Invoke, case: Case) -> None:
    message = said_everywhere(invoke, case("leak-not-said-by-run"), "in training and test")
    assert "a/test/good/900.png" in message and "a/train/good/000.png" in message


def test_a_mask_of_a_normal_image(invoke: Invoke, case: Case) -> None:
    message = said_everywhere(invoke, case("non-empty-mask-of-a-normal-image"), "normal by its")
    assert message.startswith(
        "a/ground_truth/good/000_mask.png marks anomalous pixels, but a/test/good/000.png is "
        "normal by its folder"
    )


# ------------------------------------------------------------------------------------- files


def test_nested_folders(invoke: Invoke, case: Case) -> None:
    selected = case("nested-folders-ignored")
    said = verify(invoke, selected)
    assert said.code == 0
    assert "6 train; 4 normal and 8 anomalous test images (dent 4, hole 4)" in said.out
    assert "a/train/good/day2" in said.out and "a/test/dent/cam1" in said.out
    assert "belongs to no image" not in said.out
    assert row(run(invoke, *selected, "--json"))["pixel_auroc"] is not None


def test_unlisted_extensions(invoke: Invoke, case: Case) -> None:
    selected = case("unlisted-extensions-ignored")
    said = verify(invoke, selected)
    assert said.code == 0 and "warning" not in said.out
    assert "6 train; 4 normal and 4 anomalous test images (hole 4)" in said.out
    assert run(invoke, *selected).code == 0


def test_normal_test_folder_by_another_name(invoke: Invoke, case: Case) -> None:
    name = "normal-test-folder-by-other-name"
    outcome = run(invoke, *case(name), "--json")
    found, right = row(outcome), row(run(invoke, *case(name, "right"), "--json"))
    assert found["image_auroc"] == right["image_auroc"] == found["image_aupr"] == 1.0
    assert found["pixel_auroc"] == right["pixel_auroc"]
    assert "a/test/NORMAL" in outcome.err and "all-zero" not in outcome.err


def test_a_short_row_of_visas_split(invoke: Invoke, case: Case) -> None:
    selected = case("visa-csv-short-row-traceback", dataset="visa")
    for outcome in (verify(invoke, selected), run(invoke, *selected)):
        assert outcome.code == 4 and "Traceback" not in outcome.err
        said = outcome.out + outcome.err
        assert "split_csv/1cls.csv cannot be read (line 5 has 3 of 5 columns)" in said
        assert "object, split, label, image, mask" in said


def test_no_masks_at_all(invoke: Invoke, case: Case) -> None:
    selected = case("no-masks-at-all")
    outcome = run(invoke, *selected, "--json")
    found = row(outcome)
    assert found["image_auroc"] == 1.0
    assert found["pixel_auroc"] is None and found["aupro@0.3"] is None
    assert "no masks" in outcome.err and "all-zero" not in outcome.err
    assert "all-zero" not in invoke("report").out and "no masks" in invoke("report").out
    said = verify(invoke, selected)
    assert said.code == 0 and said.out.count("no masks") == 1
    assert verify(invoke, selected, "--strict").code == 4
