"""Shared by all tests: a private cache, the toy data set, the command line."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
import warm
from toy import Invoke, Outcome, Toy, write_toy

if "PYTEST_XDIST_WORKER_COUNT" in os.environ:  # cores are shared: nobody's threads wait spinning
    threads = (os.cpu_count() or 1) // int(os.environ["PYTEST_XDIST_WORKER_COUNT"])
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, threads)))
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


@pytest.fixture(scope="session", autouse=True)
def _no_process_left() -> Iterator[None]:
    yield
    warm.stop()


@pytest.fixture(autouse=True)
def _private_folders(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> Iterator[None]:
    """No test reads the user's cache or data; the rendered synthetic set is shared."""
    base = tmp_path_factory.getbasetemp()  # of a worker: one folder below what all share
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    monkeypatch.setenv("ADBENCH_CACHE", str(shared / "cache"))
    monkeypatch.delenv("ADBENCH_DATA", raising=False)
    yield


@pytest.fixture
def toy(tmp_path: Path) -> Toy:
    """A fresh toy data set."""
    return write_toy(tmp_path / "data")


@pytest.fixture
def invoke(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> Invoke:
    """Run `adbench ARGUMENTS` in this process, in an empty working folder, as a user would."""
    monkeypatch.chdir(tmp_path)

    def call(*arguments: str) -> Outcome:
        from adbench.cli import main

        monkeypatch.setattr(sys, "argv", ["adbench", *arguments])
        capsys.readouterr()
        code = 0
        try:
            main()
        except SystemExit as stop:
            code = stop.code if isinstance(stop.code, int) else int(stop.code is not None)
        captured = capsys.readouterr()
        return Outcome(code, captured.out, captured.err)

    return call


@pytest.fixture(scope="session")
def shared_models() -> Iterator[None]:
    """For tests that use `fits.fit_once`: one thread, with which tiny tensors are quickest and
    all fits give the same bits, and each frozen backbone built once."""
    import torch

    from adbench.methods import features

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(features, "FeatureExtractor", cache(features.FeatureExtractor))
        yield
    torch.set_num_threads(threads)
