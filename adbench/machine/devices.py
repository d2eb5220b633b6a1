"""Which device and precision a run uses, and how they are called in records."""

from __future__ import annotations

import platform
from contextlib import suppress
from pathlib import Path
from typing import Literal

from adbench.errors import UsageError

Precision = Literal["fp32", "bf16"]


def choose_device(requested: str = "auto") -> str:
    """A torch device string; `auto` is the first CUDA device, else the CPU.

    From then on a product of float32 numbers is one on it: see `exact_float32`.

    Raises `UsageError` for a device that torch does not know or does not find.
    """
    import torch

    exact_float32()
    if requested == "auto":
        return "cuda:0" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(requested)
    except RuntimeError:
        raise UsageError(f"unknown device {requested!r}: expected auto, cpu or cuda:N") from None
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise UsageError(
            f"--device {requested}: {torch.cuda.device_count()} CUDA devices are visible; "
            "`adbench doctor` says why, `--device cpu` runs without one"
        )
    if device.type not in ("cpu", "cuda"):
        raise UsageError(f"--device {requested}: expected auto, cpu or cuda:N")
    return str(device)


def choose_precision(device: str) -> Precision:
    """bf16 where autocast to bfloat16 has hardware behind it on `device`, else fp32."""
    if device.startswith("cuda"):
        import torch

        with torch.cuda.device(device):  # of this one, and without emulation, which is slow
            return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp32"
    return "bf16" if {"amx_bf16", "avx512_bf16"} & cpu_flags() else "fp32"


def exact_float32() -> None:
    """Switch off TF32, which torch's convolutions use on CUDA by default: ten bits of mantissa.

    Features, SSIM, smoothing and whatever else is computed in fp32 then agrees with a CPU. What is
    to be fast is computed in bf16.
    """
    import torch

    cudnn, matmul = torch.backends.cudnn, torch.backends.cuda.matmul
    if hasattr(cudnn, "conv"):  # torch 2.9 and later, where the old switch warns
        for place in (cudnn.conv, cudnn.rnn, matmul):
            setattr(place, "fp32_precision", "ieee")  # noqa: B010 (its stubs know none)
    else:
        cudnn.allow_tf32 = matmul.allow_tf32 = False


def device_name(device: str) -> str:
    """The hardware's marketing name."""
    if device.startswith("cuda"):
        import torch

        return torch.cuda.get_device_name(device)
    return cpu_name()


def cpu_name() -> str:
    """The processor's name, or the architecture where the system does not tell."""
    return _cpuinfo("model name") or platform.processor() or platform.machine()


def cpu_flags() -> set[str]:
    """Instruction-set flags as Linux spells them; empty elsewhere."""
    return set(_cpuinfo("flags").split())


def synchronise(device: str) -> None:
    """Wait for the work queued on `device`."""
    if device.startswith("cuda"):
        import torch

        torch.cuda.synchronize(device)


def gpu_visible() -> bool:
    """Whether an NVIDIA driver shows a GPU; asked without importing torch."""
    return any(Path("/proc/driver/nvidia/gpus").glob("*")) or Path("/dev/nvidia0").exists()


def gpu_models() -> list[str]:
    """Names of the GPUs that an NVIDIA driver tells of, sorted, each once."""
    found = set()
    for path in Path("/proc/driver/nvidia/gpus").glob("*/information"):
        with suppress(OSError):
            lines = path.read_text(errors="replace").splitlines()
            found |= {line.partition(":")[2].strip() for line in lines if line.startswith("Model")}
    return sorted(found)


def _cpuinfo(field: str) -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            name, _, value = line.partition(":")
            if name.strip() == field:
                return value.strip()
    except OSError:
        return ""
    return ""
