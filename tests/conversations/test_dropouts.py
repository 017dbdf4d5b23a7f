"""Cities lost at any step, any number of them: the right sum over those who stayed, or no sum and no share. Both modes."""

import itertools
from collections.abc import Collection, Iterator, Mapping
from math import comb
from typing import Final

import numpy as np
import pytest

from protocols import messages
from protocols.messages import Kind, Outgoing
from protocols.secagg import collector
from protocols.secagg.plan import EXACT, STEPS, shares_to_open
from protocols.secagg.transcript import verify
from tests.conversations.table import ROOT_KEY, Table, lost_at, nobody, table_of

SIZES: Final = range(3, 7)
LARGER: Final = range(7, 13)
VECTORS: Final = {
    n: comb(n + len(STEPS), len(STEPS)) for n in range(3, 13)
}  # how often each step can lose how many, at most n together
Loss = Mapping[str, Collection[int]]
Counts = tuple[int, ...]


def chosen(n: int, lost: int) -> set[tuple[int, ...]]:
    """`lost` of the cities 1 .. n: the lowest ids, the highest, and spread ones."""
    spread = tuple(sorted({1 + at * n // lost for at in range(lost)})) if lost else ()
    return {tuple(range(1, lost + 1)), tuple(range(n - lost + 1, n + 1)), spread}


def one_step(n: int, step: str) -> Iterator[Loss]:
    """Each number lost at a step x which ids."""
    for lost in range(n + 1):
        for ids in sorted(chosen(n, lost)):
            yield {step: ids}


def every_step(n: int, before: Counts = ()) -> Iterator[Counts]:
    """Every vector of counts over the steps that begins like this."""
    if len(before) == len(STEPS):
        yield before
        return
    for count in range(n - sum(before) + 1):
        yield from every_step(n, (*before, count))


def losses_of(counts: Counts) -> Loss:
    """So many of the cities 1, 2, ... lost at each step in turn."""
    ids = itertools.count(1)
    return {step: tuple(next(ids) for _ in range(count)) for step, count in zip(STEPS, counts, strict=True)}


def seated(n: int, *, exact: bool) -> Table:
    """n cities, of which as many may be lost as any plan allows."""
    return table_of(range(1, n + 1), exact=exact, dropouts=n)


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


def played(table: Table, out: Outgoing, losses: Loss) -> None:
    """Play a conversation to its end from where it stands, and hold it against what is expected."""
    while out:
        out = table.exchange(out, lost_at(losses))
    judged(table, losses)


def judged(table: Table, losses: Loss) -> None:
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


def at_one_step(n: int, *, exact: bool) -> None:
    """Everything that may be lost at one step, each from the same conversation as it stood before that step."""
    table = seated(n, exact=exact)
    out = table.start()
    for step in STEPS:
        for losses in one_step(n, step):
            played(table.branch(), out, losses)
        out = table.exchange(out, nobody)


def at_every_step(table: Table, out: Outgoing, before: Counts = ()) -> int:
    """Every vector of counts that begins like `before`, as a tree: what vectors have in common is played once. How many vectors.

    Where the conversation is over, every vector that goes on from there has the same run.
    """
    if len(before) == len(STEPS) or not isinstance(table.state, collector.Open):
        vectors = [losses_of(counts) for counts in every_step(len(table.plan.cities), before=before)]
        played(table, out, vectors[0])
        assert all(expected(table, losses) is None for losses in vectors[1:])
        return len(vectors)
    runs = 0
    for count in range(len(table.plan.cities) - sum(before) + 1):
        branch, lost = table.branch(), sum(before) + count
        following = branch.exchange(out, lambda city, _kind, _round, lost=lost: city <= lost)  # type: ignore[misc]  # bound here
        runs += at_every_step(branch, following, (*before, count))
    return runs


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
def test_any_number_of_cities_lost_at_one_step(n: int, exact: bool) -> None:
    at_one_step(n, exact=exact)


@pytest.mark.parametrize("exact", [False, True], ids=["dp", "exact"])
@pytest.mark.parametrize("n", SIZES)
def test_any_number_of_cities_lost_at_each_step(n: int, exact: bool) -> None:
    table = seated(n, exact=exact)
    assert at_every_step(table, table.start()) == VECTORS[n]


@pytest.mark.slow  # some 1,700 conversations, 40 s
@pytest.mark.parametrize("exact", [False, True], ids=["dp", "exact"])
@pytest.mark.parametrize("n", LARGER)
def test_any_number_of_many_cities_lost_at_one_step(n: int, exact: bool) -> None:
    at_one_step(n, exact=exact)


@pytest.mark.slow  # 17,640 vectors in each mode, played as trees, a minute
@pytest.mark.parametrize("exact", [False, True], ids=["dp", "exact"])
@pytest.mark.parametrize("n", LARGER)
def test_any_number_of_many_cities_lost_at_each_step(n: int, exact: bool) -> None:
    table = seated(n, exact=exact)
    assert at_every_step(table, table.start()) == VECTORS[n]


def test_the_number_of_cases_is_that_of_the_specification() -> None:
    assert sum(VECTORS.values()) == 18_536
    assert sum(len(STEPS) * (n + 1) for n in range(3, 13)) * 3 == 1_275
    assert {n: sum(1 for _ in every_step(n)) for n in SIZES} == {n: VECTORS[n] for n in SIZES}


def test_a_conversation_that_was_played_alone_ends_like_its_branch_of_the_tree() -> None:
    for losses in ({"masked": (2,)}, {"shares": (1,), "reveal": (6,)}):
        alone = seated(6, exact=False)
        played(alone, alone.start(), losses)
        assert isinstance(alone.state, collector.Summed)


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
