"""What a regression says: its coefficients as a table and as a forest of intervals, one sentence, and what the fit is like.

Coefficients of a link that has ratios (odds, rates, hazards) are read as these: the table prints both, the forest stands on an axis of
ratios with a broken line at 1. A code is read against the code it has no column for, which is named; a number per unit.

The sentence is about the term that stands farthest from 0 in its standard errors: as odds, as a ratio, or as a difference, by the link.
Estimates without a mark alone are spoken of; a fit without an answer says why.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from math import exp, floor, log, log10
from typing import Any, Final, Literal

from markupsafe import Markup

from coordinator.report import charts, panels
from coordinator.report.grids import Cell, Grid, Group, Line, Numbered, cell, letters
from coordinator.report.numbers import decimals, delta, fixed, printed, probability, significant, span
from coordinator.report.wording import COLUMN, INTERCEPT, Wording
from coordinator.results import Coefficient, Question, Row

TITLES: Final = {  # of each kind, the key that says what it is about
    "glm": "outcome",
    "scorecard": "outcome",
    "gbdt": "outcome",
    "ordinal": "outcome",
    "multinomial": "outcome",
    "cox": "event",
    "hazard": "event",
    "evaluate": "model",
}
MONTH: Final = "month["  # how the constants of the months of a hazard begin
BASELINE: Final = "hazard"  # the measure of the rows that have the hazard of each month
MOST_SPOTS: Final = 40  # terms of one picture
FEWEST_MONTHS: Final = 2  # of a line
FARTHEST: Final = 13.8  # of a coefficient as a ratio: beyond a million, or a millionth, nobody reads the digits
LINKS: Final = {
    "binomial": "logit",
    "gaussian": "identity",
    "poisson": "log",
    "gamma": "log",
    "negative_binomial": "log",
}
Effect = Literal["odds", "ratio", "hazard", "order", "against", "difference", "plain"]
OF_LINKS: Final[dict[str, Effect]] = {"logit": "odds", "log": "ratio", "identity": "difference"}
BANDS: Final = re.compile(r"bands\((?P<name>[a-z][a-z0-9_]*), \[(?P<cuts>[^\]]*)\]\)\[(?P<code>[^\]]+)\]")


@dataclass(frozen=True)
class Drawing:
    title: Markup
    sentence: Markup
    twin: Grid
    plan: charts.Picture | None


@dataclass(frozen=True)
class Placed:
    """A coefficient by what it is of. `of`: the class of a multinomial; `variable`, `code`: of a column of one code, `reference` what it
    is against; none of these of a number or a product."""

    of: str = ""
    variable: str = ""
    code: str = ""
    reference: str = ""


def title(wording: Wording, question: Question) -> Markup:
    """Pre-condition: `TITLES` has its kind."""
    return wording.say(f"question_{question.kind}", of=subject(wording, question))


def subject(wording: Wording, question: Question) -> str:
    """What it is about, in words: an outcome, an event, or a model."""
    asked = question.asked.get(TITLES[question.kind], "")
    if isinstance(asked, Mapping):  # some codes of a category
        name = str(asked.get("variable", ""))
        codes = [asked["is"]] if asked.get("is") is not None else list(asked.get("in") or ())
        return f"{wording.variable(name)} = {' / '.join(wording.code(name, str(code)) for code in codes)}"
    name = str(asked)
    if question.kind == "evaluate":
        return modelled(wording, name)
    table, _, variable = name.partition(".")
    return wording.variable(name if name in wording.content.words.variables or not variable else variable or table)


def modelled(wording: Wording, name: str) -> str:
    """A model by its question: what it is, and the id of the question."""
    question = wording.content.questions.get(name)
    if question is None or question.kind not in TITLES or question.kind == "evaluate":
        return name
    said_ = question.label.text(wording.language) or str(title(wording, question).unescape())
    return str(wording.say("model_named", title=said_, id=name).unescape())


def effect(question: Question) -> Effect:
    """What a coefficient is, once it is read: by the kind, or by the link."""
    link = str(question.asked.get("link") or LINKS.get(str(question.asked.get("family", "")), ""))
    match question.kind:
        case "cox":
            return "hazard"
        case "ordinal":
            return "order"
        case "multinomial":
            return "against"
        case "hazard":
            return "hazard" if link == "cloglog" else "odds"
    return OF_LINKS.get(link, "plain")


def ratios(question: Question) -> bool:
    """Whether its coefficients are logarithms of something."""
    return effect(question) not in ("difference", "plain")


def sloped(question: Question, term: str) -> bool:
    """Whether a term is one of those asked for: no constant, none of a city, a class or a month, no threshold between two classes."""
    if question.kind == "hazard" and term.startswith(MONTH) and question.asked.get("baseline") != "none":
        return False
    last = term.rpartition(":")[2] if question.kind == "multinomial" else term
    return not (last.startswith(INTERCEPT) or (question.kind == "ordinal" and "|" in term))


def times(value: float) -> str:
    """A coefficient as a ratio, in three digits."""
    if abs(value) > FARTHEST:
        return "> 1,000,000" if value > 0 else "< 0.000001"
    return significant(exp(value))


def ratio(row: Row | Coefficient) -> str:
    """`0.81 [0.73–0.89]`."""
    if row.estimate is None:
        return ""
    if row.ci_low is None or row.ci_high is None:
        return times(row.estimate)
    value, low, high = together(row.estimate, row.ci_low, row.ci_high)
    return f"{value} [{span(low, high)}]"


def together(*values: float) -> list[str]:
    """Coefficients as ratios, with the decimals of the smallest of them where all are of one size: 0.996 [0.988–1.003]."""
    if all(abs(each) < log(10) for each in values):
        near = all(abs(each) < log(2) for each in values)
        places = 3 if near or min(values) < 0 else 2
        return [fixed(exp(each), places) for each in values]
    return [times(each) for each in values]


# --- the table


def tables(wording: Wording, question: Question, rows: Sequence[Numbered]) -> list[Grid]:
    """The coefficients, and of a hazard that of each month."""
    of_months = [(number, row) for number, row in rows if row.measure == BASELINE and row["term"] is None]
    terms = [(number, row) for number, row in rows if row["term"] is not None]
    made = [table(wording, question, terms), *([_monthly(wording, question, of_months)] if of_months else [])]
    told = question.fit.further.get("heterogeneity") if question.fit else None
    return [*made, *([_differing(wording, question, told)] if isinstance(told, list | tuple) and told else [])]


def _differing(wording: Wording, question: Question, told: Sequence[Mapping[str, Any]]) -> Grid:
    """How much each coefficient differs between cities, where effects are drawn at random."""
    lines = tuple(
        Line(
            ((termed(wording, question, str(each["term"])), 1),),
            (
                Cell(str(each["cities"])),
                Cell(_written(each["q"])),
                Cell(probability(each["p_value"])),
                Cell(fixed(100 * each["i2"], 0) + "%"),
                Cell(_written(each["tau2"])),
            ),
        )
        for each in told
    )
    heads = tuple(str(wording.say(key)) for key in ("strip_cities", "head_q_test", "head_p", "head_i2", "head_tau2"))
    return Grid("list", wording.say("what_differing"), (str(wording.say("head_term")),), heads, (Group(lines),), ())


def _terms(rows: Sequence[Row]) -> list[Numbered]:
    return [(number, row) for number, row in enumerate(rows) if row["term"] is not None]


def _monthly(wording: Wording, question: Question, rows: Sequence[Numbered]) -> Grid:
    key = _month_key(question)
    lines = tuple(Line(((wording.code(key, str(row[key])), 1),), (cell(number, row),)) for number, row in rows)
    groups = (Group(lines),)
    heads = (str(wording.measure(BASELINE).unescape()),)
    return Grid("list", wording.say("what_baseline"), (wording.variable(key),), heads, groups, letters(groups))


def _month_key(question: Question) -> str:
    """The key of the months: those of the calendar, or those since an account was opened."""
    return next((key for key in question.keys if key != "term"), "")


def table(wording: Wording, question: Question, rows: Sequence[Numbered]) -> Grid:
    """A line per term: coefficient, the ratio it stands for, standard error, test, and how far it can be from the fit of pooled rows; with
    noise, what of the standard error is noise in its place, and its part of the variance."""
    noisy, of_ratios = any(row.se_noise for _, row in rows), ratios(question)
    lines = []
    for number, row in rows:
        shown = settled(row)
        whole = span(shown[1], shown[2]) if shown and shown[1] else ""
        bare = Cell(shown[0] if shown else "", "", row.letters, "", number)
        last = [_written(row.se_noise), _noise_part(row)] if noisy else [_small(row["error_bound"])]
        read = [ratio(row) if sloped(question, str(row["term"])) else ""] if of_ratios else []
        texts = (_written(row["std_error"]), whole, *read, _tested(row), *last)
        cells = (bare, *(Cell(text, ref=number) for text in texts))
        lines.append(Line(((termed(wording, question, str(row["term"])), 1),), cells))
    heads = [str(wording.say(key)) for key in ("head_estimate", "head_std_error")]
    heads.append(str(wording.say("head_interval", confidence=wording.percent())))
    heads += [str(wording.say(f"effect_{effect(question)}").unescape())] if of_ratios else []
    heads += [
        str(wording.say(key))
        for key in ("head_p", *(("head_of_noise", "head_noise_part") if noisy else ("head_error_bound",)))
    ]
    groups = (Group(tuple(lines)),)
    return Grid(
        "list", wording.say("what_glm"), (str(wording.say("head_term")),), tuple(heads), groups, letters(groups)
    )


def settled(row: Row) -> tuple[str, str, str] | None:
    """A coefficient and the ends of its interval: three digits, and no more decimals than its standard error has with three."""
    if row.estimate is None:
        return None
    error = row["std_error"]
    places = decimals(row.measure, row.estimate)
    if isinstance(error, int | float) and error > 0:
        places = min(places, max(0, 2 - floor(log10(error))))
    ends = ["" if each is None else fixed(each, places) for each in row.interval]
    return fixed(row.estimate, places), ends[0], ends[1]


def noise_share(each: Coefficient) -> float:
    """The part of the variance that is noise."""
    return (each.se_noise / each.std_error) ** 2 if each.se_noise and each.std_error else 0.0


def _noise_part(row: Row) -> str:
    whole = row["std_error"]
    if row.se_noise is None or not isinstance(whole, int | float) or whole <= 0:
        return ""
    return fixed(100 * (row.se_noise / whole) ** 2, 0) + "%"


def _written(value: object, digits: int = 3) -> str:
    return significant(value, digits) if isinstance(value, int | float) else ""


def _small(value: object) -> str:
    """`5.8e-11`."""
    return delta(value) if isinstance(value, int | float) else ""


def _tested(row: Row) -> str:
    return probability(row.p_value) if row.p_value is not None else ""


# --- what a term is


def placed(wording: Wording, question: Question, term: str) -> Placed:
    """The parts of a term's name."""
    of, bare = "", term
    if question.kind == "multinomial":
        of, _, bare = term.partition(":")
    banded = BANDS.fullmatch(bare)
    if banded:
        first = f"<{banded['cuts'].split(', ')[0]}"
        return Placed(of, banded["name"], banded["code"], first)
    found = COLUMN.fullmatch(bare)
    if found is None or found["how"]:
        return Placed(of)
    name, code = found["name"], found["code"] or ""
    words = wording.content.words.variables.get(name)
    if not code:
        binary = words is not None and set(words.codes) == {"true", "false"}
        return Placed(of, name, "true", "false") if binary else Placed(of)
    used = {
        each["code"]
        for row in question.coefficients
        if (each := COLUMN.fullmatch(row.term.rpartition(":")[2])) and each["name"] == name
    }
    left = [each for each in words.codes if each not in used] if words else []
    sure = (
        len(left) == 1 or "other" not in used
    )  # thin codes join `other`, and are then not what others are read against
    return Placed(of, name, code, wording.listed(wording.code(name, each) for each in left) if left and sure else "")


def termed(wording: Wording, question: Question, term: str) -> str:
    """A term in words, with the class of a multinomial before it and what a threshold of an ordinal lies between."""
    if question.kind == "ordinal" and "|" in term:
        outcome = str(question.asked.get("outcome", ""))
        low, _, high = (wording.code(outcome, code) for code in term.partition("|"))
        return str(wording.say("term_between", low=low, high=high).unescape())
    if question.kind == "multinomial":
        of, _, bare = term.partition(":")
        return f"{wording.term(of)} · {_product(wording, bare)}"
    return _product(wording, term)


def _product(wording: Wording, term: str) -> str:
    """A column, or the product of two; bands of a number by their ends."""
    return " × ".join(map(partial(_factor, wording), term.split(":")))


def _factor(wording: Wording, part: str) -> str:
    banded = BANDS.fullmatch(part)
    if banded is None:
        return wording.term(part)
    return f"{wording.variable(banded['name'])} = {banded['code'].replace('-', '–')}"


def _label(wording: Wording, term: str, at: Placed) -> str:
    """Under the head of its variable: the code alone; else the term, a number with its unit."""
    if at.variable:
        return at.code.replace("-", "–") if at.reference.startswith("<") else wording.code(at.variable, at.code)
    bare = term.partition(":")[2] if at.of else term
    return str(wording.in_unit(_product(wording, bare), bare).unescape())


# --- the forest


def drawing(wording: Wording, question: Question) -> Drawing | None:
    """The forest of all terms but constants; None where there are none, or too many to be read."""
    rows = [(number, row) for number, row in _terms(question.rows) if sloped(question, str(row["term"]))]
    if not 0 < len(rows) <= MOST_SPOTS:
        return None
    of_ratios, found = ratios(question), effect(question)
    axis = panels.Axis(
        title=str(
            wording.say("axis_ratio" if of_ratios else "axis_plain", effect=wording.say(f"effect_{found}")).unescape()
        ),
        level=1.0 if of_ratios else 0.0,
        log=of_ratios,
        below=str(wording.say(f"below_{found}").unescape()),
        above=str(wording.say(f"above_{found}").unescape()),
    )
    picture = panels.forest(list(_lines(wording, question, [row for _, row in rows])), axis)
    return Drawing(title(wording, question), sentence(wording, question), table(wording, question, rows), picture)


def _lines(wording: Wording, question: Question, rows: Sequence[Row]) -> list[panels.Head | panels.Term]:
    made: list[panels.Head | panels.Term] = []
    of, variable = "", ""
    for row in rows:
        term = str(row["term"])
        at = placed(wording, question, term)
        if at.of != of:
            of, variable = at.of, ""
            made.append(panels.Head(_classed(wording, question, of), strong=True))
        if at.variable != variable:
            variable = at.variable
            if variable:
                made.append(panels.Head(_against(wording, at)))
        made.append(_spot(question, row, _label(wording, term, at), bool(at.variable)))
    return made


def _against(wording: Wording, at: Placed) -> str:
    name = wording.variable(at.variable)
    if not at.reference:
        return name
    reference = wording.code(at.variable, at.reference) if at.reference in ("true", "false") else at.reference
    return str(wording.say("against", variable=name, reference=reference).unescape())


def _classed(wording: Wording, question: Question, of: str) -> str:
    """`Product = monthly, against lump sum`: of a multinomial, the first class is the one that has no coefficients."""
    outcome = str(question.asked.get("outcome", ""))
    used = {found["code"] for each in question.coefficients if (found := COLUMN.fullmatch(each.term.partition(":")[0]))}
    words = wording.content.words.variables.get(outcome)
    left = [code for code in words.codes if code not in used] if words else []
    if len(left) != 1:
        return wording.term(of)
    return str(wording.say("against", variable=wording.term(of), reference=wording.code(outcome, left[0])).unescape())


def _spot(question: Question, row: Row, label: str, inside: bool) -> panels.Term:
    if row.estimate is None:
        return panels.Term(label, None, 0.0, 0.0, "", inside=inside)
    ends = [row.estimate if each is None else each for each in (row.estimate, row.ci_low, row.ci_high)]
    faint = bool(question.fit and question.fit.obs_status)
    if ratios(question):
        value, low, high = (exp(min(max(each, -FARTHEST), FARTHEST)) for each in ends)
        return panels.Term(label, value, low, high, ratio(row), faint, inside)
    found = settled(row)
    text = f"{found[0]} [{span(found[1], found[2])}]" if found and found[1] else found[0] if found else ""
    return panels.Term(label, ends[0], ends[1], ends[2], text, faint, inside)


def baseline(wording: Wording, question: Question) -> Drawing | None:
    """The hazard of each month as a line with its intervals; None where the fit has none."""
    rows = [
        (number, row) for number, row in enumerate(question.rows) if row.measure == BASELINE and row["term"] is None
    ]
    told = [row for _, row in rows if row.clear]
    key = _month_key(question)
    if len(told) < FEWEST_MONTHS or not key:
        return None
    points = tuple(
        charts.Point(row.estimate, row.ci_low, row.ci_high)
        if row.estimate is not None and row.ci_low is not None and row.ci_high is not None
        else None
        for _, row in rows
    )
    of = subject(wording, question)
    ticks = [wording.code(key, str(row[key])) for _, row in rows]
    picture = charts.lines(ticks, [charts.Curve(of, points)], lambda value: f"{fixed(100 * value, 1)}%")
    low, high = (pick(told, key=lambda row: row.estimate or 0.0) for pick in (min, max))
    text = wording.say(
        "figure_baseline",
        of=of,
        low=_month(wording, str(low[key])),
        least=_rate(low),
        high=_month(wording, str(high[key])),
        most=_rate(high),
    )
    title_ = wording.say("figure_baseline_title", of=of)
    return Drawing(title_, text, _monthly(wording, question, rows), picture)


def _month(wording: Wording, code: str) -> str:
    """`2022-05`, or since an account was opened the month of a number."""
    return str(wording.say("month_since", number=code).unescape()) if code.isdecimal() else code


def _rate(row: Row) -> str:
    shown = printed(row)
    return f"{shown.value}%" if shown else ""


# --- the sentence


def clearest(question: Question) -> Coefficient | None:
    """The term that stands farthest from 0; None where the interval of every one holds 0, or the fit is marked."""
    if question.fit is not None and question.fit.obs_status:
        return None
    clear = [each for each in question.coefficients if sloped(question, each.term) and _apart(each)]
    return max(clear, key=lambda each: abs((each.estimate or 0.0) / (each.std_error or 1.0)), default=None)


def sentence(wording: Wording, question: Question) -> Markup:
    """About the clearest term."""
    first = clearest(question)
    if first is None:
        return silent(wording, question)
    return wording.say(f"figure_glm_{effect(question)}", **said(wording, question, first), confidence=wording.percent())


def silent(wording: Wording, question: Question) -> Markup:
    """Why no term is spoken of: the fit is marked, a choice of columns leaves no errors, or nothing is clear of no difference."""
    terms = [each for each in question.coefficients if sloped(question, each.term)]
    if question.fit is not None and question.fit.obs_status:
        return wording.say("figure_glm_doubtful")
    if terms and all(each.ci_low is None for each in terms):
        chosen = sum(bool(each.estimate) for each in terms)
        return wording.say("figure_glm_selected", chosen=chosen, count=len(terms))
    return wording.say("figure_glm_none")


def said(wording: Wording, question: Question, first: Coefficient) -> dict[str, object]:
    """A term as it stands in a sentence: what it is, against what, its number and interval. Pre-condition: it has an interval."""
    ends = [each or 0.0 for each in (first.estimate, first.ci_low, first.ci_high)]
    shown = together(*ends) if ratios(question) else [significant(each) for each in ends]
    at = placed(wording, question, first.term)
    reference = wording.code(at.variable, at.reference) if at.reference in ("true", "false") else at.reference
    against = wording.say("against_code", reference=reference) if reference else wording.say("against_unit")
    return {
        "term": termed(wording, question, first.term),
        "against": wording.say("against_rest") if at.code and not reference else against,
        "of": subject(wording, question),
        "value": shown[0],
        "interval": span(shown[1], shown[2]),
    }


def _apart(each: Coefficient) -> bool:
    """Its interval does not hold 0."""
    return each.ci_low is not None and each.ci_high is not None and (each.ci_low > 0 or each.ci_high < 0)


# --- the fit


def notes(wording: Wording, question: Question) -> tuple[Markup, ...]:
    """What the fit is like, or why there is none."""
    fit = question.fit
    if fit is None:
        return ()
    if not fit.converged:
        why = fit.why.text(wording.language) or fit.cause
        if not fit.named:
            return (wording.say("note_fit_none", why=why),)
        return (wording.say("note_fit_none_named", why=why, named=wording.listed(map(wording.term, fit.named))),)
    further = fit.further
    if "widened" in further:
        return _of_noise(wording, question)
    bound = further.get("coefficient_error_bound")
    said = [wording.say("note_fit", n=fixed(fit.n or 0.0, 0), rounds=fit.rounds, bound=_small(bound))]
    figures = [("deviance", "fit_deviance"), ("null_deviance", "fit_null_deviance"), ("aic", "fit_aic")]
    listed = [
        wording.say(key, value=_written(further.get(name), 6)) for name, key in figures if further.get(name) is not None
    ]
    if listed:
        said.append(wording.listed(listed))
    for name in ("dropped", "collinear"):
        if further.get(name):
            said.append(
                wording.say(f"note_fit_{name}", terms=wording.listed(wording.term(each) for each in further[name]))
            )
    if further.get("left_out"):
        said.append(wording.say("note_fit_left_out", count=fixed(float(further["left_out"]), 0)))
    return (*said, *_influence(wording, further.get("influence", ())))


def _influence(wording: Wording, told: Sequence[Mapping[str, Any]]) -> Iterator[Markup]:
    """How far the fit would move without each city; which of them have to be looked at."""
    if not told:
        return
    listed = [
        f"{wording.city(each['city'])} {fixed(each['estimate'], 1)}" for each in told if each["estimate"] is not None
    ]
    yield wording.say("note_fit_influence", cities=wording.listed(listed))
    marked = [each["city"] for each in told if each["marked"] and each["estimate"] is not None]
    if marked:
        yield wording.say("note_fit_influence_marked", cities=wording.cities(marked))
    unknown = [each["city"] for each in told if each.get("cause") == "cannot_tell"]
    if unknown:
        yield wording.say("note_fit_influence_unknown", cities=wording.cities(unknown))


def _of_noise(wording: Wording, question: Question) -> tuple[Markup, ...]:
    """Of a fit with noise: what the noise cost, what there is no number of, and what makes its coefficients doubtful."""
    fit = question.fit
    assert fit is not None  # noqa: S101 notes looked
    further = fit.further
    times = significant(float(further["widened"]), 3)
    said = [
        wording.say("note_fit_noise", n=fixed(fit.n or 0.0, 0), rounds=fit.rounds, times=times),
        wording.say("note_fit_unsaid"),
    ]
    if further["left_out"]:
        said.append(wording.say("note_fit_left_out", count=fixed(float(further["left_out"]), 0)))
    if fit.obs_status and further["hidden_directions"]:
        said.append(wording.say("note_fit_hidden"))
    if fit.obs_status and further["clipped"]:
        said.append(wording.say("note_fit_clipped", share=fixed(100 * float(further["clipped"]), 1)))
    return tuple(said)
