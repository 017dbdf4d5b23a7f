"""What a regression says: its coefficients as a table and as a forest of intervals, one sentence, and what the fit is like.

The sentence is about the term that stands farthest from 0 in its standard errors: as odds, as a ratio, or as a difference, by the link.
Estimates without a mark alone are spoken of; a fit without an answer says why.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import exp
from typing import Any, Final

from markupsafe import Markup

from coordinator.report import charts
from coordinator.report.grids import Cell, Grid, Group, Line, Numbered, cell, letters
from coordinator.report.numbers import delta, fixed, printed, probability, significant, span
from coordinator.report.wording import INTERCEPT, Wording
from coordinator.results import Coefficient, Question, Row

TITLES: Final = {  # of each kind, the key that says what it is about
    "glm": "outcome",
    "scorecard": "outcome",
    "gbdt": "outcome",
    "ordinal": "outcome",
    "multinomial": "outcome",
    "cox": "event",
    "evaluate": "model",
}
MOST_SPOTS: Final = 40  # terms of one picture
RATIOS: Final = {"logit": "odds", "log": "ratio", "identity": "difference"}
LINKS: Final = {
    "binomial": "logit",
    "gaussian": "identity",
    "poisson": "log",
    "gamma": "log",
    "negative_binomial": "log",
}


@dataclass(frozen=True)
class Drawing:
    title: Markup
    sentence: Markup
    twin: Grid
    plan: charts.Picture | None


def title(wording: Wording, question: Question) -> Markup:
    """Pre-condition: `TITLES` has its kind."""
    return wording.say(
        f"question_{question.kind}", of=wording.variable(str(question.asked.get(TITLES[question.kind], "")))
    )


def table(wording: Wording, rows: Sequence[Numbered]) -> Grid:
    """A line per term: estimate with its interval, standard error, test, and how far it can be from the fit of pooled rows; with noise,
    what of the standard error is noise in its place."""
    lines = []
    noisy = any(row.se_noise for _, row in rows)
    for number, row in rows:
        shown = printed(row)
        whole = span(shown.low, shown.high) if shown and shown.low else ""
        last = _written(row.se_noise) if noisy else _small(row["error_bound"])
        texts = (_written(row["std_error"]), whole, _tested(row), last)
        cells = (cell(number, row), *(Cell(text, ref=number) for text in texts))
        lines.append(Line(((wording.term(str(row["term"])), 1),), cells))
    heads = (
        "head_estimate",
        "head_std_error",
        "head_interval",
        "head_p",
        "head_of_noise" if noisy else "head_error_bound",
    )
    said = tuple(str(wording.say(key, confidence=wording.percent())) for key in heads)
    groups = (Group(tuple(lines)),)
    return Grid("list", wording.say("what_glm"), (str(wording.say("head_term")),), said, groups, letters(groups))


def _written(value: object, digits: int = 3) -> str:
    return significant(value, digits) if isinstance(value, int | float) else ""


def _small(value: object) -> str:
    """`5.8e-11`."""
    return delta(value) if isinstance(value, int | float) else ""


def _tested(row: Row) -> str:
    return probability(row.p_value) if row.p_value is not None else ""


def drawing(wording: Wording, question: Question) -> Drawing | None:
    """The forest of all terms but the constant; None where there are none, or too many to be read."""
    rows = [(number, row) for number, row in enumerate(question.rows) if row["term"] != INTERCEPT]
    if not 0 < len(rows) <= MOST_SPOTS:
        return None
    picture = charts.forest([_spot(wording, row) for _, row in rows], 0.0, "0")
    return Drawing(title(wording, question), sentence(wording, question), table(wording, rows), picture)


def _spot(wording: Wording, row: Row) -> charts.Spot:
    shown = printed(row)
    label = wording.term(str(row["term"]))
    if shown is None or row.estimate is None or row.ci_low is None or row.ci_high is None:
        return charts.Spot(label, None, 0.0, 0.0, "")
    return charts.Spot(label, row.estimate, row.ci_low, row.ci_high, f"{shown.value} {shown.error}".strip())


def sentence(wording: Wording, question: Question) -> Markup:
    """About the clearest term."""
    clear = [each for each in question.coefficients if each.term != INTERCEPT and _apart(each)]
    if not clear or (question.fit is not None and question.fit.obs_status):
        return wording.say("figure_glm_none")
    first = max(clear, key=lambda each: abs((each.estimate or 0.0) / (each.std_error or 1.0)))
    family = str(question.asked.get("family", ""))
    kind = RATIOS.get(str(question.asked.get("link") or LINKS.get(family, "")), "plain")
    ends = [each or 0.0 for each in (first.estimate, first.ci_low, first.ci_high)]
    shown = [significant(exp(each) if kind in ("odds", "ratio") else each) for each in ends]
    of = wording.variable(str(question.asked.get("outcome", "")))
    values = {"term": wording.term(first.term), "of": of, "value": shown[0], "interval": span(shown[1], shown[2])}
    return wording.say(f"figure_glm_{kind}", **values, confidence=wording.percent())


def _apart(each: Coefficient) -> bool:
    """Its interval does not hold 0."""
    return each.ci_low is not None and each.ci_high is not None and (each.ci_low > 0 or each.ci_high < 0)


def notes(wording: Wording, question: Question) -> tuple[Markup, ...]:
    """What the fit is like, or why there is none."""
    fit = question.fit
    if fit is None:
        return ()
    if not fit.converged:
        why = fit.why.text(wording.language) or fit.cause
        named = wording.listed(wording.term(name) for name in fit.named) or wording.say("none_dash")
        return (wording.say("note_fit_none", why=why, named=named),)
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
