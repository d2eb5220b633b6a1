"""The cards of the data sets that ship with adbench, one JSON file each."""

from __future__ import annotations

from importlib.resources import files

from adbench.contracts import DatasetCard


def load_card(name: str) -> DatasetCard:
    """The card in `NAME.json` beside this module, validated."""
    text = files("adbench.datasets.cards").joinpath(f"{name}.json").read_text(encoding="utf-8")
    return DatasetCard.model_validate_json(text)
