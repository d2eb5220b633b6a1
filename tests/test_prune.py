"""`adbench prune` removes what no table uses, and nothing else."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import numpy as np
import pytest
from outcomes import the_error
from scored import scored_record, write_results
from toy import PIXEL, Invoke, Toy

from adbench.store.claims import ClaimWatch
from adbench.store.folders import Store

LABELS = np.array([0, 1, 0, 1])


def superseded(folder: Path) -> Path:
    """Two records of one cell, of which a clock says nothing: the numbers do."""
    old = scored_record(LABELS, LABELS + 0.0)
    new = scored_record(LABELS, LABELS * 2.0)
    numbered = [r.model_copy(update={"number": n}) for n, r in enumerate((old, new), 1)]
    write_results(folder, numbered)
    for record in numbered:
        model = folder / "cells" / record.keys["fit"] / "model"
        model.mkdir()
        (model / "weights").write_bytes(bytes(5000))
    return folder


def test_superseded_records_go_with_their_models(tmp_path: Path, invoke: Invoke) -> None:
    results = superseded(tmp_path / "results")
    table = invoke("report").out
    told = invoke("prune", "--dry-run")
    assert told.code == 0 and "m fast on toy:a, seed 0" in told.out and "1 item" in told.out
    assert len(list(results.glob("cells/*"))) == 2
    assert invoke("prune", "--yes").code == 0
    assert len(list(results.glob("cells/*"))) == 1 and len(list(results.glob("cells/*/model"))) == 1
    assert invoke("report").out == table
    assert "nothing in results is without use" in invoke("prune", "--dry-run").out


def test_nothing_goes_unasked(
    tmp_path: Path, invoke: Invoke, monkeypatch: pytest.MonkeyPatch
) -> None:
    results = superseded(tmp_path / "results")
    monkeypatch.setattr(sys, "stdin", io.StringIO("y\n"))
    assert "--yes" in the_error(invoke("prune"), 2)
    for answer, left in (("\n", 2), ("n\n", 2), ("y\n", 1)):
        answers = io.StringIO(answer)
        monkeypatch.setattr(answers, "isatty", lambda: True)
        monkeypatch.setattr(sys, "stdin", answers)
        assert invoke("prune").code == 0
        assert len(list(results.glob("cells/*"))) == left


def test_what_another_run_works_on_stays(tmp_path: Path, invoke: Invoke) -> None:
    results = superseded(tmp_path / "results")
    claims = [ClaimWatch().try_claim(folder) for folder in results.glob("cells/*")]
    told = invoke("prune", "--yes")
    assert told.code == 0 and "stays" in told.err
    assert len(list(results.glob("cells/*/model"))) == 2
    for claim in claims:
        assert claim is not None
        claim.release()


def test_records_that_share_a_model_leave_it_to_the_others(
    toy: Toy, invoke: Invoke, tmp_path: Path
) -> None:
    words = ["--methods", PIXEL, *toy.arguments("a"), "--preset", "smoke", "--no-timing"]
    assert invoke("run", *words, "--keep-maps").code == 0
    (record,) = Store(tmp_path / "results").records()
    folder = tmp_path / "results" / "cells" / record.keys["fit"]
    # The same cell scored by code of before, into the same folder, and a damaged file.
    keys = record.keys | {"score": "0" * 24, "predict": "1" * 24}
    old = record.model_copy(update={"keys": keys, "number": 0, "created": "2020-01-01T00:00:00Z"})
    from adbench.store.files import write_json

    write_json(folder / f"record-{'0' * 24}.json", old.model_dump(mode="json"))
    (folder / ("1" * 24)).mkdir()
    (folder / "timing.json.damaged-00000000").write_text("x")
    before = invoke("report").out
    assert "2 items" in invoke("prune", "--dry-run").out
    assert invoke("prune", "--yes").code == 0
    left = {path.name for path in folder.iterdir()}
    assert f"record-{record.keys['score']}.json" in left and "model" in left
    assert record.keys["predict"] in left and "1" * 24 not in left
    assert not any("damaged" in name or "0" * 24 in name for name in left)
    assert invoke("report").out == before
    assert invoke("status").code == 0


def test_an_empty_folder_has_nothing_to_prune(tmp_path: Path, invoke: Invoke) -> None:
    assert invoke("prune", "--results", str(tmp_path / "none")).out.startswith("nothing in")
    assert not (tmp_path / "none").exists()
