"""The Python interface does what its docstring shows."""

from __future__ import annotations

import doctest
from pathlib import Path

import pandas as pd
from toy import PIXEL, Toy

import adbench
from adbench import api


def test_the_docstring_example_holds(tmp_path: Path) -> None:
    finder = doctest.DocTestFinder()
    (example,) = [t for t in finder.find(api.run, globs={"folder": tmp_path / "r"}) if t.examples]
    runner = doctest.DocTestRunner()
    runner.run(example)
    assert runner.summarize().failed == 0 and runner.summarize().attempted >= 3


def test_run_and_load_results_give_the_same_rows(toy: Toy, tmp_path: Path) -> None:
    results = tmp_path / "results"
    ran = adbench.run(
        PIXEL, toy.reference, preset="smoke", seeds="0-1", data_root=toy.folder, results=results,
        overrides=["pixel_gaussian.noise=0.5"], timing=False,
    )  # fmt: skip
    loaded = adbench.load_results(results)
    key = ["category", "seed"]
    assert len(ran) == 6
    pd.testing.assert_frame_equal(
        ran.sort_values(key, ignore_index=True), loaded.sort_values(key, ignore_index=True)
    )


def test_an_absent_results_folder_is_empty(tmp_path: Path) -> None:
    assert adbench.load_results(tmp_path / "none").empty
