import pytest
import torch
from torch import nn

from adbench.errors import MethodError
from adbench.methods.training import TrainingPlan, batch_indices, seeded, smoothed_ends, train

DATA = torch.linspace(-1, 1, 24)[:, None]
PLAN = TrainingPlan(
    steps=25, batch_size=7, learning_rate=1e-2, weight_decay=1e-4, drop_at=0.8,
    gradient_clip=1.0, ema_decay=0.99,
)  # fmt: skip


def fit(context, plan=PLAN, loss=None):
    with seeded(context, "network"):
        network = nn.Sequential(nn.Linear(1, 8), nn.Tanh(), nn.Linear(8, 1))

    def squared_error(indices, generator):
        x = DATA[indices] + 0.1 * torch.randn(len(indices), 1, generator=generator)
        return (network(x) - DATA[indices] ** 2).square().mean()

    losses = train(network, loss or squared_error, len(DATA), plan, context)
    return losses, torch.cat([p.flatten() for p in network.state_dict().values()])


@pytest.mark.parametrize("ema_decay", [0.99, 0.0])
@pytest.mark.parametrize("killed_at", [1, 13, 24])
def test_a_killed_run_resumes_bit_for_bit(make_context, make_checkpoint, ema_decay, killed_at):
    plan = TrainingPlan(**{**vars(PLAN), "ema_decay": ema_decay})
    losses, weights = fit(make_context(), plan)
    checkpoint = make_checkpoint(due=True, dies_at=killed_at)
    with pytest.raises(InterruptedError):
        fit(make_context(checkpoint=checkpoint), plan)
    resumed_losses, resumed_weights = fit(make_context(checkpoint=checkpoint), plan)
    assert resumed_losses == losses and len(losses) == 25
    assert torch.equal(resumed_weights, weights)


def test_seed_decides_everything_and_global_state_nothing(make_context):
    first = fit(make_context())
    torch.manual_seed(77)
    before = torch.get_rng_state()
    assert torch.equal(fit(make_context())[1], first[1])
    assert torch.equal(torch.get_rng_state(), before)
    assert not torch.equal(fit(make_context(seed=1))[1], first[1])


def test_training_lowers_the_loss(make_context):
    plan = TrainingPlan(steps=400, batch_size=8, learning_rate=1e-2, weight_decay=0, ema_decay=0.9)
    first, last = smoothed_ends(fit(make_context(), plan)[0])
    assert last < 0.5 * first


def test_a_loss_that_is_not_finite_says_where_and_what_to_try(make_context, make_checkpoint):
    def loss(indices, generator):
        return weight.sum() * (float("nan") if next(steps) == 3 else 1.0)

    weight, steps = nn.Parameter(torch.zeros(2)), iter(range(100))
    checkpoint = make_checkpoint(due=True)
    with pytest.raises(MethodError, match=r"loss is nan at step 3 of 25.*learning rate"):
        fit(make_context(checkpoint=checkpoint), loss=loss)
    assert checkpoint.state is not None and checkpoint.state["step"] == 3


def test_progress_reports_the_loss(make_context):
    calls = []
    fit(make_context(progress=lambda *args, **numbers: calls.append((args, numbers))))
    assert calls[-1][0] == ("training", 25, 25) and "loss" in calls[-1][1]


def test_each_epoch_sees_each_image_once(make_context):
    context = make_context()
    batches = [batch_indices(step, 10, 4, context) for step in range(5)]
    assert all(len(batch) == 4 for batch in batches)
    epochs = torch.cat(batches).view(2, 10)
    assert torch.equal(epochs.sort(1).values, torch.arange(10).expand(2, 10))
    assert not torch.equal(epochs[0], epochs[1])
    assert len(batch_indices(0, 3, 8, context)) == 8


def test_bf16_runs(make_context):
    plan = TrainingPlan(**{**vars(PLAN), "precision": "bf16"})
    assert fit(make_context(), plan)[0] != fit(make_context())[0]
