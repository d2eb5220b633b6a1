"""Fake data-set roots. Their files are empty: listing a data set must not open an image."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from adbench.contracts import DatasetCard
from adbench.datasets.mvtec_layout import MVTEC_TREE, MVTecLayout

Fill = Callable[[Path, Iterable[str]], Path]


@pytest.fixture
def fill() -> Fill:
    """Writes an empty file at each path under a root and returns the root."""

    def write(root: Path, paths: Iterable[str]) -> Path:
        for path in paths:
            file = root / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.touch()
        return root

    return write


@pytest.fixture(scope="session")
def own() -> MVTecLayout:
    """A user's data set, whose card names no category."""

    class Screws(MVTecLayout):
        card = DatasetCard(
            name="screws",
            title="Our screws",
            licence="internal",
            page="https://example.org",
            citation="",
            layout=MVTEC_TREE,
            directory_names=("screws",),
            categories={},
        )

    return Screws()
