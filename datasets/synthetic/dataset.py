"""The synthetic data set: rendered metal parts, drawn on first use, nothing to download."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path

from adbench.contracts import CategoryCard, DatasetCard
from adbench.datasets.mvtec_layout import MVTEC_TREE, MVTecLayout
from adbench.datasets.synthetic.contents import (
    CATEGORIES,
    MARKER,
    STRENGTHS,
    TEST_GOOD,
    TRAIN_GOOD,
    VERSION,
    pictures,
)


def _paths_digest(paths: Iterable[str]) -> str:
    return hashlib.sha256("\n".join(sorted(paths)).encode()).hexdigest()


def _category_card(name: str) -> CategoryCard:
    rows, category = list(pictures(name)), CATEGORIES[name]
    return CategoryCard(
        kind=category.kind,
        train_good=TRAIN_GOOD,
        test_good=TEST_GOOD,
        test_anomalous=len(category.defects) * len(STRENGTHS),
        defects=dict.fromkeys(category.defects, len(STRENGTHS)),
        image_paths_sha256=_paths_digest(p.path for p in rows),
        mask_paths_sha256=_paths_digest(p.mask_path for p in rows if p.mask_path),
        train_paths_sha256=_paths_digest(p.path for p in rows if "/train/" in p.path),
    )


class Synthetic(MVTecLayout):
    """Four parts and two textures of machined metal, 256 x 256, with pixel-exact masks.

    The set is drawn in seconds when it is first needed, bit for bit the same on every machine,
    into the cache folder; a copy under the data root is used instead where there is one.
    """

    card = DatasetCard(
        name="synthetic",
        title="adbench synthetic metal parts",
        version=VERSION,
        licence="CC0-1.0 (images), Apache-2.0 (the code that draws them)",
        page="adbench",
        citation="@misc{adbench_synthetic, title={adbench synthetic metal parts}}",
        layout=MVTEC_TREE,
        directory_names=("synthetic",),
        categories={name: _category_card(name) for name in CATEGORIES},
        notes=(
            "Rendered, not photographed: for tests, demonstrations and tutorials, not for claims.",
            "Each defect has one obvious, one middling and one subtle picture.",
            "A mask is where geometry or material changed; a displaced piece marks its old and "
            "its new place. Shadows and reflections that the change throws are outside.",
        ),
    )
    digits = 3

    def find_root(self, data_root: Path | None) -> Path:
        """`data_root`/synthetic or `data_root` where they hold a set made by us, else the cache.

        Raises:
            StoreError: the set has to be drawn and the cache folder cannot be written.
        """
        if data_root is not None:
            for folder in (data_root / "synthetic", data_root):
                if (folder / MARKER).exists() and self.layout_at(folder) is not None:
                    return folder
        # numpy and Pillow are needed for drawing only, and listing data sets stays instant.
        from adbench.data.cache import default_cache_folder
        from adbench.datasets.synthetic.generate import ensure_generated

        folder = default_cache_folder() / "data" / f"synthetic-{VERSION}"
        ensure_generated(folder)
        return folder
