"""Tables of files as spreadsheets and factories write them."""

from __future__ import annotations

from pathlib import Path

import pytest

from adbench.contracts import Dataset, Sample
from adbench.datasets.own.table import table_rows, table_text
from adbench.errors import DataError
from adbench.registry import load_dataset

FILES = [*(f"img/{n}.jpg" for n in range(10)), "img/bad1.jpg", "img/bad2.jpg", "m/bad1.png"]
ROWS = [*((f"img/{n}.jpg", "ok", "") for n in range(10)),
        ("img/bad1.jpg", "NG", "m/bad1.png"), ("img/bad2.jpg", "NG", "")]  # fmt: skip


def written(folder: Path, text: str, name: str = "line.csv", encoding: str = "utf-8") -> Dataset:
    (folder / name).write_bytes(text.encode(encoding))
    return load_dataset(str(folder / name))


def text_of(separator: str = ",", end: str = "\n") -> str:
    return end.join(separator.join(row) for row in [("path", "label", "mask"), *ROWS]) + end


def table(dataset: Dataset) -> list[Sample]:
    root = dataset.find_root(None)
    return dataset.samples(root, dataset.available_categories(root))


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        (text_of(), "utf-8"),
        (text_of(";", "\r\n"), "utf-8-sig"),
        (text_of("\t"), "utf-16"),
        ("sep=;\r\n" + text_of(";", "\r\n"), "utf-8-sig"),
        (text_of().replace("path,label,mask", ' "Path",LABEL, Mask ') + ",,\n\n", "utf-8"),
        (text_of().replace("/", "\\"), "utf-8"),
        (text_of().replace(",ok,", ",0,").replace(",NG,", ",1.0,"), "utf-8"),
        (text_of().replace(",ok,", ",Normal,").replace(",NG,", ",ANOMALOUS,"), "utf-8"),
        (text_of().replace("img/", "./img/../img/"), "utf-8"),
    ],
)
def test_one_table_in_many_hands(tmp_path, fill, text, encoding):
    fill(tmp_path, FILES)
    dataset = written(tmp_path, text, encoding=encoding)
    rows = table(dataset)
    assert {s.path: s.mask_path for s in rows if s.label} == {
        "img/bad1.jpg": "m/bad1.png", "img/bad2.jpg": None
    }  # fmt: skip
    assert dataset.card.name == "line" and {s.category for s in rows} == {"line"}
    assert sum(s.split == "train" for s in rows) == 8
    assert dataset.split_rule(tmp_path, ["line"]) is not None


def test_split_category_and_defect_columns(tmp_path, fill):
    fill(tmp_path, FILES)
    dataset = written(
        tmp_path,
        "path,label,split,category,defect,station\nimg/0.jpg,0,Train,a,,7\nimg/1.jpg,0,test,a,,7\n"
        "img/bad1.jpg,1,,a,dent,8\nimg/2.jpg,0,train,b,,7\nimg/bad2.jpg,1,test,b,,9\n",
    )
    assert [(s.category, s.split, s.defect, s.path) for s in table(dataset)] == [
        ("a", "test", "dent", "img/bad1.jpg"), ("a", "test", "good", "img/1.jpg"),
        ("a", "train", "good", "img/0.jpg"), ("b", "test", "anomaly", "img/bad2.jpg"),
        ("b", "train", "good", "img/2.jpg"),
    ]  # fmt: skip
    assert dataset.split_rule(tmp_path, ["a", "b"]) is None


def test_files_outside_the_tables_folder_have_paths_below_what_holds_them(tmp_path, fill):
    fill(tmp_path / "store", FILES)
    (tmp_path / "work").mkdir()
    for start in ("../store/", f"{tmp_path}/store/"):
        text = text_of().replace("img/", f"{start}img/").replace("m/bad", f"{start}m/bad")
        dataset = written(tmp_path / "work", text)
        assert dataset.find_root(None) == tmp_path / "store"
        assert sorted({s.path.split("/")[0] for s in table(dataset)}) == ["img"]
        assert list(dataset.folders(tmp_path / "store")) == [tmp_path / "store" / "img"]


def test_a_written_table_reads_back_whatever_its_names_are(tmp_path, fill):
    odd = ["-a/=x, 1.jpg", "-a/ü;2.jpg", "@b/3.jpg", "c/4.jpg"]
    fill(tmp_path, odd)
    samples = [
        Sample("=cat", "test" if n > 1 else "train", "+dent" if n == 3 else "good", path, None,
               int(n == 3))
        for n, path in enumerate(odd)
    ]  # fmt: skip
    text = table_text(table_rows(tmp_path, samples, {}, tmp_path), ";")
    cells = [cell.strip('"') for line in text.splitlines() for cell in line.split(";")]
    assert not any(cell.startswith(("=", "+", "-", "@")) for cell in cells)
    assert table(written(tmp_path, text)) == sorted(samples)


def test_parquet_reads_as_csv_does(tmp_path, fill):
    pytest.importorskip("pyarrow", reason="pyarrow is not installed")
    import pandas as pd

    fill(tmp_path, FILES)
    frame = pd.DataFrame(ROWS, columns=["path", "label", "mask"])
    frame["mask"] = frame["mask"].where(frame["mask"] != "", None)
    frame.to_parquet(tmp_path / "line.parquet")
    read = table(load_dataset(str(tmp_path / "line.parquet")))
    assert read == table(written(tmp_path, text_of()))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "line 1 names the columns nothing"),
        ("Datei;Ergebnis\na;b\n", "names the columns datei, ergebnis"),
        ("path,label\n", "it has no row"),
        ("path,label\nimg/0.jpg\n", "line 2 has 1 of 2 columns"),
        ("path,label\nimg/0.jpg,0\nimg/1.jpg,maybe\n", "line 3 has the label 'maybe', expected"),
        ("path,label\nimg/0.jpg,\n", "line 2 has no label"),
        ("path,label\n,0\n", "line 2 has no path"),
        ("path,label\nimg/0.jpg,0\nimg/77.jpg,0\nimg/78.jpg,0\n",
         r"the file img/77.jpg \(line 3\) and 1 more are not there"),
        ("path,label,mask\nimg/0.jpg,1,m/none.png\n", r"m/none.png \(line 2\) is not there"),
        ("path,label\nimg/0.jpg,0\nimg/../img/0.jpg,0\n", "lines 2 and 3 are of one image"),
        ("path,label,split\nimg/0.jpg,0,train\nimg/1.jpg,0,dev\n", "line 3 has the split 'dev'"),
        ("path,label,split\nimg/0.jpg,0,train\nimg/1.jpg,0,\n", "line 3 has no split, though"),
        ("path,label,split\nimg/bad1.jpg,1,train\n", "line 2 trains on an anomalous image"),
        ("path,label,path\na,0,b\n", "names the column path twice"),
        ('path,label\n"img/0.jpg,0\n', "line 2: unexpected end of data"),
        ("path,label\nimg/bad1.jpg,1\nimg/bad2.jpg,1\n", "line holds 0 normal images"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_told_with_its_line(tmp_path, fill, text, words):
    fill(tmp_path, FILES)
    with pytest.raises(DataError, match=words) as caught:
        table(written(tmp_path, text))
    assert "\n" not in str(caught.value) and "adbench data" in str(caught.value)


def test_text_in_another_encoding_names_its_line(tmp_path, fill):
    fill(tmp_path, FILES)
    with pytest.raises(DataError, match="line 3 is not UTF-8: save it as UTF-8"):
        table(written(tmp_path, "path,label\nimg/0.jpg,0\ngrün.jpg,0\n", encoding="cp1252"))
