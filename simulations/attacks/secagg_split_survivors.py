"""T02: different cities are shown different survivors, with c cities that sign whatever is wanted. Every n = 3..12, every c allowed."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Final

from protocols.entropy import Entropy
from protocols.messages import Kind
from protocols.secagg.plan import thresholds
from simulations.attacks.doubles import believing
from simulations.attacks.liar import Liar, confirm_of
from simulations.attacks.outcome import Outcome
from simulations.attacks.parties import Sitting, Weaken, World, seated

THREAT: Final = "T02"
WHAT: Final = {"zh": "向不同城市出示不同的幸存名单", "en": "different survivors shown to different cities"}
HOLDS: Final = {"zh": "协调方的密钥，以及 c 个城市的密钥", "en": "the coordinator's key and those of c cities"}
WEAKENED: Final[tuple[Weaken, ...]] = (lambda world: replace(world, step=believing(2)),)  # F3: t signatures on one list
SIZES: Final = range(3, 13)


def allowed(sizes: Sequence[int]) -> Iterator[tuple[int, int, int]]:
    """(n, c, d) for every c that a plan allows, at the most drop-outs that go with it."""
    for n in sizes:
        for c in range(n - 1):
            yield n, c, thresholds(n, c, n, 3, exact=False).d


def run(world: World, entropy: Entropy, sizes: Sequence[int] = SIZES) -> Outcome:
    """How often both sets were revealed for. The lowest cities collude, or the highest, in turn; each side has every size.

    One set at least is revealed for where a drop-out is allowed, so that the attack is not empty.
    """
    both, codes = 0, set[str]()
    for n, c, d in allowed(sizes):
        table, opened = seated(world, entropy, n, colluders=c, dropouts=d, cells=1), False
        table.until(Kind.SURVIVORS)
        colluders = table.ids[:c] if (n + c) % 2 else table.ids[n - c :]
        honest = [city for city in table.ids if city not in colluders]
        for size in range(len(honest)):
            one, other, said = halves(table, colluders, honest, size)
            both += bool(one and other)
            opened |= bool(one or other)
            codes |= said
        assert opened or not d, (n, c, d)  # noqa: S101 t of all sign it
    return Outcome(both, 0, "sets", codes=frozenset(codes))


def halves(
    table: Sitting, colluders: Sequence[int], honest: Sequence[int], size: int
) -> tuple[list[int], list[int], set[str]]:
    """The first `size` honest cities and the last one are shown everyone; the others everyone but the last. Who revealed for either set.

    The cities are put back to where they were, so that every split meets the same conversation.
    """
    liar, target, before = Liar(table), honest[-1], {city: seat.state for city, seat in table.seats.items()}
    sides = ([*honest[:size], target], list(honest[size:-1]))
    sets = (table.ids, tuple(city for city in table.ids if city != target))
    revealed = []
    for side, u3 in zip(sides, sets, strict=True):
        signed = {c: confirm_of(table, c, table.rctx, u3) for c in colluders}
        signed |= liar.survivors(u3, side, table.rctx)
        revealed.append(liar.confirms(signed, [city for city in side if city in signed], table.rctx))
    for city, seat in table.seats.items():
        seat.state = before[city]
    return revealed[0], revealed[1], liar.codes
