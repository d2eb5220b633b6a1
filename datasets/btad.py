"""BTAD: three products of beanTech (Mishra et al., 2021)."""

from __future__ import annotations

from adbench.datasets.cards import load_card
from adbench.datasets.listing import numbered
from adbench.datasets.mvtec_layout import MVTecLayout

_SKIPPED = {"01/test/ko": {27}, "02/train/ok": {87}}
"""Numbers that the release leaves out."""


class BTAD(MVTecLayout):
    """BTAD: folders `ok` and `ko`, .bmp and .png mixed, masks with the image's own stem."""

    card = load_card("btad")
    layouts = {"btad": "ok"}

    def release_names(self, category: str) -> set[str] | None:
        card = self.card.categories[category]
        counts = {
            f"{category}/train/ok": card.train_good or 0,
            f"{category}/test/ok": card.test_good or 0,
            f"{category}/test/ko": card.test_anomalous or 0,
        }
        folders = (numbered(f, n, 4, _SKIPPED.get(f, ())) for f, n in counts.items())
        return set().union(*folders)
