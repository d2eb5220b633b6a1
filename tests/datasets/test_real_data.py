"""The adapters on real data that lies beside the checkout; skipped where it is absent."""

from __future__ import annotations

import hashlib
from collections import Counter
from pathlib import Path

import pytest

from adbench.contracts import Dataset
from adbench.datasets.folder_dataset import FolderDataset
from adbench.datasets.magnetic_tile import MagneticTile
from adbench.datasets.mpdd import MPDD

DATA = Path(__file__).parents[2].parent / "shared" / "data"


def root_of(dataset: Dataset) -> Path:
    folder = DATA / dataset.card.directory_names[0]
    if not folder.is_dir():
        pytest.skip(f"{dataset.card.title} is not at ../shared/data")
    return dataset.find_root(DATA)


def digest(paths) -> str:
    return hashlib.sha256("\n".join(sorted(paths)).encode()).hexdigest()


def counts(samples) -> Counter[tuple[str, str]]:
    return Counter((s.split, s.defect) for s in samples)


def test_metal_plate_of_mpdd():
    dataset = MPDD()
    root = root_of(dataset)
    assert dataset.recognise_layout(root) == "mvtec"
    if dataset.available_categories(root) != ("metal_plate",):
        pytest.skip("another copy of MPDD than the one described")
    samples = dataset.samples(root, ["metal_plate"])
    assert counts(samples) == {
        ("train", "good"): 54,
        ("test", "good"): 26,
        ("test", "major_rust"): 14,
        ("test", "scratches"): 34,
        ("test", "total_rust"): 23,
    }
    card = dataset.card.categories["metal_plate"]
    assert digest(s.path for s in samples) == card.image_paths_sha256
    assert digest(s.mask_path for s in samples if s.mask_path) == card.mask_paths_sha256


def test_magnetic_tile():
    dataset = MagneticTile()
    root = root_of(dataset)
    samples = dataset.samples(root, ["magnetic_tile"])
    card = dataset.card.categories["magnetic_tile"]
    assert counts(samples) == {
        ("train", "good"): 761,
        ("test", "good"): 191,
        **{("test", defect): count for defect, count in card.defects.items()},
    }
    assert digest(s.path for s in samples) == card.image_paths_sha256
    assert digest(s.mask_path for s in samples if s.mask_path) == card.mask_paths_sha256
    assert digest(s.path for s in samples if s.split == "train") == card.train_paths_sha256


@pytest.mark.parametrize("dataset", [MPDD(), MagneticTile()], ids=lambda d: d.card.name)
def test_a_real_release_has_nothing_that_is_not_read(dataset: FolderDataset):
    root = root_of(dataset)
    for category in dataset.available_categories(root):
        assert dataset.inspect(root, category).problems == ()
