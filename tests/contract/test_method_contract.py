"""What every registered method must do, on a CPU, in seconds, at its `smoke` preset."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from toy import PIXEL, Toy, write_toy

from adbench.contracts import Context, Images, Method, Prediction
from adbench.data.cache import DiskCache
from adbench.data.images import load_images
from adbench.hyperparameters import PRESETS, build_hyperparameters
from adbench.registry import load_dataset, load_method, method_names

METHODS = [*method_names(), PIXEL]


class MemoryCheckpoint:
    """Always due; keeps the state; dies after a number of saves when told to."""

    def __init__(self, dies_after: int | None = None) -> None:
        self.state: dict[str, Any] | None = None
        self.saves = 0
        self._dies_after = dies_after

    def load(self) -> dict[str, Any] | None:
        return self.state

    def due(self) -> bool:
        return True

    def save(self, state: Mapping[str, Any]) -> None:
        import copy

        self.state = copy.deepcopy(dict(state))
        self.saves += 1
        if self.saves == self._dies_after:
            raise InterruptedError


@pytest.fixture(scope="module", params=METHODS)
def name(request: pytest.FixtureRequest) -> str:
    """The method under test."""
    return str(request.param)


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Toy:
    return write_toy(tmp_path_factory.mktemp("contract"), side=64)


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> DiskCache:
    return DiskCache(tmp_path_factory.mktemp("cache"), None)


def _context(cache: DiskCache, seed: int = 0, checkpoint: Any = None) -> Context:
    return Context("cpu", "fp32", seed, checkpoint or MemoryCheckpoint(), cache)


def _build(name: str) -> Method:
    method = load_method(name)
    return method(build_hyperparameters(method, "smoke", {}))


def _images(name: str, toy: Toy, cache: DiskCache, split: str) -> Images:
    dataset = load_dataset(toy.reference)
    samples = [s for s in dataset.samples(toy.root, ("a", "b")) if s.split == split]
    return load_images(toy.root, samples, _build(name).geometry, cache)


@pytest.fixture(scope="module")
def fitted(name: str, toy: Toy, cache: DiskCache) -> tuple[Method, Prediction, Images]:
    """The method fitted once, with its predictions on the test images."""
    method = _build(name).fit(_images(name, toy, cache, "train"), _context(cache))
    test = _images(name, toy, cache, "test")
    return method, method.predict(test), test


def test_card_and_presets_are_complete(name: str) -> None:
    method = load_method(name)
    assert set(method.presets) >= set(PRESETS)
    for preset in method.presets:
        built = build_hyperparameters(method, preset, {})
        json.dumps(built.canonical(), allow_nan=False)
        assert method(built).geometry.size >= 8
        assert method(built).batch_size >= 1
    for field, info in method.Hyperparameters.model_fields.items():
        assert info.description, f"{field} has no description"
    card = method.card
    if card.group != "testing":
        assert card.citation.startswith("@") and card.name in method_names()
        assert all(d.endswith(".") for d in card.deviations)


def test_importing_every_method_and_data_set_imports_nothing_heavy() -> None:
    code = (
        "import sys; from adbench.registry import *; "
        "[load_method(n) for n in method_names()]; [load_dataset(n) for n in dataset_names()]; "
        "print(sorted({'torch','timm','diffusers','faiss','pandas','matplotlib','scipy','sklearn'}"
        " & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_prediction_has_the_shapes_and_types_of_the_contract(fitted: Any) -> None:
    method, prediction, test = fitted
    side = method.geometry.size
    for one in (prediction, *prediction.parts.values()):
        assert one.maps.shape == (len(test), side, side)
        assert one.scores.shape == (len(test),)
        assert one.maps.dtype == one.scores.dtype == np.float32
        assert np.isfinite(one.maps).all() and np.isfinite(one.scores).all()
    assert len(np.unique(prediction.scores)) > 1


def test_fitted_method_describes_itself_in_json(fitted: Any) -> None:
    method = fitted[0]
    json.dumps([method.protocol(), method.diagnostics()], allow_nan=False)
    assert method.num_parameters() >= 0 and method.search_flops() >= 0
    assert method.training_flops(100) >= method.training_flops(10) >= 0
    assert method.inference_flops(100) >= 0


def test_same_seed_same_numbers_and_no_global_randomness(
    name: str, toy: Toy, cache: DiskCache, fitted: Any
) -> None:
    _, expected, test = fitted
    torch.manual_seed(1234)
    np.random.seed(99)
    state: Any = np.random.get_state()
    before = torch.get_rng_state(), state[1]
    again = _build(name).fit(_images(name, toy, cache, "train"), _context(cache)).predict(test)
    np.testing.assert_array_equal(again.scores, expected.scores)
    np.testing.assert_array_equal(again.maps, expected.maps)
    assert torch.equal(torch.get_rng_state(), before[0])
    after: Any = np.random.get_state()
    assert (after[1] == before[1]).all()


def test_a_score_depends_neither_on_neighbours_nor_on_order(fitted: Any) -> None:
    method, expected, test = fitted
    tolerance: Any = {"rtol": 1e-3, "atol": 1e-4 * float(np.abs(expected.scores).max())}
    alone = [method.predict(test[i : i + 1]) for i in range(len(test))]
    np.testing.assert_allclose([p.scores[0] for p in alone], expected.scores, **tolerance)
    backwards = list(range(len(test)))[::-1]
    turned = method.predict(test.take(backwards))
    np.testing.assert_allclose(turned.scores[::-1], expected.scores, **tolerance)


def test_predict_leaves_its_input_alone(fitted: Any) -> None:
    method, _, test = fitted
    pixels = np.array(test.pixels)
    method.predict(Images(pixels, test.ids, test.categories))
    np.testing.assert_array_equal(pixels, test.pixels)


def test_save_and_load_give_equal_scores_without_pickle(
    name: str, fitted: Any, cache: DiskCache, tmp_path: Path
) -> None:
    method, expected, test = fitted
    method.save(tmp_path)
    for file in tmp_path.iterdir():
        assert file.suffix in {".safetensors", ".json", ".npy", ".npz"}, file.name
    loaded = _build(name).load(tmp_path, _context(cache))
    np.testing.assert_array_equal(loaded.predict(test).scores, expected.scores)
    assert loaded.diagnostics() == method.diagnostics()
    assert loaded.protocol() == method.protocol()
    assert loaded.num_parameters() == method.num_parameters()


def test_training_resumes_to_the_same_numbers(
    name: str, toy: Toy, cache: DiskCache, fitted: Any
) -> None:
    _, expected, test = fitted
    checkpoint = MemoryCheckpoint(dies_after=1)
    train = _images(name, toy, cache, "train")
    try:
        _build(name).fit(train, _context(cache, checkpoint=checkpoint))
    except InterruptedError:
        pass
    resumed = _build(name).fit(train, _context(cache, checkpoint=checkpoint))
    np.testing.assert_array_equal(resumed.predict(test).scores, expected.scores)


def test_no_method_passes_the_label_shuffle(fitted: Any) -> None:
    """Guards against ground truth leaking: scores must know nothing of permuted labels."""
    from adbench.metrics.exact import image_metrics

    scores = fitted[1].scores
    rng = np.random.default_rng(0)
    labels = np.array([0, 1] * (len(scores) // 2))
    values = [image_metrics(scores, rng.permutation(labels))["image_auroc"] for _ in range(200)]
    assert abs(float(np.mean(values)) - 0.5) < 0.06
