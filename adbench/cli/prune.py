"""What `adbench prune` does: say what no table uses, ask, remove."""

from __future__ import annotations

import sys
from pathlib import Path

from adbench.errors import UsageError
from adbench.store.folders import Store
from adbench.store.prune import find_unused, remove_unused
from adbench.text import counted, say, show


def prune(results: Path, *, dry_run: bool, assume_yes: bool) -> None:
    """Raises `UsageError` where there is nobody to ask."""
    store = Store(results)
    store.check_format()
    unused = find_unused(store)
    if not unused:
        show(f"nothing in {results} is without use")
        return
    if not (dry_run or assume_yes or sys.stdin.isatty()):
        raise UsageError(
            f"{counted(len(unused), 'item')} to remove, and nobody to ask (stdin is no terminal): "
            "add --yes, or --dry-run to look"
        )
    for one in unused:
        show(f"{_size(one.size):>9s}  {one.what}  ({one.folder.name})")
    total = f"{counted(len(unused), 'item')}, {_size(sum(one.size for one in unused))}"
    if dry_run:
        show(f"{total}: removed without --dry-run")
        return
    if not assume_yes and not _agreed(total):
        show("nothing was removed")
        return
    freed, stays = remove_unused(store, unused)
    show(f"{_size(freed)} removed")
    for one in stays:
        say(f"note: {one.what} stays: another run works on {one.folder}")


def _agreed(total: str) -> bool:
    say(f"{total}: remove? [y/N]")
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def _size(count: int) -> str:
    for unit, size in (("GB", 1e9), ("MB", 1e6)):
        if count >= size:
            return f"{count / size:.1f} {unit}"
    return f"{count / 1e3:.1f} kB"
