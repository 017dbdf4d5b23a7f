"""Ratio of two totals, in all or by group: loans over deposits, withdrawals over contributions, the covered over the eligible.

    R = N / D      N, D: sums over the holders of whom both are known; a boolean counts as 1 where it is true

Either may also be a figure that costs nothing: what each centre states about itself, or what is published of each city. Leaves the city:
how many holders have either value, and the centred totals of both over those who have both. One holder moves one number of each by at
most h (half of a range, in steps). With `sampling: true` also their centred squares and product.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Annotated, Any, Literal, Self, TypeAlias

import numpy as np
import numpy.typing as npt
from pydantic import Field

from protocols.dictionary import Dictionary, near
from protocols.statistics import intervals, marks
from protocols.statistics.estimates import KNOWN, OWN, QUANTA, Estimates, Floats, Table, Units
from protocols.statistics.example import Example
from protocols.statistics.layout import LIMB_BITS, Amount, Axis, Blocks, Domain, amount, count
from protocols.statistics.mean import YES, about_centre, clipping
from protocols.statistics.question import Fault, Names, Pair, Question, Value, amount_fault, axis_faults, bounds_fault
from protocols.statistics.rates import ONE, Part, Rates, Sum, centre, whole
from protocols.statistics.rows import Answer, Row, Test, table_rows
from protocols.statistics.suppression import Withheld
from protocols.statistics.tables import count_rows
from protocols.yamltext import Record


class Fact(Record):
    """A figure that each centre states about itself, by its name in the dictionary."""

    fact: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,39}$")]


class Published(Record):
    """Numbers that are published of each city, written in the study, which names their source in its purpose."""

    public: Annotated[Mapping[str, Value], Field(min_length=1, max_length=512)]


Inside: TypeAlias = tuple[slice, ...]
Side: TypeAlias = str | Fact | Published
Bounds: TypeAlias = Mapping[str, Pair]
NUMERATOR, DENOMINATOR = "numerator", "denominator"


class Ratio(Question):
    """`clip`: public bounds of a variable, inside its range, that values are moved to. `band`: limits that the ratio is held against.

    The register is the population unless `sampling` is true: nobody draws the loans of a city.
    """

    EXAMPLE = Example(
        {
            "id": "income_by_year",
            "kind": "ratio",
            "numerator": "income",
            "denominator": "birth_year",
            "by": "owner",
            "sampling": "true",
        },
        holder={"income": "20000000", "birth_year": "2010", "owner": "true"},
    )

    kind: Literal["ratio"] = "ratio"
    numerator: Side
    denominator: Side
    by: Names = ()
    clip: Bounds = Field(default_factory=dict)
    band: Pair | None = None

    @property
    def sides(self) -> dict[str, Side]:
        return {NUMERATOR: self.numerator, DENOMINATOR: self.denominator}

    @property
    def _summed(self) -> dict[str, str]:
        """The sides that are sums over holders, and their variables."""
        return {side: given for side, given in self.sides.items() if isinstance(given, str)}

    def variables(self) -> tuple[str, ...]:
        return (*self._summed.values(), *self.by)

    def faults(self, dictionary: Dictionary) -> Iterator[Fault]:
        named = tuple(self._summed.values())
        yield from axis_faults("by", self.by, dictionary, beside=named)
        if len(named) == len(set(named)) + 1:
            yield Fault(DENOMINATOR, "STUDY_TWICE", {"name": named[0]})
        if self.by and len(named) < len(self.sides):
            yield Fault("by", "RATIO_CONSTANT_BY", {})
        for side, given in self.sides.items():
            if isinstance(given, Fact) and given.fact not in dictionary.facts:
                yield Fault(side, "STUDY_FACT", {"name": given.fact, "near": near(given.fact, dictionary.facts)})
        if isinstance(self.numerator, Published):
            yield Fault(NUMERATOR, "RATIO_PUBLISHED", {})
        found = [
            each for side, name in self._summed.items() for each in amount_fault(side, name, dictionary, ("boolean",))
        ]
        yield from found
        timed = {} if found else {dictionary.timing_of(name): name for name in named}
        if "flow" in timed and "balance" in timed:
            yield Fault(DENOMINATOR, "RATIO_TIMING", {"flow": timed["flow"], "balance": timed["balance"]})
        for name in () if found else self.clip:
            if name not in named or dictionary.type_of(name) == "boolean":
                yield Fault("clip", "STUDY_CLIP", {"name": name})
            else:
                yield from bounds_fault("clip", name, self.clip[name], Domain(dictionary))
        if self.band is not None and not self.band[0] < self.band[1]:
            yield Fault("band", "RATIO_BAND", {"low": f"{self.band[0]:f}", "high": f"{self.band[1]:f}"})

    def facts(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(given.fact for given in self.sides.values() if isinstance(given, Fact)))

    def without_figures(self, cities: Sequence[str]) -> tuple[str, ...]:
        stated = [given.public for given in self.sides.values() if isinstance(given, Published)]
        return tuple(city for city in cities if any(city not in each for each in stated))

    def _amount(self, name: str, domain: Domain) -> Amount | None:
        """None of a boolean."""
        boolean = domain.dictionary.type_of(name) == "boolean"
        return None if boolean else domain.amount(name, *self.clip.get(name, ()))

    def _axis(self, name: str, domain: Domain) -> Axis:
        """Where a holder stands by the value alone: yes and no, or known, or where it was clipped."""
        x = self._amount(name, domain)
        if x is None:
            return domain.axis(name)
        return domain.clipped(x) if name in self.clip else domain.known(name)

    def blocks(self, domain: Domain) -> Blocks:
        """The total of one side is split by whether the other is known; so totals agree with all other tables of that variable."""
        by = [domain.axis(name) for name in self.by]
        named = self._summed
        if not named:
            return {}
        axes = {side: self._axis(name, domain) for side, name in named.items()}
        found = {"holders": count([*axes.values(), *by])}
        amounts = {side: self._amount(name, domain) for side, name in named.items()}
        for side, x in amounts.items():
            others = [axis for other, axis in axes.items() if other != side]
            if x is not None:
                found[side] = amount(x, [*others, *by])
                if self.sampling:
                    found |= {f"{side} {name}": each for name, each in domain.squares(x, [*others, *by]).items()}
        x, y = (amounts.get(side) for side in (NUMERATOR, DENOMINATOR))
        if self.sampling and x is not None and y is not None:
            found |= domain.products(x, y, by)
        return found

    def finalize(self, sums: Estimates, domain: Domain) -> Answer:
        """Rows are keyed by group; beside each ratio, how many holders have both values."""
        named = self._summed
        if not named:
            top, bottom = (Total(np.array(_stated(given, sums))) for given in self.sides.values())
            return Answer(_rows(Found(top, bottom, np.zeros((2, 2))), (), self.band, sums))
        axes = {side: self._axis(name, domain) for side, name in named.items()}
        amounts = {side: self._amount(name, domain) for side, name in named.items()}
        of = Sides(self.by, axes, amounts, sums["holders"].ordered((*self.by, *(axis.name for axis in axes.values()))))
        top, bottom = (
            of.total(side, sums) if side in named else Total(np.array(_stated(given, sums)))
            for side, given in self.sides.items()
        )
        drawn = of.squares(sums, domain) if self.sampling else None
        least = 0.0 if all(x is None or x.low >= 0 for x in amounts.values()) else -np.inf
        found = Found(top, bottom, of.noise(top, bottom), of.both, drawn, least=least)
        tests = []
        for side, name in named.items():
            if name in self.clip:
                moved, test = clipping(of.beside(side, of.holders))
                found = replace(found, doubtful=(found.doubtful > 0) | moved)
                tests.append(Test(test.name, {"variable": name, **test.values}))
        counts = count_rows(of.both, sums, sampling=self.sampling is True)
        return Answer(_rows(found, of.both.axes, self.band, sums) + counts, tuple(tests))

    def withhold(self, answer: Answer, withheld: Withheld, blocks: Blocks) -> Answer:
        """Figures of centres are of no holders."""
        return super().withhold(answer, withheld, blocks) if self._summed else answer

    def compared(self) -> Self | None:
        """With the squares that say how much the drawing of holders varies it; figures have none."""
        return self.model_copy(update={"sampling": True}) if len(self._summed) == len(self.sides) else None

    def rates(self, sums: Estimates, domain: Domain) -> Rates:
        axes = {side: self._axis(name, domain) for side, name in self._summed.items()}
        amounts = {side: self._amount(name, domain) for side, name in self._summed.items()}
        names = tuple(axis.name for axis in axes.values())
        of = Sides(self.by, axes, amounts, sums["holders"].ordered((*self.by, *names)))
        tables = {"holders": sums["holders"].ordered((*names, *self.by))}
        parts = dict[str, Sum]()
        for side, x in amounts.items():
            if x is None:
                parts[side] = (whole("holders", *(YES if other == side else KNOWN for other in axes)),)
                continue
            (beside,) = (axis.name for other, axis in axes.items() if other != side)
            tables[side] = sums[side].ordered((beside, *self.by))
            known = centre("holders", KNOWN, KNOWN, times=x.centre / x.per)
            parts[side] = (Part(side, (KNOWN,), 1 / x.per, 1 / x.per), known)
        return Rates(
            measure="ratio",
            of="",
            numerators={ONE: parts[NUMERATOR]},
            denominator=parts[DENOMINATOR],
            tables=tables,
            groups=of.both.axes,
            squares=of.squares(sums, domain)[0][None],
            low=0.0 if all(x is None or x.low >= 0 for x in amounts.values()) else -np.inf,
            high=np.inf,
        )


def _stated(given: Side, sums: Estimates) -> float:
    """A figure, added up over the cities of a scope; NaN where one of them states none. Of what is only added up: the sum."""
    values: Mapping[str, Any]
    match given:
        case Published(public=values):
            pass
        case Fact(fact=name):
            said, rest = sums.facts.get(name, {}), sums.summed.get(name)
            if rest is not None:
                return float(sum((said[city] for city in sums.cities if city in said), rest))
            values = said
        case _:
            raise TypeError(given)
    return float(sum(values[city] for city in sums.cities)) if set(sums.cities) <= set(values) else float("nan")


@dataclass(frozen=True)
class Total:
    """One side, by group. `own`: variance of the noise of its amount alone. `box`: on which positions of the sides' axes a holder counts,
    and by how much beside (`weight`: the centre of an amount); a figure has none."""

    values: Floats
    own: Floats = field(default_factory=lambda: np.zeros(()))
    box: Inside | None = None
    weight: float = 0.0


@dataclass(frozen=True)
class Found:
    """Numerator and denominator by group, in what people read. `noise`: their covariance, ... x 2 x 2. `both`: how many holders have both
    values; None where nobody was counted. `drawn`: sums of x^2, x y and y^2 over them (... x 3), and the variances of their noise; None
    unless asked for. `doubtful`: groups of which clipping moved too many. `least`: no ratio lies below it."""

    top: Total
    bottom: Total
    noise: Floats
    both: Table | None = None
    drawn: tuple[Floats, Floats] | None = None
    doubtful: npt.NDArray[Any] = field(default_factory=lambda: np.zeros(()))
    least: float = 0.0


@dataclass(frozen=True)
class Sides:
    """The sides that are sums over holders. `holders`: groups, then where each side stands."""

    by: Names
    axes: Mapping[str, Axis]
    amounts: Mapping[str, Amount | None]
    holders: Table

    @cached_property
    def both(self) -> Table:
        """How many holders of each group have both values."""
        found = self.holders
        for axis in self.axes.values():
            found = found.of_known(axis.name)
        return found

    @property
    def n_units(self) -> Units:
        return self.both.units[self.both.known]

    @property
    def _own(self) -> tuple[None, ...]:
        return (OWN,) * len(self.by)

    def _covariances(self, *boxes: Inside) -> Floats:
        found = self.holders.covariances(*((*self._own, *box) for box in boxes))
        for _ in self.axes:  # these boxes are the same for all positions
            found = found[..., 0, :, :]
        return found

    def beside(self, side: str, table: Table) -> Table:
        """A table of one side, of those of whom the other one is known."""
        for axis in (axis for other, axis in self.axes.items() if other != side):
            table = table.of_known(axis.name)
        return table

    def _sum(self, box: Inside) -> Floats:
        inside = self.holders.units[((KNOWN,) * len(self.by)) + box]
        return np.asarray(inside.sum(axis=tuple(range(len(self.by), inside.ndim))) / QUANTA)

    def _box(self, side: str) -> Inside:
        """Where a holder counts for a side: of a boolean, where it is true."""
        own = YES if self.amounts[side] is None else KNOWN
        return tuple(own if other == side else KNOWN for other in self.axes)

    def total(self, side: str, sums: Estimates) -> Total:
        x, box = self.amounts[side], self._box(side)
        if x is None:
            return Total(self._sum(box), box=box, weight=1.0)
        table = self.beside(side, sums[side]).ordered(self.by)
        noise = table.covariances(self._own)[..., 0, 0] + table.rounding * np.maximum(self.n_units / QUANTA, 0.0)
        return Total(table.units[table.known] / (table.quantum * x.per), noise / x.per**2, box, x.centre / x.per)

    def noise(self, *totals: Total) -> Floats:
        """Covariance of the noise in the totals: each has that of its amount, and they share that of the holders who count."""
        weights = np.array([each.weight for each in totals])
        every = (KNOWN,) * len(self.axes)
        shared = self._covariances(*(each.box or every for each in totals)) * np.outer(weights, weights)
        own = np.zeros((*np.broadcast_shapes(shared.shape[:-2], *(each.own.shape for each in totals)), 2, 2))
        for at, each in enumerate(totals):
            own[..., at, at] = each.own
        return own + shared

    def squares(self, sums: Estimates, domain: Domain) -> tuple[Floats, Floats]:
        """Sums of x^2, x y and y^2 (... x 3) over holders of whom both are known, and the variances of their noise."""
        first, *second = self.axes
        parts = [self._square(first, sums, domain)]
        parts += [self._product(sums, domain), self._square(second[0], sums, domain)] if second else []
        parts += [(np.zeros(self.n_units.shape), np.zeros(()))] * (3 - len(parts))
        if list(self.axes) == [DENOMINATOR]:
            parts.reverse()
        values, noise = zip(*parts, strict=True)
        return np.stack(np.broadcast_arrays(*values), axis=-1), np.stack(np.broadcast_arrays(*noise), axis=-1)

    def _square(self, side: str, sums: Estimates, domain: Domain) -> tuple[Floats, Floats]:
        x = self.amounts[side]
        total = self.total(side, sums)
        if x is None:  # 1 and 0 are their own squares
            return total.values, self._covariances(self._box(side))[..., 0, 0]
        tables = {
            name.removeprefix(f"{side} "): self.beside(side, table).ordered(self.by)
            for name, table in sums.tables.items()
            if name.startswith(f"{side} ")
        }
        about, noise = about_centre(self.n_units, tables, domain.squarable(x))
        squares = np.array([float(each) for each in about]).reshape(self.n_units.shape) / x.per**2
        n, centre = self.n_units / QUANTA, x.centre / x.per
        return squares + 2 * centre * total.values - centre**2 * n, noise / x.per**4

    def _numeric(self) -> tuple[tuple[str, Amount], Axis]:
        """The one side that is an amount, and where the other one stands."""
        ((side, of),) = ((side, x) for side, x in self.amounts.items() if x is not None)
        (other,) = (axis for at, axis in self.axes.items() if at != side)
        return (side, of), other

    def _product(self, sums: Estimates, domain: Domain) -> tuple[Floats, Floats]:
        x, y = self.amounts.values()
        if x is None and y is None:
            return self._sum((YES, YES)), self._covariances((YES, YES))[..., 0, 0]
        if x is None or y is None:  # the total of one, over those of whom the other is true
            (side, of), other = self._numeric()
            given = sums[side].ordered((*self.by, other.name))
            noise = given.covariances((*self._own, YES))[..., 0, 0, 0]
            return given.units[given.known][..., 1] / (given.quantum * of.per), noise / of.per**2
        steps = float(1 << (domain.squarable(x).shift + domain.squarable(y).shift)) / (x.per * y.per)
        limbs = {name: table for name, table in sums.tables.items() if name.startswith("product")}
        tables = {name: table.ordered(self.by) for name, table in limbs.items()}
        units = {name: table.units[table.known] for name, table in tables.items()}
        noise = np.zeros(())
        if "product" in tables:
            about = units["product"].astype(np.float64)
            noise = tables["product"].covariances(self._own)[..., 0, 0] * steps**2
        else:
            low, high = (units[name].astype(object) for name in ("product_low", "product_high"))
            about = np.asarray(low + high * (1 << LIMB_BITS)).astype(np.float64)
        n, c, d = self.n_units / QUANTA, x.centre / x.per, y.centre / y.per
        first, second = (self.total(side, sums).values for side in (NUMERATOR, DENOMINATOR))
        return about * steps + c * second + d * first - c * d * n, noise


def _rows(found: Found, groups: tuple[Axis, ...], band: tuple[Any, Any] | None, sums: Estimates) -> tuple[Row, ...]:
    """Fieller's set; not available where it is not bounded, or where the denominator may be nothing."""
    a, b = found.top.values, found.bottom.values
    gone = np.isnan(a) | np.isnan(b) | marks.undivided(b, np.sqrt(np.maximum(found.noise[..., 1, 1], 0.0)))
    b = np.where(gone, np.nan, b)
    with np.errstate(invalid="ignore", divide="ignore"):
        at = a / b
        still = found.noise[..., 0, 0] - 2 * at * found.noise[..., 0, 1] + at**2 * found.noise[..., 1, 1]
    spread, lost = _spread(found, at, sums.z)
    estimate, low, high = intervals.ratio(a, b, found.noise, np.nan_to_num(spread), sums.z)
    gone = gone | np.isnan(estimate)
    shown = np.maximum(estimate, found.least)
    low, high = np.minimum(np.maximum(low, found.least), shown), np.maximum(high, shown)
    unsure = (high - low) / 2 > marks.WIDE * np.abs(estimate)
    base: dict[str, npt.NDArray[Any]] = {}
    if found.both is not None:
        units = found.both.units[found.both.known]
        sd = np.broadcast_to(found.both.sd, found.both.units.shape)[found.both.known]
        unsure |= marks.doubtful_mean(units / QUANTA, sd, sums.least(found.both), (high - low) / 2, estimate)
        base = {"base": found.both.printed(units)}
    status = marks.letters(gone, unsure | (found.doubtful > 0) | lost)
    figures = {
        "estimate": estimate,
        "display": shown,
        "se_noise": np.sqrt(np.maximum(still, 0.0)) / np.abs(b),
        "se_sampling": np.sqrt(spread) / np.abs(b),
        "ci_low": low,
        "ci_high": high,
    }
    figures = {name: np.where(gone, np.nan, np.broadcast_to(each, gone.shape)) for name, each in figures.items()}
    rows = table_rows("ratio", groups, base, figures, status)
    return rows if band is None else tuple(replace(row, position=_position(row, *band)) for row in rows)


def _spread(found: Found, at: Floats, z: float) -> tuple[Floats, npt.NDArray[np.bool_]]:
    """Sum of (x - R y)^2, the variance that the drawing of holders adds to N - R D; the most that it may be where noise has swallowed it.

    NaN where it was not asked for.
    """
    if found.drawn is None:
        return np.full(at.shape, np.nan), np.zeros(at.shape, dtype=bool)
    values, noise = found.drawn
    weights = np.stack([np.ones_like(at), -2 * at, at**2], axis=-1)
    spread = (weights * values).sum(axis=-1)
    lost = spread <= 0
    return np.where(lost, z * np.sqrt(np.maximum((weights**2 * noise).sum(axis=-1), 0.0)), spread), lost & (
        noise > 0
    ).any(axis=-1)


def _position(row: Row, low: Any, high: Any) -> str | None:
    """Where the whole interval stands against a band; `undecided` where it touches a limit."""
    if row.ci_low is None or row.ci_high is None:
        return None
    if row.ci_high < low:
        return "below"
    if row.ci_low > high:
        return "above"
    return "within" if low < row.ci_low and row.ci_high < high else "undecided"
