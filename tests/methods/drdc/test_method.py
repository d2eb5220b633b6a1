"""The method: options, presets, resuming, what prediction-only means, and Table 5."""

import copy

import numpy as np
import pytest
import torch
from toy import write_toy

from adbench.contracts import Images
from adbench.errors import MethodError, UsageError
from adbench.hyperparameters import build_hyperparameters
from adbench.methods.drdc import fitting
from adbench.methods.drdc.fitting import to_unit_range
from adbench.methods.drdc.losses import noise_loss
from adbench.methods.drdc.method import DRDC
from adbench.methods.drdc.process import linear_scheduler
from adbench.methods.uniad.fitting import held_out_split

REFERENCE = "adbench.methods.drdc.method:DRDC"
OUTPUTS = "output=base|diffusion|fused"
TABLE_5 = ("spatio_temporal_fusion=false", "test_time_condition=false", "multiscale_base=true")
OTHER_PREDICTION = {
    "output": "diffusion",
    "fusion": "calibrated",
    "gamma": 0.3,
    "pool_kernel": 2,
    "multiscale_base": True,
    "spatio_temporal_fusion": False,
    "test_time_condition": False,
    "init": "noise_fill",
    "clip_sample": False,
    "timesteps": "100x50x20",
    "grids": "8x2",
    "num_masks": 3,
    "scales": "1x4",
    "smoothing_kernel": 3,
}


def build(preset="smoke", **options):
    return DRDC(build_hyperparameters(DRDC, preset, options))


@pytest.fixture(scope="module")
def train(make_images):
    return make_images(8, 64)


@pytest.fixture(scope="module")
def images(make_images):
    return make_images(3, 64, seed=1, anomalous=1)


@pytest.fixture(scope="module")
def fitted(train, make_context):
    return build().fit(train, make_context())


def with_options(fitted, make_context, **options):
    """The same model, asked otherwise."""
    return build(**options)._take(fitted.detector_, make_context())


def test_three_outputs_and_table_5_share_one_training(invoke, tmp_path, monkeypatch):
    fits = []
    original = fitting.fit_detector

    def counted(*arguments):
        fits.append(1)
        return original(*arguments)

    monkeypatch.setattr(fitting, "fit_detector", counted)
    toy = write_toy(tmp_path, ("a",))
    methods = ",".join(f"{REFERENCE}[{row}]" for row in (OUTPUTS, *TABLE_5))
    done = invoke(
        "run", *toy.arguments(), "--methods", methods, "--preset", "smoke",
        "--results", str(tmp_path / "results"), "--no-timing",
    )  # fmt: skip
    assert done.code == 0, done.err
    assert len(list((tmp_path / "results").rglob("record*.json"))) == 6
    assert fits == [1]
    for row in ("drdc smoke", "drdc[output=base] smoke", "drdc[output=diffusion] smoke"):
        assert row in done.out


def test_presets_are_the_specified_settings():
    paper = build("paper")
    own = paper.hyperparameters
    assert (paper.geometry.size, own.inner_size, own.base_width) == (224, 224, 128)
    assert own.evaluations == 36 and build("adm256").hyperparameters.base_width == 256
    assert (own.base.epochs, own.base.batch_size, own.base.gradient_clip) == (1000, 8, 0.1)
    # 15.5 TFLOP of refinement an image, 3 x 430 GFLOP x 16 a step (spec sections 4 and 9)
    assert paper.inference_flops(1) == pytest.approx(15.5e12, rel=0.01)
    assert build("paper", output="base").inference_flops(1) < 10e9
    assert build("adm256").inference_flops(1) == pytest.approx(61.7e12, rel=0.01)
    base = build("paper", steps=1).training_flops(888)
    assert paper.training_flops(888) - base == pytest.approx(1.03e18, rel=0.01)
    fast = build("fast")
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
    ],
)
def test_impossible_options_are_refused(options, message):
    with pytest.raises(UsageError, match=message):
        build("paper", **options)


def test_fit_reads_nothing_that_only_prediction_may_read(fitted, train, make_context, tmp_path):
    assert set(OTHER_PREDICTION) == DRDC.Hyperparameters.prediction_only
    other = build(**OTHER_PREDICTION).fit(train, make_context())
    contents = []
    for index, method in enumerate((fitted, other)):
        folder = tmp_path / str(index)
        folder.mkdir()
        method.save(folder)
        contents.append({path.name: path.read_bytes() for path in folder.iterdir()})
    assert contents[0] == contents[1]


def test_what_one_saved_another_can_load(fitted, images, make_context, tmp_path):
    fitted.save(tmp_path)
    other = build(**OTHER_PREDICTION).load(tmp_path, make_context())
    expected = with_options(fitted, make_context, **OTHER_PREDICTION).predict(images)
    np.testing.assert_array_equal(other.predict(images).maps, expected.maps)
    assert other.protocol() == fitted.protocol()


# In the base's training, at its end, in the UNet's training.
@pytest.mark.parametrize("dies_at", [1, 2, 3])
def test_a_killed_training_goes_on_to_the_same_bits(
    dies_at, fitted, train, make_context, make_checkpoint
):
    checkpoint = make_checkpoint(due=True, dies_at=dies_at)
    with pytest.raises(InterruptedError):
        build().fit(train, make_context(checkpoint=checkpoint))
    resumed = build().fit(train, make_context(checkpoint=checkpoint))
    for branch in ("base", "network"):
        state = getattr(resumed.detector_, branch)
        expected = getattr(fitted.detector_, branch)
        if branch == "base":
            state, expected = state.network, expected.network
        for name, tensor in expected.state_dict().items():
            assert torch.equal(tensor, state.state_dict()[name]), name
    assert resumed.diagnostics() == fitted.diagnostics()


def test_the_base_is_not_trained_again_while_the_unet_trains(
    train, make_context, make_checkpoint, monkeypatch
):
    checkpoint = make_checkpoint(due=True, dies_at=3)
    with pytest.raises(InterruptedError):
        build().fit(train, make_context(checkpoint=checkpoint))
    monkeypatch.setattr(fitting, "fit_base", lambda *_: pytest.fail("trained again"))
    build().fit(train, make_context(checkpoint=checkpoint))


@pytest.mark.parametrize("output", ["base", "diffusion", "fused"])
def test_maps_depend_on_no_neighbour_and_no_order(output, fitted, images, make_context):
    method = with_options(fitted, make_context, output=output)
    together = method.predict(images).maps
    alone = np.concatenate([method.predict(images[i : i + 1]).maps for i in range(len(images))])
    backwards = method.predict(images.take(range(len(images))[::-1])).maps[::-1]
    np.testing.assert_allclose(alone, together, atol=1e-5)
    np.testing.assert_allclose(backwards, together, atol=1e-5)


def test_a_gpus_larger_chunks_change_nothing_but_rounding(
    fitted, images, make_context, monkeypatch
):
    method = with_options(fitted, make_context, output="diffusion")
    one = method.predict(images).maps
    monkeypatch.setattr(type(fitted.detector_), "chunk", 4)
    np.testing.assert_allclose(method.predict(images).maps, one, atol=1e-5)


def test_masks_and_noise_belong_to_the_seed_and_the_image(fitted, images, make_context):
    own = with_options(fitted, make_context, output="diffusion")
    other_seed = build(output="diffusion")._take(fitted.detector_, make_context(seed=1))
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
        ({"output": "base"}, 0),
    ],
)
def test_the_network_is_evaluated_as_often_as_recorded(
    options, expected, fitted, images, make_context
):
    method = with_options(fitted, make_context, **options)
    rows = []
    hook = fitted.detector_.network.register_forward_hook(
        lambda _, inputs, __: rows.append(len(inputs[0]))
    )
    method.predict(images[:3])
    hook.remove()
    assert sum(rows) == 3 * expected
    assert method.diagnostics()["unet_evaluations_per_image"] == expected


def test_the_fused_map_is_made_of_the_two_others(fitted, images, make_context):
    found = {
        output: with_options(fitted, make_context, output=output).predict(images)
        for output in ("base", "diffusion", "fused")
    }
    maps = {output: prediction.maps for output, prediction in found.items()}
    channels = fitted.detector_.base.extractor.channels
    expected = 0.1 * maps["base"] / channels + 0.9 * maps["diffusion"] / 3
    np.testing.assert_allclose(maps["fused"], expected, rtol=1e-5)
    assert fitted.diagnostics()["fusion_units"] == {"base": channels, "diffusion": 3}
    parts = found["fused"].parts  # all three scores are in the record of a plain `drdc`
    assert list(parts) == ["base", "diffusion"] and not found["base"].parts
    for output, part in parts.items():
        assert (part.maps == maps[output]).all() and (part.scores == found[output].scores).all()


def test_calibration_divides_by_means_on_normals_that_nothing_trained_on(
    fitted, train, images, make_context
):
    method = with_options(fitted, make_context, fusion="calibrated")
    units = method.diagnostics()["fusion_units"]
    held_out, _ = held_out_split(method.hyperparameters.base, len(train), make_context())
    kept = fitted.detector_.calibration_pixels
    np.testing.assert_array_equal(kept, train.pixels[held_out.numpy()])
    normals = Images(kept, tuple(f"calibration/{i}" for i in range(len(kept))), ("",) * len(kept))
    base = method._scorer.base(normals) / units["base"]
    diffusion = method._scorer.diffusion(normals) / units["diffusion"]
    assert float(base.mean()) == pytest.approx(1, rel=1e-5)
    assert float(diffusion.mean()) == pytest.approx(1, rel=1e-5)
    assert method.predict(normals).maps.mean() == pytest.approx(1, rel=1e-5)
    # Test images leave no trace, and those of other maps are others.
    method.predict(images)
    assert method.diagnostics()["fusion_units"] == units
    finer = with_options(fitted, make_context, fusion="calibrated", scales="1")
    assert finer.diagnostics()["fusion_units"]["diffusion"] > units["diffusion"]


def test_calibration_without_a_held_out_image_is_refused(fitted, images, make_context):
    bare = copy.copy(fitted.detector_)
    bare.calibration_pixels = bare.calibration_pixels[:0]
    method = build(fusion="calibrated")._take(bare, make_context())
    with pytest.raises(MethodError, match="fusion=paper"):
        method.predict(images)


@pytest.mark.parametrize("option", sorted(set(OTHER_PREDICTION) - {"pool_kernel"}))
def test_every_option_of_prediction_changes_the_maps(option, fitted, images, make_context):
    plain = with_options(fitted, make_context).predict(images[:1]).maps
    changed = with_options(fitted, make_context, **{option: OTHER_PREDICTION[option]})
    assert not np.allclose(changed.predict(images[:1]).maps, plain, rtol=1e-6, atol=0)


def test_without_spatio_temporal_fusion_the_last_step_at_full_resolution_remains(
    fitted, images, make_context
):
    plain = with_options(
        fitted, make_context, output="diffusion", spatio_temporal_fusion=False, smoothing_kernel=1
    )
    pictures = with_options(fitted, make_context, scales="1").intermediates(images[:2])
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


def test_training_without_condition_or_over_the_masked_region(train, make_context):
    method = build(model_condition=False, loss_region="masked").fit(train, make_context())
    assert method.detector_.network.stem.in_channels == 3
    assert np.isfinite(method.predict(train[:1]).scores).all()


def test_the_loss_is_the_noises_over_the_asked_region():
    """A network that is told the clean image errs by construction where the cells are masked."""
    images = torch.rand(8, 3, 32, 32, generator=torch.Generator().manual_seed(0)) * 2 - 1
    abar = linear_scheduler().alphas_cumprod
    seen = []

    class Copies(torch.nn.Module):
        def forward(self, inputs, t):
            seen.append((inputs, t))
            a = abar[t][:, None, None, None]
            return (inputs[:, :3] - a.sqrt() * inputs[:, 3:]) / (1 - a).sqrt()

    def loss(**options):
        own = build("paper", image_size=32, feature_size=8, training_grids="4x8", grids="4",
                    scales="1", smoothing_kernel=3, pool_kernel=4, **options)  # fmt: skip
        compute = noise_loss(Copies(), lambda indices: images[indices], own.hyperparameters)
        return float(compute(torch.arange(8), torch.Generator().manual_seed(1)))

    everywhere, masked = loss(), loss(loss_region="masked")
    assert masked == pytest.approx(2 * everywhere, rel=1e-4)  # known pixels err by nothing
    inputs, t = seen[0]
    unknown = inputs[:, 3:] != images
    assert unknown.float().mean() == pytest.approx(0.5, abs=0.01)
    # x_0 is the clean image and not I_in: on known and unknown pixels alike x_t is its noising.
    a = abar[t][:, None, None, None]
    noise = (inputs[:, :3] - a.sqrt() * images) / (1 - a).sqrt()
    assert noise.std() == pytest.approx(1, abs=0.02)
    assert abs(float((noise * inputs[:, 3:])[unknown].mean())) < 0.05
    loss(t_max=300, timesteps="250x0")
    assert seen[-1][1].max() < 300 < max(int(t.max()) for _, t in seen)


def test_images_are_scaled_to_unit_range_and_shrunk_by_area():
    pixels = np.zeros((1, 4, 4, 3), np.uint8)
    pixels[0, :, 2:] = 255
    assert set(to_unit_range(pixels, 4, "cpu").flatten().tolist()) == {-1.0, 1.0}
    small = to_unit_range(pixels, 2, "cpu")
    assert small.shape == (1, 3, 2, 2) and -1 <= small.min() < small.max() <= 1


def test_a_map_that_is_not_finite_stops_with_a_way_out(fitted, images, make_context):
    broken = copy.deepcopy(fitted.detector_)
    torch.nn.init.constant_(broken.network.head.bias, float("nan"))
    method = build()._take(broken, make_context())
    with pytest.raises(MethodError, match=rf"{images.ids[0]} is not finite.*precision=fp32"):
        method.predict(images)


def test_bfloat16_trains_and_scores_close_to_float32(fitted, train, images, make_context):
    low = build().fit(train, make_context(precision="bf16"))
    assert low.diagnostics()["unet"]["precision"] == "bf16"
    a, b = low.predict(images).maps, fitted.predict(images).maps
    np.testing.assert_allclose(a, b, atol=0.05 * float(b.mean()))
