"""Scorecards, boosted trees and evaluations of models, as a risk officer reads them.

| kind | tables | pictures |
|---|---|---|
| scorecard | characteristics and bins: holders, events, event rate, WOE, points; every characteristic with its IV and weight | none |
| gbdt | what each variable adds: gain, and its part of all | bars of these parts |
| evaluate | what ranks and what calibrates, each with its certain bound; by group; who is flagged at a cut; stability | ROC, calibration |

A share of events, the part of a bin, neutral points and the part of a gain are quotients of numbers of the results, and are traced to them.
Words for information values are N. Siddiqi's (Credit Risk Scorecards, chapter 6); those for stability are in `stability`.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import NormalDist
from typing import Any, Final

from markupsafe import Markup

from coordinator.report import fits, panels
from coordinator.report.charts import Picture
from coordinator.report.grids import Cell, Grid, Group, Line, Numbered, cell, letters, told_p
from coordinator.report.numbers import RATES, decimals, factor, fixed, printed, probability, significant, span
from coordinator.report.wording import Wording
from coordinator.results import POOLED, UNKNOWN, Question, Row

FEATURE, BIN = "feature", "bin"
OF_KEYS: Final[Mapping[str, frozenset[str]]] = {
    "scorecard": frozenset((FEATURE, BIN)),
    "gbdt": frozenset((FEATURE,)),
}
EDGES: Final = re.compile(r"(?P<low>-?[0-9.]+)-(?P<high>-?[0-9.]+)")
STRENGTHS: Final = (
    (0.02, "none"),
    (0.1, "weak"),
    (0.3, "medium"),
    (0.5, "strong"),
)  # of an information value; beyond, to be looked at
STABLE, SHIFTED = 0.1, 0.25
STILL: Final = 3.0  # times its noise floor, below which an index is no drift
WHOLE_TABLE: Final = (
    "auc", "gini", "ks", "brier", "observed", "expected", "observed_expected", "calibration_in_the_large", "calibration_intercept",
    "calibration_slope", "hosmer_lemeshow",
)  # fmt: skip
RANKED: Final = ("auc", "ks", "brier", "observed", "expected", "observed_expected")
OF_CITIES: Final = ("auc", "ks", "observed", "expected", "observed_expected", "psi")
FLAGGED: Final = ("approved", "true_positive_rate", "false_positive_rate")
MOST_CUTS: Final = 12  # lines of the table beside a ROC curve


@dataclass(frozen=True)
class Drawn:
    """One picture. `look`: also the end of its anchor."""

    look: str
    title: Markup
    sentence: Markup
    twin: Grid
    plan: Picture | None


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
            return [*_card(wording, rows), *_characteristics(wording, question, rows)]
        case "gbdt":
            return _gains(wording, rows)
    return [
        *_whole(wording, rows),
        *_against(wording, question, rows),
        *_groups(wording, question, rows, RANKED, "what_groups"),
        *_groups(wording, question, rows, FLAGGED, "what_flagged"),
        *_cities(wording, question, rows),
        *_stability(wording, rows),
    ]


def drawings(wording: Wording, question: Question) -> Iterator[Drawn]:
    """Pre-condition: `shaped(question)`."""
    if question.kind == "gbdt":
        yield from _importance(wording, question)
    if question.kind == "evaluate":
        yield from _roc(wording, question)
        yield from _calibration(wording, question)
        yield from _levels(wording, question)


def _listed(wording: Wording, what: str, stubs: Sequence[str], heads: Sequence[str], groups: Sequence[Group]) -> Grid:
    made = tuple(groups)
    return Grid(
        "list", wording.say(what, confidence=wording.percent()), tuple(stubs), tuple(heads), made, letters(made)
    )


def _headed(wording: Wording, *keys: str) -> list[str]:
    return [str(wording.say(key, confidence=wording.percent(), unit=wording.unit()).unescape()) for key in keys]


# --- scorecard


@dataclass(frozen=True)
class Bin:
    """One line of a scorecard: the rows that it is made of, and what follows from them. `holders`: none where the bin is withheld."""

    feature: str
    code: str
    rows: Mapping[str, Numbered]
    holders: float | None
    events: float | None

    @property
    def rate(self) -> float | None:
        """The share of events; none where the bin is withheld, or noise has left nobody in it."""
        return (
            self.events / self.holders
            if self.events is not None and self.holders is not None and self.holders > 0
            else None
        )

    @property
    def ends(self) -> tuple[float | None, float | None]:
        """Of the rate, where counts have intervals: from fewest events and most others to most events and fewest others."""
        sides = [self.rows[name][1] for name in ("events", "nonevents")]
        low, high = ([row.ci_low for row in sides], [row.ci_high for row in sides])
        if any(each is None for each in (*low, *high)):
            return None, None
        (e_low, o_low), (e_high, o_high) = ([each or 0.0 for each in side] for side in (low, high))
        return (
            e_low / (e_low + o_high) if e_low + o_high > 0 else 0.0,
            e_high / (e_high + o_low) if e_high + o_low > 0 else 1.0,
        )

    @property
    def around(self) -> float:
        """How far the holders can be from their number, as far as the two counts can be."""
        sides = [self.rows[name][1] for name in ("events", "nonevents")]
        return sum(((row.ci_high or 0.0) - (row.ci_low or 0.0)) / 2 for row in sides)


@dataclass(frozen=True)
class Characteristic:
    """`neutral`: the mean of its points over the holders of all bins that are told."""

    name: str
    rows: Mapping[str, Numbered]
    bins: tuple[Bin, ...]

    @property
    def value(self) -> float | None:
        """Its information value."""
        return self.rows["iv"][1].estimate if "iv" in self.rows else None

    @property
    def holders(self) -> float:
        return sum(each.holders or 0.0 for each in self.bins)

    @property
    def neutral(self) -> float | None:
        told = [
            (each.holders, points.estimate) for each in self.bins if each.holders and (points := each.rows["points"][1])
        ]
        weighed = [(holders, points) for holders, points in told if points is not None]
        whole = sum(holders for holders, _ in weighed)
        return sum(holders * points for holders, points in weighed) / whole if whole else None


def characteristics(rows: Iterable[Numbered]) -> tuple[Characteristic, ...]:
    """In the order of the question; without bins where one is not in the card."""
    single: dict[str, dict[str, Numbered]] = {}
    binned: dict[tuple[str, str], dict[str, Numbered]] = {}
    for number, row in rows:
        feature, code = str(row[FEATURE]), row[BIN]
        single.setdefault(feature, {})
        if code is None:
            single[feature][row.measure] = (number, row)
        else:
            binned.setdefault((feature, str(code)), {})[row.measure] = (number, row)
    wanted = {"events", "nonevents", "woe", "points"}
    made = []
    for name, given in single.items():
        bins = tuple(
            Bin(feature, code, parts, *_counted(parts))
            for (feature, code), parts in binned.items()
            if feature == name and set(parts) >= wanted
        )
        made.append(Characteristic(name, given, bins))
    return tuple(made)


def _counted(parts: Mapping[str, Numbered]) -> tuple[float | None, float | None]:
    events, others = (parts[name][1].estimate if name in parts else None for name in ("events", "nonevents"))
    return (None, None) if events is None or others is None else (events + others, events)


def bin_label(wording: Wording, feature: str, code: str) -> str:
    """A bin in words; several codes that were put together one after the other."""
    between = EDGES.fullmatch(code)
    if between:
        low, high = (_edge(each) for each in between.group("low", "high"))
        return str(wording.say("bin", low=low, high=high).unescape())
    for sign, key in (("<", "bin_below"), (">=", "bin_last")):
        if code.startswith(sign):
            return str(wording.say(key, low=_edge(code.removeprefix(sign))).unescape())
    words = wording.content.words.variables.get(feature)
    parts = code.split(", ")
    if words is None or not set(parts) <= set(words.codes):
        return wording.code(feature, code)
    return str(wording.listed(wording.code(feature, part) for part in parts).unescape())


def _edge(text: str) -> str:
    """With thousands apart; what is no number as it is."""
    try:
        value = float(text)
    except ValueError:
        return text
    return fixed(value, 0) if value == int(value) else fixed(value, min(len(text.partition(".")[2]), 2))


def strength(value: float) -> str:
    return next((word for most, word in STRENGTHS if value < most), "high")


def _card(wording: Wording, rows: Sequence[Numbered]) -> list[Grid]:
    groups = []
    for each in characteristics(rows):
        if not each.bins:
            continue
        whole = each.holders
        lines = [_bin_line(wording, bin_, whole) for bin_ in each.bins]
        said = wording.say(
            "card_characteristic",
            name=wording.in_unit(wording.variable(each.name), each.name),
            iv="–" if each.value is None else significant(each.value),
            neutral="–" if each.neutral is None else fixed(each.neutral, 1),
        )
        groups.append(Group(tuple(lines), said))
    heads = _headed(
        wording, "head_of_holders", "head_of_all", "measure_events", "head_event_rate", "measure_woe", "measure_points"
    )
    return [_listed(wording, "what_card", [wording.variable(BIN)], heads, groups)] if groups else []


def _bin_line(wording: Wording, bin_: Bin, whole: float) -> Line:
    events = bin_.rows["events"]
    blank = Cell(look="blank")
    if bin_.holders is None or bin_.events is None:
        first: tuple[Cell, ...] = (blank, blank, cell(*events), blank)
    else:
        rate = "" if bin_.rate is None else _per_cent(bin_.rate)
        part = fixed(100 * bin_.holders / whole, 1) if whole > 0 else ""
        low, high = bin_.ends
        noisy = low is not None and high is not None
        first = (
            Cell(fixed(bin_.holders, 0), _reach(bin_.around) if noisy else "", ref=events[0]),
            Cell(part, ref=events[0]),
            cell(*events),
            Cell(
                rate,
                f"[{span(_per_cent(low), _per_cent(high))}]" if low is not None and high is not None else "",
                ref=events[0],
            ),
        )
    number, woe = bin_.rows["woe"]
    error = f"({significant(woe.se_noise, 2)})" if woe.se_noise and woe.ci_low is None else ""
    last = (replace(cell(number, woe), error=error) if error else cell(number, woe), cell(*bin_.rows["points"]))
    return Line(((bin_label(wording, bin_.feature, bin_.code), 1),), (*first, *last), bin_.code in UNKNOWN)


def _reach(half: float) -> str:
    return f"±{fixed(half, 0)}"


def _characteristics(wording: Wording, question: Question, rows: Sequence[Numbered]) -> list[Grid]:
    """Every characteristic that was asked for: its information value, its weight in the logit, and why it is not in the card."""
    poor = question.fit.further.get("poor", {}) if question.fit else {}
    wrong = question.fit.further.get("wrong_sign", ()) if question.fit else ()
    lines = []
    for each in characteristics(rows):
        if "iv" not in each.rows:
            continue
        number, value = each.rows["iv"]
        weight = each.rows.get("weight")
        why = (
            "wrong"
            if each.name in wrong and not each.bins
            else str(poor.get(each.name, ""))
            if isinstance(poor, Mapping)
            else ""
        )
        key = f"left_out_{why}" if why in ("value", "bins", "wrong") else "in_card" if each.bins else "none_dash"
        known = value.estimate is not None
        lines.append(
            Line(
                ((wording.variable(each.name), 1),),
                (
                    cell(number, value),
                    Cell(str(wording.say(f"strength_{strength(value.estimate or 0.0)}")) if known else "", ref=number),
                    cell(*weight) if weight else Cell(look="blank"),
                    Cell(
                        probability(weight[1].p_value) if weight and weight[1].p_value is not None else "", ref=number
                    ),
                    Cell(str(wording.say(key).unescape()), ref=number),
                ),
            )
        )
    heads = _headed(wording, "measure_iv", "head_strength", "measure_weight", "head_p", "head_in_card")
    stub = str(wording.say("head_characteristic"))
    return (
        [replace(_listed(wording, "what_characteristics", [stub], heads, [Group(tuple(lines))]), folded=False)]
        if lines
        else []
    )


# --- boosted trees


def _gains(wording: Wording, rows: Sequence[Numbered]) -> list[Grid]:
    lines = []
    for number, row, part in parts(rows):
        cells = (cell(number, row), Cell("" if part is None else fixed(100 * part, 1), ref=number))
        lines.append(Line(((wording.variable(str(row[FEATURE])), 1),), cells))
    heads = _headed(wording, "measure_gain", "head_of_gain")
    return [_listed(wording, "what_gbdt", [wording.variable(FEATURE)], heads, [Group(tuple(lines))])] if lines else []


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


# --- how good a model is


def _pooled(rows: Iterable[Numbered], keys: Sequence[str]) -> dict[str, Numbered]:
    """Rows about all holders by measure."""
    return {
        row.measure: (number, row)
        for number, row in rows
        if row.scope == POOLED and not any(row[key] is not None for key in keys)
    }


def _whole(wording: Wording, rows: Sequence[Numbered]) -> list[Grid]:
    """Each number with its interval, and, where it is read from bins, between which ends the number of the single scores certainly lies;
    with noise, what of its error is noise."""
    keys = {name for _, row in rows for name in (row.__pydantic_extra__ or {})}
    place = _pooled(rows, tuple(keys))
    shown = [name for name in WHOLE_TABLE if name in place]
    noisy = any(place[name][1].se_noise for name in shown)
    lines = []
    for measure in shown:
        number, row = place[measure]
        found = printed(_rounded(row))
        value = Cell(found.value if found else "", "", row.letters, "", number)
        interval = span(found.low, found.high) if found and found.low else ""
        if measure == "hosmer_lemeshow" and row.p_value is not None:  # it has a test in the place of an interval
            interval = f"p {told_p(row.p_value)}"
        certain, at = _certain(measure, place)
        noise = significant(row.se_noise * factor(measure), 2) if row.se_noise else ""
        cells = (
            value,
            Cell(interval, ref=number),
            *([Cell(noise, ref=number)] if noisy else []),
            Cell(certain, ref=at),
            Cell(str(wording.say(f"reading_{measure}").unescape()), look="say"),
        )
        lines.append(Line(((_measured(wording, measure), 1),), cells))
    heads = ["head_value", "head_interval", *(["head_of_noise"] if noisy else []), "head_certain", "head_reading"]
    stub, groups = str(wording.say("head_figure")), [Group(tuple(lines))]
    return [_listed(wording, "what_evaluate", [stub], _headed(wording, *heads), groups)] if lines else []


def _against(wording: Wording, question: Question, rows: Sequence[Numbered]) -> list[Grid]:
    """Two models on the rows that both score, and how far their AUC are apart."""
    place = _pooled(rows, question.keys)
    other = question.asked.get("against")
    names = [name for name in WHOLE_TABLE if name in place and f"against_{name}" in place]
    if not names or not isinstance(other, str):
        return []
    lines = [
        Line(
            ((_measured(wording, name), 1),), (cell(*place[name]), cell(*place[f"against_{name}"]), Cell(look="blank"))
        )
        for name in names
    ]
    if "auc_difference" in place:
        number, row = place["auc_difference"]
        p = "" if row.p_value is None else probability(row.p_value)
        blank = Cell(look="blank")
        lines.append(Line(((str(wording.say("auc_difference")), 1),), (cell(number, row), blank, Cell(p, ref=number))))
    models = [fits.modelled(wording, str(name)) for name in (question.asked.get("model", ""), other)]
    heads = [*models, *_headed(wording, "head_p")]
    return [_listed(wording, "what_against", [str(wording.say("head_figure"))], heads, [Group(tuple(lines))])]


def _rounded(row: Row) -> Row:
    """What is 0 but for the last digits of floats, beside its interval, is 0."""
    if row.estimate is None or row.ci_low is None or row.ci_high is None:
        return row
    nothing = abs(row.estimate) < 1e-6 * (row.ci_high - row.ci_low)
    return row.model_copy(update={"estimate": 0.0}) if nothing else row


def _certain(measure: str, place: Mapping[str, Numbered]) -> tuple[str, int]:
    """The ends between which the number of the scores themselves lies, and the row of the bound."""
    row, bound = place[measure][1], place.get(f"{measure}_bound")
    if bound is None or row.estimate is None or bound[1].estimate is None:
        return "", -1
    places = decimals(measure, row.estimate)
    low = row.estimate - (0.0 if measure == "ks" else bound[1].estimate)  # the edges of bins are a lower end of KS
    least = -1.0 if measure == "gini" else 0.0
    ends = [fixed(each, max(places, 3)) for each in (max(low, least), min(row.estimate + bound[1].estimate, 1.0))]
    return span(ends[0], ends[1]), bound[0]


def _groups(
    wording: Wording, question: Question, rows: Sequence[Numbered], shown: Sequence[str], what: str
) -> list[Grid]:
    """A line per group. Differences are from the group with the most holders."""
    by = next((key for key in question.keys if key != FEATURE), "")
    place = {(row.measure, str(row[by])): (number, row) for number, row in rows if by and row[by] is not None}
    codes = [code for code in question.codes(by) if code != "None"] if by else []
    measures = [measure for measure in shown if any((f"group_{measure}", code) in place for code in codes)]
    if not measures:
        return []
    columns = [name for measure in measures for name in (measure, f"{measure}_difference")]
    columns = [name for name in columns if any((f"group_{name}", code) in place for code in codes)]
    lines = []
    for code in codes:
        found = [place.get((f"group_{name}", code)) for name in columns]
        first = next((each for each in found if each), None)
        if first is None:
            continue
        base = first[1].base
        cells = (
            Cell("" if base is None else fixed(base, 0), ref=first[0]),
            *(cell(*each) if each else Cell(look="blank") for each in found),
        )
        lines.append(Line(((wording.code(by, code), 1),), cells, code in UNKNOWN))
    heads = [*_headed(wording, "head_of_holders"), *(_measured(wording, name) for name in columns)]
    return [_listed(wording, what, [wording.variable(by)], heads, [Group(tuple(lines))])]


def _measured(wording: Wording, name: str) -> str:
    """A measure as it is printed: rates in per cent, their differences in points."""
    key = (
        "in_points"
        if name == "calibration_in_the_large" or name.endswith("_difference")
        else "in_per_cent"
        if name in RATES
        else ""
    )
    said = wording.measure(name)
    return str((wording.say(key, text=said) if key else said).unescape())


# --- city by city


def _cities(wording: Wording, question: Question, rows: Sequence[Numbered]) -> list[Grid]:
    """All cities together, then each in the order of the roster: what a city told of the model on its own holders, and whether its scores
    still lie as those of all did."""
    own = {
        (row.scope, row.measure): (number, row)
        for number, row in rows
        if row.scope != POOLED and not any(row.at(question.keys))
    }
    cities = [city for city in question.cities if any(scope == city for scope, _ in own)]
    columns = [name for name in OF_CITIES if any((city, name) in own for city in cities)]
    if not columns:
        return []
    whole = _pooled(rows, question.keys)
    shown = [name for name in columns if name != "psi"]
    first = (*(_or_blank(whole.get(name)) for name in shown), *_drift(wording, None, columns))
    lines = [Line(((str(wording.say("all_cities")), 1),), first)]
    for city in cities:
        cells = (
            *(_or_blank(own.get((city, name))) for name in shown),
            *_drift(wording, own.get((city, "psi")), columns),
        )
        lines.append(Line(((wording.city(city), 1),), cells))
    heads = [_measured(wording, name) for name in columns]
    heads += _headed(wording, "head_floor", "head_stability") if "psi" in columns else []
    grid = _listed(wording, "what_model_cities", [str(wording.say("left_city"))], heads, [Group(tuple(lines))])
    return [replace(grid, scopes=(POOLED, *cities))]


def _or_blank(found: Numbered | None) -> Cell:
    return cell(*found) if found else Cell(look="blank")


def _drift(wording: Wording, found: Numbered | None, columns: Sequence[str]) -> tuple[Cell, ...]:
    """PSI, its noise floor and the word."""
    if "psi" not in columns:
        return ()
    if found is None or found[1].estimate is None:
        return (_or_blank(found), Cell(look="blank"), Cell(look="blank"))
    number, row = found
    word = stability(row.estimate, row.ci_low, row.ci_high, row.base)
    floor = "" if row.base is None else significant(row.base, 2)
    return (cell(number, row), Cell(floor, ref=number), *_word(wording, word, number, row))


def _levels(wording: Wording, question: Question) -> Iterator[Drawn]:
    """Observed over expected, a line for each city."""
    from coordinator.report import modelled  # it reads tables of this module

    rows = list(enumerate(question.rows))
    grids = _cities(wording, question, rows)
    own = {row.scope: row for _, row in rows if row.scope != POOLED and row.measure == "observed_expected"}
    said = modelled.in_cities(wording, question)
    if not grids or said is None:
        return
    spots = []
    for city in (each for each in question.cities if each in own):
        row = own[city]
        marks = " ".join(f"[{letter}]" for letter in row.letters)
        if row.estimate is None or row.ci_low is None or row.ci_high is None or row.estimate <= 0:
            spots.append(panels.Term(wording.city(city), None, 0.0, 0.0, marks))
            continue
        value, low, high = (fixed(each, 2) for each in (row.estimate, row.ci_low, row.ci_high))
        text = f"{value} [{span(low, high)}] {marks}".strip()
        spots.append(
            panels.Term(
                wording.city(city), row.estimate, max(row.ci_low, 1 / panels.WIDEST), row.ci_high, text, bool(marks)
            )
        )
    words = [str(wording.say(key).unescape()) for key in ("axis_levels", "below_levels", "above_levels")]
    picture = panels.forest(spots, panels.Axis(words[0], 1.0, True, words[1], words[2]))
    title = wording.say("figure_levels_title", model=fits.modelled(wording, str(question.asked.get("model", ""))))
    yield Drawn("cities", title, said, grids[0], picture)


# --- stability


def stability(index: float | None, low: float | None, high: float | None, floor: float | None) -> str:
    """`stable` below 0.1, `watch` to 0.25, `shifted` above, where its interval lies within one of these; else `unsure`. Below three times
    its noise floor nothing is called drift."""
    if index is None:
        return "unsure"
    if floor is not None and index < STILL * floor:
        return "stable"
    ends = {_stable(each) for each in (index, low, high) if each is not None}
    return ends.pop() if len(ends) == 1 else "unsure"


def _stable(index: float) -> str:
    return "stable" if index < STABLE else "watch" if index <= SHIFTED else "shifted"


def _word(wording: Wording, word: str, number: int, row: Row) -> tuple[Cell, ...]:
    """The verdict of an index; nothing where there is none."""
    if row.estimate is None:
        return (Cell(look="blank"),)
    return (Cell(str(wording.say(f"stability_{word}").unescape()), look=word, ref=number),)


def _stability(wording: Wording, rows: Sequence[Numbered]) -> list[Grid]:
    """Scores, then features, against the rows that the model was made on."""
    lines = []
    for number, row in rows:
        if row.scope != POOLED or row.measure not in ("psi", "csi"):
            continue
        word = stability(row.estimate, row.ci_low, row.ci_high, row.base)
        label = wording.say("of_scores").unescape() if row[FEATURE] is None else wording.variable(str(row[FEATURE]))
        cells = (
            cell(number, row),
            Cell("" if row.base is None else significant(row.base, 2), ref=number),
            *_word(wording, word, number, row),
        )
        lines.append(Line(((str(label), 1),), cells))
    heads = _headed(wording, "measure_psi", "head_floor", "head_stability")
    return (
        [_listed(wording, "what_stability", [str(wording.say("head_of_what"))], heads, [Group(tuple(lines))])]
        if lines
        else []
    )


# --- pictures of an evaluation


def _corners(question: Question) -> tuple[tuple[float, float, float], ...]:
    """Of the ROC polygon: score, share of the others and of the events at or above it."""
    given = question.fit.further.get("curve", ()) if question.fit else ()
    made = [tuple(float(each) for each in corner) for corner in given if _real(corner, 3)]
    return tuple((score, x, y) for score, x, y in made)


def _real(given: Any, size: int) -> bool:
    return (
        isinstance(given, list | tuple) and len(given) >= size and all(isinstance(each, int | float) for each in given)
    )


def _roc(wording: Wording, question: Question) -> Iterator[Drawn]:
    corners = _corners(question)
    auc = _pooled(enumerate(question.rows), question.keys).get("auc")
    shown = printed(auc[1]) if auc else None
    if auc is None or shown is None or len(corners) < 2:
        return
    ks = _pooled(enumerate(question.rows), question.keys).get("ks")
    apart = max(((x, y) for _, x, y in corners), key=lambda each: each[1] - each[0])
    said = "" if ks is None or ks[1].estimate is None else f"KS {significant(ks[1].estimate)}"
    names = tuple(str(wording.say(key).unescape()) for key in ("roc_across", "roc_up"))
    picture = panels.roc([(x, y) for _, x, y in corners], apart if said else None, said, (names[0], names[1]))
    title = wording.say(
        "figure_roc_title",
        model=fits.modelled(wording, str(question.asked.get("model", ""))),
        value=shown.value,
        error=shown.error,
    )
    text = wording.say(
        "figure_roc",
        value=fixed(100 * (auc[1].estimate or 0.0), 1),
        confidence=wording.percent(),
        interval=_interval(auc[1], 100, "%"),
    )
    yield Drawn("roc", title, text, _cuts(wording, question, corners), picture)


def _interval(row: Row, times: int, sign: str = "") -> str:
    if row.ci_low is None or row.ci_high is None:
        return "–"
    return span(fixed(times * row.ci_low, 1) + sign, fixed(times * row.ci_high, 1) + sign)


def _cuts(wording: Wording, question: Question, corners: Sequence[tuple[float, float, float]]) -> Grid:
    """What a cut would flag: some of the corners, evenly chosen by the share of events."""
    rate = _pooled(enumerate(question.rows), question.keys).get("observed")
    inside = [each for each in corners if each[2] > 0]
    step = -(-len(inside) // MOST_CUTS) if inside else 1
    lines = []
    for score, x, y in inside[::step]:
        whole = None if rate is None or rate[1].estimate is None else x * (1 - rate[1].estimate) + y * rate[1].estimate
        cells = [Cell(_per_cent(y)), Cell(_per_cent(x)), Cell("" if whole is None else _per_cent(whole))]
        lines.append(Line(((f"≥ {_per_cent(score)}%", 1),), tuple(cells)))
    heads = _headed(wording, "head_caught", "head_false", "head_flagged")
    grid = _listed(wording, "what_cuts", [str(wording.say("head_cut"))], heads, [Group(tuple(lines))])
    return replace(grid, left=len(inside) - len(lines))


def _per_cent(value: float) -> str:
    return fixed(100 * value, decimals("share", 100 * value))


def bands(question: Question, confidence: float) -> tuple[tuple[float, panels.Band], ...]:
    """Holders of each band of scores, and what came true with its interval: as released, else Wilson's from the counts."""
    given = question.fit.further.get("bands", ()) if question.fit else ()
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    made = []
    for each in given:
        if not _real(each, 3):
            continue
        n, predicted, observed = (float(value) for value in each[:3])
        ends = tuple(float(value) for value in each[3:5]) if len(each) >= 5 else _wilson(n, observed, z)
        made.append((n, panels.Band(predicted, observed, ends[0], ends[1])))
    return tuple(made)


def _wilson(n: float, share: float, z: float) -> tuple[float, float]:
    """E. B. Wilson, J. Am. Stat. Assoc. 22 (1927) 209-212."""
    if n <= 0:
        return 0.0, 1.0
    middle, reach = share + z * z / (2 * n), z * max(share * (1 - share) / n + z * z / (4 * n * n), 0.0) ** 0.5
    return max((middle - reach) / (1 + z * z / n), 0.0), min((middle + reach) / (1 + z * z / n), 1.0)


def _calibration(wording: Wording, question: Question) -> Iterator[Drawn]:
    told = bands(question, wording.content.study.confidence)
    place = _pooled(enumerate(question.rows), question.keys)
    if not told or "observed" not in place or "expected" not in place:
        return
    observed, expected = place["observed"][1], place["expected"][1]
    if observed.estimate is None or expected.estimate is None:
        return
    names = tuple(str(wording.say(key).unescape()) for key in ("calibration_across", "calibration_up"))
    picture = panels.calibration([band for _, band in told], (names[0], names[1]))
    outside = sum(not band.low <= band.predicted <= band.high for _, band in told)
    named = fits.modelled(wording, str(question.asked.get("model", "")))
    title = wording.say("figure_calibration_title", model=named)
    key = "figure_calibration" if outside else "figure_calibration_all"
    text = wording.say(
        key,
        observed=_per_cent(observed.estimate),
        expected=_per_cent(expected.estimate),
        outside=outside,
        count=len(told),
    )
    lines = [
        Line(
            ((f"{number}", 1),),
            (
                Cell(fixed(n, 0)),
                Cell(_per_cent(band.predicted)),
                Cell(_per_cent(band.observed)),
                Cell(span(_per_cent(band.low), _per_cent(band.high))),
                Cell(
                    str(
                        wording.say(
                            "band_inside" if band.low <= band.predicted <= band.high else "band_outside"
                        ).unescape()
                    )
                ),
            ),
        )
        for number, (n, band) in enumerate(told, 1)
    ]
    heads = _headed(wording, "head_of_holders", "head_predicted", "head_came_true", "head_interval", "head_agrees")
    twin = _listed(wording, "what_bands", [str(wording.say("head_band"))], heads, [Group(tuple(lines))])
    yield Drawn("calibration", title, text, twin, picture)


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
            ends = _ends(question)
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
        if any(row.measure.endswith("_bound") for row in question.rows):
            said.append(wording.say("note_certain"))
        if question.asked.get("cut") is not None:
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


def _left_out(wording: Wording, further: Mapping[str, Any]) -> list[Markup]:
    count = further.get("left_out")
    return [wording.say("note_fit_left_out", count=fixed(float(count), 0))] if count else []


def _ends(question: Question) -> tuple[str, str]:
    """The lowest and the highest score that a card gives."""
    made = [each for each in characteristics(enumerate(question.rows)) if each.bins]
    points = [[bin_.rows["points"][1].estimate or 0.0 for bin_ in each.bins] for each in made]
    return fixed(sum(map(min, points)), 0), fixed(sum(map(max, points)), 0)
