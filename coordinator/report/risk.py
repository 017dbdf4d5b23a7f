"""Scorecards, boosted trees and evaluations of models: which table and picture is whose, and what is said below them.

| kind | tables | pictures |
|---|---|---|
| scorecard | characteristics and bins; every characteristic with its value and weight (scorecards.py) | none |
| gbdt | what each variable adds: gain, and its part of all | bars of these parts |
| evaluate | ranking, calibration, groups, cities, stability (evaluations.py) | ROC, calibration, observed over expected by city |
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from markupsafe import Markup

from coordinator.report import evaluations, fits, panels, scorecards
from coordinator.report.grids import Cell, Grid, Group, Line, Numbered, cell
from coordinator.report.listing import Drawn, headed, listed
from coordinator.report.numbers import fixed, significant
from coordinator.report.scorecards import BIN, FEATURE
from coordinator.report.wording import Wording
from coordinator.results import Question, Row

OF_KEYS: Final[Mapping[str, frozenset[str]]] = {
    "scorecard": frozenset((FEATURE, BIN)),
    "gbdt": frozenset((FEATURE,)),
}


def shaped(question: Question) -> bool:
    """Whether it is one of these kinds and its rows are keyed as they are; a later version may key them otherwise."""
    if question.kind == "evaluate":
        return len(set(question.keys) - {FEATURE}) <= 1
    keys = OF_KEYS.get(question.kind)
    return keys is not None and set(question.keys) <= keys


def tables(wording: Wording, question: Question, rows: Sequence[Numbered]) -> list[Grid]:
    """Pre-condition: `shaped(question)`."""
    match question.kind:
        case "scorecard":
            return [*scorecards.card(wording, rows), *scorecards.worth(wording, question, rows)]
        case "gbdt":
            return _gains(wording, rows)
    return evaluations.tables(wording, question, rows)


def drawings(wording: Wording, question: Question) -> Iterator[Drawn]:
    """Pre-condition: `shaped(question)`."""
    if question.kind == "gbdt":
        yield from _importance(wording, question)
    if question.kind == "evaluate":
        yield from evaluations.drawings(wording, question)


# --- boosted trees


def _gains(wording: Wording, rows: Sequence[Numbered]) -> list[Grid]:
    lines = []
    for number, row, part in parts(rows):
        cells = (cell(number, row), Cell("" if part is None else fixed(100 * part, 1), ref=number))
        lines.append(Line(((wording.variable(str(row[FEATURE])), 1),), cells))
    heads = headed(wording, "measure_gain", "head_of_gain")
    return [listed(wording, "what_gbdt", [wording.variable(FEATURE)], heads, [Group(tuple(lines))])] if lines else []


def parts(rows: Iterable[Numbered]) -> list[tuple[int, Row, float | None]]:
    """Gains from the largest down, each with its part of all."""
    told = [(number, row) for number, row in rows if row.measure == "gain"]
    whole = sum(row.estimate or 0.0 for _, row in told)
    ranked = sorted(told, key=lambda each: -(each[1].estimate or 0.0))
    return [
        (number, row, row.estimate / whole if whole > 0 and row.estimate is not None else None)
        for number, row in ranked
    ]


def _importance(wording: Wording, question: Question) -> Iterator[Drawn]:
    gains = parts(enumerate(question.rows))
    bars = [
        panels.Bar(wording.variable(str(row[FEATURE])), part, f"{fixed(100 * part, 1)}%")
        for _, row, part in gains
        if part is not None
    ]
    picture = panels.bars(bars)
    if picture is None:
        return
    first = gains[0]
    said = wording.say(
        "figure_gbdt", variable=wording.variable(str(first[1][FEATURE])), share=fixed(100 * (first[2] or 0.0), 1),
        of=fits.subject(wording, question),
    )  # fmt: skip
    (twin,) = _gains(wording, list(enumerate(question.rows)))
    yield Drawn("gain", fits.title(wording, question), said, twin, picture)


# --- notes


def notes(wording: Wording, question: Question) -> tuple[Markup, ...]:
    """What the fit is like, what its numbers mean, and what they are not for."""
    fit = question.fit
    if fit is None or not fit.converged:
        return fits.notes(wording, question)
    further, said = fit.further, list[Markup]()
    n = fixed(fit.n or 0.0, 0)
    if question.kind == "scorecard":
        said += fits.notes(wording, question)
        scale = question.asked.get("points")
        if isinstance(scale, Mapping) and {"base", "odds", "pdo"} <= set(scale):
            shown = {name: f"{float(scale[name]):g}" for name in ("base", "odds", "pdo")}
            ends = scorecards.ends(question)
            said.append(wording.say("note_points", **shown, least=ends[0], most=ends[1]))
        if further.get("count_noise"):
            said.append(wording.say("note_count_noise", sd=significant(float(further["count_noise"]), 2)))
        wrong = further.get("wrong_sign")
        if wrong:
            names = wording.listed(wording.variable(str(each)) for each in wrong)
            said.append(
                wording.say(
                    "note_wrong_sign_out" if question.asked.get("drop_wrong_sign") else "note_wrong_sign", names=names
                )
            )
    elif question.kind == "gbdt":
        said.append(wording.say("note_trees", n=n, trees=further.get("trees", "–"), rounds=fit.rounds))
        said += _left_out(wording, further)
    else:
        key = "note_in_sample" if further.get("in_sample") else "note_out_of_sample"
        said.append(wording.say(key, n=n, rounds=fit.rounds))
        said += _left_out(wording, further)
        said += _unsaid(wording, further.get("unsaid"))
        said += _of_cities(wording, further.get("cities_unsaid"))
        if any(row.measure.endswith("_bound") for row in question.rows):
            said.append(wording.say("note_certain"))
        if question.asked.get("cut") is not None and "approved" not in (further.get("unsaid") or ()):
            said.append(wording.say("note_cut", cut=significant(float(question.asked["cut"]))))
    return (*said, wording.say("note_decision"))


def _unsaid(wording: Wording, told: object) -> list[Markup]:
    """What an evaluation has no number of, and why: measures with the same reason on one line."""
    why: dict[str, list[str]] = {}
    for measure, text in told.items() if isinstance(told, Mapping) else ():
        if isinstance(text, Mapping):
            why.setdefault(str(text.get(wording.language, "")), []).append(str(measure))
    return [
        wording.say("note_unsaid", measures=wording.listed(wording.measure(each) for each in measures), why=text)
        for text, measures in why.items()
    ]


def _of_cities(wording: Wording, told: object) -> list[Markup]:
    """Why nothing is said of cities."""
    return (
        [wording.say("note_cities_unsaid", why=str(told.get(wording.language, "")))]
        if isinstance(told, Mapping)
        else []
    )


def _left_out(wording: Wording, further: Mapping[str, Any]) -> list[Markup]:
    count = further.get("left_out")
    return [wording.say("note_fit_left_out", count=fixed(float(count), 0))] if count else []
