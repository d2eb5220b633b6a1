"""One frozen backbone for all tests here: building it takes longer than what is done with it."""

from functools import cache

import pytest

from adbench.methods.uniad import fitting, storage


@pytest.fixture(scope="session", autouse=True)
def _one_extractor():
    build = cache(fitting.create_extractor)  # hyper-parameters are frozen, hence hashable
    with pytest.MonkeyPatch.context() as patch:
        for module in (fitting, storage):
            patch.setattr(module, "create_extractor", build)
        yield
