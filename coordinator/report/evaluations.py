"""How good a model is: what ranks and what calibrates, each with what is certain of it; by group and by city; who is flagged at a cut;
whether scores lie where they did. Pictures: the ROC curve, calibration by band, and observed over expected by city.

A number that is read from bins has an interval over sampling, and ends between which the number of the single scores certainly lies: the
two stand apart. Words for stability are in `stability`.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import NormalDist
from typing import Any, Final

from markupsafe import Markup

from coordinator.report import fits, panels
from coordinator.report.grids import Cell, Grid, Group, Line, Numbered, cell, told_p
from coordinator.report.listing import Drawn, headed, listed, per_cent
from coordinator.report.numbers import RATES, decimals, factor, fixed, printed, probability, significant, span
from coordinator.report.wording import Wording
from coordinator.results import POOLED, UNKNOWN, Question, Row

FEATURE: Final = "feature"
FEWEST_CITIES: Final = 3
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
THIN: Final = 1000  # a band of a smaller part of the holders is drawn with its neighbour


def tables(wording: Wording, question: Question, rows: Sequence[Numbered]) -> list[Grid]:
    return [
        *_whole(wording, rows),
        *_against(wording, question, rows),
        *_groups(wording, question, rows, RANKED, "what_groups"),
        *_groups(wording, question, rows, FLAGGED, "what_flagged"),
        *_cities(wording, question, rows),
        *_stability(wording, rows),
    ]


def drawings(wording: Wording, question: Question) -> Iterator[Drawn]:
    yield from _roc(wording, question)
    yield from _calibration(wording, question)
    yield from _levels(wording, question)


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
    return [listed(wording, "what_evaluate", [stub], headed(wording, *heads), groups)] if lines else []


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
    heads = [*models, *headed(wording, "head_p")]
    return [listed(wording, "what_against", [str(wording.say("head_figure"))], heads, [Group(tuple(lines))])]


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
    heads = [*headed(wording, "head_of_holders"), *(_measured(wording, name) for name in columns)]
    return [listed(wording, what, [wording.variable(by)], heads, [Group(tuple(lines))])]


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
    heads += headed(wording, "head_floor", "head_stability") if "psi" in columns else []
    grid = listed(wording, "what_model_cities", [str(wording.say("left_city"))], heads, [Group(tuple(lines))])
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
    rows = list(enumerate(question.rows))
    grids = _cities(wording, question, rows)
    own = {row.scope: row for _, row in rows if row.scope != POOLED and row.measure == "observed_expected"}
    said = in_cities(wording, question)
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
    heads = headed(wording, "measure_psi", "head_floor", "head_stability")
    return (
        [listed(wording, "what_stability", [str(wording.say("head_of_what"))], heads, [Group(tuple(lines))])]
        if lines
        else []
    )


@dataclass(frozen=True)
class Apart:
    """What cities say of a model. told: with both numbers; off: those whose observed over expected leaves 1 out; ranks: whether the AUC of
    all lies within the interval of each of these."""

    told: tuple[str, ...]
    off: tuple[str, ...]
    ranks: bool


def apart(question: Question) -> Apart | None:
    """None where fewer than three cities told both numbers."""
    whole = next(
        (
            row
            for row in question.rows
            if row.scope == POOLED and row.measure == "auc" and not any(row.at(question.keys))
        ),
        None,
    )
    of: dict[str, dict[str, Row]] = {}
    for row in question.rows:
        if row.scope != POOLED and row.clear and row.ci_low is not None and row.ci_high is not None:
            of.setdefault(row.scope, {})[row.measure] = row
    told = {city: each for city, each in of.items() if {"auc", "observed_expected"} <= set(each)}
    if len(told) < FEWEST_CITIES or whole is None or whole.estimate is None:
        return None
    off = [city for city, each in told.items() if not _within(1.0, each["observed_expected"])]
    ranks = all(_within(whole.estimate, told[city]["auc"]) for city in off)
    return Apart(tuple(told), tuple(off), ranks)


def _within(value: float, row: Row) -> bool:
    return row.ci_low is not None and row.ci_high is not None and row.ci_low <= value <= row.ci_high


def in_cities(wording: Wording, question: Question) -> Markup | None:
    """Where the level is off and the order is not, a model is recalibrated; a new one would not help."""
    found = apart(question)
    if found is None:
        return None
    if not found.off:
        return wording.say("cities_all", count=len(found.told))
    return wording.say(
        "cities_recalibrate" if found.ranks else "cities_look",
        count=len(found.told),
        off=len(found.off),
        cities=wording.cities(found.off),
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
        cells = [Cell(per_cent(y)), Cell(per_cent(x)), Cell("" if whole is None else per_cent(whole))]
        lines.append(Line(((f"≥ {per_cent(score)}%", 1),), tuple(cells)))
    heads = headed(wording, "head_caught", "head_false", "head_flagged")
    grid = listed(wording, "what_cuts", [str(wording.say("head_cut"))], heads, [Group(tuple(lines))])
    return replace(grid, left=len(inside) - len(lines))


def bands(question: Question, confidence: float) -> tuple[tuple[float, panels.Band], ...]:
    """Holders of each band of scores, and what came true with its interval: as released, else Wilson's from the counts, where a band of
    few holders is one with that below it."""
    given = [each for each in (question.fit.further.get("bands", ()) if question.fit else ()) if _real(each, 3)]
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    if given and all(len(each) >= 5 for each in given):
        return tuple((float(each[0]), panels.Band(*(float(value) for value in each[1:5]))) for each in given)
    made = _together([(float(n), float(predicted), float(observed)) for n, predicted, observed, *_ in given])
    return tuple((n, panels.Band(predicted, observed, *_wilson(n, observed, z))) for n, predicted, observed in made)


def _together(bands: Sequence[tuple[float, float, float]]) -> list[tuple[float, float, float]]:
    """Bands of holders, predicted and observed rate, each of at least a thousandth of the holders: a few far away would set the axes."""
    least, made = sum(n for n, _, _ in bands) / THIN, list[tuple[float, float, float]]()
    for n, predicted, observed in bands:
        if made and (n < least or made[-1][0] < least):
            before, first, second = made.pop()
            whole = before + n
            made.append((whole, (before * first + n * predicted) / whole, (before * second + n * observed) / whole))
        else:
            made.append((n, predicted, observed))
    return made


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
        observed=per_cent(observed.estimate),
        expected=per_cent(expected.estimate),
        outside=outside,
        count=len(told),
    )
    lines = [
        Line(
            ((f"{number}", 1),),
            (
                Cell(fixed(n, 0)),
                Cell(per_cent(band.predicted)),
                Cell(per_cent(band.observed)),
                Cell(span(per_cent(band.low), per_cent(band.high))),
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
    heads = headed(wording, "head_of_holders", "head_predicted", "head_came_true", "head_interval", "head_agrees")
    twin = listed(wording, "what_bands", [str(wording.say("head_band"))], heads, [Group(tuple(lines))])
    yield Drawn("calibration", title, text, twin, picture)
