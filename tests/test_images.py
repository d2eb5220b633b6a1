import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pngs import COLOUR, COLOUR_ALPHA, write_png

from adbench.contracts import Geometry, Sample
from adbench.data.cache import DiskCache
from adbench.data.decode import image_header, image_size
from adbench.data.images import (
    decode_image,
    decode_mask,
    load_images,
    load_masks,
    prepare_image,
    resize_mask,
)
from adbench.errors import DataError, UsageError
from adbench.metrics.exact import count_regions

RNG = np.random.default_rng(0)
RGB = RNG.integers(0, 256, (30, 40, 3), dtype=np.uint8)


def saved(path, image, **options):
    image.save(path, **options)
    return path


# ------------------------------------------------------------------------------- decode


def test_plain_kinds_become_rgb(tmp_path):
    rgb = Image.fromarray(RGB)
    assert (decode_image(saved(tmp_path / "rgb.png", rgb)) == RGB).all()
    assert (decode_image(saved(tmp_path / "rgb.bmp", rgb)) == RGB).all()
    grey = decode_image(saved(tmp_path / "grey.png", rgb.convert("L")))
    assert grey.shape == (30, 40, 3) and (grey == grey[:, :, :1]).all()
    palette = rgb.quantize(16)
    found = decode_image(saved(tmp_path / "palette.png", palette))
    assert (found == np.asarray(palette.convert("RGB"))).all()
    bilevel = Image.fromarray(RGB[:, :, 0] > 99)
    assert set(np.unique(decode_image(saved(tmp_path / "bit.png", bilevel)))) == {0, 255}


REFUSED: list[tuple[str, Callable[[], Image.Image], str]] = [
    ("a.png", lambda: Image.fromarray(np.ones((8, 9), np.uint16)), "16-bit grey"),
    ("a.tif", lambda: Image.fromarray(np.ones((4, 4), np.float32)), "floating-point grey"),
    ("b.tif", lambda: Image.fromarray(np.ones((4, 4), np.int32)), "integer grey of more than 8 bi"),
    ("b.png", lambda: Image.new("RGBA", (4, 4)), "RGB with transparency"),
    ("c.png", lambda: Image.new("LA", (4, 4)), "grey with transparency"),
    ("a.jpg", lambda: Image.new("CMYK", (4, 4)), "CMYK"),
]


@pytest.mark.parametrize(("name", "image", "found"), REFUSED)
def test_other_kinds_are_refused_with_a_command(tmp_path, name, image, found):
    path = saved(tmp_path / name, image())
    message = one_line(path, decode_image)
    assert f"found {found}" in message and "expected 8-bit grey, palette or RGB: copy" in message
    assert f"mogrify -alpha off -colorspace sRGB -depth 8 {path}" in message


@pytest.mark.parametrize(("colour", "mode"), [(COLOUR, "RGB"), (COLOUR_ALPHA, "RGBA")])
def test_16_bit_colour_is_refused(tmp_path, colour, mode):
    """Pillow reads it, and cannot write it."""
    rows = bytes(2 * (1 + 2 * 2 * len(mode)))
    path = write_png(tmp_path / "deep.png", 2, 2, rows, bits=16, colour=colour)
    assert f"found 16-bit {mode}" in one_line(path, decode_image)
    assert f"found a mask of mode 16-bit {mode}" in one_line(path, decode_mask, 0)


def one_line(path, decode, *arguments):
    with pytest.raises(DataError) as caught:
        decode(path, *arguments)
    message = str(caught.value)
    assert message.startswith(f"{path}: ") and "\n" not in message
    return message


@pytest.mark.parametrize("suffix", ["png", "jpg", "bmp"])
@pytest.mark.parametrize("part", [0.5, 0.97])
def test_truncated_files(tmp_path, suffix, part):
    path = saved(tmp_path / f"cut.{suffix}", Image.fromarray(RGB))
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * part) - 20])
    assert "damaged or cannot be decoded" in one_line(path, decode_image)


def test_files_that_are_no_images(tmp_path):
    (tmp_path / "empty.png").touch()
    assert "the file is empty (0 bytes)" in one_line(tmp_path / "empty.png", decode_image)
    (tmp_path / "text.png").write_text("version https://git-lfs.github.com/spec/v1\n")
    assert "the content is not an image" in one_line(tmp_path / "text.png", decode_image)
    message = one_line(tmp_path / "gone.png", decode_image)
    assert "no such file" in message and "restore it" in message
    (tmp_path / "folder.png").mkdir()
    one_line(tmp_path / "folder.png", decode_image)


def test_warnings_of_pillow_do_not_leak(tmp_path, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 700)  # 1200 pixels: a warning
    path = saved(tmp_path / "big.png", Image.fromarray(RGB))
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        decode_image(path)
    assert not seen
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)  # more than twice: an error
    assert "decompression bomb" in one_line(path, decode_image)


TAGGED = [("jpg", {}), ("png", {}), ("tif", {}), ("tif", {"compression": "tiff_lzw"}),
          ("webp", {"lossless": True})]  # fmt: skip


@pytest.mark.parametrize("tag", range(1, 9))
@pytest.mark.parametrize(("suffix", "options"), TAGGED)
def test_orientation_tags_are_seen_and_not_applied(tmp_path, suffix, options, tag):
    """One rule for all formats: Pillow would turn TIFF files, and only these."""
    image = Image.fromarray(RGB)
    plain = decode_image(saved(tmp_path / f"plain.{suffix}", image, **options))
    exif = image.getexif()
    exif[0x0112] = tag
    path = saved(tmp_path / f"turned.{suffix}", image, exif=exif, **options)
    assert (decode_image(path) == plain).all()
    header = image_header(path)
    assert (header.width, header.height, header.orientation) == (40, 30, tag)
    assert image_size(path) == (40, 30)
    mask = Image.fromarray(RGB[:, :, 0] > 99).convert("L")
    path = saved(tmp_path / f"mask.{suffix}", mask, exif=exif, **options)
    assert suffix == "jpg" or (decode_mask(path, 0) == (RGB[:, :, 0] > 99)).all()


def test_a_tag_behind_the_pixels_of_a_png_is_seen(tmp_path):
    image = Image.fromarray(RGB)
    exif = image.getexif()
    exif[0x0112] = 6
    path = saved(tmp_path / "x.png", image, exif=exif)
    content = path.read_bytes()
    start = content.index(b"eXIf") - 4
    length = int.from_bytes(content[start : start + 4], "big") + 12
    chunk = content[start : start + length]
    path.write_bytes(content[:start] + content[start + length : -12] + chunk + content[-12:])
    assert image_header(path).orientation == 6
    assert (decode_image(path) == RGB).all()


@pytest.mark.parametrize("tag", [0, 9, 255, 65535])
def test_a_tag_that_means_nothing_turns_nothing(tmp_path, tag):
    image = Image.fromarray(RGB)
    exif = image.getexif()
    exif[0x0112] = tag
    path = saved(tmp_path / "x.tif", image, exif=exif)
    assert image_header(path).orientation == 1 and (decode_image(path) == RGB).all()


def test_an_opaque_alpha_channel_is_dropped_and_no_other(tmp_path):
    rgb = Image.fromarray(RGB)
    grey, palette = rgb.convert("L"), rgb.quantize(16)
    opaque: list[tuple[Image.Image, Image.Image, dict[str, Any]]] = [
        (rgb.convert("RGBA"), rgb, {}),
        (grey.convert("LA"), grey, {}),
        (palette, palette, {"transparency": bytes([255] * 16)}),
        (Image.fromarray(RGB | 1), Image.fromarray(RGB | 1), {"transparency": (0, 0, 0)}),
    ]
    for number, (image, plain, options) in enumerate(opaque):
        path = saved(tmp_path / f"{number}.png", image, **options)
        assert (decode_image(path) == np.asarray(plain.convert("RGB"))).all()
    keyed = saved(tmp_path / "key.png", rgb, transparency=tuple(RGB[3, 4].tolist()))
    assert "found RGB with transparency" in one_line(keyed, decode_image)
    some = saved(tmp_path / "p.png", rgb.quantize(4), transparency=bytes([0, 128, 255, 255]))
    assert "found P with transparency" in one_line(some, decode_image)
    almost = np.dstack([RGB, np.full((30, 40), 255, np.uint8)])
    almost[3, 4, 3] = 254
    path = saved(tmp_path / "almost.png", Image.fromarray(almost))
    assert "found RGB with transparency" in one_line(path, decode_image)


# -------------------------------------------------------------------------------- masks


def test_masks_of_all_kinds(tmp_path):
    values = np.zeros((6, 8), np.uint8)
    values[1, 2], values[3, 4] = 1, 200
    low, high = values > 0, values > 127
    grey = saved(tmp_path / "grey.png", Image.fromarray(values))
    assert (decode_mask(grey, 0) == low).all() and (decode_mask(grey, 127) == high).all()
    deep = saved(tmp_path / "deep.png", Image.fromarray(values.astype(np.uint16) * 256))
    assert (decode_mask(deep, 0) == low).all()
    bit = saved(tmp_path / "bit.png", Image.fromarray(low))
    assert (decode_mask(bit, 127) == low).all()
    palette = Image.fromarray(low.astype(np.uint8)).convert("P")
    palette.putpalette([0, 0, 0, 0, 0, 9] + [0] * 762)
    assert (decode_mask(saved(tmp_path / "palette.png", palette), 0) == low).all()
    rgba = np.zeros((6, 8, 4), np.uint8)
    rgba[..., 3] = 255  # opaque is not anomalous
    rgba[..., 1] = values
    assert (decode_mask(saved(tmp_path / "rgba.png", Image.fromarray(rgba)), 0) == low).all()


def random_mask(height, width, count=12):
    mask = np.zeros((height, width), bool)
    for _ in range(count):
        y, x = RNG.integers(0, height - 4), RNG.integers(0, width - 4)
        size = RNG.integers(1, 5, 2)
        mask[y : y + size[0], x : x + size[1]] = True
    return mask


SIZES = [(256, 256), (1024, 900), (333, 517), (64, 100), (300, 1000)]


@pytest.mark.parametrize("size", SIZES)
def test_nearest_is_pillows(size):
    mask = random_mask(*size)
    image = Image.fromarray(mask.astype(np.uint8) * 255)
    expected = np.asarray(image.resize((128, 128), Image.Resampling.NEAREST)) > 0
    assert (resize_mask(mask, Geometry(128), "nearest") == expected).all()


@pytest.mark.parametrize("size", SIZES)
def test_area_max_touches_what_its_definition_says(size):
    mask, side = random_mask(*size), 100
    found = resize_mask(mask, Geometry(side), "area_max")
    height, width = size
    expected = np.zeros((side, side), bool)
    for y, x in np.argwhere(mask):  # pixel y covers [y, y + 1) * side / height of the result
        rows = slice(y * side // height, -(-(y + 1) * side // height))
        columns = slice(x * side // width, -(-(x + 1) * side // width))
        expected[rows, columns] = True
    assert (found == expected).all()


def test_area_max_keeps_what_nearest_loses():
    lost = 0
    for _ in range(50):
        mask = np.zeros((1024, 1024), bool)
        y, x = RNG.integers(0, 1020, 2)
        mask[y : y + 2, x : x + 2] = True
        lost += not resize_mask(mask, Geometry(256), "nearest").any()
        assert count_regions(resize_mask(mask, Geometry(256), "area_max")) == 1
    assert lost > 10


def test_prepare_is_pillows_bilinear_then_the_centre():
    pixels = RNG.integers(0, 256, (333, 517, 3), dtype=np.uint8)
    whole = np.asarray(Image.fromarray(pixels).resize((64, 64), Image.Resampling.BILINEAR))
    assert (prepare_image(pixels, Geometry(64)) == whole).all()
    assert (prepare_image(pixels, Geometry(64, 48)) == whole[8:56, 8:56]).all()
    mask = random_mask(333, 517)
    for rule in ("nearest", "area_max"):
        uncropped = resize_mask(mask, Geometry(64), rule)
        assert (resize_mask(mask, Geometry(64, 48), rule) == uncropped[8:56, 8:56]).all()


def test_a_crop_larger_than_the_image_is_a_usage_error():
    with pytest.raises(UsageError, match="at most 64"):
        prepare_image(RGB, Geometry(64, 65))


# --------------------------------------------------------------------------- whole sets


@pytest.fixture
def data(tmp_path):
    """A root and six samples: two normal, four anomalous, of which the last mask is empty."""
    root, samples = tmp_path / "data", []
    root.mkdir()
    for i in range(6):
        pixels = RNG.integers(0, 256, (50, 70, 3), dtype=np.uint8)
        saved(root / f"{i}.png", Image.fromarray(pixels))
        mask_path = None
        if i >= 2:
            mask = np.zeros((50, 70), np.uint8)
            mask[10:20, 10:20] = mask[30:31, 40:41] = 255 * (i != 5)
            mask_path = f"{i}_mask.png"
            saved(root / mask_path, Image.fromarray(mask))
        samples.append(Sample("cat", "test", "d", f"{i}.png", mask_path, int(i >= 2)))
    return root, samples


def test_images_in_order_and_from_the_cache_the_second_time(data, tmp_path):
    root, samples = data
    cache, geometry = DiskCache(tmp_path / "cache", None), Geometry(32, 24)
    images = load_images(root, samples, geometry, cache, workers=3)
    assert images.ids == tuple(s.path for s in samples) and images.categories == ("cat",) * 6
    for sample, pixels in zip(samples, images.pixels, strict=True):
        assert (pixels == prepare_image(decode_image(root / sample.path), geometry)).all()
    again = load_images(root, samples, geometry, cache)
    assert (again.pixels == images.pixels).all() and again.key == images.key
    assert (cache.hits, cache.misses) == (1, 1)
    load_images(root, samples, Geometry(32), cache)
    load_images(root, samples[::-1], geometry, cache)
    assert cache.misses == 3
    root.rename(tmp_path / "moved")
    load_images(tmp_path / "moved", samples, geometry, cache)
    assert (cache.hits, cache.misses) == (2, 3)
    saved(tmp_path / "moved" / samples[3].path, Image.new("RGB", (50, 50), "red"))
    changed = load_images(tmp_path / "moved", samples, geometry, cache)
    assert (changed.pixels[3] == (255, 0, 0)).all() and cache.misses == 4


def test_masks(data, tmp_path):
    root, samples = data
    cache, geometry = DiskCache(tmp_path / "cache", None), Geometry(25)
    for _ in range(2):
        masks = load_masks(root, samples, geometry, rule="area_max", threshold=0, cache=cache)
        assert masks.pixels.shape == (6, 25, 25) and masks.pixels.dtype == bool
        assert not masks.pixels[:2].any() and not masks.pixels.flags.writeable
        assert masks.regions_before.tolist() == [0, 0, 2, 2, 2, 0]
        assert masks.regions_after.tolist() == [0, 0, 2, 2, 2, 0]
        assert masks.empty == (5,)
    assert (cache.hits, cache.misses) == (1, 1)
    other = load_masks(root, samples, Geometry(16), rule="nearest", threshold=0, cache=cache)
    assert other.regions_after[2] == 1  # the one-pixel region is gone, and that is known


def test_what_is_wrong_with_one_file_stops_with_its_name(data, tmp_path):
    root, samples = data
    cache = DiskCache(tmp_path / "cache", None)
    saved(root / "3_mask.png", Image.new("L", (70, 51), 255))
    with pytest.raises(DataError, match="the mask is 70 x 51 pixels and its image .* is 70 x 50"):
        load_masks(root, samples, Geometry(32), rule="nearest", threshold=0, cache=cache)
    (root / "4.png").write_bytes((root / "4.png").read_bytes()[:200])
    with pytest.raises(DataError, match=r"4\.png: the image is damaged"):
        load_images(root, samples, Geometry(32), cache)
    assert not list((tmp_path / "cache").glob("*.array*"))
