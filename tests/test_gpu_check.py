"""The script for machines with a GPU, on the CPU and at `smoke` size: it must not rot."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType

import pytest

from adbench.registry import method_names

ROOT = Path(__file__).parents[1]
SCRIPT = ROOT / "tests" / "gpu" / "check.py"


@pytest.fixture
def check(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.setattr(sys, "path", list(sys.path))
    spec = importlib.util.spec_from_file_location("gpu_check", SCRIPT)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_each_name_is_checked_in_a_process_of_its_own(
    check: ModuleType, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    options = ["--device", "cpu", "--tiny", "--minutes", "60", "--out", str(tmp_path)]
    assert check.main(["faiss", *options]) == 0, capfd.readouterr().out
    faiss = json.loads((tmp_path / "faiss.json").read_text())["neighbours"]
    assert faiss["same_neighbours"] == 1 and not faiss["on_gpu"]
    assert "ok     faiss        neighbours" in capfd.readouterr().out


@pytest.mark.parametrize("name", method_names())
def test_every_method_passes_all_slices(check: ModuleType, tmp_path: Path, name: str) -> None:
    check.check_method(name, tmp_path, "cpu", tiny=True)
    found = json.loads((tmp_path / f"{name}.json").read_text())
    assert list(found) == ["agreement", "ranking", "resume", "paper"]
    assert all(part["passed"] for part in found.values()), found
    assert found["agreement"]["largest_difference"] == 0  # a model that is loaded is the same
    assert found["paper"]["fit_seconds"] > 0 and found["paper"]["parameters"] > 0
    if name != "patchcore":
        assert found["resume"]["resumed_difference"] == found["resume"]["repeated_difference"] == 0
        assert found["ranking"]["rank_correlation"] < 1  # bf16 was used


def test_every_method_of_the_checkout_is_checked(check: ModuleType) -> None:
    assert set(check.references()) == set(method_names())


def test_what_is_cut_off_or_fails_is_told_and_costs_that_slice_alone(
    check: ModuleType,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    options = ["--device", "cpu", "--tiny", "--out", str(tmp_path)]
    assert check.main(["uniad", "--minutes", "0.001", *options]) == 1
    assert "cut off after its share of the time" in capsys.readouterr().out

    def broken() -> None:
        raise RuntimeError("on purpose")

    checks = [("first", broken), ("second", lambda: {"passed": True})]
    monkeypatch.setattr(check, "faiss_slices", lambda device: iter(checks))
    check.check_method("faiss", tmp_path, "cpu", tiny=True)
    found = json.loads((tmp_path / "faiss.json").read_text())
    assert "on purpose" in found["first"]["failure"] and found["second"]["passed"]
