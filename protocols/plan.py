"""What a study, a run of it and a set of cities give: layout, noise, ring and thresholds, the same integers for every party.

The coordinator derives a plan from this; each city derives it again and refuses a plan that differs in anything but the name of the
conversation, the roster in force, its times, and what cities cannot map (docs/protocol.md).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import ROUND_CEILING, Context, Decimal
from functools import cached_property
from hashlib import sha256
from typing import Final

from protocols import pld, privacy, ring
from protocols.canonical import canonical, digest_bytes
from protocols.errors import Refusal
from protocols.messages import Count, Plan
from protocols.models.interface import Draw
from protocols.noise import MOST_DRAWS, PER_TABLE, UNIT, draws, largest_noise, node_v20
from protocols.privacy import Cost, Event
from protocols.roster import Roster
from protocols.secagg.plan import DP, EXACT, SUITE, NoiseBlock, Thresholds, noise_plan, thresholds
from protocols.statistics.layout import MOST_SHIFT, NOTHING, Block, Layout
from protocols.statistics.question import Question
from protocols.statistics.workload import parts_of
from protocols.study import Study

WAITS_S: Final = (60, 60, 600, 60, 60)  # advert, shares, masked, confirm, reveal
LIFE_S: Final = 7200  # of a conversation
_FOUR_DIGITS: Final = Context(prec=4, rounding=ROUND_CEILING)  # of what comes from floats
OWN_BYTES: Final = 8  # of a cell of a city's own answer, which is a little-endian int64


@dataclass(frozen=True)
class Sum:
    """One sum that a plan allows: what its Ask says, and the blocks of the layout that it is over, by position."""

    question: bytes
    blocks: tuple[int, ...]


@dataclass(frozen=True)
class Drawn:
    """What some rounds of a many-round question release in mode dp: total and node noise variance of each cell, in 2^-20."""

    question: str
    draw: Draw
    v20: int
    node_v20: int

    @property
    def name(self) -> str:
        return f"{self.question}: {self.draw.name}"


@dataclass(frozen=True)
class Agreement:
    """One run of a study over `cities` (roster ids, ascending): all its questions in one round.

    `layout`: what is summed, amounts in units of 2^shift. `v20`: total noise variance of each block in its unit, 0 in mode exact.
    `own`, `own_v20`: the same of what each city answers by itself, with all of that noise. `drawn_v20`: of what the rounds of many-round
    questions release (`session.py`). What asks for sum after sum says so in `sums`, in the order of the layout, and in `spare`: rounds for
    sums that were lost. `names`: of the cities, where it is known who they are.
    """

    study: Study
    cities: tuple[int, ...]
    most_rows: int
    limits: Thresholds
    layout: Layout
    v20: tuple[int, ...]
    own: Layout = NOTHING
    own_v20: tuple[int, ...] = ()
    drawn_v20: tuple[int, ...] = ()
    names: tuple[str, ...] = ()

    @property
    def run(self) -> int:
        """Which run of the study it is, from 1."""
        return self.study.run

    @property
    def honest(self) -> int:
        """h = t - c: the survivors that the noise may count on."""
        return self.limits.t - self.study.file.privacy.tolerate.colluders

    @cached_property
    def node_v20(self) -> tuple[int, ...]:
        """What each city adds to a cell of each block."""
        return tuple(node_v20(total, self.honest) if total else 0 for total in self.v20)

    @cached_property
    def drawn(self) -> tuple[Drawn, ...]:
        """What the rounds of its many-round questions release; nothing in mode exact."""
        found = zip(self.study.drawn, self.drawn_v20, strict=True)
        return tuple(Drawn(name, draw, v20, node_v20(v20, self.honest)) for (name, draw), v20 in found)

    @cached_property
    def noise(self) -> bytes:
        """The noise plan, canonical JSON."""
        return self._noise_plan(self.layout, self.v20, self.honest)

    @cached_property
    def own_noise(self) -> bytes:
        """The noise plan of a city's own answer, which no other city shares in."""
        return self._noise_plan(self.own, self.own_v20, 1)

    def _noise_plan(self, layout: Layout, v20: Sequence[int], h: int) -> bytes:
        privacy_ = self.study.file.privacy
        blocks = [NoiseBlock(b.name, b.cells, b.shift, total) for b, total in zip(layout.blocks, v20, strict=True)]
        if self.study.exact:
            return noise_plan(blocks, h=0)
        return noise_plan(
            blocks, h=h, accounting=self.study.accounting, epsilon=privacy_.epsilon or "", delta=privacy_.delta
        )

    @property
    def count(self) -> Count:
        """What a city is asked for its own answer."""
        return Count(
            study=digest_bytes(self.study.digest),
            run=self.run,
            layout=digest_bytes(self.own.digest),
            noise=sha256(self.own_noise).digest(),
        )

    def own_bound(self, rows: int) -> int:
        """The most that a cell of the own answer of a city of `rows` rows can hold, noise and all."""
        noise = max((largest_noise(v20) for v20 in set(self.own_v20) if v20), default=0)
        return self.own.largest_step * rows + noise

    @property
    def bound(self) -> int:
        """B: the most that one city's rows, or what it states about itself, can add to a cell."""
        return max(self.layout.largest_step * self.most_rows, self.layout.largest_stated)

    @cached_property
    def support(self) -> int:
        """K: the most that one city's noise can add to a cell."""
        return max((largest_noise(v20) for v20 in set(self.node_v20) if v20), default=0)

    @property
    def ring(self) -> int:
        """Bits of a word: sums of all cities fit, so that nothing ever wraps. Errors: `Refusal SECAGG_RING`."""
        return ring.width(len(self.cities), self.bound, self.support)

    @cached_property
    def events(self) -> tuple[Event, ...]:
        """What the study releases, in all runs of a repeat; nothing in mode exact."""
        runs = self.study.runs
        blocks = zip(self.layout.blocks, self.v20, strict=True)
        own = zip(self.own.blocks, self.own_v20, strict=True)
        return (
            *(Event(b.l1, b.l2sq, total, runs * (1 + self.spare)) for b, total in blocks if total),
            *(Event(b.l1, b.l2sq, total, runs) for b, total in own if total),
            *(Event(each.draw.l1, each.draw.l2sq, each.v20, runs * each.draw.times) for each in self.drawn),
        )

    @property
    def draws(self) -> int:
        """Draws from finite tables that the guarantee rests on, in all runs: of all cities for the sum, of one for its own answer."""
        shared = sum(b.cells * draws(v20) for b, v20 in zip(self.layout.blocks, self.node_v20, strict=True) if v20)
        own = sum(b.cells * draws(v20) for b, v20 in zip(self.own.blocks, self.own_v20, strict=True) if v20)
        return self.study.runs * (shared * len(self.cities) * (1 + self.spare) + own + self.drawn_draws)

    @property
    def drawn_draws(self) -> int:
        """Those of all rounds of many-round questions, of all cities, in one run."""
        return len(self.cities) * sum(each.draw.times * each.draw.cells * draws(each.node_v20) for each in self.drawn)

    @cached_property
    def cost(self) -> Cost:
        """What a city's ledger reserves for all runs, and spends in them."""
        return privacy.cost(self.events, self.draws, self.study.delta) if self.events else privacy.FREE

    @cached_property
    def epsilon(self) -> Decimal:
        """Epsilon of one holder in one city, at the study's delta, by the accounting of the study.

        Of `pld` it is that of the study itself, which its noise was found to cost no more than: no two machines print another float.
        """
        if self.study.accounting == "pld" and not self.spare:
            return self.study.epsilon
        return privacy.epsilon_of(self.cost.curve, self.study.delta) if self.events else Decimal(0)

    @cached_property
    def epsilon_in_two_cities(self) -> Decimal:
        """The same for a person with accounts in two of the cities: twice the change, four times the squares."""
        doubled = [privacy.rdp(Event(2 * event.l1, 4 * event.l2sq, event.v20, event.times)) for event in self.events]
        found = privacy.epsilon_of(privacy.compose(doubled), self.study.delta) if doubled else Decimal(0)
        if self.study.accounting != "pld":
            return found
        return min(found, _FOUR_DIGITS.plus(pld.epsilon_of(self.events, self.study.delta, cities=2)))

    def cells_of(self, question: Question) -> int:
        """How many cells that leave a city are about a question; shared ones count for each question that they are about."""
        parts = parts_of(self.study.release_of(question), exact=self.study.exact)
        cells = sum(block.cells for block in set(self.study.workload.blocks[question.id].values()))
        return cells * sum(part > 0 for part in parts)

    @property
    def question(self) -> bytes:
        """What the Ask of the one round says: which questions of the study it is."""
        study = self.study
        asked = [q.id for q in study.file.questions if parts_of(study.release_of(q), exact=study.exact)[0]]
        return canonical({"questions": asked})

    @property
    def spare(self) -> int:
        """How often any of the sums may be asked again, in a round of its own and at its own cost."""
        return 0

    @cached_property
    def sums(self) -> tuple[Sum, ...]:
        """The sums that the plan allows. A one-round study has one, over all of its layout."""
        return (Sum(self.question, tuple(range(len(self.layout.blocks)))),)

    def part(self, sum_: Sum) -> Layout:
        """The layout of one sum."""
        return Layout(tuple(self.layout.blocks[at] for at in sum_.blocks))

    def plan(
        self,
        *,
        conversation: bytes,
        roster: Roster,
        expires: int,
        cannot: Mapping[int, Sequence[str]],
        waits: Sequence[int] = WAITS_S,
    ) -> Plan:
        """The plan of one conversation. `cannot`: of each city, the variables it cannot map, of any study, and the facts it lacks."""
        shape = Shape(
            layout=self.layout.digest,
            noise=self.noise,
            ring=self.ring,
            rounds=len(self.sums) + self.spare,
            length=max(self.part(each).length for each in self.sums),
            bound=self.bound,
            support=self.support,
        )
        return drawn_up(
            self, shape, conversation=conversation, roster=roster, expires=expires, cannot=cannot, waits=waits
        )


@dataclass(frozen=True)
class Shape:
    """What the vectors of a conversation are: their layout and noise, in how many rounds, and how long the longest is. bound, support: of
    one city's rows, and of its noise, in a cell."""

    layout: str
    noise: bytes
    ring: int
    rounds: int
    length: int
    bound: int
    support: int


def drawn_up(
    agreement: Agreement,
    shape: Shape,
    *,
    conversation: bytes,
    roster: Roster,
    expires: int,
    cannot: Mapping[int, Sequence[str]],
    waits: Sequence[int] = WAITS_S,
) -> Plan:
    """The plan of a conversation of such vectors. `cannot`: of each city, the variables it cannot map, of any study, and the facts it
    lacks."""
    study, cities = agreement.study, agreement.cities
    lacking = {city: tuple(i for i, name in enumerate(study.names) if name in cannot.get(city, ())) for city in cities}
    return Plan(
        suite=SUITE,
        conversation=conversation,
        study=digest_bytes(study.digest),
        run=agreement.run,
        roster=roster.sha256,
        layout=digest_bytes(shape.layout),
        noise=sha256(shape.noise).digest(),
        mode=EXACT if study.exact else DP,
        ring=shape.ring,
        rounds=shape.rounds,
        length=shape.length,
        bound=shape.bound,
        support=shape.support,
        threshold=agreement.limits.t,
        colluders=study.file.privacy.tolerate.colluders,
        dropouts=agreement.limits.d,
        least=study.file.cities.least,
        expires=expires,
        waits=tuple(waits),
        cities=cities,
        cannot=tuple((city, positions) for city, positions in lacking.items() if positions),
    )


def agree(study: Study, cities: Sequence[int], roster: Roster) -> Agreement:
    """The agreement that these cities would be held to. Errors: as `between`."""
    found = between(study, cities, max(roster.cities[city].size_class for city in cities))
    return replace(found, names=tuple(roster.name(city) for city in found.cities))


def between(study: Study, cities: Sequence[int], most_rows: int) -> Agreement:
    """The same for cities of at most `most_rows` rows each, whoever they are.

    Errors: `Refusal` SECAGG_COHORT_SIZE, SECAGG_COLLUDERS, SECAGG_THRESHOLD, SECAGG_RING, NOISE_VARIANCE; `ConfigError`
    PRIVACY_NO_HONEST_SHARE, PRIVACY_EPSILON_TOO_SMALL.
    """
    file = study.file
    tolerate, ascending = file.privacy.tolerate, tuple(sorted(cities))
    limits = thresholds(len(ascending), tolerate.colluders, tolerate.dropouts, file.cities.least, exact=study.exact)
    layout, own, v20 = noised(study, limits.t - tolerate.colluders)
    first, last = len(layout.blocks), len(layout.blocks) + len(own.blocks)
    return Agreement(study, ascending, most_rows, limits, layout, v20[:first], own, v20[first:last], v20[last:])


def noised(study: Study, h: int) -> tuple[Layout, Layout, tuple[int, ...]]:
    """Blocks in the units they are carried in, and the variance of each. `h`: honest cities that share the noise of a sum.

    A block costs a city at most MOST_DRAWS draws: amounts are carried in the least power of two of their steps for which it does. Coarser
    steps make D1, D2 and with them the variances smaller, so that both are found in turn; shifts only rise, so that this ends.
    """
    layout, own, v20 = study.workload.layout, study.workload.own, study.variances
    while not study.exact:
        first = len(layout.blocks)
        shared = [carried(block, node_v20(total, h)) for block, total in zip(layout.blocks, v20[:first], strict=True)]
        alone = [carried(block, total) for block, total in zip(own.blocks, v20[first:], strict=False)]
        coarser = (Layout(tuple(shared)), Layout(tuple(alone)))
        if coarser == (layout, own):
            break
        layout, own = coarser
        v20 = study.calibrated(layout, own)
    return layout, own, v20


def carried(block: Block, v20: int) -> Block:
    """The block in the finest unit, no finer than its own, in which noise of `v20` costs at most MOST_DRAWS draws. Errors: `Refusal
    NOISE_VARIANCE` where there is none: counts have no coarser unit, and a holder must move a cell by 1 at least."""
    found = block
    while block.cells * -(-v20 // PER_TABLE) > MOST_DRAWS:
        found = replace(found, shift=found.shift + 1)
        if not block.rounded or found.shift > MOST_SHIFT or found.step < 1:
            raise Refusal("NOISE_VARIANCE", v20=v20, least=UNIT, most=MOST_DRAWS // block.cells * UNIT)
        v20 = -(-v20 // 4)
    return found


def open_positions(plan: Plan, study: Study) -> dict[int, tuple[str, ...]]:
    """Of each city of a plan, the names of what it lacks. Errors: `Refusal SECAGG_PLAN` for a position out of range."""
    reads, lacking = study.names, dict(plan.cannot)
    if any(position >= len(reads) for positions in lacking.values() for position in positions):
        raise Refusal("SECAGG_PLAN")
    return {city: tuple(reads[position] for position in lacking.get(city, ())) for city in plan.cities}
