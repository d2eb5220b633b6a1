"""The method: options, presets, given weights, failures, and Table 4 as a command line."""

import copy

import numpy as np
import pytest
import torch
from fits import asked, build, fit, fit_once, make_context, make_images, training_images
from PIL import Image
from toy import write_toy

from adbench.contracts import CategoryCard
from adbench.errors import MethodError, UsageError
from adbench.methods.transfusion.process import images_of
from adbench.methods.transfusion.weights import checkpoint_of

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


@pytest.fixture(scope="module")
def fitted():
    return fit_once("transfusion")


@pytest.fixture(scope="module")
def images(fitted):
    return training_images(fitted)


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
    paper = build("transfusion", "paper")
    assert paper.geometry.size == 256 and paper.hyperparameters.optimiser_steps(54) == 10_500
    text = build("transfusion", "paper_text")
    assert (text.geometry.resize, text.geometry.crop, text.geometry.size) == (256, 224, 224)
    fast = build("transfusion", "fast").hyperparameters
    same_share = paper.hyperparameters.smoothing_kernel * fast.size // paper.geometry.size
    assert fast.smoothing_kernel == same_share
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
        build("transfusion", "paper", **options)


def test_pixels_are_scaled_as_in_the_official_code(golden):
    g = golden("preprocess")
    rgb = Image.fromarray(g["rgb"].numpy())
    grey = Image.fromarray(np.stack([g["gray"].numpy()] * 3, 2))
    for image, name in ((rgb, "rgb_out"), (grey, "gray_out")):
        small = np.array(image.resize((24, 24), Image.Resampling.BILINEAR))
        made = images_of(small[None], "cpu")[0]
        expected = g[name].expand(3, -1, -1)
        torch.testing.assert_close(made, expected, rtol=1e-5, atol=1e-6)


def test_protocol_names_the_sources(fitted, images, tmp_path):
    assert fitted.protocol()["foreground_source"] == "border-aware Otsu"
    assert fitted.protocol()["texture_source"].startswith("procedural")
    for index in range(3):
        Image.fromarray(images.pixels[index]).save(tmp_path / f"{index}.png")
    textured = fit("transfusion", texture_dir=str(tmp_path), foreground="ones")
    assert "3 images" in textured.protocol()["texture_source"]
    assert textured.protocol()["foreground_source"] == "ones"
    assert textured.diagnostics()["foreground_share"] == 1
    cards = {name: CategoryCard(kind="texture") for name in "ab"}
    texture = fit("transfusion", make_context(category_cards=cards))
    assert texture.protocol()["foreground_source"] == "ones (texture)"


def test_diagnostics_hold_each_term_before_and_after(fitted):
    found = fitted.diagnostics()
    assert set(found["terms_before"]) == {"anomaly", "mask", "normal", "consistency"}
    assert sum(found["terms_after"].values()) < sum(found["terms_before"].values())
    assert found["steps"] == 4 and found["loss_last"] < found["loss_first"]


def test_bfloat16_trains_and_scores_close_to_float32(fitted, images):
    low = fit_once("transfusion", precision="bf16")
    assert low.diagnostics()["precision"] == "bf16"
    np.testing.assert_allclose(low.predict(images).maps, fitted.predict(images).maps, atol=2e-2)


def test_a_map_that_is_not_finite_stops_with_a_way_out(fitted, images):
    broken = copy.deepcopy(fitted)
    torch.nn.init.constant_(broken.network_.mask_head.conv.bias, float("nan"))
    with pytest.raises(MethodError, match=r"0/000.png is not finite.*precision=fp32"):
        broken.predict(images)


@pytest.mark.parametrize("wrapper", ["", "model."])
def test_official_weights_are_scored_without_training(wrapper, images, official_state, tmp_path):
    file = tmp_path / "a_model.pkl"
    torch.save({wrapper + name: tensor for name, tensor in official_state.items()}, file)
    method = build(
        "transfusion", "paper", weights=str(file), image_size=32, num_steps=3, precision="fp32"
    )
    assert method.training_flops(54) == 0
    method.fit(images.take(range(0, 12, 2)), make_context())  # those of category a
    assert set(method.protocol()) == {"weights_sha256", "held_out"}
    assert method.num_parameters() == 54_559_431
    assert np.isfinite(method.predict(images[:1]).scores).all()


@pytest.fixture
def weights(tmp_path):
    """A folder of two categories' files, whose content nobody reads here."""
    for name in ("a", "b"):
        (tmp_path / f"{name}_model.pkl").write_text(name)
    return tmp_path


@pytest.mark.parametrize("given", ["", "{category}_model.pkl"])
def test_weights_of_several_categories_are_a_folder_or_a_pattern(weights, given):
    for name in ("a", "b"):
        assert checkpoint_of(weights / given, {name}) == weights / f"{name}_model.pkl"
    with pytest.raises(MethodError, match="no weights of c"):
        checkpoint_of(weights / given, {"c"})
    with pytest.raises(MethodError, match=r"2 categories.*--scope separate"):
        checkpoint_of(weights / given, {"a", "b"})


def test_weights_of_one_category_score_no_other(weights):
    with pytest.raises(MethodError, match=r"weights of a .*for b.*\{category\}"):
        checkpoint_of(weights / "a_model.pkl", {"b"})
    (weights / "mine.pkl").touch()
    assert checkpoint_of(weights / "mine.pkl", {"b"}) == weights / "mine.pkl"


@pytest.mark.parametrize("given", ["", "{category}_model.pkl", "a_model.pkl"])
def test_the_key_knows_what_the_weights_files_hold(weights, given):
    def key():
        own = build("transfusion", "paper", weights=str(weights / given)).hyperparameters
        return own.canonical()["weights"]

    before = key()
    assert str(weights) not in before
    (weights / "a_model.pkl").write_text("others")
    assert key() != before


def test_a_reverse_process_from_elsewhere_needs_no_other_training(fitted, images):
    literal = asked(fitted, sampling="literal", final_mask="recon", smoothing_kernel=3)
    trained = fit("transfusion", sampling="literal", final_mask="recon", smoothing_kernel=3)
    np.testing.assert_array_equal(
        literal.predict(images[:2]).maps, trained.predict(images[:2]).maps
    )


def test_a_mask_head_that_starts_from_a_prior_starts_with_less_to_lose(fitted):
    prior = fit("transfusion", mask_prior=0.1).diagnostics()["terms_before"]
    assert prior["mask"] < 0.5 * fitted.diagnostics()["terms_before"]["mask"]
    assert prior["normal"] == fitted.diagnostics()["terms_before"]["normal"]


def test_a_fit_that_holds_normals_out_says_what_it_learned():
    method = build("transfusion", held_out_fraction=0.5)
    method.fit(make_images(32, method.geometry.size), make_context())
    assert method.protocol()["held_out"] == 16
    skill = method.skill()
    assert skill.held_out == 16 and skill.value < 1
    assert skill.simple < skill.trivial
    both = skill.beside["with anomaly"] + skill.beside["without"]
    assert both / 2 == pytest.approx(skill.error)
