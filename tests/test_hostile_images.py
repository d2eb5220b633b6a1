"""Image files that mislead: other formats behind a name, animations, bombs, links, no rights."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from outcomes import the_error
from PIL import Image
from pngs import write_png
from toy import PIXEL, Invoke, Toy

from adbench.data.decode import decode_image, decode_mask, plain_image
from adbench.errors import DataError

RGB = np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)


def refused(path: Path) -> str:
    """The one line with which both decoders refuse a file."""
    with pytest.raises(DataError):
        decode_mask(path, 0)
    with pytest.raises(DataError) as caught:
        decode_image(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: ") and "\n" not in message
    return message


@pytest.mark.parametrize("format", ["JPEG", "PNG", "BMP", "WEBP", "TIFF"])
def test_the_content_counts_and_not_the_extension(tmp_path: Path, format: str) -> None:
    path = tmp_path / "x.png"
    lossless = {"lossless": True} if format == "WEBP" else {}
    Image.fromarray(RGB).save(path, format=format, **lossless)
    found = decode_image(path)
    assert found.shape == RGB.shape
    assert format == "JPEG" or (found == RGB).all()


@pytest.mark.parametrize("format", ["EPS", "PCX", "PDF", "ICO", "SGI"])
def test_formats_that_no_data_set_has_are_no_images(tmp_path: Path, format: str) -> None:
    """Reading EPS would start Ghostscript on the file."""
    path = tmp_path / "x.png"
    Image.fromarray(RGB).save(path, format=format)
    assert "the content is not an image" in refused(path)


def test_no_other_program_is_ever_started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "x.png"
    path.write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\nshowpage\n")
    started = []
    monkeypatch.setattr("subprocess.Popen.__init__", lambda *a, **k: started.append(a))
    refused(path)
    assert not started


@pytest.mark.parametrize("format", ["PNG", "WEBP", "GIF", "TIFF"])
def test_an_animation_is_refused_rather_than_its_first_picture_taken(
    tmp_path: Path, format: str
) -> None:
    frames = [Image.fromarray(np.roll(RGB, k, axis=1)) for k in range(3)]
    path = tmp_path / "x.png"
    frames[0].save(path, format=format, save_all=True, append_images=frames[1:])
    assert "found 3 pictures in one file" in refused(path)


def test_the_preview_that_a_camera_adds_to_a_jpeg_is_no_animation(tmp_path: Path) -> None:
    frames = [Image.fromarray(RGB), Image.fromarray(RGB[:5, :5])]
    path = tmp_path / "x.jpg"
    frames[0].save(path, format="MPO", save_all=True, append_images=frames[1:])
    assert decode_image(path).shape == RGB.shape


def test_a_bomb_is_refused_before_it_unfolds(tmp_path: Path) -> None:
    """2.5 gigapixels in 40 bytes; the message says the size, and restoring would not help."""
    path = write_png(tmp_path / "x.png", 50_000, 50_000, bytes(100))
    message = refused(path)
    assert "2,500,000,000 pixels" in message and "at most" in message


@pytest.mark.parametrize("width", [0, 2**31 - 1, 2**32 - 1])
def test_a_header_that_lies_about_the_size(tmp_path: Path, width: int) -> None:
    refused(write_png(tmp_path / "x.png", width, 1, bytes(100)))


def test_data_that_unfold_to_more_than_the_header_says_are_bounded(tmp_path: Path) -> None:
    """100 MB of zeros behind a header of 2 x 2 pixels: the surplus is never unfolded."""
    import tracemalloc

    path = write_png(tmp_path / "x.png", 2, 2, bytes(100_000_000))
    tracemalloc.start()
    try:
        assert decode_image(path).shape == (2, 2, 3)
        assert tracemalloc.get_traced_memory()[1] < 10_000_000
    finally:
        tracemalloc.stop()


def test_verify_goes_on_where_one_image_takes_too_much_memory(
    invoke: Invoke, toy: Toy, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = plain_image

    def decode(path: Path) -> object:
        if path.name == "002.png":
            raise MemoryError
        return original(path)

    monkeypatch.setattr("adbench.data.pixels.plain_image", decode)
    outcome = invoke("data", "verify", toy.reference, "--data-root", str(toy.folder))
    assert outcome.code == 4 and "memory" in outcome.out and "Traceback" not in outcome.err


# ---------------------------------------------------------------------------------- odd entries


def folder(path: Path) -> None:
    path.mkdir()


def pipe(path: Path) -> None:
    os.mkfifo(path)


def loop(path: Path) -> None:
    path.symlink_to(path)


def parent(path: Path) -> None:
    path.symlink_to(path.parent)


@pytest.mark.parametrize(
    ("where", "make"),
    [
        *(("a/test/odd", make) for make in (folder, pipe, parent)),
        ("odd", pipe),
        ("a/odd.png", parent),
        ("a/train/good/odd.png", folder),
    ],  # fmt: skip
)
def test_what_is_no_file_is_no_image_and_hangs_nothing(
    invoke: Invoke, toy: Toy, where: str, make: Callable[[Path], None]
) -> None:
    make(toy.root / where)
    outcome = invoke("run", "--methods", PIXEL, *toy.arguments(), "--preset", "smoke",
                     "--no-timing")  # fmt: skip
    assert outcome.code == 0 and outcome.err.count("FAILED") == 0


def zeros(path: Path) -> None:
    path.symlink_to("/dev/zero")


def to_a_pipe(path: Path) -> None:
    pipe(path.with_name(".pipe"))
    path.symlink_to(".pipe")


@pytest.mark.parametrize(
    ("where", "name", "make"),
    [
        ("a/train/good", "000.png", pipe), ("a/train/good", "odd", zeros),
        ("a/test/good", "odd", to_a_pipe), ("a/test/hole", "000.png", zeros),
        ("a/ground_truth/hole", "000_mask.png", to_a_pipe), ("a/ground_truth/hole", "odd", pipe),
    ],
)  # fmt: skip
def test_a_pipe_or_device_in_a_folder_of_images_is_refused_by_name(
    invoke: Invoke, toy: Toy, where: str, name: str, make: Callable[[Path], None]
) -> None:
    place = toy.root / where / name
    place.unlink(missing_ok=True)
    make(place)
    run = invoke("run", "--methods", PIXEL, *toy.arguments(), "--preset", "smoke")
    message = the_error(run, 4)
    assert f"{where}/{name} is a {'device' if make is zeros else 'named pipe'}" in message
    verify = invoke("data", "verify", toy.reference, "--data-root", str(toy.folder))
    assert verify.code == 4 and f"{where}/{name}" in verify.out


@pytest.mark.parametrize(
    ("make", "folder"),
    [(loop, "train/good"), (lambda path: path.symlink_to("gone.png"), "test/hole")],
)
def test_a_link_that_leads_nowhere_is_a_lost_image(
    invoke: Invoke, toy: Toy, make: Callable[[Path], None], folder: str
) -> None:
    """As in a checkout whose large files were not fetched: never to be passed over in silence."""
    place = toy.root / "a" / folder / "003.png"
    place.unlink()
    make(place)
    outcome = invoke("run", "--methods", PIXEL, *toy.arguments(), "--preset", "smoke")
    assert f"a/{folder}/003.png" in the_error(outcome, 4)
    verify = invoke("data", "verify", toy.reference, "--data-root", str(toy.folder))
    assert verify.code == 4 and f"a/{folder}/003.png" in verify.out


@pytest.mark.parametrize("where", ["loop", "a/test/loop", "a/ground_truth/loop"])
def test_a_folder_that_is_a_link_to_itself_spoils_no_other(
    invoke: Invoke, toy: Toy, where: str
) -> None:
    loop(toy.root / where)
    assert invoke("plan", "--methods", PIXEL, *toy.arguments(), "--preset", "smoke").code == 0


def test_what_the_message_recommends_is_the_command_that_was_typed(
    invoke: Invoke, toy: Toy
) -> None:
    """A data set in a file has no name that `data verify` would know."""
    shutil.copy(*(toy.root / f"a/ground_truth/hole/000{end}.png" for end in ("_mask", "")))
    outcome = invoke("run", "--methods", PIXEL, *toy.arguments(), "--preset", "smoke")
    message = the_error(outcome, 4)
    assert f"adbench data verify {toy.reference} --data-root {toy.root}" in message
    shutil.rmtree(toy.root / "b")
    absent = invoke("run", "--methods", PIXEL, *toy.arguments(), "--data-root", "absent")
    assert f"adbench data verify {toy.reference} --data-root absent" in the_error(absent, 4)
