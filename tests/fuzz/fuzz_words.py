"""Selectors and hyper-parameters of any text: cells, or one line that says what is expected."""

from __future__ import annotations

import contextlib
import json
from functools import cache
from pathlib import Path
from typing import Any

from hypothesis import strategies as st
from mutations import Draw, anything, texts
from sandbox import check_message, guarded, usable

from adbench.contracts import Method
from adbench.errors import AdbenchError
from adbench.hyperparameters import PRESETS, build_hyperparameters, variant_name
from adbench.plan import make_plan
from adbench.registry import load_method, method_names
from adbench.selectors import (
    parse_dataset,
    parse_methods,
    parse_overrides,
    parse_seeds,
    parse_shard,
)
from adbench.store.files import canonical_json

PIXEL = "adbench.testing:PixelGaussian"

_words = st.sampled_from(
    ["lafite", "patchcore", "all", "diffusion", PIXEL, "tau", "steps", "noise", "image_size", "=",
     "|", ",", "[", "]", ":", "/", "-", ".", "0", "1", "4", "300", "true", "none", "nan", "inf",
     "1e400", "9" * 30, " ", "\n", "\0", "x.py", "../x.py", ".py:A", "mpdd", "synthetic", "tubes", "٣", "½", "−1"]  # noqa: E501
)  # fmt: skip
_mixture = st.lists(_words | texts, max_size=12).map("".join)

selectors = st.tuples(
    st.sampled_from(["methods", "dataset", "seeds", "shard", "set", "plan", "preset", "scope"]),
    _mixture,
)


def check_selector(given: tuple[str, str], folder: Path) -> None:
    """Any text is read or refused; what is read is of the documented kind."""
    what, text = given
    with guarded(), usable():
        match what:
            case "methods":
                for selector in parse_methods(text):
                    assert selector.name and selector.name == selector.name.strip()
                    assert all(isinstance(v, tuple) and v for _, v in selector.options)
            case "dataset":
                name, categories = parse_dataset(text)
                assert name and (categories is None or all(categories))
            case "seeds":
                seeds = parse_seeds(text)
                assert seeds and len(set(seeds)) == len(seeds) <= 10_000 and min(seeds) >= 0
            case "shard":
                part, of = parse_shard(text)
                assert 1 <= part <= of
            case "set":
                parse_overrides((text,))
            case "plan":
                _plan(text, preset="smoke", seeds=(0,), overrides=(text,))
                _plan(text, preset="smoke", seeds=(0,))
            case "preset":
                _plan(PIXEL, preset=text, seeds=(0,))
            case "scope":
                _plan(PIXEL, preset="smoke", seeds=(0,), scope=text, mask_rule=text)


def _plan(methods: str, **options: Any) -> None:
    try:
        make_plan(methods, (), **options)
    except AdbenchError as error:
        check_message(str(error))


@cache
def _methods() -> list[type[Method]]:
    found = [load_method(PIXEL)]
    for name in method_names():
        with contextlib.suppress(AdbenchError):  # half-written, next door
            found.append(load_method(name))
    return found


@st.composite
def _options(draw: Draw) -> tuple[type[Method], str, dict[str, Any]]:
    method = draw(st.sampled_from(_methods()))
    fields = list(method.Hyperparameters.model_fields)
    values = texts | _numbers | anything
    given = draw(st.dictionaries(st.sampled_from(fields), values, max_size=4))
    if draw(st.integers(0, 9)) == 0:
        given |= draw(st.dictionaries(texts, values, max_size=1))
    return method, draw(st.sampled_from(PRESETS) | texts), given


_numbers = st.one_of(
    st.integers(-3, 2000).map(str), st.integers(-3, 2000), st.floats(0, 1).map(str),
    st.floats(0, 1), st.sampled_from(["true", "false", "auto", "local", "sample", "256", "1e-3"]),
)  # fmt: skip
hyperparameters = st.deferred(_options)


def check_hyperparameters(given: tuple[type[Method], str, dict[str, Any]], folder: Path) -> None:
    """What validates has a key, a name and a cost; what does not is refused before a run."""
    method, preset, options = given
    with guarded(), usable():
        built = build_hyperparameters(method, preset, options)
        text = canonical_json(built.canonical())
        again = method.Hyperparameters.model_validate(built.model_dump())
        assert canonical_json(again.canonical()) == text
        json.loads(text)
        variant_name(method, preset, built)
        instance = method(built)
        assert instance.geometry.size >= 1 and instance.geometry.resize >= instance.geometry.size
        assert instance.batch_size >= 1
        for count in (2, 1_000):
            assert instance.training_flops(count) >= 0 and instance.inference_flops(count) >= 0
        instance.unsupported("separate", {})
