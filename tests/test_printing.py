"""One printing path: nothing from a record, a name or a plug-in steers a terminal or a document."""

from __future__ import annotations

import ast
import csv
import io
import re
import sys
import unicodedata
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fuzz_records import sound_record
from scored import failed, scored_record, write_results
from toy import Invoke

import adbench
from adbench.consoles import SafeConsole
from adbench.spreadsheet import csv_text
from adbench.store.records import Record
from adbench.text import is_printable, printable, printable_lines

HIDDEN = "\u202e\u2066\u200b\U000e0041"
EVIL = f"a\x1b]0;x\x07\x1b[2J\x1b[8m\x9b\r{HIDDEN}b"
RAW = re.compile(f"[\x00-\x08\x0b-\x1f\x7f-\x9f{HIDDEN}]")
COMMANDS = (
    "report", "report --layout paper", "report --format markdown", "report --format csv",
    "report --format csv --layout paper", "report --format latex", "report --format html",
    "report --json", "report --published", "runs", "runs --all --json", "history",
    "history --json", "compare results other --all", "compare results other --format markdown",
    "gate --baseline base.json", "gate --baseline base.json --format markdown",
    "gate --baseline base.json --json", "cite", "status",
)  # fmt: skip


def poisoned(value: Any, text: str) -> Any:
    """Every text in it with something evil at its end."""
    if isinstance(value, dict):
        return {k: poisoned(v, text) for k, v in value.items()}
    if isinstance(value, list):
        return [poisoned(v, text) for v in value]
    return f"{value}{text}" if isinstance(value, str) else value


def evil_records(shift: float = 0.0) -> list[Record]:
    """A finished and a failed one: every text is evil, names as far as they may be."""
    labels = np.arange(40) % 2
    record = scored_record(labels, np.arange(40.0) + shift * labels)
    sound, value = sound_record(), record.model_dump(mode="json")
    for name in ("timing", "environment", "data"):
        value[name] = poisoned(sound[name], EVIL)
    value["data"]["findings"][0]["severity"] = "warning"
    value["data"]["ground_truth"] = {f"a{HIDDEN}": value["data"]["ground_truth"]["a"]}
    value["identity"] = poisoned(value["identity"], HIDDEN) | {"scope": "separate"}
    value["identity"]["dataset_version"] = value["protocol"]["dataset_version"] = EVIL
    value["identity"]["hyperparameters"] = {EVIL: EVIL}
    value["protocol"]["dataset"] += HIDDEN
    value["protocol"] |= {"backbone": EVIL, "weights_sha256": EVIL, "selection": EVIL}
    value["metrics"] = {f"a{HIDDEN}": value["metrics"]["a"]}
    for column in ("id", "category", "defect"):
        value["images"][column] = poisoned(value["images"][column], HIDDEN)
    value |= {"preset": EVIL, "variant": f"k={EVIL}", "diagnostics": {EVIL: EVIL}}
    value["key_parts"] = {"test": EVIL, "masks": EVIL}
    done = Record.model_validate(value)
    other = {k: f"{v[:-1]}0" for k, v in done.keys.items()}
    broken = failed(done, EVIL).model_copy(
        update={"keys": other, "data": {}, "identity": done.identity | {"seed": 1}}
    )
    assert broken.failure is not None
    broken.failure.traceback, broken.failure.type = [EVIL], EVIL
    return [done, broken]


@pytest.mark.parametrize("terminal", [False, True])
def test_no_reader_prints_what_steers(
    invoke: Invoke, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, terminal: bool
) -> None:
    write_results(tmp_path / "results", evil_records())
    write_results(tmp_path / "other", evil_records(-30.0))
    assert invoke("baseline", "save", "base.json").code == 0
    monkeypatch.setattr(sys.stdout, "isatty", lambda: terminal)
    for command in COMMANDS:
        outcome = invoke(*command.split())
        assert outcome.code in (0, 1, 2, 3, 5), (command, outcome.err[-600:])
        shown = re.sub(r"\x1b\[[0-9;]*m", "", outcome.out) if terminal else outcome.out
        found = RAW.search(shown + outcome.err)
        assert found is None, (command, found, (shown + outcome.err)[found.start() - 60 :][:90])
        if terminal and command == "history":
            assert r"\x1b[8m" in shown, "a colour of a stranger's is none of ours"
        if command.startswith("report"):
            assert invoke(*command.split(), "--out", "table").code == 0
            assert RAW.search((tmp_path / "table").read_text()) is None
    assert RAW.search((tmp_path / "base.json").read_text()) is None


def test_every_character_that_nobody_sees_is_an_escape_and_every_script_stays() -> None:
    seen = "\u200c\u200d\u06dd\u0890\u0891\u08e2\U000110bd\U000110cd"
    seen += "".join(map(chr, range(0x600, 0x606)))
    for number in range(sys.maxunicode + 1):
        character = chr(number)
        if unicodedata.category(character) in ("Cc", "Cf", "Zl", "Zp", "Cs"):
            assert (printable(character) == character) == (character in seen), hex(number)
    for name in ("größe 漢字", "می‌خواهم", "क्‍ष", "👩‍🔬", "a\u0301", "x\xa0y"):
        assert printable(name) == name and is_printable(name)
    assert is_printable("x\u200ey"), "shown as an escape, and no reason to refuse an image"
    assert printable("a\n\t\u202e") == r"a\n\t\u202e"
    assert printable_lines("a\n\t\u202e\r") == "a\n\t\\u202e\\r"


def test_a_console_escapes_whatever_it_is_given() -> None:
    from rich.table import Table
    from rich.text import Text

    file = io.StringIO()
    console = SafeConsole(file=file, force_terminal=True, width=80, color_system=None)
    table = Table(EVIL, title=EVIL)
    table.add_row(Text(EVIL))
    for shown in (EVIL, Text(EVIL), table):
        console.print(shown, markup=False)
    text = re.sub(r"\x1b\[[0-9;]*m", "", file.getvalue())
    assert RAW.search(text) is None and text.count(r"\u202e") == 5


SOURCES = [p for top in ("adbench", "methods", "datasets")
           for p in (Path(adbench.__file__).parents[1] / top).rglob("*.py")]  # fmt: skip


def test_no_module_but_one_prints() -> None:
    assert len(SOURCES) > 150
    for path in SOURCES:
        if path.name in ("text.py", "consoles.py") and path.parent.name == "adbench":
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            where = f"{path}:{getattr(node, 'lineno', 0)}: use adbench.text"
            if isinstance(node, ast.Call):
                called = ast.unparse(node.func)
                assert called != "print" and not called.endswith((".print_exc", ".echo")), where
                assert not re.fullmatch(r"(sys\.)?std(out|err)\.write(lines)?", called), where
                assert called.rpartition(".")[2] != "Console", where


# ------------------------------------------------------------------------------------------- CSV


FORMULAS = ["=1+1", "+x", "-x", "@SUM(A1)", "\t=1", "\r=1", "-2+3", "＝1", "-"]
NUMBERS = [-0.5, "-0.5", "-0.50 ± 0.20", "97.1/-0.5", "97.1 / -0.5", "+3", "-1e-05", "a=b", "", 3]


def test_a_text_that_would_be_a_formula_is_quoted_and_numbers_stay() -> None:
    rows = csv.reader(io.StringIO(csv_text([[value, "x"] for value in [*FORMULAS, *NUMBERS]])))
    expected = [*("'" + printable(text) for text in FORMULAS), *map(str, NUMBERS)]
    assert [*rows] == [[text, "x"] for text in expected]


@pytest.mark.parametrize("layout", ["long", "paper"])
def test_no_cell_of_a_report_is_a_formula(invoke: Invoke, tmp_path: Path, layout: str) -> None:
    record = scored_record(
        np.arange(8) % 2, np.arange(8.0), '=HYPERLINK("x")', method="@m", variant="+a"
    )
    other = scored_record(np.arange(8) % 2, np.arange(8.0), '=HYPERLINK("x")', method="-m")
    write_results(tmp_path / "results", [record, other.model_copy(update={"preset": "=1"})])
    outcome = invoke("report", "--format", "csv", "--layout", layout)
    assert outcome.code == 0, outcome.err
    cells = [cell for row in csv.reader(io.StringIO(outcome.out)) for cell in row]
    assert not [c for c in cells if c[:1] in "=+-@" and c], cells
    assert any(c.startswith(("'@m", "'-m")) for c in cells)
