"""The Python interface: the same runs as the command line, as pandas DataFrames."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from adbench.report.tables import frame, rows
from adbench.reporter import Reporter
from adbench.request import Request
from adbench.session import execute
from adbench.store.folders import Store
from adbench.store.newest import latest

if TYPE_CHECKING:
    import pandas as pd


def run(
    methods: str,
    dataset: str | Sequence[str],
    *,
    preset: str = "paper",
    seeds: str | int = "0",
    scope: str | None = None,
    data_root: str | Path | None = None,
    results: str | Path = "results",
    overrides: Sequence[str] = (),
    limit: int | None = None,
    mask_rule: str = "nearest",
    mask_threshold: int | None = None,
    device: str = "auto",
    cache: str | Path | None = None,
    overwrite: Literal["never", "failed", "timing", "all"] = "failed",
    timing: bool = True,
    executor: str = "serial",
    slots: int | None = None,
    time_limit: float | None = None,
) -> pd.DataFrame:
    """Run a grid and give its rows, one per method, category (or `mean`) and seed.

    Arguments have the names and the language of the command line; `overrides` is `--set`.
    Metrics are fractions, NaN where undefined; `status` is done, failed or skipped; `skill` is
    NaN where it is not known whether a network learned. Finished cells are reused. `time_limit` is
    in seconds; a cell that it stops has no row, and the same call goes on with it. Executors other
    than "serial" start processes of their own, which need no `if __name__ == "__main__"`.

    Raises `adbench.errors.AdbenchError` for wrong arguments or missing data; a cell that fails
    becomes a row with status failed.

    Example:
        >>> import adbench
        >>> table = adbench.run(
        ...     "adbench.testing:PixelGaussian", "synthetic", preset="smoke", results=folder
        ... )
        >>> bool(table.query("category == 'mean'")["image_auroc"].between(0, 1).all())
        True
        >>> len(adbench.load_results(folder)) == len(table)
        True
    """
    request = Request(
        methods=methods,
        datasets=(dataset,) if isinstance(dataset, str) else tuple(dataset),
        preset=preset,
        seeds=str(seeds),
        scope=scope,
        data_root=Path(data_root) if data_root is not None else None,
        results=Path(results),
        overrides=tuple(overrides),
        limit=limit,
        mask_rule=mask_rule,
        mask_threshold=mask_threshold,
        device=device,
        cache_folder=Path(cache) if cache is not None else None,
        overwrite=overwrite,
        timing=timing,
        executor=executor,
        slots=slots,
        time_limit=time_limit,
    )
    result = execute(request, request.plan(), Reporter())
    return frame(rows(record for _, record in result.records))


def load_results(results: str | Path = "results") -> pd.DataFrame:
    """The rows of all cells in a results folder, the newest record of each cell.

    Columns as those of `run`. An absent or empty folder gives an empty DataFrame.
    """
    return frame(rows(latest(Store(Path(results)).records())))
