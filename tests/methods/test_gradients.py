"""Batches in parts, and teams of processes that share them."""

import threading

import pytest
import torch
from torch import nn

from adbench.methods.gradients import accumulate_gradients
from adbench.methods.training import TrainingPlan, seeded, train

DATA = torch.linspace(-1, 1, 24)[:, None]
PLAN = TrainingPlan(
    steps=12, batch_size=7, learning_rate=1e-2, weight_decay=1e-2, gradient_clip=1.0, ema_decay=0.9
)


def make_network(context):
    with seeded(context, "network"):
        return nn.Sequential(nn.Linear(1, 8), nn.Tanh(), nn.Linear(8, 1))


def noisy_loss(network):
    def loss(indices, generator):
        x = DATA[indices] + 0.1 * torch.randn(len(indices), 1, generator=generator)
        return (network(x) - DATA[indices] ** 2).square().mean()

    return loss


def fit(context, network=None):
    network = network or make_network(context)
    losses = train(network, noisy_loss(network), len(DATA), PLAN, context)
    return losses, torch.cat([p.flatten() for p in network.parameters()])


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


def fit_as_a_team(make_context, size, parts):
    room, results = Room(size), {}
    # Threads share the global generator that initialises networks; processes do not.
    networks = [make_network(make_context()) for _ in range(size)]

    def member(rank):
        context = make_context(team=room.member(rank), batch_parts=parts)
        results[rank] = fit(context, networks[rank])

    run_all(member, size)
    return results


def run_all(member, size):
    threads = [threading.Thread(target=member, args=(rank,)) for rank in range(size)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)


def test_one_part_is_the_plain_step(make_context):
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
def test_parts_give_the_gradient_of_the_whole_batch(make_context, parts):
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


def test_each_part_draws_its_own_numbers(make_context):
    context, drawn = make_context(batch_parts=3), []

    def loss(indices, generator):
        drawn.append(torch.randn(1, generator=generator).item())
        return weight.sum()

    weight = nn.Parameter(torch.zeros(2))
    accumulate_gradients(loss, nn.ParameterList([weight]), torch.arange(6), 0, context)
    accumulate_gradients(loss, nn.ParameterList([weight]), torch.arange(6), 1, context)
    assert len(set(drawn)) == 6


@pytest.mark.parametrize(("size", "parts"), [(2, 2), (3, 3), (2, 4), (3, 5)])
def test_a_team_trains_the_network_that_one_process_trains(make_context, size, parts):
    losses, weights = fit(make_context(batch_parts=parts))
    team = fit_as_a_team(make_context, size, parts)
    assert len(team) == size
    for own_losses, own_weights in team.values():
        assert own_losses == pytest.approx(losses, rel=1e-5)
        torch.testing.assert_close(own_weights, weights, rtol=1e-4, atol=1e-6)
        assert torch.equal(own_weights, team[0][1])  # members never drift apart


def test_members_agree_on_what_batch_normalisation_counted(make_context):
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


def test_a_parameter_that_nobody_used_keeps_no_gradient(make_context):
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
