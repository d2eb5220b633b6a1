"""All tests of methods share their models."""

import pytest


@pytest.fixture(scope="session", autouse=True)
def _shared(shared_models):
    yield
