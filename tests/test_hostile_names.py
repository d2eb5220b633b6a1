"""Names that come with data: never a path of ours, never markup, never a terminal's command."""

from __future__ import annotations

import json
import textwrap
from pathlib import Path

import pytest
from outcomes import the_error
from toy import PIXEL, Invoke, Toy, write_toy

RUN = ["run", "--methods", PIXEL, "--preset", "smoke", "--no-timing"]

PLUGIN = """
    import json
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
            return (NAME,)

        def samples(self, root, categories):
            rows = []
            for split, kind in (("train", "good"), ("test", "good"), ("test", "hole")):
                for i in range(4):
                    mask = f"a/ground_truth/hole/{i:03d}_mask.png" if kind == "hole" else None
                    path = PREFIX + f"a/{split}/{kind}/{i:03d}.png"
                    rows.append(Sample(NAME, split, kind, path, mask, int(kind == "hole")))
            return sorted(rows)
"""


def plugin(toy: Toy, name: str, prefix: str = "") -> list[str]:
    """Options that select a data set whose only category has this name."""
    file = toy.folder / "named.py"
    file.write_text(f"NAME = {name!r}\nPREFIX = {prefix!r}\n" + textwrap.dedent(PLUGIN))
    return ["--dataset", f"{file}:Named"]


@pytest.mark.parametrize(
    "name",
    ["../x", "../../../../x", "/tmp/adbench-escape", "..", ".", "", "a/b", "a\\..\\b\0", "a\nb",
     "\x1b[2J", "\u2028", "gr\udcf6sse"],
)  # fmt: skip
def test_a_category_that_is_no_plain_name_is_refused(
    invoke: Invoke, toy: Toy, name: str, tmp_path: Path
) -> None:
    outcome = invoke(*RUN, *plugin(toy, name), "--figures")
    message = the_error(outcome, 4)
    assert ascii(name) in message
    assert {p.name for p in tmp_path.iterdir()} <= {"data", "results"}
    assert not Path("/tmp/adbench-escape.png").exists()


@pytest.mark.parametrize("name", ["x" * 255, "größe 漢字", "a" * 200 + "é" * 27, "CON", "a b", "~"])
def test_any_other_name_becomes_files_of_the_results_folder_only(
    invoke: Invoke, toy: Toy, name: str, tmp_path: Path
) -> None:
    outcome = invoke(*RUN, *plugin(toy, name), "--figures")
    assert outcome.code == 0, outcome.err
    assert {p.name for p in tmp_path.iterdir()} == {"data", "results"}


@pytest.mark.parametrize("prefix", ["/etc/", "../", "a/../../toy/"])
def test_an_image_outside_the_data_set_is_refused(invoke: Invoke, toy: Toy, prefix: str) -> None:
    message = the_error(invoke(*RUN, *plugin(toy, "a", prefix)), 4)
    assert prefix in message and "inside" in message


@pytest.mark.parametrize("name", ["line\nbreak", "\x1b[2J", "gr\udcf6sse"])
def test_verify_names_what_a_run_would_refuse_and_prints_it_escaped(
    invoke: Invoke, toy: Toy, name: str
) -> None:
    bad = toy.root / "a" / "test" / "good"
    (bad / "000.png").rename(bad / f"{name}.png")
    outcome = invoke("data", "verify", toy.reference, "--data-root", str(toy.folder))
    assert outcome.code == 4
    assert ascii(name)[1:-1] in outcome.out and "rename it" in outcome.out
    assert "\x1b" not in outcome.out
    assert all(line.startswith(("Toy at", "a: ", "b: ", "error: ")) for line in
               outcome.out.splitlines())  # fmt: skip
    listed = invoke("data", "verify", toy.reference, "--data-root", str(toy.folder), "--json")
    assert listed.code == 4 and json.loads(listed.out)["exit_code"] == 4


@pytest.mark.parametrize("name", ["line\nbreak", "\x1b[2J", "gr\udcf6sse", "\u2028"])
def test_a_message_with_a_name_from_the_disk_stays_one_line(
    invoke: Invoke, tmp_path: Path, name: str
) -> None:
    (tmp_path / "data" / name).mkdir(parents=True)
    outcome = invoke(*RUN, "--dataset", "mpdd", "--data-root", str(tmp_path / "data"))
    message = the_error(outcome, 4)
    assert ascii(name)[1:-1] in message and "\x1b" not in outcome.err
    write_toy(tmp_path / "data" / "own", ("a", name))
    words = ["--dataset", f"{tmp_path}/data/own/toy_dataset.py:Toy", "--data-root", "data/own"]
    assert "\x1b" not in the_error(invoke(*RUN, *words[:1], words[1] + ":c", *words[2:]), 2)


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
