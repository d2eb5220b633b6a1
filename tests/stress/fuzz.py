"""Try many hostile inputs on every fuzz target (tests/fuzz) and count them.

    python tests/stress/fuzz.py --count 100000
    python tests/stress/fuzz.py --count 5000 --only records --seed 7

Prints a line a target; a failing input is printed (with --shrink as small as it can be made, which
may take minutes), the other targets go on, and the exit code is 1.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
import traceback
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / "fuzz"), str(HERE.parent / "support")]

from targets import TARGETS, Target  # noqa: E402

BATCH = 1_000
"""Inputs per call of hypothesis, which remembers all that it has drawn."""


def fuzz(target: Target, count: int, folder: Path, seed: int, shrink: bool) -> tuple[int, bool]:
    """Up to `count` inputs; gives how many were tried, and whether all passed."""
    done = batch = 0
    while done < count:
        try:
            start = seed * 10_000 + batch
            tried = target.run(min(BATCH, count - done), folder, start=start, shrink=shrink)
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt):
                raise
            traceback.print_exc()
            return done, False
        if tried == 0:
            break
        done, batch = done + tried, batch + 1
    return done, True


def main() -> int:
    """Run all targets, or the chosen one."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--count", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", help="part of a target's name")
    parser.add_argument("--shrink", action="store_true")
    options = parser.parse_args()
    chosen = [t for t in TARGETS if not options.only or options.only in t.name]
    shares = sum(t.share for t in chosen)
    total, sound = 0, True
    with tempfile.TemporaryDirectory() as folder:
        os.environ["ADBENCH_CACHE"] = str(Path(folder) / "cache")
        for number, target in enumerate(chosen):
            began = time.monotonic()
            count = max(1, round(options.count * target.share / shares))
            done, passed = fuzz(
                target, count, Path(folder) / str(number), options.seed, options.shrink
            )
            seconds = time.monotonic() - began
            total, sound = total + done, sound and passed
            verdict = "no traceback, no hang, no foreign write" if passed else "FAILED"
            print(f"{target.name:24s} {done:7,d} inputs {seconds:7.1f} s  {verdict}", flush=True)
    print(f"{'total':24s} {total:7,d} inputs")
    return 0 if sound else 1


if __name__ == "__main__":
    sys.exit(main())
