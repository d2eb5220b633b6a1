"""The documentation: every command line is run, planned or parsed, and the site builds."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
import sys
import tomllib
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from documents import ROOT, Block, blocks, pages, parse, unknown_options
from PIL import Image
from sandbox import call

SHELL, PYTHON = blocks("sh"), blocks("python")
RUN_PAGES = sorted({block.page for block in SHELL if block.is_run})
QUICK = "run --methods patchcore --dataset synthetic:bracket --preset smoke"


def commands(shell: list[Block]) -> list[list[str]]:
    """The arguments of their `adbench` lines, each once."""
    found = [words[1:] for block in shell for words in block.words if words[0] == "adbench"]
    return [list(words) for words in dict.fromkeys(map(tuple, found))]


@cache
def prepared(base: Path) -> Path:
    """A working folder as pages presume it: results, those of another branch, images, examples."""
    folder = base / "documentation"
    folder.mkdir()
    with contextlib.chdir(folder):
        assert call(*QUICK.split(), "--keep-maps").code == 0
        shutil.copytree("results", "results-main")
        (folder / "results/reference").symlink_to(ROOT / "results/reference")
        (folder / "examples").symlink_to(ROOT / "examples")
        (folder / "DTD").mkdir()
        (folder / "new_images").mkdir()
        grey = Image.fromarray(np.full((70, 90), 99, np.uint8))
        for name in ("DTD/texture.png", "new_images/0.png", "new_images/1.png"):
            grey.save(name)
        write_parts(folder / "parts")
    return folder


def write_parts(folder: Path) -> None:
    """Images of one's own: noise, and noise with a dark square."""
    rng = np.random.default_rng(0)
    for kind, count in (("good", 8), ("bad", 3)):
        (folder / kind).mkdir(parents=True)
        for number in range(count):
            pixels = rng.integers(90, 160, (64, 64, 3), np.uint8)
            pixels[20:40, 20:40] //= 1 if kind == "good" else 4
            Image.fromarray(pixels).save(folder / kind / f"{number}.jpg")


@pytest.fixture
def folder(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of it, to work in."""
    own = tmp_path_factory.mktemp("page") / "work"
    shutil.copytree(prepared(tmp_path_factory.getbasetemp()), own, symlinks=True)
    monkeypatch.chdir(own)
    return own


# ------------------------------------------------------------------------------ command lines


def test_every_line_of_a_shell_is_one_that_exists() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    makefile = (ROOT / "Makefile").read_text()
    for block in SHELL:
        for words in block.words:
            match words:
                case ["adbench", *arguments]:
                    given = [*arguments, *grid_words(arguments)]
                    try:
                        parse(given)
                    except Exception as error:  # noqa: BLE001 - Typer's have no common public base
                        pytest.fail(f"{block.page}: {' '.join(words)}: {error}")
                case ["make", target]:
                    assert f"\n{target}:" in makefile, f"{block.page}: make {target}"
                case ["pip", "install", "-e", extras]:
                    for extra in extras.strip(".[]").split(","):
                        assert extra in project["optional-dependencies"], f"{block.page}: {extra}"
                case _:
                    pytest.fail(f"{block.page}: nothing tests the command {' '.join(words)!r}")


def grid_words(arguments: list[str]) -> list[str]:
    """What the file of `--grid` has, which the command line then need not say."""
    return ["--methods", "all", "--dataset", "synthetic"] if "--grid" in arguments else []


@pytest.mark.parametrize("page", RUN_PAGES)
def test_what_is_not_marked_runs(page: str, folder: Path) -> None:
    for words in commands([b for b in SHELL if b.page == page and b.is_run]):
        outcome = call(*words)
        assert outcome.code == 0, f"adbench {' '.join(words)}: {outcome}"


def test_what_needs_data_would_run_on_rendered_images(folder: Path) -> None:
    planned = 0
    for words in commands([b for b in SHELL if b.title in ("needs data", "takes minutes")]):
        if words[0] not in ("run", "plan") or {"--grid", "--selected"} & set(words):
            continue
        outcome = call("plan", *on_rendered_images(words[1:]))
        assert outcome.code == 0, f"adbench {' '.join(words)}: {outcome.err}"
        planned += 1
    assert planned


def on_rendered_images(words: list[str]) -> list[str]:
    """The same options with another data set; without those of `run` alone."""
    kept, rest = [], iter(words)
    for word in rest:
        if word in ("--dataset", "--data-root"):
            next(rest)
        elif word not in ("--figures", "--yes"):
            kept.append(word)
    return [*kept, "--dataset", "synthetic:bracket"]


def test_every_option_that_is_named_exists() -> None:
    wrong = [
        f"{page}: {found}" for page, text in pages().items() for found in unknown_options(text)
    ]
    assert not wrong, "\n".join(wrong)


def test_the_examples_in_python_run(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    own = [block for block in PYTHON if "--8<--" not in block.text and block.is_run]
    assert own
    for block in own:
        exec(compile(block.text, block.page, "exec"), {})


# -------------------------------------------------------------------------------------- the site


def test_the_site_is_built_without_a_warning(tmp_path: Path) -> None:
    pytest.importorskip("mkdocs")
    words = ["build", "--strict", "--quiet", "--site-dir", str(tmp_path / "site")]
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", *words], cwd=ROOT, capture_output=True, text=True,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
    )  # fmt: skip
    assert (done.returncode, done.stdout + done.stderr) == (0, "")
    names = {path.relative_to(tmp_path / "site").as_posix() for path in tmp_path.rglob("*.html")}
    for kind in ("methods", "datasets"):
        listed = [line.split()[0] for line in call(kind).out.splitlines()[:-1]]
        assert {f"{kind}/{name}.html" for name in listed} <= names
    method = (tmp_path / "site/methods/lafite.html").read_text()
    assert "AUPRO@0.3" in method and "denoiser" in method and "GFLOP" in method
    adding = (tmp_path / "site/adding.html").read_text()
    assert "MeanImage" in adding and "OwnParts" in adding and "8<" not in adding


def test_every_module_in_the_map_of_the_house_exists() -> None:
    picture = (ROOT / "docs/inside.md").read_text().split("```")[1]
    names = re.findall(r"\b([a-z_]+\.py)\b", picture)
    assert names
    for name in names:
        assert (ROOT / "adbench" / name).is_file(), name
