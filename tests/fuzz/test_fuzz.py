"""Some inputs of each fuzz target; `tests/stress/fuzz.py` tries a hundred thousand."""

from __future__ import annotations

from pathlib import Path

import pytest
from targets import TARGETS, Target


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_hostile_input_ends_in_an_answer_or_one_line(target: Target, tmp_path: Path) -> None:
    assert target.run(target.quick, tmp_path / "fuzz", start=0) > 0
