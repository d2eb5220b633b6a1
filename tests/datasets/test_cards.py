"""The cards are complete, agree with the literature and with the adapters' names."""

from __future__ import annotations

import hashlib
import subprocess
import sys

import pytest

from adbench.datasets.btad import BTAD
from adbench.datasets.cards import load_card
from adbench.datasets.magnetic_tile import MagneticTile
from adbench.datasets.mpdd import MPDD
from adbench.datasets.mvtec import MVTecAD
from adbench.datasets.mvtec_layout import MVTecLayout
from adbench.datasets.visa import VisA

TOTALS = {
    "mpdd": (6, 888, 176, 282),
    "mvtec": (15, 3629, 467, 1258),
    "visa": (12, 8659, 962, 1200),
    "btad": (3, 1799, 451, 290),
    "magnetic_tile": (1, 761, 191, 392),
}
SUFFIX = {"visa": ".JPG", "01": ".bmp", "03": ".bmp"}


@pytest.mark.parametrize("name", TOTALS)
def test_counts_add_up_to_what_the_papers_say(name):
    categories = load_card(name).categories.values()
    found = tuple(
        sum(getattr(c, field) for c in categories)
        for field in ("train_good", "test_good", "test_anomalous")
    )
    assert (len(categories), *found) == TOTALS[name]


@pytest.mark.parametrize("name", TOTALS)
def test_defects_add_up_to_the_anomalous_images(name):
    for category in load_card(name).categories.values():
        assert sum(category.defects.values()) == category.test_anomalous


@pytest.mark.parametrize("name", TOTALS)
def test_card_is_filled(name):
    card = load_card(name)
    assert card.name == name
    assert card.page.startswith("http")
    assert card.licence and card.layout.strip() and card.directory_names and card.notes
    assert card.citation.count("@") >= 1 and card.citation.count("{") == card.citation.count("}")
    for category in card.categories.values():
        for digest in (category.image_paths_sha256, category.mask_paths_sha256):
            assert digest is not None and len(digest) == 64


def test_textures():
    textures = {
        (name, category)
        for name in TOTALS
        for category, card in load_card(name).categories.items()
        if card.kind == "texture"
    }
    mvtec = {("mvtec", c) for c in ("carpet", "grid", "leather", "tile", "wood", "zipper")}
    assert textures == mvtec | {("btad", "02"), ("magnetic_tile", "magnetic_tile")}


def test_only_mtd_has_noisy_masks():
    assert {n: load_card(n).mask_threshold for n in TOTALS} == {
        **dict.fromkeys(TOTALS, 0),
        "magnetic_tile": 127,
    }


@pytest.mark.parametrize("dataset", [MPDD(), MVTecAD(), VisA(), BTAD()], ids=lambda d: d.card.name)
def test_release_names_have_the_digests_of_the_card(dataset: MVTecLayout):
    for category, card in dataset.card.categories.items():
        names = dataset.release_names(category)
        assert names is not None
        suffix = SUFFIX.get(dataset.card.name, SUFFIX.get(category, ".png"))
        text = "\n".join(sorted(name + suffix for name in names))
        assert hashlib.sha256(text.encode()).hexdigest() == card.image_paths_sha256


def test_importing_the_adapters_is_light():
    modules = [d.__module__ for d in (MPDD, MVTecAD, VisA, BTAD, MagneticTile)]
    code = (
        f"import sys, {', '.join(modules)}\n"
        "print(sorted({'numpy', 'torch', 'PIL', 'pandas'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
