"""Every way in which a mask may mean something else than "what is not zero is anomalous"."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from outcomes import warnings_of
from PIL import Image
from toy import PIXEL, Invoke, Outcome, Toy

import adbench
from adbench.data.decode import decode_image, decode_mask, image_header
from adbench.data.digests import content_digests
from adbench.data.orientation import APPLIED
from adbench.errors import DataError, StoreError, UsageError
from adbench.upright import copy_upright

RUN = ["run", "--methods", PIXEL, "--preset", "smoke", "--no-timing", "--device", "cpu"]


def verify(invoke: Invoke, toy: Toy, *arguments: str) -> Outcome:
    selected = [f"{toy.reference}:a", "--data-root", str(toy.folder)]
    return invoke("data", "verify", *selected, *arguments)


def masks(toy: Toy) -> list[Path]:
    return sorted((toy.root / "a" / "ground_truth" / "hole").iterdir())


def each_mask(toy: Toy, change: Callable[[NDArray[np.bool_]], Image.Image], **options: Any) -> None:
    for path in masks(toy):
        change(np.asarray(Image.open(path)) > 0).save(path, **options)


def grey(mask: NDArray[np.bool_]) -> Image.Image:
    small = Image.fromarray(mask.astype(np.uint8) * 255).resize((20, 20), Image.Resampling.BICUBIC)
    return small.resize((40, 40), Image.Resampling.BICUBIC)


def two_values(low: int, high: int) -> Callable[[NDArray[np.bool_]], Image.Image]:
    return lambda mask: Image.fromarray(np.where(mask, high, low).astype(np.uint8))


def with_void(mask: NDArray[np.bool_]) -> Image.Image:
    values = mask.astype(np.uint8)
    values[:2, :5] = 255
    return Image.fromarray(values)


def classes(mask: NDArray[np.bool_]) -> Image.Image:
    values = mask.astype(np.uint8)
    values[5, 5] = 3
    return Image.fromarray(values)


def alpha_alone(colour: int) -> Callable[[NDArray[np.bool_]], Image.Image]:
    def paint(mask: NDArray[np.bool_]) -> Image.Image:
        grey = np.full(mask.shape, colour, np.uint8)
        return Image.fromarray(np.dstack([grey, (mask * 255).astype(np.uint8)]), "LA")

    return paint


def same_alpha(mask: NDArray[np.bool_]) -> Image.Image:
    value = (mask * 255).astype(np.uint8)
    return Image.fromarray(np.dstack([value, value, value, value]))


def palette(*colours: int) -> Callable[[NDArray[np.bool_]], Image.Image]:
    def paint(mask: NDArray[np.bool_]) -> Image.Image:
        image = Image.fromarray(mask.astype(np.uint8)).convert("P")
        image.putpalette([*colours] + [9] * (768 - len(colours)))
        return image

    return paint


def overlay(mask: NDArray[np.bool_]) -> Image.Image:
    photo = np.random.default_rng(0).integers(60, 200, (*mask.shape, 3)).astype(np.uint8)
    photo[mask] = (255, 0, 0)
    return Image.fromarray(photo)


def deep(high: int) -> Callable[[NDArray[np.bool_]], Image.Image]:
    return lambda mask: Image.fromarray(np.where(mask, high, 0).astype(np.uint16))


def deep_grey(mask: NDArray[np.bool_]) -> Image.Image:
    return Image.fromarray(np.asarray(grey(mask)).astype(np.uint16) * 257)


SOUND = {
    "0 and 255": two_values(0, 255),
    "0 and 1": two_values(0, 1),
    "one bit": lambda mask: Image.fromarray(mask),
    "16 bits": deep(65535),
    "red on black": lambda mask: Image.fromarray(np.dstack([mask * np.uint8(255)] + [mask * 0] * 2)
                                                 .astype(np.uint8)),
    "palette": palette(0, 0, 0, 128, 0, 0),
    "alpha as the colour": same_alpha,
}  # fmt: skip

DOUBTFUL = {
    "grey": (grey, "grey values", "--mask-threshold 127"),
    "16-bit grey": (deep_grey, "grey values", "two-valued"),
    "void": (with_void, "small numbers and 255", "void"),
    "inverted": (two_values(255, 0), "more than half", "inverted"),
    "inverted bit": (lambda mask: Image.fromarray(~mask), "more than half", "inverted"),
    "no zero": (two_values(85, 255), "more than half", "100.0 %"),
    "alpha on white": (alpha_alone(255), "carry transparency", "colours alone"),
    "alpha on black": (alpha_alone(0), "carry transparency", "colours alone"),
    "coloured ground": (palette(68, 1, 84, 253, 231, 37), "more than half", "100.0 %"),
    "black palette": (palette(0, 0, 0, 0, 0, 0), "one colour to several", "palette"),
    "overlay": (overlay, "several colours", "overlays"),
}


@pytest.mark.parametrize("kind", SOUND)
def test_two_valued_masks_of_all_kinds_are_not_doubted(invoke: Invoke, toy: Toy, kind: str) -> None:
    each_mask(toy, SOUND[kind])
    outcome = verify(invoke, toy, "--strict")
    assert outcome.code == 0 and "a: 4 anomalous regions" in outcome.out.replace("RGB; ", "a: ")
    assert warnings_of(invoke(*RUN, *toy.arguments("a"))) == []


@pytest.mark.parametrize("kind", DOUBTFUL)
def test_doubtful_masks_are_said_with_count_and_first_file(
    invoke: Invoke, toy: Toy, kind: str
) -> None:
    change, what, more = DOUBTFUL[kind]
    each_mask(toy, change)
    checked = verify(invoke, toy, "--strict")
    (said,) = [line for line in checked.out.splitlines() if what in line]
    assert checked.code == 4 and said.startswith("warning: a: 4 of 4 masks "), checked.out
    assert more in said and "a/ground_truth/hole/000_mask.png" in said
    outcome = invoke(*RUN, *toy.arguments("a"))
    assert said.replace("a: ", "toy: a: ", 1) in warnings_of(outcome)
    message = said.removeprefix("warning: a: ").partition(" [")[0]
    assert message in " ".join(outcome.out.split())


def test_masks_in_a_lossy_format(invoke: Invoke, toy: Toy) -> None:
    for path in masks(toy):
        Image.open(path).convert("RGB").save(path.with_suffix(".webp"), quality=60)
        path.unlink()
    outcome = verify(invoke, toy, "--strict")
    assert outcome.code == 4 and "4 of 4 masks" in outcome.out and "--mask-threshold" in outcome.out


def test_class_numbers_are_a_note(invoke: Invoke, toy: Toy) -> None:
    each_mask(toy, classes)
    outcome = verify(invoke, toy, "--strict")
    assert outcome.code == 0 and "note: a: 4 of 4 masks hold several small numbers" in outcome.out


def test_one_large_defect_is_a_note(invoke: Invoke, toy: Toy) -> None:
    two_values(255, 0)(np.asarray(Image.open(masks(toy)[2])) > 0).save(masks(toy)[2])
    outcome = verify(invoke, toy, "--strict")
    assert outcome.code == 0 and "note: a: 1 of 4 masks mark more than half" in outcome.out
    assert "first: a/ground_truth/hole/002_mask.png, 96.0 %" in outcome.out


def test_a_mask_of_a_normal_image_that_leads_nowhere_stops_nothing(
    invoke: Invoke, toy: Toy
) -> None:
    folder = toy.root / "a/ground_truth/good"
    folder.mkdir()
    (folder / "000_mask.png").symlink_to("gone.png")
    (folder / "001_mask.png").write_bytes(b"no image")
    Image.new("L", (40, 40)).save(folder / "002_mask.png")
    outcome = invoke(*RUN, *toy.arguments("a"))
    assert outcome.code == 0 and warnings_of(outcome) == []
    assert verify(invoke, toy, "--strict").code == 0


# --------------------------------------------------------------------------- --mask-threshold


def test_the_threshold_scores_again_and_trains_nothing(invoke: Invoke, toy: Toy) -> None:
    each_mask(toy, grey)
    assert invoke(*RUN, *toy.arguments("a")).code == 0
    given = [*RUN, *toy.arguments("a"), "--mask-threshold", "127"]
    planned = invoke("plan", *given[1:5], *toy.arguments("a"), "--mask-threshold", "127",
                     "--explain-cache")  # fmt: skip
    assert "not trained" in planned.err and "mask_threshold" in planned.err
    outcome = invoke(*given)
    assert outcome.code == 0 and "value > 127" in outcome.out
    assert warnings_of(outcome) == []
    assert "note: toy: a: 4 of 4 masks hold grey values" in outcome.err
    assert "as --mask-threshold 127 says" in outcome.err
    assert "1 there already" in invoke(*given).err


@pytest.mark.parametrize(
    ("command", "value"),
    [("run", "-1"), ("plan", "255"), ("plan", "half"), ("verify", "255"), ("verify", "-1")],
)
def test_an_impossible_threshold(invoke: Invoke, toy: Toy, value: str, command: str) -> None:
    if command == "verify":
        outcome = verify(invoke, toy, "--mask-threshold", value)
    else:
        outcome = invoke(command, *RUN[1:5], *toy.arguments("a"), "--mask-threshold", value)
    assert outcome.code == 2 and "mask-threshold" in outcome.err and outcome.out == ""


def test_the_threshold_in_python(toy: Toy, tmp_path: Path) -> None:
    each_mask(toy, grey)
    arguments: dict[str, Any] = {
        "methods": PIXEL, "dataset": f"{toy.reference}:a", "preset": "smoke", "timing": False,
        "data_root": toy.folder, "results": tmp_path / "results", "device": "cpu",
    }  # fmt: skip
    first = adbench.run(**arguments)
    second = adbench.run(**arguments, mask_threshold=127)
    assert first["pixel_auroc"][0] != second["pixel_auroc"][0]
    with pytest.raises(UsageError, match="--mask-threshold 255: expected 0 to 254"):
        adbench.run(**arguments, mask_threshold=255)


# ------------------------------------------------------------------------ looks are remembered


def test_a_rerun_opens_no_image(invoke: Invoke, toy: Toy, monkeypatch: pytest.MonkeyPatch) -> None:
    each_mask(toy, grey)
    first = invoke(*RUN, *toy.arguments())

    def refuse(*_arguments: object, **_options: object) -> None:
        raise AssertionError("an image was opened")

    monkeypatch.setattr(Image, "open", refuse)
    again = invoke(*RUN, *toy.arguments())
    assert (again.code, warnings_of(again)) == (0, warnings_of(first))
    assert len(warnings_of(again)) == 1
    decided = invoke("plan", *RUN[1:5], *toy.arguments(), "--mask-threshold", "9")
    assert decided.code == 0 and warnings_of(decided) == []


@pytest.mark.parametrize("content", [b"", b"\0\xff"])
def test_damaged_looks_are_taken_again(
    invoke: Invoke, toy: Toy, tmp_path: Path, content: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ADBENCH_CACHE", str(tmp_path / "cache"))
    each_mask(toy, grey)
    first = invoke(*RUN, *toy.arguments())
    (looks,) = (tmp_path / "cache").glob("*.mask-looks")
    looks.write_bytes(content)
    again = invoke(*RUN, *toy.arguments())
    assert again.code == 0
    assert [w for w in warnings_of(again) if "masks" in w] == warnings_of(first)


def test_looks_that_cannot_be_kept_are_taken_each_time(
    invoke: Invoke, toy: Toy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_arguments: object) -> None:
        raise StoreError("the disk is full")

    monkeypatch.setenv("ADBENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("adbench.data.looks.add_rows", full)
    each_mask(toy, grey)
    for _ in range(2):
        outcome = invoke(*RUN, *toy.arguments("a"))
        assert outcome.code == 0 and len(warnings_of(outcome)) == 1
    assert not list((tmp_path / "cache").glob("*.mask-looks"))


# -------------------------------------------------------------------------------- orientation


def tagged(path: Path, tag: int, **options: Any) -> None:
    """The file with its pixels turned, and the tag that says how to turn them back."""
    undo = {6: Image.Transpose.ROTATE_90, 8: Image.Transpose.ROTATE_270}
    with Image.open(path) as image:
        stored = image.transpose(undo.get(tag, APPLIED[tag]))
    exif = stored.getexif()
    exif[0x0112] = tag
    stored.save(path, exif=exif, **options)


def test_the_upright_copy_that_is_recommended(invoke: Invoke, toy: Toy, tmp_path: Path) -> None:
    """The folder's name needs quoting, and the command is pasted in another folder."""
    spaced = toy.root.parent / "my data's" / "toy"
    spaced.parent.mkdir()
    toy.root.rename(spaced)
    images = sorted((spaced / "a").glob("t*/*/*.png"))
    for number, path in enumerate(images):
        if number % 3:
            tagged(path, 6)
    before = {path: path.read_bytes() for path in images}
    selected = [f"{toy.reference}:a", "--data-root", str(spaced.parent)]
    outcome = invoke("data", "verify", *selected)
    (said,) = [line for line in outcome.out.splitlines() if "orientation tag that" in line]
    assert f"warning: a: {sum(n % 3 > 0 for n in range(14))} images carry" in said
    command = said.rpartition("with: ")[2]
    assert shlex.split(command)[3:] == [str(spaced), f"{spaced}-upright"]
    (tmp_path / "elsewhere").mkdir()
    subprocess.run(command, shell=True, check=True, cwd="elsewhere", capture_output=True)
    assert {path: path.read_bytes() for path in images} == before
    again = invoke("data", "verify", selected[0], "--data-root", f"{spaced}-upright", "--strict")
    assert again.code == 0, again.out


@pytest.mark.parametrize("tag", range(2, 9))
@pytest.mark.parametrize(
    ("suffix", "options"),
    [
        ("png", {}),
        ("tif", {"compression": "tiff_lzw"}),
        ("webp", {"lossless": True}),
    ],
)
def test_an_upright_copy_stands_as_viewers_show_it(
    tmp_path: Path, tag: int, suffix: str, options: dict[str, Any]
) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)
    path = tmp_path / "own" / f"x.{suffix}"
    path.parent.mkdir()
    Image.fromarray(pixels).save(path, **options)
    tagged(path, tag, **options)
    assert copy_upright(path.parent, tmp_path / "upright") == 1
    with Image.open(tmp_path / "upright" / path.name) as copied:
        assert (np.asarray(copied) == pixels).all() and 0x0112 not in copied.getexif()


@pytest.mark.parametrize(("suffix", "options"), [("jpg", {}), ("png", {})])  # fmt: skip
def test_a_size_that_a_tag_explains(
    invoke: Invoke, toy: Toy, suffix: str, options: dict[str, Any], tmp_path: Path
) -> None:
    folder = toy.root / "a/test/hole"
    for path in sorted(folder.iterdir()):
        Image.open(path).resize((40, 30)).save(path.with_suffix(f".{suffix}"), **options)
        tagged(path.with_suffix(f".{suffix}"), 6, **options)
        if suffix != "png":
            path.unlink()
    for path in masks(toy):
        Image.open(path).resize((40, 30)).save(path)
    checked = verify(invoke, toy)
    assert checked.code == 4 and "tag 6 of a/test/hole/000" in checked.out
    assert f"{toy.root} {toy.root}-upright" in checked.out
    outcome = invoke(*RUN, *toy.arguments("a"))
    (failed,) = [line for line in outcome.err.splitlines() if "FAILED: a/ground" in line]
    assert "tag 6" in failed and f"{toy.root} {toy.root}-upright" in failed
    assert "4 images carry an orientation tag" in outcome.err
    for record in (tmp_path / "results").rglob("*.json"):
        assert str(tmp_path) not in record.read_text()


def test_tags_of_masks_are_said_too(invoke: Invoke, toy: Toy) -> None:
    tagged(masks(toy)[1], 3)
    outcome = verify(invoke, toy)
    assert "1 masks carry an orientation tag that is not applied" in outcome.out


# ------------------------------------------------------------------------------- transparency


def test_the_command_for_a_transparent_image_can_be_pasted(
    invoke: Invoke, toy: Toy, tmp_path: Path
) -> None:
    spaced = toy.root.parent / "my data" / "toy"
    spaced.parent.mkdir()
    toy.root.rename(spaced)
    for number in range(3):
        Image.new("RGBA", (40, 40), (9, 9, 9, 9)).save(spaced / f"a/train/good/00{number}.png")
    full = shlex.quote(str(spaced / "a/train/good/000.png"))
    selected = [f"{toy.reference}:a", "--data-root", "data/my data"]
    outcome = invoke("data", "verify", *selected)
    (said,) = [line for line in outcome.out.splitlines() if "transparency" in line]
    assert outcome.code == 4 and full in said and "(and 2 more)" in said
    ran = invoke(*RUN, "--dataset", *selected)
    (failed,) = [line for line in ran.err.splitlines() if "FAILED: a/train" in line]
    assert failed.partition(" (")[0].endswith(full)
    for record in (tmp_path / "results").rglob("*.json"):
        assert str(tmp_path) not in record.read_text()


# ------------------------------------------------------------------------- files that are none


def test_a_pipe_or_device_in_place_of_a_file_hangs_nothing(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "x.png")
    (tmp_path / "zero.png").symlink_to("/dev/zero")
    for name, kind in (("x.png", "png: it is a named pipe;"), ("zero.png", "png: it is a device;")):
        for read in (decode_image, image_header, lambda path: decode_mask(path, 0)):
            with pytest.raises(DataError, match=kind):
                read(tmp_path / name)
        with pytest.raises(DataError, match=kind):
            content_digests(tmp_path, [name], tmp_path / "index")
    (tmp_path / "x.png").unlink()
    command = [sys.executable, "-m", "adbench.upright", str(tmp_path), f"{tmp_path}-upright"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 4 and "Traceback" not in done.stderr
    said = f"error: {tmp_path}/zero.png cannot be copied: "
    assert said in done.stderr and "it is a device" in done.stderr
