"""Names that come with data: never a path of ours, never markup, never a terminal's command.

They may hold the selector's own signs, and come in two Unicode normal forms.
"""

from __future__ import annotations

import json
import textwrap
import unicodedata
from pathlib import Path

import pytest
from outcomes import the_error
from toy import PIXEL, Invoke, Toy, write_toy

RUN = ["run", "--methods", PIXEL, "--preset", "smoke", "--no-timing"]
DECOMPOSED = unicodedata.normalize("NFD", "größe")
STEERING = ["line\nbreak", "\x1b[2J", "gr\udcf6sse", "\u2028"]
PLUGIN = """
    from pathlib import Path
    from adbench.contracts import Dataset, DatasetCard, Sample

    ROOT = Path(__file__).parent / "toy"


    class Named(Dataset):
        card = DatasetCard(
            name="named", title="Named", licence="CC0", page="none", citation="", layout="-",
            directory_names=("toy",), categories={},
        )

        def find_root(self, data_root):
            return ROOT

        def recognise_layout(self, root):
            return "named"

        def available_categories(self, root):
            return NAMES

        def samples(self, root, categories):
            rows = []
            for name, folder in zip(NAMES, "abcdef"):
                for split, kind in (("train", "good"), ("test", "good"), ("test", "hole")):
                    for i in range(4):
                        mask = f"{folder}/ground_truth/hole/{i:03d}_mask.png"
                        path = PREFIX + f"{folder}/{split}/{kind}/{i:03d}.png"
                        mask = mask if kind == "hole" else None
                        rows.append(Sample(name, split, kind, path, mask, int(kind == "hole")))
            return sorted(rows)
"""


def plugin(toy: Toy, *names: str, prefix: str = "") -> list[str]:
    """Options that select a data set whose categories have these names."""
    file = toy.folder / "named.py"
    file.write_text(f"NAMES = {names!r}\nPREFIX = {prefix!r}\n" + textwrap.dedent(PLUGIN))
    return ["--dataset", f"{file}:Named"]


@pytest.mark.parametrize(
    "name",
    ["../x", "../../../../x", "/tmp/adbench-escape", "..", ".", "", "a/b", "a\\..\\b\0", "a\nb",
     *STEERING],
)  # fmt: skip
def test_a_category_that_is_no_plain_name_is_refused(
    invoke: Invoke, toy: Toy, name: str, tmp_path: Path
) -> None:
    message = the_error(invoke(*RUN, *plugin(toy, name), "--figures"), 4)
    assert ascii(name) in message
    assert {p.name for p in tmp_path.iterdir()} <= {"data", "results"}
    assert not Path("/tmp/adbench-escape.png").exists()


def test_any_other_name_becomes_files_of_the_results_folder_only(
    invoke: Invoke, tmp_path: Path
) -> None:
    toy = write_toy(tmp_path / "data", (*"abc",), side=16)
    names = ("x" * 255, "größe 漢字", "~")
    outcome = invoke(*RUN, *plugin(toy, *names), "--figures")
    assert outcome.code == 0, outcome.err
    assert {p.name for p in tmp_path.iterdir()} == {"data", "results"}
    assert len(list((tmp_path / "results/figures").rglob("*.png"))) >= len(names)


@pytest.mark.parametrize("prefix", ["/etc/", "../", "a/../../toy/"])
def test_an_image_outside_the_data_set_is_refused(invoke: Invoke, toy: Toy, prefix: str) -> None:
    message = the_error(invoke(*RUN, *plugin(toy, "a", prefix=prefix)), 4)
    assert prefix in message and "inside" in message


@pytest.mark.parametrize("name", STEERING[:3])
def test_verify_names_what_a_run_would_refuse_and_prints_it_escaped(
    invoke: Invoke, toy: Toy, name: str
) -> None:
    bad = toy.root / "a" / "test" / "good"
    (bad / "000.png").rename(bad / f"{name}.png")
    words = ["data", "verify", toy.reference, "--data-root", str(toy.folder)]
    outcome = invoke(*words)
    assert outcome.code == 4 and "\x1b" not in outcome.out
    assert ascii(name)[1:-1] in outcome.out and "rename it" in outcome.out
    heads = ("Toy at", "a: ", "b: ", "error: ")
    assert all(line.startswith(heads) for line in outcome.out.splitlines())
    listed = invoke(*words, "--json")
    assert listed.code == 4 and json.loads(listed.out)["exit_code"] == 4


@pytest.mark.parametrize("name", STEERING)
def test_a_message_with_a_name_from_the_disk_stays_one_line(
    invoke: Invoke, tmp_path: Path, name: str
) -> None:
    (tmp_path / "data" / name).mkdir(parents=True)
    outcome = invoke(*RUN, "--dataset", "mpdd", "--data-root", str(tmp_path / "data"))
    message = the_error(outcome, 4)
    assert ascii(name)[1:-1] in message and "\x1b" not in outcome.err
    toy = write_toy(tmp_path / "data" / "own", ("a", name))
    assert "\x1b" not in the_error(invoke(*RUN, *toy.arguments("c")), 2)


def test_the_log_names_the_type_of_an_unexpected_exception_and_of_no_other(
    invoke: Invoke, toy: Toy, monkeypatch: pytest.MonkeyPatch
) -> None:
    from adbench.testing import PixelGaussian

    def fail(*_arguments: object) -> None:
        raise KeyError("weights")

    with monkeypatch.context() as broken:
        broken.setattr(PixelGaussian, "fit", fail)
        outcome = invoke(*RUN, *toy.arguments("a"))
    assert outcome.code == 3 and "FAILED: KeyError: 'weights'" in outcome.err
    (toy.root / "a/train/good/000.png").write_text("no image")
    outcome = invoke(*RUN, *toy.arguments("a"))
    assert outcome.code == 4 and "FAILED: a/train/good/000.png: the content" in outcome.err


@pytest.mark.parametrize("name", ["a,b", "a:b", "a[b=c]", "x, y: [z]", "größe", DECOMPOSED])
def test_a_category_of_any_name_can_be_selected(invoke: Invoke, tmp_path: Path, name: str) -> None:
    toy = write_toy(tmp_path / "data", ("other", name))
    for text in (name, unicodedata.normalize("NFD", name), unicodedata.normalize("NFC", name)):
        outcome = invoke(*RUN, *toy.arguments(text), "--json")
        assert outcome.code == 0, outcome.err
        assert {row["category"] for row in json.loads(outcome.out)} == {name}
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
