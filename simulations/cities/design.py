"""Shares that the published figures leave open, solved once: who is how old, how learned, does what, earns what.

Each table is the one of least divergence from a smooth guess among those that meet the published figures (section 4 of the
specification, rows P1-P15). Siblings start from Q city's table and move no further than their shifts demand.
"""

from dataclasses import dataclass
from functools import cache, lru_cache
from statistics import NormalDist
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from simulations.cities.facts import AGES, GENERATIONS, PRODUCTS, REFERENCE, Profile, published
from simulations.cities.solve import Reals, expit, least_divergence, root

Whole = npt.NDArray[np.integer[Any]]

HIGH, LOW, UNKNOWN = range(3)  # education as the published figures cut it: college or above, below, not known
LUMP, MONTHLY, FREE = range(len(PRODUCTS))
GENERATION: Final = 4 - np.digitize(2022 - AGES, [1970, 1980, 1990, 2000])  # of each age, in the order of GENERATIONS

# Axes of the joint table, flattened: age, product, education.
_age, _product, _education = (axis.ravel() for axis in np.meshgrid(AGES, range(len(PRODUCTS)), range(3), indexing="ij"))
_shape: Final = (len(AGES), len(PRODUCTS), 3)
_old: Final = _age >= 45


def _indicator(mask: npt.NDArray[np.bool_]) -> Reals:
    return mask.astype(np.float64)


@lru_cache(maxsize=1)
def reference_joint() -> Reals:
    """Share of each (age, product, education) in Q city.

    Inside the published ranges these values are chosen: mean ages 30.3 and 37.3, 76.5 % of the highly educated under 35,
    25.2 % of the others over 47, 88.5 % of those from 45 on with at most high school, 27.6 % under 28.
    """
    knots = [14, 17, 20, 23, 28, 32, 37.5, 47.5, 53, 57.5, 63]
    density = np.log([0.002, 0.010, 0.018, 0.033, 0.042, 0.040, 0.0275, 0.0185, 0.012, 0.0058, 0.002])
    high, low = _education == HIGH, _education == LOW
    learned = 0.6 * expit(-0.4 * (_age - 37.0))
    guess = np.where(high, 0.93 * learned, np.where(low, 0.93 * (1 - learned), 0.07 * np.exp(0.02 * (_age - 34))))
    prior = guess * np.exp(np.interp(_age, knots, density))
    blocks = published().products / published().accounts
    conditions: list[tuple[Reals, float]] = [
        (_indicator((_product == p) & (GENERATION[_age - AGES[0]] == g)), float(blocks[p, g]))
        for p in range(len(PRODUCTS))
        for g in range(len(GENERATIONS))
    ]
    conditions += [
        (_indicator(high), 0.40),
        (_indicator(low), 0.53),
        (high * (_age - 30.3), 0.0),
        (low * (_age - 37.3), 0.0),
        (high * ((_age < 35) - 0.765), 0.0),
        (low * ((_age > 47) - 0.252), 0.0),
        (_old * (low - 0.885), 0.0),
        (_old * ((_product == FREE) - 0.57), 0.0),
        (_indicator(_age < 28), 0.276),
    ]
    return _meeting(prior, conditions)


def joint(profile: Profile) -> Reals:
    """Share of each (age, product, education) in a city: Q city's table, moved by the city's shifts."""
    q = reference_joint()
    shifts = (profile.free, profile.monthly, profile.age, profile.share_60s or 0.0)
    if not any(shifts) and profile.unknown_education == REFERENCE.unknown_education:
        return q
    products = q.sum(axis=(0, 2)) + np.array([-profile.free - profile.monthly, profile.monthly, profile.free])
    mean = float(q.sum(axis=(1, 2)) @ AGES) + profile.age
    conditions: list[tuple[Reals, float]] = [
        (_indicator(_product == p), float(products[p])) for p in range(len(PRODUCTS))
    ]
    conditions += [(_age - mean, 0.0), (_indicator(_education == UNKNOWN), profile.unknown_education)]
    if profile.share_60s is not None:
        conditions.append((_indicator(2022 - _age < 1970), profile.share_60s))
    return _meeting(q.ravel(), conditions)


def _meeting(prior: Reals, conditions: list[tuple[Reals, float]]) -> Reals:
    rows = np.array([condition for condition, _ in conditions])
    totals = np.array([total for _, total in conditions])
    return least_divergence(prior / prior.sum(), rows, totals).reshape(_shape)


OCCUPATIONS: Final = (
    "self_employed", "driver_courier", "service", "production", "professional", "clerk", "farming", "unclassified",
    "unknown",
)  # fmt: skip
MANUAL: Final = ("driver_courier", "service", "production", "farming")  # 体力型: the reading taken of P11


@lru_cache(maxsize=1)
def occupation_shares() -> Reals:
    """Share of each occupation, given education and whether 45 or older: (education x 2, occupations).

    P11: 70 % of the less educated do manual work. P12: half of those from 45 on are self-employed. P13, P14: 30 % of the younger
    are unclassified.
    """
    guess = {
        (HIGH, 0): (0.10, 0.06, 0.12, 0.04, 0.15, 0.12, 0.005, 0.42, 0.02),
        (LOW, 0): (0.12, 0.28, 0.28, 0.14, 0.02, 0.02, 0.03, 0.10, 0.02),
        (UNKNOWN, 0): (0.12, 0.18, 0.20, 0.10, 0.06, 0.06, 0.02, 0.20, 0.08),
        (HIGH, 1): (0.35, 0.04, 0.12, 0.04, 0.15, 0.12, 0.01, 0.15, 0.02),
        (LOW, 1): (0.45, 0.12, 0.18, 0.10, 0.01, 0.01, 0.06, 0.05, 0.02),
        (UNKNOWN, 1): (0.40, 0.10, 0.15, 0.08, 0.03, 0.03, 0.05, 0.10, 0.06),
    }
    table = reference_joint().sum(axis=1)
    margins = np.array(
        [[table[AGES < 45, e].sum(), table[AGES >= 45, e].sum()] for e in (HIGH, LOW, UNKNOWN)]
    ).ravel()  # (education x 2,)
    prior = np.array([guess[e, old] for e in (HIGH, LOW, UNKNOWN) for old in (0, 1)]) * margins[:, None]
    cell, job = (axis.ravel() for axis in np.meshgrid(range(6), range(len(OCCUPATIONS)), indexing="ij"))
    old, low = cell % 2 == 1, cell // 2 == LOW
    manual = np.isin(job, [OCCUPATIONS.index(name) for name in MANUAL])
    conditions = [(cell == c).astype(np.float64) for c in range(6)]
    conditions += [
        low * (manual - 0.70),
        old * ((job == OCCUPATIONS.index("self_employed")) - 0.50),
        ~old * ((job == OCCUPATIONS.index("unclassified")) - 0.30),
    ]
    solved = least_divergence(prior.ravel(), np.array(conditions), np.array([*margins, 0.0, 0.0, 0.0]))
    shares = solved.reshape(6, len(OCCUPATIONS))
    return np.asarray(shares / shares.sum(axis=1, keepdims=True))


NULL_INCOME: Final = 0.12
INCOME_SPREAD: Final = 0.55  # standard deviation of log income inside a group
LOW_INCOME_FROM_45: Final = (0.45, 0.68, 0.62)  # share below 6,000 yuan of those from 45 on, by education


@lru_cache(maxsize=1)
def median_incomes() -> Reals:
    """Median household income in yuan, given whether 45 or older, product and education: (2, product, education).

    Under 45 so that the low-income segment (below 6,000 yuan or not known) has the product mix .31, .31, .38 and 52 % highly educated;
    65 % of the younger are in it, which leaves the high-income mix near .23, .41, .36 (P13, P14).
    """
    young = reference_joint()[AGES < 45].sum(axis=0)  # (product, education)
    share = young / young.sum()
    cell, low = (axis.ravel() for axis in np.meshgrid(range(9), (0, 1), indexing="ij"))
    product, education = cell // 3, cell % 3
    prior = share.ravel()[cell] / 2
    conditions = [(cell == c).astype(np.float64) for c in range(9)]
    conditions += [
        low.astype(np.float64),
        low * ((product == LUMP) - 0.31),
        low * ((product == MONTHLY) - 0.31),
        low * ((education == HIGH) - 0.525),
    ]
    solved = least_divergence(prior, np.array(conditions), np.array([*share.ravel(), 0.65, 0.0, 0.0, 0.0]))
    in_low = (solved.reshape(9, 2)[:, 1] / share.ravel()).reshape(3, 3)
    below = np.array([(in_low - NULL_INCOME) / (1 - NULL_INCOME), np.tile(LOW_INCOME_FROM_45, (3, 1))])
    quantile = np.vectorize(NormalDist().inv_cdf)
    return np.asarray(6000 * np.exp(-INCOME_SPREAD * quantile(below)))


@dataclass(frozen=True)
class Constants:
    """Constants of the logits of sex and marital status in Q city (P15)."""

    male: float
    unmarried_under_28: float
    unmarried_from_28: float
    alipay: float


@cache
def constants(male: float) -> Constants:
    """Solved over Q city's table. `male`: the share of men to reach."""
    table = reference_joint().ravel()
    young = _age < 28

    def solved(logit: Reals, among: Reals, share: float) -> float:
        weights = table * among
        return root(lambda constant: float((weights * (expit(constant + logit) - share)).sum()), -20, 20)

    everyone, unmarried = np.ones(len(table)), unmarried_logit(_age, _product, _education)
    return Constants(
        male=solved(male_logit(_age, _education), everyone, male),
        unmarried_under_28=solved(unmarried, _indicator(young), 0.75),
        unmarried_from_28=solved(unmarried, _indicator(~young), 0.46),
        alipay=solved(alipay_logit(_age, _education), everyone, 0.55),
    )


def male_logit(age: Whole, education: Whole) -> Reals:
    """Slopes of being a man, a choice: a little more often among the less educated."""
    return np.asarray(0.004 * (age - 34) + 0.20 * (education == LOW))


def unmarried_logit(age: Whole, product: Whole, education: Whole) -> Reals:
    """Slopes of being unmarried, a choice: falling with age, faster under 28; more often highly educated and of the free type.

    The last two put more than 65 % unmarried among the interrupted accounts (P26) whatever the seed.
    """
    by_age = np.where(age < 28, -0.22 * (age - 23), -0.06 * (age - 35))
    return np.asarray(by_age + 0.10 * (education == HIGH) + 0.80 * (product == FREE))


def alipay_logit(age: Whole, education: Whole) -> Reals:
    """Slopes of coming by 支付宝 rather than 微信 (P28): the younger and the highly educated."""
    return np.asarray(-0.06 * (age - 34) + 0.35 * (education == HIGH))
