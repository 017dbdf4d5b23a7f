"""Of the holders who opened in one month, how many are active so many months later.

Leaves the city: how many holders opened in each month of the window, by group; and for each opening month, how many of them have an event
row (or one in which a boolean is true) so many months later. One holder moves one cell of the first by 1, and M of the second by 1 each, M
being the months of the window or those that are kept of a holder, whichever are fewer.
"""

from collections.abc import Iterator
from dataclasses import replace
from typing import Literal

import numpy as np

from protocols.dictionary import MISSING, Dictionary, near
from protocols.statistics import intervals, marks
from protocols.statistics.estimates import OWN, QUANTA, Estimates
from protocols.statistics.example import Example
from protocols.statistics.layout import OUTSIDE, SINCE, Axis, Blocks, Domain, Months, Occasions, count
from protocols.statistics.question import MOST_AXES, Fault, Names, Question, axis_faults, event_fault
from protocols.statistics.rows import Answer, Row, table_rows
from protocols.statistics.tables import count_rows


class Vintage(Question):
    """`opened`: a date of the main table. `active`: a table of events, where a row is enough, or a boolean of one."""

    EXAMPLE = Example(
        {"id": "kept", "kind": "vintage", "opened": "opened", "active": "contributions.active", "by": "owner"},
        holder={"owner": "true", "opened": "18962"},
        events={"contributions": tuple({"amount": "0", "state": "normal", "active": "true"} for _ in range(6))},
    )

    kind: Literal["vintage"] = "vintage"
    opened: str
    active: str
    by: Names = ()

    def variables(self) -> tuple[str, ...]:
        return (self.opened, self.active, *self.by)

    def faults(self, dictionary: Dictionary) -> Iterator[Fault]:
        if self.opened not in dictionary.known():
            yield Fault(
                "opened", "STUDY_VARIABLE", {"name": self.opened, "near": near(self.opened, dictionary.known())}
            )
        elif (kind := dictionary.type_of(self.opened)) != "date":
            yield Fault("opened", "STUDY_NOT_A_DATE", {"name": self.opened, "type": kind})
        yield from event_fault("active", self.active, dictionary, ("events", "boolean"))
        yield from axis_faults("by", self.by, dictionary)
        if len(self.by) + 2 > MOST_AXES:
            yield Fault("by", "STUDY_AXES", {"count": len(self.by) + 2, "limit": MOST_AXES})
        for name in self.by:
            if name in (SINCE, self.opened):
                yield Fault("by", "STUDY_TWICE", {"name": name})

    def _over(self, domain: Domain) -> Occasions:
        table, variable = domain.dictionary.event_of(self.active) or (self.active, "")
        return domain.occasions(table, active=f"{table}.{variable}" if variable else "", since=self.opened)

    def _opened(self, domain: Domain) -> Axis:
        return domain.date_axis(self.opened, self._over(domain).months)

    def blocks(self, domain: Domain) -> Blocks:
        over, by = self._over(domain), [domain.axis(name) for name in self.by]
        opened = self._opened(domain)
        since = domain.since_axis(self.opened, over.table)
        return {"opened": count([opened, *by]), "active": count([opened, since, *by], over)}

    def finalize(self, sums: Estimates, domain: Domain) -> Answer:
        """`share` is of the holders who opened in a month, `base`; openings outside the window, or unknown, are counted alone, in the
        rows whose `since` is `_missing`. Months after as_of are not applicable."""
        over = self._over(domain)
        since = domain.since_axis(self.opened, over.table).name
        opened = sums["opened"].ordered((self.opened, *self.by))
        active = sums["active"].renamed(since, SINCE).ordered((self.opened, SINCE, *self.by))
        sampling = self.sampling is not False
        openings = tuple(
            replace(row, keys={self.opened: row.keys[self.opened], SINCE: MISSING} | dict(row.keys))
            for row in count_rows(opened, sums, sampling=self.sampling is True)
        )
        counted = count_rows(active, sums, sampling=self.sampling is True)
        held = (slice(None, over.months.number), *(slice(None, -1),) * len(self.by))
        a_units = active.units[(held[0], slice(None, -1), *held[1:])]
        base_units = np.broadcast_to(opened.units[held][:, None], a_units.shape)
        a, base = a_units / QUANTA, base_units / QUANTA
        own = (OWN,) * len(active.axes)
        noise = np.zeros((*a.shape, 2, 2))
        noise[..., 0, 0] = active.covariances(own)[..., 0, 0][(slice(None, over.months.number),)]
        noise[..., 1, 1] = opened.covariances(own[1:])[(slice(None, over.months.number),)][:, None, ..., 0, 0]
        sd = np.sqrt(noise)
        gone = marks.undivided(base, sd[..., 1, 1])
        divisor = np.where(gone, np.nan, base)
        share = a / divisor
        low, high = intervals.share(a, divisor, noise, sums.z, sampling)
        chance = np.clip(share, 0.0, 1.0)
        still = (noise[..., 0, 0] + share**2 * noise[..., 1, 1]) / divisor**2
        doubtful = marks.doubtful_share(a, sd[..., 0, 0], sums.least(opened), (high - low) / 2, share)
        shares = table_rows(
            "share",
            active.axes,
            sums={"base": opened.printed(base_units)},
            figures={
                "estimate": share,
                "display": chance,
                "se_noise": np.sqrt(still),
                "se_sampling": np.sqrt(chance * (1 - chance) / divisor),
                "ci_low": low,
                "ci_high": high,
            },
            marks=marks.letters(gone, doubtful),
        )
        answered = [self._timely(row, over.months) for row in (*shares, *counted) if self._meant(row)]
        return Answer((*answered, *openings))

    def _meant(self, row: Row) -> bool:
        """Nobody stands in the other cells."""
        return row.keys[self.opened] not in (OUTSIDE, MISSING) and row.keys[SINCE] != MISSING

    def _timely(self, row: Row, months: Months) -> Row:
        """The row without its number where the month that it is about has not come yet."""
        late = months.texts.index(row.keys[self.opened]) + int(row.keys[SINCE]) >= months.number
        return Row(row.measure, row.keys, obs_status="z") if late else row
