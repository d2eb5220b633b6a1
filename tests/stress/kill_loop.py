"""Kill a grid with SIGKILL at random instants, run it again to the end, compare the tables.

    python tests/stress/kill_loop.py --kills 20
    python tests/stress/kill_loop.py --kills 3 --methods lafite,patchcore --dataset synthetic

Each round starts a grid in a fresh results folder, kills it once at an instant drawn uniformly
over the time that the undisturbed grid took, and runs the same command until it exits 0. It then
checks that the rows equal those of the undisturbed grid and that no cell that was finished at
the kill was run again. Prints a line a round and a summary; exit 1 when a round differs.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

COMMAND = [sys.executable, "-m", "adbench.cli"]


def rows(arguments: list[str], results: Path) -> tuple[list[dict[str, Any]], str]:
    """Run the grid to its end; its rows without what legitimately differs, and stderr."""
    command = [*COMMAND, "run", *arguments, "--results", str(results), "--json"]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        raise SystemExit(f"the grid ended with {done.returncode}:\n{done.stderr}")
    table = json.loads(done.stdout)
    return [{k: v for k, v in row.items() if k != "created"} for row in table], done.stderr


def finished(results: Path) -> dict[str, int]:
    """Record files and their modification times."""
    return {p.as_posix(): p.stat().st_mtime_ns for p in results.glob("cells/*/record-*.json")}


def kill_once(arguments: list[str], results: Path, after: float) -> bool:
    """Start the grid and kill it after some seconds; False when it had ended before."""
    command = [*COMMAND, "run", *arguments, "--results", str(results)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        process.wait(timeout=after)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGKILL)
        process.wait()
        return True
    return False


def main() -> int:
    """Run the loop."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--methods", default="adbench.testing:PixelGaussian[steps=8,step_seconds=0.02,noise=0.5]"
    )
    parser.add_argument("--dataset", default="synthetic")
    parser.add_argument("--data-root", default=None)
    parser.add_argument("--seeds", default="0-1")
    parser.add_argument("--limit", default="8")
    options = parser.parse_args()
    arguments = [
        "--methods", options.methods, "--dataset", options.dataset, "--preset", "smoke",
        "--seeds", options.seeds, "--limit", options.limit, "--no-timing",
        "--checkpoint-every", "0",
    ]  # fmt: skip
    if options.data_root:
        arguments += ["--data-root", options.data_root]
    draw = random.Random(options.seed)
    bad = killed = 0
    with tempfile.TemporaryDirectory() as folder:
        rows(arguments, Path(folder) / "warm")  # renders data, fills the caches
        began = time.monotonic()
        expected, _ = rows(arguments, Path(folder) / "reference")
        length = time.monotonic() - began
        print(f"undisturbed: {len(expected)} rows in {length:.1f} s", flush=True)
        for number in range(1, options.kills + 1):
            results = Path(folder) / "killed"
            shutil.rmtree(results, ignore_errors=True)
            after = draw.uniform(0.1, length)
            killed += kill_once(arguments, results, after)
            before = finished(results)
            table, _ = rows(arguments, results)
            redone = [p for p, t in before.items() if finished(results).get(p) != t]
            same = table == expected
            bad += not same or bool(redone)
            print(
                f"{number:3d}: killed after {after:.2f} s with {len(before)} cells finished; "
                f"table {'identical' if same else 'DIFFERS'}, {len(redone)} cells redone",
                flush=True,
            )
    print(f"{options.kills} rounds, {killed} killed mid-way, {bad} bad")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
