"""How long until something happens: the Kaplan-Meier curve, its median, and the log-rank test between groups.

Leaves the city: for each group, one number per duration, and per whether the event happened or the holder was only seen so long, holders
without a value on `_missing`. One holder moves one cell by 1.

    n_t = holders seen for t or longer      d_t = events at t      S(t) = product over s <= t of (1 - d_s / n_s)

Durations beyond T, which is 240 or the `until` of the question, are counted as seen until T. Where noise has made d_t negative it stays so:
cut at 0, errors of many months would add up to a curve that is too high. What is shown (`display`) never rises.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Annotated, Any, Final, Literal

import numpy as np
from pydantic import Field

from protocols.dictionary import MISSING, Dictionary
from protocols.statistics import intervals, marks
from protocols.statistics.estimates import QUANTA, Estimates, Floats, Table, Units
from protocols.statistics.example import Example
from protocols.statistics.independence import DRAWS
from protocols.statistics.layout import KNOWN as CODE
from protocols.statistics.layout import Axis, Blocks, Domain, count
from protocols.statistics.question import Fault, Names, Question, amount_fault, axis_faults
from protocols.statistics.rows import Answer, Row, Test, significant, table_rows
from protocols.statistics.suppression import Withheld, uncovered
from protocols.yamltext import Whole

AT: Final = "at"  # the key of rows
LONGEST: Final = 240  # months
HALF: Final = 0.5
NEVER: Final = 1e-12  # what is left of a product where all who were at risk had the event
CENSORED: Final = 0
EVENT: Final = 1


class Survival(Question):
    """`until`: T, the last time of the curve, where fewer months than 240 can hold anybody."""

    EXAMPLE = Example(
        {"id": "retention", "kind": "survival", "duration": "months_paying", "event": "owner", "by": "sex"},
        holder={"months_paying": "7", "owner": "true", "sex": "female"},
    )

    kind: Literal["survival"] = "survival"
    duration: str
    event: str
    by: Names = ()
    until: Annotated[Whole, Field(ge=1, le=LONGEST)] | None = None

    def variables(self) -> tuple[str, ...]:
        return (self.duration, self.event, *self.by)

    def faults(self, dictionary: Dictionary) -> Iterator[Fault]:
        found = list(amount_fault("duration", self.duration, dictionary, beside=()))
        yield from found
        if not found:
            yield from self._no_duration(dictionary)
        found = list(axis_faults("event", (self.event,), dictionary, beside=(self.duration,)))
        yield from found
        if not found and (kind := dictionary.type_of(self.event)) != "boolean":
            yield Fault("event", "STUDY_EVENT", {"name": self.event, "type": kind})
        yield from axis_faults("by", self.by, dictionary, beside=(self.duration, self.event))

    def _no_duration(self, dictionary: Dictionary) -> Iterator[Fault]:
        kind, (low, _) = dictionary.type_of(self.duration), Domain(dictionary).range(self.duration)
        zh, en = (f"类型是 {kind}", f"it is of type {kind}") if kind != "integer" else ("", "")
        if kind == "integer" and not 0 <= low < self.longest:
            zh, en = f"取值从 {low} 起", f"it begins at {low}"
        if en:
            yield Fault("duration", "STUDY_DURATION", {"name": self.duration, "problem_zh": zh, "problem_en": en})

    @property
    def longest(self) -> int:
        """T."""
        return self.until or LONGEST

    def _axis(self, domain: Domain) -> Axis:
        """Every duration from the least of the range to T; one more position for all beyond."""
        low, high = domain.range(self.duration)
        bins = domain.bins(self.duration, range(low + 1, min(high, self.longest + 1) + 1))
        upto = "" if self.until is None else f" to {self.until}"
        return replace(bins, name=f"{self.duration} one by one{upto}")

    def blocks(self, domain: Domain) -> Blocks:
        by = [domain.axis(name) for name in self.by]
        return {"holders": count([self._axis(domain), domain.axis(self.event), *by])}

    def finalize(self, sums: Estimates, domain: Domain) -> Answer:
        """Rows are keyed by group and duration: the holders at risk, and the part without the event by then."""
        axis = self._axis(domain)
        table = sums["holders"].ordered((*self.by, axis.name, self.event))
        (low, high), drawn = domain.range(self.duration), self.sampling is not False
        times = tuple(range(low, min(high, self.longest) + 1))
        curves = {
            group: Curve(table, group, times, sums.z, drawn)
            for group in np.ndindex(tuple(each.size - 1 for each in table.axes[:-2]))
        }
        rows = self._rows(curves, table, sums, high)
        return Answer((*rows, *self._counts(table, sums)), self._tests(curves, table, sums) if self.by else ())

    def _rows(
        self, curves: "dict[tuple[int, ...], Curve]", table: Table, sums: Estimates, longest: int
    ) -> Iterator[Row]:
        groups = table.axes[:-2]
        shape = tuple(each.size - 1 for each in groups)
        some = next(iter(curves.values()))
        time = Axis(AT, (*map(str, some.times), MISSING), self.duration)

        def stacked(name: str) -> Any:
            found = np.stack([getattr(curve, name) for curve in curves.values()])
            return found.reshape(*shape, len(some.times))

        at_risk, sd = stacked("at_risk"), np.sqrt(stacked("at_risk_variance"))
        varies = np.sqrt(np.maximum(at_risk, 0.0))
        ends = intervals.normal(at_risk, sd**2 + (self.sampling is True) * varies**2, sums.z)
        doubtful = marks.doubtful_count(at_risk, sd, sums.least(table), (ends[1] - ends[0]) / 2)
        yield from table_rows(
            "at_risk",
            (*groups, time),
            {"estimate": table.printed(stacked("at_risk_units"))},
            {
                "display": np.maximum(at_risk, 0.0),
                "se_noise": sd,
                "se_sampling": varies,
                "ci_low": np.maximum(ends[0], 0.0),
                "ci_high": np.maximum(ends[1], 0.0),
            },
            marks.letters(np.zeros_like(doubtful), doubtful),
        )
        estimate, base = stacked("survival"), stacked("known_units")
        half = (stacked("high") - stacked("low")) / 2
        unsure = doubtful | marks.doubtful_share(at_risk, sd, sums.least(table), half, estimate)
        yield from table_rows(
            "survival",
            (*groups, time),
            {"base": table.printed(base)},
            {
                "estimate": estimate,
                "display": stacked("shown"),
                "se_noise": stacked("se_noise"),
                "se_sampling": stacked("se_sampling"),
                "ci_low": stacked("low"),
                "ci_high": stacked("high"),
            },
            marks.letters(np.isnan(estimate), unsure),
        )
        median = np.array([curve.median(longest) for curve in curves.values()]).reshape(*shape, 1, 3)
        first = np.array([curve.known / QUANTA for curve in curves.values()]).reshape(*shape, 1)
        first_sd = np.sqrt(np.array([curve.at_risk_variance[0] for curve in curves.values()]).reshape(*shape, 1))
        wide = marks.doubtful_mean(
            first, first_sd, sums.least(table), (median[..., 2] - median[..., 1]) / 2, median[..., 0]
        )
        columns = {"estimate": 0, "display": 0, "ci_low": 1, "ci_high": 2}
        yield from table_rows(
            "median",
            (*groups, Axis(AT, (str(HALF), MISSING), self.duration)),
            {"base": table.printed(base[..., :1])},
            {name: median[..., at] for name, at in columns.items()},
            marks.letters(np.isnan(median[..., 0]), wide),
        )  # fmt: skip

    def _counts(self, table: Table, sums: Estimates) -> tuple[Row, ...]:
        """Holders of each group whose duration and event are both known, and of whom one is not."""
        groups = table.axes[:-2]
        shape = tuple(each.size for each in groups)
        cells = table.units.reshape(*shape, -1)
        known = np.zeros(table.units.shape[len(groups) :])
        known[:-1, :-1] = 1.0
        parts = [known, 1 - known]
        units = np.stack([(cells * part.ravel().astype(np.int64)).sum(axis=-1) for part in parts], axis=-1)
        weights = np.zeros((*units.shape, *table.units.shape))
        for index in np.ndindex(units.shape):
            weights[index][index[:-1]] = parts[index[-1]]
        sd = np.sqrt(table.spread(weights.reshape(-1, *table.units.shape))).reshape(units.shape)
        values = units / QUANTA
        drawn = np.maximum(values, 0.0)
        low, high = intervals.normal(values, sd**2 + (self.sampling is True) * drawn, sums.z)
        doubtful = marks.doubtful_count(values, sd, sums.least(table), (high - low) / 2)
        ends = {"ci_low": np.maximum(low, 0.0), "ci_high": np.maximum(high, 0.0)}
        return table_rows(
            "count",
            (*groups, Axis(AT, (CODE, MISSING), self.duration)),
            {"estimate": table.printed(units)},
            {"display": drawn, "se_noise": sd, "se_sampling": np.sqrt(drawn), **ends},
            marks.letters(np.zeros_like(doubtful), doubtful),
        )

    def _tests(self, curves: "dict[tuple[int, ...], Curve]", table: Table, sums: Estimates) -> tuple[Test, ...]:
        df = len(curves) - 1
        if not sums.tested:
            return ()
        found = log_rank([*curves.values()], table, sums)
        if found is None:
            return (Test("log_rank", {"statistic": None, "df": df, "p_value": None, "obs_status": "x"}),)
        values = {"statistic": significant(found[0]), "df": found[1], "p_value": significant(found[2])}
        return (Test("log_rank", {**values, "obs_status": ""}),)

    def withhold(self, answer: Answer, withheld: Withheld, blocks: Blocks) -> Answer:
        """Nothing at all where one of the cells is withheld: each row follows from all that are later, or earlier."""
        return uncovered(answer) if any(withheld.touches(block.axes) for block in blocks.values()) else answer


@dataclass(frozen=True)
class Curve:
    """Kaplan-Meier of one group. `table`: groups, duration, event. Arrays have one entry per time; NaN from where too few are at risk."""

    table: Table
    group: tuple[int, ...]
    times: Sequence[int]
    z: float
    drawn: bool

    @cached_property
    def cells(self) -> Units:
        """Durations, those beyond the last last, x (censored, event); in quanta."""
        return np.asarray(self.table.units[self.group][:-1, :-1], dtype=np.int64)

    @cached_property
    def split(self) -> Units:
        """The same with holders beyond the last time seen until then."""
        return np.asarray(beyond(self.cells, len(self.times)), dtype=np.int64)

    @cached_property
    def at_risk_units(self) -> Units:
        return np.asarray(self.split.sum(axis=1)[::-1].cumsum()[::-1])

    @property
    def at_risk(self) -> Floats:
        return self.at_risk_units / QUANTA

    @property
    def events(self) -> Floats:
        return self.split[:, EVENT] / QUANTA

    @property
    def known(self) -> int:
        return int(self.cells.sum())

    @property
    def known_units(self) -> Units:
        return np.full(len(self.times), self.known)

    def _spread(self, weights: Floats) -> Floats:
        """Noise variance of contrasts of `cells`: k x durations x 2."""
        wide = np.zeros((len(weights), *self.table.units.shape))
        at: tuple[slice | int, ...] = (slice(None), *self.group, slice(None, -1), slice(None, -1))
        wide[at] = weights
        return self.table.spread(wide)

    @cached_property
    def at_risk_variance(self) -> Floats:
        later = np.arange(len(self.cells))[None, :] >= np.arange(len(self.times))[:, None]
        return self._spread(np.repeat(later[:, :, None].astype(float), 2, axis=2))

    @cached_property
    def told(self) -> int:
        """So many times have enough holders at risk, all of them in a row."""
        short = (self.at_risk < marks.CLEAR_OF_NOISE * np.sqrt(self.at_risk_variance)) | (self.at_risk <= 0)
        return int(np.argmax(short)) if short.any() else len(short)

    def _told(self, values: Floats) -> Floats:
        return np.concatenate([values, np.full(len(self.times) - len(values), np.nan)])

    @cached_property
    def _steps(self) -> tuple[Floats, Floats, Floats]:
        """At risk, events, and what each time leaves of the product."""
        n, d = self.at_risk[: self.told], self.events[: self.told]
        return n, d, np.maximum(1 - d / n, NEVER)

    @cached_property
    def survival(self) -> Floats:
        left = self._steps[2]
        ended = np.cumsum(left == NEVER) > 0
        return self._told(np.where(ended, 0.0, np.cumprod(left)))

    @cached_property
    def shown(self) -> Floats:
        """Never above 1, never rising; without noise the curve itself."""
        found: Floats = self.survival[: self.told]
        if not self.table.exact and self.told:
            from scipy.optimize import isotonic_regression

            found = np.asarray(np.clip(isotonic_regression(found, increasing=False).x, 0.0, 1.0), dtype=np.float64)
        return self._told(found)

    @cached_property
    def log_noise(self) -> Floats:
        """g'Vg of log S(t), g its gradient in the cells."""
        n, _, left = self._steps
        each = 1 / (n * left) - 1 / n  # of one holder more at risk, to the log of one factor
        upto = np.cumsum(each)
        durations = np.arange(len(self.cells))
        reached = np.minimum(durations[None, :], np.arange(self.told)[:, None])
        at_risk = upto[np.minimum(reached, self.told - 1)]
        event = np.zeros((self.told, len(self.cells)))
        event[:, : self.told] = np.tril(np.broadcast_to(1 / (n * left), (self.told, self.told)))
        return self._spread(np.stack([at_risk, at_risk - event], axis=-1))

    @cached_property
    def log_sampling(self) -> Floats:
        """Greenwood's."""
        n, d, left = self._steps
        return np.cumsum(np.maximum(d, 0.0) / (n * n * left))

    @property
    def se_noise(self) -> Floats:
        return self._se(self.log_noise) if self.told else self._told(np.zeros(0))

    @property
    def se_sampling(self) -> Floats:
        return self._se(self.log_sampling)

    def _se(self, of_log: Floats) -> Floats:
        return self._told(np.asarray(np.cumprod(self._steps[2]) * np.sqrt(of_log)))

    @cached_property
    def ends(self) -> tuple[Floats, Floats]:
        """Of log(-log S) where S is apart from 1 by more than noise, of S itself where it is not. Both hold S."""
        if not self.told:
            return self._told(np.zeros(0)), self._told(np.zeros(0))
        estimate = self.survival[: self.told]
        curve = np.cumprod(self._steps[2])
        spread = np.sqrt(self.log_noise + self.drawn * self.log_sampling)
        with np.errstate(divide="ignore", invalid="ignore"):
            hazard = -np.log(curve)
            plain = ~(hazard > self.z * np.sqrt(self.log_noise)) | (hazard <= 0)
            reach = np.exp(np.minimum(self.z * spread / np.where(plain, np.inf, hazard), 700.0))
        low, high = np.minimum(curve, 1.0) ** reach, np.minimum(curve, 1.0) ** (1 / reach)
        low = np.where(plain, curve * (1 - self.z * spread), low)
        high = np.where(plain, curve * (1 + self.z * spread), high)
        before = np.append(np.nan, high[:-1])
        ended = (estimate == 0) & (curve > 0)
        high = np.where(ended, np.fmax(np.where(np.isnan(before), 1.0, before), 0.0), high)
        low = np.where(ended, 0.0, low)
        inside = np.clip(estimate, 0.0, 1.0)
        low, high = (np.clip(each, 0.0, 1.0) for each in (low, high))
        return self._told(np.minimum(low, inside)), self._told(np.maximum(high, inside))

    @property
    def low(self) -> Floats:
        return self.ends[0]

    @property
    def high(self) -> Floats:
        return self.ends[1]

    def median(self, longest: int) -> tuple[float, float, float]:
        """The first time at which half are left, and the times that it may be: those whose interval holds one half; NaN if it is never
        reached. Where the upper end never falls to one half, it is the end of the range."""
        below, possible, sure = (
            np.flatnonzero(each[: self.told] <= HALF) for each in (self.shown, self.low, self.high)
        )
        if not len(below):
            return np.nan, np.nan, np.nan
        found = float(self.times[below[0]])
        last = float(self.times[sure[0]]) if len(sure) else float(longest)
        return found, min(float(self.times[possible[0]]), found), max(last, found)


def beyond(cells: Any, times: int) -> Any:
    """... x durations x 2, with those beyond the last time as seen until then."""
    found = cells[..., :times, :].copy()
    found[..., -1, CENSORED] += cells[..., times:, :].sum(axis=(-1, -2))
    return found


# --- log-rank


def log_rank(curves: Sequence[Curve], table: Table, sums: Estimates) -> tuple[float, int, float] | None:
    """Statistic, degrees of freedom and p-value; None where nothing can be said.

    Without noise the classical one, groups without holders apart. Else U' W^-1 U with the spread W that U has in draws without a
    difference: each group follows the hazards of all together, and the cells carry the noise of the table.
    """
    cells = np.stack([curve.split for curve in curves]) / QUANTA
    if table.exact:
        cells = cells[cells.sum(axis=(1, 2)) > 0]
        score, spread = _score(cells), _classical(cells)
        df = len(cells) - 1
        if df < 1 or np.linalg.matrix_rank(spread) < df:
            return None
        from scipy.special import chdtrc

        statistic = float(score @ np.linalg.solve(spread, score))
        return statistic, df, float(chdtrc(df, statistic))
    curves = [curve for curve in curves if curve.told]
    if len(curves) < 2:
        return None
    cells, told = np.stack([curve.split for curve in curves]) / QUANTA, max(curve.told for curve in curves)
    generator = sums.stream("log_rank")
    drawn = np.concatenate([_score(each, told) for each in _alike(cells, curves, table, generator)])
    spread, score = np.atleast_2d(np.cov(drawn.T, bias=True)), _score(cells, told)
    inverse = np.linalg.pinv(spread, rcond=1e-10)
    statistic = float(score @ inverse @ score)
    others = np.einsum("ki,ij,kj->k", drawn - drawn.mean(axis=0), inverse, drawn - drawn.mean(axis=0))
    return statistic, len(curves) - 1, (1 + int((others >= statistic).sum())) / (DRAWS + 1)


def _score(cells: Floats, told: int | None = None) -> Floats:
    """U = sum of d_g - n_g d / n over times, for all groups but the last. `cells`: ... x groups x times x 2. `told`: so many times are
    used."""
    at_risk = _later(cells)[..., :told]
    events = cells[..., :told, EVENT]
    total, died = at_risk.sum(axis=-2, keepdims=True), events.sum(axis=-2, keepdims=True)
    with np.errstate(divide="ignore", invalid="ignore"):
        hazard = np.where(total > 0, died / total, 0.0)
    return np.asarray((events - at_risk * hazard).sum(axis=-1)[..., :-1])


def _later(cells: Floats) -> Floats:
    """Holders at each time or later. `cells`: ... x times x 2."""
    return np.asarray(cells.sum(axis=-1)[..., ::-1].cumsum(axis=-1)[..., ::-1])


def _classical(cells: Floats) -> Floats:
    """Covariance of U given the margins."""
    at_risk = _later(cells)
    total, died = at_risk.sum(axis=0), cells[:, :, EVENT].sum(axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        part = np.where(total > 0, at_risk / total, 0.0)
        factor = np.where(total > 1, died * (total - died) / (total - 1), 0.0)
    found = np.einsum("t,gt,gh->gh", factor, part, np.eye(len(cells))) - np.einsum("t,gt,ht->gh", factor, part, part)
    return np.asarray(found[:-1, :-1])


def _alike(cells: Floats, curves: Sequence[Curve], table: Table, generator: Any) -> Iterator[Floats]:
    """999 draws of the cells of groups that do not differ, some at a time: draws x groups x times x 2."""
    at_risk = _later(cells).sum(axis=0)  # as they are: cells cut at 0 would add up to more at risk than there are
    with np.errstate(divide="ignore", invalid="ignore"):
        hazard = np.where(at_risk > 0, np.clip(cells[:, :, EVENT].sum(axis=0) / at_risk, 0.0, 1.0), 0.0)
    times, some = cells.shape[1], 1 + (1 << 21) // max(1, table.units.size)
    left = DRAWS
    while left:
        number = min(left, some)
        noise = table.draws(generator, number)
        errors = [beyond(np.moveaxis(noise, 0, -3)[curve.group][:, :-1, :-1], times) for curve in curves]
        yield _followed(cells, hazard, generator, number) + np.stack(errors, axis=1)
        left -= number


def _followed(cells: Floats, hazard: Floats, generator: Any, number: int) -> Floats:
    """As many holders in each group, of whom events take a part `hazard` of those at risk and censoring the part that it took."""
    found = np.zeros((number, *cells.shape))
    left = np.broadcast_to(np.maximum(np.rint(cells.sum(axis=(1, 2))), 0).astype(np.int64), (number, len(cells)))
    stayed = _later(cells) - cells[:, :, EVENT]
    with np.errstate(divide="ignore", invalid="ignore"):
        censoring = np.where(stayed > 0, np.clip(cells[:, :, CENSORED] / stayed, 0.0, 1.0), 1.0)
    for time in range(cells.shape[1]):
        died = generator.binomial(left, hazard[time])
        gone = generator.binomial(left - died, censoring[:, time])
        found[:, :, time, EVENT], found[:, :, time, CENSORED] = died, gone
        left = left - died - gone
    return found
