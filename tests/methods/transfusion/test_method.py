"""The method: options, presets, given weights, failures, and Table 4 as a command line."""

import copy
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from toy import write_toy

from adbench.contracts import CategoryCard, Context, Images
from adbench.errors import MethodError, UsageError
from adbench.hyperparameters import build_hyperparameters
from adbench.methods.transfusion import training
from adbench.methods.transfusion.losses import LossTerms
from adbench.methods.transfusion.method import TransFusion
from adbench.methods.transfusion.process import to_unit_range

REFERENCE = "adbench.methods.transfusion.method:TransFusion"
TABLE_4 = (
    "positional_encoding=none",
    "previous_mask=none",
    "loss_normal=false",
    "loss_mask=false",
    "loss_anomaly=false",
    "loss_consistency=false",
    "final_mask=last|disc|recon",
    "num_steps=5|10|50",
    "schedule=linear|quadratic|root",
)


class Checkpoint:
    """Keeps the last state; with `dies_after`, ends the run at that save."""

    def __init__(self, dies_after=None):
        self.state, self.saves, self.dies_after = None, 0, dies_after

    def load(self):
        return copy.deepcopy(self.state)

    def due(self):
        return True

    def save(self, state):
        self.state = copy.deepcopy(dict(state))
        self.saves += 1
        if self.saves == self.dies_after:
            raise InterruptedError


def context(checkpoint=None, kind="object", precision="fp32"):
    cards = {"a": CategoryCard(kind=kind)}
    no_cache: Any = None  # nothing here is worth keeping
    return Context("cpu", precision, 0, checkpoint or Checkpoint(), no_cache, category_cards=cards)


def build(preset="smoke", **options):
    return TransFusion(build_hyperparameters(TransFusion, preset, options))


@pytest.fixture(scope="module")
def images():
    pixels = np.random.default_rng(0).integers(0, 80, (6, 32, 32, 3)).astype(np.uint8)
    pixels[:, 8:24, 8:24] += 120  # an object on a dark ground
    return Images(pixels, tuple(f"a/train/good/{i}.png" for i in range(6)), ("a",) * 6)


@pytest.fixture(scope="module")
def fitted(images):
    return build().fit(images, context())


def test_table_4_is_a_command_line(invoke, tmp_path):
    toy = write_toy(tmp_path, ("a",))
    methods = ",".join(f"{REFERENCE}[{row}]" for row in TABLE_4)
    done = invoke(
        "run", *toy.arguments(), "--methods", methods, "--preset", "smoke",
        "--results", str(tmp_path / "results"), "--no-timing",
    )  # fmt: skip
    assert done.code == 0, done.err
    records = list((tmp_path / "results").rglob("record*.json"))
    values = sum(row.count("|") + 1 for row in TABLE_4)
    # Five linear steps are what `smoke` has anyway: twice the same cell.
    assert len(records) == values - 1


def test_presets_are_the_published_settings():
    paper = build("paper")
    assert paper.geometry.size == 256 and paper.hyperparameters.optimiser_steps(54) == 10_500
    text = build("paper_text")
    assert (text.geometry.resize, text.geometry.crop, text.geometry.size) == (256, 224, 224)
    assert paper.inference_flops(1) == pytest.approx(18 * 366.52e9, rel=1e-4)
    assert paper.training_flops(54) == pytest.approx(10_500 * 3 * 8 * 366.52e9, rel=1e-4)


@pytest.mark.parametrize(
    "options",
    [
        {"image_size": 100},
        {"crop": 300},
        {"smoothing_kernel": 4},
        {"attention_levels": 5},
        {"num_steps": 2},
        {"weights": "nowhere.pkl"},
        {f"loss_{term}": False for term in ("normal", "mask", "anomaly", "consistency")},
    ],
)
def test_impossible_options_are_refused(options):
    with pytest.raises(UsageError, match=r"transfusion\."):
        build("paper", **options)


def test_pixels_are_scaled_as_in_the_official_code(golden):
    g = golden("preprocess")
    rgb = Image.fromarray(g["rgb"].numpy())
    grey = Image.fromarray(np.stack([g["gray"].numpy()] * 3, 2))
    for image, name in ((rgb, "rgb_out"), (grey, "gray_out")):
        small = np.array(image.resize((24, 24), Image.Resampling.BILINEAR))
        made = to_unit_range(small[None], "cpu")[0]
        expected = g[name].expand(3, -1, -1)
        torch.testing.assert_close(made, expected, rtol=1e-5, atol=1e-6)


def test_protocol_names_the_sources(fitted, images, tmp_path):
    assert fitted.protocol()["foreground_source"] == "border-aware Otsu"
    assert fitted.protocol()["texture_source"].startswith("procedural")
    for index in range(3):
        Image.fromarray(images.pixels[index]).save(tmp_path / f"{index}.png")
    textured = build(texture_dir=str(tmp_path), foreground="ones").fit(images, context())
    assert "3 images" in textured.protocol()["texture_source"]
    assert textured.protocol()["foreground_source"] == "ones"
    assert textured.diagnostics()["foreground_share"] == 1
    texture = build().fit(images, context(kind="texture"))
    assert texture.protocol()["foreground_source"] == "ones (texture)"


def test_diagnostics_hold_each_term_before_and_after(fitted):
    found = fitted.diagnostics()
    assert set(found["terms_before"]) == {"anomaly", "mask", "normal", "consistency"}
    assert sum(found["terms_after"].values()) < sum(found["terms_before"].values())
    assert found["steps"] == 4 and found["loss_last"] < found["loss_first"]


def test_a_killed_training_goes_on_to_the_same_bits(fitted, images):
    checkpoint = Checkpoint(dies_after=2)
    with pytest.raises(InterruptedError):
        build().fit(images, context(checkpoint))
    resumed = build().fit(images, context(checkpoint))
    for name, tensor in fitted.network_.state_dict().items():
        assert torch.equal(tensor, resumed.network_.state_dict()[name]), name
    assert resumed.diagnostics() == fitted.diagnostics()


def test_bfloat16_trains_and_scores_close_to_float32(fitted, images):
    low = build().fit(images, context(precision="bf16"))
    assert low.diagnostics()["precision"] == "bf16"
    np.testing.assert_allclose(low.predict(images).maps, fitted.predict(images).maps, atol=2e-2)


def test_a_loss_that_is_not_finite_stops_with_a_way_out(images, monkeypatch):
    bad = torch.tensor(float("nan"), requires_grad=True)
    monkeypatch.setattr(
        training, "transfusion_loss", lambda *_, **__: LossTerms(bad, bad, bad, bad)
    )
    with pytest.raises(MethodError, match="nan at step 0 of 4.*learning rate"):
        build().fit(images, context())


def test_a_map_that_is_not_finite_stops_with_a_way_out(fitted, images):
    broken = copy.deepcopy(fitted)
    torch.nn.init.constant_(broken.network_.mask_head.conv.bias, float("nan"))
    with pytest.raises(MethodError, match=r"a/train/good/0.png is not finite.*precision=fp32"):
        broken.predict(images)


@pytest.mark.parametrize("wrapper", ["", "model."])
def test_official_weights_are_scored_without_training(wrapper, images, official_state, tmp_path):
    file = tmp_path / "a_model.pkl"
    torch.save({wrapper + name: tensor for name, tensor in official_state.items()}, file)
    method = build("paper", weights=str(file), image_size=32, num_steps=3, precision="fp32")
    assert method.training_flops(54) == 0
    method.fit(images, context())
    assert set(method.protocol()) == {"weights_sha256"}
    assert method.num_parameters() == 54_559_431
    assert np.isfinite(method.predict(images[:1]).scores).all()
