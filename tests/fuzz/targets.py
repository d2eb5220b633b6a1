"""All fuzz targets: what is drawn, what is checked, and each one's share of a long run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fuzz_baselines import baseline_files, check_baseline
from fuzz_commands import check_call, check_process, command_lines
from fuzz_folders import check_tree, trees
from fuzz_images import check_image, check_mask, image_files, mask_files
from fuzz_names import check_name, names
from fuzz_records import check_record, record_files
from fuzz_splits import check_split, split_files
from fuzz_stored import check_stored, stored_files
from fuzz_words import check_hyperparameters, check_selector, hyperparameters, selectors
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis.strategies import SearchStrategy

Check = Callable[[Any, Path], None]


@dataclass(frozen=True)
class Target:
    """`check(drawn, folder)` raises AssertionError, or anything, for a bug of ours."""

    name: str
    inputs: SearchStrategy[Any]
    check: Check
    share: float
    """Of all inputs of a long run."""
    quick: int
    """Inputs of the test that runs with every change."""

    def run(self, count: int, folder: Path, *, start: int, shrink: bool = False) -> int:
        """Check `count` inputs, or fewer where there are no more; gives how many.

        Raises what the first failing one raised, with `shrink` once it is as small as can be.
        """
        done = 0

        def counted() -> None:
            nonlocal done
            done += 1

        self.test(folder, most=count, start=start, shrink=shrink, begun=counted)()
        return done

    def test(
        self,
        folder: Path,
        *,
        most: int,
        start: int,
        shrink: bool = False,
        begun: Callable[[], None] = lambda: None,
    ) -> Any:
        """A hypothesis test of at most `most` inputs, which calls `begun` before each."""
        folder.mkdir(exist_ok=True)

        @seed(start)
        @settings(
            max_examples=most,
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
            phases=[Phase.generate, *[Phase.shrink] * shrink],
            report_multiple_bugs=False,
        )
        @given(self.inputs)
        def every(drawn: Any) -> None:
            begun()
            self.check(drawn, folder)

        return every


TARGETS = (
    Target("image files", image_files, check_image, 0.26, 150),
    Target("mask files", mask_files, check_mask, 0.13, 100),
    Target("folder trees", trees, check_tree, 0.03, 25),
    Target("split files", split_files, check_split, 0.03, 50),
    Target("records", record_files, check_record, 0.03, 30),
    Target("baselines", baseline_files, check_baseline, 0.02, 15),
    Target("stored files", stored_files, check_stored, 0.16, 150),
    Target("selectors", selectors, check_selector, 0.19, 150),
    Target("hyper-parameters", hyperparameters, check_hyperparameters, 0.10, 80),
    Target("names in tables", names, check_name, 0.03, 30),
    Target("command lines", command_lines, check_call, 0.017, 25),
    Target("command lines, spawned", command_lines, check_process, 0.003, 2),
)
