"""T15: exact sums over sets of cities that differ by one: two studies, kinds, snapshots, three sets, both at once, a retry, one cut off."""

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
    return worst([*ways(world, entropy).values(), cut_off(world, entropy)])


def ways(world: World, entropy: Entropy) -> dict[str, Outcome]:
    """What the sum over seven cities gives, together with any other that its cities should not answer beside it.

    At once: six are asked while seven are open, before either is summed. What another kind of question, or rows as of another date, get as
    an answer counts as read.
    """
    codes, inner = set[str](), list[Vector | None]()
    with towns(world, entropy, len(ALL), rows=40) as place:
        place.meanwhile(lambda: inner.append(total(place, "at-once", ALL[:-1], codes)))
        everyone = total(place, "all", ALL, codes)
        six, retried = total(place, "six", ALL[:-1], codes), total(place, "all", ALL[:-1], codes)
        low, high = total(place, "low", ALL[:4], codes), total(place, "high", ALL[3:], codes)
        kind = total(place, "kind", ALL[:-1], codes, question="kind: frequency, of: job, by: sex")
        place.refreshed("2022-06-30")
        later = total(place, "later", ALL[:-1], codes, as_of="2022-06-30")
        found = {
            "at once": read(place, 7, everyone, inner[0]),
            "two studies": read(place, 7, everyone, six),
            "retry": read(place, 7, everyone, retried),
            "three sets": read(place, 4, low, high, everyone),
            "kinds": int(kind is not None),
            "snapshots": int(later is not None),
        }
    return {name: Outcome(cells, 0, "cells", codes=frozenset(codes)) for name, cells in found.items()}


def total(place: Towns, name: str, cities: Sequence[int], codes: set[str], **changed: str) -> Vector | None:
    """The exact sum over these cities, if they give it. `changed`: as in `Towns.study`."""
    study = place.study(name, ALL if name == "all" else cities, mode="exact", **changed)
    try:
        return place.summed(study, cities).opened.total
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
