"""How every figure looks, and the only place that talks to matplotlib's machinery.

Colours are those of Okabe and Ito, "Color Universal Design" (2008), told apart with any kind of
colour vision; line styles and markers repeat the distinction for print in grey. Figures are made
through matplotlib's objects, without state that outlives a figure, and cut to what is drawn.
"""

from __future__ import annotations

import io
import textwrap
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from adbench.store import files

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
NORMAL_COLOUR, ANOMALOUS_COLOUR = COLOURS[5], COLOURS[1]
COLOURMAP, CONTOUR = "inferno", "#56F0F0"
"""Of maps, and of the line at their threshold."""
_DASHES = ("-", "--", ":", "-.")
_MARKERS = "osD^vPX*<>"
_WIDER_FONTS = (
    "Noto Sans", "Noto Sans CJK SC", "Noto Sans CJK JP", "PingFang SC", "Hiragino Sans",
    "Microsoft YaHei", "Segoe UI", "WenQuanYi Zen Hei", "Arial Unicode MS",
)  # fmt: skip
"""For letters that DejaVu Sans lacks; the first that is installed and has the letter is used."""
_SETTINGS: dict[str, Any] = {
    "font.size": 8,
    "axes.titlesize": 8,
    "legend.fontsize": 7,
    "legend.frameon": False,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.alpha": 0.25,
    "grid.linewidth": 0.5,
    "savefig.bbox": "tight",
    "text.usetex": False,
    "text.parse_math": False,  # a category called a$b$ is a name, not a formula
    "svg.fonttype": "none",  # text stays text: small, and drawn in the reader's own fonts
    "svg.hashsalt": "adbench",  # else element ids, hence files, differ from run to run
    "pdf.fonttype": 42,
}
_UNDATED = {
    "png": ("Software",),
    "pdf": ("CreationDate", "Producer", "Creator"),
    "svg": ("Date", "Creator"),
}
"""What matplotlib writes into a file besides the figure."""


@contextmanager
def drawing() -> Iterator[None]:
    """Our settings while figures are made and saved; the caller's come back afterwards."""
    from matplotlib import font_manager, rc_context

    installed = {font.name for font in font_manager.fontManager.ttflist}
    families = ["DejaVu Sans", *(name for name in _WIDER_FONTS if name in installed)]
    settings: Any = {**_SETTINGS, "font.family": families}
    with rc_context(settings), warnings.catch_warnings():
        # A letter that no installed font has becomes a box in PNG and PDF; nothing else is lost.
        warnings.filterwarnings("ignore", message=r"Glyph \d+ .* missing from", append=False)
        yield


def new_figure(width: float, height: float) -> Figure:
    """An empty white figure of this size in inches; call inside `drawing()`."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), facecolor="white")


def panels(
    across: int, down: int, width: float, height: float, gaps: tuple[float, float]
) -> tuple[Figure, list[Axes]]:
    """A figure and its panels, row by row: their size in inches, the gaps as shares of it."""
    figure = new_figure(
        width * (across + (across - 1) * gaps[0]), height * (down + (down - 1) * gaps[1])
    )
    grid = {"left": 0, "right": 1, "bottom": 0, "top": 1, "wspace": gaps[0], "hspace": gaps[1]}
    return figure, list(figure.subplots(down, across, squeeze=False, gridspec_kw=grid).flat)


def line_style(index: int) -> dict[str, Any]:
    """Colour and dashes of the `index`-th method: 28 pairs, the first seven in seven colours."""
    again, colour = divmod(index, len(COLOURS))
    return {"color": COLOURS[colour], "linestyle": _DASHES[(colour + again) % len(_DASHES)]}


def point_style(index: int) -> dict[str, Any]:
    """Colour and marker of the `index`-th method: 70 pairs."""
    again, colour = divmod(index, len(COLOURS))
    return {"color": COLOURS[colour], "marker": _MARKERS[(colour + again) % len(_MARKERS)]}


def folded(text: str, width: int) -> str:
    """`text` in lines of at most `width` letters, broken where a reader would."""
    return "\n".join(textwrap.wrap(text, width, break_on_hyphens=False)) or text


def save(figure: Figure, stem: Path) -> list[Path]:
    """Write `stem`.png and `stem`.pdf, as `save_as` does."""
    return [save_as(figure, stem.with_name(f"{stem.name}.{kind}")) for kind in ("png", "pdf")]


def save_as(figure: Figure, path: Path) -> Path:
    """Write PNG, PDF or SVG by the name's ending, whole or not at all; equal figures, equal
    bytes."""
    kind = path.suffix.lower()[1:]
    with files.replacing(path) as temporary:
        figure.savefig(temporary, format=kind, dpi=150, metadata=dict.fromkeys(_UNDATED[kind]))
    return path


def svg(figure: Figure) -> str:
    """The figure as an SVG document."""
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", metadata=dict.fromkeys(_UNDATED["svg"]))
    return buffer.getvalue()
