"""Cities held against each other on rates that other questions of the study ask for: shares, means, ratios, bins.

Leaves the city: what these questions ask for, and the same split by what cities are standardised for. One holder moves each as there.

    direct     y* = sum over strata of w y,  w the stratum's part of all cities' denominator
    indirect   y* = (numerator / what it would be at the rates of all cities, stratum by stratum) times the rate of all cities

A rate y = N / D is as sure as its noise and the drawing of holders let it be: of each number here the exact gradient in the cells of the
city and in those of all cities is known, and both errors follow from it. Cells of all cities are the sums of those of each, with noise that
is alike in each, so that a city's noise and that of all have the covariance (variance of all) / (number of cities).
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import exp, log, sqrt
from typing import Any, Final, Literal

import numpy as np

from protocols.dictionary import Dictionary, near
from protocols.statistics import intervals, marks
from protocols.statistics.breaks import touching
from protocols.statistics.estimates import Estimates, Floats
from protocols.statistics.example import Example
from protocols.statistics.layout import Block, Blocks, Domain
from protocols.statistics.question import MOST_AXES, Fault, Names, Question, Release, axis_faults
from protocols.statistics.rates import ONE, Pair, Rates
from protocols.statistics.rows import Answer, Row, Test, significant

ALL_CITIES: Final = "pooled"  # the scope of what is said of all together
FEWEST: Final = 3  # cities, between which differences are weighed
FUNNEL: Final = {"95": 0.95, "998": 0.998}
MEASURES: Final = ("value", "standardised", "difference")


class Compare(Question):
    """`indicators`: ids of questions that are released by city as well. `standardise`: variables whose mix is to make no difference."""

    EXAMPLE = Example(
        {"id": "cities", "kind": "compare", "indicators": ["products", "income"], "standardise": "sex"},
        holder={"product": "free", "owner": "true", "income": "20000000", "sex": "unknown"},
    )
    TOGETHER = True

    kind: Literal["compare"] = "compare"
    indicators: Names
    standardise: Names = ()
    method: Literal["direct", "indirect"] = "direct"

    def named(self) -> tuple[str, ...]:
        return self.indicators

    def variables(self) -> tuple[str, ...]:
        return self.standardise

    def reads(self, domain: Domain) -> tuple[str, ...]:
        asked = [name for indicator in self.indicators for name in domain.questions[indicator].variables()]
        return tuple(dict.fromkeys((*self.standardise, *asked)))

    def faults(self, dictionary: Dictionary) -> Iterator[Fault]:
        if not self.indicators:
            yield Fault("indicators", "STUDY_EMPTY", {})
        for number, name in enumerate(self.indicators):
            if name in self.indicators[:number]:
                yield Fault("indicators", "STUDY_TWICE", {"name": name})
        yield from axis_faults("standardise", self.standardise, dictionary)
        if self.method == "indirect" and not self.standardise:
            yield Fault("method", "COMPARE_METHOD", {})

    def faults_beside(self, domain: Domain, release: Release) -> Iterator[Fault]:
        if (self.release or release) == "pooled":
            yield Fault("release", "COMPARE_RELEASE", {"name": self.id})
        for name in self.indicators:
            asked = domain.questions.get(name)
            if asked is None or name == self.id:
                others = tuple(each for each in domain.questions if each != self.id)
                yield Fault("indicators", "COMPARE_UNKNOWN", {"name": name, "near": near(name, others)})
            elif asked.cohort is not None or self.cohort is not None:
                yield Fault("indicators", "COMPARE_COHORT", {"name": name})
            elif (
                any(domain.is_set(each) for each in asked.variables())
                or any(domain.is_set(each) for each in self.standardise)
                or asked.compared() is None
            ):
                yield Fault("indicators", "COMPARE_KIND", {"name": name, "kind": asked.kind})
            elif (asked.release or release) == "pooled":
                yield Fault("indicators", "COMPARE_RELEASE", {"name": name})
            else:
                axes = asked.variables()
                if twice := [each for each in self.standardise if each in axes]:
                    yield Fault("standardise", "STUDY_TWICE", {"name": twice[0]})
                elif len(axes) + len(self.standardise) > MOST_AXES:
                    count = len(axes) + len(self.standardise)
                    yield Fault("standardise", "STUDY_AXES", {"count": count, "limit": MOST_AXES})

    def blocks(self, domain: Domain) -> Blocks:
        found = dict[str, Block]()
        for name in self.indicators:
            for part, asked in (("", domain.questions[name]), (" by stratum", self._split(name, domain))):
                found |= {f"{name}{part}: {block}": each for block, each in asked.blocks(domain).items()}
        return found

    def _split(self, name: str, domain: Domain) -> Any:
        """An indicator by stratum. Where it is split by such a variable itself, its groups are of one stratum each."""
        asked = domain.questions[name].compared()
        further = tuple(each for each in self.standardise if each not in asked.variables())
        return asked.model_copy(update={"by": (*asked.by, *further)})

    def _unlike(self, name: str, cities: Iterable[str], domain: Domain) -> bool:
        """Whether on the day of the study a break of the dictionary holds in some of the cities and not in others, or their files cover
        others of their holders."""
        if len({domain.scopes.get(city, "") for city in cities}) > 1:
            return True
        reads = (*self.standardise, *domain.questions[name].variables())
        return any(
            len({city in each.cities for city in cities}) > 1
            for each in touching(replace(domain, cities=()), reads)
            if each.cities and (domain.as_of is None or each.from_ <= domain.as_of)
        )

    def finalize(self, sums: Estimates, domain: Domain) -> Answer:
        """What is said of all cities together, if no city answers by itself."""
        return self.answers({ALL_CITIES: sums}, {ALL_CITIES}, domain)[ALL_CITIES]

    def answers(self, sums: Mapping[str, Estimates], given: Collection[str], domain: Domain) -> dict[str, Answer]:
        """Rows are keyed by indicator, then as its own: of all cities the value alone. Pre-condition: `sums` of all cities are there."""
        found = {scope: list[Compared]() for scope in sums}
        tests = {scope: list[Test]() for scope in sums}
        for name in self.indicators:
            one = Indicator(name, domain.questions[name], self._split(name, domain), self, domain)
            whole = one.of(sums[ALL_CITIES])
            cities = {scope: one.of(each) for scope, each in sums.items() if scope != ALL_CITIES}
            found[ALL_CITIES].append(one.of_all(whole, sums[ALL_CITIES]))
            held = {city: one.held(own, whole, sums[city], sums[ALL_CITIES]) for city, own in cities.items()}
            unlike = self._unlike(name, cities, domain)
            for city, each in held.items():
                found[city].append(each.broken() if unlike else each)
                tests[city] += one.funnels(each, whole)
            tests[ALL_CITIES] += one.heterogeneity(
                [each for city, each in held.items() if city in given], whole, sums[ALL_CITIES]
            )
        tested = [row.p_value for scope, each in found.items() for row in _rows(each) if scope in given]
        q = iter(intervals.benjamini_hochberg(np.array([np.nan if p is None else p for p in tested])))
        return {
            scope: Answer(
                tuple(_corrected(row, next(q)) if scope in given else row for row in _rows(each)), tuple(tests[scope])
            )
            for scope, each in found.items()
        }


def _rows(found: Sequence["Compared"]) -> list[Row]:
    """All values, then all standardised ones, then all differences."""
    return [row for measure in MEASURES for each in found for row in each.rows.get(measure, ())]


def _corrected(row: Row, q: float) -> Row:
    return row if row.p_value is None else replace(row, q_value=significant(float(q)))


@dataclass(frozen=True)
class Compared:
    """One indicator in one scope. `rows`: by measure. The rest cell by cell: the standardised value, the variance between cities that noise
    and sampling explain, the standard error of the difference; `left_out`: of the weight, the part of strata with too few holders."""

    rows: Mapping[str, tuple[Row, ...]]
    value: Floats
    variance: Floats = field(default_factory=lambda: np.zeros(0))
    apart: Floats = field(default_factory=lambda: np.zeros(0))
    left_out: Floats = field(default_factory=lambda: np.zeros(0))

    def broken(self) -> "Compared":
        """The same, marked as beside what means another thing elsewhere."""
        rows = {
            measure: tuple(replace(row, obs_status="b" + row.obs_status) for row in given)
            for measure, given in self.rows.items()
        }
        return replace(self, rows=rows)


@dataclass(frozen=True)
class Sums:
    """Numerators, denominators and spreads, cells x strata: a cell is a code of a group. `own`: the indicator's own rows, by cell; `rates`:
    how noise is made of weights; `sd`: of the noise in a denominator."""

    n: Floats
    d: Floats
    sd: Floats
    rates: Rates
    own: tuple[Row | None, ...]

    @property
    def level(self) -> Floats:
        """The rate over all strata."""
        return _over(self.n.sum(axis=1), self.d.sum(axis=1))

    def spread(self, at: Floats) -> Floats:
        """Of holders about rates `at`, cells x strata."""
        shape = self.rates.numerator.shape
        return self.rates.spread(at.reshape(shape)).reshape(at.shape)

    def noise(self, first: Pair, second: Pair) -> Floats:
        """Covariance of two weighted sums of each cell's strata. A cell is one group: its weights stand there alone."""
        shape, cells = self.rates.numerator.shape, len(self.n)
        groups = cells // shape[0]
        found = np.zeros((shape[0], groups))
        for group in range(groups):
            one, other = (tuple(self._alone(each, group, groups, shape) for each in pair) for pair in (first, second))
            found[:, group] = self.rates.noise((one[0], one[1]), (other[0], other[1]))
        return found.reshape(cells)

    def _alone(self, weights: Floats, group: int, groups: int, shape: tuple[int, ...]) -> Floats:
        given = weights.reshape((shape[0], groups, -1))
        alone = np.zeros_like(given)
        alone[:, group] = given[:, group]
        return alone.reshape(shape)


@dataclass(frozen=True)
class Standardised:
    """Standardised values of a city's cells, and their gradients in numerators and denominators: `own` in the city's, `of_all` in those of
    all cities. `residual`: by how much one more in a numerator of all cities moves it, where the mix of strata stays as it is."""

    value: Floats
    own: Pair
    of_all: Pair
    residual: Floats
    left_out: Floats


@dataclass(frozen=True)
class Indicator:
    """`asked`: as the study asks for it; `split`: by stratum as well."""

    name: str
    asked: Question
    split: Question
    by: Compare
    domain: Domain

    def of(self, sums: Estimates) -> Sums:
        rates = self.split.rates(sums.within(f"{self.name} by stratum: "), self.domain)
        own = self.asked.finalize(sums.within(f"{self.name}: "), self.domain).rows
        depth = len(self._groups(rates))
        size = int(np.prod([axis.size - 1 for axis in rates.groups[depth:]]))
        cells = (len(rates.codes), *(axis.size - 1 for axis in rates.groups[:depth]))
        number = int(np.prod(cells))

        def flat(of_groups: Floats) -> Floats:
            return np.broadcast_to(of_groups, rates.numerator.shape).reshape((number, size))

        place = {
            self._place(row.keys, rates): row
            for row in own
            if row.measure == rates.measure and not row.contrast and row.obs_status != "z"
        }
        mine = tuple(place.get(self._place(keys, rates)) for keys in self.keys(rates))
        return Sums(flat(rates.numerator), flat(rates.below), flat(rates.below_sd), rates, mine)

    def _groups(self, rates: Rates) -> tuple[Any, ...]:
        """The groups of its own, without strata."""
        by: tuple[str, ...] = getattr(self.asked, "by", ())
        return tuple(axis for axis in rates.groups if axis.name in by)

    def keys(self, rates: Rates) -> list[dict[str, str]]:
        """Of each cell, as its own rows are keyed."""
        found: list[dict[str, str]] = [{} if code == ONE else {rates.of: code} for code in rates.codes]
        for axis in self._groups(rates):
            found = [{**keys, axis.name: code} for keys in found for code in axis.codes]
        return found

    def _place(self, keys: Mapping[str, str], rates: Rates) -> tuple[str | None, ...]:
        names = (*((rates.of,) if rates.of else ()), *(axis.name for axis in self._groups(rates)))
        return tuple(keys.get(name) for name in names)

    def _keyed(self, rates: Rates) -> list[dict[str, str]]:
        return [{"indicator": self.name, **keys} for keys in self.keys(rates)]

    def _values(self, sums: Sums) -> tuple[Row, ...]:
        """Its own rows, under their name here."""
        return tuple(
            Row("value", keys, obs_status="x")
            if row is None
            else replace(row, measure="value", keys=keys, position=None)
            for row, keys in zip(sums.own, self._keyed(sums.rates), strict=True)
        )

    # --- all cities, and one

    def of_all(self, whole: Sums, sums: Estimates) -> Compared:
        """Standardised to itself, a value is that of the holders whose stratum is known."""
        level = np.where(marks.undivided(whole.d.sum(axis=1), self._sd(whole)), np.nan, whole.level)
        rows = {"value": self._values(whole)}
        if self.by.standardise:
            gradient = _gradient(whole, level)
            noise = np.maximum(whole.noise(gradient, gradient), 0.0)
            drawn = (gradient[0] ** 2 * whole.spread(_rate(whole.n, whole.d))).sum(axis=1)
            rows["standardised"] = self._row("standardised", whole, level, noise, drawn, np.zeros_like(level), sums)
        return Compared(rows, level)

    def held(self, city: Sums, whole: Sums, sums: Estimates, all_sums: Estimates) -> Compared:
        """A city beside all: its value, its standardised value, and how far that is from theirs."""
        found = self._direct(city, whole) if self.by.method == "direct" else self._indirect(city, whole)
        lost = np.array([row is None or "x" in row.obs_status for row in city.own])
        value = np.where(lost | (found.left_out > marks.MOST_LEFT_OUT), np.nan, found.value)
        rates = _rate(whole.n, whole.d)
        own = city.spread(_rate(city.n, city.d))
        usual = _rate(whole.spread(rates), whole.d) * np.maximum(city.d, 0.0)
        spread = np.where(own > 0, own, usual)  # a stratum of nobody, or of all, is as sure as it would be elsewhere
        others = np.maximum(whole.spread(rates) - spread, 0.0)
        drawn = (found.own[0] ** 2 * spread).sum(axis=1)
        alone, of_all = city.noise(found.own, found.own), whole.noise(found.of_all, found.of_all)
        parts = all_sums.parts

        def total(gradient: Pair, of_it: Floats) -> Floats:
            """Noise of the city's own, of all cities', and of both."""
            shared = 2 * whole.noise(found.own, gradient) / parts if parts else 0.0
            return np.maximum(alone + of_it + shared, 0.0)

        rows = {"value": self._values(city)}
        if self.by.standardise:
            noise = total(found.of_all, of_all)
            rows["standardised"] = self._row("standardised", city, value, noise, drawn, found.left_out, sums)
        level = np.where(marks.undivided(whole.d.sum(axis=1), self._sd(whole)), np.nan, whole.level)
        of_level = _gradient(whole, level)
        further = (found.of_all[0] - of_level[0], found.of_all[1] - of_level[1])
        residual = found.residual - of_level[0]
        apart_noise = total(further, whole.noise(further, further))
        apart_drawn = ((found.own[0] + residual) ** 2 * spread + residual**2 * others).sum(axis=1)
        difference = self._differences(city, whole, value, level, rows, apart_noise, apart_drawn, all_sums)
        if (
            parts > 1
        ):  # cities share what their answers lack of the sum; between them, each is as noisy as if fitted alone
            alone = (alone - whole.noise(found.own, found.own) / parts**2) * parts / (parts - 1)
        apart = np.sqrt(apart_noise + self._sampled * apart_drawn)
        return Compared(
            {**rows, "difference": difference}, value, np.maximum(alone, 0.0) + drawn, apart, found.left_out
        )

    @property
    def _sampled(self) -> bool:
        return self.by.sampling is not False

    def _sd(self, sums: Sums) -> Floats:
        """Of the noise in the denominators of all strata together."""
        ones = np.ones_like(sums.d)
        return np.sqrt(np.maximum(sums.noise((0 * ones, ones), (0 * ones, ones)), 0.0))

    def _clear(self, sums: Sums) -> Floats:
        """Strata whose denominators are clear of noise. A single one is divided by as anywhere."""
        least = marks.CLEAR_OF_NOISE if sums.d.shape[1] > 1 else marks.DIVISIBLE
        return np.asarray((sums.d >= least * sums.sd) & (sums.d > 0), dtype=np.float64)

    def _direct(self, city: Sums, whole: Sums) -> Standardised:
        weights = np.maximum(whole.d, 0.0)
        kept = weights * self._clear(city)
        total = kept.sum(axis=1, keepdims=True)
        rate = _rate(city.n, city.d)
        w = _over(kept, total)
        value = (w * rate).sum(axis=1)
        per = np.where(kept > 0, _over(w, city.d), 0.0)
        still = np.zeros_like(per)
        mix = np.where(kept > 0, _over(rate - value[:, None], total), 0.0)
        return Standardised(
            value, (per, -rate * per), (still, mix), still, 1 - _over(total, weights.sum(axis=1, keepdims=True))[:, 0]
        )

    def _indirect(self, city: Sums, whole: Sums) -> Standardised:
        kept = self._clear(whole)
        rate = kept * _rate(whole.n, whole.d)
        observed, expected = (kept * city.n).sum(axis=1), (rate * city.d).sum(axis=1)
        ones = np.zeros_like(rate)
        expected = np.where(
            marks.undivided(expected, np.sqrt(np.maximum(city.noise((ones, rate), (ones, rate)), 0.0))),
            np.nan,
            expected,
        )
        base = (kept * whole.d).sum(axis=1)
        level = _over((kept * whole.n).sum(axis=1), base)
        value = level * _over(observed, expected)
        per = _over(level, expected)[:, None] * kept
        moved = _over(value, expected)[:, None] * kept
        at_all = _over(observed, expected * base)[:, None] * kept
        of_rates = np.where(kept > 0, _over(moved * city.d, whole.d), 0.0)
        of_all = (at_all - of_rates, of_rates * rate - at_all * level[:, None])
        counted = np.maximum(city.d, 0.0)
        left_out = 1 - _over((kept * counted).sum(axis=1), counted.sum(axis=1))
        return Standardised(value, (per, -moved * rate), of_all, at_all - of_rates, left_out)

    # --- rows

    def _row(
        self,
        measure: str,
        sums: Sums,
        value: Floats,
        noise: Floats,
        drawn: Floats,
        left_out: Floats,
        estimates: Estimates,
    ) -> tuple[Row, ...]:
        rates = sums.rates
        low, high = intervals.normal(value, noise + self._sampled * drawn, estimates.z)
        shown = np.clip(value, rates.low, rates.high)
        low, high = (
            np.minimum(np.clip(low, rates.low, rates.high), shown),
            np.maximum(np.clip(high, rates.low, rates.high), shown),
        )
        half = (high - low) / 2
        wide = half > marks.WIDE * np.abs(value)
        if rates.measure == "share":
            wide &= half > marks.WIDE_SHARE
        doubtful = np.array([row is not None and "u" in row.obs_status for row in sums.own])
        status = marks.letters(np.isnan(value), wide | doubtful | (left_out > marks.SOME_LEFT_OUT))
        columns = (value, shown, np.sqrt(noise), np.sqrt(drawn), low, high)
        return self._printed(measure, sums, columns, status)

    def _differences(
        self,
        city: Sums,
        whole: Sums,
        value: Floats,
        level: Floats,
        rows: Mapping[str, Sequence[Row]],
        noise: Floats,
        drawn: Floats,
        estimates: Estimates,
    ) -> tuple[Row, ...]:
        """Of low reliability where one of the two rates is."""
        difference = value - level
        variance = noise + self._sampled * drawn
        low, high = intervals.normal(difference, variance, estimates.z)
        p = intervals.two_sided(difference, np.sqrt(variance))
        given = [row for each in rows.values() for row in each]
        number = len(difference)
        doubtful = np.array(["u" in "".join(row.obs_status for row in given[at::number]) for at in range(number)])
        doubtful |= np.array([row is not None and "u" in row.obs_status for row in whole.own])
        status = marks.letters(np.isnan(difference), doubtful)
        columns = (difference, difference, np.sqrt(noise), np.sqrt(drawn), low, high, p)
        return self._printed("difference", city, columns, status)

    def _printed(self, measure: str, sums: Sums, columns: tuple[Floats, ...], status: Any) -> tuple[Row, ...]:
        """`columns`: in the order of a row."""
        names = ("estimate", "display", "se_noise", "se_sampling", "ci_low", "ci_high", "p_value")
        made = []
        for at, keys in enumerate(self._keyed(sums.rates)):
            gone = status[at] == "x"
            numbers: dict[str, Any] = {
                name: None if gone or np.isnan(column[at]) else significant(float(column[at]))
                for name, column in zip(names, columns, strict=False)
            }
            made.append(Row(measure, keys, **numbers, obs_status=str(status[at])))
        return tuple(made)

    # --- tests

    def _cells(self, rates: Rates) -> list[str]:
        return [", ".join(keys.values()) for keys in self.keys(rates)]

    def funnels(self, city: Compared, whole: Sums) -> Iterator[Test]:
        """Between which limits a city's rate lies so often, if it is no other than that of all cities."""
        from scipy.special import ndtri

        level = whole.level
        for at, cell in enumerate(self._cells(whole.rates)):
            gone = bool(np.isnan(city.value[at]) | np.isnan(level[at]) | np.isnan(city.apart[at]))
            limits = {
                f"{side}_{name}": None
                if gone
                else significant(float(level[at] + sign * ndtri((1 + part) / 2) * city.apart[at]))
                for name, part in FUNNEL.items()
                for side, sign in (("low", -1), ("high", 1))
            }
            left = float(city.left_out[at])
            values = {
                "indicator": self.name,
                "cell": cell,
                **limits,
                "left_out": None if np.isnan(left) else significant(max(left, 0.0)),
            }
            yield Test("funnel", {**values, "obs_status": "x" if gone else "u" if left > marks.SOME_LEFT_OUT else ""})

    def heterogeneity(self, cities: Sequence[Compared], whole: Sums, sums: Estimates) -> Iterator[Test]:
        """Of each cell that may be compared: Cochran's Q, I^2 and tau^2 over the cities that have a value there."""
        rates = whole.rates
        for at, (keys, cell) in enumerate(zip(self.keys(rates), self._cells(rates), strict=True)):
            if not all(self.domain.dictionary.comparable(name, code) for name, code in keys.items()):
                continue
            pairs = [(each.value[at], each.variance[at]) for each in cities]
            held = np.array([(y, v) for y, v in pairs if y == y and v == v]).reshape(-1, 2)
            yield from heterogeneity(held[:, 0], held[:, 1], sums.z, {"indicator": self.name, "cell": cell})


def heterogeneity(values: Floats, variances: Floats, z: float, named: Mapping[str, str]) -> Iterator[Test]:
    """Cochran's Q with its p, I^2 with its test-based interval (Higgins and Thompson 2002), tau^2 (DerSimonian and Laird 1986)."""
    from scipy.special import chdtrc

    number = len(values)
    if number < FEWEST or not (variances > 0).all():
        gone = {"obs_status": "x"}
        yield Test("heterogeneity", {**named, "statistic": None, "df": None, "p_value": None, "cities": number, **gone})
        yield Test("i_squared", {**named, "estimate": None, "ci_low": None, "ci_high": None, **gone})
        yield Test("tau_squared", {**named, "estimate": None, **gone})
        return
    weights = 1 / variances
    mean = (weights * values).sum() / weights.sum()
    q, df = float((weights * (values - mean) ** 2).sum()), number - 1
    low, high = i_squared_interval(q, number, z)
    tau = max(0.0, (q - df) / float(weights.sum() - (weights**2).sum() / weights.sum()))
    p, share = float(chdtrc(df, q)), max(0.0, (q - df) / q) if q > 0 else 0.0
    numbers = {"statistic": significant(q), "df": df, "p_value": significant(p), "cities": number}
    yield Test("heterogeneity", {**named, **numbers, "obs_status": ""})
    ends = {"ci_low": significant(low), "ci_high": significant(high)}
    yield Test("i_squared", {**named, "estimate": significant(share), **ends, "obs_status": ""})
    yield Test("tau_squared", {**named, "estimate": significant(tau), "obs_status": ""})


def i_squared_interval(q: float, cities: int, z: float) -> tuple[float, float]:
    """I^2 = 1 - 1 / H^2 at both ends of H = sqrt(Q / df), whose logarithm is taken to be normal."""
    if q <= 0:
        return 0.0, 0.0
    df = cities - 1
    if q > cities:
        error = (log(q) - log(df)) / 2 / (sqrt(2 * q) - sqrt(2 * cities - 3))
    else:
        error = sqrt(1 / (2 * (cities - 2)) * (1 - 1 / (3 * (cities - 2) ** 2)))
    ends = (exp(log(q / df) / 2 + side * z * error) for side in (-1, 1))
    low, high = (max(0.0, 1 - 1 / h**2) for h in ends)
    return low, high


def _over(top: Floats, bottom: Floats) -> Floats:
    """NaN where there is nothing to divide by."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(np.where(bottom == 0, np.nan, top / bottom))


def _rate(n: Floats, d: Floats) -> Floats:
    """Rates by stratum; 0 where nobody is."""
    return np.asarray(np.nan_to_num(_over(n, d), posinf=0.0, neginf=0.0))


def _gradient(sums: Sums, level: Floats) -> Pair:
    """Of the rate over all strata."""
    per = np.broadcast_to(_over(np.ones_like(level), sums.d.sum(axis=1))[:, None], sums.d.shape)
    return per, -level[:, None] * per
