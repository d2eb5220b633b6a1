"""How tickets are grouped for engines with jobs of their own."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from adbench.executors.attempt import Ticket
from adbench.executors.shares import MOST_CELLS, SHORT_SECONDS, make_shares

tickets = st.lists(
    st.tuples(st.integers(0, 30), st.sampled_from([0.0, 10.0, 100.0, 400.0])), max_size=120
).map(lambda rows: [Ticket(i, f"k{i}", f"f{f}", estimate=e) for i, (f, e) in enumerate(rows)])


@given(tickets, st.integers(1, 40))
def test_every_ticket_is_in_one_share(given_tickets: list[Ticket], workers: int) -> None:
    shares = make_shares(given_tickets, workers)
    assert sorted(t.index for s in shares for t in s) == [t.index for t in given_tickets]
    assert all(shares)


@given(tickets, st.integers(1, 40))
def test_cells_of_one_fit_stay_together(given_tickets: list[Ticket], workers: int) -> None:
    where: dict[str, set[int]] = {}
    for number, share in enumerate(make_shares(given_tickets, workers)):
        for ticket in share:
            where.setdefault(ticket.fit, set()).add(number)
    assert all(len(numbers) == 1 for numbers in where.values())


def _alone(count: int, estimate: float) -> list[Ticket]:
    return [Ticket(i, f"k{i}", f"f{i}", estimate=estimate) for i in range(count)]


def test_a_long_cell_has_a_job_for_itself() -> None:
    assert [len(s) for s in make_shares(_alone(3, SHORT_SECONDS), 1)] == [1, 1, 1]


def test_short_cells_are_spread_over_the_workers() -> None:
    assert [len(s) for s in make_shares(_alone(10, 0.0), 4)] == [3, 3, 3, 1]
    assert {len(s) for s in make_shares(_alone(1000, 0.0), 2)} == {MOST_CELLS, 1000 % MOST_CELLS}
    assert [len(s) for s in make_shares(_alone(10, 100.0), 1)] == [3, 3, 3, 1]
