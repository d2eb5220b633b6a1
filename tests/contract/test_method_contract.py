"""What every registered method must do, on a CPU, in seconds, at its `smoke` preset."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from fits import MemoryCheckpoint, build, fit, fit_once, make_context, make_images
from toy import PIXEL

from adbench.contracts import Images, Method, Prediction, Skill
from adbench.contracts.skill import MIN_HELD_OUT, NO_NETWORK
from adbench.hyperparameters import PRESETS, build_hyperparameters, shortened_training
from adbench.registry import load_method, method_names

pytestmark = pytest.mark.usefixtures("shared_models")


@pytest.fixture(scope="module", params=[*method_names(), PIXEL])
def name(request: pytest.FixtureRequest) -> str:
    """The method under test."""
    return str(request.param)


@pytest.fixture(scope="module")
def fitted(name: str, shared_models: None) -> tuple[Method, Prediction, Images]:
    """The method fitted once, with its predictions on the test images."""
    method = fit_once(name)
    test = make_images(8, method.geometry.size, seed=1, anomalous=4)
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
    fields = set(method.Hyperparameters.model_fields)
    assert method.Hyperparameters.prediction_only | method.Hyperparameters.training_length <= fields
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


def test_skill_is_a_number_with_its_standard_error_or_none_with_a_reason(fitted: Any) -> None:
    skill = fitted[0].skill()
    assert isinstance(skill, Skill)
    json.dumps(skill.to_json(), allow_nan=False)
    if skill.value is None:
        assert skill.reason
    else:
        assert math.isfinite(skill.value) and skill.value <= 1 and not skill.reason
        assert skill.standard_error is not None and skill.standard_error >= 0
        assert skill.held_out >= MIN_HELD_OUT and skill.measured


def trains_a_network(name: str) -> bool:
    return "held_out_fraction" in load_method(name).Hyperparameters.model_fields


@pytest.mark.parametrize("name", [n for n in method_names() if trains_a_network(n)])
def test_where_enough_normals_are_held_out_a_network_has_skill(name: str, tmp_path: Path) -> None:
    method = build(name, held_out_fraction=0.5)
    method.fit(make_images(2 * MIN_HELD_OUT, method.geometry.size), make_context())
    skill = method.skill()
    assert skill.value is not None and math.isfinite(skill.value), skill.reason
    assert skill.held_out == method.protocol()["held_out"] == MIN_HELD_OUT
    assert skill.simple is not None and skill.trivial is not None and skill.trivial > 0
    method.save(tmp_path)
    assert build(name, held_out_fraction=0.5).load(tmp_path, make_context()).skill() == skill


@pytest.mark.parametrize(
    ("name", "options"), [("patchcore", {}), ("lafite", {"reconstruction": False})]
)
def test_without_a_network_there_is_no_skill(name: str, options: dict[str, Any]) -> None:
    assert fit_once(name, **options).skill() == Skill.unknown(NO_NETWORK)


def test_a_killed_fit_resumes_to_the_same_numbers_without_global_randomness(
    name: str, fitted: Any
) -> None:
    method, expected, test = fitted
    torch.manual_seed(1234)
    np.random.seed(99)
    state: Any = np.random.get_state()
    before = torch.get_rng_state(), state[1]
    checkpoint = MemoryCheckpoint(dies_at=1)
    try:
        fit(name, make_context(checkpoint=checkpoint))
        assert checkpoint.saves == 0  # it is over at once: nothing to resume
    except InterruptedError:
        pass
    resumed = fit(name, make_context(checkpoint=checkpoint))
    again = resumed.predict(test)
    np.testing.assert_array_equal(again.scores, expected.scores)
    np.testing.assert_array_equal(again.maps, expected.maps)
    assert resumed.diagnostics() == method.diagnostics()
    assert resumed.skill() == method.skill()
    assert torch.equal(torch.get_rng_state(), before[0])
    after: Any = np.random.get_state()
    assert (after[1] == before[1]).all()


def test_snapshots_are_methods_of_their_own_and_leave_the_fit_as_it_is(
    name: str, fitted: Any, tmp_path: Path
) -> None:
    kept: dict[float, Path] = {}
    flops = {1.0: fitted[0].training_flops(12)}

    def snapshot(step: int, num_steps: int, finish: Any) -> None:
        taken = finish()
        kept[step / num_steps] = folder = tmp_path / str(step)
        flops[step / num_steps] = taken.training_flops(12)
        folder.mkdir()
        taken.save(folder)
        assert isinstance(taken.skill(), Skill)
        torch.rand(5)

    own, prediction, test = fitted
    again = fit(name, make_context(snapshot=snapshot)).predict(test)
    assert np.array_equal(again.maps, prediction.maps)
    assert bool(kept) == (shortened_training(type(own), own.hyperparameters, 0.5) is not None)
    assert [flops[share] for share in sorted(flops)] == sorted(set(flops.values()))
    for folder in list(kept.values())[:1]:
        early = build(name).load(folder, make_context()).predict(test)
        assert np.isfinite(early.maps).all() and not np.array_equal(early.maps, prediction.maps)


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
    name: str, fitted: Any, tmp_path: Path
) -> None:
    method, expected, test = fitted
    method.save(tmp_path)
    for file in tmp_path.iterdir():
        assert file.suffix in {".safetensors", ".json", ".npy", ".npz"}, file.name
    before = torch.get_rng_state()
    loaded = build(name).load(tmp_path, make_context())
    assert torch.equal(torch.get_rng_state(), before)
    again = loaded.predict(test)
    np.testing.assert_array_equal(again.scores, expected.scores)
    np.testing.assert_array_equal(again.maps, expected.maps)
    assert loaded.diagnostics() == method.diagnostics()
    assert loaded.protocol() == method.protocol()
    assert loaded.skill() == method.skill()
    assert loaded.num_parameters() == method.num_parameters()


def test_no_method_passes_the_label_shuffle(fitted: Any) -> None:
    """Guards against ground truth leaking: scores must know nothing of permuted labels."""
    from adbench.metrics.exact import image_metrics

    scores = fitted[1].scores
    rng = np.random.default_rng(0)
    labels = np.array([0, 1] * (len(scores) // 2))
    values = [image_metrics(scores, rng.permutation(labels))["image_auroc"] for _ in range(200)]
    assert abs(float(np.mean(values)) - 0.5) < 0.06
