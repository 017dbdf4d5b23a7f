"""T14: the same cohort in other words, each time of other cities, so that the difference of two sums is one city's own table."""

from dataclasses import replace
from typing import Final

from protocols.entropy import Entropy
from protocols.errors import HpfedError
from protocols.plan import agree
from protocols.ring import Vector
from simulations.attacks.doubles import UncomparedGate, as_double
from simulations.attacks.outcome import Outcome
from simulations.attacks.parties import Weaken, World, read_cells
from simulations.attacks.towns import Towns, said, towns

THREAT: Final = "T14"
WHAT: Final = {"zh": "同一人群换一种写法", "en": "the same cohort in other words"}
HOLDS: Final = {"zh": "协调方的密钥与全部合计", "en": "the coordinator's key and every sum"}
WEAKENED: Final[tuple[Weaken, ...]] = (lambda world: replace(world, gate=as_double(UncomparedGate)),)
ALL: Final = (1, 2, 3, 4)
MALE: Final = "{variable: sex, is: male}"
REWORDED: Final = {
    "not-not": "{not: {not: {variable: sex, is: male}}}",
    "in-one": "{variable: sex, in: [male]}",
    "not-other": "{all: [{not: {variable: sex, is: female}}, {not: {variable: sex, missing: true}}]}",
    "swapped": "{any: [{variable: sex, is: male}, {all: [{variable: sex, is: female}, {variable: sex, is: male}]}]}",
}


def run(world: World, entropy: Entropy) -> Outcome:
    """Cells of the last city's table that the difference of two sums gives."""
    codes, found = set[str](), 0
    with towns(world, entropy, len(ALL), rows=40) as place:
        whole = total(place, "whole", MALE, ALL, codes)
        study = place.study("seen", mode="exact", cohort=MALE)
        own = place.table(agree(study, ALL, place.post.roster), ALL[-1])
        for name, cohort in REWORDED.items():
            part = total(place, name, cohort, ALL[:-1], codes)
            if whole is not None and part is not None:
                found = max(found, read_cells(whole - part, own))
    return Outcome(found, 0, "cells", codes=frozenset(codes))


def total(place: Towns, name: str, cohort: str, cities: tuple[int, ...], codes: set[str]) -> Vector | None:
    """The exact sum over these cities, if they give it."""
    try:
        return place.summed(place.study(name, cities, "exact", cohort), cities).opened.total
    except HpfedError as fault:
        codes |= said(fault)
        return None
