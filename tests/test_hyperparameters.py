"""Presets, options and how their text becomes values."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import Field

from adbench.contracts import Hyperparameters
from adbench.errors import UsageError
from adbench.hyperparameters import build_hyperparameters, variant_name
from adbench.registry import load_method
from adbench.testing import PixelGaussian


def test_none_is_a_value_where_the_field_has_it_and_no_value_elsewhere() -> None:
    lafite = load_method("lafite")
    scaled = build_hyperparameters(lafite, "smoke", {"feature_scaling": "none", "steps": "none"})
    assert scaled.canonical()["feature_scaling"] == "none"
    assert scaled.canonical()["steps"] is None
    with pytest.raises(UsageError, match="tau"):
        build_hyperparameters(lafite, "smoke", {"tau": "none"})


def test_text_and_python_values_build_the_same() -> None:
    text = build_hyperparameters(PixelGaussian, "smoke", {"noise": "0.5", "steps": "3"})
    python = build_hyperparameters(PixelGaussian, "smoke", {"noise": 0.5, "steps": 3})
    assert text == python and variant_name(PixelGaussian, "smoke", text) == "noise=0.5,steps=3"


class _WithFile(Hyperparameters):
    file: Path = Field(description="any file")


def test_a_path_counts_by_name_and_content_and_never_by_folder(tmp_path: Path) -> None:
    for folder, content in (("a", "1"), ("b", "1"), ("c", "2")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "w.pth").write_text(content)
    one, same, other = (_WithFile(file=tmp_path / folder / "w.pth").canonical() for folder in "abc")
    assert one == same != other
    assert str(tmp_path) not in str(one)
