"""A data set of 100,000 tiny images through verify, cache, predict and metrics, in bounded memory.

    python tests/stress/many_images.py
    python tests/stress/many_images.py --images 5000 --side 16

Writes an MVTec-layout set of one category (half for training, a tenth of all with a defect) into a
temporary folder, then does each stage in a process of its own. Prints its peak resident memory and
milliseconds per image; exit 1 where a stage needs more than --limit-gb.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

STAGES = ("verify", "plan", "cache", "fit and predict", "metrics", "whole run", "rerun", "report")
METHOD = "adbench.testing:PixelGaussian"

PLUGIN = """
from adbench.contracts import DatasetCard
from adbench.datasets.mvtec_layout import MVTEC_TREE, MVTecLayout


class Many(MVTecLayout):
    card = DatasetCard(
        name="many", title="Many", licence="CC0", page="none", citation="", layout=MVTEC_TREE,
        directory_names=("many",), categories={},
    )
"""


def png(pixels: bytes, side: int, colours: int) -> bytes:
    """A PNG of side x side pixels with 1 (grey) or 3 (RGB) bytes each, made by hand for speed."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        check = zlib.crc32(kind + body).to_bytes(4, "big")
        return len(body).to_bytes(4, "big") + kind + body + check

    width = side * colours
    rows = b"".join(b"\0" + pixels[i * width : (i + 1) * width] for i in range(side))
    size = side.to_bytes(4, "big")
    header = size + size + bytes([8, 2 if colours == 3 else 0, 0, 0, 0])
    data = zlib.compress(rows, 1)
    parts = chunk(b"IHDR", header), chunk(b"IDAT", data), chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def write_set(folder: Path, images: int, side: int) -> None:
    """The data set and its plug-in file below `folder`."""
    import numpy as np

    rng = np.random.default_rng(0)
    root = folder / "many" / "part"
    counts = {("train", "good"): images // 2, ("test", "hole"): images // 10}
    counts["test", "good"] = images - sum(counts.values())
    for (split, kind), count in counts.items():
        (root / split / kind).mkdir(parents=True)
        if kind == "hole":
            (root / "ground_truth" / kind).mkdir(parents=True)
        for number in range(count):
            pixels = rng.integers(100, 140, (side, side, 3), dtype=np.uint8)
            if kind == "hole":
                mask = np.zeros((side, side), np.uint8)
                top, left = rng.integers(0, side - 4, 2)
                mask[top : top + 4, left : left + 4] = 255
                pixels[mask > 0] += 30
                file = root / "ground_truth" / kind / f"{number:06d}_mask.png"
                file.write_bytes(png(mask.tobytes(), side, 1))
            (root / split / kind / f"{number:06d}.png").write_bytes(png(pixels.tobytes(), side, 3))
    (folder / "many.py").write_text(PLUGIN)


def run_stage(stage: str, folder: Path, side: int) -> Iterator[None]:
    """Do one stage; the process that calls this does nothing else. Yields where its work begins."""
    import os

    os.chdir(folder)
    os.environ["ADBENCH_CACHE"] = str(folder / "cache")
    from adbench.request import Request
    from adbench.session import execute

    request = Request(
        methods=f"{METHOD}[image_size={side}]", datasets=("many.py:Many",), preset="smoke",
        data_root=folder, device="cpu", timing=False,
    )  # fmt: skip
    if stage == "verify":
        from adbench.cli.catalogue import verify

        yield
        try:
            verify("many.py:Many", folder, False, side, "nearest", None, True)
        except SystemExit as end:
            assert not end.code, end.code
    elif stage in ("plan", "whole run", "rerun"):
        from adbench.reporter import Reporter

        yield
        plan = request.plan()
        assert len(plan.cells) == 1 and plan.cells[0].score_key
        if stage != "plan":
            result = execute(request, plan, Reporter())
            assert result.exit_code == 0 and result.reused == (stage == "rerun")
    elif stage == "report":
        from adbench.report.folder import report_text

        yield
        text = report_text(folder / "results", "terminal", {})
        (folder / "report.txt").write_text(text)
    else:
        yield
        _stage_of_a_cell(stage, request, folder)


def _stage_of_a_cell(stage: str, request: Any, folder: Path) -> None:
    from adbench.cell.predicting import predict_missing
    from adbench.cell.scoring import ground_truth_notes, image_columns, score_categories
    from adbench.data.images import load_images, load_masks
    from adbench.plan import AUPRO_LIMITS
    from adbench.store.predictions import PredictionChunks, chunk_bounds

    (cell,) = request.plan().cells
    cache, geometry = request.open_cache(), cell.build().geometry
    train, test = (cell.data.split(cell.categories, split) for split in ("train", "test"))
    chunks = PredictionChunks(folder / "maps", chunk_bounds([s.category for s in test]))
    masks = load_masks(cell.data.root, test, geometry, rule="nearest", threshold=0, cache=cache)
    if stage == "cache":
        for samples in (train, test):
            load_images(cell.data.root, samples, geometry, cache)
    elif stage == "fit and predict":
        from adbench.contracts import Context
        from adbench.store.checkpoint import FileCheckpoint

        checkpoint = FileCheckpoint(folder / "checkpoint.pt", 60.0)
        context = Context("cpu", "fp32", 0, checkpoint, cache)
        method = cell.build().fit(load_images(cell.data.root, train, geometry, cache), context)
        images = load_images(cell.data.root, test, geometry, cache)
        assert list(predict_missing(lambda: method, images, chunks))[-1] == len(test)
    elif stage == "metrics":
        metrics = score_categories(test, chunks, masks, AUPRO_LIMITS)
        assert metrics["part"]["pixel_auroc"] is not None
        assert len(image_columns(test, chunks)["score"]) == len(test)
        ground_truth_notes(test, masks)


def peak_bytes() -> int:
    """Peak resident memory of this process."""
    from adbench.machine.memory import PeakMemory

    return PeakMemory.__new__(PeakMemory).host_bytes()


def measure(
    stage: str, folder: Path, side: int, command: Callable[..., list[str]]
) -> dict[str, float]:
    """Peak bytes and seconds of a stage in a process of its own."""
    words = command("--stage", stage, "--folder", str(folder), "--side", str(side))
    done = subprocess.run(words, capture_output=True, text=True)
    if done.returncode != 0:
        raise SystemExit(f"{stage} failed:\n{done.stderr}")
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def main() -> int:
    """Write the set and measure each stage, or do one stage."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--images", type=int, default=100_000)
    parser.add_argument("--side", type=int, default=16)
    parser.add_argument("--limit-gb", type=float, default=2.0)
    parser.add_argument("--stage", choices=STAGES, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--json", action="store_true", help="print one JSON document instead")
    options = parser.parse_args()
    if options.stage:
        work = run_stage(options.stage, options.folder, options.side)
        next(work)
        base, began = peak_bytes(), time.monotonic()
        next(work, None)
        seconds = time.monotonic() - began
        print("\n" + json.dumps({"base": base, "peak": peak_bytes(), "seconds": seconds}))
        return 0
    found = {}
    with tempfile.TemporaryDirectory() as name:
        began = time.monotonic()
        write_set(Path(name), options.images, options.side)
        if not options.json:
            print(f"wrote {options.images:,} images in {time.monotonic() - began:.0f} s")
        for stage in STAGES:
            found[stage] = measure(
                stage, Path(name), options.side, lambda *w: [sys.executable, __file__, *w]
            )
            if not options.json:
                print(_line(stage, found[stage], options.images), flush=True)
    if options.json:
        print(json.dumps(found))
    worst = max(f["peak"] for f in found.values())
    return int(worst > options.limit_gb * 1e9)


def _line(stage: str, found: dict[str, float], images: int) -> str:
    peak, base, seconds = found["peak"] / 1e6, found["base"] / 1e6, found["seconds"]
    return (
        f"{stage:16s} peak RSS {peak:7.0f} MB (imports {base:.0f} MB) {seconds:7.1f} s "
        f"{1e3 * seconds / images:7.3f} ms/image"
    )


if __name__ == "__main__":
    sys.exit(main())
