"""What changes the digest of a method's code, and what does not."""

from __future__ import annotations

import hashlib
import itertools
import py_compile
from collections.abc import Mapping
from pathlib import Path

import pytest

from adbench.code_digest import MethodCode, find_module, method_code, modules_digest
from adbench.registry import load_method, method_names
from adbench.source_text import SourceText

_NUMBER = itertools.count()
MAIN = '''"""A method."""
from numpy import min as reduced

from adbench.testing import PixelGaussian
from helper import SIGN, other
import package.leaf


class Mine(PixelGaussian):
    """Mine."""

    card = PixelGaussian.card.model_copy(update={"name": "mine"})

    def predict(self, images):
        import lazy

        return reduced(SIGN) + lazy.late() + package.leaf.LEAF + other()
'''
FILES = {
    "mine.py": MAIN,
    "helper.py": "import math\nSIGN = 1  # of the score\n\n\ndef other():\n    return math.pi\n",
    "lazy.py": "from deeper import VALUE\n\n\ndef late():\n    return VALUE\n",
    "deeper.py": "VALUE = 2\n",
    "spare.py": "VALUE = 3\n",
    "package/__init__.py": "",
    "package/leaf.py": "from .bud import LEAF as LEAF\n",
    "package/bud.py": "LEAF = 5\n",
}


def code(tmp_path: Path, changes: Mapping[str, str | None] | None = None) -> MethodCode:
    """Of `FILES` with changes, each in a folder of its own."""
    folder = tmp_path / str(next(_NUMBER))
    for name, text in {**FILES, **(changes or {})}.items():
        if text is not None:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(text)
    return method_code(load_method(f"{folder / 'mine.py'}:Mine"))


def replaced(name: str, *pairs: str) -> dict[str, str | None]:
    text = FILES[name]
    for old, new in zip(pairs[::2], pairs[1::2], strict=True):
        assert old in text
        text = text.replace(old, new)
    return {name: text}


def test_every_module_that_is_imported_is_there_under_its_own_name(tmp_path: Path) -> None:
    names = set(code(tmp_path).modules)
    own = {n for n in names if not n.startswith("adbench.")}
    assert own == {"mine", "helper", "lazy", "deeper", "package.bud"}
    assert {n for n in names if n.startswith("adbench.")} == {"adbench.testing"}


SAME: dict[str, dict[str, str | None]] = {
    "comment": replaced("helper.py", "# of the score", "# of the map"),
    "docstring": replaced("mine.py", '"""Mine."""', '"""Ours."""', '"""A method."""', ""),
    "blank lines": replaced("helper.py", "\n\n\n", "\n"),
    "form feed": replaced("helper.py", "\n\n\n", "\n\x0c\n"),
    "formatting": replaced("helper.py", "SIGN = 1  # of", "SIGN=(\n    1\n)  # of"),
    "unused import": replaced("helper.py", "import math", "import math\nimport os"),
    "split import": replaced(
        "mine.py", "from helper import SIGN, other",
        "from helper import other\nfrom helper import SIGN",
    ),
    "re-ordered imports": replaced(
        "mine.py", "from helper import SIGN, other\nimport package.leaf",
        "import package.leaf\nfrom helper import other, SIGN",
    ),
    "moved helper": {
        **replaced("mine.py", "from helper import", "from tools.helpers import"),
        "helper.py": None, "tools/helpers.py": FILES["helper.py"], "tools/__init__.py": "",
    },
    "moved with another name": {
        **replaced("lazy.py", "from deeper import", "from renamed import"),
        "deeper.py": None, "renamed.py": FILES["deeper.py"],
    },
    "past a module that passes on": {
        **replaced("package/leaf.py", "from .bud import", "from package.bud import"),
    },
    "for type checkers": replaced(
        "helper.py", "SIGN", "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n"
        "    from spare import VALUE\nSIGN",
    ),
    "file that nobody imports": {"spare.py": "VALUE = 33\n"},
}  # fmt: skip
OTHER: dict[str, dict[str, str | None]] = {
    "constant of a helper": replaced("helper.py", "SIGN = 1", "SIGN = -1"),
    "after a form feed": replaced("helper.py", "# of the score", "# \x0c\nSIGN = 2"),
    "after a line separator in a comment": replaced(
        "helper.py", "# of the score\n", "# \u2028 x\nSIGN = 4\n"
    ),
    "helper of a helper": replaced("deeper.py", "2", "7"),
    "behind a relative import": replaced("package/bud.py", "5", "6"),
    "text": replaced("mine.py", '"name": "mine"', '"name": "mine", "year": 1999'),
    "another module of one name": replaced("lazy.py", "from deeper import", "from spare import"),
    "another function of a library": replaced("mine.py", "min as reduced", "max as reduced"),
    "another library": replaced("helper.py", "import math", "import cmath as math"),
    "exchanged names": replaced(
        "mine.py", "import SIGN, other", "import SIGN as other, other as SIGN"
    ),
    "decorator": replaced("helper.py", "def other", "@staticmethod\ndef other"),
    "default": replaced("helper.py", "def other()", "def other(x=1)"),
    "a value": replaced("helper.py", "SIGN = 1", "SIGN = True"),
    "import by its name": replaced(
        "helper.py", "SIGN = 1",
        "import importlib\nlazily = lambda: importlib.import_module('spare')\nSIGN = 1",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", SAME)
def test_what_changes_no_number_changes_no_digest(tmp_path: Path, name: str) -> None:
    assert code(tmp_path, SAME[name]).digest == code(tmp_path).digest


@pytest.mark.parametrize("name", OTHER)
def test_every_change_of_code_changes_the_digest(tmp_path: Path, name: str) -> None:
    assert code(tmp_path, OTHER[name]).digest != code(tmp_path).digest


ONE_AND_TWO = {  # they say the same, of other things
    "one.py": "from deeper import VALUE\n\n\ndef f():\n    return VALUE\n",
    "two.py": "from spare import VALUE\n\n\ndef f():\n    return VALUE\n",
}
EITHER = "import one, two\nfrom {} import f\n\n\ndef late():\n    return f(), one.f, two.f\n"
BOTH = (
    "def late():\n    from numpy import {} as f\n    return f\n\n\n"
    "def later():\n    from numpy import {} as f\n    return f\n"
)
CIRCLE = "import lazy\nVALUE = {}\nagain = lambda: lazy.late\n"


@pytest.mark.parametrize(
    ("first", "second"),
    [
        [{"lazy.py": EITHER.format(n), **ONE_AND_TWO} for n in ("one", "two")],
        [{"lazy.py": BOTH.format(*n)} for n in (("min", "max"), ("max", "min"))],
        [{"deeper.py": CIRCLE.format(n)} for n in (2, 3)],
    ],
    ids=["one of two alike modules", "exchanged between two functions", "in a circle"],
)
def test_what_differs_far_away_counts(
    tmp_path: Path, first: dict[str, str], second: dict[str, str]
) -> None:
    assert code(tmp_path, first).digest == code(tmp_path, first).digest
    assert code(tmp_path, first).digest != code(tmp_path, second).digest


def test_modules_outside_of_the_folder_are_covered_unless_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    digests = []
    for number, (place, value) in enumerate(
        [("lab", 1), ("lab", 2), ("lib/site-packages", 1), ("lib/site-packages", 2)]
    ):
        root = tmp_path / f"root{number}" / place
        root.mkdir(parents=True)
        # Another name each: this process keeps what it has imported.
        (root / f"outside{number}.py").write_text(f"VALUE = {value}\n")
        monkeypatch.syspath_prepend(root)
        text = f"from outside{number} import VALUE\n\n\ndef late():\n    return VALUE\n"
        digests.append(code(tmp_path, {"lazy.py": text}))
    assert digests[0].digest != digests[1].digest
    assert "outside0" in digests[0].modules and "outside2" not in digests[2].modules


def test_an_installed_plug_in_has_its_own_distribution_covered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path / "site-packages"
    (root / "thirdparty_x").mkdir(parents=True)
    (root / "thirdparty_x-1.dist-info").mkdir()
    record = "thirdparty_x/__init__.py,,\nthirdparty_x/m.py,,\nthirdparty_x_core.py,,\n"
    (root / "thirdparty_x-1.dist-info/RECORD").write_text(record)
    (root / "thirdparty_x/__init__.py").write_text("")
    main = MAIN.replace("import package.leaf", "from foreign_x import F").replace(
        "package.leaf.LEAF", "F"
    )
    main = main.replace("from helper", "from thirdparty_x_core")
    main = main.replace("import lazy", "import math as lazy")
    (root / "thirdparty_x/m.py").write_text(main)
    (root / "thirdparty_x_core.py").write_text(FILES["helper.py"])
    (root / "foreign_x.py").write_text("F = 1\n")
    monkeypatch.syspath_prepend(root)
    names = set(method_code(load_method("thirdparty_x.m:Mine")).modules)
    assert names == {"thirdparty_x.m", "thirdparty_x_core", "adbench.testing"}


def test_compiled_and_broken_neighbours_are_digested_by_their_bytes(tmp_path: Path) -> None:
    text = "def late():\n    try:\n        import old\n    except SyntaxError:\n        return 0\n"
    first, second = (code(tmp_path, {"lazy.py": text, "old.py": f"print {n}\n"}) for n in (1, 2))
    assert first.digest != second.digest
    digests = []
    for value in (1, 1, 2):
        folder = tmp_path / str(next(_NUMBER))
        folder.mkdir()
        (folder / "source.py").write_text(f"VALUE = {value}\n")
        py_compile.compile(str(folder / "source.py"), str(folder / "fast.pyc"), dfile="x")
        (folder / "source.py").unlink()
        (folder / "mine.py").write_text(
            "from adbench.testing import PixelGaussian\nfrom fast import VALUE\n\n\n"
            "class Mine(PixelGaussian):\n    value = VALUE\n"
        )
        digests.append(method_code(load_method(f"{folder / 'mine.py'}:Mine")).digest)
    assert digests[0] == digests[1] != digests[2]


def test_a_class_of_a_file_is_not_another_one(tmp_path: Path) -> None:
    path = tmp_path / "two.py"
    own = "class {}(PixelGaussian):\n    x = 1\n\n\n"
    path.write_text(MAIN[: MAIN.index("from helper")] + own.format("A") + own.format("B"))
    assert len({method_code(load_method(f"{path}:{name}")).digest for name in "AB"}) == 2


@pytest.mark.parametrize("name", method_names())
def test_the_harness_and_the_words_of_cards_are_in_no_method(name: str) -> None:
    method = load_method(name)
    modules = method_code(method).modules
    assert all(n.startswith("adbench.methods.") for n in modules)
    card = find_module(f"{method.__module__.rpartition('.')[0]}.card")
    if card is not None and card.path is not None:
        text = SourceText(card.path.read_bytes()).text
        assert method.card.title not in text and "GridStep" not in text
    assert "torch" not in {n.partition(".")[0] for n in modules}


def test_a_card_keeps_what_a_method_reads_of_it() -> None:
    head = "from adbench.contracts import MethodCard as C\n"
    texts = [
        SourceText((head + f"card = C(name='x', revision={r}, summary='{s}')").encode()).text
        for r, s in ((1, "a"), (1, "b"), (2, "a"))
    ]
    assert texts[0] == texts[1] != texts[2]
    own = "class MethodCard: ...\n"  # somebody else's
    assert SourceText((own + "card = MethodCard(summary='a')").encode()).text != (
        SourceText((own + "card = MethodCard(summary='b')").encode()).text
    )


def test_the_digest_is_the_same_on_every_python() -> None:
    """Pinned: a change of this number starts every user's grid anew, and belongs in CHANGELOG."""
    source = (
        "import numpy as np\nx: int = 1_000 if np else -0.5\n\n\n"
        "@x.y\nasync def f(a, /, b=1, *c, d: 'int' = ..., **e) -> None:\n"
        "    'doc'\n    global g\n    with a as b, c: yield [i async for i in b if i]\n"
        "    try:\n        return f'é{a!r:>{b}}' 'tail' if a[1:, ...] else lambda *, k: b'\\xff'\n"
        "    except* ValueError as error:\n        raise error from None\n"
        "    match a:\n        case {'k': [1, *_], **rest} | None: pass\n"
        "        case C(z=1) as w if w > 1 != 2: del w\n"
    )
    text = SourceText(source.encode()).text
    assert text.isascii() and "doc" not in text
    assert hashlib.sha256(text.encode()).hexdigest()[:16] == "fe576341754e22b6"


def test_named_modules_are_keyed_by_the_tree_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    found = []
    for number, text in enumerate(("x = 1  # a\n", "x = 1  # b\n\x0c", "# \x0c\nx = 2\n")):
        (tmp_path / f"keyed{number}.py").write_text(text)
        found.append(modules_digest(f"keyed{number}"))
    assert found[0] == found[1] != found[2]
