"""The training loop: resuming, seeds, batches in parts, and teams of processes that share them."""

import threading

import pytest
import torch
from fits import MemoryCheckpoint, make_context
from torch import nn

from adbench.errors import MethodError
from adbench.methods.settings import HeldOutSettings, OptimiserSettings
from adbench.methods.training import (
    MAX_HELD_OUT,
    StageCheckpoint,
    accumulate_gradients,
    batch_indices,
    held_out_split,
    rate_factor,
    seeded,
    train,
)

DATA = torch.linspace(-1, 1, 24)[:, None]
OWN = OptimiserSettings(batch_size=7, learning_rate=1e-2)


def make_network(context):
    with seeded(context, "network"):
        return nn.Sequential(nn.Linear(1, 8), nn.Tanh(), nn.Linear(8, 1))


def noisy_loss(network):
    def loss(indices, generator):
        x = DATA[indices] + 0.1 * torch.randn(len(indices), 1, generator=generator)
        return (network(x) - DATA[indices] ** 2).square().mean()

    return loss


def fit(context, loss=None, network=None, own=OWN, steps=25, ema_decay=0.99):
    network = network or make_network(context)
    loss = loss or noisy_loss(network)
    own = own.model_copy(update={"ema_decay": ema_decay})
    losses = train(network, loss, len(DATA), own, steps, context)
    return losses, torch.cat([p.flatten() for p in network.state_dict().values()])


def test_averaged_weights_come_with_what_batch_normalisation_counted():
    network = nn.Sequential(nn.BatchNorm1d(1), nn.Linear(1, 1))
    data = 5 + torch.arange(24.0)[:, None]
    train(network, lambda indices, _: network(data[indices]).square().mean(), 24, OWN.model_copy(
        update={"ema_decay": 0.9}), 25, make_context())  # fmt: skip
    assert network.get_buffer("0.running_mean") > 5


@pytest.mark.parametrize("ema_decay", [0.99, 0.0])
@pytest.mark.parametrize("killed_at", [1, 13, 24])
def test_a_killed_run_resumes_bit_for_bit(ema_decay, killed_at):
    losses, weights = fit(make_context(), ema_decay=ema_decay)
    checkpoint = MemoryCheckpoint(due=True, dies_at=killed_at)
    with pytest.raises(InterruptedError):
        fit(make_context(checkpoint=checkpoint), ema_decay=ema_decay)
    resumed_losses, resumed_weights = fit(make_context(checkpoint=checkpoint), ema_decay=ema_decay)
    assert resumed_losses == losses and len(losses) == 25
    assert torch.equal(resumed_weights, weights)


def test_seed_decides_everything_and_global_state_nothing():
    first = fit(make_context())
    torch.manual_seed(77)
    before = torch.get_rng_state()
    assert torch.equal(fit(make_context())[1], first[1])
    assert torch.equal(torch.get_rng_state(), before)
    assert not torch.equal(fit(make_context(seed=1))[1], first[1])


def test_a_loss_that_is_not_finite_says_where_and_what_to_try():
    def loss(indices, generator):
        return weight.sum() * (float("nan") if next(steps) == 3 else 1.0)

    weight, steps = nn.Parameter(torch.zeros(2)), iter(range(100))
    checkpoint = MemoryCheckpoint(due=True)
    with pytest.raises(MethodError, match=r"loss is nan at step 3 of 25.*learning rate"):
        fit(make_context(checkpoint=checkpoint), loss=loss)
    assert checkpoint.state is not None and checkpoint.state["step"] == 3


def test_progress_reports_the_loss():
    calls = []
    fit(make_context(progress=lambda *args, **numbers: calls.append((args, numbers))))
    assert calls[-1][0] == ("training", 25, 25) and "loss" in calls[-1][1]


def test_each_epoch_sees_each_image_once():
    context = make_context()
    batches = [batch_indices(step, 10, 4, context) for step in range(5)]
    assert all(len(batch) == 4 for batch in batches)
    epochs = torch.cat(batches).view(2, 10)
    assert torch.equal(epochs.sort(1).values, torch.arange(10).expand(2, 10))
    assert not torch.equal(epochs[0], epochs[1])
    assert len(batch_indices(0, 3, 8, context)) == 8


def test_held_out_images_are_apart_and_never_all():
    for count in (1, 2, 7, 1000):
        own = HeldOutSettings(held_out_fraction=0.5)
        held_out, seen = held_out_split(count, own, make_context())
        assert sorted([*held_out.tolist(), *seen.tolist()]) == list(range(count))
        wanted = -(-count // 2)
        assert len(held_out) == min(wanted, count // 2, MAX_HELD_OUT)


def test_a_later_stage_writes_again_what_earlier_ones_finished():
    checkpoint = MemoryCheckpoint(due=True)
    stage = StageCheckpoint(checkpoint, "second", {"step": 1}, {"first": {"weights": 7}})
    assert stage.load() == {"step": 1} and stage.load() is None
    stage.save({"step": 2})
    assert checkpoint.state == {"first": {"weights": 7}, "second": {"step": 2}}
    # The harness is asked once, by the method: each reading counts as a resume.
    assert stage.due() and checkpoint.loads == 0


# -------------------------------------------------------------------------- parts and teams


TEAM = {"own": OptimiserSettings(
    batch_size=7, learning_rate=1e-2, learning_rate_drop=1, weight_decay=1e-2
), "steps": 12, "ema_decay": 0.9}  # fmt: skip


class Room:
    """Where the threads of a test meet and add up what they brought."""

    def __init__(self, size):
        self.barrier, self.brought = threading.Barrier(size, timeout=60), {}

    def member(self, rank):
        return Member(self, rank)


class Member:
    def __init__(self, room, rank):
        self.room, self.rank, self.size = room, rank, room.barrier.parties

    def sum(self, tensor):
        self.room.brought[self.rank] = tensor.clone()
        self.room.barrier.wait()
        tensor.copy_(sum(self.room.brought[r] for r in range(self.size)))
        self.room.barrier.wait()


def fit_as_a_team(size, parts):
    room, results = Room(size), {}
    # Threads share the global generator that initialises networks; processes do not.
    networks = [make_network(make_context()) for _ in range(size)]

    def member(rank):
        context = make_context(team=room.member(rank), batch_parts=parts)
        results[rank] = fit(context, network=networks[rank], **TEAM)

    run_all(member, size)
    return results


def run_all(member, size):
    threads = [threading.Thread(target=member, args=(rank,)) for rank in range(size)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)


def test_one_part_is_the_plain_step():
    context = make_context()
    ours, plain = make_network(context), make_network(context)
    indices = torch.arange(7)
    value = accumulate_gradients(noisy_loss(ours), ours, indices, 3, context)
    expected = noisy_loss(plain)(indices, context.generator("train", 3))
    expected.backward()
    assert torch.equal(value, expected.detach())
    for a, b in zip(ours.parameters(), plain.parameters(), strict=True):
        assert torch.equal(a.grad, b.grad)


@pytest.mark.parametrize("parts", [2, 3, 7, 100])
def test_parts_give_the_gradient_of_the_whole_batch(parts):
    whole, split = make_network(make_context()), make_network(make_context())
    indices = torch.randperm(len(DATA))[:7]

    def noiseless(network):
        return lambda i, _: (network(DATA[i]) - DATA[i] ** 2).square().mean()

    values = [
        accumulate_gradients(noiseless(network), network, indices, 0, make_context(batch_parts=p))
        for network, p in ((whole, 1), (split, parts))
    ]
    torch.testing.assert_close(values[1], values[0])
    for a, b in zip(split.parameters(), whole.parameters(), strict=True):
        torch.testing.assert_close(a.grad, b.grad)


def test_each_part_draws_its_own_numbers():
    context, drawn = make_context(batch_parts=3), []

    def loss(indices, generator):
        drawn.append(torch.randn(1, generator=generator).item())
        return weight.sum()

    weight = nn.Parameter(torch.zeros(2))
    accumulate_gradients(loss, nn.ParameterList([weight]), torch.arange(6), 0, context)
    accumulate_gradients(loss, nn.ParameterList([weight]), torch.arange(6), 1, context)
    assert len(set(drawn)) == 6


@pytest.mark.parametrize(("size", "parts"), [(2, 2), (3, 3), (2, 4), (3, 5)])
def test_a_team_trains_the_network_that_one_process_trains(size, parts):
    losses, weights = fit(make_context(batch_parts=parts), **TEAM)
    team = fit_as_a_team(size, parts)
    assert len(team) == size
    for own_losses, own_weights in team.values():
        assert own_losses == pytest.approx(losses, rel=1e-5)
        torch.testing.assert_close(own_weights, weights, rtol=1e-4, atol=1e-6)
        assert torch.equal(own_weights, team[0][1])  # members never drift apart


def test_members_agree_on_what_batch_normalisation_counted():
    room, counted = Room(2), {}

    def member(rank):
        norm = nn.BatchNorm1d(4)
        network = nn.Sequential(nn.Linear(1, 4), norm, nn.Linear(4, 1))
        with torch.no_grad():
            for parameter in network.parameters():
                parameter.fill_(0.5)
        context = make_context(team=room.member(rank), batch_parts=2)
        accumulate_gradients(
            lambda i, _: network(DATA[i]).square().mean(), network, torch.arange(8), 0, context
        )
        assert norm.running_mean is not None
        counted[rank] = norm.running_mean

    run_all(member, 2)
    assert torch.equal(counted[0], counted[1])
    expected = 0.1 * (0.5 * DATA[:8].mean() + 0.5)  # momentum times the mean over both parts
    torch.testing.assert_close(counted[0], expected.expand(4))


def test_a_parameter_that_nobody_used_keeps_no_gradient():
    used, rare, idle = (nn.Parameter(torch.ones(2)) for _ in range(3))
    room, gradients = Room(2), {}

    def member(rank):
        own = [nn.Parameter(p.detach().clone()) for p in (used, rare, idle)]

        def loss(indices, generator):
            return own[0].sum() + (own[1].sum() if rank else 0)

        context = make_context(team=room.member(rank), batch_parts=2)
        accumulate_gradients(loss, nn.ParameterList(own), torch.arange(4), 0, context)
        gradients[rank] = [None if p.grad is None else p.grad.tolist() for p in own]

    run_all(member, 2)
    assert gradients[0] == gradients[1] == [[1.0, 1.0], [0.5, 0.5], None]


def test_the_rate_warms_up_and_falls():
    cosine = OptimiserSettings(warmup_steps=3, decay="cosine")
    assert [rate_factor(cosine, step, 100) for step in (0, 1, 3)] == pytest.approx(
        [0.25, 0.5 * 0.99975, 0.99778], abs=1e-4
    )
    assert rate_factor(cosine, 50, 100) == pytest.approx(0.5)
    assert 0 < rate_factor(cosine, 99, 100) < 1e-3
    step = OptimiserSettings(learning_rate_drop=0.8)
    assert [rate_factor(step, s, 10) for s in (0, 7, 8, 9)] == [1, 1, 0.1, 0.1]


@pytest.mark.parametrize("ema_decay", [0.99, 0.0])
def test_snapshots_are_the_training_cut_short_and_leave_it_as_it_is(ema_decay):
    kept = {}

    def snapshot(step, num_steps, finish):
        assert num_steps == 25
        kept[step] = finish()
        torch.rand(3)  # and whatever else somebody does meanwhile

    def finish(network, step):
        assert not network.training and not any(p.requires_grad for p in network.parameters())
        return torch.cat([p.flatten() for p in network.state_dict().values()])

    def run(steps, **more):
        context = make_context(**more)
        network = make_network(context)
        own = OWN.model_copy(update={"ema_decay": ema_decay, "learning_rate_drop": 1.0})
        losses = train(network, noisy_loss(network), len(DATA), own, steps, context, finish)
        return losses, finish(network, steps)

    losses, weights = run(25)
    snapped_losses, snapped_weights = run(25, snapshot=snapshot)
    assert snapped_losses == losses and torch.equal(snapped_weights, weights)
    assert sorted(kept) == list(range(1, 25))
    for step in (1, 10, 24):  # at a constant rate, a shorter training
        assert torch.equal(kept[step], run(step)[1])


@pytest.mark.parametrize(("images", "held_out"), [(0, 0), (1, 0), (31, 2), (32, 16), (500, 25)])
def test_a_small_share_is_raised_to_what_skill_needs_where_enough_remain(images, held_out):
    own = HeldOutSettings(held_out_fraction=0.05)
    assert len(held_out_split(images, own, make_context())[0]) == held_out
    assert len(held_out_split(images, HeldOutSettings(), make_context())[0]) == 0
