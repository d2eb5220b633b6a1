"""Files that lie where the mask of a normal image would: there should be none, or empty ones."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path, PurePosixPath

from adbench.datasets.image_folder import read_image_folder
from adbench.datasets.listing import MASK_SUFFIX, stem


def masks_of_normals(
    root: Path, images: Iterable[str], folder_of: Callable[[str], str]
) -> dict[str, str]:
    """Normal images to such files, by stem; images without one are left out.

    Args:
        root: the folder that paths are relative to.
        images: paths of normal images.
        folder_of: the folder of an image to the one where its masks would be.
    """
    listed: dict[str, dict[str, str]] = {}
    found = {}
    for image in images:
        folder = folder_of(PurePosixPath(image).parent.as_posix())
        if folder not in listed:
            listed[folder] = {stem(path): path for path in read_image_folder(root, folder).images}
        for name in (stem(image) + MASK_SUFFIX, stem(image)):
            mask = listed[folder].get(name)
            if mask is not None and mask != image:
                found[image] = mask
                break
    return found
