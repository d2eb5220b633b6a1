"""Peak memory of a stretch of work, on the host and on a CUDA device."""

from __future__ import annotations

import resource
import sys
from pathlib import Path


class PeakMemory:
    """Measures from construction on.

    On Linux the kernel's high-water mark is reset first; elsewhere it is that of the process.
    """

    def __init__(self, device: str) -> None:
        self._device = device
        try:
            Path("/proc/self/clear_refs").write_text("5")
        except OSError:
            pass  # not Linux, or not allowed: the mark then covers the whole process
        if device.startswith("cuda"):
            import torch

            torch.cuda.reset_peak_memory_stats(device)

    def host_bytes(self) -> int:
        """Peak resident set size of this process in bytes."""
        try:
            for line in Path("/proc/self/status").read_text().splitlines():
                if line.startswith("VmHWM:"):
                    return int(line.split()[1]) * 1024
        except OSError:
            pass  # not Linux: the portable call below
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak if sys.platform == "darwin" else peak * 1024

    def device_bytes(self) -> int | None:
        """Peak bytes of tensors on the CUDA device, or None on the CPU."""
        if not self._device.startswith("cuda"):
            return None
        import torch

        return int(torch.cuda.max_memory_allocated(self._device))
