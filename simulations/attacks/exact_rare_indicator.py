"""T22: an exact model with an indicator that one holder has: its coefficient is that holder's outcome."""

from dataclasses import replace
from typing import Final

import numpy as np

from node import snapshot
from protocols.entropy import Entropy
from protocols.errors import HpfedError
from simulations.attacks.doubles import any_column
from simulations.attacks.outcome import Outcome
from simulations.attacks.parties import Weaken, World
from simulations.attacks.towns import CODES, Towns, said, towns

THREAT: Final = "T22"
WHAT: Final = {"zh": "只有一人具有的指标项", "en": "an indicator that one holder has"}
HOLDS: Final = {"zh": "精确模型的公布系数", "en": "the published coefficients of an exact model"}
WEAKENED: Final[tuple[Weaken, ...]] = (lambda world: replace(world, fits=any_column),)
N, ROWS = 3, 60
SHIPPED: Final = "policy: 1\n"
MODEL: Final = "kind: glm, family: gaussian, outcome: age, terms: [{terms}]"


def run(world: World, entropy: Entropy) -> Outcome:
    """Holders whose age is the constant and the coefficient of their job, of a regression on sixty jobs over 180 holders."""
    with world.fits(), towns(world, entropy, N, rows=ROWS, policy=SHIPPED, aged=True) as place:
        everyone = tuple(range(1, N + 1))
        assert coefficients(place, "broad", "sex", everyone)  # noqa: S101 gates that refuse every fit would prove nothing
        try:
            found = coefficients(place, "narrow", "job", everyone)
        except HpfedError as fault:
            return Outcome(0, 0, "holders", codes=frozenset(said(fault)))
        return Outcome(told_of(place, found), 0, "holders")


def coefficients(place: Towns, name: str, terms: str, cities: tuple[int, ...]) -> dict[str, float]:
    """By term, of an exact regression of age over these cities."""
    study = place.study(name, cities, "exact", question=MODEL.format(terms=terms))
    (result,) = place.fitted(study, cities).results.values()
    return {each["term"]: each["estimate"] for each in result.coefficients}


def told_of(place: Towns, found: dict[str, float]) -> int:
    """How many holders are the only one of their job, and have the age that the coefficients give."""
    jobs, ages = [], []
    for city in place.present.ids:
        rows = snapshot.open_for(place.gate(city).station.home, place.study("read").file.as_of)
        for table in rows.batches(["job", "age"], ROWS):
            jobs.append(table.columns["job"].values)
            ages.append(table.columns["age"].values)
    job, age = np.concatenate(jobs), np.concatenate(ages)
    alone = [at for at in range(CODES) if np.count_nonzero(job == at) == 1]
    given = {at: found["intercept"] + found[f"job[j{at}]"] for at in alone if f"job[j{at}]" in found}
    return sum(abs(float(age[job == at][0]) - each) < 0.5 for at, each in given.items())
