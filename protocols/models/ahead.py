"""What a hazard is scored with: a holder's next month, the one after that of the snapshot.

Of the events table a holder's last row speaks. The month is that since its `opened`, where the model counts from there; of calendar months
that have a constant each, the last that the model knows, since the level of the next is what nobody has seen. At risk is who has a row and
has not had the event. Others have no score, and neither has who is beyond the last month since opening.
"""

from datetime import date

import numpy as np

from protocols.columns import Column, EventRows, latest, month_number, month_of_text, months_of_days
from protocols.dictionary import Dictionary, Read, Reading, Table
from protocols.models.design import Flags
from protocols.models.modelfile import MONTH, Followed, Monthly, Predictor


def dictionary_of(fit: Monthly, domain: Dictionary, meant: Dictionary) -> Dictionary:
    """A city's dictionary with what a month has beside its holder: the variables of the events table, where no holder has one of that name,
    and the month as the model's own `domain` has it."""
    entry = meant.events.get(fit.months.table)
    of_events = (
        {} if entry is None else {name: each for name, each in entry.variables.items() if name not in meant.known()}
    )
    month = {MONTH: domain.variables[MONTH]} if MONTH in domain.variables else {}
    return meant.model_copy(update={"variables": {**of_events, **meant.variables, **month}})


def needed(model: Predictor, fit: Monthly, meant: Dictionary) -> frozenset[str]:
    """Given variables of the city, those of its events by full name, that a score reads."""
    table, opened = fit.months.table, fit.months.opened
    found = {f"{table}.{fit.months.event}"}
    for name in (*model.needs, *(() if opened is None else (opened,))):
        if name in meant.known():
            found |= meant.needs(name)
        elif name != MONTH:
            found.add(f"{table}.{name}")
    return frozenset(found)


def next_month(model: Predictor, fit: Monthly, table: Table, meant: Dictionary, as_of: date) -> tuple[Read, Flags]:
    """Columns of the next month of each holder by name, and who is at risk in it. Pre-condition: the city maps the events table."""
    read, now = Reading(table, meant, as_of), month_number(as_of)
    given = table.events[fit.months.table]
    rows = given.taken(given.month <= now)
    coming = _month(model.domain, fit.months, read, table.holders, now + 1)

    def column(name: str) -> Column:
        if name == MONTH:
            return coming
        return read(name) if name in meant.known() else latest(rows, table.holders, name)

    own = meant.codes(f"{fit.months.table}.{fit.months.event}")
    event, places = rows.columns[fit.months.event], [own.index(code) for code in fit.months.codes if code in own]
    happened = event.known & np.isin(event.values.astype(np.int64), places)
    return column, _at_risk(rows, happened, table.holders)


def _at_risk(rows: EventRows, happened: Flags, holders: int) -> Flags:
    watched, over = np.zeros(holders, bool), np.zeros(holders, bool)
    watched[rows.holder] = True
    over[rows.holder[happened]] = True
    return watched & ~over


def _month(domain: Dictionary, months: Followed, read: Read, holders: int, month: int) -> Column:
    """Places among the months of the model."""
    every = np.ones(holders, bool)
    if months.opened is not None:
        since = read(months.opened)
        at = month - months_of_days(since.values)
        known = since.known & (at >= 0) & (at < months.count)
        return Column(np.where(known, at, 0), known)
    number = month - month_of_text(months.first)
    if MONTH in domain.variables and domain.type_of(MONTH) == "category":
        number = min(number, months.count - 1)
    return Column(np.full(holders, number, np.int64), every)
