"""`quick_check` and `verify`: every check sees its flaw, and all flaws are seen at once."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from adbench.contracts import CategoryCard, Dataset, DatasetCard, Sample
from adbench.data.findings import Finding, Report
from adbench.data.verify import quick_check, verify
from adbench.datasets.mpdd import MPDD
from adbench.datasets.mvtec_layout import MVTEC_TREE, MVTecLayout
from adbench.datasets.visa import VisA, one_class_split
from adbench.errors import DataError, UnknownNameError

DATA = Path(__file__).parents[1].parent / "shared" / "data"


class Caps(MVTecLayout):
    """Two images a folder; the card knows the counts of one category and no digest."""

    card = DatasetCard(
        name="caps",
        title="Caps",
        licence="none",
        page="https://example.org",
        citation="",
        layout=MVTEC_TREE,
        directory_names=("caps",),
        categories={
            "red": CategoryCard(train_good=2, test_good=2, test_anomalous=2, defects={"dent": 2})
        },
    )
    digits = 3


def write_image(file: Path, seed: int, size=(40, 32), mode="RGB") -> None:
    shape = (size[1], size[0], 3) if mode == "RGB" else (size[1], size[0])
    pixels = np.random.default_rng(seed).integers(0, 256, shape).astype(np.uint8)
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(file)


def write_mask(file: Path, box=(4, 4, 20, 20), size=(40, 32)) -> None:
    mask = Image.new("L", size)
    mask.paste(255, box)
    file.parent.mkdir(parents=True, exist_ok=True)
    mask.save(file)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "caps"
    for n, place in enumerate(("train/good", "test/good", "test/dent")):
        for i in range(2):
            write_image(folder / "red" / place / f"{i:03d}.png", 10 * n + i)
    for i in range(2):
        write_mask(folder / "red" / "ground_truth" / "dent" / f"{i:03d}_mask.png")
    return folder


def kinds(findings: Iterable[Finding]) -> list[tuple[str, str]]:
    return [(f.severity, f.check) for f in findings]


def only(findings: Iterable[Finding], check: str) -> Finding:
    (finding,) = [f for f in findings if f.check == check]
    return finding


def test_a_sound_data_set_has_no_finding_and_is_left_alone(root):
    before = {p: p.stat().st_mtime_ns for p in root.rglob("*")}
    steps: list[tuple[str, int, int]] = []
    report = verify(Caps(), root, progress=lambda *step: steps.append(step))
    assert report.findings == () and report.exit_code == 0 and report.layout == "mvtec"
    assert str(report.summaries[0]) == (
        "red: 2 train; 2 normal and 2 anomalous test images (dent 2); 40x32; RGB; "
        "2 anomalous regions (2 at the evaluation size)"
    )
    assert steps == [("red", n, 6) for n in range(1, 7)]
    assert {p: p.stat().st_mtime_ns for p in root.rglob("*")} == before


def test_an_unknown_layout_is_an_error(tmp_path):
    report = verify(Caps(), tmp_path)
    assert kinds(report.findings) == [("error", "layout")] and report.exit_code == 4
    assert str(tmp_path) not in report.findings[0].message


def test_an_unknown_category_is_a_usage_error(root):
    with pytest.raises(UnknownNameError, match="category of caps 'rd': did you mean 'red'"):
        quick_check(Caps(), root, ["rd"])


def test_a_partial_root_is_usable_and_an_absent_category_an_error(tmp_path):
    (tmp_path / "metal_plate" / "train" / "good").mkdir(parents=True)
    finding = quick_check(MPDD(), tmp_path, [])[0]
    assert (finding.severity, finding.check, finding.count) == ("warning", "categories", 5)
    assert "1 of 6 categories are present (metal_plate); missing: bracket_black" in finding.message
    findings = quick_check(MPDD(), tmp_path, ["tubes"])
    assert kinds(findings) == [("error", "categories"), ("warning", "categories")]
    assert "tubes is absent; present: metal_plate" in findings[0].message


def test_counts_and_names_against_the_card(root, monkeypatch):
    (root / "red/train/good/000.png").unlink()
    for i in range(7):
        write_image(root / f"red/test/good/1{i:02d}.png", 100 + i)
    monkeypatch.setattr(Image, "open", lambda *_: pytest.fail("an image was opened"))
    findings = quick_check(Caps(), root, ["red"])
    assert [str(finding) for finding in findings] == [
        "warning: red: train good: found 1, expected 2; test good: found 9, expected 2",
        "warning: red: 1 images of the release are missing [red/train/good/000]",
        "warning: red: 7 images are not in the release "
        f"[{', '.join(f'red/test/good/10{i}' for i in range(5))} and 2 more]",
    ]
    assert findings[2].count == 7
    assert findings[1].to_json() == {
        "severity": "warning", "category": "red", "check": "missing", "count": 1,
        "message": "1 images of the release are missing", "paths": ["red/train/good/000"],
    }  # fmt: skip


def test_all_missing_masks_are_in_one_finding(root):
    for i in range(2):
        (root / f"red/ground_truth/dent/00{i}_mask.png").unlink()
    report = verify(Caps(), root)
    finding = only(report.findings, "no mask")
    assert (finding.severity, finding.count, report.exit_code) == ("error", 2, 4)
    assert finding.paths == ("red/test/dent/000.png", "red/test/dent/001.png")
    assert "red/ground_truth/dent/000_mask.png" in finding.message
    assert "(and 1 more)" in finding.message
    assert report.summaries[0].regions == 0


def test_all_flaws_are_seen_at_once(root):
    good, dent = root / "red/test/good", root / "red/test/dent"
    damaged = (good / "000.png").read_bytes()
    (good / "000.png").write_bytes(damaged[: len(damaged) // 2])
    (good / "001.png").write_bytes(b"")
    (dent / "002.png").write_bytes(b"no image")
    write_mask(root / "red/ground_truth/dent/002_mask.png")
    write_mask(root / "red/ground_truth/dent/000_mask.png", size=(32, 40))
    write_mask(root / "red/ground_truth/dent/001_mask.png", box=(0, 0, 0, 0))
    report = verify(Caps(), root)
    assert kinds(report.findings) == [
        ("warning", "counts"), ("warning", "extra"), ("error", "decode"), ("error", "mask size"),
        ("warning", "empty mask"),
    ]  # fmt: skip
    assert set(only(report.findings, "decode").paths) == {
        "red/test/dent/002.png", "red/test/good/000.png", "red/test/good/001.png",
    }  # fmt: skip
    assert "the mask is 32 x 40 pixels and its image" in only(report.findings, "mask size").message
    assert str(root.parent) not in json.dumps(report.to_json())


def copied(source: str, target: str) -> Callable[[Path], object]:
    return lambda red: (red / target).write_bytes((red / source).read_bytes())


def deep(red: Path) -> None:
    Image.fromarray(np.zeros((9, 9), np.uint16)).save(red / "test/good/000.png")


MASK = "ground_truth/dent/000_mask.png"
FLAWS: list[tuple[str, str, Callable[[Path], object], str]] = [
    ("leak", "warning", copied("train/good/000.png", "test/good/001.png"), "train/good/000.png"),
    ("two labels", "warning", copied("test/good/000.png", "test/dent/001.png"), "= red/test/"),
    ("duplicate", "note", copied("test/good/000.png", "test/good/001.png"), "good/001.png"),
    ("mask decode", "error", lambda red: (red / MASK).write_bytes(b"no image"), MASK),
    ("empty mask", "warning", lambda red: write_mask(red / MASK, box=(0, 0, 0, 0)), "stay anom"),
    ("decode", "error", deep, "16-bit"),
    ("mode", "note", lambda red: write_image(red / "train/good/000.png", 50, mode="L"), "RGB 5"),
]


@pytest.mark.parametrize(("check", "severity", "change", "words"), FLAWS)
def test_what_pixels_show(root, check, severity, change, words):
    change(root / "red")
    report = verify(Caps(), root)
    (finding,) = report.findings
    assert (finding.check, finding.severity) == (check, severity) and words in finding.message
    assert report.exit_code == 4 * (severity == "error")
    assert verify(Caps(), root, strict=True).exit_code == 4 * (severity != "note")
    assert report.summaries[0].defects == {"dent": 2}


def test_the_cards_threshold_decides_what_is_empty(root):
    class Noisy(Caps):
        card = Caps.card.model_copy(update={"mask_threshold": 254})

    assert verify(Noisy(), root).findings == ()
    Image.new("L", (40, 32), 254).save(root / "red" / MASK)
    assert only(verify(Noisy(), root).findings, "empty mask").count == 1


def test_a_defect_that_vanishes_at_the_evaluation_size(root):
    write_mask(root / "red" / MASK, box=(1, 1, 2, 2))
    report = verify(Caps(), root, evaluation_size=8)
    assert only(report.findings, "lost mask").paths == (f"red/{MASK}",)
    said = "1 of 2 anomalous regions are left at 8 pixels"
    assert only(report.findings, "regions").message == said
    with_area = verify(Caps(), root, evaluation_size=8, mask_rule="area_max")
    assert [finding.check for finding in with_area.findings] == ["size"]


def test_a_defect_whose_masks_are_all_empty_may_be_normal(root):
    for i in range(2):
        write_image(root / f"red/test/fine/{i:03d}.png", 70 + i)
        write_mask(root / f"red/ground_truth/fine/{i:03d}_mask.png", box=(0, 0, 0, 0))
    finding = only(verify(Caps(), root).findings, "looks normal")
    assert (finding.severity, finding.paths, finding.count) == ("warning", ("red/test/fine",), 2)
    assert "all 2 masks of red/test/fine are empty" in finding.message
    assert "rename the folder to good; if not, leave it" in finding.message
    write_mask(root / "red/ground_truth/fine/001_mask.png")
    assert "looks normal" not in {f.check for f in verify(Caps(), root).findings}
    shutil.rmtree(root / "red/test/fine")
    shutil.rmtree(root / "red/ground_truth/fine")
    for i in range(2):  # empty everywhere: no sign of normal images
        write_mask(root / f"red/ground_truth/dent/{i:03d}_mask.png", box=(0, 0, 0, 0))
    assert {f.check for f in verify(Caps(), root).findings} == {"empty mask"}


# ----------------------------------------------------- data sets that only keep the contract


class Minimal(Dataset):
    """No `inspect`: the samples alone are looked at."""

    card = Caps.card

    def find_root(self, data_root: Path | None) -> Path:
        assert data_root is not None
        return data_root

    def recognise_layout(self, root: Path) -> str:
        return "minimal"

    def available_categories(self, root: Path) -> tuple[str, ...]:
        return ("red",)

    def samples(self, root: Path, categories) -> list[Sample]:
        if not (root / "red").is_dir():
            raise DataError(f"{root}/red is gone")
        return Caps().samples(root, categories)


def test_a_data_set_without_inspect_is_checked_by_its_samples(root):
    assert verify(Minimal(), root).findings == ()
    assert quick_check(Minimal(), root.parent, ["red"])[0].message == "red is gone"


@pytest.mark.parametrize(
    ("masked", "said"),
    [
        ((), "no masks: none of the 2 defect images has one, so pixel metrics are undefined"),
        (("red/test/dent/000.png",), "red/test/dent/001.png has no mask; it counts in image met"),
    ],
)
def test_masks_that_a_data_set_without_inspect_lacks(root, masked, said):
    class Partly(Minimal):
        def samples(self, root: Path, categories) -> list[Sample]:
            rows = Caps().samples(root, categories)
            return [s if s.path in masked else replace(s, mask_path=None) for s in rows]

    finding = only(quick_check(Partly(), root, ["red"]), "no mask")
    assert finding.severity == "warning" and finding.message.startswith(said)


# ------------------------------------------------------------------------- released names


def fake_release(root: Path, paths: Iterable[str]) -> None:
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).touch()


def test_the_released_names_of_visa_are_recognised_in_an_arranged_copy(tmp_path):
    dataset = VisA()
    split, _ = one_class_split(tmp_path, "capsules", dataset.card.categories["capsules"])
    fake_release(tmp_path, (f"capsules/{part}/good/{n}.JPG" for n, part in split.items()))
    for n in range(100):
        fake_release(tmp_path, [f"capsules/test/bad/{n:03d}.JPG"])
        fake_release(tmp_path, [f"capsules/ground_truth/bad/{n:03d}.png"])
    assert kinds(quick_check(dataset, tmp_path, ["capsules"])) == [("warning", "categories")]

    swapped = [next(n for n, part in split.items() if part == kind) for kind in ("train", "test")]
    train, test = (tmp_path / "capsules" / p / "good" for p in ("train", "test"))
    (train / f"{swapped[0]}.JPG").rename(test / f"{swapped[0]}.JPG")
    (test / f"{swapped[1]}.JPG").rename(train / f"{swapped[1]}.JPG")
    finding = only(quick_check(dataset, tmp_path, ["capsules"]), "digest")
    assert finding.message == "the names of training images are not those of the release"


def test_real_metal_plate():
    if not (DATA / "MPDD" / "metal_plate").is_dir():
        pytest.skip("MPDD's metal_plate is not at ../shared/data")
    report: Report = verify(MPDD(), MPDD().find_root(DATA), ["metal_plate"])
    assert report.exit_code == 0
    assert not [f for f in report.findings if f.category == "metal_plate"]
    summary = report.summaries[0]
    assert (summary.train, summary.test_good, sum(summary.defects.values())) == (54, 26, 71)
    assert summary.exact_release is True
    assert summary.sizes == {"512x512": 151}
