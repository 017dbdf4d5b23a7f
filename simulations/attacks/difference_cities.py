"""T15: exact sums over sets of cities that differ by one: two studies, three sets, a retry, a city cut off midway."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from protocols.entropy import Entropy
from protocols.errors import HpfedError
from protocols.messages import Kind
from protocols.plan import agree
from protocols.ring import Vector
from simulations.attacks.doubles import ForgetfulGate, as_double
from simulations.attacks.liar import Liar
from simulations.attacks.outcome import Outcome, worst
from simulations.attacks.parties import Weaken, World, read_cells, seated
from simulations.attacks.towns import Towns, said, towns

THREAT: Final = "T15"
WHAT: Final = {"zh": "两个精确合计只差一市", "en": "two exact sums that differ by one city"}
HOLDS: Final = {"zh": "协调方的密钥与全部合计", "en": "the coordinator's key and every sum"}
WEAKENED: Final[tuple[Weaken, ...]] = (lambda world: replace(world, gate=as_double(ForgetfulGate)),)
ALL: Final = (1, 2, 3, 4, 5, 6, 7)


def run(world: World, entropy: Entropy) -> Outcome:
    """Cells of one city's exact table that sums and differences give."""
    codes = set[str]()
    with towns(world, entropy, len(ALL), rows=40) as place:
        everyone = total(place, "all", ALL, codes)
        six = total(place, "six", ALL[:-1], codes)
        low, high = total(place, "low", ALL[:4], codes), total(place, "high", ALL[3:], codes)
        total(place, "all", ALL[:-1], codes)  # the study of before, retried with one city fewer
        found = [read(place, 7, everyone, six), read(place, 4, low, high, everyone)]
    return worst([Outcome(max(found), 0, "cells", codes=frozenset(codes)), cut_off(world, entropy)])


def total(place: Towns, name: str, cities: Sequence[int], codes: set[str]) -> Vector | None:
    """The exact sum over these cities, if they give it."""
    try:
        return place.summed(place.study(name, ALL if name == "all" else cities, mode="exact"), cities).opened.total
    except HpfedError as fault:
        codes |= said(fault)
        return None


def read(place: Towns, city: int, one: Vector | None, other: Vector | None, off: Vector | None = None) -> int:
    """Cells of the city's table in the difference of two sums, or in the sum of two less a third."""
    if one is None or other is None:
        return 0
    left = one - other if off is None else one + other - off
    study = place.study("seen", mode="exact")
    return read_cells(left, place.table(agree(study, ALL, place.post.roster), city))


def cut_off(world: World, entropy: Entropy) -> Outcome:
    """Mode exact: everyone has uploaded, then the survivors are all but one."""
    table = seated(world, entropy, exact=True)
    table.until(Kind.SURVIVORS)
    liar, target = Liar(table), table.ids[-1]
    liar.set_opened(table.ids[:-1], table.rctx)
    return Outcome(read_cells(liar.left_of(target), table.tables[target]), 0, "cells", codes=frozenset(liar.codes))
