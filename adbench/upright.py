"""A copy of a data set in which pixels stand as their orientation tags say, without the tags.

    python -m adbench.upright DIR DIR-upright

`run` and `data verify` name this command where they meet such a tag: adbench applies none, and
where masks were drawn on upright pictures, images have to be turned to fit. The original stays as
it is. JPEG and lossy WebP are encoded anew, at quality 95; what carries no tag is copied as it is.
"""

from __future__ import annotations

import shlex
import shutil
import sys
from pathlib import Path
from typing import Any

from PIL import Image

from adbench.data.decode import image_header
from adbench.data.orientation import APPLIED, load_as_stored
from adbench.errors import DataError, UsageError
from adbench.store.regular_files import open_regular
from adbench.text import counted, say, show


def copy_upright(source: Path, target: Path) -> int:
    """Copy a folder; gives how many files were turned.

    Raises:
        UsageError: `source` is no folder, or `target` exists or lies in it.
    """
    if not source.is_dir():
        raise UsageError(f"{source} is no folder; expected the folder of a data set")
    if target.exists() or target.resolve().is_relative_to(source.resolve()):
        raise UsageError(f"{target} exists or lies in {source}; expected a new folder beside it")
    shutil.copytree(source, target, copy_function=_copy)
    turned = 0
    for file in sorted(path for path in target.rglob("*") if path.is_file()):
        try:
            tag = image_header(file).orientation
        except DataError:  # a split file, or damaged: copied as it is
            continue
        if tag in APPLIED:
            _turn(file, tag)
            turned += 1
    return turned


def _copy(source: str, target: str) -> None:
    """Copy a regular file: a pipe would wait, and a device go on, for ever."""
    with open_regular(Path(source)) as stream, open(target, "wb") as copy:
        shutil.copyfileobj(stream, copy)
    shutil.copystat(source, target)


def _turn(file: Path, tag: int) -> None:
    lossy = image_header(file).lossy
    with Image.open(file) as image:
        options: dict[str, Any] = {"format": image.format}
        if image.format in ("JPEG", "MPO"):
            options = {"format": "JPEG", "quality": 95, "subsampling": 0}
        elif image.format == "WEBP":
            options |= {"quality": 95} if lossy else {"lossless": True}
        elif image.format == "TIFF":
            options["compression"] = image.info.get("compression")
        if "transparency" in image.info:
            options["transparency"] = image.info["transparency"]
        stored = load_as_stored(image)
        upright = stored.transpose(APPLIED[tag])
    # Nothing of the old file's tags comes along: an image made of pixels alone has none.
    plain = Image.frombytes(upright.mode, upright.size, upright.tobytes())
    if upright.mode == "P":
        plain.putpalette(upright.getpalette("RGB") or [])
    plain.save(file, **options)


def main() -> None:
    """`python -m adbench.upright SOURCE TARGET`."""
    if len(sys.argv) != 3:
        say("error: expected two folders: python -m adbench.upright SOURCE TARGET")
        raise SystemExit(UsageError.exit_code)
    try:
        turned = copy_upright(Path(sys.argv[1]), Path(sys.argv[2]))
    except shutil.Error as error:
        (path, _, why), *others = error.args[0]
        more = f" (and {len(others)} more)" * bool(others)
        say(f"error: {path} cannot be copied: {why}{more}; remove it, and {sys.argv[2]}")
        raise SystemExit(DataError.exit_code) from None
    except (UsageError, OSError) as error:
        say(f"error: {error}")
        raise SystemExit(UsageError.exit_code) from None
    files = counted(turned, "file")
    show(f"{files} turned in {sys.argv[2]}; give it with --data-root {shlex.quote(sys.argv[2])}")


if __name__ == "__main__":
    main()
