"""`run --grid FILE.yaml`: a run as a file, which every run leaves in its results folder."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from outcomes import the_error
from toy import PIXEL, Invoke, Toy

import adbench
from adbench.errors import UsageError
from adbench.grid_files import expanded, keep_grid
from adbench.request import Request


def grid(folder: Path, text: str) -> str:
    (folder / "grid.yaml").write_text(text)
    return str(folder / "grid.yaml")


def test_a_run_leaves_a_file_that_makes_the_same_run(
    toy: Toy, invoke: Invoke, tmp_path: Path
) -> None:
    words = ["--methods", PIXEL, *toy.arguments("a", "b"), "--preset", "smoke", "--no-timing"]
    words += ["--set", "pixel_gaussian.steps=2", "--seeds", "0-1", "--note", "why: not", "--tag"]
    assert invoke("run", *words, "x").code == 0
    (file,) = (tmp_path / "results" / "runs").iterdir()
    assert "pixel_gaussian" not in file.name and file.name.endswith(".yaml")
    assert "PixelGaussian" in file.name and "smoke" in file.name
    text = file.read_text()
    assert str(toy.folder) not in text.replace(toy.reference, "")  # no place of this machine
    again = invoke("plan", "--grid", str(file), "--data-root", str(toy.folder), "--json")
    assert again.code == 0, again.err
    cells = json.loads(again.out)
    assert len(cells) == 4 and all(cell["cached"] for cell in cells)
    assert invoke("run", "--grid", str(file), "--data-root", str(toy.folder)).code == 0
    assert len(list((tmp_path / "results" / "runs").iterdir())) == 1


def test_what_the_command_line_gives_counts(tmp_path: Path) -> None:
    file = grid(
        tmp_path,
        "methods: [a, 'b[k=1|2]']\ndataset: [x, 'y:c,d']\nseeds: 0-4\ntiming: no\nkeep-maps: true\n"
        "time-limit: 1:30:00\nset: m.k=v\n",
    )
    whole = ["--methods", "a,b[k=1|2]", "--dataset", "x", "--dataset", "y:c,d", "--seeds", "0-4",
             "--no-timing", "--keep-maps", "--time-limit", "1:30:00", "--set", "m.k=v"]  # fmt: skip
    assert expanded(["run", f"--grid={file}"]) == ["run", *whole]
    own = ["--seeds=7", "--dataset", "z", "--timing"]
    assert expanded(["run", "--grid", file, *own]) == [
        "run", *own, "--methods", "a,b[k=1|2]", "--keep-maps", "--time-limit", "1:30:00", "--set",
        "m.k=v",
    ]  # fmt: skip
    assert expanded(["run", "--seeds", "1"]) == ["run", "--seeds", "1"]


def test_all_that_a_request_can_say_survives_the_file(tmp_path: Path) -> None:
    request = Request(
        methods="a[x=1|2],b", datasets=("one", "two:c"), preset="fast", overrides=("a.y=none",),
        seeds="0,3", scope="unified", limit=4, results=tmp_path, budgets="0.5,1", timing=False,
        keep_maps=True, snapshots=3, cache_limit_gb=None, time_limit=5400.0, slots=2,
        executor="local", note="a note: with # signs", tags=("t", "0"), mask_threshold=127,
    )  # fmt: skip
    words = expanded(["run", "--grid", str(keep_grid(request))])
    expected = replace(request, results=Path("results"))
    assert sorted(words[1:]) == sorted(expected.words())


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("metods: a\n", "did you mean 'methods'"),
        ("- a\n- b\n", "expected lines like"),
        ("just text", "expected lines like"),
        ("a: [b", "is no YAML"),
        ("timing: perhaps\n", "expected true or false"),
        ("methods: {a: b}\n", "expected a value or a list"),
        ("x: &a [*a, *a]\n", "grid.yaml"),
        ("methods: !!python/object/apply:os.system ['false']\n", "missing option"),
        ("\0", "is no YAML"),
    ],
)
def test_a_wrong_file_is_an_error_of_one_line(
    tmp_path: Path, invoke: Invoke, text: str, told: str
) -> None:
    assert told in the_error(invoke("run", "--grid", grid(tmp_path, text)), 2)


def test_an_absent_file_and_two_are_errors(tmp_path: Path, invoke: Invoke) -> None:
    assert "no such file" in the_error(invoke("plan", "--grid", "absent.yaml"), 2)
    assert "names no file" in the_error(invoke("plan", "--grid"), 2)
    with pytest.raises(UsageError, match="2 times"):
        expanded(["run", "--grid", "a", "--grid=b"])
    (tmp_path / "folder").mkdir()
    assert "folder" in the_error(invoke("plan", "--grid", str(tmp_path / "folder")), 2)


# ----------------------------------------------------------------------- notes, tags, names


def run(toy: Toy, tmp_path: Path, **more: Any) -> Any:
    return adbench.run(
        PIXEL, f"{toy.reference}:a", preset="smoke", data_root=toy.folder, timing=False,
        results=tmp_path / "results", **more,
    )  # fmt: skip


def test_runs_are_listed_by_name_with_their_tags_and_notes(
    toy: Toy, invoke: Invoke, tmp_path: Path
) -> None:
    run(toy, tmp_path, note="the first try", tags=["paper", "v1"])
    run(toy, tmp_path, seeds="1", tags=["v2"])
    first, second = invoke("runs").out.splitlines()
    assert "pixel_gaussian smoke on toy:a, seed 0" in first
    assert '#paper  #v1  "the first try"' in first and "#v2" in second
    assert invoke("runs", "--tag", "v2").out.splitlines()[0].split()[0] == second.split()[0]
    listed = json.loads(invoke("runs", "--tag", "paper", "--json").out)
    assert [(r["note"], r["tags"]) for r in listed] == [("the first try", ["paper", "v1"])]
    assert "did you mean 'paper'" in the_error(invoke("runs", "--tag", "papr"), 2)


@pytest.mark.parametrize("words", [{"note": " "}, {"note": "a\nb"}, {"tags": ["\x1b[1m"]}])
def test_notes_are_a_line_of_text(toy: Toy, tmp_path: Path, words: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="expected a line"):
        run(toy, tmp_path, **words)


def test_python_has_snapshots_and_budgets(toy: Toy, tmp_path: Path) -> None:
    long = {"overrides": ("pixel_gaussian.steps=8",)}
    table = run(toy, tmp_path, budgets=[0.5, 1], snapshots=3, **long)
    assert set(table["variant"]) == {"steps=8", "steps=8,budget=0.5"}
    from adbench.store.folders import Store

    records = list(Store(tmp_path / "results").records())
    assert all(record.snapshots for record in records)
    assert len(run(toy, tmp_path, budgets="0.5,1", **long)) == len(table)
