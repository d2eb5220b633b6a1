"""`adbench cite`: BibTeX that BibTeX can read, for names and for results."""

from __future__ import annotations

import json
import re
import subprocess
from itertools import accumulate
from pathlib import Path
from shutil import which

import pytest
from toy import PIXEL, Invoke, Toy

from adbench import __version__
from adbench.registry import dataset_names, load_dataset, load_method, method_names
from adbench.report.cite import OWN

ROOT = Path(__file__).parents[1]


def _keys(text: str) -> list[str]:
    return re.findall(r"^@\w+\{([^,\s]+),", text, re.M)


def _is_balanced(text: str) -> bool:
    braces = re.findall(r"[{}]", re.sub(r"\\[{}]", "", text))
    depths = list(accumulate(1 if brace == "{" else -1 for brace in braces))
    return min(depths, default=0) >= 0 and depths[-1:] in ([], [0])


def test_names_give_their_bibtex_and_adbench_itself(invoke: Invoke) -> None:
    outcome = invoke("cite", "lafite", "patchcore[coreset_ratio=0.01]", "--dataset", "mpdd:tubes")
    assert outcome.code == 0 and outcome.err == ""
    assert _keys(outcome.out) == ["yin2023lafite", "roth2022patchcore", "jezek2021mpdd", "adbench"]
    assert load_method("lafite").card.citation in outcome.out


def test_a_group_and_json(invoke: Invoke) -> None:
    cited = json.loads(invoke("cite", "all", "lafite", "--json").out)
    assert [c["name"] for c in cited] == [*method_names(), "adbench"]
    assert {c["kind"] for c in cited} == {"method", "adbench"}
    for arguments, offer in ((["lafit"], "'lafite'"), (["lafite", "--dataset", "mpd"], "'mpdd'")):
        outcome = invoke("cite", *arguments)
        assert outcome.code == 2 and outcome.out == "" and f"did you mean {offer}" in outcome.err


def test_without_names_all_that_the_results_were_made_with(invoke: Invoke, toy: Toy) -> None:
    message = invoke("cite")
    assert message.code == 2 and "--results" in message.err
    run = invoke("run", "--methods", PIXEL, *toy.arguments("a"), "--preset", "smoke", "--no-timing")
    assert run.code == 0, run.err
    outcome = invoke("cite")
    assert outcome.code == 0
    # The toy set comes from a file, and the testing method is in no registry: said, not cited.
    assert "note: toy is not installed" in outcome.err
    assert "note: pixel_gaussian is not installed" in outcome.err
    assert _keys(outcome.out) == ["adbench"]


def test_a_file_of_the_users_own_is_cited(invoke: Invoke, toy: Toy) -> None:
    reference = f"{ROOT}/examples/mean_image.py:MeanImage"
    outcome = invoke("cite", reference, "--dataset", toy.reference)
    assert outcome.code == 0 and _keys(outcome.out) == ["mean", "adbench"]
    assert "data set toy names nothing to cite" in outcome.err


def test_every_card_has_balanced_entries_with_keys_of_their_own() -> None:
    texts = [load_method(name).card.citation for name in method_names()]
    texts += [load_dataset(name).card.citation for name in dataset_names() if name != "synthetic"]
    keys = [key for text in [*texts, OWN] for key in _keys(text)]
    assert len(keys) == len(set(keys)) >= len(texts)
    assert all(_is_balanced(text) and _keys(text) for text in [*texts, OWN])


def test_adbench_is_cited_as_citation_cff_says() -> None:
    cff = (ROOT / "CITATION.cff").read_text()
    title = re.search(r'^title: "(.+)"$', cff, re.M)
    author = re.search(r"- name: (.+)$", cff, re.M)
    assert title is not None and author is not None
    plain = OWN.replace("{", "").replace("}", "")
    assert title[1] in plain and author[1] in plain
    assert f"version: {__version__}" in cff and __version__ in plain


@pytest.mark.skipif(which("bibtex") is None, reason="bibtex is not installed")
def test_bibtex_reads_it(invoke: Invoke, tmp_path: Path) -> None:
    datasets = [part for name in dataset_names() for part in ("--dataset", name)]
    (tmp_path / "all.bib").write_text(invoke("cite", "all", *datasets).out)
    (tmp_path / "all.aux").write_text("\\citation{*}\n\\bibstyle{plain}\n\\bibdata{all}\n")
    run = subprocess.run(["bibtex", "all"], cwd=tmp_path, capture_output=True, text=True)
    assert run.returncode == 0 and "error message" not in run.stdout, run.stdout
    assert "yin2023lafite" in (tmp_path / "all.bbl").read_text()
