"""Categories whose names hold the selector's own signs, or come in two Unicode normal forms."""

from __future__ import annotations

import json
import unicodedata
from pathlib import Path

import pytest
from outcomes import the_error
from toy import PIXEL, Invoke, write_toy

RUN = ["run", "--methods", PIXEL, "--preset", "smoke", "--no-timing"]
DECOMPOSED = unicodedata.normalize("NFD", "größe")


@pytest.mark.parametrize("name", ["a,b", "a:b", "a[b=c]", "x, y: [z]", "größe", DECOMPOSED])
def test_a_category_of_any_name_can_be_selected(invoke: Invoke, tmp_path: Path, name: str) -> None:
    toy = write_toy(tmp_path / "data", ("other", name))
    for text in (name, unicodedata.normalize("NFD", name), unicodedata.normalize("NFC", name)):
        outcome = invoke(*RUN, *toy.arguments(text), "--json")
        assert outcome.code == 0, outcome.err
        assert {row["category"] for row in json.loads(outcome.out)} == {name, "mean"}
    both = invoke("data", "verify", f"{toy.reference}:other,{name}", "--data-root", str(toy.folder))
    assert both.code == 0 and both.out.count(" train; ") == 2


def test_a_name_in_two_unicode_forms_is_one_name(invoke: Invoke, tmp_path: Path) -> None:
    toy = write_toy(tmp_path / "data", ("größe", DECOMPOSED))
    message = the_error(invoke(*RUN, *toy.arguments()), 4)
    assert "one name in two Unicode normal forms" in message and ascii(DECOMPOSED) in message
    assert invoke(*RUN, *toy.arguments(DECOMPOSED)).code == 0


def test_masks_and_defects_are_found_in_another_unicode_form(
    invoke: Invoke, tmp_path: Path
) -> None:
    """As in a copy of the images by one way and of the masks by another: macOS decomposes names."""
    toy = write_toy(tmp_path / "data", ("a",))
    plain = json.loads(invoke(*RUN, *toy.arguments(), "--json", "--results", "plain").out)
    (toy.root / "a/test/hole").rename(toy.root / "a/test/größe")
    truth = (toy.root / "a/ground_truth/hole").rename(toy.root / "a/ground_truth" / DECOMPOSED)
    (toy.root / "a/test/größe/000.png").rename(toy.root / "a/test/größe/0ö0.png")
    (truth / "000_mask.png").rename(truth / unicodedata.normalize("NFD", "0ö0_mask.png"))
    outcome = invoke(*RUN, *toy.arguments(), "--json")
    assert outcome.code == 0 and "warning" not in outcome.err
    row, before = json.loads(outcome.out)[0], plain[0]
    assert (row["pixel_auroc"], row["aupro@0.3"]) == (before["pixel_auroc"], before["aupro@0.3"])
