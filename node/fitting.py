"""What a city does for one round of a session: the rules of many-round models, and its answer. The gate calls it; nothing leaves from here.

allowed    the asks follow from the totals of all earlier rounds, and what these say keeps this city's thresholds
measured   sums over this city's rows in float64, one pass per question
shown      no ask has made all but a few rows vanish
encoded    the integers of all answers, end to end
"""

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from node.policy import Policy
from protocols import messages
from protocols.attributes import beside as with_levels
from protocols.columns import Column, EventRows
from protocols.dictionary import Reading, Table
from protocols.models import protect
from protocols.models.interface import Placed, Sums
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
    blocks: tuple[int, ...] = ()  # of the reservation, in mode dp: what the round releases
    limits: protect.Thresholds = protect.SHIPPED


def allowed(session: Session, ask: messages.Ask, policy: Policy) -> Turn:
    """The asks of a round.

    Errors: `PeerError` SECAGG_FOREIGN_QUESTION, MODEL_ASK_FOREIGN, MODEL_NOT_REPLAYABLE; `Refusal` EXACT_TOO_MANY_PARAMETERS, EXACT_THIN.
    """
    at, asks = session.asked(ask)
    exact = policy.file.exact
    limits = protect.Thresholds(
        exact.min_pooled,
        exact.min_column,
        exact.min_cell,
        exact.most_parameters_per_row,
        exact.min_cohort_by_city,
    )
    for name, seen in session.models.seen(at):
        no = protect.crowded(name, seen, limits)
        if no is not None:
            raise no
    return Turn(session, asks, session.released(asks), limits)


@dataclass(frozen=True)
class Rows:
    """Where the rows of a round are read from: `number` in all, at most `size` at a time. `cannot`: the variables that this city cannot
    map. `place`: which of the cities of the plan this one is, from 0."""

    batches: Batches
    number: int
    size: int
    city: str
    cannot: Collection[str]
    place: int


def encoded(turn: Turn, rows: Rows) -> Vector:
    """This city's answer to a round. Errors: `Refusal` MODEL_WEIGHTS_CONCENTRATED, EXACT_COHORT, EXACT_THIN, SNAPSHOT_OUT_OF_DOMAIN: rows
    stand behind them."""
    models, found = here(turn, rows), measured(turn, rows)
    for name, ask in turn.asks.items():
        protect.spread(ask, found[name])  # shown
        protect.alone(name, found[name], turn.limits)
    return np.concatenate([models[name].encode(ask, found[name]) for name, ask in turn.asks.items()])


def here(turn: Turn, rows: Rows) -> dict[str, Any]:
    """The models as this city answers them: one that has a slot for each city is told which of them is its own."""
    models = turn.session.models.models.items()
    return {name: model.at(rows.place) if isinstance(model, Placed) else model for name, model in models}


def measured(turn: Turn, rows: Rows) -> dict[str, Sums]:
    """The sums of each question over all rows of its cohort; over none in a city that cannot map what it reads."""
    study, models, planned = turn.session.study, turn.session.models, here(turn, rows)
    found: dict[str, Sums] = {}
    for names, tables in _passes(turn, rows):
        for table in tables:
            whole = with_levels(table, study.standing(rows.city))
            for name in names:
                inside = _inside(study, models.questions[name], whole, rows.cannot)
                read = Reading(inside, study.meant, study.file.as_of)
                sums = planned[name].measure(turn.asks[name], read, inside.holders)
                found[name] = found[name] + sums if name in found else sums
    return found


def _passes(turn: Turn, rows: Rows) -> Iterator[tuple[tuple[str, ...], Iterator[Table]]]:
    """The questions that one pass over the rows answers, and its batches: one for all that may be cut anywhere, one for each other."""
    study, models = turn.session.study, turn.session.models
    anywhere = tuple(name for name in turn.asks if models.models[name].scope in ANYWHERE)
    if anywhere:
        reads = sorted({each for name in anywhere for each in study.reads(models.questions[name])})
        yield anywhere, rows.batches(reads, rows.size)
    for name in turn.asks:
        if models.models[name].scope == "whole":
            yield (name,), iter([joined(list(rows.batches(study.reads(models.questions[name]), rows.size)))])
        elif name not in anywhere:
            group = models.models[name].scope.removeprefix("group:")
            yield (name,), _grouped(study, study.reads(models.questions[name]), group, rows)


def _inside(study: Study, question: ManyRounds, table: Table, cannot: Collection[str]) -> Table:
    """The holders of a batch that a question is about. Errors: `Refusal SNAPSHOT_OUT_OF_DOMAIN`."""
    reads = study.reads(question)
    inside = np.full(table.holders, not set(reads) & set(cannot))
    for cohort in (study.file.cohort, question.cohort):
        inside &= measures.members(table, study.meant, study.file.as_of, cohort)
    found = measures.among(table, inside)
    if study.exact:
        for name in (name for name in reads if name in found.columns):
            measures.within_range(found.columns[name], study.meant, name)
        for table_name, rows in found.events.items():
            for name, values in rows.columns.items():
                measures.within_range(values, study.meant, f"{table_name}.{name}")
    return found


def _grouped(study: Study, reads: Collection[str], group: str, rows: Rows) -> Iterator[Table]:
    """All rows in batches that hold every group whole: a pass for each batch."""
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
