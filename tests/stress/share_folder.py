"""Several `adbench run` on one results folder: every cell exactly once, the same table for all.

    python tests/stress/share_folder.py --runs 2 --cells 200
    python tests/stress/share_folder.py --runs 8 --cells 200 --executor local

Counts, over all runs, how often each cell was begun and how often it was finished, by the lines
that runs print. Exit 1 when a cell was begun or finished other than once, or a table differs.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).resolve().parents[1] / "support"))

from warm import Warm, stop  # noqa: E402

LINE = re.compile(r"^\[ *\d+/\d+ +\d+%\] (.+?): (.+)$", re.MULTILINE)


def start(arguments: list[str], results: Path) -> Warm:
    """One of the runs."""
    words = ["run", *arguments, "--results", str(results), "--json"]
    return Warm(words, Path.cwd(), {**os.environ, "OMP_NUM_THREADS": "1"})


def numbers(table: str) -> list[dict[str, Any]]:
    """The rows without what legitimately differs."""
    return [{k: v for k, v in row.items() if k != "created"} for row in json.loads(table)]


def main() -> int:
    """Run them all."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--runs", type=int, default=2)
    parser.add_argument("--cells", type=int, default=200)
    parser.add_argument("--dataset", default="synthetic:gear")
    parser.add_argument("--data-root", default=None)
    parser.add_argument("--executor", default="serial")
    options = parser.parse_args()
    arguments = [
        "--methods", "adbench.testing:PixelGaussian[noise=0.5]", "--dataset", options.dataset,
        "--preset", "smoke", "--seeds", f"0-{options.cells - 1}", "--limit", "8", "--no-timing",
        "--executor", options.executor,
    ]  # fmt: skip
    if options.data_root:
        arguments += ["--data-root", options.data_root]
    with tempfile.TemporaryDirectory() as folder:
        began = time.monotonic()
        runs = [start(arguments, Path(folder) / "results") for _ in range(options.runs)]
        ends = [run.communicate() for run in runs]
        took = time.monotonic() - began
        left = list((Path(folder) / "results").glob("cells/*/claim.*"))
    stop()
    codes = [run.returncode for run in runs]
    begun: Counter[str] = Counter()
    done: Counter[str] = Counter()
    for _, err in ends:
        for title, text in LINE.findall(err):
            (begun if text == "started" else done)[title] += 1
    tables = {json.dumps(numbers(out)) for out, _ in ends if out}
    odd = [t for t in {*begun, *done} if begun[t] != 1 or done[t] != 1]
    shares = [len(LINE.findall(err)) // 2 for _, err in ends]
    good = (
        codes == [0] * options.runs
        and len(begun) == options.cells
        and not odd
        and len(tables) == 1
        and not left
    )
    print(
        f"{options.runs} runs, {options.cells} cells in {took:.1f} s: exit codes {codes}, cells a "
        f"run {shares}, {len(odd)} not exactly once, {len(tables)} different tables, "
        f"{len(left)} claims left: {'good' if good else 'BAD'}"
    )
    if not good:
        print(*odd[:10], *(err for _, err in ends), sep="\n", file=sys.stderr)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
