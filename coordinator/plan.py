"""`study plan`: what a study would cost and how sure its numbers would be. Asks nobody, spends nothing.

From the study, the dictionary and what is known of cities beforehand: cost per city and cap, every block with its noise, the expected
interval of every row, the rows that would be marked, the least epsilon for a width that is wished for, and what each city would decide.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import ROUND_CEILING, Context, Decimal
from fractions import Fraction
from functools import cached_property
from statistics import median_high
from typing import Any, Final

from coordinator import conversations, release
from coordinator.beforehand import Known
from coordinator.forecast import Cell, Forecast, Twin, judged, mostly_noise, typical
from coordinator.release import POOLED
from coordinator.split import gain, restated, stated
from coordinator.stated import lacked
from protocols import pld, privacy
from protocols.answerable import shortages
from protocols.errors import Both, ConfigError, Place
from protocols.filters import decimal
from protocols.models import private, private_card
from protocols.noise import UNIT
from protocols.plan import OWN_BYTES, Agreement, between
from protocols.privacy import Event
from protocols.session import RING, Session
from protocols.statistics.layout import Measure
from protocols.statistics.question import Question
from protocols.statistics.rows import significant
from protocols.study import Study

LEAST_EPSILON, MOST_EPSILON = Decimal("0.001"), Decimal(1000)  # between which a wish is looked for
SPAN: Final = 60.0  # twofold more or less noise than planned, so many times
NEAR: Final = 1 / 256  # of those: how closely noise is found, and epsilon to 0.14 %
LEAP: Final = 2.0  # doublings of a half-width that a search steps over at most
CLOSE: Final = 1e-3  # relative, between two epsilons
TRIALS: Final = 4
UNEQUAL: Final = 1.5  # times the noise variance, from which equal shares are told of
ROUNDS: Final = 1  # of a study without models
HEADLINE: Final = (
    "index",
    "share",
    "mean",
    "ratio",
    "row_share",
    "count",
)  # the first of these that a question has is what a wish is about


@dataclass(frozen=True)
class Wish:
    """`--width ID=VALUE`: the half-width that the middle row of a question is to have, of one of its measures (`ID.MEASURE=VALUE`)."""

    question: str
    measure: str
    width: float


def wish(text: str, study: Study) -> Wish:
    """Errors: `ConfigError PLAN_WIDTH`."""
    name, _, value = text.partition("=")
    question, _, measure = name.partition(".")
    known = [each.id for each in study.file.questions]
    try:
        width = float(decimal(value))
    except ValueError:
        width = 0.0
    if question not in known or not width > 0:
        raise ConfigError("PLAN_WIDTH", text=text, known=", ".join(known))
    return Wish(question, measure, width)


@dataclass(frozen=True)
class Planned:
    """A study over cities of which something is known. `twin`: as `Forecast.twin`. `source`: where the cities come from."""

    study: Study
    cities: tuple[Known, ...]
    twin: Twin | None
    source: str
    people: int = 0

    @property
    def names(self) -> dict[int, str]:
        """By the numbers that stand for roster ids here: 1, 2, ... by name."""
        return numbered(self.cities)

    @cached_property
    def agreement(self) -> Agreement:
        return self._agreement(self.study)

    def _agreement(self, study: Study) -> Agreement:
        return between(study, tuple(self.names), max(each.size_class for each in self.cities))

    @cached_property
    def forecast(self) -> Forecast:
        return self._forecast(self.study)

    def _forecast(self, study: Study) -> Forecast:
        agreement = self.agreement if study is self.study else self._agreement(study)
        by_name = {each.city: each for each in self.cities}
        min_cells = {number: by_name[name].min_cell for number, name in self.names.items()}
        twin = self.twin
        if twin is not None and study is not self.study:
            twin = twin.margins(study.workload.together)
        strictest = max(each.exact_cell for each in self.cities), max(each.exact_pooled for each in self.cities)
        return Forecast(agreement, self.names, min_cells, twin, self.short, strictest, self.cannot)

    @cached_property
    def cannot(self) -> dict[str, tuple[str, ...]] | None:
        """Of every city, what it cannot map; None if that is not known of all."""
        found = {each.city: each.cannot for each in self.cities}
        return (
            {name: lacking for name, lacking in found.items() if lacking is not None}
            if None not in found.values()
            else None
        )

    @cached_property
    def short(self) -> frozenset[str]:
        """Questions that too few of the cities can answer."""
        found = shortages(self.study, self.cannot) if self.cannot else ()
        return frozenset(each.name for each in found if each.of == "able")

    @cached_property
    def equal(self) -> float:
        """How many times the noise variance of the study equal shares of its cost would give, in the mean of `split`."""
        return 1.0 if self.study.exact else gain(self.study)

    @cached_property
    def cells(self) -> dict[str, tuple[Cell, ...]]:
        """Rows to come, by question."""
        return {question.id: self.forecast.cells(question) for question in self.study.file.questions}

    @cached_property
    def noisy(self) -> tuple[str, ...]:
        """Questions most rows of which would be noise; none without a twin."""
        if self.twin is None or self.study.exact:
            return ()
        return tuple(q.id for q in self.study.file.questions if self.forecast.noisy(q))

    # --- what would do

    def epsilon_for(
        self, question: Question, does: Callable[[Sequence[Cell]], bool], limit: Callable[[Cell], float | None]
    ) -> Decimal | None:
        """The least epsilon, up to three digits, at which the rows of a question do; None where no amount of it would.

        `limit`: the half-width at which a row begins to do, of those that count. Noise is scaled until the rows do; what so little noise
        costs is that epsilon. Where the least noise there is, or units of amounts, change with it, it is tried.
        """
        scale = self._most_noise(question, does, limit)
        found = None if scale is None else self._epsilon_of(scale)
        if scale is None or found is None:
            return None
        free = min(self._noise_of(scale)) > privacy.LEAST_V20
        blocks = self.study.workload.blocks[question.id].values()
        if free and all(block.measure is Measure.ONE for block in blocks):
            return found
        for _ in range(TRIALS):  # units and the least noise there is may ask for a little more, or make it impossible
            then = replace(self, study=_at(self.study, found))
            if does(self.forecast.widths(question, self._beside(then)) if free else then.forecast.widths(question)):
                return found
            found = _up(found * (1 + 5 * Decimal(repr(CLOSE))))
        return None

    def _beside(self, then: "Planned") -> float:
        """The largest noise variance of a block in another plan of the study, beside that in this one; whatever the units of both."""
        noise = [
            [total << 2 * block.shift for block, total in zip(blocks, totals, strict=True)]
            for plan in (then.agreement, self.agreement)
            for blocks, totals in [((*plan.layout.blocks, *plan.own.blocks), (*plan.v20, *plan.own_v20))]
        ]
        return float(max(Fraction(other, mine) for other, mine in zip(*noise, strict=True)))

    def _most_noise(
        self, question: Question, does: Callable[[Sequence[Cell]], bool], limit: Callable[[Cell], float | None]
    ) -> float | None:
        """The most noise variance, beside that of the plan, with which the rows do; None where none would do.

        Half-widths grow about as the root of it, so that the middle row says where to look; what is between two tries is halved.
        """
        if not does(self.forecast.widths(question, 0.0)):
            return None
        at, stride, halve = 0.0, 1.0, False
        known: dict[bool, tuple[float, float]] = {}  # of what does, and of what does not: where, and its slack
        while len(known) < 2 or known[False][0] - known[True][0] > NEAR:
            cells = self.forecast.widths(question, math.exp2(at))
            fitted, slack = does(cells), _slack(cells, limit)
            known[fitted] = (at, slack)
            if len(known) == 2:
                (low, over), (high, under) = known[True], known[False]
                part, halve = over / (over - under) if over > 0 > under and not halve else 0.5, not halve
                aimed = low + part * (high - low) + (NEAR if fitted else -NEAR) / 2  # past what is known on this side
                at = min(max(aimed, low + NEAR / 2), high - NEAR / 2)
            else:
                at += stride * max(2 * abs(slack), NEAR) * (1 if fitted else -1)
                stride *= 1.5
                if abs(at) > SPAN:
                    return math.exp2(SPAN) if fitted else None
        return math.exp2(known[True][0])

    def _noise_of(self, scale: float) -> tuple[int, ...]:
        """v20 of every block, with `scale` times the noise of the plan, or the least there is."""
        needs = self.study.needs(self.agreement.layout, self.agreement.own)
        now = (*self.agreement.v20, *self.agreement.own_v20, *self.agreement.drawn_v20)
        rates = [Fraction(v20) * need.share / need.l2sq for v20, need in zip(now, needs, strict=True)]
        free = [rate for rate, v20 in zip(rates, now, strict=True) if v20 > privacy.LEAST_V20]
        rate = (max(free) if free else min(rates)) * Fraction(scale)  # lambda
        return tuple(max(privacy.LEAST_V20, math.ceil(need.l2sq * rate / need.share)) for need in needs)

    def _epsilon_of(self, scale: float) -> Decimal | None:
        """The least epsilon, up to three digits, that gives no more than `scale` times the noise variance of the plan, or the least there
        is; None above MOST_EPSILON. It is what that noise costs: no search."""
        study, delta = self.study, self.study.delta
        needs = study.needs(self.agreement.layout, self.agreement.own)
        events = [Event(n.l1, n.l2sq, v20, n.times) for n, v20 in zip(needs, self._noise_of(scale), strict=True)]
        found = privacy.epsilon_of(privacy.compose(map(privacy.rdp, events)), delta)
        if study.accounting == "pld":
            found = min(found, pld.epsilon_of(events, delta))
        above = found / pld.BELOW * (1 + Decimal("1e-6"))
        found = _up(max(above, privacy.epsilon_of(privacy.NOTHING, delta), LEAST_EPSILON))
        return None if found > MOST_EPSILON else found

    def drops_for(self, question: Question, does: Callable[[Sequence[Cell]], bool]) -> tuple[str, ...] | None:
        """The fewest other questions, dearest first, without which its rows do at the same epsilon; None if all are too few."""
        study = self.study
        price = self.prices
        needed = {question.id, *question.named()}
        others = sorted((q.id for q in study.file.questions if q.id not in needed), key=lambda name: -price[name])

        def going(count: int) -> tuple[str, ...]:
            """So many of the others, and what is about one of them."""
            gone = others[:count]
            about = [q.id for q in study.file.questions if q.id not in gone and set(gone) & set(q.named())]
            return (*gone, *about)

        def without(count: int) -> bool:
            gone = going(count)
            kept = tuple(q for q in study.file.questions if q.id not in gone)
            asked = {"questions": kept, "privacy": study.file.privacy.model_copy(update={"noise": None})}
            left = Study(study.file.model_copy(update=asked), study.dictionary)
            return does(self._forecast(left if study.file.privacy.noise is None else stated(left)).widths(question))

        if not without(len(others)):
            return None
        least, most = 0, len(others)
        while least < most:
            middle = (least + most) // 2
            least, most = (least, middle) if without(middle) else (middle + 1, most)
        return going(most)

    @cached_property
    def prices(self) -> dict[str, Fraction]:
        """What the study would save without each question: the shares of blocks that no other one uses."""
        workload = self.study.workload
        blocks = (*workload.layout.blocks, *workload.own.blocks)
        shares: dict[Any, Fraction] = {}
        for block, share in zip(blocks, self.study.shares, strict=False):
            shares[block] = shares.get(block, Fraction(0)) + share
        of_rounds: dict[str, Fraction] = {}
        for (name, _), share in zip(self.study.drawn, self.study.shares[len(blocks) :], strict=True):
            of_rounds[name] = of_rounds.get(name, Fraction(0)) + share
        users = {block: [name for name, each in workload.blocks.items() if block in each.values()] for block in shares}
        return {
            question.id: sum(
                (share for block, share in shares.items() if users[block] == [question.id]),
                of_rounds.get(question.id, Fraction(0)),
            )
            for question in self.study.file.questions
        }


def planned(
    study: Study,
    cities: Sequence[Known],
    source: str,
    twin: Callable[[Mapping[int, str]], Twin | None],
    people: int = 0,
) -> Planned:
    """`twin`: makes stand-ins of the cities by number. `people`: holders of all of them, about; 0 if nobody knows. Errors: those of
    `between`."""
    found = tuple(sorted(cities, key=lambda each: each.city))
    return Planned(study, found, twin(numbered(found)), source, people)


def numbered(cities: Sequence[Known]) -> dict[int, str]:
    return {number: each.city for number, each in enumerate(sorted(cities, key=lambda each: each.city), 1)}


def published(plan: Planned, wishes: Sequence[Wish]) -> dict[str, Any]:
    """The plan as a value for machines; numbers as in results.json. Errors: `ConfigError MODEL_DP_TOO_NOISY`."""
    agreement, study = plan.agreement, plan.study
    refuse_models(plan)
    questions = [_question(plan, question) for question in study.file.questions]
    return {
        "study": {
            "id": study.file.study,
            "digest": study.digest,
            "mode": study.file.privacy.mode,
            "questions": len(questions),
        },
        "cities": {"from": plan.source, "names": list(plan.names.values()), "twin": plan.twin is not None},
        "tolerance": {
            "cities": len(agreement.cities),
            "threshold": agreement.limits.t,
            "colluders": study.file.privacy.tolerate.colluders,
            "dropouts_asked": 0 if study.exact else study.file.privacy.tolerate.dropouts,
            "dropouts": agreement.limits.d,
            "honest_share": agreement.honest,
        },
        "runs": {
            "of": study.runs,
            "as_of": study.file.as_of.isoformat(),
            "last_as_of": study.last_as_of.isoformat(),
        },
        "cost": _cost(plan),
        "split": {"stated": study.file.privacy.noise is not None, "equal": significant(plan.equal)},
        "blocks": _blocks(plan),
        "session": conversations.published(study),
        "questions": questions,
        "noisy": [_noisy(plan, name) for name in plan.noisy],
        "widths": [_width(plan, each) for each in wishes],
        "warnings": _warnings(plan),
    }


def _cost(plan: Planned) -> dict[str, Any]:
    agreement = plan.agreement
    epsilon = None if plan.study.exact else significant(float(agreement.epsilon))
    return {
        "epsilon": epsilon,
        "delta": None if plan.study.exact else float(plan.study.delta),
        "accounting": plan.study.accounting,
        "epsilon_in_two_cities": None if plan.study.exact else significant(float(agreement.epsilon_in_two_cities)),
        "cities": [
            {
                "city": each.city,
                "epsilon": epsilon,
                "caps": [_cap(plan, allowance) for allowance in each.caps],
                "cannot": None if each.cannot is None else lacked(plan.study, each.cannot),
                "decides": each.decide,
                "rule": each.rule,
                "reasons": [reason.model_dump() for reason in each.reasons],
            }
            for each in plan.cities
        ],
    }


def _cap(plan: Planned, allowance: Any) -> dict[str, Any]:
    cost = privacy.cost_at(plan.agreement.cost.curve, allowance.order)
    return {
        "scope": allowance.scope,
        "epsilon": float(allowance.epsilon),
        "delta": float(allowance.delta),
        "order": allowance.order,
        "cost": significant(cost / privacy.COST_UNIT),
        "room": significant(allowance.room / privacy.COST_UNIT),
        "left": significant(allowance.left / privacy.COST_UNIT),
        "share": significant(cost / allowance.room),
        "fits": cost <= allowance.left,
    }


def _blocks(plan: Planned) -> list[dict[str, Any]]:
    agreement, shares = plan.agreement, plan.study.shares
    ring = agreement.ring if agreement.layout.blocks else 0
    parts = (
        ("sum", agreement.layout, agreement.v20, agreement.node_v20, ring, ring // 8),
        ("city", agreement.own, agreement.own_v20, agreement.own_v20, 8 * OWN_BYTES, OWN_BYTES),
    )
    found, at = [], 0
    for where, layout, totals, of_node, bits, size in parts:
        for block, total, node in zip(layout.blocks, totals, of_node, strict=True):
            found.append(
                {
                    "where": where,
                    "block": block.name,
                    "cells": block.cells,
                    "l1": block.l1,
                    "l2sq": block.l2sq,
                    "touches": block.touches,
                    "shift": block.shift,
                    "share": significant(float(shares[at])),
                    "variance": significant(total / UNIT),
                    "node_variance": significant(node / UNIT),
                    "ring": bits,
                    "bytes": block.cells * size,
                    "rounds": ROUNDS,
                    "runs": plan.study.runs,
                }
            )
            at += 1
    return found + _of_rounds(plan, shares[at:])


def _of_rounds(plan: Planned, shares: Sequence[Fraction]) -> list[dict[str, Any]]:
    """What each round of the session releases, and in how many rounds; the share is that of all of them."""
    return [
        {
            "where": "session",
            "block": each.name,
            "cells": each.draw.cells,
            "l1": each.draw.l1,
            "l2sq": each.draw.l2sq,
            "touches": each.draw.cells,
            "shift": 0,
            "share": significant(float(share)),
            "variance": significant(each.v20 / UNIT),
            "node_variance": significant(each.node_v20 / UNIT),
            "ring": RING,
            "bytes": each.draw.cells * RING // 8,
            "rounds": each.draw.times,
            "runs": plan.study.runs,
        }
        for each, share in zip(plan.agreement.drawn, shares, strict=True)
    ]


def _unstated(question: Question, cell: Cell) -> Cell:
    """Of a ratio of what cities have yet to state about themselves, no number is foreseen, nor a width where noise makes one."""
    if cell.measure != "ratio" or not question.facts():
        return cell
    wide = replace(cell, half_width=None, of_noise=None, of_sampling=None) if question.variables() else cell
    return replace(wide, expected=None)


def _question(plan: Planned, question: Question) -> dict[str, Any]:
    cells = [_unstated(question, cell) for cell in plan.cells[question.id]]
    groups: dict[tuple[str, str], list[Cell]] = {}
    for cell in cells:
        groups.setdefault(("pooled" if cell.scope == POOLED else "city", cell.measure), []).append(cell)
    able = None if plan.cannot is None else list(plan.study.able(question, plan.cannot))
    return {
        "id": question.id,
        "kind": question.kind,
        "release": plan.study.release_of(question),
        **release.chosen(plan.study, question),
        "cities": able,
        "enough_cities": None if able is None else question.id not in plan.short,
        "headline": headline(cells),
        "share": significant(float(plan.prices[question.id])),
        "expected_doubtful": _sum(cell.doubtful for cell in cells if cell.counted),
        "rows": sum(cell.counted for cell in cells),
        "empty": sum(cell.counted and cell.empty for cell in cells),
        "measures": [
            {
                "scope": scope,
                "measure": measure,
                "rows": sum(cell.counted for cell in group),
                "expected": _printed(typical(group, lambda cell: cell.expected)),
                "half_width": _printed(typical(group, lambda cell: cell.half_width)),
                "of_noise": _printed(typical(group, lambda cell: cell.of_noise)),
                "of_sampling": _printed(typical(group, lambda cell: cell.of_sampling)),
            }
            for (scope, measure), group in groups.items()
        ],
        "cells": [
            {
                "scope": cell.scope,
                "measure": cell.measure,
                **cell.keys,
                **({"contrast": True} if cell.contrast else {}),
                "expected": _printed(cell.expected),
                "half_width": _printed(cell.half_width),
                "of_noise": _printed(cell.of_noise),
                "of_sampling": _printed(cell.of_sampling),
                "doubtful": _printed(cell.doubtful),
                "unavailable": _printed(cell.unavailable),
                "withheld": cell.withheld,
            }
            for cell in cells
        ],
    }


def headline(cells: Sequence[Cell]) -> str:
    """The measure that a question is mostly asked for."""
    measures = dict.fromkeys(cell.measure for cell in cells)
    return next((each for each in HEADLINE if each in measures), next(iter(measures), ""))


def _noisy(plan: Planned, name: str) -> dict[str, Any]:
    question = next(each for each in plan.study.file.questions if each.id == name)
    cells = judged(plan.forecast.widths(question))
    epsilon = plan.epsilon_for(question, lambda cells: not mostly_noise(cells), _of_noise)
    return {
        "question": name,
        "rows": len(cells),
        "noise": sum(cell.noise for cell in cells),
        "epsilon": None if epsilon is None else float(epsilon),
    }


def _slack(cells: Sequence[Cell], limit: Callable[[Cell], float | None]) -> float:
    """How many times the half-width of the middle row could double up to its limit; below 0 where it passed it."""
    found = []
    for cell in judged(cells):
        width, wished = cell.half_width or cell.of_noise, limit(cell)
        if wished is not None:
            found.append(wished / width if width else 0.0 if width is None else math.inf)
    middle = median_high(found) if found else 1.0
    return min(max(math.log2(middle), -LEAP), LEAP) if middle > 0 else -LEAP


def _of_noise(cell: Cell) -> float | None:
    """From which half-width a row is noise."""
    return None if cell.expected is None else abs(cell.expected)


def _width(plan: Planned, wished: Wish) -> dict[str, Any]:
    question = next(each for each in plan.study.file.questions if each.id == wished.question)
    cells = plan.cells[question.id]
    measures = dict.fromkeys(cell.measure for cell in cells)
    measure = wished.measure or headline(cells)
    if measure not in measures:
        raise ConfigError("PLAN_WIDTH", text=f"{wished.question}.{measure}", known=", ".join(measures))

    def middle(found: Sequence[Cell]) -> float | None:
        return typical(
            judged([cell for cell in found if cell.measure == measure]),
            lambda cell: cell.of_noise if plan.twin is None else cell.half_width,
        )

    def does(found: Sequence[Cell]) -> bool:
        width = middle(found)
        return width is not None and width <= wished.width

    now = middle(cells)
    found = {
        "question": question.id,
        "measure": measure,
        "width": wished.width,
        "now": _printed(now),
        "noise_only": plan.twin is None,
        "reached": does(cells),
        "epsilon": None,
        "without_noise": _printed(middle(plan.forecast.widths(question, 0.0))),
        "drop": None,
    }
    if now is None or plan.study.exact:
        return found
    epsilon = plan.epsilon_for(question, does, lambda cell: wished.width if cell.measure == measure else None)
    drops = () if found["reached"] else plan.drops_for(question, does)
    return found | {
        "epsilon": None if epsilon is None else float(epsilon),
        "drop": None if drops is None else list(drops),
    }


def _warnings(plan: Planned) -> list[dict[str, Any]]:
    """What a reader should know before signing, each a word and its values."""
    agreement, study = plan.agreement, plan.study
    found: list[dict[str, Any]] = []
    if plan.source == "least":
        found.append({"warning": "least_cities", "count": len(plan.cities)})
    asked = 0 if study.exact else study.file.privacy.tolerate.dropouts
    if study.summed and agreement.limits.d < asked:
        found.append({"warning": "dropouts", "asked": asked, "left": agreement.limits.d})
    if plan.twin is None:
        found.append({"warning": "no_twin"})
    if plan.cannot is None:
        found.append({"warning": "cannot_unknown"})
    found += [{"warning": "too_few_able", "question": name} for name in sorted(plan.short)]
    if plan.equal > UNEQUAL:
        found.append({"warning": "equal_split", "times": significant(plan.equal)})
    if plan.noisy:
        found.append({"warning": "noisy", "questions": list(plan.noisy)})
    for name, ratio in noise_of_models(plan).items():
        if ratio > private.NOISY:
            found.append({"warning": "noisy_model", "question": name, "times": significant(ratio)})
    for each in plan.cities:
        if each.decide == "refuse":
            found.append({"warning": "refuses", "city": each.city, "codes": [reason.code for reason in each.reasons]})
        over = [cap["scope"] for cap in (_cap(plan, allowance) for allowance in each.caps) if not cap["fits"]]
        if over:
            found.append({"warning": "over_cap", "city": each.city, "scopes": over})
    return found


def noise_of_models(plan: Planned) -> dict[str, float]:
    """Of each regression with noise, how many times the error of sampling that of noise would be, as far as public figures tell. Errors:
    `ConfigError` of planning them."""
    if plan.study.exact or not plan.people:
        return {}
    models = Session(plan.agreement).models.models
    with_noise = (private.PrivatePlan, private_card.PrivateCardPlan)
    found = {name: each.ratio(plan.people) for name, each in models.items() if isinstance(each, with_noise)}
    return {name: ratio for name, ratio in found.items() if ratio is not None}


def refuse_models(plan: Planned) -> None:
    """Errors: `ConfigError MODEL_DP_TOO_NOISY` where the coefficients of a regression would be noise."""
    for name, ratio in noise_of_models(plan).items():
        if ratio > private.TOO_NOISY:
            raise private.too_noisy(name, ratio, plan.people)


def refuse_noise(plan: Planned) -> None:
    """Errors: `ConfigError` PLAN_NOISY where most rows of a question would be noise; MODEL_DP_TOO_NOISY."""
    refuse_models(plan)
    noisy = [_noisy(plan, name) for name in plan.noisy]
    if noisy:
        would = [each["epsilon"] for each in noisy]
        known = [each for each in would if each is not None]
        if len(known) == len(would):
            way = Both(
                f"把 epsilon 提高到 {max(known):g}、减少类别",
                f"Raise epsilon to {max(known):g}, ask for fewer categories",
            )
        else:  # no epsilon does it for all of them
            way = Both("减少类别", "Ask for fewer categories")
        raise ConfigError(
            "PLAN_NOISY",
            Place(plan.study.file.study, 0, "questions"),
            questions=", ".join(plan.noisy),
            way=way,
        )


def _at(study: Study, epsilon: Decimal) -> Study:
    """The same questions for another epsilon, split as they are."""
    noise = study.file.privacy.noise
    privacy_ = study.file.privacy.model_copy(update={"epsilon": f"{epsilon:f}", "noise": None})
    found = Study(study.file.model_copy(update={"privacy": privacy_}), study.dictionary)
    return found if noise is None else restated(found, noise.shares)


def _up(epsilon: Decimal) -> Decimal:
    """Up to three significant digits."""
    return Context(prec=3, rounding=ROUND_CEILING).plus(epsilon)


def _printed(value: float | None) -> float | None:
    return None if value is None else significant(value)


def _sum(values: Any) -> float | None:
    found = list(values)
    return None if any(each is None for each in found) else significant(sum(found))
