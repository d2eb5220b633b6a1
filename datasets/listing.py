"""What a category's folders hold, problems included: the one way to read a folder of images.

Nothing here raises for a missing mask or the like: flaws become `Problem`s, so that a run can stop
at the first and `adbench data verify` can show all. Each file is an image, known litter, or named
in a problem, so that none is passed over in silence. Sub-folders are read too. Nothing here decodes
an image, and nothing but a regular file is ever opened: a pipe would wait for ever.
"""

from __future__ import annotations

import errno
import os
import re
import stat
import unicodedata
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Literal

from adbench.contracts import Problem
from adbench.errors import DataError


def stem(path: str) -> str:
    """The file name without its extension."""
    return PurePosixPath(path).stem


def below(*parts: str) -> str:
    """The parts as one path; "" is the root, and stands for no part."""
    return "/".join(filter(None, parts))


def without_suffix(path: str) -> str:
    """The path without the file's extension."""
    return PurePosixPath(path).with_suffix("").as_posix()


def list_folders(folder: Path) -> list[str]:
    """Names of the visible folders in `folder`, sorted; none where it is absent."""
    return [e.name for e in entries(folder) if _is_folder(e)]


def entries(folder: Path, *, hidden: bool = False) -> list[os.DirEntry[str]]:
    """What is in a folder, sorted by name; nothing where it is absent or no folder.

    Raises `DataError` for one that cannot be read.
    """
    try:
        with os.scandir(folder) as found:
            shown = [e for e in found if hidden or not is_hidden(e.name)]
            return sorted(shown, key=lambda e: e.name)
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise DataError(
            f"{folder} cannot be read ({error.strerror}); expected a folder of images: "
            "check its permissions"
        ) from None


def is_folder(path: Path) -> bool:
    """Whether `path` is a folder; False, not an error, where it may not be looked at."""
    return os.path.isdir(path)


def is_hidden(name: str) -> bool:
    """Whether a name is left out: macOS archives carry a `._NAME.png` beside each image."""
    return name.startswith((".", "__MACOSX"))


def composed(name: str) -> str:
    """The name in the Unicode form in which names are compared: macOS decomposes accents."""
    return unicodedata.normalize("NFC", name)


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError as error:
        if error.errno != errno.ELOOP:
            raise
        return False


def numbered(folder: str, count: int, digits: int, skip: Iterable[int] = ()) -> set[str]:
    """The first `count` numbers that are not in `skip`, as paths in `folder` without extension."""
    left_out = set(skip)
    numbers = [n for n in range(count + len(left_out)) if n not in left_out]
    return {f"{folder}/{n:0{digits}d}" for n in numbers[:count]}


IMAGE_SUFFIXES = frozenset(
    {
        ".png", ".apng", ".jpg", ".jpeg", ".jpe", ".jfif", ".bmp", ".dib", ".tif", ".tiff",
        ".webp", ".gif", ".jp2", ".j2k", ".j2c", ".jpc", ".jpf", ".jpx", ".ppm", ".pgm", ".pbm",
        ".pnm",
    }
)  # fmt: skip
"""Of the formats that `adbench.data.decode` reads."""

_UNREAD = frozenset(
    {
        ".avif", ".heic", ".heif", ".jxl", ".tga", ".pcx", ".psd", ".svg", ".ico", ".exr", ".hdr",
        ".pfm", ".dng", ".cr2", ".nef", ".arw", ".raw", ".dcm", ".npy",
    }
)  # fmt: skip
"""Of images in formats that it does not read."""

_LITTER = frozenset({"thumbs.db", "ehthumbs.db", "desktop.ini"})
_FIRST_BYTES = re.compile(
    rb"\x89PNG\r\n\x1a\n|\xff\xd8\xff|GIF8[79]a|II\*\0|MM\0\*|RIFF....WEBP|P[1-6]\s"
    rb"|\0\0\0\x0cjP  |\xff\x4f\xff\x51|BM.{12}[\x0c\x28\x34\x38\x40\x6c\x7c]\0\0\0",
    re.DOTALL,
)
_KINDS = (
    (stat.S_ISFIFO, "a named pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


@dataclass(frozen=True, slots=True)
class ImageFolder:
    """One folder with its sub-folders: the images' paths, sorted, and what is wrong there."""

    images: tuple[str, ...] = ()
    problems: tuple[Problem, ...] = ()


def read_image_folder(root: Path, folder: str) -> ImageFolder:
    """All images in `folder`, relative to `root`; none where the folder is absent. "" is the root.

    Extensions match in any case; a file without one is an image if it begins like one. A link to
    a folder inside is not followed, since it may lead back or to a whole disk, but named.

    Raises:
        DataError: a folder cannot be read.
    """
    if _leads_back(root / folder):
        message = f"{folder} is a link to a folder that it lies in: not read"
        return ImageFolder((), (Problem("warning", "link", message, folder),))
    images: list[str] = []
    problems: list[Problem] = []
    pending = [folder]
    while pending:
        here = pending.pop()
        own = 0
        for entry in entries(root / here, hidden=True):
            path = below(here, entry.name)
            found = _hidden(entry, path) if is_hidden(entry.name) else _look_at(entry, path)
            if found == "folder":
                pending.append(path)
            elif found == "image":
                images.append(path)
                own += 1
            elif found is not None:
                problems.append(found)
        if here != folder and own:
            message = f"the sub-folder {here} is read too ({_counted(own)})"
            problems.append(Problem("note", "sub-folder", message, here))
    problems.sort(key=lambda problem: problem.path)
    return ImageFolder(tuple(sorted(images)), tuple(problems))


def unused_images(root: Path, folder: str, used: Collection[str], expected: str) -> list[Problem]:
    """A warning for each image in `folder` itself, and each folder with images, not `used`."""
    problems = []
    for entry in entries(root / folder):
        if entry.name in used:
            continue
        path = below(folder, entry.name)
        found = _look_at(entry, path)
        if found == "image":
            what = f"{path} is not used: {expected}"
        elif is_folder(root / path) and (images := read_image_folder(root, path).images):
            what = f"{path} holds {_counted(len(images))}, not used: {expected}"
        else:
            continue
        problems.append(Problem("warning", "unused", what, path))
    return problems


def _counted(count: int) -> str:
    return f"{count} image{'s' * (count != 1)}"


def _leads_back(folder: Path) -> bool:
    """Whether it is a link to a folder that it lies in itself."""
    if not os.path.islink(folder):
        return False
    target, home = os.path.realpath(folder), os.path.realpath(folder.parent)
    return os.path.commonpath([target, home]) == target


def _look_at(entry: os.DirEntry[str], path: str) -> Problem | Literal["folder", "image"] | None:
    """ "folder", "image", None for litter, or what is wrong."""
    if entry.is_dir(follow_symlinks=False):
        return "folder"
    suffix = os.path.splitext(entry.name)[1].lower()
    try:
        mode = stat.S_IFREG if entry.is_file() else os.stat(entry.path).st_mode
    except OSError:
        # A link that leads nowhere: an image that was lost, say, or not fetched with the others,
        # must fail by its name and never be passed over.
        if suffix in IMAGE_SUFFIXES:
            return "image"
        return Problem("warning", "other file", f"{path} is a link that leads nowhere", path)
    if stat.S_ISDIR(mode):
        message = f"{path} is a link to a folder: not read; put the folder itself there"
        return Problem("warning", "link", message, path)
    for is_kind, kind in _KINDS:
        if is_kind(mode):
            message = f"{path} is {kind}, expected images only: remove it"
            return Problem("error", "no file", message, path)
    if suffix in IMAGE_SUFFIXES:
        return "image"
    return None if entry.name.lower() in _LITTER else _by_content(entry, path, suffix)


def _hidden(entry: os.DirEntry[str], path: str) -> Problem | None:
    """A warning where it is an image by its content, which macOS's `._NAME.png` is not."""
    if entry.is_dir(follow_symlinks=False) or not _begins_like_an_image(entry.path):
        return None
    message = f"{path} is a hidden image: not used; rename it if it is meant"
    return Problem("warning", "hidden", message, path)


def _by_content(entry: os.DirEntry[str], path: str, suffix: str) -> Problem | Literal["image"]:
    if suffix in _UNREAD:
        message = f"{path} is in a format that is not read: convert it, to PNG for instance"
        return Problem("warning", "format", message, path)
    if not _begins_like_an_image(entry.path):
        return Problem("warning", "other file", f"{path} is no image that is read: not used", path)
    if not suffix:
        return "image"
    message = f"{path} is an image by its content but not by its extension {suffix}: not used; "
    message += "rename it if it is meant"
    return Problem("warning", "extension", message, path)


def _begins_like_an_image(path: str) -> bool:
    try:
        # Not to wait where it has become a pipe since it was looked at.
        handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
    except OSError:
        return False
    try:
        regular = stat.S_ISREG(os.fstat(handle).st_mode)
        return regular and _FIRST_BYTES.match(os.read(handle, 32)) is not None
    except OSError:
        return False
    finally:
        os.close(handle)
