"""Which questions are shown as pictures, in which part of the page, with which table beside each.

| picture | of |
|---|---|
| heat map | every `tgi` whose codes fit one, pooled, or city by city where nothing is pooled |
| intervals beside each other | every rate of a comparison, city by city in the order of the roster |
| bars to 100 % | the shares of one variable: of all holders, of each city, and of the groups of every question that splits it |
| curves with bands | the ages of every pooled histogram of them, by one group at most, in one figure (`ages.py`) |
| boxes, step curves, dots with intervals | every pooled `quantiles`, `survival`, `association` that fits one (`orders.py`) |
| profiles | every `kmeans`, cluster by cluster (`clusters.py`) |
| lines, tiles | every question by month that can be read so (months.py) |
| a forest of intervals; ROC, calibration, gains | every regression (fits.py); evaluations and boosted trees (risk.py), last |

A picture never stands alone: its table holds the same numbers with their errors and marks, and takes its place where none could be
drawn. Doubtful indices are grey in it and withheld cells hatched, holders without a value are not in it, and the sentence above it is
made from cells without a mark.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Final

from markupsafe import Markup, escape

from coordinator.report import ages, charts, clusters, fits, months, orders, risk
from coordinator.report import grids as layout
from coordinator.report.findings import leads
from coordinator.report.grids import Cell, Grid, Group, Line
from coordinator.report.listing import Drawn
from coordinator.report.numbers import error, factor, fixed, printed, span, tint
from coordinator.report.wording import Wording
from coordinator.results import POOLED, UNKNOWN, Question, Row

MOST_FIGURES: Final = 24  # of one report
MOST_SHOWN: Final = 1_500  # numbers in all figures together: about 300 bytes each with their tables
MOST_CODES: Final = 10  # parts of a bar that can be told apart
MOST_GROUPS: Final = 12  # bars of one question
MOST_RATES: Final = 8  # pictures of one comparison
FEWEST_TILES: Final = 3  # on either side of a heat map: fewer are read faster in a table
FEWEST_COMPARED: Final = 2  # cities with a number
PARTS: Final[tuple[tuple[str, tuple[str, ...]], ...]] = (  # of the page, by the variables shown there
    ("products", ("product",)),
    ("channels", ("channel", "channel_group", "bank")),
    ("payments", ("contribution_base", "consecutive_periods")),
    ("conduct", ("withdrew_24m", "abnormal", "owner", "months_paying")),
)
YES_NO: Final = (("true", "false"), ("yes", "no"))

Questions = Mapping[str, Question]


@dataclass(frozen=True)
class Figure:
    """One picture with its table. `picture` is `None` before it is drawn, and where it could not be. `sources`: the questions it shows."""

    name: str
    number: int
    look: str
    title: Markup
    sentence: Markup
    twin: Grid
    question: str
    scopes: tuple[str, ...]
    sources: tuple[str, ...]
    wide: bool
    plan: charts.Picture | None
    picture: Markup | None = None

    @property
    def size(self) -> int:
        """Its numbers."""
        return sum(len(line.cells) for group in self.twin.groups for line in group.lines)

    def drawn(self) -> "Figure":
        label = f"{self.title.unescape()}. {self.sentence.unescape()}"
        return replace(self, picture=charts.draw(self.plan, label) if self.plan else None)


@dataclass(frozen=True)
class Part:
    """A part of the page."""

    name: str
    figures: tuple[Figure, ...]


@dataclass(frozen=True)
class _Plan:
    """A figure before it is drawn."""

    look: str
    of: str  # heat, forest: the question; bars: the variable
    scope: str = POOLED
    at: int = 0  # forest: which of its rates


def parts(wording: Wording, questions: Questions, chosen: Questions | None = None) -> tuple[Part, ...]:
    """The parts in the order of the page, those without a figure too, and at the end the figures of what belongs to none of them.

    `questions`: about everybody. `chosen`: those of cohorts as well, of which ages alone are drawn.
    """
    made: list[Part] = []
    number, room, named = 0, MOST_SHOWN, {variable for _, variables in PARTS for variable in variables}
    further = dict.fromkeys(
        question.keys[0]
        for question in questions.values()
        if question.keys and question.kind in ("tgi", "frequency") and len(question.keys) == 2 and question.keys[0] not in named
    )  # fmt: skip
    ordered = [orders.subject(question) for question in questions.values() if orders.pictured(question)]
    further |= dict.fromkeys(variable for variable in ordered if variable not in named)
    plans = {
        name: [plan for variable in variables for plan in _plans(wording, questions, variable)]
        for name, variables in PARTS
    }
    plans["ages"] = [_Plan("ages", "")]
    plans["cities"] = [
        _Plan("forest", name, at=at)
        for name, question in questions.items()
        if layout.comparison(question)
        for at in layout.most_heterogeneous(wording, question)[:MOST_RATES]
    ]
    plans["further"] = [plan for variable in further for plan in _plans(wording, questions, variable)]
    plans["further"] += [_Plan("clusters", name) for name, question in questions.items() if clusters.fits(question)]
    for name, wished in plans.items():
        figures = []
        for plan in wished:
            planned = _figure(wording, questions if plan.look != "ages" else chosen or questions, plan, number + 1)
            size = planned.size if planned else 0
            if planned is None or number == MOST_FIGURES or size > room:
                continue
            figures.append(planned.drawn())
            number, room = number + 1, room - size
        made.append(Part(name, tuple(figures)))
    monthly = []
    for each in _monthly(wording, questions, number + 1):
        if number == MOST_FIGURES or each.size > room:
            continue
        monthly.append(replace(each, number=number + 1).drawn())
        number, room = number + 1, room - each.size
    fitted = []
    for each in _fitted(wording, questions):
        if number == MOST_FIGURES or each.size > room:
            continue
        fitted.append(replace(each, number=number + 1).drawn())
        number, room = number + 1, room - each.size
    return (*made, Part("months", tuple(monthly)), Part("models", tuple(fitted)))


def _fitted(wording: Wording, questions: Questions) -> Iterator[Figure]:
    """Forests in the order of the study, with the months of a hazard; then what stands side by side, a ROC curve and its calibration; and
    last the gains."""
    for name, question in questions.items():
        if question.coefficients:
            for end, look, found in (
                ("", "fit", fits.drawing(wording, question)),
                ("-baseline", "baseline", fits.baseline(wording, question)),
            ):
                if found is not None:
                    yield _of_model(name, f"fig-{name}{end}", look, found)
    for kind in ("evaluate", "gbdt"):
        for name, question in questions.items():
            for each in risk.drawings(wording, question) if question.kind == kind and risk.shaped(question) else ():
                yield _of_model(name, f"fig-{name}-{each.look}", each.look, each)


def _of_model(name: str, anchor: str, look: str, found: fits.Drawing | Drawn) -> Figure:
    wide = found.plan is not None and found.plan.width > charts.WIDTH
    scopes = found.twin.scopes or (POOLED,)
    return Figure(anchor, 0, look, found.title, found.sentence, found.twin, name, scopes, (name,), wide, found.plan)


def _monthly(wording: Wording, questions: Questions, number: int) -> Iterator[Figure]:
    for name, question in questions.items():
        for scope in months.scopes(question) if question.kind in months.KINDS and question.rows else ():
            found = months.drawing(wording, question, scope, months.title(wording, question))
            if found is not None:
                anchor = f"fig-{name}" if scope == POOLED else f"fig-{name}-{scope}"
                wide = found.plan is None or found.plan.width > charts.WIDTH
                yield Figure(
                    anchor, number, found.look, found.title, found.sentence, found.twin, name, (scope,), (name,), wide, found.plan
                )  # fmt: skip


def _plans(wording: Wording, questions: Questions, variable: str) -> Iterator[_Plan]:
    """Of a variable that was asked both in bins and by quantiles one is drawn: of money the quantiles, of anything else the bins."""
    words = wording.content.words.variables.get(variable)
    money = words is not None and words.unit == "CNY"
    quantiles = {name for name, each in questions.items() if _boxed(each, variable)}
    binned = any(each.kind == "histogram" and each.keys[:1] == (variable,) for each in questions.values())
    if not (money and quantiles):
        yield _Plan("bars", variable)
    for name, question in questions.items():
        if name in quantiles and binned and not money:
            continue
        if pictured(question) and question.keys[0] == variable:
            scopes = question.scopes()
            yield from (_Plan("heat", name, scope) for scope in ((POOLED,) if POOLED in scopes else scopes))
        if orders.pictured(question) and orders.subject(question) == variable:
            yield _Plan("order", name)


def _boxed(question: Question, variable: str) -> bool:
    return question.kind == "quantiles" and orders.pictured(question) and orders.subject(question) == variable


def pictured(question: Question) -> bool:
    """Whether it is of the size of a heat map."""
    return layout.drawable(question) and all(
        sum(code not in UNKNOWN for code in question.codes(key)) >= FEWEST_TILES for key in question.keys
    )


def _figure(wording: Wording, questions: Questions, plan: _Plan, number: int) -> Figure | None:
    match plan.look:
        case "heat":
            return _heat(wording, plan.of, questions[plan.of], plan.scope, number)
        case "ages":
            return _ages(wording, questions, number)
        case "order":
            return _order(wording, plan.of, questions[plan.of], number)
        case "clusters":
            return _clusters(wording, plan.of, questions[plan.of], number)
        case "forest":
            return _forest(wording, plan.of, questions[plan.of], plan.at, number)
    return _bars(wording, questions, plan.of, number)


def _order(wording: Wording, name: str, question: Question, number: int) -> Figure | None:
    shown = orders.figure(wording, question)
    if shown is None or shown.picture is None:
        return None
    look = question.kind
    return Figure(
        f"fig-{name}", number, look, shown.title, shown.sentence, shown.grid, name, (POOLED,), (name,), False, shown.picture
    )  # fmt: skip


def _ages(wording: Wording, questions: Questions, number: int) -> Figure | None:
    shown = ages.drawing(wording, questions)
    if shown is None:
        return None
    first, wide = shown.questions[0], shown.plan.width > charts.WIDTH
    (twin, *_) = layout.grids(wording, questions[first])
    return Figure(
        "fig-ages", number, "ages", shown.title, shown.sentence, twin, first, (POOLED,), shown.questions, wide, shown.plan
    )  # fmt: skip


def _clusters(wording: Wording, name: str, question: Question, number: int) -> Figure | None:
    shown = clusters.figure(wording, question)
    if shown is None or shown.picture is None:
        return None
    return Figure(
        f"fig-{name}", number, "kmeans", shown.title, shown.sentence, shown.grid, name, (POOLED,), (name,), False, shown.picture
    )  # fmt: skip


# --- heat maps


def _heat(wording: Wording, name: str, question: Question, scope: str, number: int) -> Figure | None:
    grid = layout.heat(wording, question, scope)
    lines = [
        (line.heads[0][0], [_tile(question, cell) for cell in line.cells])
        for group in grid.groups
        for line in group.lines
    ]
    if not lines or not grid.heads:
        return None
    title = wording.say(
        "question_tgi", target=wording.variable(question.keys[0]), by=wording.variable(question.keys[1])
    )
    sentence = _farthest(wording, question, scope)
    drawn = charts.heat(grid.stubs[0], grid.heads, lines)
    anchor = f"fig-{name}" if scope == POOLED else f"fig-{name}-{scope}"
    wide = drawn is None or drawn.width > charts.WIDTH
    return Figure(anchor, number, "heat", title, sentence, grid, name, (scope,), (name,), wide, drawn)


def _tile(question: Question, cell: Cell) -> charts.Tile:
    marks = " ".join(f"[{letter}]" for letter in cell.marks)
    row = question.rows[cell.ref] if cell.ref >= 0 else None
    if row is None or row.estimate is None:
        return charts.Tile("", "", marks, "held")
    bare = row.ci_low is None or row.ci_high is None
    beside = "" if bare else error(row.estimate, row.ci_low or 0, row.ci_high or 0, 0)
    return charts.Tile(fixed(row.estimate, 0), beside, marks, tint(row))


def _farthest(wording: Wording, question: Question, scope: str) -> Markup:
    """Of the cells without a mark, the one farthest from 100 among those that differ from it."""
    target, by = question.keys
    found = [
        row
        for row in question.rows
        if row.scope == scope
        and row.measure == "index"
        and row.clear
        and row.preference in ("over", "under")
        and not set(row.at(question.keys)) & set(UNKNOWN)
    ]
    if not found:
        return wording.say("figure_heat_none")
    row = max(found, key=lambda each: abs((each.estimate or 0) - 100))
    return wording.say(
        f"figure_heat_{row.preference}",
        code=wording.named(target, str(row[target])),
        group=wording.named(by, str(row[by])),
        **_number(row),
    )


def _number(row: Row, sign: str = "") -> dict[str, object]:
    """A number and its interval as they stand in a sentence."""
    shown = printed(row)
    value, low, high = (shown.value, shown.low, shown.high) if shown else ("", "", "")
    interval = f" [{span(low + sign, high + sign)}]" if low else ""
    return {"value": f"{value}{sign}", "interval": interval}


# --- intervals beside each other


def _forest(wording: Wording, name: str, question: Question, at: int, number: int) -> Figure | None:
    """One rate, city by city; the rate of all cities, where it is released, is the line that they stand about."""
    rate = layout.compared(wording, question)[at]
    cities = [scope for scope in rate.scopes if scope != POOLED]
    spots = [_spot(wording.city(city), rate.rows.get((city, rate.shown))) for city in cities]
    whole = rate.rows.get((POOLED, rate.shown))
    level = None if whole is None or whole[1].estimate is None else whole[1].estimate * factor(whole[1].measure)
    if sum(spot.value is not None for spot in spots) < FEWEST_COMPARED:
        return None
    sentence = layout.heterogeneous(wording, question, rate)
    said = wording.say("figure_forest_none") if sentence is None else wording.say("figure_forest", said=sentence)
    title = wording.say("figure_forest_title", rate=rate.label)
    scopes = tuple(scope for scope in (POOLED, *cities) if scope in rate.scopes)
    twin = layout.compared_grid(wording, rate)
    drawn = charts.forest(spots, level, str(wording.say("all_cities")))
    return Figure(f"fig-{name}-{at + 1}", number, "forest", title, said, twin, name, scopes, (name,), False, drawn)


def _spot(label: str, found: layout.Numbered | None) -> charts.Spot:
    row = found[1] if found else None
    shown = printed(row) if row else None
    marks = " ".join(f"[{letter}]" for letter in row.letters) if row else ""
    if row is None or shown is None or row.estimate is None or row.ci_low is None or row.ci_high is None:
        return charts.Spot(label, None, 0.0, 0.0, marks)
    value, low, high = (each * factor(row.measure) for each in (row.estimate, row.ci_low, row.ci_high))
    return charts.Spot(label, value, low, high, f"{shown.value} {shown.error} {marks}".strip(), faint=bool(marks))


# --- bars


@dataclass(frozen=True)
class _Line:
    """The shares of one group. `of`: their question; `rows`: place and row of each code, in the order of the codes."""

    label: str
    of: str
    rows: tuple[layout.Numbered | None, ...]


def _bars(wording: Wording, questions: Questions, variable: str, number: int) -> Figure | None:
    plain = [
        (name, question)
        for name, question in questions.items()
        if question.kind == "frequency"
        and question.keys == (variable,)
        and question.rows
        and question.several != variable
    ]
    split = [
        (name, question)
        for name, question in questions.items()
        if question.kind in ("frequency", "crosstab", "histogram")
        and len(question.keys) == 2
        and question.several != variable  # its shares do not fill a bar
        and not ages.smooth(question)
        and variable in (question.keys if question.kind == "crosstab" else question.keys[:1])
    ]
    codes = next((_known(question, variable) for _, question in (*plain[:1], *split[:1])), ())
    codes = next((pair for pair in YES_NO if set(pair) == set(codes)), codes)  # yes starts from the left in every bar
    if not 2 <= len(codes) <= MOST_CODES:
        return None
    blocks: list[tuple[str, list[_Line]]] = []
    for name, question in plain[:1]:
        blocks.append(("", _all(wording, name, question, variable, codes, (POOLED,))))
        cities = tuple(scope for scope in question.scopes() if scope != POOLED)
        blocks.append((str(wording.say("figure_by_city")), _all(wording, name, question, variable, codes, cities)))
    for name, question in split:
        other = next(key for key in question.keys if key != variable)
        if len(_known(question, other)) <= MOST_GROUPS:
            said = str(wording.say("figure_by", by=wording.variable(other)))
            blocks.append((said, _groups(wording, name, question, variable, codes)))
    blocks = [(title, lines) for title, lines in blocks if lines]
    if not any(lines for title, lines in blocks if title):
        return None  # one bar alone: the table of its question says it better
    labels = tuple(wording.code(variable, code) for code in codes)
    drawn = charts.bars(
        labels, [(title, [_bar(line) for line in lines]) for title, lines in blocks], pair=codes in YES_NO
    )
    spread = all(question.kind == "histogram" for _, question in split) and not plain
    title = wording.say("figure_spread" if spread else "figure_bars", of=wording.variable(variable))
    sentence = _first(wording, blocks, variable, codes)
    twin = _twin(wording, blocks, labels)
    sources = tuple(dict.fromkeys(line.of for _, lines in blocks for line in lines))
    scopes = {
        found[1].scope for _, lines in blocks for line in lines for found in line.rows if found is not None
    }  # fmt: skip
    ordered = tuple(scope for scope in (POOLED, *wording.content.cities.answered) if scope in scopes)
    return Figure(f"fig-{variable}", number, "bars", title, sentence, twin, sources[0], ordered, sources, False, drawn)


def _known(question: Question, key: str) -> tuple[str, ...]:
    return tuple(code for code in question.codes(key) if code not in UNKNOWN)


def _all(
    wording: Wording, name: str, question: Question, variable: str, codes: Iterable[str], scopes: Iterable[str]
) -> list[_Line]:
    made = []
    for scope in scopes:
        place = {
            str(row[variable]): (number, row)
            for number, row in enumerate(question.rows)
            if row.scope == scope and row.measure == "share"
        }
        label = (
            str(wording.say("all_holders", unit=wording.unit()).unescape()) if scope == POOLED else wording.city(scope)
        )
        if place:
            made.append(_Line(label, name, tuple(place.get(code) for code in codes)))
    return made


def _groups(wording: Wording, name: str, question: Question, variable: str, codes: Iterable[str]) -> list[_Line]:
    """One bar for each group of the other variable, from its pooled rows."""
    other = next(key for key in question.keys if key != variable)
    across = question.keys[1] == variable
    measure = "share" if question.kind in ("frequency", "histogram") else "row_share" if across else "column_share"
    place = {
        (str(row[other]), str(row[variable])): (number, row)
        for number, row in enumerate(question.rows)
        if row.scope == POOLED and row.measure == measure and not row.contrast
    }
    return [
        _Line(wording.code(other, group), name, tuple(place.get((group, code)) for code in codes))
        for group in _known(question, other)
        if any((group, code) in place for code in codes)
    ]


def _bar(line: _Line) -> charts.Bar:
    marks = dict.fromkeys(
        letter for found in line.rows if found and found[1].display is None for letter in found[1].letters
    )
    said = " ".join(f"[{letter}]" for letter in marks)
    return charts.Bar(line.label, tuple(_part(found) for found in line.rows), said)


def _part(found: layout.Numbered | None) -> charts.Part:
    if found is None or found[1].estimate is None or found[1].display is None:
        return charts.Part(None)
    row = found[1]
    shown = printed(row)
    share = min(max(row.display or 0.0, 0.0), 1.0)
    if shown is None:
        return charts.Part(share)
    marks = "".join(f" [{letter}]" for letter in row.letters)
    return charts.Part(share, f"{shown.value} {shown.error}{marks}".strip(), "" if marks else shown.value)


def _first(
    wording: Wording,
    blocks: list[tuple[str, list[_Line]]],
    variable: str,
    codes: tuple[str, ...],
) -> Markup:
    """What the bar of all holders says: the share of yes, or the leading code."""
    whole = [line for title, lines in blocks if not title for line in lines]
    rows = [found[1] for line in whole for found in line.rows if found is not None]
    if codes in YES_NO:
        row = next((row for row in rows if row[variable] == codes[0] and row.clear), None)
    else:
        row = leads(rows) if len(rows) == len(codes) else None
    if row is None:
        judged = len(rows) == len(codes) and all(each.clear for each in rows) and codes not in YES_NO
        return wording.say("figure_bars_none" if judged else "figure_bars_plain")
    key = "figure_bars_yes" if codes in YES_NO else "figure_bars_leading"
    return wording.say(
        key, of=wording.variable(variable), code=wording.code(variable, str(row[variable])), **_number(row, "%")
    )


def _twin(wording: Wording, blocks: list[tuple[str, list[_Line]]], labels: tuple[str, ...]) -> Grid:
    groups = tuple(
        Group(
            tuple(
                Line(((line.label, 1),), tuple(_traced(line.of, found) for found in line.rows))
                for line in lines
            ),
            escape(title) if title else None,
        )
        for title, lines in blocks
    )  # fmt: skip
    stub = (str(wording.say("head_group")),)
    return Grid("matrix", wording.say("measure_share"), stub, labels, groups, layout.letters(groups))


def _traced(of: str, found: layout.Numbered | None) -> Cell:
    if found is None:
        return Cell(look="blank")
    made = layout.cell(*found)
    return Cell(made.number, made.error, made.marks, made.look, made.ref, made.bar, of)
