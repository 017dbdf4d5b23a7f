"""Cities lost at any step, any number of them: the right sum over those who stayed, or no sum and no share. Both modes."""

from collections.abc import Collection, Iterator, Mapping
from typing import Final

import numpy as np
import pytest

from protocols import messages
from protocols.messages import Kind
from protocols.secagg import collector
from protocols.secagg.plan import EXACT, STEPS, shares_to_open
from protocols.secagg.transcript import verify
from tests.conversations.table import ROOT_KEY, Table, lost_at, table_of

SIZES: Final = range(3, 7)
LARGER: Final = range(7, 13)
Loss = Mapping[str, Collection[int]]


def chosen(n: int, lost: int) -> set[tuple[int, ...]]:
    """`lost` of the cities 1 .. n: the lowest ids, the highest, and spread ones."""
    spread = tuple(sorted({1 + at * n // lost for at in range(lost)})) if lost else ()
    return {tuple(range(1, lost + 1)), tuple(range(n - lost + 1, n + 1)), spread}


def one_step(sizes: range) -> Iterator[tuple[int, Loss]]:
    """Each step x each number lost x which ids."""
    for n in sizes:
        for step in STEPS:
            for lost in range(n + 1):
                for ids in sorted(chosen(n, lost)):
                    yield n, {step: ids}


def every_step(sizes: range) -> Iterator[tuple[int, Loss]]:
    """Every vector of counts over the five steps."""
    for n in sizes:
        for counts in _counts(n, len(STEPS)):
            ids = iter(range(1, n + 1))
            yield n, {step: tuple(next(ids) for _ in range(count)) for step, count in zip(STEPS, counts, strict=True)}


def _counts(n: int, parts: int) -> Iterator[tuple[int, ...]]:
    if not parts:
        yield ()
        return
    for first in range(n + 1):
        for others in _counts(n - first, parts - 1):
            yield first, *others


def expected(table: Table, losses: Loss) -> set[int] | None:
    """U3, if enough stay at every step; None for no sum. Written here from the table of section 2 alone."""
    left, u3 = set(table.plan.cities), set[int]()
    for step in STEPS:
        left -= set(losses.get(step, ()))
        if len(left) < (shares_to_open(table.plan) if step == "reveal" else table.plan.threshold):
            return None
        if step == "masked":
            u3 = set(left)
    return u3


def played(n: int, losses: Loss, *, exact: bool) -> None:
    """Play one conversation and hold it against what is expected."""
    table = table_of(range(1, n + 1), exact=exact)
    table.run(lost_at(losses))
    survivors, state = expected(table, losses), table.state
    if survivors is None:
        assert isinstance(state, collector.RoundLost | collector.Failed), losses
        assert state.came < state.needed
    else:
        assert isinstance(state, collector.Summed), losses
        assert set(state.u3) == survivors
        assert np.array_equal(state.total, table.plain(survivors))
        verify(collector.transcript(state, table.recall), ROOT_KEY, state.total)
        assert collector.missing(state).keys() == set(table.plan.cities) - survivors
    no_share_leaves_early(table)


def no_share_leaves_early(table: Table) -> None:
    """Every share on the wire follows t signed Confirms of one U3; in mode exact n of them, and no share of an s ever."""
    confirms, sets = set[int](), set[bytes]()
    for sender, _, content in table.wire:
        kind = messages.peek(content).kind
        if kind is Kind.CONFIRM:
            confirms.add(sender)
            sets.add(messages.Confirm.decode(messages.body_of(content)).u3_digest)
        if kind is Kind.REVEAL:
            reveal = messages.Reveal.decode(messages.body_of(content))
            assert len(confirms) >= table.plan.threshold
            assert len(sets) == 1
            assert not {city for city, _ in reveal.b_shares} & {city for city, _ in reveal.s_shares}
            if table.plan.mode == EXACT:
                assert not reveal.s_shares
                assert len(confirms) == len(table.plan.cities)


@pytest.mark.parametrize("exact", [False, True], ids=["dp", "exact"])
@pytest.mark.parametrize("n", SIZES)
@pytest.mark.parametrize("step", STEPS)
def test_any_number_of_cities_lost_at_one_step(n: int, step: str, exact: bool) -> None:
    for size, losses in one_step(range(n, n + 1)):
        if step in losses:
            played(size, losses, exact=exact)


@pytest.mark.parametrize("exact", [False, True], ids=["dp", "exact"])
def test_any_number_of_three_cities_lost_at_each_step(exact: bool) -> None:
    for size, losses in every_step(range(3, 4)):
        played(size, losses, exact=exact)


@pytest.mark.slow  # some 1,700 conversations, about two minutes
@pytest.mark.parametrize("exact", [False, True], ids=["dp", "exact"])
@pytest.mark.parametrize("n", LARGER)
def test_any_number_of_many_cities_lost_at_one_step(n: int, exact: bool) -> None:
    for size, losses in one_step(range(n, n + 1)):
        played(size, losses, exact=exact)


@pytest.mark.slow  # 18,536 conversations in each mode, about two hours
@pytest.mark.parametrize("exact", [False, True], ids=["dp", "exact"])
@pytest.mark.parametrize("n", range(3, 13))
def test_any_number_of_many_cities_lost_at_each_step(n: int, exact: bool) -> None:
    for size, losses in every_step(range(n, n + 1)):
        played(size, losses, exact=exact)


def test_the_number_of_cases_is_that_of_the_specification() -> None:
    assert sum(1 for _ in every_step(range(3, 13))) == 18_536
    assert sum(len(STEPS) * (n + 1) for n in range(3, 13)) * 3 == 1_275


@pytest.mark.parametrize("ids", [(1, 2, 4_294_967_295), (7, 300, 65_536, 2**31, 2**32 - 2)])
def test_ids_of_any_size_take_part(ids: tuple[int, ...]) -> None:
    table = table_of(ids)
    table.run(lost_at({"masked": ids[3:4]}))
    assert np.array_equal(table.total, table.plain(ids if len(ids) == 3 else (*ids[:3], ids[4])))


@pytest.mark.parametrize("bits", [32, 64])
@pytest.mark.parametrize("cells", [1, 16_385])
def test_both_rings_and_long_vectors(bits: int, cells: int) -> None:
    table = table_of((1, 2, 3, 4), lengths=cells, bits=bits)
    assert table.plan.ring == bits
    table.run(lost_at({"masked": (2,)}))
    assert np.array_equal(table.total, table.plain((1, 3, 4)))
