"""From the opened sum to `results.json`, the one truth of a study.

    sum over cities ── consistency ──▶ tables that agree ── finalize per question ──▶ rows with intervals and marks

Nothing here knows what one city sent. Every other file of an output is a pure function of what this writes.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from fractions import Fraction
from typing import Any, Final

from coordinator.consistency import reconcile
from protocols.approval import Approval
from protocols.canonical import canonical
from protocols.dictionary import Words
from protocols.filters import leaves
from protocols.noise import UNIT
from protocols.plan import Agreement
from protocols.ring import Vector
from protocols.roster import Roster
from protocols.statistics.estimates import Estimates
from protocols.statistics.question import Question
from protocols.statistics.rows import significant
from protocols.study import Study

CONTRACT: Final = 1
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
    """What a conversation gave: the sum over `survivors` (roster ids, ascending), and who else was asked."""

    agreement: Agreement
    total: Vector
    survivors: tuple[int, ...]
    missing: tuple[Missing, ...]
    approvals: Mapping[int, Approval]


def results(opened: Opened, roster: Roster, names: Mapping[str, Words], at: int, seeded: bool) -> bytes:
    """Canonical bytes of results.json. `names`: what cities are called; `at`: Unix seconds of the release.

    Errors: those of `reconcile`; no partial table is made.
    """
    return canonical({**terms(opened, roster, names, at, seeded), "questions": answers(opened, roster)})


def answers(opened: Opened, roster: Roster) -> dict[str, Any]:
    """Rows and tests of every question, by its id: what the sum says. Errors: those of `reconcile`."""
    study, agreement = opened.agreement.study, opened.agreement
    survivors = len(opened.survivors)
    variances = [Fraction(survivors * v20, UNIT) for v20 in agreement.node_v20]
    families = reconcile(agreement.layout, opened.total, variances)
    min_cell = max(opened.approvals[city].min_cell for city in opened.survivors)
    cannot = {roster.name(city): opened.approvals[city].cannot for city in opened.survivors}
    questions = {}
    for number, question in enumerate(study.file.questions):
        estimates = Estimates.of(
            families,
            study.workload.blocks[question.id],
            study=study.digest,
            question=question.id,
            confidence=study.file.confidence,
            min_cell=min_cell,
        )
        answer = question.finalize(estimates, study.domain)
        able = study.able(question, cannot)
        if len(able) < max(study.file.cities.least, study.file.privacy.tolerate.colluders + 2):
            answer = answer.unavailable()
        questions[question.id] = {
            "kind": question.kind,
            "number": number,  # canonical JSON sorts keys; readers want the study's order
            "release": "pooled",
            "cities": list(able),
            "keys": list(dict.fromkeys(name for row in answer.rows for name in row.keys)),
            "asked": asked(question),
            "rows": [row.published("pooled") for row in answer.rows],
            "tests": [{"name": test.name, **test.values} for test in answer.tests],
        }
    return questions


def terms(opened: Opened, roster: Roster, names: Mapping[str, Words], at: int, seeded: bool) -> dict[str, Any]:
    """Everything in results.json but the answers: it depends on study, roster and approvals, and on no sum."""
    study = opened.agreement.study
    lacking = {name for city in opened.survivors for name in opened.approvals[city].cannot if name in study.reads()}
    return {
        "contract": CONTRACT,
        "study": _study(opened, roster),
        "run": {
            "at": datetime.fromtimestamp(at, UTC).strftime(TIME),
            "software": SOFTWARE,
            "as_of": study.file.as_of.isoformat(),
            "number": opened.agreement.run - 1,
            "of": 1,
        },
        "cities": _cities(opened, roster, names),
        "privacy": _privacy(opened, roster, seeded),
        "words": {"variables": _words(study, lacking)},
    }


def asked(question: Question) -> dict[str, Any]:
    """A question's own parameters, as they were understood."""
    shared = {"id", "kind", "release", "weight", "sampling"}
    return {key: value for key, value in question.model_dump(mode="json").items() if key not in shared}


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
    if file.window is not None:
        entry["window"] = file.window.model_dump(mode="json", by_alias=True)
    return entry


def _cities(opened: Opened, roster: Roster, names: Mapping[str, Words]) -> dict[str, Any]:
    answered = {roster.name(city): opened.approvals[city] for city in opened.survivors}
    reads = set(opened.agreement.study.reads())
    lacking = {city: sorted(reads & set(approval.cannot)) for city, approval in answered.items()}
    everyone = [*answered, *(each.city for each in opened.missing)]
    return {
        "answered": list(answered),
        "missing": [each.published() for each in sorted(opened.missing, key=lambda each: each.city)],
        "snapshots": {city: approval.snapshot.isoformat() for city, approval in answered.items()},
        "cannot": {city: listed for city, listed in lacking.items() if listed},
        "names": {city: _both(names.get(city, Words()), city) for city in everyone},
    }


def _privacy(opened: Opened, roster: Roster, seeded: bool) -> dict[str, Any]:
    agreement = opened.agreement
    study, layout = agreement.study, agreement.layout
    epsilon = significant(float(agreement.epsilon))
    approvals = [opened.approvals[city] for city in opened.survivors]
    entry: dict[str, Any] = {
        "mode": study.file.privacy.mode,
        "unit": study.dictionary.unit,
        "epsilon": None if study.exact else float(study.epsilon),
        "delta": None if study.exact else float(study.delta),
        "mechanism": "none" if study.exact else "skellam",
        "accounting": "none" if study.exact else "rdp",
        "spent": [{"city": roster.name(city), "epsilon": epsilon} for city in opened.survivors],
        "person_in_two_cities": {"epsilon": significant(float(agreement.epsilon_in_two_cities))},
        "tolerate": {"dropouts": agreement.limits.d, "colluders": study.file.privacy.tolerate.colluders},
        "threshold": agreement.limits.t,
        "honest_share": agreement.honest,
        "left_each_city": {
            "form": "masked_sum",
            "cells": layout.length,
            "bytes": layout.length * agreement.ring // 8,
            "ring": agreement.ring,
        },
        "blocks": [
            {
                "block": block.name,
                "cells": block.cells,
                "share": significant(float(share)),
                "l1": None
                if study.exact
                else block.l1,  # without noise nothing follows from them, and squares pass 2^53
                "l2sq": None if study.exact else block.l2sq,
                "variance": significant(total / UNIT),
                "node_variance": significant(node / UNIT),
                "shift": block.shift,
            }
            for block, share, total, node in zip(
                layout.blocks, study.workload.shares(), agreement.v20, agreement.node_v20, strict=True
            )
        ],
    }
    flags = {
        "seeded": seeded,
        "synthetic": any(each.synthetic for each in approvals),
        "open_data": any(each.open_data for each in approvals),
    }
    return entry | {flag: True for flag, holds in flags.items() if holds}


def _words(study: Study, lacking: set[str]) -> dict[str, Any]:
    """Labels of every variable that rows are keyed by, the cohort is made of or cities lack, so that a report needs no dictionary."""
    dictionary, cohort = study.dictionary, study.file.cohort
    named = {name for question in study.file.questions for name in question.variables()}
    chosen = set() if cohort is None else {leaf.variable for leaf in leaves(cohort)}
    return {
        name: {
            "zh": dictionary.label_of(name, "zh"),
            "en": dictionary.label_of(name, "en"),
            "unit": dictionary.unit_of(name),
            "codes": {
                code: {"zh": dictionary.code_label(name, code, "zh"), "en": dictionary.code_label(name, code, "en")}
                for code in dictionary.codes(name)
            },
        }
        for name in sorted(named | chosen | lacking)
    }


def _both(words: Words, instead: str = "") -> dict[str, str]:
    return {"zh": words.text("zh", instead), "en": words.text("en", instead)}
