"""T24: a Cox regression with pooled risk sets, of which some are of one: its tables by time are what that holder is like."""

from dataclasses import replace
from typing import Final

import numpy as np

from coordinator import sessions
from node import snapshot
from protocols.entropy import Entropy
from protocols.errors import HpfedError
from protocols.models import fixedpoint
from protocols.models.cox import Pooled
from protocols.models.likelihood import LikelihoodPlan
from protocols.models.session import total_of
from simulations.attacks.doubles import any_risk_set
from simulations.attacks.outcome import Outcome
from simulations.attacks.parties import Weaken, World
from simulations.attacks.towns import Towns, said, towns

THREAT: Final = "T24"
WHAT: Final = {"zh": "只有一人的风险集", "en": "a risk set of one"}
HOLDS: Final = {"zh": "协调方的密钥与各轮合计", "en": "the coordinator's key, and the sums of all rounds"}
WEAKENED: Final[tuple[Weaken, ...]] = (lambda world: replace(world, fits=any_risk_set),)
N, ROWS = 3, 60
ALLOWED: Final = "policy: 1\nmodels: {cox_time_tables: true}\n"  # all else as shipped
MODEL: Final = "kind: cox, duration: age, event: left, terms: [sex], stratify: {of}"
Holder = tuple[float, float, int]  # age, whether it left, sex


def run(world: World, entropy: Entropy) -> Outcome:
    """Holders whose sex is read off the tables of sixty ages, at each of which some three of 180 holders end."""
    with world.fits(), towns(world, entropy, N, rows=ROWS, policy=ALLOWED, aged=True) as place:
        everyone = tuple(range(1, N + 1))
        strata = fitted(place, "strata", "city", everyone)
        assert all(each.fit["converged"] for each in strata.results.values())  # noqa: S101 gates that refuse all would prove nothing
        try:
            found = fitted(place, "pooled", "none", everyone)
        except HpfedError as fault:
            return Outcome(0, 0, "holders", codes=frozenset(said(fault)))
        return Outcome(told_of(place, found), 0, "holders")


def fitted(place: Towns, name: str, of: str, cities: tuple[int, ...]) -> sessions.Fitted:
    return place.fitted(place.study(name, cities, "exact", question=MODEL.format(of=of)), cities)


def told_of(place: Towns, found: sessions.Fitted) -> int:
    """How many holders are the only one who left at their age, and have the sex that the sums of the last round give."""
    ((name, model),) = found.session.models.models.items()
    told = found.heard[-1].told
    ask = found.session.models.parsed(told.asks)[name]
    assert isinstance(model, LikelihoodPlan) and isinstance(model.part, Pooled)  # noqa: S101, PT018 of the question above
    sums = model.part.told(fixedpoint.decode(model.blocks(ask), total_of(told)))
    everybody = holders(place)
    right = 0
    for time in np.flatnonzero(np.rint(sums.events) == 1):
        age = float(time + model.part.low)
        sex = [each[2] for each in everybody if each[0] == age and each[1]]
        right += sex == [int(sums.moved[time, 0] > 0)]
    return right


def holders(place: Towns) -> list[Holder]:
    """What the attack is after."""
    found: list[Holder] = []
    for city in place.present.ids:
        rows = snapshot.open_for(place.gate(city).station.home, place.study("read").file.as_of)
        for table in rows.batches(["age", "left", "sex"], ROWS):
            columns = [table.columns[each].values.tolist() for each in ("age", "left", "sex")]
            found += [(float(age), float(left), int(sex)) for age, left, sex in zip(*columns, strict=True)]
    return found
