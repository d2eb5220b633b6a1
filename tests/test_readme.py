"""What the README and the examples say is true and runs."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from reference_table import reference_table
from toy import Invoke, Toy

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()


def test_the_table_holds_the_numbers_of_the_reference_records() -> None:
    assert reference_table() in README, "python tests/support/reference_table.py writes it anew"


@pytest.mark.parametrize("name", ["mean_image.py", "own_parts.py"])
def test_the_readme_shows_the_example_files_as_they_are(name: str) -> None:
    source = (ROOT / "examples" / name).read_text().rstrip()
    assert f"```python\n{source}\n```" in README


def test_the_example_method_runs_on_the_example_data_set(invoke: Invoke, toy: Toy) -> None:
    (toy.folder / "own_parts").symlink_to(toy.root, target_is_directory=True)
    outcome = invoke(
        "run", "--methods", f"{ROOT}/examples/mean_image.py:MeanImage", "--preset", "smoke",
        "--dataset", f"{ROOT}/examples/own_parts.py:OwnParts", "--data-root", str(toy.folder),
    )  # fmt: skip
    assert outcome.code == 0, outcome.err
    assert "mean_image" in outcome.out and "mean of 2" in outcome.out


def test_every_option_that_the_readme_names_exists(invoke: Invoke) -> None:
    helps = "".join(
        invoke(*shlex.split(command), "--help").out
        for command in (
            "run",
            "plan",
            "report",
            "predict",
            "runs",
            "prune",
            "select",
            "selected",
            "gate",
            "cite",
            "data verify",
            "doctor",
        )  # fmt: skip
    )
    for option in sorted(set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", README))):
        assert option in helps, f"README names {option}"


def test_every_module_in_the_map_of_the_house_exists() -> None:
    picture = README.split("## How it is built")[1].split("A cell is one")[0]
    for name in re.findall(r"\b([a-z_]+\.py)\b", picture):
        assert (ROOT / "adbench" / name).is_file(), name
