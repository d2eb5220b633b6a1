"""Shared by tests of damage and of strangers."""

from __future__ import annotations

from pathlib import Path

import pytest
from finished import finish
from toy import Toy


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Toy]:
    folder = tmp_path_factory.mktemp("finished")
    return folder, finish(folder / "whole")
