"""`adbench predict` and `load_cell`: a finished cell on new images."""

from __future__ import annotations

import csv
import json
import os
import shlex
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from toy import PIXEL, Invoke, Toy, spawn, write_toy

import adbench
from adbench.apply.fitted import square_of
from adbench.contracts import Geometry
from adbench.data.cache import DiskCache
from adbench.data.images import load_images
from adbench.errors import AdbenchError, DataError, UsageError
from adbench.store.folders import Store
from adbench.store.records import Record

CONTENT = (("train", "good", 40), ("test", "good", 4), ("test", "hole", 3))
PLUGIN = """
from typing import ClassVar

from adbench.testing import PixelGaussian, PixelGaussianHyperparameters


class SlowHyperparameters(PixelGaussianHyperparameters):
    prediction_only: ClassVar[frozenset[str]] = frozenset({"noise"})


class Slow(PixelGaussian):
    card = PixelGaussian.card.model_copy(update={"name": "slow"})
    Hyperparameters = SlowHyperparameters
    batch_size = 1

    def predict(self, images):
        import time

        time.sleep(0.03)
        return super().predict(images)
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Toy, Path]:
    """A data set and a results folder, with cells that are calibrated (both scopes, 20 normals
    each) and cells that are not; to be left as they are."""
    folder = tmp_path_factory.mktemp("predict")
    data = write_toy(folder / "data", side=16, content=CONTENT)
    options: Any = {
        "preset": "smoke", "data_root": data.folder, "results": folder / "results", "timing": False,
        "device": "cpu", "cache": folder / "cache",
    }  # fmt: skip
    adbench.run(PIXEL, data.reference, **options)
    adbench.run(PIXEL, f"{data.reference}:a", calibrate=0.5, **options)
    adbench.run(PIXEL, data.reference, calibrate=0.5, scope="unified", **options)
    return data, folder / "results"


def words(made: tuple[Toy, Path], *more: str, category: str = "a") -> list[str]:
    return ["predict", "--cell", f"{PIXEL}:toy:{category}", "--results", str(made[1]), *more]


def record_of(made: tuple[Toy, Path], category: str = "a", *, calibrated: bool = True) -> Record:
    return next(
        r
        for r in Store(made[1]).records()
        if r.identity["categories"] == [category] and bool(r.calibration) == calibrated
    )


def rows_of(folder: Path) -> list[dict[str, str]]:
    with (folder / "predictions.csv").open(newline="") as stream:
        return list(csv.DictReader(stream))


def the_id(record: Record) -> str:
    return f"{PIXEL}:{record.keys['score'][:12]}"


def by_id(made: tuple[Toy, Path]) -> list[str]:
    """Words for the calibrated cell of `a` alone."""
    return ["predict", "--cell", the_id(record_of(made)), "--results", str(made[1])]


# ------------------------------------------------------------------------------- scores


def test_a_test_image_scores_as_it_did_in_the_run(made, invoke: Invoke, tmp_path: Path) -> None:
    record, root = record_of(made), made[0].root
    done = invoke(*by_id(made), str(root / "a" / "test"))
    assert done.code == 0, done.err
    rows = rows_of(tmp_path / "predictions")
    assert list(rows[0]) == ["path", "score", "p_value", "verdict"]
    found = {f"a/test/{row['path']}": float(row["score"]) for row in rows}
    kept = dict(zip(record.images["id"], record.images["score"], strict=True))
    assert {name: np.float32(score) for name, score in found.items()} == {
        name: np.float32(score) for name, score in kept.items()
    }
    known = record.held_out_scores("a")
    assert len(known) == 20
    for row in rows:
        score = kept[f"a/test/{row['path']}"]
        p = (1 + sum(k >= score for k in known)) / 21
        assert float(row["p_value"]) == p
        assert row["verdict"] == ("anomalous" if p <= 0.05 else "normal")
    assert {row["verdict"] for row in rows if row["path"].startswith("hole/")} == {"anomalous"}
    counts = [sum(row["verdict"] == word for row in rows) for word in ("anomalous", "normal")]
    assert f"{counts[0]} anomalous" in done.out and f"{counts[1]} normal" in done.out
    assert "(alpha 0.05)" in done.out


def test_a_map_is_the_methods_own_and_an_overlay_is_on_the_picture(
    made, invoke: Invoke, tmp_path: Path
) -> None:
    image = made[0].root / "a" / "test" / "hole" / "001.png"
    assert invoke(*by_id(made), str(image), "--out", "o").code == 0
    with Image.open(tmp_path / "o" / "maps" / "001.tiff") as tiff:
        assert tiff.mode == "F"
        values = np.asarray(tiff)
    cell = adbench.load_cell(the_id(record_of(made)), made[1], device="cpu")
    judged = cell.predict([image])
    assert np.array_equal(values, judged.maps[0])
    with Image.open(tmp_path / "o" / "overlays" / "001.png") as png, Image.open(image) as picture:
        assert png.mode == "RGB" and png.size == picture.size
        moved = np.abs(np.asarray(png).astype(int) - np.asarray(picture)).sum(2)
    heat = np.asarray(Image.fromarray(values).resize(picture.size, Image.Resampling.BILINEAR))
    assert moved[heat > np.quantile(heat, 0.98)].mean() > 5 * moved[heat < np.median(heat)].mean()


def test_a_centre_crop_stays_uncoloured_around(made) -> None:
    from adbench.apply.pictures import Painter

    view = Image.new("RGB", (40, 20), (90, 90, 90))
    drawn = Painter(Geometry(20, 10), (0.0, 1.0)).overlay(view, np.ones((10, 10), np.float32))
    coloured = np.asarray(drawn)[:, :, 0] != 90
    assert coloured[10, 20] and not coloured[0].any() and not coloured[:, :8].any()


def test_one_image_is_told_on_stdout(made, invoke: Invoke) -> None:
    image = made[0].root / "a" / "test" / "hole" / "000.png"
    done = invoke(*by_id(made), str(image), "--no-maps")
    assert done.code == 0
    assert done.out.startswith("000.png: score ") and ", p 0.04762, anomalous" in done.out
    assert not Path("predictions/maps").exists()


@pytest.mark.parametrize("mode", ["RGB", "L", "P"])
@pytest.mark.parametrize("size", [(7, 90), (300, 200), (32, 32), (1, 1)])
def test_an_image_of_any_size_is_seen_as_in_a_run(tmp_path: Path, mode: str, size) -> None:
    from adbench.contracts import Sample

    pixels = np.random.default_rng(0).integers(0, 255, (size[1], size[0], 3), np.uint8)
    Image.fromarray(pixels).convert(mode).save(tmp_path / "x.png")
    for geometry in (Geometry(32), Geometry(40, 24)):
        sample = Sample("a", "test", "good", "x.png", None, 0)
        cache = DiskCache(tmp_path / "cache", None)
        expected = load_images(tmp_path, [sample], geometry, cache).pixels[0]
        with Image.open(tmp_path / "x.png") as picture:
            assert np.array_equal(square_of(picture.convert("RGB"), geometry), expected)


def test_images_in_memory_and_files_score_alike(made) -> None:
    cell = adbench.load_cell(the_id(record_of(made)), str(made[1]), device="cpu")
    paths = sorted((made[0].root / "a" / "test").rglob("*.png"))
    from_files = cell.predict(paths)
    arrays = [np.asarray(Image.open(path)) for path in paths]
    for images in (arrays, np.stack(arrays), [Image.open(path) for path in paths]):
        found = cell.predict(images)
        assert np.array_equal(found.scores, from_files.scores)
        assert np.array_equal(found.maps, from_files.maps)
        assert found.verdicts == from_files.verdicts and found.reason == ""
    assert cell.predict(str(paths[0])).scores.tolist() == from_files.scores[:1].tolist()
    assert cell.predict([]).maps.shape == (0, 32, 32)
    assert cell.predict(arrays, alpha=0.01).verdicts is None
    assert "alpha 0.01 want 99" in cell.predict(arrays, alpha=0.01).reason
    for wrong in (arrays[0], [arrays[0].astype(float)], [np.zeros((4, 4, 4), np.uint8)]):
        with pytest.raises(UsageError, match="expected"):
            cell.predict(wrong)
    with pytest.raises(DataError, match="no such file"):
        cell.predict(["absent.png"])


def test_a_unified_cell_has_the_normals_of_the_category_asked_for(made, invoke: Invoke) -> None:
    (record,) = (r for r in Store(made[1]).records() if len(r.identity["categories"]) == 2)
    image = str(made[0].root / "b" / "test" / "good" / "000.png")
    cell = adbench.load_cell(f"{the_id(record)}:b", made[1], device="cpu")
    assert cell.held_out == record.held_out_scores("b") != record.held_out_scores("a")
    asked = invoke("predict", "--cell", the_id(record), image, "--results", str(made[1]))
    assert asked.code == 2 and "one model for 2 categories" in asked.err
    assert "of a, b" in asked.err


# ------------------------------------------------------------------------ which cell


def test_of_two_cells_the_calibrated_one_is_meant(made, invoke: Invoke) -> None:
    # `a` has a separate and a unified calibrated cell: both are named.
    several = invoke(*words(made), str(made[0].root / "a" / "test"))
    assert several.code == 2 and "is 2 cells" in several.err
    assert record_of(made).keys["score"][:12] in several.err
    assert record_of(made, calibrated=False).keys["score"][:12] not in several.err
    image, key = str(made[0].root / "a" / "test"), record_of(made).keys["score"]
    bare = invoke("predict", "--cell", key, image, "--results", str(made[1]))
    assert bare.code == 2 and f"--cell FILE.py:Class:{key[:12]}" in bare.err


def test_as_much_of_the_name_as_is_unique(toy: Toy, invoke: Invoke, tmp_path: Path) -> None:
    run = ["run", *toy.arguments("a"), "--preset", "smoke", "--no-timing"]
    assert invoke(*run, "--methods", f"{PIXEL}[steps=2|3]").code == 0
    image = str(toy.root / "a" / "test" / "good" / "000.png")
    for number, cell in enumerate((f"{PIXEL}[steps=2]", f"{PIXEL}[steps=2]:toy",
                                   f"{PIXEL}[steps=2]:toy:a")):  # fmt: skip
        found = invoke("predict", "--cell", cell, image, "--out", f"o{number}")
        assert found.code == 0, found.err
        assert "pixel_gaussian[steps=2] smoke on toy:a" in found.err
    for wrong, told in (
        (PIXEL, "is 2 cells"),
        (f"{PIXEL}:toy:b", "no such finished cell"),
        (f"{PIXEL}:tox", "no such finished cell"),
        (f"{PIXEL}[steps=2|3]", "2 cells are named"),
        (f"{PIXEL}[stepz=2]", "unknown hyper-parameter"),
        ("lafite", "no such finished cell"),
        ("", "expected METHOD"),
    ):
        found = invoke("predict", "--cell", wrong, image)
        assert found.code == 2 and told in found.err, found.err
        assert found.err.count("\n") == 1
    empty = invoke("predict", "--cell", PIXEL, image, "--results", "none")
    assert empty.code == 2 and "no finished cell in none" in empty.err
    # Once there is a cell without options, the bare name is its name.
    assert invoke(*run, "--methods", PIXEL).code == 0
    plain = invoke("predict", "--cell", PIXEL, image, "--out", "plain")
    assert plain.code == 0 and "pixel_gaussian smoke on toy:a" in plain.err


def test_the_command_for_a_set_of_ones_own_leaves_room_for_its_path(
    toy: Toy, invoke: Invoke
) -> None:
    folder = str(toy.root / "a")
    assert invoke("run", "--methods", PIXEL, "--dataset", folder, "--preset", "smoke").code == 0
    told = invoke("predict", "--cell", PIXEL, folder + "/test").err
    assert "--dataset a=PATH:a --preset smoke --calibrate" in told


def test_a_cell_without_its_model_says_what_makes_it(toy: Toy, invoke: Invoke) -> None:
    run = ["run", "--methods", PIXEL, *toy.arguments("a"), "--preset", "smoke", "--no-timing"]
    assert invoke(*run, "--no-keep-model").code == 0
    image = str(toy.root / "a" / "test" / "good" / "000.png")
    found = invoke("predict", "--cell", PIXEL, image)
    assert found.code == 2 and "--overwrite all" in found.err
    assert f"adbench run --methods {PIXEL} --dataset toy:a --preset smoke" in found.err


# ------------------------------------------------------------------------ no p-values


def test_a_cell_without_calibration_says_the_command_that_would_calibrate(
    made, invoke: Invoke, tmp_path: Path
) -> None:
    record = record_of(made, "b", calibrated=False)
    cell = ["--cell", the_id(record), "--results", str(made[1])]
    done = invoke("predict", *cell, str(made[0].root / "b" / "test"))
    assert done.code == 0, done.err
    assert {(row["p_value"], row["verdict"]) for row in rows_of(tmp_path / "predictions")} == {
        ("", "")
    }
    assert len(list((tmp_path / "predictions" / "maps").rglob("*.tiff"))) == 7
    assert "7 images" in done.out and "alpha" not in done.out
    line = next(line for line in done.err.splitlines() if "not calibrated" in line)
    command = shlex.split(line.partition(": adbench ")[2])
    assert command[-2:] == ["--calibrate", "0.47"]  # 19 of 40
    # It works as it stands, but for names that a record does not know.
    own = {"pixel_gaussian": PIXEL, "toy:b": f"{made[0].reference}:b", str(made[1]): "new"}
    again = [own.get(word, word) for word in command]
    ran = invoke(*again, "--data-root", str(made[0].folder), "--no-timing")
    assert ran.code == 0, ran.err
    asked = ["predict", "--cell", PIXEL, "--results", "new", "--out", "n"]
    assert invoke(*asked, str(made[0].root / "b" / "test")).code == 0
    assert {row["verdict"] for row in rows_of(tmp_path / "n")} <= {"normal", "anomalous"}


def test_too_few_held_out_normals_give_p_values_and_no_verdict(
    made, invoke: Invoke, tmp_path: Path
) -> None:
    done = invoke(*by_id(made), str(made[0].root / "a" / "test"), "--alpha", "0.01")
    assert done.code == 0
    assert "no verdicts with 20 held-out normals; verdicts at alpha 0.01 want 99" in done.err
    assert "verdicts at --alpha 0.048 or more are possible with these" in done.err
    rows = rows_of(tmp_path / "predictions")
    assert all(row["p_value"] and not row["verdict"] for row in rows)


def test_changed_code_gives_scores_and_no_p_values(toy: Toy, invoke: Invoke, tmp_path: Path):
    from toy import forget_plugins

    plugin = tmp_path / "slow.py"
    plugin.write_text(PLUGIN)
    reference = f"{plugin}:Slow"
    run = ["run", "--methods", reference, *toy.arguments("a"), "--preset", "smoke", "--no-timing"]
    assert invoke(*run, "--calibrate", "0.5").code == 0
    asked = ["predict", "--cell", reference, str(toy.root / "a" / "test"), "--alpha", "0.5"]
    assert invoke(*asked, "--out", "before").code == 0
    assert all(row["verdict"] for row in rows_of(tmp_path / "before"))
    plugin.write_text(PLUGIN + "\n    threshold = 3\n")
    forget_plugins()
    done = invoke(*asked, "--out", "after")
    assert done.code == 0, done.err
    assert "no p-values: the code of slow changed since the cell was calibrated" in done.err
    assert all(row["score"] and not row["p_value"] for row in rows_of(tmp_path / "after"))


# ------------------------------------------------------------------------------ inputs


@pytest.fixture
def parts(made, tmp_path: Path) -> Path:
    """A folder of six new images, some below it."""
    folder = tmp_path / "parts"
    source = made[0].root / "a" / "test"
    for number, path in enumerate(sorted(source.rglob("*.png"))[:6]):
        target = folder / ("sub" if number % 2 else ".") / f"{number}.png"
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target)
    return folder


def test_a_folder_is_read_with_all_below_it_and_a_table_as_written(
    made, parts: Path, invoke: Invoke, tmp_path: Path
) -> None:
    (parts / "notes.txt").write_text("no image")
    assert invoke(*by_id(made), "parts", "--out", "f").code == 0
    folder = {row["path"]: row["score"] for row in rows_of(tmp_path / "f")}
    assert set(folder) == {"0.png", "2.png", "4.png", "sub/1.png", "sub/3.png", "sub/5.png"}
    assert (tmp_path / "f" / "maps" / "sub" / "1.tiff").is_file()
    (tmp_path / "t.csv").write_bytes(
        "\ufeffPath;label\r\nparts/0.png;0\r\nparts\\sub\\1.png;1\r\nparts/0.png;0\r\n".encode()
    )
    assert invoke(*by_id(made), "t.csv", "--out", "t").code == 0
    table = {row["path"]: row["score"] for row in rows_of(tmp_path / "t")}
    assert table == {"parts/0.png": folder["0.png"], "parts/sub/1.png": folder["sub/1.png"]}


def test_what_is_no_image_is_named_and_the_rest_is_done(
    made, parts: Path, invoke: Invoke, tmp_path: Path
) -> None:
    (parts / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n no more")
    Image.new("I;16", (9, 9)).save(parts / "deep.png")
    done = invoke(*by_id(made), "parts")
    assert done.code == 4
    rows = {row["path"]: row for row in rows_of(tmp_path / "predictions")}
    for name in ("broken.png", "deep.png"):
        assert rows[name]["verdict"] == "unreadable" and rows[name]["score"] == ""
    assert sum(row["verdict"] != "unreadable" for row in rows.values()) == 6
    assert "parts/broken.png: the content is not an image" in done.err or "damaged" in done.err
    assert "found 16-bit grey" in done.err and "2 unreadable" in done.out
    shutil.copy(parts / "0.png", parts / "broken.png")
    (parts / "deep.png").unlink()
    assert invoke(*by_id(made), "parts").code == 0
    assert len(rows_of(tmp_path / "predictions")) == 7


@pytest.mark.parametrize(
    ("make", "code", "told"),
    [
        (lambda f: None, 4, "there is no x"),
        (lambda f: f.mkdir(), 4, "no image in x"),
        (lambda f: f.write_text("hello"), 4, "not an image"),
    ],
)
def test_a_path_without_images_is_refused(made, invoke: Invoke, tmp_path: Path, make, code, told):
    make(tmp_path / "x")
    done = invoke(*by_id(made), "x")
    assert done.code == code and told in done.err
    assert "Traceback" not in done.err


def test_a_table_without_a_path_is_refused(made, invoke: Invoke, tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("file,label\na.png,0\n")
    done = invoke(*by_id(made), "t.csv")
    assert done.code == 4 and "path" in done.err and done.err.count("\n") == 1


def test_names_that_differ_in_their_extension_alone_get_a_map_each(
    made, parts: Path, invoke: Invoke, tmp_path: Path
) -> None:
    with Image.open(parts / "0.png") as picture:
        picture.save(parts / "0.bmp")
    assert invoke(*by_id(made), "parts").code == 0
    names = {path.name for path in (tmp_path / "predictions" / "maps").iterdir() if path.is_file()}
    assert names == {"0.png.tiff", "0.bmp.tiff", "2.tiff", "4.tiff"}


def test_what_looks_like_a_formula_is_quoted_and_still_known(
    made, parts: Path, invoke: Invoke, tmp_path: Path
) -> None:
    os.rename(parts / "0.png", parts / "=1+1.png")
    assert invoke(*by_id(made), "parts").code == 0
    assert "'=1+1.png" in {row["path"] for row in rows_of(tmp_path / "predictions")}
    again = invoke(*by_id(made), "parts")
    assert "6 were there already" in again.err


# ----------------------------------------------------------------------------- resuming


def test_a_finished_prediction_is_not_made_again(
    made, parts: Path, invoke: Invoke, tmp_path: Path, monkeypatch
) -> None:
    assert invoke(*by_id(made), "parts").code == 0
    before = (tmp_path / "predictions" / "predictions.csv").read_bytes()
    seen = predicted_names(monkeypatch)
    done = invoke(*by_id(made), "parts")
    assert done.code == 0 and seen == [] and "6 were there already" in done.err
    assert (tmp_path / "predictions" / "predictions.csv").read_bytes() == before
    # Another rate needs no prediction, and no map.
    assert invoke(*by_id(made), "parts", "--alpha", "0.9").code == 0
    assert seen == []
    after = rows_of(tmp_path / "predictions")
    assert all((float(r["p_value"]) <= 0.9) == (r["verdict"] == "anomalous") for r in after)
    about = json.loads((tmp_path / "predictions" / "predictions.json").read_text())
    assert (about["alpha"], about["held_out"], about["category"]) == (0.9, 20, "a")


def predicted_names(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is predicted from here on."""
    from adbench.testing import PixelGaussian

    seen: list[str] = []
    original = PixelGaussian.predict

    def noted(self, images):
        seen.extend(images.ids)
        return original(self, images)

    monkeypatch.setattr(PixelGaussian, "predict", noted)
    return seen


def test_only_what_is_new_changed_or_lost_is_predicted(
    made, parts: Path, invoke: Invoke, tmp_path: Path, monkeypatch
) -> None:
    assert invoke(*by_id(made), "parts").code == 0
    shutil.copy(parts / "0.png", parts / "new.png")
    shutil.copy(parts / "sub" / "5.png", parts / "2.png")  # other content under a known name
    os.utime(parts / "2.png", (0, 0))
    (tmp_path / "predictions" / "maps" / "4.tiff").unlink()
    table = tmp_path / "predictions" / "predictions.csv"
    lines = table.read_text().splitlines(keepends=True)
    torn = next(line for line in lines if line.startswith("sub/1.png"))
    table.write_text("".join(line for line in lines if line != torn) + torn[:-4])
    seen = predicted_names(monkeypatch)
    assert invoke(*by_id(made), "parts").code == 0
    assert sorted(seen) == ["2.png", "4.png", "new.png", "sub/1.png"]
    rows = {row["path"]: row["score"] for row in rows_of(tmp_path / "predictions")}
    assert len(rows) == len(rows_of(tmp_path / "predictions")) == 7
    assert rows["2.png"] == rows["sub/5.png"] and rows["new.png"] == rows["0.png"]


def test_a_killed_prediction_goes_on(toy: Toy, invoke: Invoke, tmp_path: Path) -> None:
    plugin = tmp_path / "slow.py"
    plugin.write_text(PLUGIN)
    run = ["run", "--methods", f"{plugin}:Slow", *toy.arguments("a"), "--preset", "smoke"]
    assert invoke(*run, "--no-timing").code == 0
    folder = tmp_path / "many"
    folder.mkdir()
    source = toy.root / "a" / "test" / "good" / "000.png"
    for number in range(60):
        shutil.copy(source, folder / f"{number:03d}.png")
    asked = ["predict", "--cell", f"{plugin}:Slow", "many", "--out", "o"]
    table = tmp_path / "o" / "predictions.csv"
    process = spawn(*asked, cwd=tmp_path)
    try:
        import time

        end = time.monotonic() + 60
        while time.monotonic() < end and not (table.exists() and table.read_text().count("\n") > 5):
            time.sleep(0.02)
    finally:
        process.kill()
        process.wait()
    kept = table.read_text().count("\n") - 1
    assert 5 <= kept < 60
    done = invoke(*asked)
    assert done.code == 0, done.err
    whole = table.read_text().count("\n") - 1
    assert whole == 60
    told = int(done.err.rpartition("(")[2].partition(" were there")[0])
    assert kept - 1 <= told <= kept
    assert len(list((tmp_path / "o" / "maps").iterdir())) == 60
    assert not list((tmp_path / "o").glob("claim.*"))


@pytest.mark.parametrize("other", ["cell", "images", "file"])
def test_a_folder_with_something_else_is_refused(
    made, parts: Path, invoke: Invoke, tmp_path: Path, other: str
) -> None:
    if other == "file":
        (tmp_path / "predictions").mkdir()
        (tmp_path / "predictions" / "predictions.csv").write_text("mine\n")
    else:
        assert invoke(*by_id(made), "parts").code == 0
    before = (tmp_path / "predictions" / "predictions.csv").read_bytes()
    asked = by_id(made)
    path = "parts"
    if other == "cell":
        asked[2] = the_id(record_of(made, "b", calibrated=False))
    elif other == "images":
        path = "parts/sub"
    done = invoke(*asked, path)
    assert done.code == 2 and "--out DIR" in done.err
    assert (tmp_path / "predictions" / "predictions.csv").read_bytes() == before


def test_results_do_not_go_among_the_images(made, parts: Path, invoke: Invoke) -> None:
    done = invoke(*by_id(made), "parts", "--out", "parts/out")
    assert done.code == 2 and "expected a place outside" in done.err
    assert not (parts / "out").exists()


def test_a_place_that_refuses_is_one_line(made, parts: Path, invoke: Invoke, tmp_path: Path):
    (tmp_path / "taken").write_text("")
    done = invoke(*by_id(made), "parts", "--out", "taken/o")
    assert done.code == 2 and "--out DIR" in done.err and "Traceback" not in done.err


def test_memory_does_not_grow_with_the_images(made, tmp_path: Path) -> None:
    import tracemalloc

    from adbench.apply.files import predict_files
    from adbench.apply.inputs import find_inputs

    cell = adbench.load_cell(the_id(record_of(made)), made[1], device="cpu")

    def peak(count: int) -> int:
        folder = tmp_path / str(count)
        folder.mkdir()
        picture = Image.fromarray(
            np.random.default_rng(0).integers(0, 255, (150, 150, 3), np.uint8)
        )
        picture.save(folder / "0.bmp")
        for number in range(1, count):
            os.link(folder / "0.bmp", folder / f"{number}.bmp")
        found = find_inputs(folder)
        tracemalloc.start()
        try:
            done = predict_files(
                cell, found.images, folder, tmp_path / f"o{count}", alpha=0.05, maps=True,
                progress=lambda done, total: None,
            )  # fmt: skip
            assert done.images == count
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    few, many = peak(150), peak(600)
    assert many - few < 450 * 150 * 150 * 3 / 20  # of the pixels of the images more


def test_it_is_an_error_of_ours_in_python(made) -> None:
    with pytest.raises(AdbenchError, match="no such finished cell"):
        adbench.load_cell("lafite", made[1])
