"""A question's rows laid out for reading: one or more grids of cells, whatever its kind.

| question | layout |
|---|---|
| tgi | every index with its interval, test and base, folded; the heat map stands among the figures |
| frequency, crosstab of two variables; histogram by one | matrix: counts, then shares; contrasts in a table of their own |
| transitions, vintage of no further variable | matrix: counts, then shares of the row |
| series | a list of months, and groups: counts, totals and means in the unit of the variable, changes in per cent |
| mean | a list of groups: holders, mean, standard deviation, total in the unit of the variable; those without a value folded below |
| anything else | a list: one line per key, one column per measure |
| compare | one list per rate, folded: cities in roster order, value, standardised value, difference; the chart stands among the figures |
| released by city, at most one variable | a matrix of cities in the order of the roster: one line each, one part per measure |
| released by city, more variables | the tables above for each city in turn, or in the CSV alone where all cities together stand there |

`_missing` and `_outside` come last, carry counts and no shares, and never enter a heat map or a bar. Numbers are the official estimates.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Final

from markupsafe import Markup, escape

from coordinator.report.numbers import fixed, printed, probability, significant, span, tint
from coordinator.report.wording import Wording
from coordinator.results import INDICATOR, POOLED, UNKNOWN, Question, Row, Test
from protocols.statistics import smoothed
from protocols.statistics.marks import MOST_CLIPPED, MOST_LEFT_OUT

WIDEST: Final = 12  # columns of a matrix that fit a page; beyond, the list
DEEPEST: Final = 60  # lines of a matrix that can be read at once; beyond, the list
MOST_LINES: Final = 400  # of one table on the page; the rest stands in its CSV
IN_UNITS: Final = ("mean", "sd", "total")
SHARES: Final = ("row_share", "column_share", "share")


@dataclass(frozen=True)
class Cell:
    """One number as it is shown. `number` is empty where nothing is given. `ref`: its row in the question, -1 for a text; `of`: that
    question, where it is not the table's own."""

    number: str = ""
    error: str = ""
    marks: tuple[str, ...] = ()
    look: str = ""
    ref: int = -1
    bar: str = ""  # width of a bar, per cent; empty: no bar column entry
    of: str = ""

    @property
    def place(self) -> str:
        """What the number is traced by: `3`, or `channel.3`."""
        return f"{self.of}.{self.ref}" if self.of else f"{self.ref}"


@dataclass(frozen=True)
class Line:
    """One line: its heads, one per stub, each with the lines it spans (0: an earlier line's head reaches down here)."""

    heads: tuple[tuple[str, int], ...]
    cells: tuple[Cell, ...]
    faint: bool = False  # a `_missing` or `_outside` line

    @property
    def places(self) -> str:
        """What its numbers are traced by: `3 4 - 6`, `-` for a text; one place where all have it; empty where none has any."""
        found = [each.place if each.ref >= 0 else "-" for each in self.cells]
        return found[0].strip("-") if len(set(found)) == 1 else " ".join(found)


@dataclass(frozen=True)
class Group:
    """Lines under one title of their own, or under none."""

    lines: tuple[Line, ...]
    title: Markup | None = None


@dataclass(frozen=True)
class Grid:
    """One table. `over`: the name above all value columns of a matrix. `left`: lines that only the CSV has. `city`: whose table it is;
    `scopes`: of a table with a line for each, whose."""

    look: str
    what: Markup
    stubs: tuple[str, ...]
    heads: tuple[str, ...]
    groups: tuple[Group, ...]
    letters: tuple[str, ...]
    city: str = ""
    over: str = ""
    bars: bool = False
    left: int = 0
    folded: bool = False
    scopes: tuple[str, ...] = ()

    def spans(self) -> tuple[int, ...]:
        """Columns of the page under each head: a number and its error stand in two, so that both line up."""
        columns = zip(*(line.cells for group in self.groups for line in group.lines), strict=True)
        return tuple(1 + any(cell.error or cell.marks for cell in column) for column in columns)[: len(self.heads)]

    def width(self) -> int:
        return len(self.stubs) + sum(self.spans()) + self.bars


Numbered = tuple[int, Row]


def grids(wording: Wording, question: Question, pictured: Collection[str] = ()) -> tuple[Grid, ...]:
    """The tables of one question, by scope: pooled, then all cities in one or each in turn. `pictured`: scopes whose indices stand below a
    heat map."""
    if comparison(question):
        return tuple(replace(compared_grid(wording, each), folded=True) for each in compared(wording, question))
    if _judged(question):
        from coordinator.report import risk  # it is made of the parts below

        return tuple(risk.tables(wording, question, list(enumerate(question.rows))))
    made: list[Grid] = []
    together = _cities(wording, question)
    for scope in question.scopes():
        if scope != POOLED and (together or POOLED in question.scopes()):
            continue
        rows = [(number, row) for number, row in enumerate(question.rows) if row.scope == scope]
        plain = [each for each in rows if not each[1].contrast]
        contrasts = [each for each in rows if each[1].contrast]
        city = "" if scope == POOLED else wording.city(scope)
        if scope in pictured:
            plain = [each for each in plain if each[1].measure != "index"]
        own = _tables(wording, question, plain, city) if plain or scope not in pictured else []
        if contrasts:
            own.append(_list(wording, question, contrasts, city, "contrast"))
        made += own
    return (*made, *together)


def cities_left_out(wording: Wording, question: Question) -> bool:
    """Whether numbers of single cities are in the CSV alone."""
    if comparison(question) or _judged(question):
        return False
    return len(question.scopes()) > 1 and not _cities(wording, question)


def _judged(question: Question) -> bool:
    """Whether it is an evaluation, whose table of cities has all of them together beside each."""
    from coordinator.report import risk  # as above

    return question.kind == "evaluate" and bool(question.rows) and risk.shaped(question)


def _cities(wording: Wording, question: Question) -> tuple[Grid, ...]:
    """Every city on a line of its own, in the order of the roster: one table for a question of one variable at most."""
    keys = question.keys[:-1] if question.kind == "mean" else question.keys
    cities = [scope for scope in question.scopes() if scope != POOLED]
    rows = [
        (number, row)
        for number, row in enumerate(question.rows)
        if row.scope != POOLED and not (question.kind == "mean" and row[question.keys[-1]] in UNKNOWN)
    ]
    keys = tuple(key for key in keys if any(row[key] is not None for _, row in rows))
    codes: tuple[str, ...] = question.codes(keys[0]) if keys else ("",)
    if not rows or len(keys) > 1 or len(codes) > WIDEST or len(cities) > DEEPEST or question.kind == "tgi":
        return ()
    place = {(row.scope, row.measure, str(row[keys[0]]) if keys else ""): (number, row) for number, row in rows}
    groups = []
    for measure in dict.fromkeys(row.measure for _, row in rows):
        lines = []
        for city in cities:
            found = [place.get((city, measure, code)) for code in codes]
            cells = tuple(
                cell(*each) if each and not (code in UNKNOWN and measure != "count") else Cell(look="blank")
                for each, code in zip(found, codes, strict=True)
            )
            lines.append(Line(((wording.city(city), 1),), cells))
        name = wording.measure(measure)
        in_unit = question.kind == "mean" and measure in IN_UNITS
        groups.append(Group(tuple(lines), wording.in_unit(name, question.keys[-1]) if in_unit else name))
    heads = tuple(wording.code(keys[0], code) if keys else str(wording.everybody(question)) for code in codes)
    over = _stub(wording, question, keys[0]) if keys else ""
    stub, city = str(wording.say("left_city")), str(wording.say("figure_by_city"))
    kept = tuple(groups)
    return (Grid("matrix", wording.say("what_cities"), (stub,), heads, kept, letters(kept), city, over),)


def _narrow(question: Question) -> bool:
    return len(question.keys) == 2 and all(
        len(question.codes(key)) <= most for key, most in zip(question.keys, (DEEPEST, WIDEST), strict=True)
    )


def drawable(question: Question) -> bool:
    """Whether its indices fit a heat map: the figure then holds them, and the table below only what it is made of."""
    return question.kind == "tgi" and _narrow(question)


def _tables(wording: Wording, question: Question, rows: list[Numbered], city: str) -> list[Grid]:
    if drawable(question):
        indices = [each for each in rows if each[1].measure == "index"]
        others = [each for each in rows if each[1].measure != "index"]  # holders without a value, counted
        tables = [_details(wording, question, indices, city)] if indices or not others else []
        return [*tables, replace(_list(wording, question, others, city, "missing"), folded=True)] if others else tables
    from coordinator.report import clusters, orders  # they are made of the parts above

    if clusters.fits(question):
        return clusters.tables(wording, question, rows, city)
    if own := orders.tables(wording, question, rows, city):
        return own
    from coordinator.report import fits, risk  # the same

    if question.coefficients:
        return fits.tables(wording, question, rows)
    if question.rows and risk.shaped(question):
        return risk.tables(wording, question, rows)
    if question.kind == "mean" and question.keys:
        return _means(wording, question, rows, city)
    if question.kind == "moments":
        return _moments(wording, question, rows, city)
    if question.kind in ("frequency", "crosstab", "histogram", "transitions", "vintage") and _narrow(question) and rows:
        return [_matrix(wording, question, rows, city)]
    if question.kind == "series":
        table, of = _list(wording, question, rows, city, "series"), str(question.asked.get("of", ""))
        in_units = {str(wording.measure(name)): str(wording.in_unit(wording.measure(name), of)) for name in IN_UNITS}
        return [replace(table, heads=tuple(in_units.get(head, head) for head in table.heads))]
    told = ("count", "frequency", "crosstab", "histogram", "ratio", "transitions", "vintage")
    what = "facts" if question.of_centres else question.kind if question.kind in told else "generic"
    return [_list(wording, question, rows, city, what)]


def letters(groups: Iterable[Group]) -> tuple[str, ...]:
    used = {mark for group in groups for line in group.lines for cell in line.cells for mark in cell.marks}
    return tuple(letter for letter in "buxzc" if letter in used)


def cell(number: int, row: Row, look: str = "", bar: str = "") -> Cell:
    shown = printed(row)
    if row.contrast and shown:
        value = shown.value if shown.value.startswith("\u2212") or shown.value.strip("0.,") == "" else "+" + shown.value
        return Cell(value, shown.error, row.letters, look, number, bar)
    return Cell(shown.value if shown else "", shown.error if shown else "", row.letters, look, number, bar)


def _unknown(codes: tuple[str, ...]) -> bool:
    return bool(set(codes) & set(UNKNOWN))


def _by_place(question: Question, rows: list[Numbered]) -> Mapping[tuple[str, tuple[str, ...]], Numbered]:
    return {(row.measure, row.at(question.keys)): (number, row) for number, row in rows}


def sides(question: Question) -> tuple[str, str]:
    """Of a heat map: what goes down, and what goes across, which has fewer codes."""
    target, by = question.keys
    known = {key: sum(code not in UNKNOWN for code in question.codes(key)) for key in question.keys}
    return (by, target) if known[target] < known[by] else (target, by)


def heat(wording: Wording, question: Question, scope: str) -> Grid:
    """The indices of one scope. Pre-condition: `drawable(question)`."""
    down, across = sides(question)
    rows = [(number, row) for number, row in enumerate(question.rows) if row.scope == scope and row.measure == "index"]
    place = _by_place(question, rows)
    columns = [code for code in question.codes(across) if code not in UNKNOWN]
    lines = []
    for code in (each for each in question.codes(down) if each not in UNKNOWN):
        keys = [(code, other) if down == question.keys[0] else (other, code) for other in columns]
        found = [place.get(("index", each)) for each in keys]
        cells = tuple(cell(*each, look=tint(each[1])) if each else Cell(look="held") for each in found)
        lines.append(Line(((wording.code(down, code), 1),), cells))
    groups = (Group(tuple(lines)),)
    heads = tuple(wording.code(across, code) for code in columns)
    city = "" if scope == POOLED else wording.city(scope)
    return Grid(
        "heat", wording.say("what_tgi"), (wording.variable(down),), heads, groups, letters(groups), city, wording.variable(across)
    )  # fmt: skip


def details(wording: Wording, question: Question, scope: str) -> Grid:
    """Every index of one scope: what stands below its heat map."""
    rows = [(number, row) for number, row in enumerate(question.rows) if row.scope == scope and row.measure == "index"]
    city = "" if scope == POOLED else wording.city(scope)
    return replace(_details(wording, question, rows, city), folded=False)


def _details(wording: Wording, question: Question, rows: list[Numbered], city: str) -> Grid:
    """Every index with its whole interval, its test and its base."""
    lines = []
    for number, row in rows[:MOST_LINES]:
        shown = printed(row)
        index = Cell(shown.value if shown else "", "", row.letters, "", number)
        whole = span(shown.low, shown.high) if shown and shown.low else ""
        tests = [probability(p) if p is not None else "" for p in (row.p_value, row.q_value)]
        verdict = str(wording.say(f"preference_{row.preference}")) if row.preference and not row.doubtful else ""
        base = fixed(row.base, 0) if row.base is not None else ""
        cells = (index, *(Cell(text, ref=number) for text in (whole, *tests, base)), Cell(verdict, ref=number))
        codes = row.at(question.keys)
        lines.append(Line(_heads(wording, question, codes), cells, _unknown(codes)))
    groups = (Group(_spanned(lines)),)
    heads = tuple(
        str(wording.say(key, confidence=wording.percent()))
        for key in ("measure_index", "head_interval", "head_p", "head_q", "head_base", "head_preference")
    )
    stubs = tuple(wording.variable(key) for key in question.keys)
    left = max(0, len(rows) - MOST_LINES)
    return Grid(
        "list", wording.say("what_details"), stubs, heads, groups, letters(groups), city, left=left, folded=True
    )  # fmt: skip


def _matrix(wording: Wording, question: Question, rows: list[Numbered], city: str) -> Grid:
    """Counts with all positions, then each kind of share with the known ones."""
    down, across = question.keys
    place = _by_place(question, rows)
    columns, codes = question.codes(across), question.codes(down)
    given = dict.fromkeys(row.measure for _, row in rows)
    # in a crosstab the share of all holders is in the CSV: beside row and column shares it would only crowd the page
    shown = [name for name in given if name not in SHARES or name != "share" or "row_share" not in given]
    groups = []
    for measure in shown:
        lines = []
        for code in codes:
            if measure in SHARES and code in UNKNOWN:
                continue
            found = [place.get((measure, (code, group))) for group in columns]
            cells = tuple(
                cell(*each) if each and not (measure in SHARES and group in UNKNOWN) else Cell(look="blank")
                for each, group in zip(found, columns, strict=True)
            )
            lines.append(Line(((wording.code(down, code), 1),), cells, code in UNKNOWN))
        if lines:
            groups.append(
                Group(tuple(lines), wording.measure("column_share_by" if _by_group(question, measure) else measure))
            )
    heads = tuple(wording.code(across, code) for code in columns)
    kept = tuple(groups)
    what = wording.say(f"what_{question.kind}_two")
    stub = _stub(wording, question, down)
    return Grid("matrix", what, (stub,), heads, kept, letters(kept), city, wording.variable(across))


def _by_group(question: Question, measure: str) -> bool:
    return question.kind in ("frequency", "histogram") and measure == "share"


def _means(wording: Wording, question: Question, rows: list[Numbered], city: str) -> list[Grid]:
    """The last key says whether the value is known: those of whom it is, by group; the others apart, counted only."""
    *by, of = question.keys
    valued = [each for each in rows if each[1][of] not in UNKNOWN]
    others = [each for each in rows if each[1][of] in UNKNOWN and each[1].measure == "count"]
    grouped = question.model_copy(update={"keys": tuple(by)})
    table = _list(wording, grouped, valued, city, "mean")
    in_units = {str(wording.measure(name)): str(wording.in_unit(wording.measure(name), of)) for name in IN_UNITS}
    heads = tuple(in_units.get(head, head) for head in table.heads)
    return [replace(table, heads=heads), replace(_list(wording, question, others, city, "missing"), folded=True)]


def _moments(wording: Wording, question: Question, rows: list[Numbered], city: str) -> list[Grid]:
    """Correlations, then inflation factors, components and numbers of holders, each with the keys it has."""
    parts = {("correlation",): ("a", "b"), ("vif",): ("a",), ("variance_share",): ("component",),
             ("loading",): ("component", "a"), ("count",): ("together",)}  # fmt: skip
    made = []
    told = {measure for measures in parts for measure in measures}
    others = [each for each in rows if each[1].measure not in told]  # of a later version
    for measures, keys in parts.items():
        chosen = [each for each in rows if each[1].measure in measures]
        if chosen:
            first = measures == ("correlation",)
            what = "moments" if first else f"moments_{measures[0]}"
            grid = _list(wording, question.model_copy(update={"keys": keys}), chosen, city, what)
            made.append(replace(grid, folded=not first))
    return [*made, _list(wording, question, others, city, "generic")] if others or not made else made


# --- cities held against each other

COMPARED: Final = ("value", "standardised", "difference")
PRINTED_AS: Final = {"frequency": "share", "histogram": "share", "mean": "mean", "ratio": "ratio"}


@dataclass(frozen=True)
class Compared:
    """One rate in every scope. `cell`: its codes, as tests name it; `rows`: by scope and measure, to be printed as the
    indicator's own are."""

    indicator: str
    cell: str
    label: str
    rows: Mapping[tuple[str, str], Numbered]

    @property
    def scopes(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(scope for scope, _ in self.rows))

    @property
    def shown(self) -> str:
        """The measure that cities are held against each other on: the standardised value where there is one."""
        return "standardised" if any(measure == "standardised" for _, measure in self.rows) else "value"


def comparison(question: Question) -> bool:
    """Whether it holds cities against each other in rows as ours are; any other is a plain list."""
    return question.kind == "compare" and question.keys[:1] == (INDICATOR,)


def compared(wording: Wording, question: Question) -> tuple[Compared, ...]:
    """The rates of a comparison, in the order of its rows. Pre-condition: `comparison(question)`."""
    found: dict[tuple[str, ...], dict[tuple[str, str], Numbered]] = {}
    named: dict[tuple[str, ...], tuple[tuple[str, str], ...]] = {}
    for number, row in enumerate(question.rows):
        codes = tuple((key, str(row[key])) for key in question.keys[1:] if isinstance(row[key], str))
        at = (str(row[INDICATOR]), *(code for _, code in codes))
        asked = wording.content.questions.get(at[0])
        measure = PRINTED_AS.get(asked.kind if asked else "", "ratio")
        printable = row.model_copy(update={"measure": measure, "contrast": row.measure == "difference"})
        found.setdefault(at, {})[row.scope, row.measure] = (number, printable)
        named[at] = codes
    return tuple(
        Compared(at[0], ", ".join(at[1:]), _rate(wording, at[0], named[at]), rows) for at, rows in found.items()
    )


def _rate(wording: Wording, indicator: str, codes: tuple[tuple[str, str], ...]) -> str:
    """A rate in words: what it is of, and of which group."""
    asked = wording.content.questions.get(indicator)
    given = asked.asked if asked else {}
    kind = asked.kind if asked else ""
    if kind in ("frequency", "histogram") and codes:
        (key, code), *groups = codes
        said = str(wording.say("rate_share", code=wording.named(key, code)).unescape())
    elif kind == "mean":
        said, groups = str(wording.say("rate_mean", of=wording.variable(str(given.get("of")))).unescape()), [*codes]
    elif kind == "ratio":
        sides = {side: wording.variable(str(given.get(side))) for side in ("numerator", "denominator")}
        said, groups = str(wording.say("question_ratio", **sides).unescape()), [*codes]
    else:
        said, groups = indicator, [*codes]
    return " · ".join([said, *(wording.named(key, code) for key, code in groups)])


def compared_grid(wording: Wording, rate: Compared) -> Grid:
    """One line per scope."""
    measures = [each for each in COMPARED if any(measure == each for _, measure in rate.rows)]
    lines = []
    for scope in rate.scopes:
        found = {measure: rate.rows.get((scope, measure)) for measure in measures}
        cells = [cell(*each) if each else Cell(look="blank") for each in found.values()]
        difference = found.get("difference")
        for name in ("p_value", "q_value"):
            p = difference[1][name] if difference else None
            shown = probability(p) if isinstance(p, float) else ""
            cells.append(Cell(shown, ref=difference[0] if difference else -1))
        head = str(wording.say("all_cities")) if scope == POOLED else wording.city(scope)
        lines.append(Line(((head, 1),), tuple(cells)))
    groups = (Group(tuple(lines)),)
    heads = (
        *(str(wording.say(f"compared_{each}")) for each in measures),
        str(wording.say("head_p")),
        str(wording.say("head_q")),
    )
    what = wording.say("what_compare", rate=rate.label)
    stubs = (str(wording.say("left_city")),)
    return Grid("list", what, stubs, heads, groups, letters(groups), scopes=rate.scopes)


def _compared_tests(wording: Wording, question: Question) -> Markup:
    """How much cities differ, rate by rate; and where too few holders of a city stand in some stratum."""
    found = [
        wording.say("test_of", of=rate.label, list=said)
        for rate in compared(wording, question)
        if (said := heterogeneous(wording, question, rate))
    ]
    left_out = dict.fromkeys(
        test.scope
        for test in question.tests
        if test.name == "funnel"
        and isinstance(part := (test.__pydantic_extra__ or {}).get("left_out"), float)
        and part > MOST_LEFT_OUT
    )
    if left_out:
        key = "left_out" if question.asked.get("method") == "direct" else "left_out_indirect"
        found.append(wording.say(key, cities=wording.cities(left_out), limit=f"{100 * MOST_LEFT_OUT:g}"))
    return wording.say("semicolon").join(found)


def heterogeneous(wording: Wording, question: Question, rate: Compared) -> Markup | None:
    """Q and I^2 of one rate; None where there are none."""
    of = of_rate(question, rate)
    q, share = of.get("heterogeneity"), of.get("i_squared")
    if q is None or q.statistic is None or share is None or share.estimate is None:
        return None
    part, low, high = (fixed(100 * (value or 0.0), 0) for value in (share.estimate, share.ci_low, share.ci_high))
    return wording.say(
        "test_heterogeneity",
        statistic=fixed(q.statistic, 1),
        df=q.df,
        p=told_p(q.p_value),
        share=part,
        interval=span(low, high),
    )


def most_heterogeneous(wording: Wording, question: Question) -> tuple[int, ...]:
    """Of each indicator of a comparison the rate, by its place, on which cities differ most: that with the largest I²."""
    most: dict[str, tuple[float, int]] = {}
    for at, rate in enumerate(compared(wording, question)):
        found = of_rate(question, rate).get("i_squared")
        part = -1.0 if found is None or found.estimate is None else found.estimate
        if rate.indicator not in most or part > most[rate.indicator][0]:
            most[rate.indicator] = (part, at)
    return tuple(at for _, at in most.values())


def of_rate(question: Question, rate: Compared) -> dict[str, Test]:
    """What is said of one rate of all cities together."""
    return {
        test.name: test
        for test in question.tests
        if ((test.__pydantic_extra__ or {}).get("indicator"), (test.__pydantic_extra__ or {}).get("cell"))
        == (rate.indicator, rate.cell)
        and test.scope == POOLED
    }


def _stub(wording: Wording, question: Question, key: str) -> str:
    """The head of a column of codes; of bins, with the unit that they are in."""
    name = wording.variable(key)
    return str(wording.in_unit(name, key)) if question.kind == "histogram" and key == question.keys[0] else name


def _list(wording: Wording, question: Question, rows: list[Numbered], city: str, what: str) -> Grid:
    """One line per key, one column per measure."""
    keys = question.keys
    place = _by_place(question, rows)
    measures = tuple(dict.fromkeys(row.measure for _, row in rows))
    places = list(dict.fromkeys(row.at(keys) for _, row in rows))
    ordered = [each for each in places if not _unknown(each)] + [each for each in places if _unknown(each)]
    tested, placed = what == "contrast", any(row.position for _, row in rows)
    bars = len(keys) == 1 and "share" in measures and not tested
    lines = []
    for codes in ordered[:MOST_LINES]:
        found = [place.get((measure, codes)) for measure in measures]
        cells = [cell(*each) if each else Cell(look="blank") for each in found]
        if bars:
            cells.append(Cell(bar=_bar(place.get(("share", codes))), look="bar"))
        if tested:
            number, row = next(each for each in found if each)
            cells += [Cell(probability(p) if p is not None else "", ref=number) for p in (row.p_value, row.q_value)]
        if placed:
            position = next((each[1].position for each in found if each and each[1].position), None)
            cells.append(Cell(str(wording.say(f"position_{position}")) if position else ""))
        heads = _heads(wording, question, codes, compared=tested) or ((str(wording.everybody(question)), 1),)
        lines.append(Line(heads, tuple(cells), _unknown(codes)))
    titles = tuple(str(wording.measure("difference" if tested else measure)) for measure in measures)
    if tested:
        titles += (str(wording.say("head_p")), str(wording.say("head_q")))
    if placed:
        low, high = question.asked.get("band") or ("", "")
        titles += (str(wording.say("head_position", low=low, high=high)),)
    stubs = tuple(_stub(wording, question, key) for key in keys) or (str(wording.say("head_group")),)
    groups = (Group(_spanned(lines)),)
    left = max(0, len(ordered) - MOST_LINES)
    return Grid("list", wording.say(f"what_{what}"), stubs, titles, groups, letters(groups), city, bars=bars, left=left)


def _heads(
    wording: Wording, question: Question, codes: tuple[str, ...], compared: bool = False
) -> tuple[tuple[str, int], ...]:
    """Labels of the codes. `compared`: the last one stands for its difference from the other code."""
    texts = [wording.code(key, code) for key, code in zip(question.keys, codes, strict=True)]
    if compared:
        others = [code for code in question.codes(question.keys[-1]) if code not in (codes[-1], *UNKNOWN)]
        texts[-1] = " \u2212 ".join([texts[-1], *(wording.code(question.keys[-1], code) for code in others)])
    return tuple((text, 1) for text in texts)


def _spanned(lines: list[Line]) -> tuple[Line, ...]:
    """Lines that follow each other under the same leading codes share one head. The last stub is never shared."""
    spans = [[1] * len(line.heads) for line in lines]
    for column in range(len(lines[0].heads) - 1 if lines else 0):
        first = 0
        for number in range(1, len(lines)):
            if lines[number].heads[: column + 1] == lines[first].heads[: column + 1]:
                spans[first][column] += 1
                spans[number][column] = 0
            else:
                first = number
    return tuple(
        replace(line, heads=tuple((text, span) for (text, _), span in zip(line.heads, row, strict=True)))
        for line, row in zip(lines, spans, strict=True)
    )


def _bar(found: Numbered | None) -> str:
    """The width of a bar on an axis from 0 to 100 %, from `display`; none where the cell is doubtful or unknown."""
    if found is None or found[1].display is None or found[1].letters:
        return ""
    return f"{100 * min(max(found[1].display, 0.0), 1.0):.1f}"


def tests(wording: Wording, question: Question) -> Markup:
    """The statements about the whole tables, on one line: of all holders, then of each city, which is named."""
    if comparison(question):
        return _compared_tests(wording, question)
    of_scopes: dict[str, list[Test]] = {}
    for test in question.tests:
        of_scopes.setdefault(test.scope, []).append(test)
    said = {scope: _stated(wording, found) for scope, found in of_scopes.items()}
    return wording.say("semicolon").join(
        listed if scope == POOLED else wording.say("tests_city", city=wording.city(scope), list=listed)
        for scope, listed in said.items()
        if listed
    )


def _stated(wording: Wording, found: Iterable[Test]) -> Markup:
    parts = []
    for test in found:
        if test.name == "chi_square" and test.statistic is not None:
            parts.append(
                wording.say(
                    "test_chi_square",
                    statistic=fixed(test.statistic, 1),
                    df="–" if test.df is None else test.df,
                    p=told_p(test.p_value),
                )
            )
        elif test.name == "cramers_v" and test.estimate is not None:
            whole = (
                ""
                if test.ci_low is None or test.ci_high is None
                else f" [{fixed(test.ci_low, 3)}–{fixed(test.ci_high, 3)}]"
            )
            parts.append(wording.say("test_cramers_v", estimate=fixed(test.estimate, 3), interval=whole))
        elif test.name == "log_rank" and test.statistic is not None:
            statistic, df = fixed(test.statistic, 1), "–" if test.df is None else test.df
            parts.append(wording.say("test_log_rank", statistic=statistic, df=df, p=told_p(test.p_value)))
        elif test.name in ("wald", "likelihood_ratio") and test.statistic is not None:
            of = wording.term(str((test.__pydantic_extra__ or {}).get("term", "")))
            statistic, df = fixed(test.statistic, 1), "–" if test.df is None else test.df
            parts.append(wording.say(f"test_{test.name}", of=of, statistic=statistic, df=df, p=told_p(test.p_value)))
        elif test.name == "clipped" and test.estimate is not None:
            shown = fixed(100 * max(test.estimate, 0.0), 2)
            parts.append(wording.say("test_clipped", share=shown, limit=f"{100 * MOST_CLIPPED:g}"))
        elif test.estimate is not None and test.name != smoothed.NAME:  # these are drawn
            parts.append(escape(f"{test.name} = {significant(test.estimate)}"))
    return wording.say("semicolon").join(parts)


def told_p(value: float | None) -> str:
    if value is None:
        return "–"
    shown = probability(value)
    return shown if shown.startswith("<") else f"= {shown}"
