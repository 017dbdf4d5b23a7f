"""Which variables go together with an outcome, ranked: Cramér's V of each with its interval, and which places it may have.

Leaves the city: for each variable, one number per code of the outcome and of the variable, holders without a value on `_missing`. One
holder moves one cell of each table by 1.

Ranks are by the adjusted V, which is not larger for having more codes. Places come from public draws that carry the noise of each table
and, unless the register is meant, the drawing of holders; tables are drawn independently of each other.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from string import ascii_letters
from typing import Annotated, Final, Literal

import numpy as np
from pydantic import Field

from protocols.dictionary import Dictionary
from protocols.statistics import independence, marks
from protocols.statistics.estimates import QUANTA, Estimates, Floats, Table
from protocols.statistics.example import Example
from protocols.statistics.independence import DRAWS, Assessed
from protocols.statistics.intervals import benjamini_hochberg
from protocols.statistics.layout import Blocks, Domain, count
from protocols.statistics.question import Fault, Names, Question, axis_faults
from protocols.statistics.rows import DIGITS, Answer, Row, significant
from protocols.statistics.suppression import Withheld, uncovered

VARIABLE: Final = "variable"  # the key of rows
MOST_WITH: Final = 40
FEW_DRAWS: Final = 99  # where rows are foreseen, not released


class Association(Question):
    EXAMPLE = Example(
        {"id": "drivers", "kind": "association", "outcome": "product", "with": ["sex", "generation", "owner"]},
        holder={"product": "monthly", "sex": "female", "birth_year": "1991", "owner": "true"},
    )

    kind: Literal["association"] = "association"
    outcome: str
    with_: Annotated[Names, Field(alias="with")]

    def variables(self) -> tuple[str, ...]:
        return (self.outcome, *self.with_)

    def faults(self, dictionary: Dictionary) -> Iterator[Fault]:
        yield from axis_faults("outcome", (self.outcome,), dictionary)
        if not self.with_:
            yield Fault("with", "STUDY_EMPTY", {})
        if len(self.with_) > MOST_WITH:
            yield Fault("with", "STUDY_MANY", {"found": len(self.with_), "most": MOST_WITH})
        for number, name in enumerate(self.with_):
            if name in self.with_[:number]:
                yield Fault("with", "STUDY_TWICE", {"name": name})
            else:
                yield from axis_faults("with", (name,), dictionary, beside=(self.outcome,))

    def blocks(self, domain: Domain) -> Blocks:
        outcome = domain.axis(self.outcome)
        return {name: count([outcome, domain.axis(name)]) for name in self.with_}

    def finalize(self, sums: Estimates, domain: Domain) -> Answer:  # noqa: ARG002 tables carry their axes
        """For each variable V, adjusted V and its place. `base`: holders whose outcome and variable are both known."""
        tables = {name: sums[name].ordered((self.outcome, name)) for name in self.with_}
        drawn, draws = self.sampling is not False, DRAWS if sums.tested else FEW_DRAWS
        apart = {name: replace(sums, question=f"{sums.question} {name}") for name in self.with_}
        found = {name: independence.assess(table, apart[name], drawn, draws) for name, table in tables.items()}
        told = {name: each for name, each in found.items() if isinstance(each, Assessed)}
        p = np.array([independence.p_value(told[name], tables[name], apart[name]) for name in told if sums.tested])
        q = benjamini_hochberg(p).tolist() if sums.tested else []
        tests = dict(zip(told, zip(p.tolist(), q, strict=True), strict=True)) if sums.tested else {}
        places = _places({name: (each.adjusted, each.adjusted_draws) for name, each in told.items()}, sums.confidence)
        rows: list[tuple[Row, Row, Row]] = []
        for name in self.with_:  # in the order of the study: which rows there are says nothing of the sums
            keys, base = {VARIABLE: name}, tables[name].units[tables[name].known].sum()
            each = found[name]
            if not isinstance(each, Assessed):
                blank = [Row(measure, keys, obs_status=each) for measure in ("cramers_v", "adjusted", "rank")]
                rows.append((blank[0], blank[1], blank[2]))
                continue
            place, first, last, tie = places[name]
            status = _status(each, tables[name], sums)
            common = {"base": tables[name].printed(base).item(), "obs_status": status}
            p_value, q_value = (significant(value) for value in tests[name]) if name in tests else (None, None)
            rows.append(
                (
                    _row("cramers_v", keys, each.v, each.low, each.high, common | {"p_value": p_value, "q_value": q_value}),
                    _row("adjusted", keys, each.adjusted, each.low, each.high, common),
                    _row("rank", keys, place, first, last, common | {"tie": tie}),
                )
            )  # fmt: skip
        return Answer(tuple(row for measure in zip(*rows, strict=True) for row in measure))

    def withhold(self, answer: Answer, withheld: Withheld, blocks: Blocks) -> Answer:
        """Nothing at all where a cell of one of the tables is withheld: places follow from all of them."""
        return uncovered(answer) if any(withheld.touches(block.axes) for block in blocks.values()) else answer


def _row(
    measure: str, keys: dict[str, str], estimate: float, low: float, high: float, further: dict[str, object]
) -> Row:
    shown = significant(estimate)
    ends = (significant(min(low, estimate)), significant(max(high, estimate)))
    whole = Row(measure, keys, estimate=shown, display=shown, ci_low=ends[0], ci_high=ends[1])
    return replace(whole, **further)  # type: ignore[arg-type] # columns of a row, by name


def _status(of: Assessed, table: Table, sums: Estimates) -> str:
    n, known = table.units[table.known].sum() / QUANTA, table.known
    sd = float(np.sqrt(table.covariance(known)[0, 0]))
    half = np.asarray((of.high - of.low) / 2)
    return "u" if marks.doubtful_share(np.asarray(n), sd, sums.least(table), half, np.asarray(of.v)) else ""


def _places(
    of: dict[str, tuple[float, Floats]], confidence: float
) -> dict[str, tuple[float, float, float, str]]:  # fmt: skip
    """Of every variable its place, the first and the last one that it may have, and letters that it shares with those it may be tied
    with."""
    if not of:
        return {}
    values = np.round([value for value, _ in of.values()], DIGITS)  # what is printed alike is alike
    drawn = np.round([draws for _, draws in of.values()], DIGITS)
    above = (drawn[None, :, :] > drawn[:, None, :]).sum(axis=1)
    level = (drawn[None, :, :] == drawn[:, None, :]).sum(axis=1)
    tail = (1 - confidence) / 2
    place = 1 + (values[None, :] > values[:, None]).sum(axis=1)
    first = np.minimum(np.quantile(1 + above, tail, axis=1, method="lower"), place)
    last = np.maximum(np.quantile(above + level, 1 - tail, axis=1, method="higher"), place)
    letters = ties([*zip(first.tolist(), last.tolist(), strict=True)])
    return {
        name: (float(place[number]), float(first[number]), float(last[number]), letters[number])
        for number, name in enumerate(of)
    }


def ties(spans: Sequence[tuple[float, float]]) -> list[str]:
    """Letters, so that two spans share one exactly when they overlap."""
    groups: list[frozenset[int]] = []
    for point in sorted({low for low, _ in spans}):
        held = frozenset(number for number, (low, high) in enumerate(spans) if low <= point <= high)
        if not any(held <= other for other in groups):
            groups = [*(other for other in groups if not other <= held), held]
    named = dict(zip(groups, ascii_letters, strict=False))
    return ["".join(letter for group, letter in named.items() if number in group) for number in range(len(spans))]
