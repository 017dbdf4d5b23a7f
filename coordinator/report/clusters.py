"""Clusters of a k-means on the page: a table of their sizes and centres, and a profile of each.

Cluster 1 · 38.2 % ±0.4 %
age            ────────│──────●──      41.2 ±0.3       a line from the lowest to the highest centre of all clusters,
income         ─●──────│─────────   4,120 ±65          a tick at the mean of all, the dot of this cluster with its interval
"""

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from coordinator.report.charts import ACCENT, INK, LEFT, LINE, MUTED, NUMBER, TEXT, WIDTH, Marks, Picture, folded
from coordinator.report.grids import Cell, Grid, Group, Line, Numbered, cell, letters
from coordinator.report.numbers import fixed, printed
from coordinator.report.wording import Wording
from coordinator.results import POOLED, Question, Row

CLUSTER, VARIABLE = "cluster", "variable"
MEASURES = ("count", "share", "centre")
MOST_LINES = 60  # of one picture: clusters by variables; beyond, the table says it
RULE = 22.0  # pixels of a line of a profile
HEAD = 24.0
TEXTS = 108.0  # beside the rules, for a centre with its interval


@dataclass(frozen=True)
class Shown:
    """What a figure is made of."""

    title: Markup
    sentence: Markup
    grid: Grid
    picture: Picture | None


def fits(question: Question) -> bool:
    """Whether it is a k-means whose rows are keyed as they are; a later version may key them otherwise."""
    known = set(question.keys) == {CLUSTER, VARIABLE} and all(row.measure in MEASURES for row in question.rows)
    return question.kind == "kmeans" and known and all(code.isdecimal() for code in question.codes(CLUSTER))


def title(wording: Wording, question: Question) -> Markup:
    names = [wording.variable(name) for name in _variables(question)]
    return wording.say("question_kmeans", of=wording.listed(names), k=len(question.codes(CLUSTER)))


def tables(wording: Wording, question: Question, rows: Sequence[Numbered], city: str) -> list[Grid]:
    """A line per cluster: how many, which part of all, and its centre, each coordinate in its unit."""
    place = {(row.measure, str(row[CLUSTER]), row[VARIABLE]): (number, row) for number, row in rows}
    columns = [("count", None), ("share", None), *(("centre", name) for name in _variables(question))]
    lines = []
    for code in question.codes(CLUSTER):
        found = [place.get((measure, code, name)) for measure, name in columns]
        cells = tuple(cell(*each) if each else Cell(look="blank") for each in found)
        lines.append(Line(((_named(wording, code), 1),), cells))
    heads = [
        str(wording.measure(measure) if name is None else wording.in_unit(wording.variable(name), name))
        for measure, name in columns
    ]
    groups = (Group(tuple(lines)),)
    stub = (wording.variable(CLUSTER),)
    return [Grid("list", wording.say("what_kmeans"), stub, tuple(heads), groups, letters(groups), city)]


def figure(wording: Wording, question: Question) -> Shown | None:
    """The profiles of all clusters; None where there is nothing to draw, or too much."""
    rows = [(number, row) for number, row in enumerate(question.rows) if row.scope == POOLED]
    codes, variables = question.codes(CLUSTER), _variables(question)
    drawn = [row for _, row in rows if row.measure == "centre" and row.estimate is not None]
    if not drawn or len(codes) * len(variables) > MOST_LINES:
        return None
    shares = {str(row[CLUSTER]): row for _, row in rows if row.measure == "share"}
    (grid,) = tables(wording, question, rows, "")
    heads = [(_headed(wording, code, shares.get(code)), code) for code in codes]
    picture = _profiles(wording, heads, variables, drawn)
    sentence = wording.say("figure_kmeans", confidence=wording.percent())
    return Shown(title(wording, question), sentence, grid, picture)


def notes(wording: Wording, question: Question) -> tuple[Markup, ...]:
    """In how many rounds of how many holders, and why clusters are doubtful."""
    fit = question.fit
    if fit is None:
        return ()
    said = [wording.say("note_clusters", n=fixed(fit.n or 0.0, 0), rounds=fit.rounds, unit=wording.unit())]
    stayed = fit.further.get("stayed")
    if isinstance(stayed, list) and stayed:
        said.append(
            wording.say("note_clusters_stayed", clusters=wording.listed(_named(wording, str(at)) for at in stayed))
        )
    return tuple(said) if fit.converged else (*said, wording.say("note_clusters_moving"))


def _variables(question: Question) -> tuple[str, ...]:
    """In the order of the question."""
    return tuple(dict.fromkeys(str(row[VARIABLE]) for row in question.rows if row.measure == "centre"))


def _named(wording: Wording, code: str) -> str:
    return str(wording.say("cluster_named", number=code).unescape())


def _headed(wording: Wording, code: str, share: Row | None) -> str:
    shown = printed(share) if share is not None else None
    marks = "".join(f" [{letter}]" for letter in share.letters) if share is not None else ""
    return f"{_named(wording, code)} · {shown.value} % {shown.error}{marks}" if shown else _named(wording, code)


def _profiles(
    wording: Wording, heads: Sequence[tuple[str, str]], variables: Sequence[str], rows: Sequence[Row]
) -> Picture:
    marks, y = Marks(), 2.0
    spans = {name: _span([row for row in rows if row[VARIABLE] == name]) for name in variables}
    for head, code in heads:
        marks.text(0.0, y + 15, head, fontWeight="bold", fontSize=NUMBER)
        y += HEAD
        for row in (row for row in rows if row[CLUSTER] == code):
            least, middle, most = spans[str(row[VARIABLE])]
            _profile(marks, y, wording.variable(str(row[VARIABLE])), row, (least, middle, most))
            y += RULE
        y += 6
    return Picture(WIDTH, int(y), marks.spec(WIDTH, int(y)))


def _span(rows: Sequence[Row]) -> tuple[float, float, float]:
    """The lowest centre of one variable, the mean over all holders, and the highest centre."""
    centres = [row.estimate or 0.0 for row in rows]
    sizes = [max(row.base or 0.0, 0.0) for row in rows]
    whole = sum(sizes)
    middle = sum(size * at for size, at in zip(sizes, centres, strict=True)) / whole if whole else centres[0]
    return min(centres), middle, max(centres)


def _profile(marks: Marks, y: float, label: str, row: Row, span: tuple[float, float, float]) -> None:
    """One line: where this centre stands among those of all clusters."""
    least, mean, most = span
    begin, end, middle = LEFT, WIDTH - TEXTS, y + RULE / 2

    def at(value: float) -> float:
        part = (value - least) / (most - least) if most > least else 0.5
        return begin + (end - begin) * min(max(part, 0.0), 1.0)

    colour = MUTED if row.letters else ACCENT
    said = folded(label, TEXT, LEFT - 8, 1)
    marks.text(0.0, middle + 4, said[0] if said else "")
    marks.line(begin, middle, end, middle, LINE, 1.0)
    marks.line(at(mean), middle - 5, at(mean), middle + 5, MUTED, 1.0)
    if row.ci_low is not None and row.ci_high is not None:
        marks.line(at(row.ci_low), middle, at(row.ci_high), middle, colour, 3.0)
    marks.rect(at(row.estimate or 0.0) - 4, middle - 4, 8.0, 8.0, colour)
    shown = printed(row)
    beside = (
        shown.error if shown and shown.error.startswith("±") else ""
    )  # an interval of two ends is drawn, and in the table
    text = f"{shown.value} {beside}" if shown else ""
    letters_ = "".join(f" [{letter}]" for letter in row.letters)
    marks.text(WIDTH - 2.0, middle + 4, f"{text}{letters_}".strip(), INK, align="right")
