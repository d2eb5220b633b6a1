"""Image and mask files of any content: decoded as documented, or refused by name."""

from __future__ import annotations

import io
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import strategies as st
from mutations import damaged_bytes
from PIL import Image
from sandbox import guarded, usable

from adbench.contracts import Geometry, Sample
from adbench.data.decode import decode_image, decode_mask, image_header, image_size
from adbench.data.doubts import CategoryFiles, file_findings
from adbench.data.images import resize_mask
from adbench.data.looks import look_at_image, look_at_mask
from adbench.data.pixels import look_at
from adbench.metrics.exact import count_regions

SUFFIXES = (".png", ".jpg", ".bmp", ".tif", ".webp", ".JPG", "")


def _encoded(image: Image.Image, format: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    if "append_images" in options:
        options["append_images"] = [other.copy() for other in options["append_images"]]
    # A copy: an image keeps what one encoder was told, and the next one stumbles over it.
    image.copy().save(buffer, format=format, **options)
    return buffer.getvalue()


@cache
def sound_images() -> list[bytes]:
    """A small file of each kind that data sets hold, and of kinds that they should not."""
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (9, 13, 3), dtype=np.uint8)
    rgb, grey = Image.fromarray(pixels), Image.fromarray(pixels[:, :, 0])
    deep = Image.fromarray(pixels[:, :, 0].astype(np.uint16) * 200)
    frames = [rgb, Image.fromarray(pixels[::-1].copy())]
    exif = rgb.getexif()
    exif[0x0112] = 6
    bilevel, alpha = grey.point(lambda v: 255 * (v > 99)), rgb.convert("RGBA")
    alpha.putalpha(bilevel)
    deep_ids = Image.fromarray((pixels[:, :, 0] // 100).astype(np.int32))
    several = {"save_all": True, "append_images": frames[1:]}
    return [
        _encoded(rgb, "PNG"), _encoded(grey, "PNG"), _encoded(deep, "PNG"),
        _encoded(rgb.quantize(8), "PNG"), _encoded(rgb.convert("RGBA"), "PNG"),
        _encoded(grey.convert("LA"), "PNG"), _encoded(grey.convert("1"), "PNG"),
        _encoded(rgb.quantize(4), "PNG", transparency=b"\0\x80"), _encoded(rgb, "PNG", **several),
        _encoded(rgb, "JPEG"), _encoded(rgb, "JPEG", progressive=True), _encoded(grey, "JPEG"),
        _encoded(rgb.convert("CMYK"), "JPEG"), _encoded(rgb, "JPEG", exif=exif),
        _encoded(rgb, "MPO", **several), _encoded(rgb, "BMP"), _encoded(grey, "BMP"),
        _encoded(rgb.quantize(8), "BMP"), _encoded(rgb, "GIF"), _encoded(rgb, "GIF", **several),
        _encoded(rgb, "TIFF"), _encoded(rgb, "TIFF", compression="tiff_lzw"),
        _encoded(rgb, "TIFF", compression="jpeg"), _encoded(deep, "TIFF"),
        _encoded(grey, "TIFF", compression="tiff_adobe_deflate"), _encoded(rgb, "TIFF", **several),
        _encoded(Image.fromarray(pixels[:, :, 0].astype(np.float32)), "TIFF"),
        _encoded(rgb, "TIFF", exif=exif), _encoded(grey, "PNG", exif=exif),
        _encoded(rgb, "WEBP", exif=exif), _encoded(grey, "WEBP", lossless=True, exif=exif),
        _encoded(rgb, "TIFF", exif=exif, compression="tiff_lzw"), _encoded(bilevel, "PNG"),
        _encoded(alpha, "PNG"), _encoded(alpha, "WEBP"), _encoded(alpha, "TIFF"),
        _encoded(rgb, "PNG", transparency=(0, 0, 0)), _encoded(grey, "PNG", transparency=7),
        _encoded(deep_ids, "TIFF"), _encoded(bilevel.convert("1"), "TIFF", compression="group4"),
        _encoded(rgb, "WEBP"), _encoded(rgb, "WEBP", **several),
        _encoded(rgb, "PPM"), _encoded(grey, "PPM"), _encoded(rgb, "JPEG2000"),
        _encoded(rgb, "EPS"), _encoded(rgb, "ICO"), _encoded(rgb, "PCX"), _encoded(rgb, "TGA"),
        _encoded(rgb, "PDF"), b"", b"\x89PNG\r\n\x1a\n", b"GIF89a", b"\xff\xd8\xff",
        b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n",
    ]  # fmt: skip


image_files = st.tuples(st.deferred(lambda: damaged_bytes(sound_images())),
                        st.sampled_from(SUFFIXES))  # fmt: skip


def check_image(given: tuple[bytes, str], folder: Path) -> None:
    """Every reader of an image agrees with its docstring, and `data verify` goes on."""
    content, suffix = given
    path = folder / f"image{suffix}"
    path.write_bytes(content)
    try:
        with guarded():
            with usable():
                pixels = decode_image(path)
                assert pixels.dtype == np.uint8 and pixels.ndim == 3 and pixels.shape[2] == 3
                assert pixels.shape[:2] == image_size(path)[::-1]
            with usable():
                header = image_header(path)
                assert header.mode and 1 <= header.orientation <= 8
                assert look_at_image(path) == header.orientation
                assert image_size(path) == (header.width, header.height)
            sample = Sample("a", "test", "good", path.name, None, 0)
            seen = look_at(folder, 0, Geometry(8), "nearest", sample)
            assert bool(seen.content) != bool(seen.flaws)
        assert path.read_bytes() == content
    finally:
        path.unlink()


mask_files = st.tuples(
    st.deferred(lambda: damaged_bytes(sound_images())),
    st.sampled_from([0, 1, 127, 254]),
    st.sampled_from(["nearest", "area_max"]),
    st.sampled_from([1, 2, 8, 9, 64]),
)


def check_mask(given: tuple[bytes, int, str, int], folder: Path) -> None:
    """A mask is binary at its own size and at any other, and a defect never grows from nothing."""
    content, threshold, rule, side = given
    image, path = folder / "image.png", folder / "mask.png"
    path.write_bytes(content)
    if not image.exists():
        image.write_bytes(sound_images()[0])
    with guarded():
        with usable():
            mask = decode_mask(path, threshold)
            assert mask.dtype == np.bool_ and mask.ndim == 2
            small = resize_mask(mask, Geometry(side), rule)  # type: ignore[arg-type]
            assert small.shape == (side, side) and small.dtype == np.bool_
            assert mask.any() or not small.any()
            assert rule == "nearest" or small.any() == mask.any()
            assert count_regions(mask) >= int(mask.any())
            _check_look(path, mask, threshold)
        sample = Sample("a", "test", "d", image.name, path.name, 1)
        look_at(folder, threshold, Geometry(side), rule, sample)  # type: ignore[arg-type]
    assert path.read_bytes() == content


def _check_look(path: Path, mask: Any, threshold: int) -> None:
    """A look at a mask says what its pixels are, and what it says becomes sound findings."""
    look = look_at_mask(path)
    assert (look.height, look.width) == mask.shape
    assert abs(look.share_above(threshold) - mask.mean()) < 1e-9
    sides = [mask[0], mask[-1], mask[:, 0], mask[:, -1]]
    assert (look.border > threshold) == all(side.any() for side in sides)
    assert sum(count for _, count in look.levels) == mask.size
    sample = Sample("a", "test", "d", "image.png", path.name, 1)
    masks, of_normals = {path.name: look}, {"good.png": path.name}
    samples = [sample, Sample("a", "test", "good", "good.png", None, 0)]
    for given in (None, threshold):
        files = CategoryFiles("a", samples, {}, {}, masks, of_normals, threshold, given)
        for finding in file_findings(files):
            assert finding.message and "\n" not in finding.message and finding.count == 1
