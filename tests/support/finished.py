"""One finished run with all that it leaves, for tests that put something else in a file's place."""

from __future__ import annotations

import contextlib
import re
import shutil
import time
from pathlib import Path

from sandbox import Outcome, call
from toy import PIXEL, Toy, write_toy

RUN = f"run --no-timing --methods {PIXEL} --preset smoke --keep-maps --json"


def words(command: str, toy: Toy) -> list[str]:
    """A command; a run gets its data, and a cache beside the results."""
    more = [*toy.arguments("a"), "--cache", "cache"] if command.startswith("run ") else []
    return [*command.split(), *more]


def numbers(outcome: Outcome) -> str:
    """The scores of a table, without its time."""
    return str(re.findall(r'"(?:image|pixel)_auroc": \S+', outcome.out))


def finish(folder: Path) -> Toy:
    """Results, beside a cache, the table, a baseline and a second results folder."""
    toy = write_toy(folder / "data", ("a",))
    time.sleep(0.2)  # the index remembers what did not change just now
    with contextlib.chdir(folder):
        assert call(*words(RUN.replace("--no-timing ", ""), toy)).code == 0
        Path("table.json").write_text(numbers(call(*words(RUN, toy))))
        assert call("baseline", "save", "sound.json").code == 0
        shutil.copytree("results", "other")
    return toy
