"""What every mistake must look like, for the tests of wrong input."""

from __future__ import annotations

from toy import Outcome


def the_error(outcome: Outcome, code: int) -> str:
    """The one line that begins with `error:`, last on stderr; nothing is on stdout."""
    lines = outcome.err.splitlines()
    errors = [line for line in lines if line.startswith("error: ")]
    assert outcome.code == code, outcome
    assert len(errors) == 1 and lines[-1] == errors[0], outcome.err
    assert "Traceback" not in outcome.err and outcome.out == "", outcome
    return errors[0]


def warnings_of(outcome: Outcome) -> list[str]:
    """Lines on stderr that warn."""
    return [line for line in outcome.err.splitlines() if line.startswith("warning: ")]
