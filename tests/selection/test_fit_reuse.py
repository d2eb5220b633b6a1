"""What LafitE's card says of its fits is true: one saved fit serves what it is said to serve."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from adbench.code_digest import method_code
from adbench.contracts import Context, Images, Prediction
from adbench.data.cache import DiskCache
from adbench.methods.lafite import settings
from adbench.methods.lafite.method import LafitE
from adbench.methods.lafite.settings import SELECTION
from adbench.registry import load_method, method_names
from adbench.source_text import SourceText

OTHERS = {
    "num_neighbours": 2, "edit_weights": "uniform", "edit_temperature": 3.0, "tau": 120,
    "num_inference_steps": 3, "eta": 0.5, "num_noise": 2, "score_power": 1, "smoothing": 2.0,
    "pool_kernel": 6,
}  # fmt: skip


class _Checkpoint:
    def load(self) -> dict[str, Any] | None:
        return None

    def due(self) -> bool:
        return False

    def save(self, state: Mapping[str, Any]) -> None:
        raise AssertionError("never due")


def _images(count: int, seed: int) -> Images:
    pixels = np.random.default_rng(seed).integers(60, 200, (count, 64, 64, 3), dtype=np.uint8)
    names = tuple(f"a/{seed}/{i}.png" for i in range(count))
    return Images(pixels, names, ("a",) * count)


def _build(**options: Any) -> LafitE:
    return LafitE(LafitE.Hyperparameters(**{**LafitE.presets["smoke"], **options}))


@pytest.fixture(scope="module")
def context(tmp_path_factory: pytest.TempPathFactory) -> Context:
    return Context(
        "cpu", "fp32", 0, _Checkpoint(), DiskCache(tmp_path_factory.mktemp("cache"), None)
    )


@pytest.fixture(scope="module")
def fitted(context: Context) -> LafitE:
    return _build().fit(_images(8, 0), context)


def _saved(method: LafitE, folder: Path) -> dict[str, str]:
    folder.mkdir()
    method.save(folder)
    return {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in sorted(folder.iterdir())}


def _equal(one: Prediction, two: Prediction) -> None:
    np.testing.assert_array_equal(one.maps, two.maps)
    np.testing.assert_array_equal(one.scores, two.scores)


def test_what_lafite_calls_prediction_only_changes_nothing_that_fit_saves(
    fitted: LafitE, context: Context, tmp_path: Path
) -> None:
    assert set(OTHERS) == LafitE.Hyperparameters.prediction_only
    for name, value in OTHERS.items():
        assert getattr(fitted.hyperparameters, name) != value, name
    fresh = _build(**OTHERS).fit(_images(8, 0), context)
    assert _saved(fresh, tmp_path / "fresh") == _saved(fitted, tmp_path / "base")
    loaded = _build(**OTHERS).load(tmp_path / "base", context)
    test = _images(3, 1)
    _equal(loaded.predict(test), fresh.predict(test))
    assert (loaded.predict(test).scores != fitted.predict(test).scores).any()


@pytest.mark.parametrize("name", sorted(SELECTION.fit_serves))
def test_a_fit_with_both_parts_serves_one_part_alone(
    name: str, fitted: LafitE, context: Context, tmp_path: Path
) -> None:
    assert SELECTION.fit_serves[name] is getattr(fitted.hyperparameters, name) is True
    _saved(fitted, tmp_path / "both")
    fresh = _build(**{name: False}).fit(_images(8, 0), context)
    loaded = _build(**{name: False}).load(tmp_path / "both", context)
    test = _images(3, 1)
    _equal(loaded.predict(test), fresh.predict(test))


def test_the_grid_is_no_part_of_the_methods_keys() -> None:
    source = Path(settings.__file__).read_text()
    changed = source.replace("150, ", "")
    assert "adbench.methods.lafite.settings" in method_code(LafitE).modules and changed != source
    assert SourceText(changed.encode()).text == SourceText(source.encode()).text


@pytest.mark.parametrize("name", method_names())
def test_every_card_names_hyperparameters_and_values_that_exist(name: str) -> None:
    method = load_method(name)
    card = method.card.selection
    if card is None:
        return
    fields = method.Hyperparameters.model_fields
    named = [*card.fit_serves]
    for step in card.steps:
        named += [step.name, *step.holding, *step.requires]
        base = {**method.presets["fast"], **step.requires, **step.holding}
        for value in step.values:
            built = method.Hyperparameters(**{**base, step.name: value})
            assert getattr(built, step.name) == value
    assert set(named) <= set(fields)
