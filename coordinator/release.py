"""From the opened sum, and what cities answered by themselves, to `results.json`, the one truth of a study.

    sum over cities, own answers ── consistency ──▶ tables that agree ── finalize per question ──▶ rows with intervals and marks

Of a city that is in the sum alone, nothing here knows what it sent. Every other file of an output is a pure function of what this writes.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from fractions import Fraction
from functools import cached_property
from typing import Any, Final

import numpy as np

from coordinator import fits
from coordinator.consistency import Reconciled, reconcile, reconcile_cities
from coordinator.published import Published, amounts_before, beside
from coordinator.stated import Figures, lacked, variables, words
from coordinator.stated import opened as opened_facts
from protocols import privacy
from protocols.approval import Approval
from protocols.canonical import canonical
from protocols.dictionary import Words
from protocols.filters import leaves
from protocols.models.interface import Result
from protocols.models.question import ManyRounds
from protocols.noise import UNIT
from protocols.plan import OWN_BYTES, Agreement
from protocols.ring import Vector
from protocols.roster import Roster
from protocols.session import RING, Session
from protocols.statistics import dominance
from protocols.statistics.dominance import Amounts, withheld_amounts
from protocols.statistics.estimates import COUNTS, Estimates, Families, family_of
from protocols.statistics.layout import FROM, NOTHING, TO, Blocks, Layout
from protocols.statistics.own_tables import WITHHELD, OwnTables
from protocols.statistics.question import Question
from protocols.statistics.resolution import Resolution
from protocols.statistics.rows import Answer, significant
from protocols.statistics.suppression import Withheld, withheld
from protocols.study import Study

CONTRACT: Final = 1
POOLED: Final = "pooled"  # the scope of rows about all cities together
SOFTWARE: Final = "hpfed 0.1.0"
TIME: Final = "%Y-%m-%dT%H:%M:%SZ"  # of every moment in a file


@dataclass(frozen=True)
class Missing:
    """A city without a part in the result, and why."""

    city: str
    reason: str
    detail: str = ""

    def published(self) -> dict[str, str]:
        return {"city": self.city, "reason": self.reason, "detail": self.detail}


@dataclass(frozen=True)
class Opened:
    """What a study gave: the sum over `survivors` (roster ids, ascending), and who else was asked.

    `known`: whether that sum is; a reader of an exact result has zeros in its place. `own`: what each of them answered by itself, where the
    study asks for that, and `said` the messages that hold it; `uncounted`: those of them that did not. Where nothing is summed, the
    survivors are those that answered. `before`: what was published exactly of the same holders. `stated`: where the sum is not known, what
    results say of the facts that were added up. `fits`: what its many-round questions came to; empty where that is not known.
    """

    agreement: Agreement
    total: Vector
    survivors: tuple[int, ...]
    missing: tuple[Missing, ...]
    approvals: Mapping[int, Approval]
    own: Mapping[int, Vector] = field(default_factory=dict)
    uncounted: tuple[Missing, ...] = ()
    known: bool = True
    before: tuple[Published, ...] = ()
    stated: Mapping[str, int] = field(default_factory=dict)
    fits: Mapping[str, Result] = field(default_factory=dict)
    said: Mapping[int, bytes] = field(default_factory=dict, repr=False)

    @property
    def computed(self) -> frozenset[str]:
        """The questions of one round whose numbers follow from what is known here."""
        study = self.agreement.study
        asked = [each for each in study.file.questions if not isinstance(each, ManyRounds)]
        if self.known:
            return frozenset(question.id for question in asked)
        figures = {question.id for question in asked if not study.workload.blocks[question.id]}
        alone = {question.id for question in asked if study.exact and study.release_of(question) != "pooled"}
        return frozenset(alone | figures)

    def figures(self, roster: Roster) -> Figures:
        """What its cities stated about themselves. Errors: `PeerError SUM_STATED`."""
        approvals = {roster.name(city): self.approvals[city] for city in self.survivors}
        return Figures.of(
            self.agreement, approvals, opened_facts(self.agreement, self.total) if self.known else self.stated
        )

    @cached_property
    def covers(self) -> Withheld | None:
        """Cells of the exact sum that are not printed, by the strictest of its cities; None where none is asked to be withheld."""
        answered = [self.approvals[city] for city in self.survivors]
        least, fewest = (max(getattr(each, name) for each in answered) for name in ("min_cell", "min_pooled"))
        study = self.agreement.study
        if not (study.exact and study.summed and self.known and max(least, fewest) > 1):
            return None
        return beside(self.agreement.layout, self.total, self.before, least, fewest)

    @cached_property
    def amounts(self) -> Amounts:
        """Cells of its sums of amounts that are not printed; none where no policy asks for any to be withheld."""
        if self.covers is None:
            return {}
        layout, none = self.agreement.layout, [0] * len(self.agreement.layout.blocks)
        families = reconcile(layout, self.total, none)
        return withheld_amounts(layout, families, self.total, self.covers, amounts_before(self.before))


def results(opened: Opened, roster: Roster, names: Mapping[str, Words], at: int, seeded: bool) -> bytes:
    """Canonical bytes of results.json. `names`: what cities are called; `at`: Unix seconds of the release.

    Errors: those of `reconcile`; no partial table is made.
    """
    return canonical({**terms(opened, roster, names, at, seeded), "questions": answers(opened, roster)})


def answers(opened: Opened, roster: Roster) -> dict[str, Any]:
    """Rows and tests of every question, by its id: what sum and own answers say. Errors: those of `reconcile_cities`."""
    study, survivors = opened.agreement.study, opened.survivors
    of_sum, of_cities = reconciled(opened)
    said = own_tables(opened)
    figures = opened.figures(roster)
    covered = {roster.name(city): opened.approvals[city].scope for city in survivors}
    domain = replace(study.domain, scopes={city: each.word for city, each in covered.items()})
    cannot = {roster.name(city): opened.approvals[city].cannot for city in survivors}
    left = models(opened, roster)
    questions = {}
    for number, question in enumerate(study.file.questions):
        release = study.release_of(question)
        able = study.able(question, cannot)
        enough = len(able) >= max(study.file.cities.least, study.file.privacy.tolerate.colluders + 2)
        found = of_sum if release == "pooled" else of_cities
        if isinstance(question, ManyRounds):
            placed = {place: roster.name(city) for place, city in enumerate(opened.agreement.cities)}
            questions[question.id] = {
                "kind": question.kind,
                "number": number,
                "release": release,
                "cities": list(able),
                "asked": asked(question),
                **chosen(study, question),
                **fits.entry(
                    opened.fits.get(question.id), {place: name for place, name in placed.items() if name in able}
                ),
                **fits.part(study, question, left),
            }
            continue
        alone = bool(study.workload.blocks[question.id])  # else it asks for nothing that a city would answer by itself
        answered = [city for city in survivors if city in opened.own or not opened.known or not alone]
        given = {POOLED, *(name for name in map(roster.name, answered) if name in able)} if enough else set[str]()
        cities = [Scope(city, roster.name(city), opened.approvals[city].min_cell) for city in survivors]
        sums = scoped(study, question, found, cities, able, given, linked=len(answered) == len(survivors))
        sums = {scope: figures.beside(question, each) for scope, each in sums.items()}
        scopes: list[tuple[str, Answer]] = []
        of_all = opened.covers if release == "pooled" else said[None].withheld if said else None
        covers = {POOLED: of_all, **{roster.name(city): said[city].withheld for city in survivors if said}}
        for scope, answer in question.answers(sums, given, domain).items():
            answer = _covered(answer, question, study, covers.get(scope))
            if scope == POOLED and release == "pooled" and opened.amounts:
                answer = dominance.covered(answer, study.workload.blocks[question.id], opened.amounts)
            if scope == POOLED:
                answer = without_thin_levels(study, question, able, answer)
            answer = answer if scope in given else answer.unavailable()
            scopes.append((scope, Answer((), answer.tests) if scope == POOLED and release == "by_city" else answer))
        rows = [(scope, row) for scope, answer in scopes for row in answer.rows]
        questions[question.id] = {
            "kind": question.kind,
            "number": number,  # canonical JSON sorts keys; readers want the study's order
            "release": release,
            "cities": list(able),
            "keys": list(dict.fromkeys(name for _, row in rows for name in row.keys)),
            "asked": asked(question),
            **chosen(study, question),
            **figures.published(question, able),
            "rows": [row.published(scope) for scope, row in rows],
            "tests": [
                {"name": test.name, **({} if scope == POOLED else {"scope": scope}), **test.values}
                for scope, answer in scopes
                for test in answer.tests
            ],
        }
    return questions


def models(opened: Opened, roster: Roster) -> dict[str, bytes]:
    """The models of its many-round questions, by path under OUT."""
    study = opened.agreement.study
    cannot = {roster.name(city): opened.approvals[city].cannot for city in opened.survivors}
    least = max(opened.approvals[city].min_cell for city in opened.survivors)
    return fits.files(study, opened.fits, {each.id: study.able(each, cannot) for each in study.many}, least)


def _covered(answer: Answer, question: Question, study: Study, over: Withheld | None) -> Answer:
    return answer if over is None else question.withhold(answer, over, study.workload.blocks[question.id])


def without_thin_levels(study: Study, question: Question, able: Sequence[str], answer: Answer) -> Answer:
    """A pooled answer without the rows of levels that few of the cities able to answer stand at; in mode exact no such study is
    answered."""
    least = max(study.file.cities.least, study.file.privacy.tolerate.colluders + 2)
    found = study.split(question, able, least)
    return answer.without(lambda row: found.hides(row.keys, contrast=row.contrast), tested=not found.guarded)


def hidden(agreement: Agreement, families: Families, least: int, fewest: int) -> Withheld | None:
    """Cells of exact tables of the study's cohort that are not printed; None where no policy asks for any. `least`, `fewest`: holders of a
    cell, and of a sum. No policy lets cells be withheld where there are several cohorts, of which one could be taken from another."""
    if max(least, fewest) <= 1:
        return None
    if COUNTS not in families:
        return Withheld({}, {})
    return withheld(families[COUNTS], Resolution.of(agreement.layout), least, fewest)


@dataclass(frozen=True)
class Scope:
    """A city whose numbers may be published: roster id, name, and the count below which one of its own is of low reliability."""

    city: int
    name: str
    min_cell: int


def scoped(
    study: Study,
    question: Question,
    found: Reconciled,
    cities: Sequence[Scope],
    able: tuple[str, ...],
    given: Collection[str],
    *,
    linked: bool,
) -> dict[str, Estimates]:
    """What each scope of an answer is made from: all cities together, then each in the order of the roster.

    `able`: whose holders the question is about. `given`: scopes whose sums are known. `linked`: cities add up to what is said of all. Where
    they do not and a question about cities together was not summed, its sums are of those that are given.
    """
    release, sums = study.release_of(question), dict[str, Estimates]()
    if release != "pooled":
        sums = {
            each.name: estimates(
                study, question, found.cities.get(each.city, {}), each.min_cell, (each.name,), each.name
            )
            for each in cities
        }
    if release == "by_city" and not question.TOGETHER:
        return sums
    most = max(each.min_cell for each in cities)
    if release == "pooled" or _summed(study.workload.blocks[question.id], found.pooled):
        whole = estimates(study, question, found.pooled, most, able)
        whole = replace(whole, parts=len(cities) if linked else 0)
    else:
        first, *others = [each for name, each in sums.items() if name in given] or list(sums.values())
        whole = replace(first.added(others), question=question.id, min_cell=most, cities=able, parts=1 + len(others))
    return {POOLED: whole, **sums}


def _summed(blocks: Blocks, families: Families) -> bool:
    """Whether there is an official table of each block."""
    return all(
        family_of(block) in families and frozenset(axis.name for axis in block.axes) in families[family_of(block)].units
        for block in blocks.values()
    )


def estimates(
    study: Study, question: Question, families: Families, min_cell: int, cities: tuple[str, ...], city: str = ""
) -> Estimates:
    """What a question is finalized from. `cities`: whose holders it is about. `city`: its name in a table of one. Each scope has a stream
    of its own for what is drawn."""
    return Estimates.of(
        families,
        study.workload.blocks[question.id],
        study=study.digest,
        question=f"{question.id} {city}" if city else question.id,
        confidence=study.file.confidence,
        min_cell=min_cell,
        cities=cities,
        part=study.workload.slices.get(question.id),
    )


def own_tables(opened: Opened) -> Mapping[int | None, OwnTables]:
    """Mode exact, where a city withheld cells: the tables of each survivor by roster id, and under None their sum. Else nothing."""
    own, said = opened.agreement.own, opened.own
    if not opened.agreement.study.exact or not any((cells == WITHHELD).any() for cells in said.values()):
        return {}
    nobody = np.zeros(own.length, dtype=np.int64)
    tables: dict[int | None, OwnTables] = {city: OwnTables.of(own, said.get(city, nobody)) for city in opened.survivors}
    return {None: OwnTables.together(tuple(tables.values())), **tables}


def reconciled(opened: Opened) -> tuple[Reconciled, Reconciled]:
    """Tables that agree: those of questions that are released pooled, and those of the others. What is not known here is taken for that of
    nobody: only its shape is used then."""
    agreement, survivors = opened.agreement, opened.survivors
    summed = [Fraction(len(survivors) * v20, UNIT) for v20 in agreement.node_v20]
    own = [Fraction(v20, UNIT) for v20 in agreement.own_v20]
    nobody, none = (np.zeros(layout.length, dtype=np.int64) for layout in (agreement.own, agreement.layout))
    everyone = dict.fromkeys(survivors, nobody) if agreement.own.blocks else {}
    said = own_tables(opened)
    if said:
        of_sum = reconcile(agreement.layout, opened.total, summed)
        of_cities = Reconciled(said[None].families, {city: said[city].families for city in survivors})
        return Reconciled(of_sum, {}), of_cities

    def fitted(layout: Layout, total: Vector, answers_: Mapping[int, Vector]) -> Reconciled:
        noise = summed if layout.blocks else ()
        return reconcile_cities(layout, total, noise, agreement.own, answers_, own, survivors)

    if opened.known:
        found = fitted(agreement.layout, opened.total, opened.own)
        if len(opened.own) < len(everyone):
            found = replace(found, cities={**fitted(NOTHING, none[:0], everyone).cities, **found.cities})
        return found, found
    shape = fitted(agreement.layout, none, everyone)
    return shape, fitted(NOTHING, none[:0], opened.own) if agreement.study.exact and opened.own else shape


def terms(opened: Opened, roster: Roster, names: Mapping[str, Words], at: int, seeded: bool) -> dict[str, Any]:
    """Everything in results.json but the answers: it depends on study, roster and approvals, and on no sum."""
    study = opened.agreement.study
    answered = [opened.approvals[city] for city in opened.survivors]
    lacking = {name for each in answered for name in variables(lacked(study, each.cannot))}
    unused = {name for each in answered for name in each.unused}
    return {
        "contract": CONTRACT,
        "study": _study(opened, roster),
        "run": {
            "at": datetime.fromtimestamp(at, UTC).strftime(TIME),
            "software": SOFTWARE,
            "as_of": study.file.as_of.isoformat(),
            "number": opened.agreement.run - 1,
            "of": study.runs,
        },
        "cities": _cities(opened, roster, names),
        "privacy": _privacy(opened, roster, seeded),
        "words": {
            "variables": _words(study, lacking | unused | _nulls(study).keys()),
            "nulls": _nulls(study),
            **({"facts": words(study)} if study.facts else {}),
        },
    }


def chosen(study: Study, question: Question) -> dict[str, Any]:
    """The key of which a holder may have several codes, and a question's own cohort. `slice`: its tables are parts of tables of
    everybody, and agree with all others; else they are fitted by themselves, and in mode dp may differ from others by noise."""
    several = [name for name in question.variables() if study.meant.named(name) and study.domain.is_set(name)]
    named: dict[str, Any] = {"several": several[0]} if several else {}
    if question.cohort is None:
        return named
    return named | {
        "cohort": question.cohort.model_dump(mode="json", by_alias=True, exclude_none=True),
        "cohort_is": "slice" if question.id in study.workload.slices else "family",
    }


def asked(question: Question) -> dict[str, Any]:
    """A question's own parameters, as they were understood."""
    shared = {"id", "kind", "release", "weight", "sampling", "cohort", "files"}
    return {key: value for key, value in question.model_dump(mode="json", by_alias=True).items() if key not in shared}


def _study(opened: Opened, roster: Roster) -> dict[str, Any]:
    study = opened.agreement.study
    file, asker = study.file, roster.askers[study.file.asker]
    entry: dict[str, Any] = {
        "id": file.study,
        "digest": study.digest,
        "revision": file.revision,
        "title": _both(file.title),
        "purpose": _both(file.purpose),
        "dictionary": {
            "name": study.dictionary.name,
            "digest": study.dictionary.digest,
            "label": _both(study.dictionary.label),
        },
        "asker": {"id": asker.id, "role": asker.role, "name": asker.name},
        "release": file.release,
        "confidence": file.confidence,
    }
    if file.cohort is not None:
        entry["cohort"] = file.cohort.model_dump(mode="json", by_alias=True, exclude_none=True)
    if file.repeat is not None:
        entry["repeat"] = file.repeat.model_dump(mode="json")
    if file.window is not None:
        entry["window"] = file.window.model_dump(mode="json", by_alias=True)
    return entry


def _cities(opened: Opened, roster: Roster, names: Mapping[str, Words]) -> dict[str, Any]:
    answered = {roster.name(city): opened.approvals[city] for city in opened.survivors}
    lacking = {city: lacked(opened.agreement.study, approval.cannot) for city, approval in answered.items()}
    unused = {city: {name: list(codes) for name, codes in each.unused.items()} for city, each in answered.items()}
    flags = {city: each.scope.model_dump(mode="json", exclude_none=True) for city, each in answered.items()}
    scopes = {city: each for city, each in flags.items() if each}
    everyone = [*answered, *(each.city for each in opened.missing)]
    given = opened.agreement.study.file.cities.attributes or {}
    levels = {name: {city: level for city, level in each.items() if city in everyone} for name, each in given.items()}
    return {
        "answered": list(answered),
        "missing": [each.published() for each in sorted(opened.missing, key=lambda each: each.city)],
        **({"uncounted": [each.published() for each in opened.uncounted]} if opened.uncounted else {}),
        "snapshots": {city: approval.snapshot.isoformat() for city, approval in answered.items()},
        "cannot": {city: listed for city, listed in lacking.items() if listed},
        "unused": {city: named for city, named in unused.items() if named},
        **({"attributes": levels} if levels else {}),
        **({"scopes": scopes} if scopes else {}),
        "names": {city: _both(names.get(city, Words()), city) for city in everyone},
    }


def _privacy(opened: Opened, roster: Roster, seeded: bool) -> dict[str, Any]:
    agreement = opened.agreement
    study, shares = agreement.study, agreement.study.shares
    epsilon = significant(float(agreement.epsilon))
    approvals = [opened.approvals[city] for city in opened.survivors]
    entry: dict[str, Any] = {
        "mode": study.file.privacy.mode,
        "unit": study.dictionary.unit,
        "epsilon": None if study.exact else float(study.epsilon),
        "delta": None if study.exact else float(study.delta),
        "mechanism": "none" if study.exact else "skellam",
        "accounting": study.accounting,
        "spent": [
            {"city": roster.name(city), "epsilon": epsilon, "caps": _caps(opened.approvals[city], agreement)}
            for city in opened.survivors
        ],
        "person_in_two_cities": {"epsilon": significant(float(agreement.epsilon_in_two_cities))},
    }
    if study.summed:
        layout = agreement.layout
        entry |= {
            "tolerate": {"dropouts": agreement.limits.d, "colluders": study.file.privacy.tolerate.colluders},
            "threshold": agreement.limits.t,
            "honest_share": agreement.honest,
            "left_each_city": {
                "form": "masked_sum",
                "cells": layout.length,
                "bytes": layout.length * agreement.ring // 8,
                "ring": agreement.ring,
            },
            "blocks": _blocks(layout, shares[: len(layout.blocks)], agreement.v20, agreement.node_v20, study.exact),
        }
    if study.many:
        session = Session(agreement)
        entry["session"] = {
            "form": "masked_sums",
            "rounds": session.rounds,
            "cells": session.models.most_cells,
            "bytes": session.models.most_cells * RING // 8,
            "ring": RING,
        }
    if agreement.drawn:
        entry |= {
            "tolerate": {"dropouts": agreement.limits.d, "colluders": study.file.privacy.tolerate.colluders},
            "threshold": agreement.limits.t,
            "honest_share": agreement.honest,
            "session_blocks": _of_rounds(agreement, shares[-len(agreement.drawn) :]),
        }
    if study.counted:
        own = agreement.own
        entry["own_of_each_city"] = {
            "form": "own_cells",
            "cells": own.length,
            "bytes": own.length * OWN_BYTES,
            "ring": 8 * OWN_BYTES,
        }
        first = len(agreement.layout.blocks)
        of_own = shares[first : first + len(own.blocks)]
        entry["own_blocks"] = _blocks(own, of_own, agreement.own_v20, agreement.own_v20, study.exact)
    if study.file.privacy.noise is not None:
        entry["noise"] = study.file.privacy.noise.model_dump(mode="json", exclude_none=True)
    flags = {
        "seeded": seeded,
        "synthetic": any(each.synthetic for each in approvals),
        "open_data": any(each.open_data for each in approvals),
    }
    return entry | {flag: True for flag, holds in flags.items() if holds}


def _of_rounds(agreement: Agreement, shares: Sequence[Fraction]) -> list[dict[str, Any]]:
    """What the rounds of many-round questions released; `share`: of all these rounds together."""
    return [
        {
            "block": each.name,
            "cells": each.draw.cells,
            "rounds": each.draw.times,
            "share": significant(float(share)),
            "l1": each.draw.l1,
            "l2sq": each.draw.l2sq,
            "variance": significant(each.v20 / UNIT),
            "node_variance": significant(each.node_v20 / UNIT),
            "shift": 0,
        }
        for each, share in zip(agreement.drawn, shares, strict=True)
    ]


def _caps(approval: Approval, agreement: Agreement) -> list[dict[str, Any]]:
    """Of each cap of a city, at its order: its room, what was used before this study, and what this study costs."""
    return [
        {
            "scope": each.scope,
            "epsilon": float(each.epsilon),
            "delta": float(each.delta),
            "order": each.order,
            "room": float(each.room),
            "used": float(each.used),
            "cost": significant(privacy.cost_at(agreement.cost.curve, each.order) / privacy.COST_UNIT),
            "epsilon_before": significant(float(each.before)),
        }
        for each in approval.budget
    ]


def _blocks(
    layout: Layout, shares: Sequence[Fraction], totals: Sequence[int], of_node: Sequence[int], exact: bool
) -> list[dict[str, Any]]:
    """`exact`: without noise nothing follows from L1 and L2, and squares pass 2^53."""
    return [
        {
            "block": block.name,
            "cells": block.cells,
            "share": significant(float(share)),
            "l1": None if exact else block.l1,
            "l2sq": None if exact else block.l2sq,
            "variance": significant(total / UNIT),
            "node_variance": significant(node / UNIT),
            "shift": block.shift,
        }
        for block, share, total, node in zip(layout.blocks, shares, totals, of_node, strict=True)
    ]


def _words(study: Study, further: set[str]) -> dict[str, Any]:
    """Labels of every variable that rows are keyed by or the cohort is made of, and of `further` ones that the results name, so that a
    report needs no dictionary. The states that holders go from and to have the labels of their variable."""
    dictionary, cohort = study.meant, study.file.cohort
    named = {name for question in study.file.questions for name in (*question.variables(), *question.chosen_by())}
    chosen = set() if cohort is None else {leaf.variable for leaf in leaves(cohort)}
    full = {short: name for question in study.many for short, name in question.shortened(study.domain).items()}
    full = {name: name for name in named | chosen | further if dictionary.named(name)} | full
    return _states(study) | {
        said: {
            "zh": dictionary.label_of(name, "zh"),
            "en": dictionary.label_of(name, "en"),
            "unit": dictionary.unit_of(name),
            **({"timing": timing} if (timing := dictionary.timing_of(name)) else {}),
            "codes": {
                code: {
                    "zh": dictionary.code_label(name, code, "zh"),
                    "en": dictionary.code_label(name, code, "en"),
                    **({} if dictionary.comparable(name, code) else {"comparable": False}),
                }
                for code in dictionary.codes(name)
            },
        }
        for said, name in sorted(full.items())
    }


def _states(study: Study) -> dict[str, Any]:
    """Labels of the keys `from` and `to`, and of the states that stand there."""
    dictionary, found = study.dictionary, dict[str, Any]()
    for question in study.file.questions:
        if question.kind != "transitions":
            continue
        (name, *_) = question.variables()
        for key, (zh, en) in {FROM: ("本月", "this month"), TO: ("次月", "next month")}.items():
            entry = found.setdefault(key, {"zh": zh, "en": en, "unit": "", "codes": {}})
            for code in dictionary.codes(name):
                labels = {"zh": dictionary.code_label(name, code, "zh"), "en": dictionary.code_label(name, code, "en")}
                entry["codes"].setdefault(code, labels)
    return found


def _nulls(study: Study) -> dict[str, str]:
    """Of the variables that a study reads, those whose empty values the dictionary counts as 0 or leaves out."""
    rules = {name: getattr(study.dictionary.entry(name), "default_null", "keep") for name in study.reads()}
    return {name: {"0": "zero", "drop": "drop"}[rule] for name, rule in rules.items() if rule != "keep"}


def _both(words: Words, instead: str = "") -> dict[str, str]:
    return {"zh": words.text("zh", instead), "en": words.text("en", instead)}
