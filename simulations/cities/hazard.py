"""The planted hazard of interruption: the known truth that the risk models must find again.

The event is the first month, counted from opening (t = 0), in which an account is 开户未缴 (t = 0: it never paid) or 封存 (t >= 1).
logit h(t) = city + baseline[t] + slopes; one baseline for all cities, chongqing's constant is 0 and the baseline carries the level.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from simulations.cities.facts import MONTHS
from simulations.cities.solve import DIGITS, Reals, Wholes, expit, inclusion, root
from simulations.cities.streams import Booleans, Streams, choose
from simulations.cities.terms import NOT_GIVEN, Column, Table, index

SLOPES: Final = {
    "free": 0.55,
    "lump_sum": -1.20,
    "male": 0.15,
    "male_24_30": 0.40,
    "female_47_53": 0.50,
    "owner": 0.30,
    "unmarried": 0.70,
    "low_education": 0.20,
    "log_income": -0.30,
}
LATER: Final = np.log([1.4, 1.2, 1.1, 1, 1, 0.95, 0.9, 0.9, 0.9])  # baseline[1..9] less b1
AT_ONCE: Final = 1 << 16  # rows whose chances by month are held at a time
CENTRE: Final = float(np.log1p(4000.0))
DESIGN: Final = {
    "free": "product is free",
    "lump_sum": "product is lump_sum",
    "male": "sex is male",
    "male_24_30": "sex is male and 24 <= 2022 - birth_year <= 30",
    "female_47_53": "sex is female and 47 <= 2022 - birth_year <= 53",
    "owner": "homes >= 1",
    "unmarried": "marital is unmarried",
    "low_education": "education in vocational, high_school, junior_or_less",
    "log_income": "log1p(personal_income in yuan) - log1p(4000)",
}


@dataclass(frozen=True)
class Hazard:
    """The shared baseline and one city's constant."""

    baseline: tuple[float, ...]
    city: float = 0.0

    def months(self, slopes: Reals) -> Reals:
        """h(t) of each row and month since opening: (rows, MONTHS)."""
        return expit((self.city + np.array(self.baseline))[None, :] + slopes[:, None])


def design(table: Table) -> dict[str, Reals]:
    """The nine columns of the hazard, in the order of SLOPES."""
    sex, product, age = table["sex"], table["product"], table["age"]
    male, female = sex == index("sex", "male"), sex == index("sex", "female")
    low = [index("education", code) for code in ("vocational", "high_school", "junior_or_less")]
    columns = {
        "free": product == index("product", "free"),
        "lump_sum": product == index("product", "lump_sum"),
        "male": male,
        "male_24_30": male & (age >= 24) & (age <= 30),
        "female_47_53": female & (age >= 47) & (age <= 53),
        "owner": table["homes"] >= 1,
        "unmarried": table["marital"] == index("marital", "unmarried"),
        "low_education": np.isin(table["education"], low),
        "log_income": np.log1p(table["personal_income"] / 100) - CENTRE,
    }
    return {name: column.astype(np.float64) for name, column in columns.items()}


def slopes(table: Table) -> Reals:
    """What the nine terms add to each row's logit."""
    return np.asarray(sum(SLOPES[name] * column for name, column in design(table).items()))


def at_risk(table: Table) -> Wholes:
    """Months from opening to the end of the window, the month of opening included: 1..MONTHS."""
    return MONTHS - table["opened_month"].astype(np.int64)


def _chances(hazard: Reals, months: Wholes) -> tuple[Reals, Reals]:
    """P(event in month t) for each row and month, 0 beyond the window; and its sum over months, P(event)."""
    within = np.arange(MONTHS)[None, :] < months[:, None]
    seen = np.where(within, hazard, 0.0)
    before = np.cumprod(1 - seen, axis=1)
    first = seen * np.concatenate([np.ones((len(seen), 1)), before[:, :-1]], axis=1)
    return first, 1 - before[:, -1]


def solved_baseline(table: Table, never: int, sealed: int) -> Hazard:
    """The baseline at which the rows of Q city are expected to hold `never` events at t = 0 and `sealed` later ones."""
    odds = np.exp(slopes(table))
    begins = root(lambda constant: float((1 - _stays([odds], np.exp([constant]))).sum() - never), -12, 2)
    first = _stays([odds], np.exp([begins]))
    later = _within(odds, table)[1:]

    def excess(level: float) -> float:
        return float((first * (1 - _stays(later, np.exp(level + LATER)))).sum() - sealed)

    return Hazard(_rounded([begins, *(root(excess, -12, 2) + LATER)]))


def solved_city(table: Table, hazard: Hazard, rate: float) -> Hazard:
    """The same baseline with the constant at which a share `rate` of the rows is expected to be interrupted."""
    within, baseline = _within(np.exp(slopes(table)), table), np.array(hazard.baseline)

    def excess(constant: float) -> float:
        return float((1 - _stays(within, np.exp(constant + baseline))).sum() - rate * len(within[0]))

    return Hazard(hazard.baseline, _rounded([root(excess, -3, 3)])[0])


def _rounded(solved: list[float]) -> tuple[float, ...]:
    """To 9 decimals: the last bits of a solver are a machine's own, and the truth is the same bytes everywhere."""
    return tuple(round(float(value), DIGITS) for value in solved)


def _within(odds: Reals, table: Table) -> list[Reals]:
    """For each month since opening the odds of each row, 0 beyond the window."""
    return [np.where(month < at_risk(table), odds, 0.0) for month in range(MONTHS)]


def _stays(odds: Sequence[Reals], baseline: Reals) -> Reals:
    """P(no event in any of the months) = product of 1 / (1 + odds), over the months of the baseline."""
    product = np.ones(len(odds[0]))
    for level, of_month in zip(baseline, odds, strict=True):
        product *= 1 + level * of_month
    return np.asarray(1 / product)


def expected(table: Table, hazard: Hazard) -> tuple[float, float]:
    """Expected numbers of accounts that never paid, and that were sealed."""
    never, every = 0.0, 0.0
    for _, first, ever in _in_parts(table, hazard):
        never, every = never + float(first[:, 0].sum()), every + float(ever.sum())
    return never, every - never


def bernoulli_events(table: Table, hazard: Hazard, streams: Streams) -> Column:
    """Month since opening of each row's event, NOT_GIVEN without one: drawn month by month."""
    uniform = streams("interruption").random(len(table["product"]))
    event = np.empty(len(uniform), dtype=np.int64)
    for rows, first, _ in _in_parts(table, hazard):
        event[rows] = _month_of(np.cumsum(first, axis=1), uniform[rows])
    return event


def _in_parts(table: Table, hazard: Hazard) -> Iterator[tuple[slice, Reals, Reals]]:
    """Rows, some at a time, and their chances."""
    slope, months = slopes(table), at_risk(table)
    for start in range(0, len(slope), AT_ONCE):
        rows = slice(start, start + AT_ONCE)
        yield rows, *_chances(hazard.months(slope[rows]), months[rows])


def counted_events(table: Table, hazard: Hazard, streams: Streams, owners: int, others: int, never: int) -> Column:
    """The same with exact counts: `owners` and `others` events, `never` of them at t = 0.

    Rows are chosen with probability in proportion to the model's, then those of t = 0 among them in proportion to P(t = 0 | event),
    then months from their conditional law.
    """
    first, ever = _chances(hazard.months(slopes(table)), at_risk(table))
    has_home = table["homes"] >= 1
    happened = choose(inclusion(ever * has_home, owners), streams("interruption of owners"))
    happened |= choose(inclusion(ever * ~has_home, others), streams("interruption"))
    sure = happened & (at_risk(table) == 1)  # opened in the last month: can only have failed to begin
    likely = np.where(happened & ~sure, first[:, 0] / ever, 0.0)
    started_never = sure | choose(inclusion(likely, never - int(sure.sum())), streams("never paid"))
    later = np.cumsum(first[:, 1:], axis=1)
    scale = np.where(later[:, -1] > 0, later[:, -1], 1.0)
    months = _month_of(later / scale[:, None], streams("month of sealing").random(len(first))) + 1
    return np.where(started_never, 0, np.where(happened, months, NOT_GIVEN)).astype(np.int64)


def _month_of(cumulative: Reals, uniform: Reals) -> Column:
    """The first month whose cumulative chance exceeds the uniform; NOT_GIVEN if none does."""
    beyond: Booleans = cumulative > uniform[:, None]
    return np.where(beyond.any(axis=1), beyond.argmax(axis=1), NOT_GIVEN)
