"""The sentences that no single city could state: they open the first page. Each is made from cells without a mark.

| sentence | read from | holds if |
|---|---|---|
| regional difference | shares of a frequency by `city.NAME` of two levels | q of a difference is at most 0.05, its interval leaves out 0 |
| heterogeneity | comparisons of cities | q of Q over all rates is at most 0.05; the rate with the largest I² |
| transport | shares of a frequency by `city.NAME` and groups | one code leads a group in one level; does it lead in the other? |

Where the study asked and the predicate fails, a sentence says which difference would have been seen: the farthest end of the intervals.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup

from coordinator.report import grids, modelled
from coordinator.report.findings import MOST, Finding, differs, findings, interval, leads, number, prose
from coordinator.report.grids import Compared
from coordinator.report.numbers import Printed, factor, fixed, printed, significant, span
from coordinator.report.wording import Wording
from coordinator.results import POOLED, UNKNOWN, Question, Row
from protocols.statistics.intervals import benjamini_hochberg

OF_CITIES = "city."
LEVEL = 0.05
LEVELS = 2


def opening(wording: Wording, questions: dict[str, Question]) -> tuple[Finding, ...]:
    """The sentences of the first page: those that no single city could state, of models too, the farthest TGI after them, then all
    others."""
    between = tuple(_between(wording, questions))
    single = {name: each for name, each in questions.items() if not any(key.startswith(OF_CITIES) for key in each.keys)}
    others = findings(wording, single)
    if between:
        others = tuple(sorted(others, key=lambda each: questions[each.question].kind != "tgi"))
    return (*between, *modelled.sentences(wording, questions), *others)[:MOST]


def _between(wording: Wording, questions: Mapping[str, Question]) -> Iterator[Finding]:
    """At most three, in the order of the table above; none of what the study did not ask."""
    for sentence in (_regional, _heterogeneity, _transport):
        found = sentence(wording, questions)
        if found is not None:
            yield found


def attribute(question: Question) -> str:
    """The attribute of two levels by which holders are split, if there is one."""
    named = [key for key in question.keys if key.startswith(OF_CITIES) and len(_levels(question, key)) == LEVELS]
    return named[0] if len(named) == 1 else ""


def _levels(question: Question, key: str) -> tuple[str, ...]:
    return tuple(code for code in question.codes(key) if code not in UNKNOWN)


def _known(row: Row, question: Question) -> bool:
    return (
        row.scope == POOLED
        and row.clear
        and row.ci_low is not None
        and row.ci_high is not None
        and not set(row.at(question.keys)) & set(UNKNOWN)
    )


def _cities(wording: Wording, key: str, level: str) -> str:
    """Cities of a level, as they can stand in a sentence."""
    return str(
        wording.say("between_cities", attribute=wording.variable(key), level=wording.code(key, level)).unescape()
    )


# --- regional difference


def _regional(wording: Wording, questions: Mapping[str, Question]) -> Finding | None:
    """Of shares by an attribute of cities, the largest difference."""
    asked = [
        (name, question, row)
        for name, question in questions.items()
        if question.kind == "frequency" and len(question.keys) == LEVELS and attribute(question)
        for row in question.rows
        if row.contrast and _known(row, question)
    ]
    if not asked:
        return None
    found = [each for each in asked if differs(each[2])]
    if not found:
        name, question, row = max(asked, key=lambda each: _reach(each[2]))
        of, key = question.keys
        text = wording.say(
            "between_regional_none", of=wording.variable(of), attribute=wording.variable(key), most=_most(row)
        )
        return Finding(text, name)
    name, question, row = max(found, key=lambda each: abs(each[2].estimate or 0))
    of, key = question.keys
    first = str(row[key])
    second = next(code for code in _levels(question, key) if code != first)
    shown = printed(row)
    shares = {
        str(each[key]): each
        for each in question.rows
        if each.measure == "share" and each[of] == row[of] and not each.contrast and _known(each, question)
    }
    if shown is None or set(shares) != {first, second}:
        return None
    if (row.estimate or 0) < 0:
        first, second = second, first
        shown = Printed(shown.value[1:], shown.error, shown.high[1:], shown.low[1:])
        row = row.model_copy(update={"ci_low": -(row.ci_high or 0), "ci_high": -(row.ci_low or 0)})
    text = wording.say(
        "between_regional",
        of=wording.variable(of),
        code=wording.code(of, str(row[of])),
        first=_cities(wording, key, first),
        second=_cities(wording, key, second),
        more=_share(wording, shares[first], name),
        less=_share(wording, shares[second], name),
        unit=wording.unit(),
        **prose(wording, row, shown, name),
    )
    return Finding(text, name)


def _reach(row: Row) -> float:
    """The farthest end of an interval from nothing."""
    return max(abs(row.ci_low or 0), abs(row.ci_high or 0))


def _most(row: Row) -> str:
    return fixed(_reach(row) * factor(row.measure), 2)


def _share(wording: Wording, row: Row, name: str) -> Markup:
    """`43.9% (43.5–44.3%)`."""
    shown = printed(row)
    if shown is None:
        return Markup("")
    return wording.say(
        "between_share", value=number(shown, name, "%"), interval=interval(wording, row, shown, "%")
    )  # fmt: skip


# --- heterogeneity


@dataclass(frozen=True)
class Spread:
    """One rate of a comparison. `i_squared` and its interval: parts of 1."""

    name: str
    rate: Compared
    statistic: float
    df: int
    p: float
    i_squared: tuple[float, float, float]

    def rows(self, measure: str) -> list[Row]:
        """Of single cities, without a mark."""
        return [
            row
            for (scope, of), (_, row) in self.rate.rows.items()
            if scope != POOLED and of == measure and row.clear and None not in row.interval
        ]


def _heterogeneity(wording: Wording, questions: Mapping[str, Question]) -> Finding | None:
    rates = [
        spread
        for name, question in questions.items()
        if grids.comparison(question)
        for rate in grids.compared(wording, question)
        if (spread := _spread(name, question, rate)) is not None
    ]
    apart = (
        benjamini_hochberg(np.array([each.p for each in rates], dtype=np.float64)) <= LEVEL
    )  # one of many is apart by chance
    differing = [each for each, differs in zip(rates, apart, strict=True) if differs]
    told = [each for each in differing if len(each.rows(each.rate.shown)) >= LEVELS]
    if told:
        most = max(told, key=lambda each: each.i_squared[0])
        rows = sorted(most.rows(most.rate.shown), key=lambda row: row.estimate or 0)
        asked = questions[most.name].asked.get("standardise")
        names = asked if isinstance(asked, list) else []
        by = [wording.say("between_quoted", name=wording.variable(str(name))) for name in names]
        part, low, high = (fixed(100 * value, 0) for value in most.i_squared)
        text = wording.say(
            "between_heterogeneity" if by else "between_heterogeneity_crude",
            rate=most.rate.label,
            by=wording.listed(by),
            least=_end(wording, rows[0], most.name),
            most=_end(wording, rows[-1], most.name),
            statistic=fixed(most.statistic, 1),
            df=most.df,
            p=grids.told_p(most.p),
            part=Markup('<b class="n" data-cell="{}">{}%</b>').format(most.name, part),
            interval=f"{span(low, high)}%",
            confidence=wording.percent(),
        )
        return Finding(text, most.name)
    if differing:
        return None  # cities differ, and too few of their numbers are without a mark
    differences = [(each, row) for each in rates for row in each.rows("difference") if factor(row.measure) != 1]
    if not differences:
        return None
    each, row = max(differences, key=lambda found: _reach(found[1]))
    return Finding(wording.say("between_heterogeneity_none", rate=each.rate.label, most=_most(row)), each.name)


def _spread(name: str, question: Question, rate: Compared) -> Spread | None:
    of = grids.of_rate(question, rate)
    q, share = of.get("heterogeneity"), of.get("i_squared")
    if q is None or share is None or q.statistic is None or q.df is None or q.p_value is None:
        return None
    if share.estimate is None or share.ci_low is None or share.ci_high is None:
        return None
    return Spread(name, rate, q.statistic, q.df, q.p_value, (share.estimate, share.ci_low, share.ci_high))


def _end(wording: Wording, row: Row, name: str) -> Markup:
    """One end of the range of cities, in the unit of its rate."""
    shown, sign = printed(row), "%" if factor(row.measure) != 1 else ""
    if shown is None:
        return Markup("")
    return wording.say("between_share", value=number(shown, name, sign), interval=interval(wording, row, shown, sign))


# --- transport of a segment


@dataclass(frozen=True)
class Led:
    """The shares of one group of holders in the two levels of an attribute, and who leads there."""

    group: str
    shares: Mapping[str, list[Row]]  # by level
    of: str

    def leader(self, level: str) -> Row | None:
        return leads(self.shares[level])

    @property
    def leaders(self) -> dict[str, Row]:
        return {level: row for level in self.shares if (row := self.leader(level)) is not None}

    @property
    def carries_over(self) -> bool:
        return len(self.leaders) == LEVELS and len({row[self.of] for row in self.leaders.values()}) == 1

    @property
    def lead(self) -> float:
        """By how much the leader is ahead, in the level where it is more so."""
        found = 0.0
        for level, leader in self.leaders.items():
            second = max((row.estimate or 0 for row in self.shares[level] if row is not leader), default=0.0)
            found = max(found, (leader.estimate or 0) - second)
        return found

    @property
    def reach(self) -> float:
        """The largest lead that the intervals leave room for."""
        return max(
            (one.ci_high or 0) - (other.ci_low or 0)
            for rows in self.shares.values()
            for one in rows
            for other in rows
            if one is not other
        )


def _transport(wording: Wording, questions: Mapping[str, Question]) -> Finding | None:
    """The clearest group in which the leading code is another, or leads no more; where there is none, one in which it leads everywhere."""
    for name, question in questions.items():
        key = attribute(question)
        if question.kind != "frequency" or len(question.keys) != LEVELS + 1 or not key or question.keys[0] == key:
            continue
        groups = list(_led(question, key))
        told = [each for each in groups if each.leaders]
        if not groups:
            continue
        of, by = question.keys[0], next(each for each in question.keys[1:] if each != key)
        same = [each for each in told if each.carries_over]
        if not told:
            most = significant(100 * max(each.reach for each in groups))
            said = wording.say("between_transport_none", of=wording.variable(of), by=wording.variable(by), most=most)
            return Finding(said, name)
        lost = [each for each in told if not each.carries_over]
        chosen = max(lost or same, key=lambda each: each.lead)
        text = _told(wording, name, question, key, chosen)
        if lost and same:
            listed = wording.listed(wording.code(by, each.group) for each in same)
            text = wording.say("between_transport_beside", sentence=text, groups=listed)
        return Finding(text, name)
    return None


def _led(question: Question, key: str) -> Iterator[Led]:
    of, by = question.keys[0], next(each for each in question.keys[1:] if each != key)
    for group in _levels(question, by):
        shares: dict[str, list[Row]] = {level: [] for level in _levels(question, key)}
        for row in question.rows:
            told = row.scope == POOLED and row.measure == "share" and not row.contrast
            if told and row[by] == group and row[key] in shares and row[of] not in UNKNOWN:
                shares[str(row[key])].append(row)
        if all(rows and all(_known(row, question) for row in rows) for rows in shares.values()):
            yield Led(group, shares, of)


def _told(wording: Wording, name: str, question: Question, key: str, led: Led) -> Markup:
    by = next(each for each in question.keys[1:] if each != key)
    leaders, levels = led.leaders, list(led.shares)
    first = max(leaders, key=lambda level: leaders[level].estimate or 0)
    second = next(level for level in levels if level != first)
    code = leaders[first][led.of]
    there = next(row for row in led.shares[second] if row[led.of] == code)
    other = leaders.get(second)
    said = {
        "group": wording.code(by, led.group),
        "code": wording.code(led.of, str(code)),
        "first": _cities(wording, key, first),
        "second": _cities(wording, key, second),
        "share": _share(wording, leaders[first], name),
        "there": _share(wording, there, name),
        "confidence": wording.percent(),
    }
    if led.carries_over:
        return wording.say("between_transport_same", **said)
    if other is None:
        return wording.say("between_transport_lost", **said)
    return wording.say(
        "between_transport_other",
        other=wording.code(led.of, str(other[led.of])),
        leading=_share(wording, other, name),
        **said,
    )
