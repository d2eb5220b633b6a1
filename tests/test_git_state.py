"""The commit in a record: of adbench's checkout and of the repository of the user's file."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
from ends import records
from toy import PIXEL, Invoke, Toy

from adbench import machine
from adbench.machine.environment import file_state, git_state
from adbench.registry import load_method

METHOD = """
from adbench.testing import PixelGaussian


class Mine(PixelGaussian):
    card = PixelGaussian.card.model_copy(update={"name": "mine"})
"""


def git(folder: Path, *words: str) -> str:
    own = {n: v for n, v in os.environ.items() if not n.startswith("GIT_")}
    return subprocess.run(
        ["git", "-C", str(folder), "-c", "user.name=x", "-c", "user.email=x@x", *words],
        check=True, capture_output=True, text=True, env=own,
    ).stdout.strip()  # fmt: skip


def repository(folder: Path, files: dict[str, str]) -> str:
    """A repository with these files committed; the commit."""
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    git(folder, "init", "-q")
    git(folder, "add", "-A")
    git(folder, "commit", "-qm", "first")
    return git(folder, "rev-parse", "HEAD")


@pytest.fixture(autouse=True)
def _fresh() -> None:
    file_state.cache_clear()


def test_the_commit_of_a_file_and_whether_the_checkout_is_changed(tmp_path: Path) -> None:
    commit = repository(tmp_path, {"sub/m.py": "x", "other.py": "y"})
    clean = {"commit": commit, "dirty": False}
    assert file_state(tmp_path / "sub/m.py") == clean
    (tmp_path / "notes.txt").write_text("not tracked, no code")
    file_state.cache_clear()
    assert file_state(tmp_path / "sub/m.py") == clean
    (tmp_path / "other.py").write_text("z")
    file_state.cache_clear()
    assert file_state(tmp_path / "sub/m.py") == {"commit": commit, "dirty": True}


def test_a_new_file_is_a_change_and_git_is_asked_at_most_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit = repository(tmp_path, {"other.py": "y"})
    (tmp_path / "m.py").write_text("x")
    calls: list[Any] = []
    run = subprocess.run

    def counted(*arguments: Any, **options: Any) -> Any:
        calls.append(arguments)
        return run(*arguments, **options)

    monkeypatch.setattr(subprocess, "run", counted)
    for _ in range(3):
        assert file_state(tmp_path / "m.py") == {"commit": commit, "dirty": True}
    assert len(calls) <= 2


def test_an_ignored_or_installed_file_has_no_commit(tmp_path: Path) -> None:
    repository(tmp_path, {".gitignore": "ignored\n", "other.py": "y"})
    for place in ("ignored/m.py", ".venv/lib/python3/site-packages/adbench/m.py"):
        (tmp_path / place).parent.mkdir(parents=True)
        (tmp_path / place).write_text("x")
        assert file_state(tmp_path / place) is None


@pytest.mark.parametrize("case", ["no repository", "no commit", "no git", "broken"])
def test_what_has_no_commit_has_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, case: str
) -> None:
    (tmp_path / "m.py").write_text("x")
    if case in ("no commit", "no git"):
        git(tmp_path, "init", "-q")
    if case == "no git":
        monkeypatch.setenv("PATH", str(tmp_path))
    if case == "broken":
        (tmp_path / ".git").write_text("gitdir: nowhere\n")
    assert file_state(tmp_path / "m.py") is None


def test_a_hooks_variables_lead_nowhere_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit = repository(tmp_path / "own", {"m.py": "x"})
    repository(tmp_path / "other", {"m.py": "y"})
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "other/.git"))
    monkeypatch.setenv("GIT_WORK_TREE", str(tmp_path / "other"))
    monkeypatch.setenv("GIT_INDEX_FILE", str(tmp_path / "other/.git/index"))
    assert file_state(tmp_path / "own/m.py") == {"commit": commit, "dirty": False}


def test_adbenchs_own_checkout() -> None:
    root = Path(machine.__path__[0]).resolve().parents[1]
    if not (root / ".git").exists():
        pytest.skip("adbench is not a checkout here")
    state = git_state()
    assert state is not None and state["commit"] == git(root, "rev-parse", "HEAD")


def test_a_record_names_the_repository_of_the_users_file(
    invoke: Invoke, toy: Toy, tmp_path: Path
) -> None:
    commit = repository(tmp_path / "mine", {"m.py": METHOD})
    words = [*toy.arguments("a"), "--preset", "smoke", "--no-timing"]
    assert invoke("run", "--methods", f"mine/m.py:Mine,{PIXEL}", *words).code == 0
    found = {r["identity"]["method"]: r for r in records(tmp_path / "results")}
    expected = {"method": {"commit": commit, "dirty": False}}
    assert found["mine"]["environment"]["plugin_git"] == expected
    assert "plugin_git" not in found["pixel_gaussian"]["environment"]
    text = json.dumps(found["mine"])
    assert str(tmp_path) not in text
    (series, *_) = [
        s for s in json.loads(invoke("history", "--json", "--metric", "image_auroc").out)
        if s["method"] == "mine"
    ]  # fmt: skip
    own = git_state()
    label = "" if own is None else own["commit"][:10] + "+" * own["dirty"] + " "
    assert [p["commit"] for p in series["points"]] == [f"{label}{commit[:10]}"]


def test_history_has_a_point_for_each_commit_of_the_users_file(
    invoke: Invoke, toy: Toy, tmp_path: Path
) -> None:
    repository(tmp_path / "mine", {"m.py": METHOD})
    words = [*toy.arguments("a"), "--preset", "smoke", "--no-timing"]
    load_method(f"{tmp_path}/mine/m.py:Mine")
    assert invoke("run", "--methods", "mine/m.py:Mine", *words).code == 0
    git(tmp_path / "mine", "commit", "--allow-empty", "-qm", "second")
    file_state.cache_clear()
    again = invoke("run", "--methods", "mine/m.py:Mine[steps=2]", *words, "--overwrite", "all")
    assert again.code == 0
    points = [p["commit"] for s in json.loads(invoke("history", "--json").out) for p in s["points"]]
    assert len(set(points)) == 2
