"""T02 `secagg-split-survivors`: different survivors to different cities, with c cities that sign whatever is wanted."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Final

import pytest

from protocols import messages
from protocols.entropy import seeded
from protocols.errors import ABORT_NUMBERS
from protocols.secagg import member
from protocols.secagg.plan import thresholds
from simulations.attacks import secagg_split_survivors
from simulations.attacks.parties import World
from tests.conversations.table import Table
from tests.disclosure.secagg_attack import Coordinator, answer, confirm_of, masked_table

SMALL: Final = range(3, 7)


def allowed(sizes: range) -> Iterator[tuple[int, int, int]]:
    """(n, c, d) for every c that a plan allows, at the most drop-outs that go with it."""
    for n in sizes:
        for c in range(n - 1):
            yield n, c, thresholds(n, c, n, 3, exact=False).d


def both_halves(
    table: Table,
    rctx: bytes,
    ids: tuple[int, ...],
    colluders: tuple[int, ...],
    side: frozenset[int],
    believed: int | None = None,
) -> tuple[set[int], set[int]]:
    """Honest cities of `side` are shown everyone, the others everyone but the last honest one. Who revealed, by set.

    `believed`: the guard taken out: a threshold that the cities would hold the confirms against, in the place of the plan's.
    """
    coordinator, t = Coordinator(table), believed or table.plan.threshold
    honest = [city for city in ids if city not in colluders]
    target = honest[-1]
    sets = {True: ids, False: tuple(city for city in ids if city != target)}
    confirms: dict[bool, dict[int, bytes]] = {
        which: {c: confirm_of(c, table, rctx, u3) for c in colluders} for which, u3 in sets.items()
    }
    states: dict[int, member.State] = {}
    for city in honest:
        which = city in side or city == target
        survivors = coordinator.says(city, messages.Survivors(rctx, sets[which]))
        masked = table.cities[city].state
        assert isinstance(masked, member.Masked)
        masked = replace(masked, talk=replace(masked.talk, plan=replace(table.plan, threshold=t)))
        states[city], sent = answer(table.cities[city], masked, survivors)
        if isinstance(coordinator.takes(city, sent), messages.Confirm):
            confirms[which][city] = sent[0][1]
    revealed: dict[bool, set[int]] = {True: set(), False: set()}
    for which, signed in confirms.items():
        listed = tuple(signed[city] for city in sorted(signed))
        for city in honest:
            if city in signed:
                content = coordinator.says(city, messages.Confirms(rctx, listed))
                body = coordinator.takes(city, answer(table.cities[city], states[city], content)[1])
                if isinstance(body, messages.Reveal):
                    revealed[which].add(city)
                    assert len(listed) >= t
                elif isinstance(body, messages.Abort):
                    assert body.code == ABORT_NUMBERS["SECAGG_TOO_FEW"]
    return revealed[True], revealed[False]


def held_against(n: int, c: int, d: int) -> None:
    """Every size of the side that sees everyone: never do both halves open."""
    ids = tuple(range(1, n + 1))
    table, _, _, rctx = masked_table(ids, colluders=c, dropouts=d)
    assert table.plan.dropouts == d
    for colluders in {ids[:c], ids[n - c :]}:
        honest = [city for city in ids if city not in colluders]
        opened = set()
        for size in range(len(honest)):
            one, other = both_halves(table, rctx, ids, colluders, frozenset(honest[:size]))
            assert not (one and other), (n, c, size)
            opened |= {bool(one), bool(other)}
        assert any(opened) or d == 0  # the attack is not empty: one half alone does open


@pytest.mark.parametrize(("n", "c", "d"), list(allowed(SMALL)))
def test_at_most_one_set_of_survivors_is_ever_opened(n: int, c: int, d: int) -> None:
    held_against(n, c, d)


@pytest.mark.slow  # 51 plans of up to twelve cities, half a minute
@pytest.mark.parametrize(("n", "c", "d"), list(allowed(range(7, 13))))
def test_at_most_one_set_of_survivors_of_many_cities_is_ever_opened(n: int, c: int, d: int) -> None:
    held_against(n, c, d)


def test_the_guard_taken_out_both_halves_open() -> None:
    """n = 6, c = 1, t = 3: 2t <= n + c. No honest city answers such a plan (`secagg-low-threshold`)."""
    ids = (1, 2, 3, 4, 5, 6)
    table, _, _, rctx = masked_table(ids)
    one, other = both_halves(table, rctx, ids, (1,), frozenset({2}), believed=3)
    assert one >= {2, 6}
    assert other == {3, 4, 5}


def test_the_attack_of_the_suite_is_repelled_and_its_control_broken() -> None:
    """Three and four cities here; `hpfed-simulate attack` plays every n to 12."""
    held = secagg_split_survivors.run(World(), seeded("split"), range(3, 5))
    (weaken,) = secagg_split_survivors.WEAKENED
    control = secagg_split_survivors.run(weaken(World()), seeded("split"), range(3, 5))
    assert held.held
    assert held.codes >= {"too_few"}
    assert not control.held
