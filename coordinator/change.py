"""What changed from one result to another: every row that both have, the second less the first, with one interval.

    two verified results ── the same cells ──▶ change with interval, p and q ── what else changed ──▶ marks and reasons

The interval is made of the two published ones, so that it covers what they cover, noise and the drawing of holders, and is as uneven as
they are: with arms b (below) and a (above) of the two estimates e, the change e2 - e1 has the arms sqrt(b2^2 + a1^2) and
sqrt(a2^2 + b1^2) (Zou and Donner 2008; for Wilson's intervals of shares that is Newcombe's). An index is compared by the quotient
e2 / e1, the same on the logarithms. Both take the two for independent: their noise is, and holders who stand in both make the true
error smaller, not larger.

A change has the mark `u` or `b` of either row; `b` also where cities, definitions, codes in use or the regime differ (`Reason`): the
numbers stand, and what they compare is not one thing.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from math import exp, isinf, log, nan, sqrt
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias

import numpy as np

from coordinator.results import POOLED, Results, Row
from coordinator.results import Question as Released
from protocols import manifest
from protocols.columns import month_number, month_of_text
from protocols.dictionary import Break, Dictionary, OfEvents, sources
from protocols.errors import ConfigError
from protocols.filters import leaves
from protocols.statistics.breaks import touching
from protocols.statistics.intervals import benjamini_hochberg
from protocols.statistics.rows import significant
from protocols.study import Study, Written, evaluated_files, from_files

Scale: TypeAlias = Literal["difference", "quotient"]
Where: TypeAlias = Literal["both", "first", "second"]
Identity: TypeAlias = tuple[str, str, bool, tuple[tuple[str, str], ...]]
QUOTIENTS: Final = frozenset(
    ("index",)
)  # measures that are ratios about a norm: half and double are equally far from it
PLACES: Final = frozenset(("rank",))  # of which no test is made
PARTS: Final = frozenset(("share", "row_share", "column_share", "survival"))  # in [0, 1]
NOT_BELOW_ZERO: Final = PARTS | {"count", "total", "index", "ratio", "at_risk"}
BY_MONTH: Final = frozenset(
    ("series", "vintage")
)  # rows that say which month they are about: the same month stands on both sides
WORDING: Final = frozenset(
    ("label", "aliases", "standard", "sensitivity")
)  # of a variable: what it is called, not what it means
OWN: Final = frozenset(("id", "kind", "weight", "release", "sampling", "cohort"))  # of a question: not what is measured


@dataclass(frozen=True)
class Side:
    """A result, and the study that it answers as that run asked it."""

    results: Results
    study: Study

    @property
    def levels(self) -> Mapping[str, Mapping[str, str]]:
        return self.study.levels

    def first_month(self) -> int:
        """The earliest that it may speak of: of its window, else that of its date."""
        window = self.study.file.window
        return month_number(self.study.file.as_of) if window is None else month_of_text(window.from_)


@dataclass(frozen=True)
class Reason:
    """Why the two sides of a question are not one thing: `cities`, `definition`, `codes`, `scopes` or `break`. `scopes`: the rows it holds
    for; None: all of them."""

    reason: str
    values: Mapping[str, Any]
    scopes: frozenset[str] | None = None

    def published(self) -> dict[str, Any]:
        return {"reason": self.reason, **self.values}


@dataclass(frozen=True)
class Change:
    """One row. `of`: the measure that changed. `se_noise`, `se_sampling`: of the change, on the scale of its logarithm for a quotient."""

    scope: str
    of: str
    keys: Mapping[str, str]
    scale: Scale
    where: Where
    contrast: bool = False
    first: float | None = None
    second: float | None = None
    estimate: float | None = None
    se_noise: float | None = None
    se_sampling: float | None = None
    ci_low: float | None = None
    ci_high: float | None = None
    p_value: float | None = None
    q_value: float | None = None
    obs_status: str = ""
    conf_status: str = ""

    def published(self) -> dict[str, Any]:
        """In the order of the contract; `in` says which results have the row."""
        numbers = ("first", "second", "estimate", "se_noise", "se_sampling", "ci_low", "ci_high", "p_value", "q_value")
        return {
            "scope": self.scope,
            "measure": "change",
            "of": self.of,
            "keys": dict(self.keys),
            **({"contrast": True} if self.contrast else {}),
            "scale": self.scale,
            "in": self.where,
            **{name: getattr(self, name) for name in numbers},
            "obs_status": self.obs_status,
            "conf_status": self.conf_status,
        }


@dataclass(frozen=True)
class Changed:
    """A question that both studies ask."""

    id: str
    kind: str
    keys: tuple[str, ...]
    reasons: tuple[Reason, ...]
    rows: tuple[Change, ...]


@dataclass(frozen=True)
class Changes:
    """`alone`: ids of questions that only one study asks, or asks as another kind."""

    first: Side
    second: Side
    confidence: float
    questions: tuple[Changed, ...]
    alone: Mapping[Where, tuple[str, ...]] = field(default_factory=dict)


def side(out: Path) -> Side:
    """A result folder that was verified. Errors: `ConfigError`, those of its files."""
    results = Results.load(out)
    asked, dictionary = ((out / path).read_bytes() for path in (manifest.STUDY, manifest.DICTIONARY))
    models = tuple((out / path).read_bytes() for path in evaluated_files(asked))
    study = from_files(Written(asked, dictionary, models))
    return Side(results, study.at(results.content.run.number + 1))


def compared(first: Side, second: Side) -> Changes:
    """Question by question, in the order of the second study. Its confidence is that of the intervals.

    Errors: `ConfigError` COMPARE_SAME, COMPARE_DICTIONARY, COMPARE_UNIT, COMPARE_NOTHING.
    """
    _comparable(first, second)
    questions = (first.results.questions, second.results.questions)
    both = [name for name in questions[1] if name in questions[0] and _one_kind(name, first, second)]
    if not both:
        raise ConfigError("COMPARE_NOTHING")
    return Changes(
        first,
        second,
        second.results.content.study.confidence,
        tuple(_changed(name, first, second) for name in both),
        {
            "first": tuple(name for name in questions[0] if name not in both),
            "second": tuple(name for name in questions[1] if name not in both),
        },
    )


def published(found: Changes) -> dict[str, Any]:
    """The whole comparison as plain values."""
    return {
        "first": _said(found.first),
        "second": _said(found.second),
        "confidence": found.confidence,
        "questions": {
            each.id: {
                "kind": each.kind,
                "keys": list(each.keys),
                "reasons": [reason.published() for reason in each.reasons],
                "rows": [row.published() for row in each.rows],
            }
            for each in found.questions
        },
        "only_first": list(found.alone["first"]),
        "only_second": list(found.alone["second"]),
    }


def _said(of: Side) -> dict[str, Any]:
    content = of.results.content
    return {
        "study": content.study.id,
        "revision": content.study.revision,
        "digest": content.study.digest,
        "results": of.results.digest,
        "as_of": content.run.as_of,
        "run": content.run.number,
        "mode": content.privacy.mode,
    }


def _comparable(first: Side, second: Side) -> None:
    """Errors: as `compared`."""
    one, other = first.results.content, second.results.content
    if (one.study.digest, one.run.number) == (other.study.digest, other.run.number):
        raise ConfigError("COMPARE_SAME", name=one.study.id, as_of=one.run.as_of)
    names = (first.study.dictionary.name, second.study.dictionary.name)
    if names[0] != names[1]:
        raise ConfigError("COMPARE_DICTIONARY", first=names[0], second=names[1])
    units = (first.study.dictionary.unit, second.study.dictionary.unit)
    if units[0] != units[1]:
        raise ConfigError("COMPARE_UNIT", first=units[0], second=units[1])


def _one_kind(name: str, first: Side, second: Side) -> bool:
    return first.results.questions[name].kind == second.results.questions[name].kind


# --- rows


def _changed(name: str, first: Side, second: Side) -> Changed:
    """All rows of one question, those of the second result in its order and then those that only the first has."""
    one, other = first.results.questions[name], second.results.questions[name]
    reasons = tuple(_reasons(name, first, second))
    z = _quantile(second.results.content.study.confidence)
    widths = tuple(z / _quantile(each.results.content.study.confidence) for each in (first, second))
    before = {_identity(row, one): row for row in one.rows}
    after = {_identity(row, other): row for row in other.rows}
    rows = [
        _change(of, (before[of], row), (widths[0], widths[1]), z) if of in before else _alone(of, row, "second")
        for of, row in after.items()
    ]
    rows += [_alone(of, row, "first") for of, row in before.items() if of not in after]
    rows = [_broken(row, reasons) for row in rows]
    q = benjamini_hochberg(np.array([nan if row.p_value is None else row.p_value for row in rows], dtype=np.float64))
    tested = (replace(row, q_value=None if np.isnan(at) else significant(at)) for row, at in zip(rows, q, strict=True))
    return Changed(name, other.kind, tuple(dict.fromkeys((*other.keys, *one.keys))), reasons, tuple(tested))


def _identity(row: Row, question: Released) -> Identity:
    """What a row is about. One that is keyed by its place is about what stands there."""
    keys = tuple((key, str(row[key])) for key in question.keys if row[key] is not None)
    return row.scope, row.measure, row.contrast, (("item", str(row["item"])),) if row["item"] is not None else keys


def between(one: Row, other: Row, question: Released, confidence: float = 0.95) -> Change:
    """The change from one row to another of the same cell, both with intervals at `confidence`."""
    return _change(_identity(other, question), (one, other), (1.0, 1.0), _quantile(confidence))


def _alone(of: Identity, row: Row, where: Where) -> Change:
    """A row that one result has: shown, and nothing is said of a change."""
    scope, measure, contrast, keys = of
    first, second = (row.estimate, None) if where == "first" else (None, row.estimate)
    status = "z" if "z" in row.obs_status else "x"
    return Change(scope, measure, dict(keys), _scale(measure), where, contrast, first, second, obs_status=status)


def _change(of: Identity, rows: tuple[Row, Row], widths: tuple[float, float], z: float) -> Change:
    """`widths`: by what the arms of each row are multiplied, so that both are at the confidence of `z`."""
    scope, measure, contrast, keys = of
    one, other = rows
    scale = _scale(measure)
    found = Change(scope, measure, dict(keys), scale, "both", contrast, one.estimate, other.estimate)
    letters = {*one.obs_status, *other.obs_status}
    if one.estimate is None or other.estimate is None:
        withheld = "C" * ("C" in (one.conf_status, other.conf_status))
        plain = "z" if "z" in letters else "" if withheld else "x"
        return replace(found, obs_status=plain, conf_status=withheld)
    status = "".join(sorted(letters & {"b", "u"}))
    onto, back = (log, exp) if scale == "quotient" else (float, float)
    if scale == "quotient" and min(one.estimate, other.estimate) <= 0:
        return replace(found, obs_status="x")
    by = onto(other.estimate) - onto(one.estimate)
    estimate = significant(exp(by)) if scale == "quotient" else _less(other.estimate, one.estimate)
    noise = _error((one.se_noise, other.se_noise), rows, scale)
    sampling = _error((one.se_sampling, other.se_sampling), rows, scale)
    found = replace(found, estimate=estimate, se_noise=noise, se_sampling=sampling, obs_status=status)
    arms = [_arms(row, onto, width) for row, width in zip(rows, widths, strict=True)]
    if arms[0] is None or arms[1] is None:
        return found
    (below_1, above_1), (below_2, above_2) = arms[0], arms[1]
    below, above = sqrt(below_2**2 + above_1**2), sqrt(above_2**2 + below_1**2)
    if isinf(below) or isinf(above):  # an index whose interval reaches 0: its logarithm has no end
        return replace(found, estimate=None, se_noise=None, se_sampling=None, obs_status="x")
    found = replace(found, ci_low=significant(back(by - below)), ci_high=significant(back(by + above)))
    inward = below if by > 0 else above
    if measure in PLACES or inward == 0:
        return found
    return replace(found, p_value=significant(_two_sided(by * z / inward)))


def _less(number: float, other: float) -> float:
    """The difference of two printed numbers, in decimals: changes of cells add up to those of margins as the cells do."""
    return float(Decimal(repr(number)) - Decimal(repr(other)))


def _scale(measure: str) -> Scale:
    return "quotient" if measure in QUOTIENTS else "difference"


def _error(parts: tuple[float | None, float | None], rows: tuple[Row, Row], scale: Scale) -> float | None:
    """Standard error of the change, of one kind; None unless both rows have theirs."""
    if parts[0] is None or parts[1] is None:
        return None
    sizes = [abs(row.estimate or 0.0) if scale == "quotient" else 1.0 for row in rows]
    return significant(sqrt((parts[0] / sizes[0]) ** 2 + (parts[1] / sizes[1]) ** 2))


def _arms(row: Row, onto: Callable[[float], float], width: float) -> tuple[float, float] | None:
    """How far the interval reaches below and above the estimate, on the scale of the change; None if there is none.

    Of a noised row an end that stands at the edge of what is possible was cut there, and says nothing of the error: that side is as long
    as the other.
    """
    if row.estimate is None or row.ci_low is None or row.ci_high is None:
        return None
    floor, ceiling = _edges(row) if row.se_noise else (-np.inf, np.inf)
    low, high = row.ci_low <= floor or row.ci_low > row.estimate, row.ci_high >= ceiling or row.ci_high < row.estimate
    if onto is log and row.ci_low <= 0:
        return float("inf"), width * (log(row.ci_high) - log(row.estimate))
    below, above = onto(row.estimate) - onto(row.ci_low), onto(row.ci_high) - onto(row.estimate)
    longest = max(below, above)
    if low or high:
        below, above = longest if low else below, longest if high else above
    return width * max(below, 0.0), width * max(above, 0.0)


def _edges(row: Row) -> tuple[float, float]:
    if row.contrast:
        return -1.0, 1.0
    return 0.0 if row.measure in NOT_BELOW_ZERO else -np.inf, 1.0 if row.measure in PARTS else np.inf


def _quantile(confidence: float) -> float:
    from scipy.special import ndtri

    return float(ndtri((1 + confidence) / 2))


def _two_sided(score: float) -> float:
    from scipy.special import ndtr

    return float(2 * ndtr(-abs(score)))


def _broken(row: Change, reasons: tuple[Reason, ...]) -> Change:
    """With `b` where a reason holds for its scope."""
    held = any(each.scopes is None or row.scope in each.scopes for each in reasons)
    if not held or row.where != "both" or row.estimate is None:
        return row
    return replace(row, obs_status="".join(sorted({*row.obs_status, "b"})))


# --- reasons


def _reasons(name: str, first: Side, second: Side) -> Iterator[Reason]:
    cities = [each.results.questions[name].cities for each in (first, second)]
    if set(cities[0]) != set(cities[1]):
        only = {
            f"only_{which}": [city for city in cities[at] if city not in cities[1 - at]]
            for at, which in ((0, "first"), (1, "second"))
        }
        yield Reason("cities", only, frozenset((POOLED,)))
    meant = [_meaning(name, each) for each in (first, second)]
    parts = [part for part in dict.fromkeys((*meant[0], *meant[1])) if meant[0].get(part) != meant[1].get(part)]
    if parts:
        yield Reason("definition", {"parts": parts})
    merged = [
        city for city in cities[1] if city in cities[0] and _unused(name, city, first) != _unused(name, city, second)
    ]
    if merged:
        yield Reason("codes", {"cities": merged}, frozenset((POOLED, *merged)))
    scopes = [each.results.content.cities.scopes for each in (first, second)]
    moved = [city for city in cities[1] if city in cities[0] and scopes[0].get(city) != scopes[1].get(city)]
    if moved:
        yield Reason("scopes", {"cities": moved}, frozenset((POOLED, *moved)))
    if second.results.questions[name].kind not in BY_MONTH:
        for each in _breaks(name, first, second):
            touched = [city for city in cities[1] if not each.cities or city in each.cities]
            if touched:
                label = {language: each.label.text(language) for language in ("zh", "en")}
                values = {
                    "from": each.from_.isoformat(),
                    "label": label,
                    "affects": list(each.affects),
                    "cities": touched,
                }
                yield Reason("break", values, frozenset((POOLED, *touched)))


def _meaning(name: str, of: Side) -> dict[str, Any]:
    """What a question asks, part by part: its parameters, whom it is about, and every variable behind it."""
    study = of.study
    question = next(each for each in study.file.questions if each.id == name)
    found = {
        key: value
        for key, value in question.model_dump(mode="json", by_alias=True, exclude_none=True).items()
        if key not in OWN
    }
    cohorts = [each for each in (study.file.cohort, question.cohort) if each is not None]
    if cohorts:
        found["cohort"] = [each.model_dump(mode="json", by_alias=True, exclude_none=True) for each in cohorts]
    for each in question.named():
        found[each] = _meaning(each, of)
    names = {*question.reads(study.domain), *(leaf.variable for each in cohorts for leaf in leaves(each))}
    for each in sorted(_behind(study.meant, names)):
        found[each] = (
            of.levels[each]
            if each in of.levels
            else _plain(study.meant.entry(each).model_dump(mode="json", by_alias=True, exclude_none=True))
        )
    for each in question.facts():
        found[each] = _plain(study.dictionary.facts[each].model_dump(mode="json", by_alias=True, exclude_none=True))
    blocks = study.workload.blocks[name].values()
    if any(block.over is not None or any(axis.months for axis in block.axes) for block in blocks):
        found["window"] = _window(study)
    return found


def _window(study: Study) -> list[int] | None:
    """How many months before its date a study's window begins and ends."""
    window, at = study.file.window, month_number(study.file.as_of)
    return None if window is None else [at - month_of_text(month) for month in (window.from_, window.to)]


def _plain(entry: Any) -> Any:
    """What a variable means, without what it is called."""
    match entry:
        case dict():
            return {key: _plain(value) for key, value in entry.items() if key not in WORDING}
        case list():
            return [_plain(each) for each in entry]
    return entry


def _behind(dictionary: Dictionary, names: set[str]) -> set[str]:
    """The names, and all that they are derived from, at every step."""
    found, waiting = set[str](), list(names)
    while waiting:
        name = waiting.pop()
        if name in found:
            continue
        found.add(name)
        made = dictionary.derived.get(name)
        waiting += dictionary.made_of(name) if isinstance(made, OfEvents) else sources(made) if made else ()
    return found


def _unused(name: str, city: str, of: Side) -> dict[str, tuple[str, ...]]:
    """Codes that no text of a city becomes, of the variables that the question reads."""
    question = next(each for each in of.study.file.questions if each.id == name)
    reads = set(of.study.reads(question))
    given = of.results.content.cities.unused.get(city, {})
    return {variable: codes for variable, codes in given.items() if variable in reads}


def _breaks(name: str, first: Side, second: Side) -> tuple[Break, ...]:
    """Breaks of the dictionary that lie between what the two sides speak of."""
    earlier, later = sorted((first, second), key=lambda each: each.study.file.as_of)
    question = next(each for each in later.study.file.questions if each.id == name)
    figures = [
        each for each in question.facts() if later.study.dictionary.named(each)
    ]  # a figure breaks as what it is a figure of
    names = (*question.reads(later.study.domain), *question.chosen_by(), *figures)
    from_, to = earlier.first_month(), month_number(later.study.file.as_of)
    return tuple(each for each in touching(later.study.domain, names) if each.between(from_, to))
