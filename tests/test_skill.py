"""The yardstick of what a network learned."""

import pytest

from adbench.contracts import Skill


def test_skill_of_known_errors():
    simple = [2.0] * 8 + [4.0] * 8
    skill = Skill.of([1.0] * 8 + [2.0] * 8, simple, [6.0] * 16, "error")
    assert (skill.value, skill.standard_error, skill.held_out) == (0.5, 0.0, 16)
    assert (skill.error, skill.simple, skill.trivial) == (1.5, 3.0, 6.0)
    worse = Skill.of([4.0, 8.0] * 8, [2.0] * 16, [1.0] * 16, "error")
    assert worse.value == -2.0
    assert worse.standard_error == pytest.approx((4 / 15 * 16 / 16) ** 0.5 / 2)


@pytest.mark.parametrize(
    ("count", "says"), [(0, "no normals are held out"), (15, "15 normals are")]
)
def test_too_few_held_out_normals_say_nothing(count, says):
    skill = Skill.of([1.0] * count, [2.0] * count, [3.0] * count, "error")
    assert skill.value is None and says in skill.reason
    assert skill.to_json()["value"] is None


def test_errors_without_a_ratio_have_a_reason():
    assert Skill.of([float("nan")] * 16, [1.0] * 16, [1.0] * 16, "x").value is None
    assert Skill.of([1.0] * 16, [0.0] * 16, [1.0] * 16, "x").value is None
