"""MVTec AD: ten objects and five textures (Bergmann et al., 2021)."""

from __future__ import annotations

from adbench.datasets.cards import load_card
from adbench.datasets.mvtec_layout import MVTecLayout


class MVTecAD(MVTecLayout):
    """MVTec AD in its own layout, of which `MVTecLayout` is the description."""

    card = load_card("mvtec")
    digits = 3
