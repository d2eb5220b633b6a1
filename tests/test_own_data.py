"""One's own images by their path, as whoever makes the parts would try it: a folder, a table, and
what is said where they are not what was expected."""

from __future__ import annotations

import json
import re
import shlex
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ends import records
from outcomes import the_error, warnings_of
from PIL import Image
from toy import PIXEL, Invoke, Outcome, write_toy

import adbench
from adbench.request import Request
from adbench.select.pseudo import training_selection

COOKIES = Path(__file__).parents[2] / "shared" / "data" / "cookies" / "cookie"
RUN = ["run", "--methods", PIXEL, "--preset", "smoke", "--no-timing", "--device", "cpu"]


def draw(path: Path, seed: int, *, hole: bool = False, side: int = 40) -> None:
    rng = np.random.default_rng(seed)
    pixels = rng.normal(120, 8, (side, side, 3)).clip(0, 255).astype(np.uint8)
    if hole:
        pixels[10:20, 10:20] //= 2
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


def draw_parts(folder: Path, normal: str = "good", seed: int = 0) -> Path:
    """`good/*.jpg` and `bad/*.jpg`, and nothing else."""
    for n in range(10):
        draw(folder / normal / f"{n}.jpg", seed + n)
    for n in range(4):
        draw(folder / "bad" / f"{n}.jpg", seed + 100 + n, hole=True)
    return folder


def draw_mask(folder: Path, name: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    mask = np.zeros((40, 40), np.uint8)
    mask[10:20, 10:20] = 255
    Image.fromarray(mask).save(folder / name)


def row(outcome: Outcome, level: str = "category") -> dict[str, Any]:
    assert outcome.code == 0, outcome.err
    (found,) = [row for row in json.loads(outcome.out) if row["level"] == level]
    assert isinstance(found, dict)
    return found


# ----------------------------------------------------------------------------------- folders


def test_good_and_bad_photos_are_one_command(invoke: Invoke, tmp_path: Path) -> None:
    draw_parts(tmp_path / "parts")
    outcome = invoke(*RUN, "--dataset", "parts", "--json")
    assert row(outcome)["image_auroc"] == 1 and row(outcome)["pixel_auroc"] is None
    assert "normal images: good/ (10); anomalous: bad/ (4); masks: 0" in outcome.err
    assert "2 of 10 normal images are test images" in outcome.err
    (warning,) = warnings_of(outcome)
    assert "none of the 4 defect images has one, so pixel metrics are undefined" in warning
    (record,) = records(tmp_path / "results")
    assert record["identity"]["dataset"] == "parts"
    assert "20 %" in record["protocol"]["split"] and "seed 0" in record["protocol"]["split"]
    assert "split drawn, the last 20 %" in invoke("report").out
    assert str(tmp_path) not in json.dumps(record)


def test_what_was_moved_is_there_already(invoke: Invoke, tmp_path: Path) -> None:
    draw_parts(tmp_path / "parts")
    invoke(*RUN, "--dataset", "parts")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "parts").rename(tmp_path / "elsewhere" / "parts")
    assert "1 cell, 1 there already" in invoke(*RUN, "--dataset", "elsewhere/parts").err
    assert "1 cell, 1 there already" in invoke(*RUN, "--dataset", "./elsewhere/parts/").err


def test_masks_that_are_there_give_pixel_metrics(invoke: Invoke, tmp_path: Path) -> None:
    draw_parts(tmp_path / "parts")
    for n in range(4):
        draw_mask(tmp_path / "drawn", f"{n}_mask.png")
    found = row(invoke(*RUN, "--dataset", "parts", "--masks", "drawn", "--json"))
    assert found["pixel_auroc"] > 0.9 and found["aupro@0.3"] > 0.9


def test_a_known_layout_by_its_path_scores_as_its_class_does(
    invoke: Invoke, tmp_path: Path
) -> None:
    toy = write_toy(tmp_path / "data")
    outcome = invoke(*RUN, "--dataset", "data/toy:a", "--json")
    theirs = row(invoke(*RUN, *toy.arguments("a"), "--json", "--results", "theirs"))
    same = ("category", "image_auroc", "pixel_auroc", "aupro@0.3")
    assert [row(outcome)[name] for name in same] == [theirs[name] for name in same]
    assert invoke(*RUN, "--dataset", "data/toy/a").code == 0
    assert "split" not in records(tmp_path / "results")[0]["protocol"]


def test_real_photos_by_their_path(invoke: Invoke) -> None:
    if not COOKIES.is_dir():
        pytest.skip("the cookies are not at ../shared/data")
    outcome = invoke(*RUN, "--dataset", str(COOKIES), "--json")
    assert row(outcome)["dataset"] == "cookie" and row(outcome)["pixel_auroc"] is not None
    assert "the layout of MVTec AD" in outcome.err


def test_the_options_say_which_folder_is_normal(invoke: Invoke, tmp_path: Path) -> None:
    draw_parts(tmp_path / "parts", normal="fine")
    message = the_error(invoke(*RUN, "--dataset", "parts"), 4)
    assert "found bad/, fine/" in message and "--normal NAME" in message
    assert invoke(*RUN, "--dataset", "parts", "--normal", "fine").code == 0
    assert invoke("data", "verify", "parts", "--normal", "fine").code == 0
    words = Request(methods=PIXEL, datasets=("parts",), normal=("fine",), masks=Path("m")).words()
    assert words[-4:] == ["--normal", "fine", "--masks", "m"]  # what workers are started with


def test_the_command_that_shows_all_flaws_can_be_pasted(invoke: Invoke, tmp_path: Path) -> None:
    (draw_parts(tmp_path / "my parts", normal="fine") / "fine" / "0.jpg").write_bytes(b"junk")
    outcome = invoke(*RUN, "--dataset", "./my parts", "--normal", "fine")
    assert outcome.code == 4
    (command,) = re.findall("adbench data verify .*", outcome.err)
    shown = invoke(*shlex.split(command)[1:])
    assert shown.code == 4 and "fine/0.jpg" in shown.out


def test_python_takes_the_same_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(draw_parts(tmp_path / "parts", normal="fine").parent)
    table = adbench.run(PIXEL, "parts", preset="smoke", timing=False, normal="fine", device="cpu")
    assert set(table["dataset"]) == {"parts"}


def test_hyperparameters_are_searched_on_the_drawn_training_images(tmp_path: Path) -> None:
    parts = draw_parts(tmp_path / "parts")
    found = training_selection(str(parts), None, limit=None, index_folder=tmp_path / "cache")
    assert {s.split for s in found.samples["parts"]} == {"train"}
    assert len(found.samples["parts"]) == 8


# ------------------------------------------------------------------------------------ tables


def test_a_table_from_a_folder_gives_the_same_numbers(invoke: Invoke, tmp_path: Path) -> None:
    draw_parts(tmp_path / "parts")
    draw_mask(tmp_path / "parts/masks/bad", "0.png")
    folder = row(invoke(*RUN, "--dataset", "parts", "--json"))
    written = invoke("data", "table", "parts", "--out", "line.csv")
    assert written.code == 0 and "wrote line.csv (14 images)" in written.err
    outcome = invoke(*RUN, "--dataset", "line.csv", "--json")
    names = ("image_auroc", "pixel_auroc", "pixel_aupr")
    assert [row(outcome)[name] for name in names] == [folder[name] for name in names]
    assert row(outcome)["dataset"] == "line" and row(outcome)["category"] == "parts"
    assert invoke("data", "verify", "line.csv").code == 0
    assert "is there already" in the_error(invoke("data", "table", "parts", "--out", "line.csv"), 2)
    assert "ending in .csv" in the_error(invoke("data", "table", "parts", "--out", "line.xls"), 2)


def test_a_table_of_any_data_set(invoke: Invoke, tmp_path: Path) -> None:
    toy = write_toy(tmp_path / "data")
    (tmp_path / "work").mkdir()
    options = ["--data-root", str(toy.folder), "--out", "work/toy.tsv"]
    assert invoke("data", "table", f"{toy.reference}:a", *options).code == 0
    found = row(invoke(*RUN, "--dataset", "work/toy.tsv", "--json"))
    theirs = row(invoke(*RUN, *toy.arguments("a"), "--json", "--results", "theirs"))
    assert found["aupro@0.3"] == theirs["aupro@0.3"] is not None


def test_results_lie_beside_a_table_and_never_among_its_images(
    invoke: Invoke, tmp_path: Path
) -> None:
    draw_parts(tmp_path / "parts")
    lines = [f"parts/good/{n}.jpg;io" for n in range(10)]
    lines += [f"parts/bad/{n}.jpg;nio" for n in range(4)]
    (tmp_path / "mes.csv").write_bytes("\r\n".join(["Path;Label", *lines]).encode("utf-8-sig"))
    assert invoke(*RUN, "--dataset", "mes.csv").code == 0
    for dataset in ("mes.csv", "parts"):
        inside = invoke(*RUN, "--dataset", dataset, "--results", "parts/results")
        assert "is inside the data set" in the_error(inside, 2)


# ------------------------------------------------------------------------------------- names


def test_two_sets_of_one_name_are_an_error_until_one_is_named(
    invoke: Invoke, tmp_path: Path
) -> None:
    for number, line in enumerate(("a", "b")):
        draw_parts(tmp_path / line / "parts", seed=1000 * number)
    both = ["--dataset", "a/parts", "--dataset", "b/parts"]
    message = the_error(invoke(*RUN, *both), 2)
    assert "a/parts and b/parts are two data sets with one name" in message
    assert "parts_2=PATH" in message
    outcome = invoke(*RUN, *both[:3], "parts_2=b/parts", "--json")
    assert {r["dataset"] for r in json.loads(outcome.out)} == {"parts", "parts_2"}


def test_two_sets_of_one_name_run_apart_stay_apart(invoke: Invoke, tmp_path: Path) -> None:
    for number, line in enumerate(("a", "b")):
        draw_parts(tmp_path / line / "parts", seed=1000 * number)
        assert invoke(*RUN, "--dataset", f"{line}/parts").code == 0
    rows = [r for r in json.loads(invoke("report", "--json").out) if r["level"] == "category"]
    assert len(rows) == 2 and len({r["data"] for r in rows}) == 2
    shown = invoke("report").out
    assert "are numbers of different data" in " ".join(shown.split()) and "±" not in shown


def test_a_registered_name_wins_and_a_path_never_is_one(invoke: Invoke, tmp_path: Path) -> None:
    draw_parts(tmp_path / "mpdd")
    assert "mpdd needs to know where its images are" in the_error(
        invoke(*RUN, "--dataset", "mpdd"), 4
    )
    assert row(invoke(*RUN, "--dataset", "./mpdd", "--json"))["dataset"] == "own_mpdd"


def test_a_path_with_a_colon_and_a_category_of_a_folder(invoke: Invoke, tmp_path: Path) -> None:
    for category in ("bolt", "nut"):
        draw_parts(tmp_path / "line:1" / category)
    whole = json.loads(invoke("plan", *RUN[1:5], "--dataset", "./line:1", "--json").out)
    part = json.loads(invoke("plan", *RUN[1:5], "--dataset", "./line:1:nut", "--json").out)
    assert [c["categories"] for c in whole] == [["bolt"], ["nut"]]
    assert [c["categories"] for c in part] == [["nut"]] and part[0]["dataset"] == "line_1"


# -------------------------------------------------------------------------------- large images


def test_images_much_larger_than_what_is_seen_are_said(invoke: Invoke, tmp_path: Path) -> None:
    draw_parts(tmp_path / "parts")
    assert "times smaller" not in invoke(*RUN, "--dataset", "parts").err
    for n in range(10):
        draw(tmp_path / "parts/good" / f"{n}.jpg", n, side=160)
    said = (
        "images of 160 x 160 pixels at 32 x 32, 5.0 times smaller: a defect of 20 pixels becomes 4"
    )
    assert said in invoke(*RUN, "--dataset", "parts").err
    small = invoke("data", "verify", "parts", "--evaluation-size", "16")
    assert "at 16 x 16, 10.0 times smaller" in small.out


# -------------------------------------------------------------------------------- wrong input


def one_image(folder: Path) -> None:
    draw(folder / "0.jpg", 0)


def only_bad(folder: Path) -> None:
    draw(folder / "bad" / "0.jpg", 0)


def two_normals(folder: Path) -> None:
    shutil.copytree(draw_parts(folder) / "good", folder / "OK")


def other_masks(folder: Path) -> None:
    draw_parts(folder)
    draw_mask(folder / "masks/bad", "drawing.png")


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda folder: folder.mkdir(), "found an empty folder"),
        (one_image, "found 1 image and no folder"),
        (only_bad, "has no folder of normal images: found bad/"),
        (two_normals, "2 folders of normal images"),
        (other_masks, "none of 1 mask has the name of an anomalous image"),
        (lambda folder: folder.write_text("x"), "is a file, and no table"),
        (lambda folder: None, "is not there"),
    ],
)
def test_folders_that_cannot_be_read(invoke: Invoke, tmp_path: Path, make: Any, words: str) -> None:
    make(tmp_path / "parts")
    for command in (RUN, ["plan", *RUN[1:5]]):
        message = the_error(invoke(*command, "--dataset", "./parts"), 4)
        assert words in message and "expected" in message
    assert invoke("data", "verify", "./parts").code == 4


def test_tables_and_words_that_cannot_be_read(invoke: Invoke, tmp_path: Path) -> None:
    draw_parts(tmp_path / "parts")
    (tmp_path / "line.csv").write_text("path,label\nparts/good/0.jpg,0\nparts/good/99.jpg,0\n")
    message = the_error(invoke(*RUN, "--dataset", "line.csv"), 4)
    assert "parts/good/99.jpg (line 3) is not there" in message
    for options, words in (
        (["parts", "--normal", "nope"], "no folder of that name"),
        (["parts", "--masks", "nope"], "no such folder"),
        (["line.csv", "--normal", "good"], "is a table"),
        (["synthetic", "--normal", "good"], "synthetic is none; expected --dataset PATH"),
        (["part"], "given by its path, like ./parts"),
    ):
        assert words in the_error(invoke(*RUN, "--dataset", *options), 2)
