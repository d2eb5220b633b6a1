import numpy as np
import pytest
import timm
import torch
from fits import MemoryCache, build, fit_once, make_context, make_images
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import save_file

from adbench.errors import MethodError
from adbench.methods.features import (
    FeatureExtractor,
    cached_features,
    evenly_spread,
    resize_map,
)

LITE = "tf_efficientnet_lite0"
B4 = "tf_efficientnet_b4.aa_in1k"


@pytest.fixture(scope="module")
def lite():
    return FeatureExtractor(LITE, map_size=8)


@pytest.fixture(scope="module")
def b4_file(tmp_path_factory):
    """Untrained weights of the paper's backbone, for its structure."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        state = timm.create_model(B4, pretrained=False).state_dict()
    file = tmp_path_factory.mktemp("weights") / "b4.safetensors"
    save_file(state, file)
    return file


def pixels_of(count=3, size=64):
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (count, size, size, 3), generator=generator, dtype=torch.uint8)


def test_offline_backbone(lite):
    features = lite(pixels_of())
    assert features.shape == (3, 8, 8, 192) and features.dtype == torch.float32
    assert features.is_contiguous()  # (N, S, S, C): a bank of slices is a view of it
    assert lite.weights_sha256.startswith("900102f9a29c79a5")
    assert lite.mean.flatten().tolist() == [0.5] * 3  # the backbone's own, not ImageNet's
    assert not any(parameter.requires_grad for parameter in lite.parameters())


def test_dropping_unused_blocks_changes_nothing(lite):
    whole = timm.create_model(LITE, features_only=True, out_indices=(0, 1, 2, 3)).eval()
    whole.load_state_dict(lite.network.state_dict(), strict=False)
    images = pixels_of().permute(0, 3, 1, 2) / 127.5 - 1
    maps = [resize_map(stage, 8, "bilinear") for stage in whole(images)]
    torch.testing.assert_close(torch.cat(maps, 1).permute(0, 2, 3, 1), lite(pixels_of()))


def test_paper_backbone_has_272_channels(b4_file):
    extractor = FeatureExtractor(B4, b4_file)
    assert extractor.channels == 272 and extractor.map_size == 32
    count = sum(parameter.numel() for parameter in extractor.parameters())
    assert count / 1e6 == pytest.approx(3.6, abs=0.1)
    assert extractor.mean.flatten().tolist() == pytest.approx([0.485, 0.456, 0.406])


def test_area_averages_where_it_shrinks():
    stage = torch.arange(16.0).view(1, 1, 4, 4)
    assert resize_map(stage, 2, "area").flatten().tolist() == [2.5, 4.5, 10.5, 12.5]
    assert resize_map(stage, 2, "bilinear").flatten().tolist() == [0, 3, 12, 15]  # corners
    torch.testing.assert_close(resize_map(stage, 7, "area"), resize_map(stage, 7, "bilinear"))


def test_file_in_another_ports_names_is_matched_by_order(lite, tmp_path):
    state = timm.create_model(LITE).state_dict()
    renamed = {f"_port.{index}": tensor for index, tensor in enumerate(state.values())}
    torch.save({"state_dict": renamed}, tmp_path / "port.pth")
    save_file(state, tmp_path / "timm.safetensors")
    port = FeatureExtractor(LITE, tmp_path / "port.pth")
    assert (
        port.weights_sha256 == FeatureExtractor(LITE, tmp_path / "timm.safetensors").weights_sha256
    )
    assert port.weights_sha256 != lite.weights_sha256


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"a": torch.zeros(3)}, "do not fit the backbone"),
        ({"conv_stem.weight": torch.zeros(3)}, "do not fit the backbone"),
        ([1, 2], "no state dict"),
        (b"junk", "cannot read weights"),
    ],
)
def test_unusable_file(content, message, tmp_path):
    file = tmp_path / "weights.pth"
    if isinstance(content, bytes):
        file.write_bytes(content)
    else:
        torch.save(content, file)
    with pytest.raises(MethodError, match=message):
        FeatureExtractor(LITE, file)


def test_pickled_code_is_refused(tmp_path):
    torch.save({"weights": print}, tmp_path / "evil.pth")
    with pytest.raises(MethodError, match="cannot read weights from evil.pth"):
        FeatureExtractor(LITE, tmp_path / "evil.pth")


def test_no_network_names_three_ways_to_get_weights(monkeypatch):
    def refuse(*arguments, **options):
        raise OSError("no network")

    monkeypatch.setattr("huggingface_hub.HfApi.model_info", refuse)
    monkeypatch.setattr("huggingface_hub.try_to_load_from_cache", lambda *_: None)
    with pytest.raises(MethodError) as caught:
        FeatureExtractor(B4, "auto")
    for way in ("METHOD[weights=FILE]", "network", f"METHOD[backbone={LITE}]", "no network"):
        assert way in str(caught.value)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((B4, "package"), "only for tf_efficientnet_lite0"),
        (("efficientnet_b44",), "timm cannot build the backbone 'efficientnet_b44'"),
    ],
)
def test_impossible_backbones(arguments, message):
    with pytest.raises(MethodError, match=message):
        FeatureExtractor(*arguments)


def test_features_are_computed_once_and_cached_under_the_images_key(lite):
    cache = MemoryCache()
    context, images = make_context(cache=cache), make_images(20, key="images")
    features = cached_features(lite, images, context)
    assert features.shape == (20, 8, 8, 192) and features.dtype == np.float32
    assert cached_features(lite, images, context) is features
    pixels = torch.tensor(images.pixels[17:18])
    np.testing.assert_allclose(features[17], lite(pixels)[0], rtol=1e-4, atol=1e-4)
    cached_features(lite, make_images(2), context)
    assert len(cache.asked) == 2


def test_methods_share_features_and_each_repeats_its_coreset():
    cache, images = MemoryCache(), make_images(6, key="train")

    def computed_by(name, **options):
        before = len(cache.computed)
        build(name, **options).fit(images, make_context(cache=cache))
        return [key.partition("-")[0] for key in cache.computed[before:]]

    assert computed_by("lafite", reconstruction=False) == ["features", "coreset"]
    assert computed_by("patchcore") == ["coreset"]
    assert computed_by("lafite", reconstruction=False, num_neighbours=2) == []
    assert computed_by("lafite", reconstruction=False, feature_scaling="none") == ["coreset"]
    assert computed_by("patchcore", map_size=16) == ["features", "coreset"]


@pytest.mark.parametrize("name", ["lafite", "uniad", "drdc", "patchcore"])
def test_a_model_on_other_backbone_weights_is_refused(name, tmp_path):
    fit_once(name).save(tmp_path)
    state = tmp_path / "state.json"
    state.write_text(state.read_text().replace("900102f9", "00000000"))
    with pytest.raises(MethodError, match="trained on backbone weights 00000000"):
        build(name).load(tmp_path, make_context())


@given(st.integers(1, 100), st.integers(1, 40))
def test_some_of_many_are_from_all_over(num_images, count):
    some = evenly_spread(torch.arange(num_images) + 7, count).tolist()
    assert len(some) == min(num_images, count) == len(set(some))
    assert some[0] == 7 and (some[-1] == 6 + num_images or count == 1)
    if count > 1:
        gaps = [b - a for a, b in zip(some, some[1:], strict=False)]
        assert not gaps or max(gaps) - min(gaps) <= 1
