"""The sentences of the first page. Each is bound to a predicate on cells; a cell with any mark is never mentioned.

A sentence prints the official estimate, the number of the table it points to and the one its interval belongs to; cells without a
mark are never negative. What no single city could state stands before these (`between.py`).

| sentence | holds if |
|---|---|
| contrast | q (or p) of a difference of two shares is at most 0.05 and its interval leaves out 0; the largest such difference |
| rate | the share of yes in one group, and in another: their intervals are apart; of each yes-or-no variable the pair of groups with |
| | the largest ratio; the two variables with the largest ones |
| money | one group's part of the total of an amount and its part of all holders: their intervals are apart; the farthest apart; |
| | an amount whose total over all was asked for too |
| TGI over, under | `preference` is over (under); the index farthest from 100 on that side |
| leading share | the interval of the most frequent code of an ungrouped frequency lies above that of every other code; three codes |
| | or more, and the leader is not nearly everybody; the first such question of the study |
| association | chi-square p at most 0.05 and the interval of Cramér's V above 0; the largest estimate |
"""

from collections.abc import Iterator
from dataclasses import dataclass

from markupsafe import Markup, escape

from coordinator.report.numbers import Printed, fixed, printed, significant, span
from coordinator.report.wording import Wording
from coordinator.results import POOLED, UNKNOWN, Question, Row

MOST = 5  # sentences: more are not read
MOST_RATES = 2
LEVEL = 0.05
YES_NO = (("true", "false"), ("yes", "no"))
FEWEST_CODES = 3  # of a frequency whose leading code is worth a sentence: of two codes the other one is the rest
NEARLY_ALL = 0.9  # a code that nearly everybody has is no news


@dataclass(frozen=True)
class Finding:
    """One sentence, and the question whose table it was read from. `look`: of the figure that shows it, where that is not its first."""

    text: Markup
    question: str
    look: str = ""


def findings(wording: Wording, questions: dict[str, Question]) -> tuple[Finding, ...]:
    """At most five, in the order of the table above; none if no predicate holds."""
    made = (
        _contrast(wording, questions),
        *_rates(wording, questions),
        _money(wording, questions),
        _index(wording, questions, "over"),
        _index(wording, questions, "under"),
        _leading(wording, questions),
        _association(wording, questions),
    )
    return tuple(each for each in made if each is not None)[:MOST]


def prose(wording: Wording, row: Row, shown: Printed, name: str, sign: str = "") -> dict[str, object]:
    """A number and its interval for a sentence. `name`: the question, so that a test can trace the number to its row."""
    value = number(shown, name, sign)
    return {"value": value, "confidence": wording.percent(), "interval": interval(wording, row, shown, sign)}


def number(shown: Printed, name: str, sign: str) -> Markup:
    return Markup('<b class="n" data-cell="{}">{}{}</b>').format(name, shown.value, sign)


def interval(wording: Wording, row: Row, shown: Printed, sign: str) -> Markup:
    """`116.1–121.7`, or with a word between the ends where one of them is negative."""
    if (row.ci_low or 0) < 0 or (row.ci_high or 0) < 0:
        return wording.say("interval_words", low=shown.low + sign, high=shown.high + sign)
    return escape(span(shown.low + sign, shown.high + sign))


def _pooled(questions: dict[str, Question], kind: str) -> Iterator[tuple[str, Question, Row]]:
    for name, question in questions.items():
        if question.kind == kind:
            yield from ((name, question, row) for row in question.rows if row.scope == POOLED)


def _known(row: Row, question: Question) -> bool:
    return (
        row.clear
        and row.ci_low is not None
        and row.ci_high is not None
        and not set(row.at(question.keys)) & set(UNKNOWN)
    )


def _contrast(wording: Wording, questions: dict[str, Question]) -> Finding | None:
    found = [
        (abs(row.estimate or 0), name, question, row)
        for name, question, row in _pooled(questions, "frequency")
        if _known(row, question) and question.compared(row) and differs(row)
    ]
    if not found:
        return None
    _, name, question, row = max(found, key=lambda each: each[0])
    of, by = question.keys
    shown, groups = printed(row), question.compared(row)
    if shown is None or groups is None:
        return None
    first, second = groups
    if (row.estimate or 0) < 0:  # said of the other group, so that the difference is a positive number
        first, second = second, first
        shown = Printed(shown.value[1:], shown.error, shown.high[1:], shown.low[1:])
        row = row.model_copy(update={"ci_low": -(row.ci_high or 0), "ci_high": -(row.ci_low or 0)})
    text = wording.say(
        "finding_contrast",
        of=wording.variable(of),
        code=wording.code(of, str(row[of])),
        by=wording.variable(by),
        first=wording.code(by, first),
        second=wording.code(by, second),
        unit=wording.unit(),
        **prose(wording, row, shown, name),
    )
    return Finding(text, name)


def _rates(wording: Wording, questions: dict[str, Question]) -> Iterator[Finding]:
    """How common a yes is where it is most common, beside where it is least."""
    best: dict[str, tuple[float, str, str, Row, Row]] = {}
    for name, question in questions.items():
        if question.kind not in ("frequency", "crosstab") or len(question.keys) != 2:
            continue
        for of, by in (question.keys, question.keys[::-1]):
            found = [row for row in _of_yes(question, of) if _known(row, question) and (row.estimate or 0) > 0]
            if len(found) < 2:
                continue
            low, *_, high = sorted(found, key=lambda row: row.estimate or 0)
            ratio = (high.estimate or 0) / (low.estimate or 1)
            if (low.ci_high or 0) < (high.ci_low or 0) and ratio > best.get(of, (1.0,))[0]:
                best[of] = (ratio, name, by, high, low)
    ordered = sorted(best.items(), key=lambda each: -each[1][0])[:MOST_RATES]
    for of, (_, name, by, high, low) in ordered:
        more, less = printed(high), printed(low)
        if more is None or less is None:
            continue
        yield Finding(
            wording.say(
                "finding_rate",
                of=wording.variable(of),
                by=wording.variable(by),
                first=wording.code(by, str(high[by])),
                second=wording.code(by, str(low[by])),
                unit=wording.unit(),
                other=number(less, name, "%"),
                beside=interval(wording, low, less, "%"),
                **prose(wording, high, more, name, "%"),
            ),
            name,
        )


def _of_yes(question: Question, of: str) -> Iterator[Row]:
    """Of each group of the other key, the pooled row that says which part of it is yes."""
    pair = next((pair for pair in YES_NO if set(question.codes(of)) - set(UNKNOWN) == set(pair)), None)
    shares = "share" if question.kind == "frequency" else "row_share" if of == question.keys[1] else "column_share"
    if pair is None or (question.kind == "frequency" and of != question.keys[0]):
        return
    for row in question.rows:
        if row.scope == POOLED and row.measure == shares and row[of] == pair[0] and not row.contrast:
            yield row


def _money(wording: Wording, questions: dict[str, Question]) -> Finding | None:
    """A group that pays, or takes, far more or less of an amount than its number would let expect."""
    found = []
    for name, question in questions.items():
        if question.kind != "mean" or len(question.keys) != 2:
            continue
        by, of = question.keys
        if not any(other.kind == "mean" and other.keys == (of,) for other in questions.values()):
            continue  # a total that nobody asked for in all, as that of contribution bases, may mean nothing
        people = {
            row[by]: row
            for other in questions.values()
            if other.kind == "frequency" and other.keys == (by,)
            for row in other.rows
            if row.scope == POOLED and row.measure == "share" and _known(row, other)
        }
        for row in question.rows:
            beside = people.get(row[by])
            if row.scope != POOLED or row.measure != "total_share" or not _known(row, question) or beside is None:
                continue
            if (row.ci_low or 0) > (beside.ci_high or 0) or (row.ci_high or 0) < (beside.ci_low or 0):
                found.append((abs((row.estimate or 0) - (beside.estimate or 0)), name, question, row, beside))
    if not found:
        return None
    _, name, question, row, beside = max(found, key=lambda each: each[0])
    by, of = question.keys
    shown, part = printed(row), printed(beside)
    if shown is None or part is None:
        return None
    text = wording.say(
        "finding_money",
        of=wording.variable(of),
        by=wording.variable(by),
        group=wording.code(by, str(row[by])),
        unit=wording.unit(),
        other=number(part, name, "%"),
        beside=interval(wording, beside, part, "%"),
        **prose(wording, row, shown, name, "%"),
    )
    return Finding(text, name)


def differs(row: Row) -> bool:
    """Of a difference: tested and clear of 0."""
    tested = row.q_value if row.q_value is not None else row.p_value
    low, high = row.interval
    return tested is not None and tested <= LEVEL and low is not None and high is not None and (low > 0 or high < 0)


def _index(wording: Wording, questions: dict[str, Question], side: str) -> Finding | None:
    found = [
        (abs((row.estimate or 0) - 100), name, question, row)
        for name, question, row in _pooled(questions, "tgi")
        if row.measure == "index" and row.preference == side and _known(row, question) and len(question.keys) == 2
    ]
    if not found:
        return None
    _, name, question, row = max(found, key=lambda each: each[0])
    target, by = question.keys
    shown = printed(row)
    if shown is None:
        return None
    text = wording.say(
        f"finding_{side}",
        target=wording.variable(target),
        code=wording.code(target, str(row[target])),
        by=wording.variable(by),
        group=wording.code(by, str(row[by])),
        unit=wording.unit(),
        **prose(wording, row, shown, name),
    )
    return Finding(text, name)


def _leading(wording: Wording, questions: dict[str, Question]) -> Finding | None:
    """Of the first frequency, in the order of the study, whose leader is clear of all others."""
    for name, question in questions.items():
        if question.kind != "frequency" or len(question.keys) != 1:
            continue
        shares = [row for row in question.rows if row.measure == "share" and row.scope == POOLED and not row.contrast]
        known = [row for row in shares if not set(row.at(question.keys)) & set(UNKNOWN)]
        leader = leads(known)
        shown = printed(leader) if leader else None
        if leader is None or shown is None or len(known) < FEWEST_CODES or (leader.estimate or 0) > NEARLY_ALL:
            continue
        (of,) = question.keys
        text = wording.say(
            "finding_leading",
            of=wording.variable(of),
            code=wording.code(of, str(leader[of])),
            unit=wording.unit(),
            **prose(wording, leader, shown, name, "%"),
        )
        return Finding(text, name)
    return None


def leads(shares: list[Row]) -> Row | None:
    """The row whose interval lies above those of all others. A withheld cell could be anything: then nobody leads."""
    if any(row.ci_low is None or row.ci_high is None for row in shares):
        return None
    ordered = sorted(shares, key=lambda row: row.ci_low or 0, reverse=True)
    if not ordered or not ordered[0].clear:
        return None
    return ordered[0] if all((row.ci_high or 0) < (ordered[0].ci_low or 0) for row in ordered[1:]) else None


def _association(wording: Wording, questions: dict[str, Question]) -> Finding | None:
    """The largest Cramér's V among the tables of two variables."""
    found = []
    for name, question in questions.items():
        tests = {test.name: test for test in question.tests if test.scope == POOLED}
        v, chi = tests.get("cramers_v"), tests.get("chi_square")
        if v is None or v.estimate is None or v.ci_low is None or v.ci_high is None or len(question.keys) != 2:
            continue
        if v.ci_low > 0 and chi is not None and chi.p_value is not None and chi.p_value <= LEVEL:
            found.append((v.estimate, name, question, v))
    if not found:
        return None
    _, name, question, v = max(found, key=lambda each: each[0])
    text = wording.say(
        "finding_association",
        a=wording.variable(question.keys[0]),
        b=wording.variable(question.keys[1]),
        value=Markup('<b class="n" data-cell="{}">{}</b>').format(name, significant(v.estimate or 0)),
        confidence=wording.percent(),
        interval=span(fixed(v.ci_low or 0, 3), fixed(v.ci_high or 0, 3)),
    )
    return Finding(text, name)
