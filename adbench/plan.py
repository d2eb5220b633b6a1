"""Selectors x data x seeds -> cells, each with the three keys that decide what is reused.

fit key      config + training data + the method's code + the kinds of the categories: names the
             cell's folder
predict key  fit key + test images + the hyper-parameters that only prediction reads
score key    predict key + masks + mask rule + metric definitions: names the record
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import cache, cached_property
from pathlib import Path
from typing import Literal

from adbench.code_digest import method_code, modules_digest
from adbench.contracts import (
    JSON,
    CategoryCard,
    DatasetCard,
    Hyperparameters,
    Method,
    Scope,
)
from adbench.data.calibration import CALIBRATION
from adbench.data.selection import DataSelection
from adbench.errors import UnknownNameError, UsageError
from adbench.hyperparameters import build_hyperparameters, shortened_training, variant_name
from adbench.metrics.table import aupro_limits
from adbench.registry import expand_group, load_method, refuse_shared_names
from adbench.selectors import MethodSelector, parse_methods, parse_overrides
from adbench.store.files import digest
from adbench.store.plan_files import PlannedCell
from adbench.store.records import selector_text

MaskRule = Literal["nearest", "area_max"]
MASK_RULES: tuple[MaskRule, ...] = ("nearest", "area_max")
AUPRO_LIMITS = aupro_limits()
SCORE_ONLY = (
    "masks", "mask_rule", "mask_threshold", "aupro_limits", "metrics", "selected", "budget"
)  # fmt: skip
"""Key parts on which no map depends."""


@dataclass(frozen=True)
class Selected:
    """Where a cell has hyper-parameters from that `adbench select` chose."""

    digest: str
    """Of the selection file."""
    names: tuple[str, ...]
    """The hyper-parameters that were chosen."""


@dataclass(frozen=True)
class Budget:
    """What makes a cell a shorter training of another (`--budgets`)."""

    share: float
    """Of the steps."""
    whole: Hyperparameters
    """Those of the other."""


@dataclass(frozen=True)
class Cell:
    """One (method, hyper-parameters, data set, scope, seed): the unit of work and of resuming."""

    reference: str
    method: type[Method]
    preset: str
    hyperparameters: Hyperparameters
    data: DataSelection
    categories: tuple[str, ...]
    scope: Scope
    seed: int
    mask_rule: MaskRule = "nearest"
    selected: Selected | None = None
    budget: Budget | None = None
    fitted_with: Hyperparameters | None = None
    """What to fit with instead, where one model serves cells that differ in more than what only
    prediction reads."""

    @property
    def title(self) -> str:
        """`mpdd/tubes · lafite · seed 1`, for people."""
        where = self.categories[0] if len(self.categories) == 1 else f"{len(self.categories)} cat."
        method = selector_text(self.method.card.name, self.variant)
        return f"{self.data.name}/{where} · {method} · seed {self.seed}"

    @cached_property
    def variant(self) -> str:
        """What differs from the preset, `k=v,k2=v2`; empty for the preset itself.

        Chosen values differ from category to category, and a table has one row for all: they
        show as `selected=`, with the file's digest. A shorter training shows as `budget=`.
        """
        if self.budget is not None:
            own = variant_name(self.method, self.preset, self.budget.whole)
            return ",".join(filter(None, [own, f"budget={self.budget.share:g}"]))
        if self.selected is None:
            return variant_name(self.method, self.preset, self.hyperparameters)
        names = self.selected.names
        own = variant_name(self.method, self.preset, self.hyperparameters, leave_out=names)
        return ",".join(filter(None, [own, f"selected={self.selected.digest[:8]}"]))

    @cached_property
    def identity(self) -> dict[str, JSON]:
        """What the cell is, for records and for finding its earlier runs."""
        return {
            "method": self.method.card.name,
            "hyperparameters": self.hyperparameters.canonical(),
            "dataset": self.data.name,
            "dataset_version": self.data.dataset.card.version,
            "categories": list(self.categories),
            "scope": self.scope,
            "seed": self.seed,
            "limit": self.data.limit,
            **({} if self.data.calibrate is None else {"calibrate": self.data.calibrate}),
            **({} if self.selected is None else {"selected": self.selected.digest}),
            **({} if self.budget is None else {"budget": self.budget.share}),
            **({} if self.data.place is None else {"place": self.data.place}),
        }

    @cached_property
    def key_parts(self) -> dict[str, JSON]:
        """Everything that enters the keys, kept in the record for `--explain-cache`; the names of
        modules (`code`) are there for people alone."""
        code = method_code(self.method)
        return {
            **{name: value for name, value in self.identity.items() if name != "place"},
            **self.revisions,
            "kinds": {c: card.kind for c, card in self.category_cards().items()},
            "code": dict(code.modules),
            "code_digest": code.digest,
            "decoder": decoder_digest(),
            "train": self.data.digest(self.categories, "train"),
            "test": self.data.digest(self.categories, "test"),
            "masks": self.data.digest(self.categories, "masks"),
            **self._held_out,
            "mask_rule": self.mask_rule,
            "mask_threshold": self.data.mask_threshold,
            "aupro_limits": list(AUPRO_LIMITS),
            "metrics": metrics_digest(),
        }

    @cached_property
    def prediction_options(self) -> dict[str, JSON]:
        """The hyper-parameters that only prediction reads; cells that differ here share a fit."""
        fitted, own = self._fitted.fit_values(), self.hyperparameters.canonical()
        return {n: v for n, v in own.items() if n not in fitted or fitted[n] != v}

    @property
    def _fitted(self) -> Hyperparameters:
        return self.fitted_with or self.hyperparameters

    @property
    def revisions(self) -> dict[str, JSON]:
        """Of the cards, where somebody has raised one."""
        revisions = {
            "method_revision": self.method.card.revision,
            "dataset_revision": self.data.dataset.card.revision,
        }
        return {name: revision for name, revision in revisions.items() if revision > 1}

    @property
    def _held_out(self) -> dict[str, JSON]:
        """Which normals calibrate, where any do."""
        if self.data.calibrate is None:
            return {}
        return {CALIBRATION: self.data.digest(self.categories, CALIBRATION)}

    def _key(self, *left_out: str, **replaced: JSON) -> str:
        parts = {**self.key_parts, **replaced}
        return digest({n: v for n, v in parts.items() if n not in ("code", *left_out)})[:24]

    @cached_property
    def fit_key(self) -> str:
        """Names the cell's folder."""
        return self._key("test", *SCORE_ONLY, hyperparameters=self._fitted.fit_values())

    @cached_property
    def predict_key(self) -> str:
        """Names the maps and scores."""
        return self._key(*SCORE_ONLY)

    @cached_property
    def score_key(self) -> str:
        """Names the record."""
        return self._key()

    @property
    def planned(self) -> PlannedCell:
        """How `adbench status` will know it."""
        given = self.data.threshold_given
        same = [self.identity, self.mask_rule, *([] if given is None else [given])]
        title = f"{self.title} · {self.preset}"
        return PlannedCell(title, self.fit_key, self.score_key, digest(same)[:24])

    @property
    def trains_in_steps(self) -> bool:
        """Whether there are points along its training."""
        return shortened_training(self.method, self._fitted, 0.5) is not None

    def build(self, *, to_fit: bool = False) -> Method:
        """A fresh, unfitted method; `to_fit`: the one whose model this cell uses."""
        return self.method(self._fitted if to_fit else self.hyperparameters)

    def category_cards(self) -> dict[str, CategoryCard]:
        """What a method may know of the trained categories: it is in the keys."""
        return told_of(self.data.dataset.card, self.categories)


def told_of(card: DatasetCard, categories: Iterable[str]) -> dict[str, CategoryCard]:
    """The cards that a method gets: counts and digests, which a better card corrects, are left
    out (and a default one stands for a category that the data set's card lacks)."""
    own = {c: card.categories.get(c, CategoryCard()) for c in categories}
    return {c: CategoryCard(kind=full.kind) for c, full in own.items()}


@dataclass(frozen=True)
class Plan:
    """The cells of one command, in the order in which they run, and notes for the user."""

    cells: tuple[Cell, ...]
    notes: tuple[str, ...] = field(default=())

    def shard(self, part: int, of: int) -> Plan:
        """Every `of`-th cell from the `part`-th (1-based): disjoint, and together all."""
        return Plan(self.cells[part - 1 :: of], self.notes)


@cache
def decoder_digest() -> str:
    """Digest of the code that turns files into the pixels that a method sees."""
    return modules_digest("adbench.data.images", "adbench.data.decode", "adbench.data.orientation")


@cache
def metrics_digest() -> str:
    """Digest of the code that turns maps into numbers, without the table of their names."""
    folder = Path(__file__).parent / "metrics" / "exact"
    names = [f"adbench.metrics.exact.{p.stem}" for p in sorted(folder.glob("*.py"))]
    return modules_digest(*[n.removesuffix(".__init__") for n in names], "adbench.cell.scoring")


def make_plan(
    methods: str,
    data: Sequence[DataSelection],
    *,
    preset: str,
    seeds: Sequence[int],
    scope: str | None = None,
    overrides: Sequence[str] = (),
    mask_rule: str = "nearest",
    budgets: Sequence[float] = (),
) -> Plan:
    """All cells that the selectors name; raises `UsageError` before anything runs."""
    rule = next((r for r in MASK_RULES if r == mask_rule), None)
    if rule is None:
        raise UnknownNameError("mask rule", mask_rule, MASK_RULES)
    if scope not in (None, "separate", "unified"):
        raise UnknownNameError("scope", str(scope), ("separate", "unified"))
    found = variants(methods, preset, parse_overrides(tuple(overrides)))
    cells: list[Cell] = []
    notes: list[str] = []
    for selection in data:
        notes += selection.calibration_notes
        for reference, method, hyperparameters in found:
            own = _resolve_scope(scope, selection, method, notes)
            groups = (
                [selection.categories] if own == "unified" else [(c,) for c in selection.categories]
            )
            each = [
                Cell(reference, method, preset, hyperparameters, selection, group, own, seed, rule)
                for group in groups
                for seed in seeds
            ]
            cells += [short for cell in each for short in _at_budgets(cell, budgets, notes)]
    unique = {(c.reference, digest(c.identity), str(c.data.root)): c for c in cells}
    return Plan(tuple(unique.values()), tuple(dict.fromkeys(notes)))


def _at_budgets(cell: Cell, budgets: Sequence[float], notes: list[str]) -> list[Cell]:
    """The cell, or its trainings of these shares of the steps; 1 is the cell itself."""
    found = []
    for share in budgets or (1.0,):
        own = shortened_training(cell.method, cell.hyperparameters, share) if share < 1 else None
        if own is not None:
            budget = Budget(share, cell.hyperparameters)
            found.append(replace(cell, hyperparameters=own, budget=budget))
        else:
            found.append(cell)
            if share < 1:
                notes.append(
                    f"{cell.method.card.name} has no shorter training at --budgets {share:g}: it "
                    "runs as it is"
                )
    return found


def _resolve_scope(
    asked: str | None, selection: DataSelection, method: type[Method], notes: list[str]
) -> Scope:
    """What was asked for, or else the method's own; of one category there is no unified model,
    which is said to whoever asked for it."""
    if (asked or method.card.scope) == "separate":
        return "separate"
    if len(selection.categories) > 1:
        return "unified"
    if asked is not None:
        notes.append(
            f"{selection.name}: with one category unified is separate; "
            f"{method.card.name} makes one cell"
        )
    return "separate"


def variants(
    methods: str, preset: str, overrides: dict[str, dict[str, str]]
) -> list[tuple[str, type[Method], Hyperparameters]]:
    """Reference, class and hyper-parameters of everything that `--methods` names."""
    selectors = [s for given in parse_methods(methods) for s in _expand(given)]
    loaded = [(selector, load_method(selector.name)) for selector in selectors]
    refuse_shared_names("method", [(s.name, m) for s, m in loaded])
    for name in overrides:
        names = {m.card.name for _, m in loaded}
        if name not in names:
            raise UnknownNameError("method in --set", name, names)
    found: dict[str, tuple[str, type[Method], Hyperparameters]] = {}
    for selector, method in loaded:
        for options in selector.combinations():
            merged = {**overrides.get(method.card.name, {}), **options}
            hyperparameters = build_hyperparameters(method, preset, merged)
            key = digest([method.card.name, hyperparameters.canonical()])
            found.setdefault(key, (selector.name, method, hyperparameters))
    return list(found.values())


def _expand(selector: MethodSelector) -> list[MethodSelector]:
    names = expand_group(selector.name)
    if names is None:
        return [selector]
    if selector.options:
        raise UsageError(f"{selector.name} takes no options: name the method, like NAME[k=v]")
    return [MethodSelector(name) for name in names]
