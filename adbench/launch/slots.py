"""What each worker of one machine may use: a GPU, and a set of cores that no other slot has."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from adbench.errors import UsageError
from adbench.machine.threads import usable_cores

CORES_PER_SLOT = 4
"""On a machine without a GPU: more threads per cell gain little, more cells cost memory."""

_THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS")


@dataclass(frozen=True)
class Slot:
    """One worker's share. `gpu` is an entry for CUDA_VISIBLE_DEVICES, or None."""

    gpu: str | None
    cores: tuple[int, ...]

    def environment(self) -> dict[str, str]:
        """The variables of the worker's process: as many threads as cores, one visible GPU."""
        own = {}
        for name in _THREADS:
            asked = os.environ.get(name, "")
            fewer = asked.isdecimal() and 0 < int(asked) < len(self.cores)
            own[name] = asked if fewer else str(len(self.cores))
        if self.gpu is not None:
            own["CUDA_VISIBLE_DEVICES"] = self.gpu
        return {**os.environ, **own}


def make_slots(count: int | None, device: str) -> list[Slot]:
    """Slots for `--device` on this machine.

    Args:
        count: how many; None: one per GPU, or one per `CORES_PER_SLOT` cores (two at least,
            where there are two cores). More than GPUs share them in turn.
        device: "auto", "cpu" or "cuda:N".

    Raises `UsageError` for a GPU that is not there.
    """
    gpus = _gpus_for(device)
    cores = usable_cores()
    by_cores = max(min(2, len(cores)), len(cores) // CORES_PER_SLOT)
    number = count if count is not None else (len(gpus) or by_cores)
    return [
        Slot(gpus[i % len(gpus)] if gpus else None, share)
        for i, share in enumerate(_shares(cores, number))
    ]


def check_devices(count: int, device: str) -> None:
    """Raise `UsageError` where `--fit-devices` cannot be had with `--device`."""
    if importlib.util.find_spec("accelerate") is None:
        raise UsageError(
            "--fit-devices needs the package accelerate, which is not installed: "
            "pip install 'adbench-diffusion[accelerate]'"
        )
    gpus = [] if device == "cpu" else visible_gpus()
    if device == "cpu" or (device == "auto" and not gpus):
        cores = os.cpu_count() or 1
        if count > cores:
            raise UsageError(f"--fit-devices {count}: expected at most {cores}, the CPU's cores")
    elif device not in ("auto", "cuda", "cuda:0"):
        raise UsageError(
            f"--fit-devices {count} with --device {device}: expected cuda:0, the first of the "
            "visible devices; CUDA_VISIBLE_DEVICES chooses which are visible"
        )
    elif count > len(gpus):
        raise UsageError(f"--fit-devices {count}: {len(gpus)} CUDA devices are visible")


def whole_machine() -> Slot:
    """One slot with all that this process may use."""
    return Slot(None, tuple(usable_cores()))


def visible_gpus(environment: Mapping[str, str] = os.environ) -> list[str]:
    """What CUDA_VISIBLE_DEVICES may name, found without importing torch."""
    chosen = environment.get("CUDA_VISIBLE_DEVICES")
    found = _installed_gpus()
    if chosen is None or not found:
        return found
    names = [name.strip() for name in chosen.split(",")]
    stop = next((i for i, name in enumerate(names) if name in ("", "-1")), len(names))
    return names[:stop]  # CUDA itself stops at the first that is none


def _installed_gpus() -> list[str]:
    tool = shutil.which("nvidia-smi")
    if tool is not None:
        listed = subprocess.run([tool, "-L"], capture_output=True, text=True, timeout=60)
        count = sum(line.startswith("GPU ") for line in listed.stdout.splitlines())
    else:
        count = sum(bool(re.fullmatch(r"nvidia\d+", p.name)) for p in Path("/dev").glob("nvidia*"))
    return [str(i) for i in range(count)]


def _gpus_for(device: str) -> list[str]:
    if device == "cpu":
        return []
    gpus = visible_gpus()
    if device == "auto":
        return gpus
    index = device.removeprefix("cuda").removeprefix(":") or "0"
    if not device.startswith("cuda") or not index.isdecimal():
        raise UsageError(f"unknown device {device!r}: expected auto, cpu or cuda:N")
    if int(index) >= len(gpus):
        raise UsageError(
            f"--device {device}: {len(gpus)} CUDA devices are visible; "
            "`adbench doctor` says why, `--device cpu` runs without one"
        )
    return [gpus[int(index)]]


def _shares(cores: Sequence[int], count: int) -> list[tuple[int, ...]]:
    """`count` parts that are disjoint while there is a core for each."""
    if count > len(cores):
        return [(cores[i % len(cores)],) for i in range(count)]
    bounds = [len(cores) * i // count for i in range(count + 1)]
    return [tuple(cores[a:b]) for a, b in zip(bounds, bounds[1:], strict=False)]
