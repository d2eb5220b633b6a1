"""What `adbench data verify` and `adbench data prepare` do."""

from __future__ import annotations

from pathlib import Path

from adbench.data.inspection import with_root
from adbench.data.selection import choose_categories, refuse_unknown
from adbench.data.verify import verify as check
from adbench.errors import UnknownNameError
from adbench.plan import MASK_RULES, MaskRule
from adbench.registry import load_dataset
from adbench.selectors import parse_dataset
from adbench.text import print_json, show


def verify(
    name: str,
    data_root: Path | None,
    strict: bool,
    evaluation_size: int,
    mask_rule: str,
    mask_threshold: int | None,
    as_json: bool,
) -> None:
    """Print all findings; exit 4 on an error (with `strict` on a warning too)."""
    rule = _mask_rule(mask_rule)
    reference, wanted = parse_dataset(name)
    dataset = load_dataset(reference)
    refuse_unknown(dataset, wanted, dataset.card.categories)
    root = dataset.find_root(data_root)
    categories = choose_categories(dataset, dataset.available_categories(root), wanted)
    found = check(
        dataset,
        root,
        categories,
        evaluation_size=evaluation_size,
        mask_rule=rule,
        mask_threshold=mask_threshold,
        strict=strict,
    )
    if as_json:
        print_json(found.to_json())
    else:
        show(f"{dataset.card.title} at {root}, layout {found.layout}")
        for line in (*found.summaries, *found.findings):
            show(with_root(str(line), root))
    raise SystemExit(found.exit_code)


def prepare(name: str, data_root: Path | None) -> None:
    """Find (or render) a data set and say what is there."""
    dataset = load_dataset(parse_dataset(name)[0])
    root = dataset.find_root(data_root)
    categories = ", ".join(dataset.available_categories(root))
    show(f"{dataset.card.title} is ready at {root}: {categories}")


def _mask_rule(text: str) -> MaskRule:
    for rule in MASK_RULES:
        if text == rule:
            return rule
    raise UnknownNameError("mask rule", text, MASK_RULES)
