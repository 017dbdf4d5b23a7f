"""A scorecard as a risk officer reads it: for every bin of every characteristic the holders, events, event rate, weight of evidence and
points; then what each characteristic is worth, and why some are not in the card.

The share of events, the part of a bin and neutral points are quotients of numbers of the results, and are traced to them. With noise the
counts have intervals: a rate then has the ends that these leave. Words for information values are N. Siddiqi's (Credit Risk Scorecards,
chapter 6).
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from coordinator.report.grids import Cell, Grid, Group, Line, Numbered, cell
from coordinator.report.listing import headed, listed, per_cent
from coordinator.report.numbers import fixed, probability, significant, span
from coordinator.report.wording import Wording
from coordinator.results import UNKNOWN, Question

FEATURE, BIN = "feature", "bin"
EDGES: Final = re.compile(r"(?P<low>-?[0-9.]+)-(?P<high>-?[0-9.]+)")
STRENGTHS: Final = (
    (0.02, "none"),
    (0.1, "weak"),
    (0.3, "medium"),
    (0.5, "strong"),
)  # of an information value; beyond, to be looked at


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
    def clear(self) -> bool:
        """Whether neither count has a mark."""
        return all(self.rows[name][1].clear for name in ("events", "nonevents"))

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


def card(wording: Wording, rows: Sequence[Numbered]) -> list[Grid]:
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
    heads = headed(
        wording, "head_of_holders", "head_of_all", "measure_events", "head_event_rate", "measure_woe", "measure_points"
    )
    return [listed(wording, "what_card", [wording.variable(BIN)], heads, groups)] if groups else []


def _bin_line(wording: Wording, bin_: Bin, whole: float) -> Line:
    events = bin_.rows["events"]
    blank = Cell(look="blank")
    if bin_.holders is None or bin_.events is None:
        first: tuple[Cell, ...] = (blank, blank, cell(*events), blank)
    else:
        rate = "" if bin_.rate is None else per_cent(bin_.rate)
        part = fixed(100 * bin_.holders / whole, 1) if whole > 0 else ""
        low, high = bin_.ends
        noisy = low is not None and high is not None
        first = (
            Cell(fixed(bin_.holders, 0), _reach(bin_.around) if noisy else "", ref=events[0]),
            Cell(part, ref=events[0]),
            cell(*events),
            Cell(
                rate,
                f"[{span(per_cent(low), per_cent(high))}]" if low is not None and high is not None else "",
                ref=events[0],
            ),
        )
    number, woe = bin_.rows["woe"]
    error = f"({significant(woe.se_noise, 2)})" if woe.se_noise and woe.ci_low is None else ""
    last = (replace(cell(number, woe), error=error) if error else cell(number, woe), cell(*bin_.rows["points"]))
    return Line(((bin_label(wording, bin_.feature, bin_.code), 1),), (*first, *last), bin_.code in UNKNOWN)


def _reach(half: float) -> str:
    return f"±{fixed(half, 0)}"


def worth(wording: Wording, question: Question, rows: Sequence[Numbered]) -> list[Grid]:
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
    heads = headed(wording, "measure_iv", "head_strength", "measure_weight", "head_p", "head_in_card")
    stub = str(wording.say("head_characteristic"))
    return (
        [replace(listed(wording, "what_characteristics", [stub], heads, [Group(tuple(lines))]), folded=False)]
        if lines
        else []
    )


def ends(question: Question) -> tuple[str, str]:
    """The lowest and the highest score that a card gives."""
    made = [each for each in characteristics(enumerate(question.rows)) if each.bins]
    points = [[bin_.rows["points"][1].estimate or 0.0 for bin_ in each.bins] for each in made]
    return fixed(sum(map(min, points)), 0), fixed(sum(map(max, points)), 0)
