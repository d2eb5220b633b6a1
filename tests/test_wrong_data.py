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
from outcomes import the_error, warnings_of
from PIL import Image
from toy import PIXEL, Invoke, Outcome, Toy, write_toy

RUN = ["run", "--methods", PIXEL, "--preset", "smoke", "--no-timing"]


def rows_of(outcome: Outcome) -> dict[str, dict[str, Any]]:
    """Rows of `--json` by category."""
    return {row["category"]: row for row in json.loads(outcome.out)}


def record_of(results: Path, category: str) -> dict[str, Any]:
    for path in [
        p for kind in ("record", "failed") for p in results.glob(f"cells/*/{kind}-*.json")
    ]:  # noqa: E501
        record: dict[str, Any] = json.loads(path.read_text())
        if record["identity"]["categories"] == [category]:
            return record
    raise AssertionError(f"no record of {category}")


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
    root = write_toy(tmp_path / "data", ("metal_plate",)).root
    root.rename(root.with_name("MPDD"))
    outcome = invoke(*RUN, "--dataset", "mpdd", "--data-root", str(root.parent))
    assert outcome.code == 0
    said = "1 of 6 categories are present (metal_plate); missing: bracket_black"
    assert any(said in line for line in warnings_of(outcome))
    assert said in outcome.out and "partial data root" in outcome.out
    record = record_of(tmp_path / "results", "metal_plate")
    assert record["data"]["complete"] is False


# ------------------------------------------------------------------------------------- masks


def mask(toy: Toy, category: str = "a", number: int = 0) -> Path:
    return toy.root / category / "ground_truth" / "hole" / f"{number:03d}_mask.png"


def test_a_missing_mask_is_said_and_its_image_left_out_of_pixel_metrics(
    invoke: Invoke, toy: Toy, tmp_path: Path
) -> None:
    """The pixel metrics are those of the same set without the image, the image metrics of all."""
    whole = rows_of(invoke(*RUN, *toy.arguments("a"), "--json"))["a"]
    mask(toy).unlink()
    outcome = invoke(*RUN, *toy.arguments("a"), "--json", "--results", "part")
    assert outcome.code == 0
    (warning,) = warnings_of(outcome)
    assert "a/test/hole/000.png has no mask" in warning
    assert "a/ground_truth/hole/000_mask.png" in warning and "image metrics only" in warning
    part = rows_of(outcome)["a"]
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


def test_a_defect_of_which_no_image_has_a_mask_is_a_question(invoke: Invoke, toy: Toy) -> None:
    shutil.copytree(toy.root / "a/test/good", toy.root / "a/test/fine")
    outcome = invoke(*RUN, *toy.arguments("a"))
    assert outcome.code == 0
    (warning,) = [line for line in warnings_of(outcome) if "normal and anomalous" not in line]
    assert "none of the 4 images in a/test/fine has a mask" in warning
    assert "if they are normal, rename the folder to good" in warning


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


@pytest.mark.parametrize("folders", [("test/Good",), ("test/OK", "train/normal"), ("train/GOOD",)])
def test_a_folder_that_is_usually_called_normal_is_normal(
    invoke: Invoke, toy: Toy, folders: tuple[str, ...]
) -> None:
    before = rows_of(invoke(*RUN, *toy.arguments("a"), "--json", "--results", "before"))["a"]
    for folder in folders:
        split, _, name = folder.partition("/")
        (toy.root / "a" / split / "good").rename(toy.root / "a" / split / "x")
        (toy.root / "a" / split / "x").rename(toy.root / "a" / split / name)
    outcome = invoke(*RUN, *toy.arguments("a"), "--json")
    assert outcome.code == 0 and not warnings_of(outcome)
    after = rows_of(outcome)["a"]
    assert after["image_auroc"] == before["image_auroc"]
    assert after["pixel_auroc"] == before["pixel_auroc"]
    if folders != ("test/OK", "train/normal"):
        assert f"note: toy: a: the images in a/{folders[0]} are taken for normal" in outcome.err


def test_images_in_sub_folders_give_the_numbers_of_flat_ones(invoke: Invoke, toy: Toy) -> None:
    before = rows_of(invoke(*RUN, *toy.arguments("a"), "--json", "--results", "before"))["a"]
    for place in ("train/good", "test/good", "test/hole", "ground_truth/hole"):
        folder = toy.root / "a" / place
        (folder / "day2").mkdir()
        for file in [*folder.glob("*2*.png"), *folder.glob("*3*.png")]:
            file.rename(folder / "day2" / file.name)
    outcome = invoke(*RUN, *toy.arguments("a"), "--json")
    assert outcome.code == 0 and not warnings_of(outcome)
    after = rows_of(outcome)["a"]
    names = ("image_auroc", "pixel_auroc", "aupro@0.3")
    assert [after[n] for n in names] == [before[n] for n in names]


def test_files_that_are_no_images_are_one_warning_of_a_category(invoke: Invoke, toy: Toy) -> None:
    for place in ("train/good/notes.txt", "test/hole/labels.json", "test/good/Thumbs.db"):
        (toy.root / "a" / place).write_text("{}")
    outcome = invoke(*RUN, *toy.arguments("a"))
    (warning,) = warnings_of(outcome)
    assert "a/train/good/notes.txt is no image" in warning and "(and 1 more)" in warning
    assert "a/test/hole/labels.json" in warning


def test_pictures_say_that_there_is_no_mask_and_their_curves_leave_the_image_out(
    invoke: Invoke, toy: Toy, tmp_path: Path
) -> None:
    """A gallery's curves and masks are those of the scored pixels."""
    curves = []
    for results in ("part", "less"):
        if results == "part":
            mask(toy).unlink()
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


WITHOUT_MASKS = """
from pathlib import Path
from adbench.contracts import Dataset, DatasetCard, Sample


class Plain(Dataset):
    card = DatasetCard(
        name="plain", title="Plain", licence="CC0", page="none", citation="", layout="-",
        directory_names=("toy",), categories={},
    )

    def find_root(self, data_root):
        return Path(__file__).parent / "toy"

    def recognise_layout(self, root):
        return "plain"

    def available_categories(self, root):
        return ("a",)

    def samples(self, root, categories):
        return [
            Sample("a", p.parts[1], p.parts[2], p.as_posix(), None, int(p.parts[2] == "hole"))
            for p in sorted(f.relative_to(root) for f in root.glob("a/t*/*/*.png"))
        ]
"""


def test_a_data_set_of_ones_own_class_may_have_no_masks_and_it_is_said(
    invoke: Invoke, toy: Toy
) -> None:
    (toy.folder / "plain.py").write_text(WITHOUT_MASKS)
    outcome = invoke(*RUN, "--dataset", f"{toy.folder / 'plain.py'}:Plain", "--json")
    assert outcome.code == 0
    (warning,) = warnings_of(outcome)
    assert "no masks: none of the 4 defect images has one" in warning
    row = rows_of(outcome)["a"]
    assert row["pixel_auroc"] is None and row["image_auroc"] is not None


def test_damaged_masks_of_a_release_stay_an_error(invoke: Invoke, tmp_path: Path) -> None:
    root = write_toy(tmp_path / "data", ("metal_plate",)).root
    root.rename(root.with_name("MPDD"))
    next((root.parent / "MPDD/metal_plate/ground_truth").rglob("*.png")).unlink()
    message = the_error(invoke(*RUN, "--dataset", "mpdd", "--data-root", str(root.parent)), 4)
    assert "has no mask: looked for" in message


def test_a_mask_of_another_size_fails_its_cell_alone(invoke: Invoke, toy: Toy) -> None:
    Image.new("L", (20, 30), 255).save(mask(toy))
    outcome = invoke(*RUN, *toy.arguments(), "--json")
    assert outcome.code == 4
    table = rows_of(outcome)
    assert (table["a"]["status"], table["b"]["status"]) == ("failed", "done")
    assert "20 x 30" in outcome.err and "40 x 40" in outcome.err


def test_an_empty_mask_is_a_warning_with_count_and_list(invoke: Invoke, toy: Toy) -> None:
    for number in (1, 2):
        Image.new("L", (40, 40)).save(mask(toy, number=number))
    outcome = invoke(*RUN, *toy.arguments("a"))
    assert outcome.code == 0
    (warning,) = warnings_of(outcome)
    first = "a/ground_truth/hole/001_mask.png"
    said = f"2 of 4 masks mark nothing (first: {first}): no value is above 0; their images stay "
    assert said in warning and "a/ground_truth/hole/002_mask.png" in warning
    assert outcome.out.count("mark nothing") == 1 and said in outcome.out
    verify = ["data", "verify", toy.reference, "--data-root", str(toy.folder)]
    assert invoke(*verify).code == 0
    assert f"warning: a: {said}" in invoke(*verify).out
    assert invoke(*verify, "--strict").code == 4


def test_masks_below_the_threshold_are_not_called_all_zero(invoke: Invoke, toy: Toy) -> None:
    for path in (toy.root / "a/ground_truth/hole").iterdir():
        Image.fromarray((np.asarray(Image.open(path)) > 0).astype(np.uint8)).save(path)
    outcome = invoke(*RUN, *toy.arguments("a"), "--mask-threshold", "127")
    (warning,) = warnings_of(outcome)
    assert "no value is above 127" in warning and "no value is above 127" in outcome.out
    assert "zero" not in outcome.out + outcome.err


def test_an_empty_mask_of_what_looks_normal_is_said_once(invoke: Invoke, toy: Toy) -> None:
    shutil.copytree(toy.root / "a/test/hole", toy.root / "a/test/fine")
    (toy.root / "a/ground_truth/fine").mkdir()
    for number in range(4):
        path = toy.root / f"a/ground_truth/fine/{number:03d}_mask.png"
        Image.new("L", (40, 40)).save(path)
    outcome = invoke(*RUN, *toy.arguments("a"))
    (warning,) = warnings_of(outcome)
    assert "masks of a/test/fine are empty" in warning
    assert "mark nothing" not in outcome.out and "a/test/fine are empty" in outcome.out


# ------------------------------------------------------------------------- what else lies there


def test_verify_fails_where_run_would_for_want_of_test_images(invoke: Invoke, toy: Toy) -> None:
    (toy.root / "a/test").rename(toy.root / "a/Test")
    verify = invoke("data", "verify", f"{toy.reference}:a", "--data-root", str(toy.folder))
    assert verify.code == 4 and "error: a: there is no test image" in verify.out
    message = the_error(invoke(*RUN, *toy.arguments("a")), 4)
    assert "has no test image" in message and f"--dataset {toy.reference}:CATEGORY" in message


@pytest.mark.parametrize(
    ("lacking", "said"),
    [("good", "no test image is normal"), ("hole", "no test image is anomalous")],
)
def test_test_images_of_one_label_alone_are_said(
    invoke: Invoke, toy: Toy, lacking: str, said: str
) -> None:
    shutil.rmtree(toy.root / "a/test" / lacking)
    shutil.rmtree(toy.root / "a/ground_truth" / lacking, ignore_errors=True)
    outcome = invoke(*RUN, *toy.arguments("a"))
    (warning,) = warnings_of(outcome)
    assert said in warning and said in outcome.out
    verify = invoke("data", "verify", f"{toy.reference}:a", "--data-root", str(toy.folder))
    assert said in verify.out


def test_masks_that_lie_among_the_images_are_said(invoke: Invoke, toy: Toy) -> None:
    for path in (toy.root / "a/ground_truth/hole").iterdir():
        path.rename(toy.root / "a/test/hole" / path.name)
    outcome = invoke(*RUN, *toy.arguments("a"))
    named, _ = sorted(warnings_of(outcome))
    said = "a/test/hole/000_mask.png is named like the mask of a/test/hole/000.png, but counts as "
    assert said in named and said in outcome.out


def test_masks_beside_the_folders_of_defects_are_told_where_to_lie(
    invoke: Invoke, toy: Toy
) -> None:
    for path in (toy.root / "a/ground_truth/hole").iterdir():
        path.rename(toy.root / "a/ground_truth" / path.name)
    said = "a/ground_truth/000_mask.png is not used: masks lie in folders called as those of a/test"
    assert said in invoke(*RUN, *toy.arguments("a")).out


def test_nothing_is_said_of_the_images_of_an_empty_folder(invoke: Invoke, toy: Toy) -> None:
    (toy.root / "a/train/OK").mkdir()
    outcome = invoke(*RUN, *toy.arguments("a"))
    assert outcome.code == 0 and "a/train/OK" not in outcome.err


def test_reused_numbers_stand_beside_what_is_said_of_the_data_now(invoke: Invoke, toy: Toy) -> None:
    text = toy.root / "a/train/good/notes.txt"
    text.write_text("x")
    assert "notes.txt" in invoke(*RUN, *toy.arguments("a")).out
    text.unlink()
    shutil.copytree(toy.root / "a/test/hole", toy.root / "a/train/bad")
    outcome = invoke(*RUN, *toy.arguments("a"))
    assert "1 there already" in outcome.err
    assert "notes.txt" not in outcome.out + outcome.err
    said = "a/train/bad holds 4 images, not used"
    assert said in outcome.err and said in outcome.out


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
    Image.new("L", (40, 40)).save(mask(toy))
    stray = toy.root / "a" / "ground_truth" / "good" / "000_mask.png"
    stray.parent.mkdir()
    Image.new("L", (40, 40), 255).save(stray)
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


def cmyk(path: Path) -> None:
    Image.new("CMYK", (40, 40)).save(path, format="JPEG")


@pytest.mark.parametrize("split", ["train", "test"])
@pytest.mark.parametrize("damage", [truncate, empty, text, deep, transparent, cmyk])
def test_an_unusable_image_fails_its_cell_and_no_other(
    invoke: Invoke, toy: Toy, damage: Callable[[Path], None], split: str, tmp_path: Path
) -> None:
    bad = toy.root / "a" / split / "good" / "002.png"
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


def test_a_failed_cell_is_run_again_once_its_image_is_mended(invoke: Invoke, toy: Toy) -> None:
    good = (toy.root / "a/train/good/002.png").read_bytes()
    text(toy.root / "a/train/good/002.png")
    assert invoke(*RUN, *toy.arguments()).code == 4
    (toy.root / "a/train/good/002.png").write_bytes(good)
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
    assert "toy:a: undefined and left out of means:" in shown
    assert "–" in shown


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
    for file in sorted((toy.root / "a | b" / "test").rglob("000.png")):
        file.rename(file.with_name("[red] |" + file.name))
    for file in sorted((toy.root / "a | b" / "ground_truth").rglob("000_mask.png")):
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
        "adbench.json", "cells", "plans", "tables",
    }  # fmt: skip
    assert invoke(*RUN, *toy.arguments("-n"), "--json").code == 0


@pytest.mark.parametrize("name", ["line\nbreak", "\x1b[2J", "gr\udcf6sse"])
def test_names_that_no_table_can_hold_are_refused(invoke: Invoke, toy: Toy, name: str) -> None:
    bad = toy.root / "a" / "test" / "good"
    (bad / "000.png").rename(bad / f"{name}.png")
    message = the_error(invoke(*RUN, *toy.arguments()), 4)
    assert ascii(f"a/test/good/{name}.png") in message and "rename it" in message
