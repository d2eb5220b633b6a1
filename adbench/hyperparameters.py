"""Building a method's hyper-parameters from its preset, the selector's options and `--set`."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from typing import Any, Literal, get_args, get_origin

from pydantic import ValidationError

from adbench.contracts import Hyperparameters, Method
from adbench.errors import UnknownNameError, UsageError, shortened

PRESETS = ("paper", "fast", "smoke")
MOST_PROBLEMS = 3
"""Told of one wrong set of values; of a list each wrong member would be one."""


def build_hyperparameters(
    method: type[Method], preset: str, options: Mapping[str, Any]
) -> Hyperparameters:
    """The preset's values overridden by `options` (text from the command line, or Python values).

    Raises `UnknownNameError` for an unknown preset or name, `UsageError` for a bad value.
    """
    name = method.card.name
    if preset not in method.presets:
        raise UnknownNameError(f"preset of {name}", preset, method.presets)
    fields = method.Hyperparameters.model_fields
    for option in options:
        if option not in fields:
            hint = f"`adbench methods {name}` describes each"
            raise UnknownNameError(f"hyper-parameter of {name}", option, fields, hint=hint)
    given = {k: _plain(v, fields[k].annotation) for k, v in options.items()}
    values = {**method.presets[preset], **given}
    try:
        built = method.Hyperparameters(**values)
    except ValidationError as error:
        raise _invalid(name, *_problems(error)) from None
    except OSError as error:  # a path that the system does not take
        raise _invalid(name, f": {shortened(str(error.filename))}: {error.strerror}") from None
    for option in values:
        value = getattr(built, option)
        if isinstance(value, float) and not math.isfinite(value):
            raise _invalid(name, f".{option}: found {value}, expected a finite number")
    return built


def _problems(error: ValidationError) -> list[str]:
    parts = []
    for problem in error.errors():
        where = ".".join(map(str, problem["loc"])) or "combination"
        message = problem["msg"].removeprefix("Value error, ")
        given = f" (got {shortened(repr(problem['input']))})" if problem["loc"] else ""
        parts.append(f".{shortened(where)}: {shortened(message)}{given}")
    return parts


def _invalid(name: str, *problems: str) -> UsageError:
    told = [f"{name}{problem}" for problem in problems[:MOST_PROBLEMS]]
    if len(problems) > MOST_PROBLEMS:
        told.append(f"and {len(problems) - MOST_PROBLEMS} more")
    return UsageError(f"{'; '.join(told)}. `adbench methods {name}` lists the valid ranges")


def variant_name(
    method: type[Method],
    preset: str,
    hyperparameters: Hyperparameters,
    leave_out: Collection[str] = (),
) -> str:
    """What differs from the preset, as `k=v,k2=v2`, sorted; empty for the preset itself."""
    base = build_hyperparameters(method, preset, {}).canonical()
    own = hyperparameters.canonical()
    changed = sorted(name for name in own if own[name] != base[name] and name not in leave_out)
    return ",".join(f"{name}={_text(own[name])}" for name in changed)


def shortened_training(
    method: type[Method], whole: Hyperparameters, share: float
) -> Hyperparameters | None:
    """The hyper-parameters of a training of this share of the steps; None where there is no other,
    as for a method that trains in none."""
    lengths = {name: getattr(whole, name) for name in whole.training_length}
    parts = {n: max(1, round(share * v)) for n, v in lengths.items() if v is not None}
    shorter = type(whole)(**{**dict(whole), **parts})
    flops = [method(own).training_flops(1) for own in (whole, shorter)]
    trains_alike = flops[0] > 0 and flops[0] == flops[1]
    return None if shorter == whole or trains_alike else shorter


def _plain(value: Any, annotation: Any) -> Any:
    """The text `none` is None, unless "none" is one of the field's own values."""
    if isinstance(value, str) and value.lower() in {"none", "null"}:
        return value if value in _literals(annotation) else None
    return value


def _literals(annotation: Any) -> set[Any]:
    if get_origin(annotation) is Literal:
        return set(get_args(annotation))
    return {value for part in get_args(annotation) for value in _literals(part)}


def _text(value: Any) -> str:
    if isinstance(value, bool) or value is None:
        return str(value).lower()
    if isinstance(value, list):
        return "x".join(map(_text, value))
    return str(value).partition("#sha256:")[0]  # a file's digest belongs to the protocol
