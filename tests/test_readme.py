"""What the README and the examples say is true and runs."""

from __future__ import annotations

import re
from pathlib import Path

from reference_table import reference_table
from toy import Invoke, Toy

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()


def test_the_table_holds_the_numbers_of_the_reference_records() -> None:
    assert reference_table() in README, "python tests/support/reference_table.py writes it anew"


def test_every_file_that_it_links_to_exists() -> None:
    links = re.findall(r"\]\(([^)]+)\)", README)
    assert links
    for link in links:
        assert (ROOT / link).is_file(), link


def test_the_example_method_runs_on_the_example_data_set(invoke: Invoke, toy: Toy) -> None:
    (toy.folder / "own_parts").symlink_to(toy.root, target_is_directory=True)
    outcome = invoke(
        "run", "--methods", f"{ROOT}/examples/mean_image.py:MeanImage", "--preset", "smoke",
        "--dataset", f"{ROOT}/examples/own_parts.py:OwnParts", "--data-root", str(toy.folder),
    )  # fmt: skip
    assert outcome.code == 0, outcome.err
    assert "mean_image" in outcome.out and "mean of 2" in outcome.out
