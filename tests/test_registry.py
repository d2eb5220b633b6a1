"""Plug-ins by name and by reference, and plug-ins that are broken."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from outcomes import the_error
from toy import PIXEL, Invoke, Toy

from adbench import registry
from adbench.errors import PluginError, UnknownNameError, UsageError

GOOD = """
from adbench.testing import PixelGaussian, PixelGaussianHyperparameters


class Mine(PixelGaussian):
    card = PixelGaussian.card.model_copy(update={"name": "mine"})
"""
HEAD = "from adbench.contracts import Method\nfrom adbench.testing import PixelGaussian\n"
BROKEN = {
    "raises": ("raise RuntimeError('no\\nluck')", "RuntimeError: no luck; mend "),
    "exits": ("raise SystemExit(7)", "SystemExit: 7"),
    "misspelt": ("def f(:", "SyntaxError: "),
    "needs": ("import absent_package", "No module named 'absent_package'"),
    "abstract": (HEAD + "class Mine(Method): pass", "lacks `batch_size`"[:5]),
    "no_card": (HEAD + "class Mine(PixelGaussian): card = None", "a MethodCard as `card`"),
    "no_presets": (HEAD + "class Mine(PixelGaussian): presets = {}", "the preset 'paper'"),
    "no_values": (
        HEAD + "class Mine(PixelGaussian): Hyperparameters = dict",
        "contracts.Hyperparameters as `Hyperparameters`",
    ),
    "no_method": ("Mine = 3", "is no method: expected a subclass of adbench.contracts.Method"),
    "no_class": (GOOD.replace("Mine", "Mines"), "did you mean 'Mines'? valid: Mines"),
}


def plugin(folder: Path, name: str, text: str) -> str:
    path = folder / f"{name}.py"
    path.write_text(text)
    return f"{path}:Mine"


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_plugin_is_one_line(invoke: Invoke, toy: Toy, tmp_path: Path, name: str) -> None:
    text, expected = BROKEN[name]
    reference = plugin(tmp_path, name, text)
    outcome = invoke("plan", "--methods", reference, *toy.arguments(), "--preset", "smoke")
    message = the_error(outcome, 2)
    assert expected in message and name in message


def test_a_method_that_lacks_methods_is_told_which(tmp_path: Path) -> None:
    text = HEAD + "class Mine(Method): card = PixelGaussian.card"
    with pytest.raises(PluginError, match="`fit`.*`predict`.*see CONTRIBUTING"):
        registry.load_method(plugin(tmp_path, "partial", text))


def test_a_data_set_that_cannot_be_built_is_a_plugin_error(toy: Toy) -> None:
    path = toy.folder / "toy_dataset.py"
    path.write_text(path.read_text() + "\n    def __init__(self): raise ValueError('no')\n")
    with pytest.raises(PluginError, match="could not be set up: ValueError: no; mend"):
        registry.load_dataset(toy.reference)


@pytest.mark.parametrize("reference", [":X", "adbench.testing:", "absent.module:X", "a b:X"])
def test_a_reference_to_nothing_is_a_usage_error(reference: str) -> None:
    with pytest.raises(UsageError, match="expected FILE.py:Class or MODULE:Class"):
        registry.load_method(reference)


def test_an_unknown_class_offers_the_plugins_of_the_module_only() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'PixelGaussian'. valid: PixelGauss"):
        registry.load_method("adbench.testing:PixelGausian")


def test_two_files_of_one_name_are_two_plugins(tmp_path: Path) -> None:
    references = []
    for number in (1, 2):
        folder = tmp_path / str(number)
        folder.mkdir()
        text = GOOD + f"\n    number = {number}\n"
        references.append(plugin(folder, "same", text))
    first, second = (registry.load_method(r) for r in references)
    assert (first.number, second.number) == (1, 2)  # type: ignore[attr-defined]


def test_a_relative_file_is_the_one_of_the_working_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = []
    for number in (1, 2):
        folder = tmp_path / str(number)
        folder.mkdir()
        plugin(folder, "same", GOOD + f"\n    number = {number}\n")
        monkeypatch.chdir(folder)
        found.append(registry.load_method("same.py:Mine").number)  # type: ignore[attr-defined]
    assert found == [1, 2]


def test_what_a_plugin_prints_never_mixes_with_json(
    invoke: Invoke, toy: Toy, tmp_path: Path
) -> None:
    chatty = GOOD + (
        "\n    def fit(self, train, context):\n        print('hello')\n"
        "        return super().fit(train, context)\n\n\nprint('imported')\n"
    )
    reference = plugin(tmp_path, "chatty", chatty)
    arguments = [*toy.arguments("a"), "--preset", "smoke", "--no-timing", "--json"]
    outcome = invoke("run", "--methods", reference, *arguments)
    assert outcome.code == 0
    assert {row["method"] for row in json.loads(outcome.out)} == {"mine"}
    assert "hello" in outcome.err and "imported" in outcome.err


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ("Prediction(found.maps[:, 1:], found.scores)", "maps of shape"),
        ("Prediction(found.maps, found.scores[:, None])", "scores of shape"),
        ("Prediction(found.maps.astype('float64'), found.scores)", "type float64; expected"),
        ("Prediction(found.maps * float('nan'), found.scores)", "gave NaN for"),
        ("None", "mine.predict returned NoneType"),
        ("__import__('sys').exit(0)", "FAILED: SystemExit: 0"),
    ],
)
def test_a_wrong_prediction_fails_its_cells_and_no_others(
    invoke: Invoke, toy: Toy, tmp_path: Path, change: str, expected: str
) -> None:
    text = GOOD + (
        "\n    def predict(self, images):\n        from adbench.contracts import Prediction\n"
        f"        found = super().predict(images)\n        return {change}\n"
    )
    reference = plugin(tmp_path, "wrong", text)
    arguments = [*toy.arguments("a"), "--preset", "smoke", "--no-timing", "--json"]
    outcome = invoke("run", "--methods", f"{reference},{PIXEL}", *arguments)
    assert outcome.code == 3 and "Traceback" not in outcome.err
    status = {row["method"]: row["status"] for row in json.loads(outcome.out)}
    assert status == {"mine": "failed", "pixel_gaussian": "done"}
    assert expected in outcome.err
    assert "precision" not in outcome.err.replace("the precision overflowed", "")  # it has none
