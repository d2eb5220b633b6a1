"""MPDD: metal parts with defects of painting, bending and fitting (Jezek et al., 2021)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from adbench.datasets.cards import load_card
from adbench.datasets.mvtec_layout import MVTecLayout


class MPDD(MVTecLayout):
    """MPDD in its own layout, of which `MVTecLayout` is the description."""

    card = load_card("mpdd")
    digits = 3
    spellings: ClassVar[Mapping[str, Mapping[str, str]]] = {"tubes": {"flattening": "anomalous"}}
