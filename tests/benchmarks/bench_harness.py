"""What the harness itself costs: planning, each trivial cell, and what `local` gains. A script.

    python tests/benchmarks/bench_harness.py plan            1,800 cells planned
    python tests/benchmarks/bench_harness.py overhead        milliseconds per trivial cell, serial
    python tests/benchmarks/bench_harness.py throughput      local on 2 slots against serial

`overhead` counts all that `adbench run` does for a cell (claim, decode, fit, predict, metrics,
record) with a method that does almost nothing; what it takes to start Python and import torch is
left out by running a few cells first. `throughput` compares CPU-bound cells, one thread each.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).parents[1] / "support"))

from toy import PIXEL, TOY_CARD, Toy, write_toy  # noqa: E402

from adbench.api import execute, pending_cells  # noqa: E402
from adbench.crew.reporter import Reporter  # noqa: E402
from adbench.request import Request


def plan(folder: Path) -> None:
    """4 data sets x 9 categories x 10 variants x 5 seeds: the grid of the design, 1,800 cells."""
    categories = tuple(f"category_{i}" for i in range(9))
    references = []
    for number in range(4):
        own = folder / f"data{number}"
        write_toy(own, categories)
        plugin = own / "plugin.py"
        plugin.write_text(TOY_CARD.replace('"toy"', f'"toy{number}"'))
        (own / "toy").rename(own / f"toy{number}")
        (folder / "root").mkdir(exist_ok=True)
        (folder / "root" / f"toy{number}").symlink_to(own / f"toy{number}")
        references.append(f"{plugin}:Toy")
    noise = "|".join(str(i / 10) for i in range(10))
    request = Request(
        f"{PIXEL}[noise={noise}]", tuple(references), preset="smoke", seeds="0-4",
        data_root=folder / "root", results=folder / "results", cache_folder=folder / "cache",
    )  # fmt: skip
    for label in ("no digest known", "digests known"):
        began = time.perf_counter()
        planned = request.plan()
        selected = time.perf_counter()
        pending = pending_cells(planned, request.store(), "failed")
        ended = time.perf_counter()
        assert len(planned.cells) == len(pending) == 1800
        print(
            f"plan, {label}: {len(planned.cells)} cells in {selected - began:.2f} s, "
            f"with keys and a look at the results folder {ended - began:.2f} s"
        )


def overhead(folder: Path, cells: int) -> None:
    """Seconds per trivial cell, after a few that pay for the imports."""
    toy = write_toy(folder / "data")
    execute_all(toy, folder, "warm", "0-1", "image_size=16")
    began = time.perf_counter()
    execute_all(toy, folder, "counted", f"0-{cells // 2 - 1}", "image_size=16")
    each = (time.perf_counter() - began) / (cells // 2 * 2)
    print(f"overhead: {1000 * each:.1f} ms per trivial cell over {cells // 2 * 2} cells, serial")


def throughput(folder: Path, cells: int, steps: int) -> None:
    """The same CPU-bound cells serial and on two slots."""
    toy = write_toy(folder / "data", ("a",), side=64)
    work = f"image_size=256,steps={steps}"
    took = {}
    for name in ("serial", "local"):
        began = time.perf_counter()
        execute_all(toy, folder, name, f"0-{cells - 1}", work, executor=name, slots=2)
        took[name] = time.perf_counter() - began
    gain = took["serial"] / took["local"]
    print(
        f"throughput: {cells} cells, serial {took['serial']:.1f} s, local on 2 slots "
        f"{took['local']:.1f} s (with the start of its workers): {gain:.2f} x"
    )


def execute_all(
    toy: Toy, folder: Path, name: str, seeds: str, settings: str, **options: Any
) -> None:
    """Run a grid of the trivial method into a results folder of its own."""
    request = Request(
        f"{PIXEL}[{settings}]", (toy.reference,), preset="smoke", seeds=seeds,
        data_root=toy.folder, results=folder / name, cache_folder=folder / "cache",
        timing=False, keep_model=False, **options,
    )  # fmt: skip
    result = execute(request, request.plan(), Reporter())
    assert result.exit_code == 0 and result.reused == 0


def main() -> None:
    """Run what was asked for."""
    parser = argparse.ArgumentParser()
    parser.add_argument("what", nargs="*", default=["plan", "overhead", "throughput"])
    parser.add_argument("--cells", type=int, default=60)
    parser.add_argument("--steps", type=int, default=20_000)
    options = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    for what in options.what:
        with tempfile.TemporaryDirectory() as name:
            if what == "plan":
                plan(Path(name))
            elif what == "overhead":
                overhead(Path(name), options.cells)
            else:
                throughput(Path(name), options.cells, options.steps)


if __name__ == "__main__":
    main()
