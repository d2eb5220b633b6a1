"""`FILE.py:Class` with modules beside it: found, kept apart, out of everybody else's way."""

from __future__ import annotations

import importlib.util
import json
import shutil
import sys
from pathlib import Path

import pytest
from outcomes import the_error
from toy import PIXEL, Invoke, Toy, spawn

from adbench import registry

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


def write(folder: Path, imports: str = IMPORTS["from"], value: int = 1) -> str:
    """A method with neighbours; its reference."""
    (folder / "package/deep").mkdir(parents=True)  # `package` has no __init__.py
    (folder / "package/deep/__init__.py").write_text("")
    (folder / "package/deep/leaf.py").write_text(f"from helper import VALUE\nLEAF = {value}\n")
    (folder / "helper.py").write_text(f"VALUE = {value}\n")
    (folder / "first.py").write_text("from helper import VALUE\n")
    (folder / "circle.py").write_text("import mine\nVALUE = 1\n")
    (folder / "late.py").write_text("import json, numpy\nOFFSET = 0.5\n")
    (folder / "mine.py").write_text(MINE.format(imports=imports))
    return f"{folder / 'mine.py'}:Mine"


@pytest.mark.skipif(not CASE.exists(), reason="the shared cases are not here")
def test_the_case(invoke: Invoke, tmp_path: Path) -> None:
    shutil.copytree(CASE, tmp_path / "case")
    words = ["--methods", PIXEL, "--dataset", "case/own2.py:Own2", "--data-root", "case/data"]
    outcome = invoke("plan", *words, "--preset", "smoke")
    assert outcome.code == 0 and "own/a" in outcome.out


@pytest.mark.parametrize("kind", IMPORTS)
def test_every_kind_of_import_finds_the_neighbour(tmp_path: Path, kind: str) -> None:
    method = registry.load_method(write(tmp_path / kind, IMPORTS[kind]))
    assert method.value == 1  # type: ignore[attr-defined]


def test_two_plug_ins_have_a_helper_each_and_nobody_else_has_one(tmp_path: Path) -> None:
    before = list(sys.path)
    references = [write(tmp_path / str(number), value=number) for number in (1, 2)]
    first, second = (registry.load_method(reference) for reference in references)
    assert (first.value, second.value) == (1, 2)  # type: ignore[attr-defined]
    assert importlib.util.find_spec("helper") is None and "helper" not in sys.modules
    assert sys.path == before


def test_a_neighbour_hides_an_installed_module_from_its_own_plug_in_only(tmp_path: Path) -> None:
    reference = write(tmp_path / "plug", "import tabulate, json\nVALUE = tabulate.OURS")
    (tmp_path / "plug/tabulate.py").write_text("OURS = 3\n")
    (tmp_path / "plug/json.py").write_text("raise RuntimeError('the standard library first')\n")
    (tmp_path / "plug/numpy").mkdir()  # a folder of data is no package
    assert registry.load_method(reference).value == 3  # type: ignore[attr-defined]
    assert "tabulate" not in sys.modules or not hasattr(sys.modules["tabulate"], "OURS")
    assert sys.modules["json"] is json


@pytest.mark.parametrize("executor", ["serial", "local"])
def test_late_imports_work_in_every_process(toy: Toy, tmp_path: Path, executor: str) -> None:
    write(tmp_path / "plug")
    words = ["--methods", "../plug/mine.py:Mine", *toy.arguments("a"), "--preset", "smoke"]
    work = tmp_path / "work"
    work.mkdir()
    process = spawn("run", *words, "--no-timing", "--json", "--executor", executor, cwd=work)
    out, err = process.communicate(timeout=240)
    assert process.returncode == 0, err
    assert json.loads(out)[0]["status"] == "done"
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
    write(tmp_path / "plug", imports)
    words = [*toy.arguments("a"), "--preset", "smoke"]
    message = the_error(invoke("plan", "--methods", "plug/mine.py:Mine", *words), 2)
    assert expected in message and "adbench_plugin" not in message
    assert "plug/mine.py:Mine could not be imported" in message


def test_file_names_that_are_no_identifiers(tmp_path: Path) -> None:
    reference = write(tmp_path / "plug", "from .helper import VALUE")
    for name in ("v1.2.py", "my-method.py", "class.py"):
        path = tmp_path / "plug" / name
        path.write_text((tmp_path / "plug/mine.py").read_text())
        assert registry.load_method(f"{path}:Mine").value == 1  # type: ignore[attr-defined]
    assert registry.load_method(reference) is registry.load_method(reference)
