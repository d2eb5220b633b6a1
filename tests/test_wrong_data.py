"""Missing, partial, damaged and odd data sets: what stops, what fails alone, what is only said."""

from __future__ import annotations

import json
import re
import shlex
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ends import records
from outcomes import the_error, warnings_of
from PIL import Image
from toy import PIXEL, Invoke, Outcome, Toy, write_toy

RUN = ["run", "--methods", PIXEL, "--preset", "smoke", "--no-timing"]
HOLES = "a/ground_truth/hole"


def rows_of(outcome: Outcome) -> dict[str, dict[str, Any]]:
    """Rows of `--json` by category."""
    return {row["category"]: row for row in json.loads(outcome.out)}


def record_of(results: Path, category: str) -> dict[str, Any]:
    every = records(results) + records(results, "failed")
    return next(r for r in every if r["identity"]["categories"] == [category])


def blank(path: Path) -> None:
    Image.new("L", (40, 40)).save(path)


def as_mpdd(tmp_path: Path) -> list[str]:
    """Options that select a copy of MPDD with one category."""
    root = write_toy(tmp_path / "data", ("metal_plate",)).root
    root.rename(root.with_name("MPDD"))
    return ["--dataset", "mpdd", "--data-root", str(root.parent)]


# ------------------------------------------------------------------------------ the data root


def test_without_a_data_root_the_message_tells_where_to_get_the_set(invoke: Invoke) -> None:
    message = the_error(invoke(*RUN, "--dataset", "mpdd"), 4)
    for word in ("--data-root", "ADBENCH_DATA", "https://", "licence", "Expected tree", "verify"):
        assert word in message


def test_a_root_without_the_set_lists_what_it_holds(invoke: Invoke, toy: Toy) -> None:
    message = the_error(invoke(*RUN, "--dataset", "mpdd", "--data-root", str(toy.folder)), 4)
    assert "found toy/, toy_dataset.py; expected MPDD/" in message


@pytest.mark.parametrize("root", ["absent", "data/toy_dataset.py"])
def test_a_root_that_is_no_folder_is_a_data_problem(invoke: Invoke, toy: Toy, root: str) -> None:
    the_error(invoke(*RUN, "--dataset", toy.reference, "--data-root", root), 4)


def test_a_partial_root_runs_and_is_said_everywhere(invoke: Invoke, tmp_path: Path) -> None:
    outcome = invoke(*RUN, *as_mpdd(tmp_path))
    assert outcome.code == 0
    said = "1 of 6 categories are present (metal_plate); missing: bracket_black"
    assert any(said in line for line in warnings_of(outcome))
    assert said in outcome.out and "partial data root" in outcome.out
    assert record_of(tmp_path / "results", "metal_plate")["data"]["complete"] is False


# ------------------------------------------------------------------- what one warning says


def no_masks_of_a_defect(root: Path) -> None:
    shutil.copytree(root / "a/test/good", root / "a/test/fine")
    for number in range(4):  # else they are the same files under two labels
        Image.new("RGB", (40, 40), (number, 0, 0)).save(root / f"a/test/fine/{number:03d}.png")


def files_that_are_no_images(root: Path) -> None:
    for place in ("train/good/notes.txt", "test/hole/labels.json", "test/good/Thumbs.db"):
        (root / "a" / place).write_text("{}")


def empty_masks(root: Path) -> None:
    for number in (1, 2):
        blank(root / HOLES / f"{number:03d}_mask.png")


def empty_masks_of_what_looks_normal(root: Path) -> None:
    shutil.copytree(root / "a/test/hole", root / "a/test/fine")
    (root / "a/ground_truth/fine").mkdir()
    for number in range(4):
        blank(root / f"a/ground_truth/fine/{number:03d}_mask.png")


def masks_beside_their_folder(root: Path) -> None:
    for path in (root / HOLES).iterdir():
        path.rename(root / "a/ground_truth" / path.name)


def masks_among_the_images(root: Path) -> None:
    for path in (root / HOLES).iterdir():
        path.rename(root / "a/test/hole" / path.name)


def only_holes(root: Path) -> None:
    shutil.rmtree(root / "a/test/good")


def only_good(root: Path) -> None:
    shutil.rmtree(root / "a/test/hole")
    shutil.rmtree(root / HOLES)


def one_mask_missing(root: Path) -> None:
    (root / HOLES / "000_mask.png").unlink()


SAID: list[tuple[Callable[[Path], None], tuple[str, ...]]] = [
    (no_masks_of_a_defect, ("none of the 4 images in a/test/fine has a mask",
                            "if they are normal, rename the folder to good")),
    (files_that_are_no_images, ("a/train/good/notes.txt is no image", "(and 1 more)",)),
    (empty_masks, (f"2 of 4 masks mark nothing (first: {HOLES}/001_mask.png): no value is above "
                   "0; their images stay anomalous",)),
    (empty_masks_of_what_looks_normal, ("masks of a/test/fine are empty",)),
    (masks_beside_their_folder, ("a/ground_truth/000_mask.png is not used: masks lie in folders "
                                 "called as those of a/test",)),
    (masks_among_the_images, ("a/test/hole/000_mask.png is named like the mask of "
                              "a/test/hole/000.png, but counts as ",)),
    (only_holes, ("no test image is normal",)),
    (only_good, ("no test image is anomalous",)),
    (one_mask_missing, ("a/test/hole/000.png has no mask", f"{HOLES}/000_mask.png",
                        "image metrics only")),
]  # fmt: skip


@pytest.mark.parametrize(("change", "words"), SAID)
def test_a_doubt_is_said_by_run_its_table_and_verify(
    invoke: Invoke, toy: Toy, change: Callable[[Path], None], words: tuple[str, ...]
) -> None:
    change(toy.root)
    outcome = invoke(*RUN, *toy.arguments("a"))
    assert outcome.code == 0
    (warning,) = [line for line in warnings_of(outcome) if words[0] in line]
    assert all(word in warning for word in words)
    assert " ".join(outcome.out.split()).count(words[0]) == 1
    verify = ["data", "verify", f"{toy.reference}:a", "--data-root", str(toy.folder)]
    checked = invoke(*verify)
    assert checked.code == 0 and words[0] in checked.out
    assert invoke(*verify, "--strict").code == 4


def test_masks_below_the_threshold_are_not_called_all_zero(invoke: Invoke, toy: Toy) -> None:
    for path in (toy.root / HOLES).iterdir():
        Image.fromarray((np.asarray(Image.open(path)) > 0).astype(np.uint8)).save(path)
    outcome = invoke(*RUN, *toy.arguments("a"), "--mask-threshold", "127")
    (warning,) = warnings_of(outcome)
    assert "no value is above 127" in warning and "no value is above 127" in outcome.out
    assert "zero" not in outcome.out + outcome.err


def test_reused_numbers_stand_beside_what_is_said_of_the_data_now(invoke: Invoke, toy: Toy) -> None:
    text = toy.root / "a/train/good/notes.txt"
    text.write_text("x")
    assert "notes.txt" in invoke(*RUN, *toy.arguments("a")).out
    text.unlink()
    (toy.root / "a/train/OK").mkdir()  # empty: nothing to say
    shutil.copytree(toy.root / "a/test/hole", toy.root / "a/train/bad")
    outcome = invoke(*RUN, *toy.arguments("a"))
    assert "1 there already" in outcome.err
    assert "notes.txt" not in outcome.out + outcome.err and "a/train/OK" not in outcome.err
    said = "a/train/bad holds 4 images, not used"
    assert said in outcome.err and said in outcome.out


# ------------------------------------------------------------------------------------- masks


def test_an_image_without_a_mask_is_left_out_of_pixel_metrics(
    invoke: Invoke, toy: Toy, tmp_path: Path
) -> None:
    """The pixel metrics are those of the same set without the image, the image metrics of all."""
    whole = rows_of(invoke(*RUN, *toy.arguments("a"), "--json"))["a"]
    one_mask_missing(toy.root)
    part = rows_of(invoke(*RUN, *toy.arguments("a"), "--json", "--results", "part"))["a"]
    truth = record_of(tmp_path / "part", "a")["data"]["ground_truth"]["a"]
    assert (truth["unmasked"], truth["empty_masks"]) == (["a/test/hole/000.png"], [])
    shown = invoke("report", "--format", "markdown", "--results", "part").out
    assert "a/test/hole/000.png has no mask" in shown and "mark nothing" not in shown
    (toy.root / "a/test/hole/000.png").unlink()
    without = rows_of(invoke(*RUN, *toy.arguments("a"), "--json", "--results", "less"))["a"]
    pixel = [name for name in part if name.startswith(("pixel", "aupro"))]
    assert pixel and all(part[name] == without[name] for name in pixel)
    assert part["pixel_auroc"] != whole["pixel_auroc"]
    assert part["image_auroc"] == whole["image_auroc"]


def test_masks_of_no_defect_at_all_are_said_once_for_all_images(
    invoke: Invoke, toy: Toy, tmp_path: Path
) -> None:
    shutil.rmtree(toy.root / "a" / "ground_truth")
    for folder in ("dent", "stain"):
        shutil.copytree(toy.root / "a/test/hole", toy.root / "a/test" / folder)
    outcome = invoke(*RUN, *toy.arguments(), "--json")
    assert outcome.code == 0
    (warning,) = warnings_of(outcome)
    assert "none of the 12 defect images has one in a/ground_truth" in warning
    table = rows_of(outcome)
    assert table["a"]["pixel_auroc"] is None and table["a"]["image_auroc"] is not None
    assert table["mean"]["pixel_auroc"] == table["b"]["pixel_auroc"]
    assert len(record_of(tmp_path / "results", "a")["data"]["ground_truth"]["a"]["unmasked"]) == 12
    shutil.copytree(tmp_path / "results", tmp_path / "other")
    assert invoke("compare", "results", "other").code == 0
    assert invoke("baseline", "save", "base.json").code == 0
    assert invoke("gate", "--baseline", "base.json").code == 0


def test_pictures_say_that_there_is_no_mask_and_their_curves_leave_the_image_out(
    invoke: Invoke, toy: Toy, tmp_path: Path
) -> None:
    """A gallery's curves and masks are those of the scored pixels."""
    curves = []
    for results in ("part", "less"):
        if results == "part":
            one_mask_missing(toy.root)
        else:
            (toy.root / "a/test/hole/000.png").unlink()
        outcome = invoke(*RUN, *toy.arguments("a"), "--figures", "--results", results)
        assert outcome.code == 0, outcome.err
        (file,) = (tmp_path / results).glob("figures/gallery/*.json")
        gallery = json.loads(file.read_text())
        curves.append(next(iter(gallery["pixel_curves"].values())))
        shares = {case["id"]: case["mask_share"] for case in gallery["cases"]}
        assert {i for i, share in shares.items() if share is None} <= {"a/test/hole/000.png"}
        options = ["--format", "html", "--results", results, "--out", "r.html"]
        assert invoke("report", *options).code == 0
        assert ("it has no mask" in (tmp_path / "r.html").read_text()) == (results == "part")
    assert curves[0] == curves[1]


def test_damaged_masks_of_a_release_stay_an_error(invoke: Invoke, tmp_path: Path) -> None:
    selected = as_mpdd(tmp_path)
    next((tmp_path / "data/MPDD/metal_plate/ground_truth").rglob("*.png")).unlink()
    assert "has no mask: looked for" in the_error(invoke(*RUN, *selected), 4)


def test_a_mask_of_another_size_fails_its_cell_alone(invoke: Invoke, toy: Toy) -> None:
    Image.new("L", (20, 30), 255).save(toy.root / HOLES / "000_mask.png")
    outcome = invoke(*RUN, *toy.arguments(), "--json")
    assert outcome.code == 4
    table = rows_of(outcome)
    assert (table["a"]["status"], table["b"]["status"]) == ("failed", "done")
    assert "20 x 30" in outcome.err and "40 x 40" in outcome.err


# ------------------------------------------------------------------------------------ folders


def test_verify_fails_where_run_would_for_want_of_test_images(invoke: Invoke, toy: Toy) -> None:
    (toy.root / "a/test").rename(toy.root / "a/Test")
    verify = invoke("data", "verify", f"{toy.reference}:a", "--data-root", str(toy.folder))
    assert verify.code == 4 and "error: a: there is no test image" in verify.out
    message = the_error(invoke(*RUN, *toy.arguments("a")), 4)
    assert "has no test image" in message and f"--dataset {toy.reference}:CATEGORY" in message


def test_the_command_that_shows_all_flaws_can_be_pasted(invoke: Invoke, toy: Toy) -> None:
    for path in (toy.root / "a/train/good").iterdir():
        path.write_bytes(b"junk")
    outcome = invoke(*RUN, *toy.arguments("a"))
    assert outcome.code == 4 and "verify NAME" not in outcome.out + outcome.err
    (command,) = re.findall("adbench data verify .*", outcome.err)
    shown = invoke(*shlex.split(command)[1:])
    assert shown.code == 4 and "is not an image" in shown.out and "data verify" not in shown.out


def test_the_label_comes_from_the_folder_and_never_from_the_mask(
    invoke: Invoke, toy: Toy, tmp_path: Path
) -> None:
    blank(toy.root / HOLES / "000_mask.png")
    (toy.root / "a/ground_truth/good").mkdir()
    Image.new("L", (40, 40), 255).save(toy.root / "a/ground_truth/good/000_mask.png")
    assert invoke(*RUN, *toy.arguments("a")).code == 0
    images = record_of(tmp_path / "results", "a")["images"]
    labels = dict(zip(images["id"], images["label"], strict=True))
    assert labels["a/test/hole/000.png"] == 1 and labels["a/test/good/000.png"] == 0


# ------------------------------------------------------------------------------------ images


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:200])


def empty(path: Path) -> None:
    path.write_bytes(b"")


def text(path: Path) -> None:
    path.write_text("no image")


def deep(path: Path) -> None:
    Image.fromarray(np.full((40, 40), 40_000, np.uint16)).save(path)


def transparent(path: Path) -> None:
    Image.new("RGBA", (40, 40), (9, 9, 9, 9)).save(path)


@pytest.mark.parametrize(
    ("damage", "split"),
    [(text, "test"), *((d, "train") for d in (truncate, empty, text, deep, transparent))],
)
def test_an_unusable_image_fails_its_cell_alone_until_it_is_mended(
    invoke: Invoke, toy: Toy, damage: Callable[[Path], None], split: str, tmp_path: Path
) -> None:
    bad = toy.root / "a" / split / "good" / "002.png"
    whole = bad.read_bytes()
    damage(bad)
    outcome = invoke(*RUN, *toy.arguments())
    assert outcome.code == 4
    assert "Traceback" not in outcome.err and "FAILED: a/" in outcome.err
    assert "failed" in outcome.out and "mean of 1 of 2" in outcome.out
    assert (record_of(tmp_path / "results", "b"))["status"] == "done"
    failure = record_of(tmp_path / "results", "a")["failure"]
    assert failure["exit_code"] == 4 and "expected" in failure["message"]
    assert failure["message"].startswith(f"a/{split}/good/002.png: ")
    assert str(tmp_path) not in json.dumps(failure)
    bad.write_bytes(whole)
    again = invoke(*RUN, *toy.arguments(), "--json")
    assert again.code == 0 and rows_of(again)["a"]["status"] == "done"


# -------------------------------------------------------------------------------- categories


@pytest.mark.parametrize("folder", ["good", "hole"])
def test_a_category_without_normals_or_defects_runs_with_undefined_metrics(
    invoke: Invoke, toy: Toy, folder: str
) -> None:
    shutil.rmtree(toy.root / "a" / "test" / folder)
    outcome = invoke(*RUN, *toy.arguments(), "--json")
    assert outcome.code == 0
    table = rows_of(outcome)
    assert table["a"]["image_auroc"] is None and table["a"]["status"] == "done"
    assert table["mean"]["image_auroc"] == table["b"]["image_auroc"]
    assert (table["mean"]["categories"], table["mean"]["undefined"]) == (2, 1)
    shown = invoke("report").out
    assert "toy:a: undefined and left out of means:" in shown and "–" in shown


@pytest.mark.parametrize("part", ["train", "test"])
def test_a_category_with_an_empty_split_is_a_data_problem(
    invoke: Invoke, toy: Toy, part: str
) -> None:
    for file in (toy.root / "a" / part).rglob("*.png"):
        file.unlink()
    message = the_error(invoke(*RUN, *toy.arguments()), 4)
    assert "a" in message and part in message


def test_odd_names_print_literally_and_stay_inside_the_results_folder(
    invoke: Invoke, tmp_path: Path
) -> None:
    names = ("[bold]x", "a | b", "-n", "schräge Größe", "*", "`x`", "$HOME", "x..", ":a:", "C:\\d")
    toy = write_toy(tmp_path / "data", names)
    for file in [*(toy.root / "a | b").rglob("test/*/000.png"),
                 *(toy.root / "a | b").rglob("000_mask.png")]:  # fmt: skip
        file.rename(file.with_name("[red] |" + file.name))
    outcome = invoke(*RUN, *toy.arguments())
    assert outcome.code == 0
    for name in names:
        assert f"\n{name} " in outcome.out
    table = invoke("report", "--format", "markdown").out
    assert r"\[bold\]x" in table and r"a \| b" in table and r"\*" in table
    cells = table.split("**toy")[1].split("\n\n")[1].splitlines()
    assert {line.replace(r"\|", "").count("|") for line in cells} == {9}
    assert {p.name for p in tmp_path.iterdir()} == {"data", "results"}
    assert {p.name for p in (tmp_path / "results").iterdir()} == {
        "adbench.json", "cells", "plans", "runs", "tables",
    }  # fmt: skip
    assert invoke(*RUN, *toy.arguments("-n"), "--json").code == 0


@pytest.mark.parametrize("name", ["line\nbreak", "\x1b[2J", "gr\udcf6sse"])
def test_names_that_no_table_can_hold_are_refused(invoke: Invoke, toy: Toy, name: str) -> None:
    bad = toy.root / "a" / "test" / "good"
    (bad / "000.png").rename(bad / f"{name}.png")
    message = the_error(invoke(*RUN, *toy.arguments()), 4)
    assert ascii(f"a/test/good/{name}.png") in message and "rename it" in message
