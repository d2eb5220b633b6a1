"""The method: options, presets, resuming, what prediction-only means, and Table 5."""

import json

import numpy as np
import pytest
import torch
from fits import (
    MemoryCheckpoint,
    asked,
    build,
    fit,
    fit_once,
    make_context,
    make_images,
    training_images,
)
from toy import write_toy

from adbench.contracts import Images
from adbench.errors import MethodError, UsageError
from adbench.methods.drdc import scoring
from adbench.methods.drdc.method import DRDC
from adbench.methods.drdc.scoring import to_unit_range
from adbench.methods.reconstruction.method import FeatureReconstruction
from adbench.methods.training import held_out_split

REFERENCE = "adbench.methods.drdc.method:DRDC"
OUTPUTS = "output=base|diffusion|fused"
TABLE_5 = ("spatio_temporal_fusion=false", "test_time_condition=false", "multiscale_base=true")
OTHER_PREDICTION = {
    "fusion": "calibrated",
    "gamma": 0.3,
    "pool_kernel": 2,
    "multiscale_base": True,
    "spatio_temporal_fusion": False,
    "test_time_condition": False,
    "clip_sample": False,
    "timesteps": "100x50x20",
    "grids": "8x2",
    "num_masks": 3,
    "scales": "1x4",
    "smoothing_kernel": 3,
}


@pytest.fixture(scope="module")
def images():
    return make_images(3, 64, seed=1, anomalous=1)


@pytest.fixture(scope="module")
def fitted():
    return fit_once("drdc")


def test_outputs_of_the_unet_and_table_5_share_a_training_and_the_base_alone_trains_no_unet(
    invoke, tmp_path, monkeypatch
):
    trained, base = [], FeatureReconstruction.fit
    refinement = DRDC._fit_refinement

    def counted_base(self, *arguments):
        trained.append("base")
        return base(self, *arguments)

    def counted_unet(self, *arguments):
        trained.append("unet")
        return refinement(self, *arguments)

    monkeypatch.setattr(FeatureReconstruction, "fit", counted_base)
    monkeypatch.setattr(DRDC, "_fit_refinement", counted_unet)
    toy, results = write_toy(tmp_path, ("a",)), tmp_path / "results"

    def run(*rows):
        methods = ",".join(f"{REFERENCE}[{row}]" for row in rows)
        done = invoke(
            "run", *toy.arguments(), "--methods", methods, "--preset", "smoke",
            "--results", str(results), "--no-timing",
        )  # fmt: skip
        assert done.code == 0, done.err
        return done.out

    run("output=base")
    assert trained == ["base"]
    # The model of the base alone is not taken for one of both branches, nor is it trained again.
    shown = run(OUTPUTS, *TABLE_5)
    assert trained == ["base", "base", "unet"]
    assert len(list(results.rglob("record*.json"))) == 6
    for row in ("DRDC  ", "DRDC, base only  ", "DRDC, diffusion only  "):
        assert row in shown
    records = [json.loads(path.read_text()) for path in results.rglob("record*.json")]
    own = {r["variant"]: r for r in records if r["variant"] in ("", "output=base")}
    # It is the same base, whichever training it is from.
    alone, part = own["output=base"]["metrics"]["a"], own[""]["parts"]["base"]["a"]
    assert alone["pixel_auroc"] == part["pixel_auroc"]


def test_the_base_alone_is_saved_loaded_and_explained_without_a_unet(fitted, images, tmp_path):
    method = fit("drdc", output="base")
    assert method.num_parameters() < fitted.num_parameters()
    assert not any(name.startswith("unet") for name in method.learned())
    assert method.skill().value is None and "no UNet" in method.skill().reason
    method.save(tmp_path)
    loaded = build("drdc", output="base").load(tmp_path, make_context())
    expected = asked(fitted, output="base").predict(images).maps  # the base of both is the same
    np.testing.assert_array_equal(loaded.predict(images).maps, expected)
    assert list(loaded.intermediates(images)) == ["base map"]
    full, alone = build("drdc", "fast"), build("drdc", "fast", output="base")
    assert alone.training_flops(50) < full.training_flops(50)


def test_presets_are_the_specified_settings():
    paper = build("drdc", "paper")
    own = paper.hyperparameters
    assert (paper.geometry.size, own.inner_size, own.base_width) == (224, 224, 128)
    assert own.evaluations == 36 and build("drdc", "adm256").hyperparameters.base_width == 256
    assert (own.base.epochs, own.base.batch_size, own.base.gradient_clip) == (1000, 8, 0.1)
    # 15.5 TFLOP of refinement an image, 3 x 430 GFLOP x 16 a step (spec sections 4 and 9)
    assert paper.inference_flops(1) == pytest.approx(15.5e12, rel=0.01)
    assert build("drdc", "paper", output="base").inference_flops(1) < 10e9
    assert build("drdc", "adm256").inference_flops(1) == pytest.approx(61.7e12, rel=0.01)
    base = build("drdc", "paper", steps=1).training_flops(888)
    assert paper.training_flops(888) - base == pytest.approx(1.03e18, rel=0.01)
    # The base is UniAD's, not trained as the UNet is, and that of each preset's.
    for preset in ("paper", "fast"):
        base, uniad = build("drdc", preset).hyperparameters.base, build("uniad", preset)
        unread = {"max_centers", "weights", "precision"}
        assert base.canonical() | dict.fromkeys(unread) == (
            uniad.hyperparameters.canonical() | dict.fromkeys(unread)
        )
    fast = build("drdc", "fast")
    assert fast.geometry.size == 224
    assert (fast.hyperparameters.inner_size, fast.hyperparameters.evaluations) == (112, 18)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"timesteps": "50x100"}, "decreasing"),
        ({"timesteps": "1000x0"}, "less than 1000"),
        ({"t_max": 250}, "t_max=250"),
        ({"grids": "1x15"}, "which 15 does not divide"),
        ({"training_grids": "33"}, "which 33 does not divide"),
        ({"scales": "1x3"}, "which 3 does not divide"),
        ({"diffusion_size": 100}, "which 32 does not divide"),
        ({"attention_factors": "7x14"}, "no level is 7 times smaller"),
        ({"smoothing_kernel": 40}, "odd"),
        ({"diffusion_size": 32, "smoothing_kernel": 65}, "reaches"),
        ({"fusion": "calibrated", "held_out_fraction": 0}, "held_out_fraction above 0"),
        ({"grids": ""}, "grids"),
        ({"pool_kernel": 300}, "exceeds image_size"),
        ({"preconditioned": True}, "expected prediction_type=sample"),
    ],
)
def test_impossible_options_are_refused(options, message):
    with pytest.raises(UsageError, match=message):
        build("drdc", "paper", **options)


def test_fit_reads_nothing_that_only_prediction_may_read(fitted):
    assert set(OTHER_PREDICTION) == DRDC.Hyperparameters.prediction_only
    other = fit("drdc", **OTHER_PREDICTION)
    found, expected = other.learned(), fitted.learned()
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[name], expected[name]) for name in expected)
    assert other.diagnostics_ == fitted.diagnostics_


# At the base's end and in the UNet's training; the contract suite kills it in the base's.
@pytest.mark.parametrize("dies_at", [2, 3])
def test_a_killed_training_goes_on_to_the_same_bits(dies_at, fitted, monkeypatch):
    checkpoint = MemoryCheckpoint(dies_at=dies_at)
    with pytest.raises(InterruptedError):
        fit("drdc", make_context(checkpoint=checkpoint))
    monkeypatch.setattr(FeatureReconstruction, "fit", lambda *_: pytest.fail("trained again"))
    loads = checkpoint.loads
    resumed = fit("drdc", make_context(checkpoint=checkpoint))
    assert checkpoint.loads == loads + 1  # each reading counts as a resume
    found = resumed.learned()
    for name, tensor in fitted.learned().items():
        assert torch.equal(tensor, found[name]), name
    assert resumed.diagnostics() == fitted.diagnostics()


def test_a_gpus_larger_chunks_change_nothing_but_rounding(fitted, images, monkeypatch):
    method = asked(fitted, output="diffusion")
    one = method.predict(images).maps
    monkeypatch.setattr(scoring, "chunk_size", lambda device: 4)
    np.testing.assert_allclose(method.predict(images).maps, one, atol=1e-5)


def test_masks_and_noise_belong_to_the_seed_and_the_image(fitted, images):
    own = asked(fitted, output="diffusion")
    other_seed = asked(fitted, make_context(seed=1), output="diffusion")
    renamed = Images(images.pixels[:2], ("x", images.ids[1]), images.categories[:2])
    maps = own.predict(images[:2]).maps
    assert not np.allclose(other_seed.predict(images[:2]).maps, maps, atol=1e-4)
    found = own.predict(renamed).maps
    assert not np.allclose(found[0], maps[0], atol=1e-4)
    np.testing.assert_array_equal(found[1], maps[1])


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, 8),
        ({"timesteps": "250x200x150x100x50x0", "grids": "1x2x4"}, 36),
        ({"num_masks": 3, "grids": 4}, 6),
        ({"spatio_temporal_fusion": False}, 8),
    ],
)
def test_the_network_is_evaluated_as_often_as_recorded(options, expected, fitted, images):
    method = asked(fitted, **options)
    rows = []
    method.network_.register_forward_hook(lambda _, inputs, __: rows.append(len(inputs[0])))
    method.predict(images[:2])
    assert sum(rows) == 2 * expected
    assert method.diagnostics()["unet_evaluations_per_image"] == expected


def test_the_fused_map_is_made_of_the_two_others(fitted, images):
    found = {
        output: asked(fitted, output=output).predict(images)
        for output in ("base", "diffusion", "fused")
    }
    maps = {output: prediction.maps for output, prediction in found.items()}
    channels = fitted.base_.extractor_.channels
    expected = 0.1 * maps["base"] / channels + 0.9 * maps["diffusion"] / 3
    np.testing.assert_allclose(maps["fused"], expected, rtol=1e-5)
    assert fitted.diagnostics()["fusion_units"] == {"base": channels, "diffusion": 3}
    parts = found["fused"].parts  # all three scores are in the record of a plain `drdc`
    assert list(parts) == ["base", "diffusion"] and not found["base"].parts
    for output, part in parts.items():
        assert (part.maps == maps[output]).all() and (part.scores == found[output].scores).all()


def test_calibration_divides_by_means_on_normals_that_nothing_trained_on(fitted, images):
    method, train = asked(fitted, fusion="calibrated"), training_images(fitted)
    units = method.diagnostics()["fusion_units"]
    held_out, _ = held_out_split(len(train), method.hyperparameters, make_context())
    kept = fitted.calibration_
    np.testing.assert_array_equal(kept, train.pixels[held_out.sort().values.numpy()])
    normals = Images(kept, tuple(f"calibration/{i}" for i in range(len(kept))), ("",) * len(kept))
    prediction = method.predict(normals)
    for name, part in prediction.parts.items():
        assert float(part.maps.mean()) / units[name] == pytest.approx(1, rel=1e-5)
    assert prediction.maps.mean() == pytest.approx(1, rel=1e-5)
    # Test images leave no trace, and those of other maps are others.
    method.predict(images)
    assert method.diagnostics()["fusion_units"] == units
    finer = asked(fitted, fusion="calibrated", scales="1")
    assert finer.diagnostics()["fusion_units"]["diffusion"] > units["diffusion"]


def test_calibration_without_a_held_out_image_is_refused(images):
    method = build("drdc", fusion="calibrated", base_steps=1, steps=1)
    method.fit(make_images(1), make_context())
    with pytest.raises(MethodError, match="fusion=paper"):
        method.predict(images[:1])


@pytest.mark.parametrize("option", sorted(set(OTHER_PREDICTION) - {"pool_kernel", "output"}))
def test_every_option_of_prediction_changes_the_maps(option, fitted, images):
    plain = fitted.predict(images[:1]).maps
    changed = asked(fitted, **{option: OTHER_PREDICTION[option]})
    assert not np.allclose(changed.predict(images[:1]).maps, plain, rtol=1e-6, atol=0)


def test_without_spatio_temporal_fusion_the_last_step_at_full_resolution_remains(fitted, images):
    plain = asked(fitted, output="diffusion", spatio_temporal_fusion=False, smoothing_kernel=1)
    pictures = asked(fitted, scales="1").intermediates(images[:2])
    np.testing.assert_allclose(plain.predict(images[:2]).maps, pictures["error at t=0"], atol=1e-5)


def test_intermediates_show_the_way_to_the_map(fitted, images):
    found = fitted.intermediates(images[:2])
    names = list(found)
    assert names[:4] == [
        "inpainted, 1 px cells, t=250",
        "inpainted, 4 px cells, t=250",
        "inpainted, 1 px cells, t=0",
        "inpainted, 4 px cells, t=0",
    ]
    assert names[-3:] == ["base map", "diffusion map", "fused map"]
    for name, array in found.items():
        expected = ((2, 64, 64, 3), np.uint8) if "inpainted" in name else ((2, 64, 64), np.float32)
        assert (array.shape, array.dtype) == expected, name
    np.testing.assert_array_equal(found["fused map"], fitted.predict(images[:2]).maps)
    by_step = [v for k, v in found.items() if k.startswith("error at")]
    by_grid = [v for k, v in found.items() if k.startswith("error of")]
    np.testing.assert_allclose(np.mean(by_step, 0), np.mean(by_grid, 0), atol=1e-5)


@pytest.mark.parametrize(
    ("options", "channels"),
    [
        ({"model_condition": False, "loss_region": "masked"}, 3),
        ({"init": "noise_fill", "mask_channel": True, "prediction_type": "sample"}, 7),
        ({"prediction_type": "sample", "preconditioned": True, "patch_size": 2,
          "attention_factors": "4"}, 9 * 4),
    ],
)  # fmt: skip
def test_other_readings_and_networks_train_and_score(options, channels, images):
    method = fit("drdc", steps=1, **options)
    assert method.network_.stem.in_channels == channels
    maps = method.predict(images[:1]).maps
    assert np.isfinite(maps).all()
    np.testing.assert_array_equal(asked(method, steps=1, **options).predict(images[:1]).maps, maps)


def test_a_base_at_several_scales_depends_on_no_neighbour(fitted, images):
    method = asked(fitted, output="base", multiscale_base=True)
    together = method.predict(images).maps
    for index in range(len(images)):
        alone = method.predict(images[index : index + 1]).maps
        np.testing.assert_allclose(alone[0], together[index], rtol=1e-5)


def test_images_are_scaled_to_unit_range_and_shrunk_by_area():
    pixels = np.zeros((1, 4, 4, 3), np.uint8)
    pixels[0, :, 2:] = 255
    assert set(to_unit_range(pixels, 4, "cpu").flatten().tolist()) == {-1.0, 1.0}
    small = to_unit_range(pixels, 2, "cpu")
    assert small.shape == (1, 3, 2, 2) and -1 <= small.min() < small.max() <= 1


def test_a_map_that_is_not_finite_stops_with_a_way_out(fitted, images):
    method = asked(fitted)
    torch.nn.init.constant_(method.network_.head.bias, float("nan"))
    with pytest.raises(MethodError, match=rf"{images.ids[0]} is not finite.*precision=fp32"):
        method.predict(images)


def test_bfloat16_trains_and_scores_close_to_float32(fitted, images):
    low = fit_once("drdc", precision="bf16")
    assert low.diagnostics()["unet"]["precision"] == "bf16"
    a, b = low.predict(images).maps, fitted.predict(images).maps
    np.testing.assert_allclose(a, b, atol=0.05 * float(b.mean()))
