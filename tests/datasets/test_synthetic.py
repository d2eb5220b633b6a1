import hashlib
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

from adbench.contracts import Geometry
from adbench.data.images import resize_mask
from adbench.datasets.synthetic import Synthetic, generate
from adbench.datasets.synthetic.contents import CATEGORIES, VERSION, pictures
from adbench.datasets.synthetic.generate import HALO, ensure_generated, render
from adbench.errors import StoreError

DEFECTS = [(c, d) for c in CATEGORIES for d in CATEGORIES[c].defects]


def rows(category, defect):
    return [p for p in pictures(category) if p.defect == defect]


def draw(picture, **options):
    return render(picture.category, picture.address, picture.defect, picture.strength, **options)


def test_the_same_address_gives_the_same_bytes():
    picture = rows("gear", "rust")[0]
    (image, mask), (again, mask_again) = draw(picture), draw(picture)
    assert image.shape == (256, 256, 3) and image.dtype == np.uint8 and mask.dtype == bool
    assert (image == again).all() and (mask == mask_again).all()
    other, _ = render("gear", (*picture.address[:-1], 99), "rust", picture.strength)
    assert (image != other).mean() > 0.5


# A change of what is drawn is a new version of the set: raise contents.VERSION with these.
PINNED = {
    "flange": "56e8d7d5c58e5fb7",
    "gear": "6b4a150e1918f08f",
    "bracket": "38178eff3e7d3225",
    "cover": "152a61d9cc177574",
    "perforated": "fffe1b99351f9458",
    "sheet": "db723270513cdf57",
}


@pytest.mark.parametrize("category", CATEGORIES)
def test_pinned_pixels(category):
    image, mask = draw(list(pictures(category))[-1])
    digest = hashlib.sha256(image.tobytes() + mask.tobytes()).hexdigest()
    assert digest[:16] == PINNED[category]


@pytest.mark.parametrize(("category", "defect"), DEFECTS)
def test_a_defect_changes_its_mask_and_nothing_far_from_it(category, defect):
    picture = rows(category, defect)[0]
    image, mask = draw(picture)
    twin, twin_mask = draw(picture, twin=True)
    assert (mask == twin_mask).all()
    assert 20 < mask.sum() < 0.2 * mask.size
    changed = (image != twin).any(axis=2)
    assert not changed[ndimage.distance_transform_cdt(~mask, "chessboard") > HALO].any()
    assert changed[mask].mean() > 0.85  # the rest is where a moved piece covers itself


@pytest.mark.parametrize(("category", "defect"), DEFECTS)
def test_subtle_defects_are_there_too(category, defect):
    picture = rows(category, defect)[-1]
    (image, mask), (twin, _) = draw(picture), draw(picture, twin=True)
    assert resize_mask(mask, Geometry(64), "area_max").any()
    difference = np.abs(image.astype(int) - twin).max(axis=2)
    assert difference[mask].mean() > 1.5


def test_a_part_without_defect_has_an_empty_mask():
    assert not any(render(c, (9, 9))[1].any() for c in CATEGORIES)


@pytest.fixture(scope="module")
def small_set():
    """Three pictures a category: one of training, one good, one with a defect."""
    wanted = ("train/good/000", "test/good/000")

    def some(category):
        own = list(pictures(category))
        return [p for p in own if any(w in p.path for w in wanted)] + own[-1:]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(generate, "pictures", some)
        yield


@pytest.fixture
def cache_folder(small_set, tmp_path, monkeypatch):
    monkeypatch.setenv("ADBENCH_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_it_is_drawn_on_first_use_and_found_afterwards(cache_folder, monkeypatch):
    root = Synthetic().find_root(None)
    assert root == cache_folder / "data" / f"synthetic-{VERSION}"
    assert [p.name for p in root.parent.iterdir() if p.is_dir()] == [root.name]
    monkeypatch.setattr(generate, "write_set", None)
    assert Synthetic().find_root(None) == root
    assert Synthetic().find_root(root.parent) == root  # a data root without ours
    dataset = Synthetic()
    assert dataset.recognise_layout(root) == "mvtec"
    assert dataset.available_categories(root) == tuple(CATEGORIES)
    samples = dataset.samples(root, ["sheet"])
    assert [(s.split, s.defect, s.label) for s in samples] == [
        ("test", "good", 0),
        ("test", "scratch", 1),
        ("train", "good", 0),
    ]
    mask = np.asarray(Image.open(root / str(samples[1].mask_path)))
    assert set(np.unique(mask)) == {0, 255}
    expected, _ = draw(list(pictures("sheet"))[-1])
    assert (np.asarray(Image.open(root / samples[1].path)) == expected).all()


def test_a_copy_under_the_data_root_is_used(cache_folder, tmp_path):
    drawn = Synthetic().find_root(None)
    home = tmp_path / "data"
    home.mkdir()
    drawn.rename(home / "synthetic")
    assert Synthetic().find_root(home) == home / "synthetic"
    assert Synthetic().find_root(home / "synthetic") == home / "synthetic"


def test_a_foreign_folder_of_that_name_is_left_alone(cache_folder, tmp_path):
    foreign = tmp_path / "data" / "synthetic" / "flange" / "train" / "good"
    foreign.mkdir(parents=True)
    assert Synthetic().find_root(tmp_path / "data").parent == cache_folder / "data"
    assert list(foreign.iterdir()) == []


def test_a_broken_off_attempt_leaves_no_set(cache_folder, monkeypatch):
    folder = cache_folder / "data" / "set"
    with monkeypatch.context() as patch, pytest.raises(StoreError, match="No space left.*ADBENCH"):
        patch.setattr(generate, "_write_picture", full_disk)
        ensure_generated(folder)
    assert not folder.exists() and not list(folder.parent.glob("*.tmp"))
    (folder.parent / "set.dead.tmp").mkdir()  # what a killed process leaves
    ensure_generated(folder)
    assert folder.exists() and not list(folder.parent.glob("*.tmp"))


def full_disk(*_):
    raise OSError(28, "No space left on device")


def test_two_processes_draw_once(tmp_path):
    program = (
        "import sys; from pathlib import Path; from adbench.datasets.synthetic import generate\n"
        "some = generate.pictures\n"
        "generate.pictures = lambda category: list(some(category))[-1:]\n"
        "real = generate.write_set\n"
        "generate.write_set = lambda folder: (print('drawing'), real(folder))\n"
        "generate.ensure_generated(Path(sys.argv[1]))\n"
    )
    folder = tmp_path / "data" / "set"
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", program, str(folder)], stdout=subprocess.PIPE, text=True
        )
        for _ in range(2)
    ]
    outputs = [p.communicate(timeout=60)[0] for p in processes]
    assert [p.returncode for p in processes] == [0, 0]
    assert sorted(outputs) == ["", "drawing\n"]
    assert len(list(folder.glob("*/test/*/*.png"))) == len(CATEGORIES)


def test_the_card_tells_what_is_drawn():
    for name, category in Synthetic.card.categories.items():
        drawn = list(pictures(name))
        assert len({p.path for p in drawn}) == len({p.address for p in drawn}) == len(drawn)
        assert category.test_anomalous == sum(p.defect is not None for p in drawn)
        assert len(category.defects) >= 3
        assert category.train_good == sum("/train/" in p.path for p in drawn)


def test_importing_the_data_set_is_light():
    program = (
        "import sys, adbench.datasets.synthetic\n"
        "print(*({'numpy', 'PIL', 'scipy', 'torch', 'pandas'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout.strip() == "", done.stderr
