"""The layout that packaging rests on."""

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize("name", ["methods", "datasets"])
def test_inner_packages_are_relative_links(name: str) -> None:
    link = ROOT / "adbench" / name
    assert link.is_symlink(), f"adbench/{name} must be a link to ../{name}; clone with symlinks on"
    assert os.readlink(link) == f"../{name}"


def test_bare_names_are_not_importable_from_an_installed_adbench() -> None:
    import adbench.datasets
    import adbench.methods

    assert adbench.datasets.__name__ == "adbench.datasets"
    assert adbench.methods.__name__ == "adbench.methods"
