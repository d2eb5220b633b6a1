"""What cells will take on this machine: their work, at rates that were measured here before.

Every cell that is run leaves in the cache folder how long each of its stages took, and how much
work that was (`learn`). An estimate goes by what is nearest: the same settings, else others of the
method with work of that order. Where nothing was measured yet, it is the methods' own FLOPs at a
rough rate, and a little for everything that no FLOPs are counted of.

Stages, and what their work is counted in: `decode` and `features` (images, where they are not kept
from before), `fit` and `predict` (FLOPs), `score` (images of 256 x 256), `time` (inference timing)
and `rest` (a cell), `around` (a run: start-up, and tables at the end).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence, Set
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from adbench.data.cache import default_cache_folder
from adbench.data.remembered import add_rows, read_rows
from adbench.errors import StoreError
from adbench.machine.devices import cpu_name, gpu_models, gpu_visible
from adbench.machine.threads import usable_cores
from adbench.plan import Cell
from adbench.store.files import digest

FILE, VERSION = "measured.rates", "1"
CPU_FLOPS_PER_CORE, GPU_FLOPS = 6e10, 4e13
"""Sustained rates to begin with; of trainings with `fast` 4e10 to 8e10 on a core with AMX."""
FIRST_GUESS = {"decode": 0.02, "features": 0.0, "score": 0.02, "rest": 1.0, "around": 8.0}
"""Seconds of one of what is not counted in FLOPs; features count among those of `fit`."""
SECONDS_PER_FIT, SECONDS_PER_IMAGE = 2.0, 0.02
"""Of what a network spends beside FLOPs: imports and batches of a training, one prediction."""
ALIKE = 30.0
"""How many times more work, or less, a rate is taken to hold for."""
TIMING_SECONDS, TIMING_CALLS, LEAST_CALLS = 5.0, 50, 5
"""How long `cell.timing` repeats predictions of an image, and of a batch."""


class Measured(NamedTuple):
    """How long one stage took. `of` is a method, empty where the stage is alike for all."""

    stage: str
    of: str
    settings: str
    work: float
    seconds: float

    @classmethod
    def around(cls, seconds: float) -> Measured:
        """What a run took beside its cells."""
        return cls("around", "", "", 1.0, seconds)


class Conditions(Protocol):
    """What an estimate depends on beside the cells: a `Request`."""

    @property
    def cache_folder(self) -> Path | None:
        """None: the default one."""

    @property
    def device(self) -> str: ...

    @property
    def timing(self) -> bool: ...

    @property
    def snapshots(self) -> int: ...


@dataclass(frozen=True)
class Estimate:
    """Seconds of each cell, by its score key, and of what comes once a run."""

    cells: Mapping[str, float] = field(default_factory=dict)
    around: float = 0.0

    @property
    def total(self) -> float:
        """Of the run; 0 where nothing is to be run."""
        return sum(self.cells.values()) + self.around if self.cells else 0.0


def estimate(cells: Sequence[Cell], conditions: Conditions) -> Estimate:
    """What these cells take one after the other; of those that share a fit, the first trains."""
    rates = Rates.kept(conditions)
    there, found = set(rates.there), {}
    for cell in cells:
        found[cell.score_key] = _cell_seconds(cell, rates, conditions, there)
        there |= {cell.fit_key, *kept_by(cell, "decode"), *kept_by(cell, "features")}
    return Estimate(found, rates.seconds("around", 1.0))


def _cell_seconds(cell: Cell, rates: Rates, conditions: Conditions, there: Set[str]) -> float:
    own, trains = work_of(cell), cell.fit_key not in there
    seconds = {stage: rates.of_cell(cell, stage, own[stage]) for stage in ("predict", "score")}
    if conditions.snapshots > 1 and trains and cell.trains_in_steps:
        seconds = {stage: one * conditions.snapshots for stage, one in seconds.items()}
    if trains:
        seconds["fit"] = rates.of_cell(cell, "fit", own["fit"])
        if not there >= {*kept_by(cell, "features")}:
            seconds["features"] = rates.of_cell(cell, "features", own["features"])
    if not there >= {*kept_by(cell, "decode")}:
        seconds["decode"] = rates.of_cell(cell, "decode", own["decode"])
    if conditions.timing:
        image = rates.of_cell(cell, "predict", own["predict"]) / max(1, images_of(cell, "test"))
        guess = _timing_seconds(image, cell.build().batch_size)
        seconds["time"] = rates.of_cell(cell, "time", 1.0, guess)
    return sum(seconds.values()) + rates.of_cell(cell, "rest", 1.0)


def _timing_seconds(image: float, batch_size: int) -> float:
    """Of `cell.timing.measure_inference`, where an image takes so long to predict."""
    total = 0.0
    for call in {image, image * batch_size}:
        repeats = min(TIMING_CALLS, max(LEAST_CALLS, TIMING_SECONDS / max(call, 1e-9)))
        total += call * (repeats + 2)  # warm-up
    return total + 2 * image  # its FLOPs are counted


def images_of(cell: Cell, split: str) -> int:
    """How many images a cell has of a split."""
    return len(cell.data.split(cell.categories, split))


def work_of(cell: Cell, predicted: int | None = None) -> dict[str, float]:
    """The work of each stage of a cell, in the stage's own unit; of so many `predicted` images,
    by default the test images."""
    num_train, num_test = images_of(cell, "train"), images_of(cell, "test")
    method = cell.build()
    count = num_test if predicted is None else predicted
    return {
        "decode": num_train + num_test,
        "features": num_train,
        "fit": max(1.0, cell.build(to_fit=True).training_flops(num_train)),
        "predict": count * max(1.0, method.inference_flops(num_train)),
        "score": num_test * (method.geometry.size / 256) ** 2,
    }


def kept_by(cell: Cell, stage: str) -> list[str]:
    """Names of what a stage leaves in the cache for the next cell that needs the same."""
    data, parts = cell.data, ["train"] if stage == "features" else ["train", "test"]
    how: Any = asdict(cell.build().geometry)
    if stage == "features":
        how = [cell.method.card.name, settings_of(cell)]
    return [digest([stage, data.digest(cell.categories, part), how])[:24] for part in parts]


def settings_of(cell: Cell) -> str:
    """Equal for cells that differ in data and seed alone."""
    return digest(cell.hyperparameters.canonical())[:12]


def _place(cell: Cell, stage: str) -> tuple[str, str]:
    """Of which method and settings a stage's rate is."""
    if stage == "decode":
        return "", f"{cell.data.name} {cell.build().geometry.resize}"
    return cell.method.card.name, settings_of(cell)


class Rates:
    """What was measured on one kind of device.

    Attributes:
        there: names of what is kept in the cache (`kept_by`).
    """

    def __init__(self, measured: Iterable[Measured], there: Iterable[str], *, gpu: bool) -> None:
        self._gpu, self.there = gpu, frozenset(there)
        self._rows: dict[tuple[str, str], list[Measured]] = {}
        for row in measured:
            self._rows.setdefault((row.stage, row.of), []).append(row)

    @classmethod
    def kept(cls, conditions: Conditions) -> Rates:
        """Those in the cache folder; none where it has none, or they cannot be read."""
        label = machine_label(conditions.device)
        rows: Mapping[str, Any] = {}
        with suppress(StoreError):  # a guess must do
            rows = read_rows((conditions.cache_folder or default_cache_folder()) / FILE, VERSION)
        measured = [
            Measured(*row[1:])
            for row in rows.values()
            if _is_sound(row) and row[0].startswith(label)
        ]
        there = [name for name, row in rows.items() if row == []]
        return cls(measured, there, gpu=label.startswith("cuda"))

    def of_cell(self, cell: Cell, stage: str, work: float, guess: float | None = None) -> float:
        """Seconds of so much work of a cell's stage."""
        of, settings = _place(cell, stage)
        if guess is None and stage == "predict":
            beside = images_of(cell, "test") * SECONDS_PER_IMAGE / (4 if self._gpu else 1)
            guess = beside + self._guess(stage, work)
        return self.seconds(stage, work, of, settings, guess)

    def seconds(
        self, stage: str, work: float, of: str = "", settings: str = "", guess: float | None = None
    ) -> float:
        """By what was measured of the nearest amount of work; a `guess` where nothing was."""
        rows = self._rows.get((stage, of), [])
        same = [row for row in rows if row.settings == settings]
        alike = [row for row in rows if 1 / ALIKE <= work / row.work <= ALIKE]
        found = min(same or alike, key=lambda row: abs(math.log(work / row.work)), default=None)
        if found is None:
            return self._guess(stage, work) if guess is None else guess
        known = min(work, ALIKE * found.work)  # what takes no time in little work may in much
        return found.seconds * known / found.work + self._guess(stage, work - known, more=True)

    def _guess(self, stage: str, work: float, *, more: bool = False) -> float:
        if stage in FIRST_GUESS:
            return FIRST_GUESS[stage] * work
        flops = GPU_FLOPS if self._gpu else CPU_FLOPS_PER_CORE * len(usable_cores())
        return work / flops + (SECONDS_PER_FIT if stage == "fit" and not more else 0.0)


def _is_sound(row: Any) -> bool:
    try:
        label, stage, of, settings, work, seconds = row
    except (TypeError, ValueError):
        return False
    texts = all(isinstance(text, str) for text in (label, stage, of, settings))
    return texts and all(isinstance(n, float) and 0 < n < 1e30 for n in (work, seconds))


def learn(
    folder: Path, device: str, measured: Iterable[Measured], there: Iterable[str] = ()
) -> None:
    """Keep what was measured on a torch device, and what is in the cache now.

    The newest stands for each order of work. Where nothing can be kept, nothing is: an estimate is
    worth no failure.
    """
    label = machine_label(device)
    rows: dict[str, list[Any]] = {name: [] for name in there}
    for row in measured:
        if row.work > 0 and row.seconds > 0:
            name = digest([label, *row[:3], round(math.log10(row.work))])[:24]
            rows[name] = [label, *row[:3], float(row.work), float(row.seconds)]
    with suppress(StoreError):
        add_rows(folder / FILE, VERSION, rows)


def learn_cell(
    folder: Path, device: str, cell: Cell, seconds: Mapping[str, float], predicted: int
) -> None:
    """Keep what the stages of a cell took, of those that did all of their work. `predicted`: how
    many images, snapshots' included, went through the method, and were scored."""
    work = work_of(cell, predicted) | {"time": 1.0, "rest": 1.0}
    work["score"] *= predicted / max(1, images_of(cell, "test"))
    rows = [Measured(s, *_place(cell, s), work[s], taken) for s, taken in seconds.items()]
    learn(folder, device, rows, [*kept_by(cell, "decode"), *kept_by(cell, "features")])


def machine_label(device: str = "auto") -> str:
    """Equal where rates hold; "cuda" alone, where no GPU is seen here, begins all of GPUs."""
    if device.startswith("cuda") or (device == "auto" and gpu_visible()):
        return " ".join(["cuda", *gpu_models()])
    return f"cpu {cpu_name()} x {len(usable_cores())};"
