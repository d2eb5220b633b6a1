"""What LafitE's card says of its fits is true: one saved fit serves what it is said to serve."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fits import build, fit, fit_once, make_context, make_images

from adbench.code_digest import method_code
from adbench.contracts import Images, Prediction
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


pytestmark = pytest.mark.usefixtures("shared_models")


@pytest.fixture(scope="module")
def fitted(shared_models: None) -> Any:
    return fit_once("lafite")


@pytest.fixture(scope="module")
def test_images() -> Any:
    return make_images(3, seed=1)


def _saved(method: LafitE, folder: Path) -> dict[str, str]:
    folder.mkdir()
    method.save(folder)
    return {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in sorted(folder.iterdir())}


def _equal(one: Prediction, two: Prediction) -> None:
    np.testing.assert_array_equal(one.maps, two.maps)
    np.testing.assert_array_equal(one.scores, two.scores)


def test_what_lafite_calls_prediction_only_changes_nothing_that_fit_saves(
    fitted: LafitE, test_images: Images, tmp_path: Path
) -> None:
    assert set(OTHERS) == LafitE.Hyperparameters.prediction_only
    for name, value in OTHERS.items():
        assert getattr(fitted.hyperparameters, name) != value, name
    fresh = fit("lafite", **OTHERS)
    assert _saved(fresh, tmp_path / "fresh") == _saved(fitted, tmp_path / "base")
    loaded = build("lafite", **OTHERS).load(tmp_path / "base", make_context())
    _equal(loaded.predict(test_images), fresh.predict(test_images))
    assert (loaded.predict(test_images).scores != fitted.predict(test_images).scores).any()


@pytest.mark.parametrize("name", sorted(SELECTION.fit_serves))
def test_a_fit_with_both_parts_serves_one_part_alone(
    name: str, fitted: LafitE, test_images: Images, tmp_path: Path
) -> None:
    assert SELECTION.fit_serves[name] is getattr(fitted.hyperparameters, name) is True
    _saved(fitted, tmp_path / "both")
    fresh = fit("lafite", **{name: False})
    loaded = build("lafite", **{name: False}).load(tmp_path / "both", make_context())
    _equal(loaded.predict(test_images), fresh.predict(test_images))


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
