"""adbench: trains and scores diffusion anomaly detectors under one protocol.

The names below are the Python interface; the command line is `adbench --help`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from adbench.version import __version__

__all__ = ["__version__", "load_cell", "load_results", "load_scores", "read_map", "run"]

if TYPE_CHECKING:
    from adbench.api import load_cell as load_cell
    from adbench.api import load_results as load_results
    from adbench.api import load_scores as load_scores
    from adbench.api import run as run
    from adbench.store.map_files import read_map as read_map


def __dir__() -> list[str]:
    return sorted(__all__)


def __getattr__(name: str) -> Any:
    # Lazy, so that `adbench --help` does not pay for pandas.
    if name == "read_map":
        from adbench.store.map_files import read_map

        return read_map
    if name in {"load_cell", "load_results", "load_scores", "run"}:
        from adbench import api

        return getattr(api, name)
    raise AttributeError(f"module 'adbench' has no attribute {name!r}")
