"""From the command line: what was computed with other code, or of other kinds, is not reused."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from outcomes import the_error
from scored import scored_record
from toy import PIXEL, TOY_CARD, Invoke, Toy, forget_plugins

from adbench.cli.explain import explain_cell
from adbench.errors import PluginError
from adbench.registry import load_dataset, load_method
from adbench.request import Request

METHOD = """
from adbench.testing import PixelGaussian
{head}


class Mine(PixelGaussian):
    card = PixelGaussian.card.model_copy(update={{"name": "mine"}})

    def fit(self, train, context):
        super().fit(train, context)
        {fit}
        return self

    def predict(self, images):
        found = super().predict(images)
        return type(found)(found.maps, found.scores * self.sign_)

    def save(self, folder):
        super().save(folder)
        (folder / "sign").write_text(str(self.sign_))

    def load(self, folder, context):
        self.sign_ = int((folder / "sign").read_text())
        return super().load(folder, context)
"""
RUN = ("--preset", "smoke", "--no-timing", "--json", "--explain-cache")


def auroc(out: str) -> float:
    value: float = json.loads(out)[0]["image_auroc"]
    return value


def test_a_changed_helper_is_noticed_and_named(invoke: Invoke, toy: Toy, tmp_path: Path) -> None:
    folder = tmp_path / "plug"
    folder.mkdir()
    (folder / "m.py").write_text(
        METHOD.format(head="from myhelper import SIGN", fit="self.sign_ = SIGN")
    )
    found = []
    for text in ("SIGN = 1\n", "# it was 1\n\n\nSIGN = 1\n", "SIGN = -1\n"):
        (folder / "myhelper.py").write_text(text)
        forget_plugins()
        outcome = invoke("run", "--methods", "plug/m.py:Mine", *toy.arguments("a"), *RUN)
        assert outcome.code == 0, outcome.err
        found.append((auroc(outcome.out), outcome.err))
    assert "reused" in found[1][1] and found[1][0] == found[0][0]
    assert "the method's code: myhelper changed" in found[2][1]
    assert found[2][0] == pytest.approx(1 - found[0][0]) != found[0][0]


def with_card(toy: Toy, name: str, more: str = "", category: str = "") -> str:
    """The toy data set with another card; its reference."""
    text = TOY_CARD.replace("categories={}", f"categories={{'a': CategoryCard({category})}}")
    text = text.replace("import DatasetCard", "import CategoryCard, DatasetCard")
    path = toy.folder / f"{name}.py"
    path.write_text(text.replace('citation="",', f'citation="", {more}'))
    return f"{path}:Toy"


def test_a_changed_kind_is_noticed(invoke: Invoke, toy: Toy, tmp_path: Path) -> None:
    fit = "self.sign_ = {'object': 1, 'texture': -1}[context.category_cards['a'].kind]"
    (tmp_path / "m.py").write_text(METHOD.format(head="", fit=fit))
    scores = []
    for kind in ("object", "texture"):
        reference = with_card(toy, kind, category=f"kind={kind!r}")
        words = ["--dataset", f"{reference}:a", "--data-root", str(toy.folder), *RUN]
        outcome = invoke("run", "--methods", "m.py:Mine", *words)
        assert outcome.code == 0, outcome.err
        scores.append(auroc(outcome.out))
    assert scores[1] == pytest.approx(1 - scores[0]) != scores[0]
    assert "differs: the kinds of the categories" in outcome.err


def plan_of(toy: Toy, method: str, dataset: str) -> Request:
    return Request(method, (f"{dataset}:a",), preset="smoke", data_root=toy.folder)


def test_a_method_is_told_what_is_in_the_keys_and_no_more(toy: Toy) -> None:
    """A card whose counts are corrected starts nothing anew."""
    right, wrong = (with_card(toy, f"c{n}", category=f"train_good={n}") for n in (6, 7))
    cells = [plan_of(toy, PIXEL, reference).plan().cells[0] for reference in (right, wrong)]
    assert cells[0].score_key == cells[1].score_key
    assert cells[0].category_cards()["a"].model_dump(exclude_defaults=True) == {}


def test_a_revision_forces_new_numbers(toy: Toy, tmp_path: Path) -> None:
    base = plan_of(toy, PIXEL, with_card(toy, "plain")).plan().cells[0]
    assert not [name for name in base.key_parts if name.endswith("revision")]
    one = plan_of(toy, PIXEL, with_card(toy, "one", "revision=1,")).plan().cells[0]
    two = plan_of(toy, PIXEL, with_card(toy, "two", "revision=2,")).plan().cells[0]
    assert one.score_key == base.score_key and two.fit_key != base.fit_key
    keys = set()
    for revision in (1, 2):
        path = tmp_path / f"r{revision}.py"
        path.write_text(GOOD.format(name="same", number=0))
        method = load_method(f"{path}:M")
        method.card = method.card.model_copy(update={"revision": revision})
        keys.add(plan_of(toy, f"{path}:M", toy.reference).plan().cells[0].fit_key)
    assert len(keys) == 2
    with pytest.raises(PluginError, match="revision"):
        load_dataset(with_card(toy, "zero", "revision=0,"))


def test_a_record_of_an_earlier_version_is_said_to_be_one(toy: Toy, tmp_path: Path) -> None:
    request = plan_of(toy, PIXEL, toy.reference)
    (cell,) = request.plan().cells
    old = {n: v for n, v in cell.key_parts.items() if n not in ("code_digest", "kinds")}
    old["code"] = {"adbench.testing": "0123456789abcdef"}
    record = scored_record(np.arange(4) % 2 == 1, np.arange(4.0)).model_copy(
        update={"identity": cell.identity, "key_parts": old}
    )
    text = explain_cell(cell, Request("x", (), results=tmp_path / "r").store(), [record])
    assert "this version of adbench keys code and cards otherwise" in text
    assert "trained again" in text


# --------------------------------------------------------------------------------- one name, two

GOOD = """
from adbench.testing import PixelGaussian


class M(PixelGaussian):
    card = PixelGaussian.card.model_copy(update={{"name": {name!r}}})
    number = {number}
"""


def two_methods(tmp_path: Path, name: str = "same") -> list[str]:
    for number, stem in enumerate("ab"):
        (tmp_path / f"{stem}.py").write_text(GOOD.format(name=name, number=number))
    return ["a.py:M", "b.py:M"]


@pytest.mark.parametrize("command", ["run", "plan", "select"])
def test_two_methods_of_one_name_are_refused(
    invoke: Invoke, toy: Toy, tmp_path: Path, command: str
) -> None:
    methods = ",".join(two_methods(tmp_path))
    words = ["--methods", methods, *toy.arguments("a"), "--preset", "smoke"]
    message = the_error(invoke(command, *words), 2)
    assert "a.py:M" in message and "b.py:M" in message and "'same'" in message
    assert not (tmp_path / "results").exists()
    two_methods(tmp_path, "patchcore")
    forget_plugins()
    words[1] = "patchcore,a.py:M"
    assert "patchcore and a.py:M" in the_error(invoke(command, *words), 2)


def test_two_data_sets_of_one_name_are_refused(invoke: Invoke, toy: Toy, tmp_path: Path) -> None:
    (tmp_path / "other.py").write_text(TOY_CARD)
    words = ["--methods", PIXEL, "--data-root", "nowhere", "--preset", "smoke"]
    both = ["--dataset", toy.reference, "--dataset", "other.py:Toy"]
    for command in ("run", "plan"):
        message = the_error(invoke(command, *words, *both), 2)
        assert toy.reference in message and "other.py:Toy" in message and "'toy'" in message


def test_the_same_thing_twice_is_fine(invoke: Invoke, toy: Toy, tmp_path: Path) -> None:
    two_methods(tmp_path)
    (tmp_path / "link").symlink_to(tmp_path)
    words = ["--data-root", str(toy.folder), "--preset", "smoke"]
    both = ["--dataset", toy.reference, "--dataset", f"{toy.reference}:a"]
    twice = ["--methods", "a.py:M,./a.py:M,link/a.py:M,a.py:M[steps=2]"]
    outcome = invoke("plan", *twice, *words, *both, "--json")
    assert outcome.code == 0, outcome.err
    assert len(json.loads(outcome.out)) == 2 * 2
    assert load_dataset(toy.reference).card.name == "toy"
