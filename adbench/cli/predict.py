"""What `adbench predict` does: apply a finished cell to PATH and say what came of it."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from adbench.errors import DataError, UsageError
from adbench.stats.conformal import check_alpha
from adbench.text import counted, duration, say, show

if TYPE_CHECKING:
    from adbench.apply.files import Progress, Summary
    from adbench.apply.fitted import FittedCell

PLAIN_SECONDS = 20.0
"""Between two lines off a terminal."""


def predict(
    cell: str,
    path: Path,
    out: Path,
    *,
    alpha: float,
    maps: bool,
    results: Path,
    device: str,
    overrides: Sequence[str],
) -> None:
    """`adbench predict`; exits with 4 where some files are no images."""
    from adbench.apply.inputs import find_inputs, said

    check_alpha(alpha)
    _refuse_inside(out, path)
    found = find_inputs(path)
    for warning in said(found.warnings):
        say(f"warning: {warning}")
    from adbench.apply.files import predict_files
    from adbench.apply.fitted import load_cell

    fitted = load_cell(cell, results, device=device, overrides=overrides)
    _announce(fitted, alpha)
    with _shown() as progress:
        done = predict_files(
            fitted, found.images, path, out, alpha=alpha, maps=maps, progress=progress
        )
    _conclude(done, fitted, alpha, out, maps=maps)
    if done.problems:
        raise SystemExit(DataError.exit_code)


def _refuse_inside(out: Path, path: Path) -> None:
    if path.is_dir() and out.resolve().is_relative_to(path.resolve()):
        raise UsageError(
            f"--out {out} is inside {path}, whose images are to be seen: expected a place outside"
        )


def _announce(cell: FittedCell, alpha: float) -> None:
    own, count = cell.record, len(cell.held_out)
    calibrated = f"; {counted(count, 'held-out normal')} of {cell.category}" if count else ""
    say(f"{own.name} (id {own.keys['score'][:12]}){calibrated}")
    for note in cell.notes:
        say(f"note: {note}")
    if reason := cell.reason(alpha):
        say(f"note: {reason}")


def _conclude(done: Summary, cell: FittedCell, alpha: float, out: Path, *, maps: bool) -> None:
    for problem in done.problems[:3]:
        say(f"warning: {problem}")
    if len(done.problems) > 3:
        say(f"warning: and {len(done.problems) - 3} more files are no images that can be read")
    if done.images == 1 and done.last is not None and done.last.score is not None:
        row = done.last
        p_value = "" if row.p_value is None else f", p {row.p_value:.4g}"
        show(f"{row.path}: score {row.score:.6g}{p_value}{row.verdict and f', {row.verdict}'}")
    else:
        each = ", ".join(
            f"{count} {verdict}" for verdict, count in done.verdicts.items() if verdict
        )
        told = f": {each}" if each else ""
        show(f"{counted(done.images, 'image')}{told}" + (f" (alpha {alpha:g})" if told else ""))
    before = f" ({done.reused} were there already)" if done.reused else ""
    more = f", maps and overlays of {cell.geometry.size} pixels beside it" if maps else ""
    say(f"wrote {out / 'predictions.csv'}{before}{more}")


@contextmanager
def _shown() -> Iterator[Progress]:
    """Hears how far it is: a live line on a terminal, else a line now and then."""
    from adbench.consoles import stderr_console

    console = stderr_console()
    began = printed = time.monotonic()
    first: int | None = None

    def told(done: int, total: int) -> str:
        new = done - (first or 0)
        left = (time.monotonic() - began) / new * (total - done) if new else 0.0
        return f"{done:,}/{total:,} images" + (f", {duration(left)} left" if left else "")

    if console.is_terminal:
        with console.status("") as status:

            def live(done: int, total: int) -> None:
                nonlocal first
                first = done if first is None else first
                status.update(told(done, total))

            yield live
        return

    def plain(done: int, total: int) -> None:
        nonlocal first, printed
        first = done if first is None else first
        if time.monotonic() - printed >= PLAIN_SECONDS and done < total:
            printed = time.monotonic()
            say(told(done, total))

    yield plain
