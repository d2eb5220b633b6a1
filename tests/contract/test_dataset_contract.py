"""What every registered data set must do; the synthetic one is really rendered."""

from __future__ import annotations

from pathlib import Path

import pytest

from adbench.data.images import decode_image, decode_mask
from adbench.data.verify import verify
from adbench.errors import DataError
from adbench.registry import dataset_names, load_dataset

DOWNLOADED = [n for n in dataset_names() if n != "synthetic"]


@pytest.mark.parametrize("name", dataset_names())
def test_card_is_complete(name: str) -> None:
    card = load_dataset(name).card
    assert card.name == name and card.categories and card.directory_names
    for text in (card.title, card.licence, card.page, card.layout):
        assert text.strip()
    for category in card.categories.values():
        assert category.train_good and category.test_good and category.test_anomalous
        if category.defects:
            assert sum(category.defects.values()) == category.test_anomalous


@pytest.mark.parametrize("name", DOWNLOADED)
def test_a_missing_root_tells_page_licence_tree_and_next_command(name: str, tmp_path: Path) -> None:
    dataset = load_dataset(name)
    for root in (None, tmp_path, tmp_path / "absent"):
        with pytest.raises(DataError) as caught:
            dataset.find_root(root)
        message = str(caught.value)
        assert "\n" not in message.strip()
        assert "--data-root" in message and "adbench data verify" in message
        if root is not None:
            assert dataset.card.page in message and dataset.card.licence in message


def test_the_synthetic_set_keeps_the_contract_to_the_pixel() -> None:
    dataset = load_dataset("synthetic")
    root = dataset.find_root(None)
    categories = dataset.available_categories(root)
    assert set(categories) == set(dataset.card.categories) and len(categories) >= 4
    rows = dataset.samples(root, categories)
    assert rows == sorted(rows)
    assert len({s.path for s in rows}) == len(rows)
    for sample in rows:
        assert (sample.label == 1) == (sample.mask_path is not None) == (sample.defect != "good")
        assert sample.split == "test" or sample.label == 0
    for category in categories:
        first = next(s for s in rows if s.category == category and s.label)
        assert first.mask_path is not None
        mask = decode_mask(root / first.mask_path, dataset.card.mask_threshold)
        assert mask.any() and mask.shape == decode_image(root / first.path).shape[:2]


def test_the_synthetic_set_passes_its_own_verification() -> None:
    dataset = load_dataset("synthetic")
    root = dataset.find_root(None)
    report = verify(dataset, root, dataset.available_categories(root), strict=True)
    assert report.exit_code == 0, [str(f) for f in report.findings]
