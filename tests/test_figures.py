"""Contact sheets: one a category, from kept maps, and a word where there are none."""

from __future__ import annotations

from pathlib import Path

from PIL import Image
from toy import PIXEL, Invoke, Toy


def test_figures_draw_each_category_with_all_methods(
    invoke: Invoke, toy: Toy, tmp_path: Path
) -> None:
    methods = f"{PIXEL},{PIXEL}[noise=0.5]"
    base = ["run", "--methods", methods, *toy.arguments(), "--preset", "smoke", "--no-timing"]
    outcome = invoke(*base, "--figures")
    assert outcome.code == 0, outcome.err
    sheets = sorted((tmp_path / "results" / "figures").glob("*.png"))
    assert [p.name for p in sheets] == ["toy-a.png", "toy-b.png"]
    with Image.open(sheets[0]) as sheet:
        colours = sheet.convert("RGB").getcolors(maxcolors=1 << 24)
        assert sheet.width > 300 and colours is not None and len(colours) > 100


def test_cells_without_maps_are_said_to_be_missing(invoke: Invoke, toy: Toy) -> None:
    base = ["run", "--methods", PIXEL, *toy.arguments("a"), "--preset", "smoke", "--no-timing"]
    assert invoke(*base).code == 0
    again = invoke(*base, "--figures")
    assert again.code == 0 and "1 cell without maps" in again.err
