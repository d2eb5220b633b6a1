"""`run --log tensorboard|mlflow|wandb`: losses while a cell trains, then its scores and a picture.

Each cell is a run of the tool's own. Where the tool writes is its own affair (MLFLOW_TRACKING_URI,
WANDB_MODE and so on); where it says nothing, below `logs/` of the results folder.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from adbench.crew.reporter import Reporter
from adbench.errors import AdbenchError
from adbench.plan import Cell
from adbench.request import Request
from adbench.store.records import Record, mean_metrics
from adbench.text import say

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

POINTS = 200
"""Of a loss over one training: more than a curve shows, and few enough for any server."""


class Run(Protocol):
    """A cell in a tool."""

    def numbers(self, values: Mapping[str, float], step: int) -> None:
        """Points of curves."""

    def picture(self, name: str, pixels: NDArray[np.uint8]) -> None:
        """An image (H, W, 3)."""

    def end(self, failed: bool) -> None:
        """Nothing more will come."""


Begin = Callable[[str, Mapping[str, Any], Sequence[str], Path], Run]
"""From a name, settings, tags and the folder for what has no place."""


class _TensorBoard:
    def __init__(self, name: str, config: Mapping[str, Any], tags: Sequence[str], at: Path) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self._writer: Any = SummaryWriter(str(at / "tensorboard" / _plain(name)))
        rows = [f"| {n} | {value} |" for n, value in {**config, "tags": ", ".join(tags)}.items()]
        self._writer.add_text("settings", "\n".join(["| name | value |", "|---|---|", *rows]))

    def numbers(self, values: Mapping[str, float], step: int) -> None:
        for name, value in values.items():
            self._writer.add_scalar(name, value, step)

    def picture(self, name: str, pixels: NDArray[np.uint8]) -> None:
        self._writer.add_image(name, pixels, dataformats="HWC")

    def end(self, failed: bool) -> None:
        self._writer.close()


class _MLflow:
    def __init__(self, name: str, config: Mapping[str, Any], tags: Sequence[str], at: Path) -> None:
        from mlflow import MlflowClient

        local = None
        if not os.environ.get("MLFLOW_TRACKING_URI"):
            # Files need no server and no database; MLflow 3 wants to be told that one means it.
            os.environ.setdefault("MLFLOW_ALLOW_FILE_STORE", "true")
            (at / "mlflow").mkdir(parents=True, exist_ok=True)
            local = (at / "mlflow").resolve().as_uri()
        self._client: Any = MlflowClient(tracking_uri=local)
        title = os.environ.get("MLFLOW_EXPERIMENT_NAME", "adbench")
        found = self._client.get_experiment_by_name(title)
        place = found.experiment_id if found else self._client.create_experiment(title)
        own = self._client.create_run(place, run_name=name, tags=dict.fromkeys(tags, "true"))
        self._id = own.info.run_id
        for key, value in config.items():
            self._client.log_param(self._id, _plain(key), str(value)[:500])

    def numbers(self, values: Mapping[str, float], step: int) -> None:
        for name, value in values.items():
            self._client.log_metric(self._id, _plain(name), value, step=step)

    def picture(self, name: str, pixels: NDArray[np.uint8]) -> None:
        self._client.log_image(self._id, pixels, f"{_plain(name)}.png")

    def end(self, failed: bool) -> None:
        self._client.set_terminated(self._id, "FAILED" if failed else "FINISHED")


class _WandB:
    def __init__(self, name: str, config: Mapping[str, Any], tags: Sequence[str], at: Path) -> None:
        import wandb

        at.mkdir(parents=True, exist_ok=True)
        self._run: Any = wandb.init(
            project=os.environ.get("WANDB_PROJECT", "adbench"), name=name, config=dict(config),
            tags=[tag[:64] for tag in tags], dir=str(at), reinit="create_new",
            settings=wandb.Settings(silent=True),
        )  # fmt: skip
        # Stages have steps of their own: none is the run's.
        self._run.define_metric("*", step_metric="step")

    def numbers(self, values: Mapping[str, float], step: int) -> None:
        self._run.log({**values, "step": step})

    def picture(self, name: str, pixels: NDArray[np.uint8]) -> None:
        import wandb

        self._run.log({name: wandb.Image(pixels)})

    def end(self, failed: bool) -> None:
        self._run.finish(exit_code=int(failed))


TOOLS: dict[str, Begin] = {"tensorboard": _TensorBoard, "mlflow": _MLflow, "wandb": _WandB}
"""By the word of `--log`, which is the package's name too: what begins a cell's run."""


def _plain(name: str) -> str:
    """A name that every tool takes, for a file as well."""
    return re.sub(r"[^\w\-. /]", "_", name)


class LoggingReporter(Reporter):
    """Tells another reporter all that it hears, and the tools what they are for.

    A tool that fails is said and left alone from then on: no training ends for it.
    """

    def __init__(self, inner: Reporter, request: Request) -> None:
        self._inner, self._results, self._note = inner, request.results, request.note
        self._tags, self._tools = request.tags, list(request.log)
        self._runs: dict[int, dict[str, Run]] = {}

    def cell_started(self, cell: Cell, number: int, total: int) -> None:
        self._inner.cell_started(cell, number, total)
        if id(cell) in self._runs or not total:  # it is timed again, at the end
            return
        config = {**cell.hyperparameters.canonical(), **_facts(cell)}
        config |= {} if self._note is None else {"note": self._note}
        name = f"{cell.title} · {cell.preset}".replace("/", ":")
        runs = self._runs[id(cell)] = {}

        def begin(tool: str) -> None:
            runs[tool] = TOOLS[tool](name, config, self._tags, self._results / "logs")

        self._each(list(self._tools), begin)

    def progress_of(self, cell: Cell) -> Callable[..., None]:
        tell, shown = self._inner.progress_of(cell), dict[str, int]()

        def progress(stage: str, done: int, total: int, **numbers: float) -> None:
            tell(stage, done, total, **numbers)
            part = done * POINTS // max(1, total)
            if numbers and shown.get(stage) != part:
                shown[stage] = part
                own = {f"{stage}/{name}": float(value) for name, value in numbers.items()}
                self._numbers(cell, own, done)

        return progress

    def cell_finished(self, cell: Cell, record: Record, number: int, total: int) -> None:
        self._inner.cell_finished(cell, record, number, total)
        for point in record.snapshots:
            along = {f"along/{n}": v for n, v in _flat(point["metrics"]).items()}
            self._numbers(cell, along, point["step"])
        self._numbers(cell, _scores(record), 0)
        if record.status == "done" and self._runs.get(id(cell)):
            for category in record.identity["categories"]:
                self._picture(cell, record, category)
        self._end(cell, failed=record.status == "failed")

    def cell_left(self, cell: Cell, number: int, total: int, why: str) -> None:
        self._inner.cell_left(cell, number, total, why)
        self._end(cell, failed=True)

    def waiting(self, count: int) -> None:
        self._inner.waiting(count)

    def timing(self, count: int) -> None:
        self._inner.timing(count)

    def close(self) -> None:
        """End what an interrupt has left open."""
        for runs in self._runs.values():
            self._all(runs, lambda run: run.end(True))
        self._runs.clear()

    def _numbers(self, cell: Cell, values: Mapping[str, float], step: int) -> None:
        self._tell(cell, lambda run: run.numbers(values, step))

    def _picture(self, cell: Cell, record: Record, category: str) -> None:
        try:
            pixels = _sheet(cell, record, category, self._results)
        except AdbenchError as error:  # the images are gone, or the maps
            say(f"warning: --log: no picture of {category}: {error}")
            return
        if pixels is not None:
            self._tell(cell, lambda run: run.picture(f"maps/{category}", pixels))

    def _end(self, cell: Cell, *, failed: bool) -> None:
        self._tell(cell, lambda run: run.end(failed))
        self._runs.pop(id(cell), None)

    def _tell(self, cell: Cell, what: Callable[[Run], None]) -> None:
        self._all(self._runs.get(id(cell), {}), what)

    def _all(self, runs: Mapping[str, Run], what: Callable[[Run], None]) -> None:
        self._each(list(runs), lambda tool: what(runs[tool]))

    def _each(self, tools: Sequence[str], do: Callable[[str], None]) -> None:
        for tool in tools:
            try:
                if tool in self._tools:
                    do(tool)
            except Exception as error:  # theirs, a server's or a disk's: no reason to stop training
                self._tools.remove(tool)
                reason = " ".join(f"{type(error).__name__}: {error}".split())
                say(f"warning: --log {tool} failed and is left alone from here on: {reason}")


@contextmanager
def logged(reporter: Reporter, request: Request) -> Iterator[Reporter]:
    """A reporter that tells the tools of a request too."""
    if not request.log:
        yield reporter
        return
    found = LoggingReporter(reporter, request)
    try:
        yield found
    finally:
        found.close()


def _facts(cell: Cell) -> dict[str, Any]:
    return {
        "method": cell.method.card.name,
        "variant": cell.variant,
        "preset": cell.preset,
        "dataset": cell.data.name,
        "categories": ", ".join(cell.categories),
        "scope": cell.scope,
        "seed": cell.seed,
        "key": cell.score_key,
    }


def _flat(metrics: Mapping[str, Mapping[str, float | None]]) -> dict[str, float]:
    """Metrics with their category before them, and the mean over several; the defined ones."""
    mean = mean_metrics(metrics)[0] if len(metrics) > 1 else {}
    found = {f"mean/{name}": value for name, value in mean.items()}
    found |= {f"{c}/{name}": value for c, own in metrics.items() for name, value in own.items()}
    return {name: value for name, value in found.items() if value is not None}


def _scores(record: Record) -> dict[str, float]:
    found = _flat(record.metrics)
    if record.skill.get("value") is not None:
        found["skill"] = record.skill["value"]
    if "fit" in record.timing:
        found["seconds/fit"] = record.timing["fit"]["seconds"]
    if record.timing.get("inference"):
        found["seconds/image"] = record.timing["inference"]["seconds_per_image"]["median"]
    return found


def _sheet(cell: Cell, record: Record, category: str, results: Path) -> NDArray[np.uint8] | None:
    """Telling images of a category with their masks and maps, as `adbench figures` draws them; None
    where no maps were kept."""
    import io

    import numpy as np
    from PIL import Image

    from adbench.figures.cases import image_scores
    from adbench.figures.pictures import Column, KeptMaps, Subject
    from adbench.figures.sheets import contact_sheet
    from adbench.figures.style import drawing

    subject, maps = Subject(record, cell.data, cell.build), KeptMaps(results, record)
    images = image_scores(record, category)
    if not maps.kept or not images.ids:
        return None
    buffer = io.BytesIO()
    with drawing():
        column = Column(record.method, subject, maps, maps.scale(category), images)
        contact_sheet([column]).savefig(buffer, format="png", dpi=100)
    return np.asarray(Image.open(buffer).convert("RGB"))
