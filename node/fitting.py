"""What a city does for one round of a session: the rules of many-round models, and its answer. The gate calls it; nothing leaves from here.

allowed    the asks follow from the totals of all earlier rounds, and what these say keeps this city's thresholds
measured   sums over this city's rows in float64, one pass per question
shown      no ask has made all but a few rows vanish
encoded    the integers of all answers, end to end
"""

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np

from node.policy import Policy
from protocols import messages
from protocols.attributes import beside as with_levels
from protocols.columns import Column, EventRows
from protocols.dictionary import Reading, Table
from protocols.models import protect
from protocols.models.interface import Sums
from protocols.models.question import ManyRounds
from protocols.models.session import Asks
from protocols.ring import Vector
from protocols.session import Session
from protocols.statistics import measures
from protocols.study import Study

Batches = Callable[[Collection[str], int], Iterator[Table]]  # given variables and a size -> the rows of a snapshot
ANYWHERE: Final = (
    "rows",
    "city",
    "group:holder",
)  # scopes whose rows may be cut anywhere: a row of a snapshot is a whole holder


@dataclass(frozen=True)
class Turn:
    """What a round of a session asks."""

    session: Session
    asks: Asks
    blocks: tuple[int, ...] = ()  # of the reservation, in mode dp


def allowed(session: Session, ask: messages.Ask, policy: Policy) -> Turn:
    """The asks of a round.

    Errors: `PeerError` SECAGG_FOREIGN_QUESTION, MODEL_ASK_FOREIGN, MODEL_NOT_REPLAYABLE; `Refusal` EXACT_TOO_MANY_PARAMETERS, EXACT_THIN.
    """
    at, asks = session.asked(ask)
    exact = policy.file.exact
    limits = protect.Thresholds(exact.min_pooled, exact.min_column, exact.most_parameters_per_row)
    for name, seen in session.models.seen(at):
        no = protect.crowded(name, seen, limits)
        if no is not None:
            raise no
    return Turn(session, asks)


@dataclass(frozen=True)
class Rows:
    """Where the rows of a round are read from: `number` in all, at most `size` at a time. `cannot`: the variables that this city cannot
    map."""

    batches: Batches
    number: int
    size: int
    city: str
    cannot: Collection[str]


def encoded(turn: Turn, rows: Rows) -> Vector:
    """This city's answer to a round. Errors: `Refusal` MODEL_WEIGHTS_CONCENTRATED, SNAPSHOT_OUT_OF_DOMAIN: rows stand behind them."""
    parts = []
    for name, ask in turn.asks.items():
        sums = measured(turn.session, name, ask, rows)
        protect.spread(ask, sums)  # shown
        parts.append(turn.session.models.models[name].encode(ask, sums))
    return np.concatenate(parts)


def measured(session: Session, name: str, ask: object, rows: Rows) -> Sums:
    """The sums of one question over all rows of its cohort; over none in a city that cannot map what it reads."""
    study, question, model = session.study, session.models.questions[name], session.models.models[name]
    lacks = bool(set(study.reads(question)) & set(rows.cannot))
    total: Sums | None = None
    for table in _batches(study, question, model.scope, rows):
        inside = _inside(study, question, with_levels(table, study.standing(rows.city)), nobody=lacks)
        sums = model.measure(ask, Reading(inside, study.meant, study.file.as_of), inside.holders)
        total = sums if total is None else total + sums
        if lacks:
            break
    assert total is not None  # noqa: S101 a snapshot has rows
    return total


def _inside(study: Study, question: ManyRounds, table: Table, *, nobody: bool) -> Table:
    """The holders of a batch that a question is about. Errors: `Refusal SNAPSHOT_OUT_OF_DOMAIN`."""
    inside = np.zeros(table.holders, dtype=bool) if nobody else np.ones(table.holders, dtype=bool)
    for cohort in (study.file.cohort, question.cohort):
        inside &= measures.members(table, study.meant, study.file.as_of, cohort)
    found = measures.among(table, inside)
    if study.exact:
        for name in found.columns:
            measures.within_range(found.columns[name], study.meant, name)
    return found


def _batches(study: Study, question: ManyRounds, scope: str, rows: Rows) -> Iterator[Table]:
    """All rows, with the columns that a question reads; where it is of groups, none of them in two batches."""
    reads = study.reads(question)
    if scope in ANYWHERE:
        yield from rows.batches(reads, rows.size)
        return
    group = scope.removeprefix("group:")
    parts = -(-rows.number // rows.size)
    for part in range(parts):
        yield joined([_part(table, study, group, part, parts) for table in rows.batches(reads, rows.size)])


def _part(table: Table, study: Study, group: str, part: int, parts: int) -> Table:
    """The holders of a batch whose group is in one of so many parts; those of no known group are in the first."""
    read = Reading(table, study.meant, study.file.as_of)(group)
    at = np.where(read.known, read.values.astype(np.int64) % parts, 0)
    return measures.among(table, at == part)


def joined(tables: list[Table]) -> Table:
    """The rows of several tables, one after the other."""
    first = np.cumsum([0, *(each.holders for each in tables)])
    columns = {name: _one([each.columns[name] for each in tables]) for name in tables[0].columns}
    events = {
        name: EventRows(
            np.concatenate([each.events[name].holder + at for each, at in zip(tables, first, strict=False)]),
            np.concatenate([each.events[name].month for each in tables]),
            {of: _one([each.events[name].columns[of] for each in tables]) for of in tables[0].events[name].columns},
        )
        for name in tables[0].events
    }
    return Table(int(first[-1]), columns, events)


def _one(columns: list[Column]) -> Column:
    return Column(np.concatenate([each.values for each in columns]), np.concatenate([each.known for each in columns]))
