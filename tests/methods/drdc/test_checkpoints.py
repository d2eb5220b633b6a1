import copy

import pytest

from adbench.methods.drdc.checkpoints import StagedCheckpoint


class Checkpoint:
    def __init__(self, state=None):
        self.state, self.loads = state, 0

    def load(self):
        self.loads += 1
        return copy.deepcopy(self.state)

    def due(self):
        return True

    def save(self, state):
        self.state = copy.deepcopy(dict(state))


def test_a_later_stage_keeps_what_an_earlier_one_finished():
    checkpoint = Checkpoint()
    stages = StagedCheckpoint(checkpoint)
    stages.stage("base").save({"step": 1})
    stages.finish("base", {"weights": 7})
    stages.stage("unet").save({"step": 2})
    resumed = StagedCheckpoint(checkpoint)
    assert resumed.finished("base") == {"weights": 7}
    assert resumed.stage("base").load() is None
    assert resumed.stage("unet").load() == {"step": 2}
    resumed.stage("unet").save({"step": 3})
    assert StagedCheckpoint(checkpoint).finished("base") == {"weights": 7}
    assert StagedCheckpoint(checkpoint).stage("unet").load() == {"step": 3}


def test_a_stage_that_was_cut_off_is_not_finished():
    checkpoint = Checkpoint()
    StagedCheckpoint(checkpoint).stage("base").save({"step": 1})
    resumed = StagedCheckpoint(checkpoint)
    assert resumed.finished("base") is None
    assert resumed.stage("base").load() == {"step": 1}


def test_the_harness_is_asked_once():
    """Each reading counts as a resume and adds the seconds before it."""
    checkpoint = Checkpoint({"unet": {"step": 4}})
    stages = StagedCheckpoint(checkpoint)
    stages.stage("base").load()
    stages.finished("base")
    stages.stage("unet").load()
    assert checkpoint.loads == 1 and checkpoint.state == {"unet": {"step": 4}}


@pytest.mark.parametrize("name", ["base", "unet"])
def test_due_is_the_harness_decision(name):
    assert StagedCheckpoint(Checkpoint()).stage(name).due()
