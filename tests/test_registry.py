"""Plug-ins by name and by reference, what lies beside their files, and broken ones."""

from __future__ import annotations

import importlib.util
import json
import shutil
import sys
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
    "abstract": (
        HEAD + "class Mine(Method): card = PixelGaussian.card",
        "lacks `fit`, `geometry`, `load`, `predict`, `save`, a subclass of ",
    ),
    "no_card": (HEAD + "class Mine(PixelGaussian): card = None", "a MethodCard as `card`"),
    "no_presets": (HEAD + "class Mine(PixelGaussian): presets = {}", "the preset 'paper'"),
    "no_values": (
        HEAD + "class Mine(PixelGaussian): Hyperparameters = dict",
        "contracts.Hyperparameters as `Hyperparameters`; see CONTRIBUTING",
    ),
    "no_method": ("Mine = 3", "is no method: expected a subclass of adbench.contracts.Method"),
    "no_class": (GOOD.replace("Mine", "Mines"), "did you mean 'Mines'? valid: Mines"),
    "lazy": ("def __getattr__(name):\n    raise RuntimeError('later')\n", "RuntimeError: later"),
}


def plugin(folder: Path, name: str, text: str) -> str:
    folder.mkdir(exist_ok=True)
    path = folder / f"{name}.py"
    path.write_text(text)
    return f"{path}:Mine"


def value_of(reference: str) -> object:
    return registry.load_method(reference).value  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_plugin_is_one_line(invoke: Invoke, toy: Toy, tmp_path: Path, name: str) -> None:
    text, expected = BROKEN[name]
    reference = plugin(tmp_path, name, text)
    outcome = invoke("plan", "--methods", reference, *toy.arguments(), "--preset", "smoke")
    message = the_error(outcome, 2)
    assert expected in message and name in message


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


def test_a_relative_file_is_the_one_of_the_working_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = []
    for number in (1, 2):
        plugin(tmp_path / str(number), "same", GOOD + f"\n    value = {number}\n")
        monkeypatch.chdir(tmp_path / str(number))
        found.append(value_of("same.py:Mine"))
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


# ------------------------------------------------------------------- what lies beside the file

CASE = Path(__file__).parents[2] / "shared/cases/plugin-with-a-sibling-module"
MINE = """
from adbench.testing import PixelGaussian
{imports}


class Mine(PixelGaussian):
    card = PixelGaussian.card.model_copy(update={{"name": "mine"}})
    value = VALUE

    def fit(self, train, context):
        from late import OFFSET
        import package.deep.leaf
        super().fit(train, context)
        self.mean_ = self.mean_ + OFFSET + package.deep.leaf.LEAF
        return self
"""
IMPORTS = {
    "from": "from helper import VALUE",
    "import": "import helper\nVALUE = helper.VALUE",
    "as": "import helper as other\nVALUE = other.VALUE",
    "relative": "from .helper import VALUE",
    "package": "import package.deep.leaf as leaf\nVALUE = leaf.LEAF",
    "dotted": "import package.deep.leaf\nVALUE = package.deep.leaf.LEAF",
    "submodule": "from package.deep import leaf\nVALUE = leaf.LEAF",
    "star": "from helper import *",
    "builtin": "VALUE = __import__('helper').VALUE",
    "chain": "from first import VALUE",
    "circle": "from circle import VALUE",
}


def neighbours(folder: Path, imports: str = IMPORTS["from"], value: int = 1) -> str:
    """A method with modules beside it; its reference."""
    (folder / "package/deep").mkdir(parents=True)  # `package` has no __init__.py
    (folder / "package/deep/__init__.py").write_text("")
    (folder / "package/deep/leaf.py").write_text(f"from helper import VALUE\nLEAF = {value}\n")
    (folder / "helper.py").write_text(f"VALUE = {value}\n")
    (folder / "first.py").write_text("from helper import VALUE\n")
    (folder / "circle.py").write_text("import mine\nVALUE = 1\n")
    (folder / "late.py").write_text("import json, numpy\nOFFSET = 0.5\n")
    return plugin(folder, "mine", MINE.format(imports=imports))


@pytest.mark.skipif(not CASE.exists(), reason="the shared cases are not here")
def test_the_case(invoke: Invoke, tmp_path: Path) -> None:
    shutil.copytree(CASE, tmp_path / "case")
    words = ["--methods", PIXEL, "--dataset", "case/own2.py:Own2", "--data-root", "case/data"]
    outcome = invoke("plan", *words, "--preset", "smoke")
    assert outcome.code == 0 and "own/a" in outcome.out


@pytest.mark.parametrize("kind", IMPORTS)
def test_every_kind_of_import_finds_the_neighbour(tmp_path: Path, kind: str) -> None:
    assert value_of(neighbours(tmp_path / kind, IMPORTS[kind])) == 1


def test_two_plug_ins_have_a_helper_each_and_nobody_else_has_one(tmp_path: Path) -> None:
    before = list(sys.path)
    references = [neighbours(tmp_path / str(number), value=number) for number in (1, 2)]
    assert [value_of(reference) for reference in references] == [1, 2]
    assert importlib.util.find_spec("helper") is None and "helper" not in sys.modules
    assert sys.path == before


def test_a_neighbour_hides_an_installed_module_from_its_own_plug_in_only(tmp_path: Path) -> None:
    reference = neighbours(tmp_path / "plug", "import tabulate, json\nVALUE = tabulate.OURS")
    (tmp_path / "plug/tabulate.py").write_text("OURS = 3\n")
    (tmp_path / "plug/json.py").write_text("raise RuntimeError('the standard library first')\n")
    (tmp_path / "plug/numpy").mkdir()  # a folder of data is no package
    assert value_of(reference) == 3
    assert "tabulate" not in sys.modules or not hasattr(sys.modules["tabulate"], "OURS")
    assert sys.modules["json"] is json


@pytest.mark.parametrize("executor", ["serial", "local"])
def test_late_imports_work_in_every_process(
    invoke: Invoke, toy: Toy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, executor: str
) -> None:
    neighbours(tmp_path / "plug")
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    words = ["--methods", "../plug/mine.py:Mine", *toy.arguments("a"), "--preset", "smoke"]
    outcome = invoke("run", *words, "--no-timing", "--json", "--executor", executor)
    assert outcome.code == 0 and json.loads(outcome.out)[0]["status"] == "done", outcome.err
    assert not list((tmp_path / "plug").rglob("__pycache__"))


@pytest.mark.parametrize(
    ("imports", "expected"),
    [
        ("import helper.absent", "No module named 'helper.absent'"),
        ("from helper import ABSENT", "cannot import name 'ABSENT' from 'helper'"),
        ("import absent", "No module named 'absent'"),
        ("from . import absent", "cannot import name 'absent'"),
    ],
)
def test_what_is_missing_has_the_name_that_the_user_wrote(
    invoke: Invoke, toy: Toy, tmp_path: Path, imports: str, expected: str
) -> None:
    neighbours(tmp_path / "plug", imports)
    words = [*toy.arguments("a"), "--preset", "smoke"]
    message = the_error(invoke("plan", "--methods", "plug/mine.py:Mine", *words), 2)
    assert expected in message and "adbench_plugin" not in message
    assert "plug/mine.py:Mine could not be imported" in message


def test_file_names_that_are_no_identifiers(tmp_path: Path) -> None:
    reference = neighbours(tmp_path / "plug", "from .helper import VALUE")
    text = (tmp_path / "plug/mine.py").read_text()
    for name in ("v1.2", "my-method", "class"):
        assert value_of(plugin(tmp_path / "plug", name, text)) == 1
    assert registry.load_method(reference) is registry.load_method(reference)
