"""MVTec's layout: known data sets, a user's own, and what is said when something is amiss."""

from __future__ import annotations

import pytest

from adbench.contracts import Sample
from adbench.data.verify import quick_check
from adbench.datasets.btad import BTAD
from adbench.datasets.mpdd import MPDD
from adbench.datasets.mvtec import MVTecAD
from adbench.errors import DataError, UnknownNameError

TUBES = [
    "tubes/train/good/000.png",
    "tubes/test/good/000.png",
    "tubes/test/anomalous/000.png",
    "tubes/ground_truth/anomalous/000_mask.png",
]


def test_the_table_of_a_category(tmp_path, fill):
    root = fill(tmp_path, TUBES)
    assert MPDD().samples(root, ["tubes"]) == [
        Sample("tubes", "test", "anomalous", TUBES[2], TUBES[3], 1),
        Sample("tubes", "test", "good", TUBES[1], None, 0),
        Sample("tubes", "train", "good", TUBES[0], None, 0),
    ]


def test_the_defect_of_tubes_is_one_under_either_spelling(tmp_path, fill):
    names = MPDD().release_names("tubes")
    assert names is not None
    masks = {n.replace("/test/", "/ground_truth/") + "_mask" for n in names if "anomalous" in n}
    paths = [f"{n}.png" for n in names | masks]
    released = fill(tmp_path / "released", paths)
    copied = fill(tmp_path / "copied", [p.replace("anomalous", "flattening") for p in paths])
    mixed = fill(
        tmp_path / "mixed", [p.replace("test/anomalous", "test/flattening") for p in paths]
    )
    for root in (released, copied, mixed):
        (only_tubes,) = quick_check(MPDD(), root, ["tubes"])
        assert only_tubes.check == "categories"
        samples = MPDD().samples(root, ["tubes"])
        assert {s.defect for s in samples} == {"good", "anomalous"}
        assert all(s.mask_path for s in samples if s.label)
    assert any("flattening" in note for note in MPDD.card.notes)
    (copied / "tubes/test/flattening/068.png").unlink()
    found = MPDD().inspect(copied, "tubes")
    assert found.missing == ("tubes/test/anomalous/068",)


@pytest.mark.parametrize("name", ["Good", "GOOD", "ok", "OK", "normal", "NORMAL", "defect-free"])
def test_usual_names_of_normal_folders_in_any_case(tmp_path, fill, name):
    paths = [p.replace("/good/", f"/{name}/") for p in TUBES]
    root = fill(tmp_path / "MPDD", paths)
    assert MPDD().find_root(tmp_path) == root
    assert [(s.split, s.label) for s in MPDD().samples(root, ["tubes"])] == [
        ("test", 1), ("test", 0), ("train", 0),
    ]  # fmt: skip
    notes = [p.path for p in MPDD().inspect(root, "tubes").problems if p.severity == "note"]
    assert notes == ([] if name == "ok" else [f"tubes/train/{name}", f"tubes/test/{name}"])
    assert set(MPDD().release_paths(MPDD().samples(root, ["tubes"])).values()) == {
        "tubes/train/good/000.png",
        "tubes/test/good/000.png",
    }


def test_two_normal_folders_of_one_split_both_count(tmp_path, fill):
    more = ["tubes/train/normal/7.png", "tubes/test/OK/7.png"]
    samples = MPDD().samples(fill(tmp_path, TUBES + more), ["tubes"])
    assert sum(s.split == "train" for s in samples) == 2
    assert sum(s.split == "test" and not s.label for s in samples) == 2


def test_a_folder_that_is_there_but_not_in_the_layout_is_not_called_missing(tmp_path, fill, own):
    fill(tmp_path, ["screws/long/train/fine/a.png"])
    with pytest.raises(DataError) as caught:
        own.find_root(tmp_path)
    message = str(caught.value)
    assert "not found" not in message
    assert f"{tmp_path}/screws holds no category in a known layout" in message
    assert "long/train holds fine/, expected good/" in message


def test_images_that_no_split_reads_are_named(tmp_path, fill):
    stray = [
        "tubes/a.png", "tubes/train/b.png", "tubes/train/bad/c.png", "tubes/test/d.png",
        "tubes/ground_truth/dent/e.png", "tubes/validation/good/f.png",
    ]  # fmt: skip
    found = MPDD().inspect(fill(tmp_path, TUBES + stray + ["tubes/license.txt"]), "tubes")
    assert {(p.severity, p.check, p.path) for p in found.problems} == {
        ("warning", "unused", path)
        for path in (
            "tubes/a.png", "tubes/train/b.png", "tubes/train/bad", "tubes/test/d.png",
            "tubes/ground_truth/dent", "tubes/validation",
        )
    }  # fmt: skip


def test_order_and_repetition_of_categories_do_not_matter(tmp_path, fill):
    root = fill(tmp_path, TUBES + [p.replace("tubes", "connector") for p in TUBES])
    one = MPDD().samples(root, ["tubes", "connector"])
    assert one == MPDD().samples(root, ["connector", "tubes", "connector"]) == sorted(one)


def test_available_categories_come_in_the_cards_order_without_strangers(tmp_path, fill):
    root = fill(tmp_path, [f"{c}/train/good/0.png" for c in ("tubes", "bracket_white", "mine")])
    (root / "connector").mkdir()
    assert MPDD().available_categories(root) == ("bracket_white", "tubes")
    assert MPDD().recognise_layout(root) == "mvtec"


@pytest.mark.parametrize("spelling", ["MPDD", "mpdd", "."])
def test_root_is_found_by_any_spelling_or_directly(tmp_path, fill, spelling):
    fill(tmp_path / spelling, TUBES)
    assert MPDD().find_root(tmp_path) == tmp_path / spelling


@pytest.mark.parametrize("spelling", MVTecAD.card.directory_names)
def test_every_spelling_of_mvtec(tmp_path, fill, spelling):
    fill(tmp_path / spelling, ["bottle/train/good/000.png"])
    assert MVTecAD().find_root(tmp_path).name == spelling


def test_a_named_folder_goes_before_the_data_root_and_an_empty_one_is_passed_over(tmp_path, fill):
    fill(tmp_path, TUBES)
    (tmp_path / "MPDD").mkdir()
    assert MPDD().find_root(tmp_path) == tmp_path
    fill(tmp_path / "mpdd", TUBES)
    assert MPDD().find_root(tmp_path) == tmp_path / "mpdd"


def test_without_a_data_root_the_error_names_both_ways_to_give_one():
    with pytest.raises(DataError, match=r"--data-root DIR or set ADBENCH_DATA.*MPDD/, mpdd/"):
        MPDD().find_root(None)


def test_a_missing_root_is_one_line_with_all_that_helps(tmp_path, fill):
    fill(tmp_path, ["holiday/beach.jpg", "readme.txt"])
    with pytest.raises(DataError) as caught:
        MPDD().find_root(tmp_path)
    message = str(caught.value)
    assert "\n" not in message
    for part in (
        f"not found under {tmp_path}: found holiday/, readme.txt",
        "expected MPDD/, mpdd/",
        "<category>/ground_truth/<defect>/000_mask.png",
        "https://github.com/stepanje/MPDD",
        "CC BY-NC-SA 4.0",
        f"adbench data verify mpdd --data-root {tmp_path}",
    ):
        assert part in message


def test_a_data_root_that_does_not_exist(tmp_path):
    with pytest.raises(DataError, match="no such folder"):
        MPDD().find_root(tmp_path / "nowhere")


def test_an_unknown_layout_is_a_data_error(tmp_path, fill):
    with pytest.raises(DataError, match="in a known layout: found tubes/"):
        MPDD().recognise_layout(fill(tmp_path, ["tubes/000.png"]))


def test_an_unknown_category_is_a_usage_error_and_offers_the_nearest(tmp_path, fill):
    with pytest.raises(UnknownNameError, match="did you mean 'tubes'"):
        MPDD().samples(fill(tmp_path, TUBES), ["tube"])


def test_an_absent_category_names_those_present(tmp_path, fill):
    with pytest.raises(DataError, match="mpdd:connector is not at .* which has tubes"):
        MPDD().samples(fill(tmp_path, TUBES), ["connector"])


def test_missing_masks_stop_a_run_and_are_all_in_the_inspection(tmp_path, fill):
    more = ["tubes/test/anomalous/001.png", "tubes/test/anomalous/002.png"]
    root = fill(tmp_path, TUBES + more)
    expected = r"001\.png has no mask: looked for tubes/ground_truth/anomalous/001_mask\.png"
    with pytest.raises(DataError, match=f"{expected}.*1 more problem.*adbench data verify mpdd"):
        MPDD().samples(root, ["tubes"])
    found = MPDD().inspect(root, "tubes")
    assert [p.path for p in found.problems] == more
    assert [s.mask_path for s in found.samples if s.label] == [TUBES[3], None, None]


def test_two_masks_stop_a_run(tmp_path, fill):
    root = fill(tmp_path, [*TUBES, "tubes/ground_truth/anomalous/000.png"])
    with pytest.raises(DataError, match="has 2 masks"):
        MPDD().samples(root, ["tubes"])


def test_an_empty_training_folder_stops_a_run(tmp_path, fill):
    root = fill(tmp_path, TUBES)
    (root / TUBES[0]).unlink()
    with pytest.raises(DataError, match="tubes/train/good holds no image"):
        MPDD().samples(root, ["tubes"])


def test_missing_and_extra_names_are_derived_from_the_numbering(tmp_path, fill):
    names = MPDD().release_names("tubes")
    assert names is not None
    names -= {"tubes/test/good/007"}
    root = fill(tmp_path, [f"{n}.png" for n in names] + ["tubes/train/good/999.png"])
    found = MPDD().inspect(root, "tubes")
    assert found.missing == ("tubes/test/good/007",)
    assert found.extra == ("tubes/train/good/999",)


# ------------------------------------------------------------------------------ a user's own


def test_an_own_data_set_discovers_its_categories(tmp_path, fill, own):
    fill(
        tmp_path / "screws",
        [
            "long/train/good/a.png",
            "long/test/scratch/b.png",
            "long/ground_truth/scratch/b.png",
            "short/train/good/a.jpeg",
            "notes/todo.txt",
            ".cache/train/good/a.png",
        ],
    )
    root = own.find_root(tmp_path)
    assert own.available_categories(root) == ("long", "short")
    assert [s.path for s in own.samples(root, ["short"])] == ["short/train/good/a.jpeg"]
    assert own.samples(root, ["long"])[0].mask_path == "long/ground_truth/scratch/b.png"
    assert own.inspect(root, "long").missing == ()


def test_an_own_data_set_without_any_category(tmp_path, own):
    with pytest.raises(DataError, match="screws not found under .*an empty folder"):
        own.find_root(tmp_path)


def test_a_category_in_place_of_the_data_set(tmp_path, fill, own):
    root = fill(tmp_path, ["long/train/good/a.png"])
    with pytest.raises(DataError, match=f"is a category itself, give the folder .*, {root}; "):
        own.find_root(root / "long")


def test_a_folder_that_is_nearly_a_category_is_named(tmp_path, fill, own):
    root = fill(tmp_path, ["long/train/good/a.png", "short/train/fine/a.png", "notes/todo.txt"])
    assert own.available_categories(root) == ("long",)
    for asked in ([], ["long"]):
        (finding,) = [f for f in quick_check(own, root, asked) if f.category is None]
        assert (finding.severity, finding.paths) == ("warning", ("short",))
        assert "short/train holds fine/, expected good/" in finding.message


def test_an_absent_category_of_an_own_data_set(tmp_path, fill, own):
    root = fill(tmp_path, ["long/train/good/a.png"])
    with pytest.raises(DataError, match="screws:huge is not at .* which has long"):
        own.samples(root, ["huge"])


# --------------------------------------------------------------------------------------- BTAD


def test_btad_mixes_extensions_and_tolerates_more_folders(tmp_path, fill):
    root = fill(
        tmp_path / "BTech_Dataset_transformed",
        [
            "01/train/ok/0000.bmp",
            "01/train/ok/0001.png",
            "01/test/ok/0000.BMP",
            "01/test/ko/0000.bmp",
            "01/test/ko/0001.bmp",
            "01/ground_truth/ko/0000.png",
            "01/ground_truth/ko/0001.bmp",
            "01/ground_truth/ok/0000.png",
            "01/notes/0000.png",
        ],
    )
    dataset = BTAD()
    assert dataset.find_root(tmp_path) == root
    assert dataset.recognise_layout(root) == "btad"
    samples = dataset.samples(root, ["01"])
    assert [(s.path, s.mask_path) for s in samples if s.label] == [
        ("01/test/ko/0000.bmp", "01/ground_truth/ko/0000.png"),
        ("01/test/ko/0001.bmp", "01/ground_truth/ko/0001.bmp"),
    ]
    assert {(s.split, s.defect) for s in samples} == {
        ("train", "good"),
        ("test", "good"),
        ("test", "ko"),
    }


def test_btad_knows_the_gaps_of_its_numbering():
    names = BTAD().release_names("01")
    assert names is not None
    assert "01/test/ko/0027" not in names
    assert "01/test/ko/0049" in names


def test_a_half_converted_btad_is_noticed(tmp_path, fill):
    paths = [
        "train/ok/0000.bmp",
        "train/ok/0000.png",
        "test/ko/0000.bmp",
        "ground_truth/ko/0000.png",
    ]
    found = BTAD().inspect(fill(tmp_path, [f"01/{p}" for p in paths]), "01")
    assert [(p.check, p.path) for p in found.problems] == [("same name", "01/train/ok/0000.png")]
