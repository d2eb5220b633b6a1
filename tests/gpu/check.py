"""Does every method work on this machine's GPU, and what does it cost there? A few minutes.

    python3 tests/gpu/check.py                              # all methods, at most 7.5 minutes
    python3 tests/gpu/check.py lafite drdc --minutes 3 --out FOLDER
    python3 tests/gpu/check.py --wheels FOLDER              # with packages that this python lacks

It needs a checkout and nothing else, no network either: images are drawn, backbones have random
weights, and packages may come as wheels. On a machine with a network, for one with Python 3.12:

    get="python3 -m pip download -d FOLDER --only-binary=:all: --python-version 3.12 \
        --platform manylinux_2_28_x86_64 --platform manylinux2014_x86_64"
    $get pydantic; $get --no-deps diffusers importlib-metadata faiss-cpu    # and what else it lacks

Each method has its share of the time, in a process of its own. FOLDER/METHOD.json is written anew
after each slice, so that what is cut off costs that slice alone:

agreement   a `smoke` model fitted on the CPU, and its maps there and on the device, both in fp32
ranking     models fitted on the device in bf16 and in fp32: rank correlation of all pixels
resume      a training that was cut off and goes on, against one that was not
paper       the `paper` network: 20 steps and a prediction, with seconds and peak memory

and for `faiss` whether its neighbours on the device are those on the CPU. A slice says whether it
`passed` and by what. Nothing here says that a method detects anything.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
import tomllib
import traceback
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
MINUTES = 7.5
PAPER_STEPS = 20
MEAN_DIFFERENCE = 1e-3
"""Largest mean difference between the maps of two devices, in parts of the maps' range. A mean: the
masks of TransFusion are thresholded, and one that rounds to the other side moves a pixel far."""
RANK_CORRELATION = 0.9
"""Least one between bf16 and fp32."""
MORE_THAN_REPEATED = 10
"""Times the difference of two equal trainings, at most, is a resumed one off: no difference where
kernels are deterministic."""

Slice = dict[str, Any]


def main(arguments: list[str] | None = None) -> int:
    """Check what was asked for; 1 where a slice did not pass."""
    options = parse(arguments)
    if options.wheels:
        add_wheels(options.wheels)
    options.out.mkdir(parents=True, exist_ok=True)
    if options.worker:
        check_method(options.worker, options.out, options.device, options.tiny)
        return 0
    names = options.methods or [*references(), "faiss"]
    end = time.monotonic() + 60 * options.minutes
    for place, name in enumerate(names):
        share = (end - time.monotonic()) / (len(names) - place)
        run_apart(name, options, max(0.0, share))
    return report(names, options.out)


def parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("methods", nargs="*", help="default: all of the checkout, and faiss")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--minutes", type=float, default=MINUTES, help="for all together")
    parser.add_argument("--out", type=Path, default=Path("gpu-check"), help="folder of the JSON")
    parser.add_argument("--wheels", type=Path, help="folder of wheels to be used")
    parser.add_argument("--tiny", action="store_true", help="`smoke` networks in place of `paper`")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    return parser.parse_args(arguments)


def references() -> dict[str, str]:
    """Every method's name and class: those of the checkout, which need not be installed."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return dict(project["entry-points"]["adbench.methods"])


def add_wheels(folder: Path) -> None:
    """Unpack them where this process and those it starts find them."""
    site = tempfile.mkdtemp(prefix="wheels-")
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-index", "--no-deps"]
    subprocess.run([*pip, "--target", site, *map(str, sorted(folder.glob("*.whl")))], check=True)
    sys.path.insert(0, site)
    os.environ["PYTHONPATH"] = os.pathsep.join([site, os.environ.get("PYTHONPATH", "")])


def run_apart(name: str, options: argparse.Namespace, seconds: float) -> None:
    """Check one method in a process that ends within so many seconds."""
    file = options.out / f"{name}.json"
    file.unlink(missing_ok=True)
    command = [sys.executable, __file__, "--worker", name, "--device", options.device]
    command += ["--out", str(options.out), *(["--tiny"] if options.tiny else [])]
    try:
        code = subprocess.run(command, timeout=seconds).returncode
        failure = f"the process ended with {code}" if code else None
    except subprocess.TimeoutExpired:
        failure = f"cut off after its share of the time, {seconds:.0f} s"
    if failure:
        found = json.loads(file.read_text()) if file.exists() else {}
        write(file, found | {"process": {"passed": False, "failure": failure}})


def report(names: list[str], folder: Path) -> int:
    """A line for each slice."""
    passed = True
    for name in names:
        for part, found in json.loads((folder / f"{name}.json").read_text()).items():
            passed &= found["passed"]
            numbers = ", ".join(f"{k} {v}" for k, v in found.items() if k != "passed")
            print(f"{'ok' if found['passed'] else 'FAILED':7}{name:12} {part:10} {numbers}"[:400])
    return 0 if passed else 1


def write(file: Path, found: dict[str, Slice]) -> None:
    """Whole or not at all."""
    beside = file.with_suffix(".tmp")
    beside.write_text(json.dumps(found, indent=1) + "\n")
    beside.replace(file)


# ---------------------------------------------------------------------------------- one method


def check_method(name: str, folder: Path, device: str, tiny: bool) -> None:
    """All slices of a method, each written when it is done."""
    sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "support")]
    from adbench.machine.devices import choose_device, device_name

    device = choose_device(device)
    found: dict[str, Slice] = {}
    with tempfile.TemporaryDirectory() as work:
        slices = (
            faiss_slices(device) if name == "faiss" else Checks(name, device, Path(work)).all(tiny)
        )
        for part, check in slices:
            began = time.monotonic()
            try:
                result = check()
            except Exception as error:  # the next slice may pass
                place = traceback.format_exc().splitlines()[-4:]
                result = {"passed": False, "failure": repr(error)[:300], "where": place}
            seconds = {"slice_seconds": round(time.monotonic() - began, 1)}
            found[part] = result | seconds | {"device": device_name(device)}
            write(folder / f"{name}.json", found)


class Checks:
    """The slices of one method on `device`; models and weights are kept in `work`."""

    def __init__(self, name: str, device: str, work: Path) -> None:
        from adbench.registry import load_method

        self.method = load_method(f"adbench.methods.{references()[name].split('methods.')[-1]}")
        self.device, self.work = device, work

    def all(self, tiny: bool) -> Iterator[tuple[str, Callable[[], Slice]]]:
        """In the order of their price."""
        yield "agreement", self.agreement
        yield "ranking", self.ranking
        yield "resume", self.resume
        yield "paper", lambda: self.paper("smoke" if tiny else "paper", 2 if tiny else PAPER_STEPS)

    def agreement(self) -> Slice:
        """Maps of one model on the CPU and on the device."""
        import numpy as np

        fitted = self.build("smoke").fit(self.images("smoke"), context("cpu"))
        (self.work / "model").mkdir()
        fitted.save(self.work / "model")
        images = self.images("smoke", anomalous=True)
        loaded = self.build("smoke").load(self.work / "model", context(self.device))
        here, there = fitted.predict(images).maps, loaded.predict(images).maps
        difference = np.abs(here - there) / max(float(np.ptp(here)), 1e-30)
        mean = float(difference.mean())
        return {
            "passed": mean <= MEAN_DIFFERENCE,
            "mean_difference": mean,
            "largest_difference": float(difference.max()),
            "tolerance": MEAN_DIFFERENCE,
        }

    def ranking(self) -> Slice:
        """How a model that learned and predicts in bf16 ranks the pixels that fp32 has scored."""
        from scipy.stats import spearmanr

        maps = []
        for precision in ("fp32", "bf16"):
            own = replace(context(self.device), precision=precision)
            fitted = self.build("smoke").fit(self.images("smoke"), own)
            maps.append(fitted.predict(self.images("smoke", anomalous=True)).maps.ravel())
        found = float(spearmanr(*maps).statistic)
        return {
            "passed": found >= RANK_CORRELATION,
            "rank_correlation": found,
            "tolerance": RANK_CORRELATION,
        }

    def resume(self) -> Slice:
        """What a training learns that is cut off after its second state and goes on."""
        from fits import MemoryCheckpoint

        images = self.images("smoke")

        def learned(checkpoint: Any = None) -> dict[str, Any]:
            own = replace(context(self.device), checkpoint=checkpoint or MemoryCheckpoint())
            tensors = self.build("smoke").fit(images, own).learned()
            return {name: tensor.detach().cpu().clone() for name, tensor in tensors.items()}

        whole, again, dying = learned(), learned(), MemoryCheckpoint(dies_at=2)
        try:
            learned(dying)
        except InterruptedError:
            resumed = learned(MemoryCheckpoint(state=dying.state))
        else:
            return {"passed": True, "trained": False}
        repeated, off = largest_difference(whole, again), largest_difference(whole, resumed)
        return {
            "passed": off <= MORE_THAN_REPEATED * repeated,
            "resumed_difference": off,
            "repeated_difference": repeated,
        }

    def paper(self, preset: str, steps: int) -> Slice:
        """What a few steps and one prediction cost."""
        marks: list[tuple[int, float]] = []

        def progress(stage: str, done: int, total: int, **numbers: Any) -> None:
            if stage == "training":
                marks.append((done, time.monotonic()))

        method = self.build(preset, steps)
        own = replace(context(self.device, auto=True), progress=progress)
        reset_peak(self.device)
        began = time.monotonic()
        method.fit(self.images(preset), own)
        fitted = {"fit_seconds": time.monotonic() - began, "fit_peak_gb": peak_gb(self.device)}
        if len(marks) > 1:
            (first, start), (last, end) = marks[-2:]
            fitted["step_seconds"] = (end - start) / max(1, last - first)
        images = self.images(preset, anomalous=True)[:2]
        method.predict(images)  # pays for what is made once
        reset_peak(self.device)
        began = time.monotonic()
        maps = method.predict(images).maps
        return {
            "passed": bool((maps == maps).all()),
            "preset": preset,
            "precision": own.precision,
            "parameters": method.num_parameters(),
            **fitted,
            "predict_seconds_an_image": (time.monotonic() - began) / len(images),
            "predict_peak_gb": peak_gb(self.device),
        }

    def build(self, preset: str, steps: int | None = None) -> Any:
        """The method, with random weights of its backbone."""
        from adbench.hyperparameters import build_hyperparameters

        fields = self.method.Hyperparameters.model_fields
        chosen: dict[str, Any] = {
            n: steps for n in ("steps", "base_steps") if steps and n in fields
        }
        if "backbone" in fields:
            backbone = {n: f.default for n, f in fields.items()} | dict(self.method.presets[preset])
            chosen["weights"] = random_weights(backbone["backbone"], self.work)
        return self.method(build_hyperparameters(self.method, preset, chosen))

    def images(self, preset: str, anomalous: bool = False) -> Any:
        """Drawn ones: of training, or half of them with a dark square."""
        from fits import make_images

        size = self.build(preset).geometry.size
        return make_images(8, size, seed=1, anomalous=4) if anomalous else make_images(16, size)


def faiss_slices(device: str) -> Iterator[tuple[str, Callable[[], Slice]]]:
    """Neighbours on the device and on the CPU."""

    def neighbours() -> Slice:
        import faiss
        import torch

        from adbench.methods.neighbours import NeighbourSearch

        generator = torch.Generator().manual_seed(0)
        bank = torch.randn(20_000, 64, generator=generator)
        queries = torch.randn(5_000, 64, generator=generator)
        (here, own), (there, other) = (
            NeighbourSearch(bank, d)(queries, 5) for d in ("cpu", device)
        )
        same = float((own == other.cpu()).float().mean())
        off = float((here - there.cpu()).abs().max())
        return {
            "passed": same > 0.9999 and off < 1e-4,
            "same_neighbours": same,
            "largest_difference": off,
            "on_gpu": hasattr(faiss, "StandardGpuResources") and device != "cpu",
        }

    yield "neighbours", neighbours


# -------------------------------------------------------------------------------------- helpers


def context(device: str, auto: bool = False) -> Any:
    """A context in memory; fp32, or the precision that runs would choose."""
    from fits import make_context

    from adbench.machine.devices import choose_precision

    return replace(
        make_context(), device=device, precision=choose_precision(device) if auto else "fp32"
    )


def random_weights(backbone: str, folder: Path) -> str:
    """A file of them, the same each time."""
    import timm
    import torch

    file = folder / f"{backbone}.pth"
    if not file.exists():
        torch.manual_seed(0)
        torch.save(timm.create_model(backbone, pretrained=False).state_dict(), file)
    return str(file)


def largest_difference(some: dict[str, Any], others: dict[str, Any]) -> float:
    """Between tensors of one name, in parts of the largest value of each."""
    off = 0.0
    for name, tensor in some.items():
        if tensor.numel():
            size = max(float(tensor.abs().max()), 1e-30)
            off = max(off, float((tensor.double() - others[name].double()).abs().max()) / size)
    return off


def reset_peak(device: str) -> None:
    if device != "cpu":
        import torch

        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)


def peak_gb(device: str) -> float | None:
    """Of tensors on the device since `reset_peak`; None on a CPU."""
    if device == "cpu":
        return None
    import torch

    return round(torch.cuda.max_memory_allocated(device) / 1e9, 2)


if __name__ == "__main__":
    sys.exit(main())
