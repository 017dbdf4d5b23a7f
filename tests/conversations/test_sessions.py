"""Sessions of several rounds: every round has keys of its own, a city may be lost in one and back in the next, and set-up is paid once."""

from collections.abc import Iterator
from itertools import product
from typing import Final

import numpy as np
import pytest

from protocols import messages
from protocols.errors import IncompleteError
from protocols.messages import Kind
from protocols.secagg import collector, keys
from protocols.secagg.transcript import verify
from tests.conversations.line import Line, begun, questions
from tests.conversations.table import ROOT_KEY, Table, table_of
from tests.conversations.test_dropouts import no_share_leaves_early

IDS: Final = (1, 2, 3, 4, 5, 6)  # c = d = 1, t = 5
ROUNDS: Final = 4
PATTERNS: Final = tuple(product((0, 1, 3, 6), repeat=ROUNDS))  # who is lost in each round; 0: nobody


def expected(pattern: tuple[int, ...]) -> Iterator[set[int] | None]:
    """The cities in each round's sum, or None; written from section 12. Who never got Deliver has no keys and stays lost."""
    without = {pattern[0]}
    for lost in pattern:
        left = set(IDS) - without - {lost}
        yield left if len(left) >= 5 else None


def played(pattern: tuple[int, ...]) -> Table:
    """Lost where its vector is awaited, in each round."""
    table, found = table_of(IDS, rounds=ROUNDS, lengths=3), list[collector.State]()
    line = Line(table, lambda city, kind, round_: kind in (Kind.DELIVER, Kind.ASK) and city == pattern[round_])
    talk = begun(line)
    found.append(talk.play())
    for question in questions(line, ROUNDS)[1:]:
        if isinstance(talk.state, collector.Summed | collector.RoundLost):
            found.append(talk.ask(question))
    for number, (state, cities) in enumerate(zip(found, expected(pattern), strict=False)):
        if cities is None:
            assert isinstance(state, collector.RoundLost), (pattern, number)
            continue
        assert isinstance(state, collector.Summed), (pattern, number)
        assert set(state.u3) == cities, (pattern, number)
        assert np.array_equal(state.total, table.plain(cities, number))
    assert len(found) == ROUNDS
    table.wire = [(sender, 0, content) for sender, content in line.wire]
    return table


@pytest.mark.parametrize("first", [0, 1, 3, 6])
def test_in_each_round_nobody_or_one_of_three_cities_is_lost(first: int) -> None:
    for pattern in PATTERNS[::15]:
        if pattern[0] == first:
            played(pattern)


@pytest.mark.slow  # 256 patterns, half a minute; the test above plays 18 of them
def test_all_patterns_of_lost_cities() -> None:
    assert len(PATTERNS) == 4**4
    for pattern in PATTERNS:
        played(pattern)


def test_every_round_opens_secrets_of_its_own_and_of_each_city_only_one() -> None:
    """Over all rounds: of a city in a round either b or s is opened, never both, and no key is used for two vectors."""
    table = played((0, 3, 6, 3))
    roles, rctxs = dict[tuple[bytes, int], set[str]](), set[bytes]()
    for sender, _, content in table.wire:
        kind = messages.peek(content).kind
        if kind is Kind.MASKED:
            rctxs.add(messages.Masked.decode(messages.body_of(content)).rctx)
        if kind is Kind.REVEAL and sender:
            reveal = messages.Reveal.decode(messages.body_of(content))
            for role, listed in (("b", reveal.b_shares), ("s", reveal.s_shares)):
                for city, _ in listed:
                    roles.setdefault((reveal.rctx, city), set()).add(role)
    assert len(rctxs) == ROUNDS
    assert len(roles) == ROUNDS * len(IDS)
    assert all(len(each) == 1 for each in roles.values())
    assert {city for (_, city), each in roles.items() if each == {"s"}} == {3, 6}
    assert len({keys.self_key(b"b" * 32, rctx, 1) for rctx in rctxs}) == ROUNDS


def test_the_transcript_of_each_round_stands_alone() -> None:
    line = Line(table_of(IDS, rounds=2))
    talk = begun(line)
    for found in talk.sums(*questions(line, 2)):
        verify(talk.transcript(), ROOT_KEY, found.total)
    no_share_leaves_early_in_any(line)


def no_share_leaves_early_in_any(line: Line) -> None:
    """The rule of one round, for each round of a session."""
    for number in range(line.table.plan.rounds):
        table = table_of(IDS, rounds=2)
        table.wire = [(who, 0, content) for who, content in line.wire if messages.peek(content).round == number]
        no_share_leaves_early(table)


def test_a_lost_round_is_asked_again_until_no_round_is_left() -> None:
    line = Line(table_of(IDS, rounds=3), lambda city, kind, round_: kind is Kind.CONFIRMS and city < 3 and round_ != 1)
    talk, asked = begun(line), questions(line, 2)
    with pytest.raises(IncompleteError) as few:
        list(talk.sums(*asked))
    assert few.value.code == "SECAGG_ROUND_LOST"
    assert [each.turn.round for each in talk.done] == [1]
    assert isinstance(talk.state, collector.Closed)
    with pytest.raises(IncompleteError):  # and nothing more comes of it
        list(talk.sums(*asked))


def test_set_up_of_twenty_rounds_among_thirty_cities_is_at_most_45_kib_up() -> None:
    table = table_of(tuple(range(1, 31)), rounds=20, colluders=2, dropouts=3)
    out = table.start()
    while messages.peek(out[0][1]).kind is not Kind.DELIVER:
        out = table.exchange(out, lambda *_: False)
    up = len(table.sent(Kind.ADVERT, 1)[0]) + len(table.sent(Kind.SHARES, 1)[0])
    assert up == 64 + 64 * 20 + 34 + 29 * (20 + 66 * 20) + sum(len(content) for content in headers(table))
    assert up <= 45 * 1024


def headers(table: Table) -> Iterator[bytes]:
    """What stands around the two bodies."""
    for kind in (Kind.ADVERT, Kind.SHARES):
        content = table.sent(kind, 1)[0]
        yield content[: len(content) - len(messages.body_of(content))]
