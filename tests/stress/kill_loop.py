"""Kill a grid with SIGKILL at random instants, run it again to the end, compare the tables.

    python tests/stress/kill_loop.py --count 100
    python tests/stress/kill_loop.py --count 70 --executor local
    python tests/stress/kill_loop.py --count 30 --executor ray
    python tests/stress/kill_loop.py --count 3 --methods lafite,patchcore --dataset synthetic

Each round starts a grid in a fresh results folder, kills a process once at an instant drawn
uniformly over the time that the undisturbed grid took (so that it may hit planning, fit, predict,
score, writing or the report), and runs the same command until it exits 0. For `local` the victim is
the launcher or, half of the time, one of its workers; for `ray` the launcher or a process that it
has started. It then checks that the rows equal those of an undisturbed serial grid, that no cell
that was finished at the kill was run again, and that nothing but results is left behind. Prints a
line a round and a summary; exit 1 when a round differs.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).resolve().parents[1] / "support"))

from warm import Warm, stop  # noqa: E402

ATTEMPTS = 3
"""Runs after a kill: a killed worker is a failed cell, which the next run makes good."""
DIFFER = ("created", "seconds", "undisturbed")
"""In each run."""


def rows(arguments: list[str], results: Path) -> list[dict[str, Any]]:
    """Run the grid to its end; its rows, and those along its trainings, without what legitimately
    differs."""
    for _ in range(ATTEMPTS):
        process = Warm(["run", *arguments, "--results", str(results), "--json"], Path.cwd())
        out, err = process.communicate()
        if process.returncode == 0:
            points = Warm(
                ["report", "--snapshots", "--results", str(results), "--json"], Path.cwd()
            )
            both = json.loads(out) + json.loads(points.communicate()[0])
            return [{k: v for k, v in row.items() if k not in DIFFER} for row in both]
    raise SystemExit(f"the grid ended with {process.returncode}:\n{err}")


def finished(results: Path) -> dict[str, int]:
    """Record files and their modification times."""
    return {p.as_posix(): p.stat().st_mtime_ns for p in results.glob("cells/*/record-*.json")}


def stage(results: Path) -> str:
    """What was going on, by what lies about."""
    if list(results.glob("tables/*")):
        return "report"
    for claim in results.glob("cells/*/claim.*"):
        folder = claim.parent
        if not (folder / "model").is_dir():
            return "fit"
        has_chunks = any(p.is_dir() and p.name != "model" for p in folder.iterdir())
        return "score or write" if has_chunks else "predict"
    return "between cells" if list(results.glob("cells/*")) else "start"


def left_behind(results: Path) -> list[str]:
    """Claims and temporary files of cells that are done."""
    cells = results / "cells"
    return [p.name for p in [*cells.glob("*/claim.*"), *cells.glob("*/.*.tmp")]]


def descendants(pid: int) -> list[int]:
    """Pids below a process."""
    try:
        listed = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        return []
    return [p for child in map(int, listed) for p in (child, *descendants(child))]


def kill_once(
    arguments: list[str], results: Path, after: float, draw: random.Random, workers: bool
) -> str:
    """Start the grid and kill it, or a process below it, after some seconds; says whom."""
    process = Warm(["run", *arguments, "--results", str(results)], Path.cwd())
    try:
        process.wait(timeout=after)
        return "nobody"
    except subprocess.TimeoutExpired:
        below = descendants(process.pid) if workers and draw.random() < 0.5 else []
        victim = draw.choice(below) if below else process.pid
        try:
            os.kill(victim, signal.SIGKILL)
        except ProcessLookupError:
            return "nobody"
        if victim != process.pid:
            time.sleep(0.5)  # the launcher sees it; then it goes too, or the grid would just end
            process.kill()
        process.wait()
        return "worker" if below else "launcher"


def main() -> int:
    """Run the loop."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--count", "--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--executor", default="serial")
    parser.add_argument("--slots", default="2")
    parser.add_argument(
        "--methods", default="adbench.testing:PixelGaussian[steps=8,step_seconds=0.02,noise=0.5]"
    )
    parser.add_argument("--dataset", default="synthetic")
    parser.add_argument("--data-root", default=None)
    parser.add_argument("--seeds", default="0-1")
    parser.add_argument("--limit", default="8")
    options = parser.parse_args()
    serial = [
        "--methods", options.methods, "--dataset", options.dataset, "--preset", "smoke",
        "--seeds", options.seeds, "--limit", options.limit, "--no-timing",
        "--checkpoint-every", "0", "--snapshots", "4",
    ]  # fmt: skip
    if options.data_root:
        serial += ["--data-root", options.data_root]
    arguments = [*serial, "--executor", options.executor]
    spawns = options.executor != "serial"
    if spawns:
        arguments += ["--slots", options.slots]
    draw = random.Random(options.seed)
    bad = 0
    victims: Counter[str] = Counter()
    stages: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as folder:
        expected = rows(serial, Path(folder) / "reference")  # renders data, fills the caches
        began = time.monotonic()
        same = rows(arguments, Path(folder) / "undisturbed") == expected
        length = time.monotonic() - began
        bad += not same
        print(f"undisturbed: {len(expected)} rows in {length:.1f} s, equal: {same}", flush=True)
        for number in range(1, options.count + 1):
            results = Path(folder) / "killed"
            shutil.rmtree(results, ignore_errors=True)
            after = draw.uniform(0.1, length)
            victim = kill_once(arguments, results, after, draw, spawns)
            before, where = finished(results), stage(results)
            table = rows(arguments, results)
            redone = [p for p, t in before.items() if finished(results).get(p) != t]
            litter = left_behind(results)
            same = table == expected
            bad += not same or bool(redone) or bool(litter)
            victims[victim] += 1
            stages[where] += victim != "nobody"
            print(
                f"{number:3d}: {victim} killed after {after:.2f} s at {where}, with {len(before)} "
                f"cells finished; table {'identical' if same else 'DIFFERS'}, {len(redone)} cells "
                f"redone{', left behind: ' + ', '.join(litter) if litter else ''}",
                flush=True,
            )
    stop()
    hit = ", ".join(f"{count} at {name}" for name, count in stages.most_common())
    killed = options.count - victims["nobody"]
    print(f"{options.executor}: {options.count} rounds, {killed} killed mid-way ({hit}), {bad} bad")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
