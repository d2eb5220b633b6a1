"""What tables are made from: the numbers of a report, and those of each data set and scope with
their ranks."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from adbench.metrics import table as metrics_table
from adbench.naming import Names, dataset_title
from adbench.report.beside import Beside, beside, shown
from adbench.report.marks import Marks
from adbench.report.own_runs import own_runs
from adbench.report.reported import Reported
from adbench.report.tables import MEAN, Group, group_of, grouped, rows, summarise_seeds
from adbench.report.text_table import (
    Cell,
    Rank,
    Value,
    marked,
    percent,
    preset_text,
    run_name,
    seeds_text,
)
from adbench.store.records import Record

SHOWN = metrics_table.shown()
REPORTED = "as reported"

Summary = Mapping[str, Any]


@dataclass(frozen=True)
class Numbers:
    """What all tables and notes of a report are made from: records, and published numbers."""

    records: Sequence[Record]
    published: Sequence[Reported] = ()

    @cached_property
    def rows(self) -> list[dict[str, Any]]:
        return rows(self.records, self.marks.versions)

    @cached_property
    def summaries(self) -> list[dict[str, Any]]:
        return summarise_seeds(self.rows)

    @cached_property
    def marks(self) -> Marks:
        return Marks(self.records)

    @cached_property
    def names(self) -> Names:
        return Names(self.records)

    @cached_property
    def beside(self) -> list[Beside]:
        """The published columns of our data sets, each with our nearest run."""
        if not self.published:
            return []
        runs = own_runs(self.records, self.summaries, self.marks)
        datasets = list(dict.fromkeys(s["dataset"] for s in self.summaries))
        return beside(runs, datasets, self.published)


@dataclass(frozen=True)
class Block:
    """All of one data set and scope: the summaries of ours, what papers report, the categories."""

    dataset: str
    scope: str
    own: Sequence[Summary]
    theirs: Sequence[Beside]
    categories: Sequence[str]
    marks: Marks
    names: Names

    def name_of(self, summary: Summary) -> Value:
        """A row's name, with the words that select it."""
        mark = self.marks.of(summary)
        called = self.names.of(summary, preset=len(self.presets) > 1)
        return Value(marked(called, mark), selector=marked(run_name(summary), mark))

    @cached_property
    def presets(self) -> list[str]:
        return list(dict.fromkeys(str(s["preset"]) for s in self.own))

    @property
    def place(self) -> str:
        """What all rows share: data set, scope, and the preset where it is one."""
        preset = [preset_text(self.presets)] if len(self.presets) == 1 else []
        return ", ".join([self.dataset, self.scope, *preset])

    def place_in_words(self, category: str = "") -> str:
        """The same for a caption, of one `category` where it is of one alone."""
        models = "model per category" if self.scope == "separate" else "model for all categories"
        preset = f", {preset_text(self.presets)}" if len(self.presets) == 1 else ""
        where = " ".join(filter(None, [dataset_title(self.dataset), category]))
        return f"on {where}, one {models}{preset}"

    @cached_property
    def methods(self) -> dict[Group, dict[str, Summary]]:
        """Each method's summaries by category."""
        groups = grouped(self.own, group_of)
        return {group: {s["category"]: s for s in own} for group, own in groups.items()}

    @cached_property
    def seeds(self) -> list[int]:
        return sorted({seed for s in self.own for seed in s["seeds"]})

    @property
    def unit(self) -> str:
        return f"%, {seeds_text(self.seeds) if self.seeds else REPORTED}"

    @property
    def unit_in_words(self) -> str:
        return f"in {self.unit.replace('%', 'percent')}"

    def cells(self, metrics: Sequence[str]) -> dict[tuple[Group, str], Cell]:
        """The values of each method and category, ranked."""
        found = {}
        for category, own in grouped(self.own, lambda s: str(s["category"])).items():
            peers = {group_of(s): s for s in own}
            ranks = [self._ranks(peers, metric) for metric in metrics]
            for group, s in peers.items():
                texts = [percent(s[metric], s["status"], len(self.seeds)) for metric in metrics]
                found[group, category] = tuple(map(Value, texts, (own[group] for own in ranks)))
        return found

    def kind(self, summary: Summary) -> Hashable:
        """Equal for numbers of one category, or mean, that may be ranked together."""
        is_mean = summary["category"] == MEAN
        categories = over(self.methods[group_of(summary)]) if is_mean else None
        return summary["protocol"], summary["data"], summary["limit"], categories

    def _ranks(self, own: Mapping[Group, Summary], metric: str) -> dict[Group, Rank]:
        """Best and second best among summaries of one category (or mean).

        Only like with like: one protocol, one version of the data, one `--limit`, for means one set
        of categories. A smoke run ranks nothing that it stands beside. Values are compared as
        printed, because of two equal texts one in bold would mislead; two that share the first
        place leave no second, and of two the second is just the other.
        """

        ranks: dict[Group, Rank] = dict.fromkeys(own, "")
        for peers in grouped(own, lambda group: self.kind(own[group])).values():
            if len(peers) < 2 or any(own[group]["preset"] == "smoke" for group in peers):
                continue
            values = {
                group: round(own[group][metric]["mean"], 4)
                for group in peers
                if own[group][metric] is not None and own[group]["status"] == "done"
            }
            order = sorted(values.values(), reverse=True)
            for group, value in values.items():
                if value == order[0]:
                    ranks[group] = "best"
                elif value == order[1] and len(order) > 2:
                    ranks[group] = "second"
        return ranks


def over(own: Mapping[str, Summary]) -> frozenset[str]:
    """The categories of a method's mean."""
    return frozenset(own) - {MEAN}


def blocks(numbers: Numbers, metrics: Sequence[str]) -> list[Block]:
    """One a data set and scope (unified and separate are never ranked together), those of one data
    set together, ours first."""
    ours = grouped(numbers.summaries, lambda s: (s["dataset"], s["scope"]))
    visible = shown(numbers.beside, metrics)
    theirs = grouped(visible, lambda b: (b.column.first.dataset, b.column.first.scope))
    every = grouped(numbers.summaries, lambda s: s["dataset"])
    datasets = grouped(dict.fromkeys([*ours, *theirs]), lambda key: key[0])
    found = []
    for key in (key for keys in datasets.values() for key in keys):
        own = ours.get(key, [])
        names = dict.fromkeys(s["category"] for s in own or every[key[0]])
        categories = [name for name in names if name != MEAN]
        marks, called = numbers.marks, numbers.names
        found.append(Block(*key, own, theirs.get(key, []), categories, marks, called))
    return found
