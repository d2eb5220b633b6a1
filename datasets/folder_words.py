"""What people call their folders, and the values of their labels, in any case."""

from __future__ import annotations

_NORMAL = frozenset(
    {"good", "ok", "normal", "nominal", "defectfree", "nodefect", "nodefects", "nondefective",
     "pass", "passed", "gut", "io"}
)  # fmt: skip
"""Folders of normal images, without - _ . and blanks; `i.O.` is German for "in order"."""
_ANOMALOUS = frozenset(
    {"bad", "ko", "ng", "nok", "notok", "notgood", "nogood", "anomaly", "anomalies", "anomalous",
     "abnormal", "defect", "defects", "defective", "fail", "failed", "reject", "schlecht", "nio"}
)  # fmt: skip
"""Folders of images with any defect."""
MASKS = frozenset(
    {"groundtruth", "gt", "mask", "masks", "labels", "annotations", "segmentation",
     "segmentations"}
)  # fmt: skip
"""Folders of masks; not `label`, which may as well be a defect of bottles."""
IMAGES = frozenset({"image", "images", "img", "imgs"})
TRAIN = frozenset({"train", "training"})
TEST = frozenset({"test", "testing", "testpublic"})
VALIDATION = frozenset({"validation", "val", "valid"})


def word(name: str) -> str:
    """A name as it is compared with these: lower case, without - _ . and blanks."""
    return name.casefold().translate({ord(c): None for c in "-_. "})


def is_normal_name(name: str) -> bool:
    """Whether a folder of this name, or a label, is of normal images."""
    return word(name) in _NORMAL


def is_anomalous_name(name: str) -> bool:
    """Whether it is of anomalous images, whatever their defect."""
    return word(name) in _ANOMALOUS
