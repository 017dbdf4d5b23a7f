"""What a ledger says, entry by entry, and what the entries mean together. Pure; `ledger.py` keeps them on disk.

Entries say what was promised, read, sent and answered. For one round of a conversation, in this order:

| entry | is on disk before | means |
|---|---|---|
| `reserved` | anything of it leaves | the cost of the whole study is held, until the plan expires; the first run of a repeat holds all |
| `rows` | the first row is read | the round is charged, come what may |
| `spent` | the masked vector leaves | charged for good; the reply is stored with it and is what a repeat gets |
| `confirmed` | the signature over the survivors leaves | no other list of this round is ever signed |
| `revealed` | shares leave | |
| `answered` | the acknowledgement leaves | this run of the study is finished for its asker |

A study whose tables are released by city has one more round, COUNTED, after all that a conversation can have: `rows`, then `spent` before
the city's own answer leaves. It is charged from the same reservation; a study without a sum has a reservation of its own for it.

`void` ends a conversation: what was held and not read is free again, or back among the runs that its repeat holds. `lapsed` frees those of
a repeat that nobody began. Nothing else is ever given back. `restored`: an older copy of the ledger goes on, on purpose; whatever it lost,
and whatever it still held, counts as spent. Costs are derived: `Book` computes
each one again from its blocks, and an entry that states another is refused.
"""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from functools import cached_property, lru_cache
from math import isqrt
from types import MappingProxyType
from typing import Annotated, Final, Literal, NamedTuple, Self, assert_never

from pydantic import BaseModel, ConfigDict, Field, PlainSerializer, TypeAdapter, model_validator

from node.audit import Code, Head
from node.policy import SCOPES, Policy, Scope
from protocols import privacy
from protocols.approval import OfficerYes
from protocols.canonical import canonical, digest
from protocols.noise import draws, node_v20
from protocols.plan import Drawn
from protocols.privacy import FREE, Cap, Cost
from protocols.secagg.plan import MOST_ROUNDS
from protocols.statistics.layout import Block, Layout
from protocols.study import Mode, Study

SUM, SESSION = 0, 1  # the two conversations that a run may have
COUNTED: Final = MOST_ROUNDS  # the number of the round in which a city answers by itself
Seconds = Annotated[int, Field(ge=0, lt=2**53)]
Number = Annotated[int, Field(ge=0, lt=2**16)]
Big = Annotated[int, Field(strict=False, ge=0), PlainSerializer(str)]  # written as text: JSON has no such integers
Name = str  # `sha256:…` of something; the chain covers it, so that its form need not be looked at again
Ids = tuple[Annotated[int, Field(ge=1, lt=2**32)], ...]
Key = tuple[str, str, int, int]  # asker, study, run, part: what an answer is kept under
Why = Literal["expired", "superseded", "ended", "declined"]


def named(content: bytes) -> str:
    """`sha256:…` for 32 bytes that are a digest already."""
    return "sha256:" + content.hex()


def year_of(at: int) -> int:
    """The calendar year, in UTC, of Unix seconds."""
    return datetime.fromtimestamp(at, UTC).year


# --- what a conversation asks for


class _Closed(BaseModel):
    """Frozen, and no key too many. Texts were checked where they came from; a chain of 10^5 entries is read in seconds."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")


class Charge(_Closed):
    """One block of a plan. `v20`: variance per cell that this city adds; `total`: of all honest ones, which the cost follows; in 2**-20.

    `own`: of the city's own answer, whose noise is all its own.
    """

    block: str
    l1: Big
    l2sq: Big
    touches: int
    step: Big
    v20: Big
    total: Big
    rounds: Annotated[int, Field(ge=1)] = 1
    own: bool = False


class Claim(_Closed):
    """A whole run of a study: one conversation, and what the city answers by itself. Mode exact has no charges.

    `rounds`: how many sums the conversation may be asked for. `stated`: of each fact that is added up in it, the cities that do not publish
    it. `part`: SUM, the one round of a run, or SESSION, its many-round questions.

    `summed`, `counted`: which of the two it holds. `draws`: of noise, by all cities, in all rounds. `cohort_class`: digest of the filter.
    `snapshot`: name of the one that will answer. `cohort`, `purpose` and `variables` are for people.
    """

    conversation: str
    plan: Name
    study: Name
    asker: str
    runs: tuple[Annotated[int, Field(ge=1, lt=2**16)]]
    mode: Mode
    charges: tuple[Charge, ...]
    draws: Big
    delta: str
    expires: Seconds
    cities: Ids
    colluders: int
    snapshot: str
    cohort_class: Name
    cohort: str
    purpose: str
    variables: tuple[str, ...]
    summed: bool = True
    counted: bool = False
    rounds: Annotated[int, Field(ge=1, le=64)] = 1
    stated: dict[str, Ids] = {}
    part: Annotated[int, Field(ge=0, le=1)] = 0

    @classmethod
    def of(
        cls,
        study: Study,
        *,
        conversation: bytes,
        plan: bytes,
        run: int,
        expires: int,
        cities: Collection[int],
        snapshot: str,
        layout: Layout | None = None,
        totals: Sequence[int] = (),
        h: int = 0,
        own: Layout | None = None,
        own_totals: Sequence[int] = (),
        summed: bool = True,
        counted: bool = False,
        rounds: int = 1,
        times: int = 1,
        stated: Mapping[str, Collection[int]] = MappingProxyType({}),
        drawn: Sequence[Drawn] = (),
        part: int = 0,
    ) -> Self:
        """The claim of a plan, whose digest is `plan` (32 bytes): `rounds` rounds, in which each block of the sum may be asked `times`, and
        the city's own answer.

        `layout`: that of the plan, where amounts may be carried in coarser units than the study's. `totals`: v20 of each of its blocks,
        shared by at least `h` honest cities. `own`, `own_totals`: the same of the city's own answer. `drawn`: what the rounds of a session
        release. Mode exact has none of them. `ValueError` where it does or where mode dp does not.
        """
        blocks = (layout or study.workload.layout).blocks if totals else ()
        alone = (own or study.workload.own).blocks if own_totals else ()
        shared = [_charge(block, node_v20(v20, h), v20, times) for block, v20 in zip(blocks, totals, strict=True)]
        mine = [_charge(block, v20, v20, own=True) for block, v20 in zip(alone, own_totals, strict=True)]
        of_sum = len(cities) * sum(block.cells * draws(each.v20) for block, each in zip(blocks, shared, strict=True))
        of_own = sum(block.cells * draws(each.v20) for block, each in zip(alone, mine, strict=True))
        of_rounds = len(cities) * sum(each.draw.times * each.draw.cells * draws(each.node_v20) for each in drawn)
        condition = study.file.cohort
        cohort = canonical(condition.model_dump(mode="json", by_alias=True, exclude_none=True) if condition else None)
        return cls(
            conversation=conversation.hex(),
            plan=named(plan),
            study=study.digest,
            asker=study.file.asker,
            runs=(run,),
            mode=study.file.privacy.mode,
            charges=(*shared, *mine, *map(_of_rounds, drawn)),
            draws=times * of_sum + of_own + of_rounds,
            delta=study.file.privacy.delta,
            expires=expires,
            cities=tuple(sorted(cities)),
            colluders=study.file.privacy.tolerate.colluders,
            snapshot=snapshot,
            cohort_class=digest(cohort),
            cohort=cohort.decode(),
            purpose=study.file.purpose.text("zh"),
            variables=study.reads(),
            summed=summed,
            counted=counted,
            rounds=rounds,
            stated={fact: tuple(sorted(silent)) for fact, silent in stated.items()},
            part=part,
        )

    @model_validator(mode="after")
    def _priced(self) -> Self:
        """Nothing is released with noise for free."""
        if (self.mode == "dp") != bool(self.charges):
            raise ValueError("a claim has charges in mode dp, and only there")
        return self

    @property
    def key(self) -> Key:
        return (self.asker, self.study, self.runs[0], self.part)

    @property
    def of_repeat(self) -> tuple[str, str]:
        """What its run may be held under."""
        return (self.asker, self.study)

    @property
    def cost(self) -> Cost:
        """Of all blocks in all their rounds."""
        return _cost(self.charges, self.draws, self.delta)

    def priced(self, runs: int) -> dict[str, str]:
        """Its cost for so many runs, as a line of the audit file holds it."""
        kinds = Counter[tuple[int, int, int]]()
        for each in self.charges:
            kinds[each.l1, each.l2sq, each.total] += each.rounds * runs
        events = " ".join(f"{l1}:{l2sq}:{total}:{times}" for (l1, l2sq, total), times in kinds.items())
        return {"events": events, "sampler": str(runs * self.cost.sampler) if events else ""}

    def blocks(self, *, own: bool) -> tuple[int, ...]:
        """Which entries of `left` the sum, or the city's own answer, uses up."""
        if not self.charges:
            return (int(own and self.summed),)
        return tuple(number for number, charge in enumerate(self.charges) if charge.own == own)


def _charge(block: Block, v20: int, total: int, rounds: int = 1, *, own: bool = False) -> Charge:
    return Charge(
        block=block.name,
        l1=block.l1,
        l2sq=block.l2sq,
        touches=block.touches,
        step=block.step,
        v20=v20,
        total=total,
        rounds=rounds,
        own=own,
    )


def _of_rounds(drawn: Drawn) -> Charge:
    """What rounds release: a holder may move every cell, and one by all of it, as far as l1 and l2sq allow."""
    draw = drawn.draw
    return Charge(
        block=drawn.name,
        l1=draw.l1,
        l2sq=draw.l2sq,
        touches=draw.cells,
        step=isqrt(draw.l2sq),
        v20=drawn.node_v20,
        total=drawn.v20,
        rounds=draw.times,
    )


@lru_cache(maxsize=4096)
def _cost(charges: tuple[Charge, ...], all_draws: int, delta: str) -> Cost:
    if not charges:
        return FREE
    events = [privacy.Event(each.l1, each.l2sq, each.total, each.rounds) for each in charges]
    return privacy.cost(events, all_draws, Decimal(delta))


@lru_cache(maxsize=4096)
def _part(charges: tuple[Charge, ...], times: tuple[int, ...]) -> privacy.Curve:
    """Cost of releasing each block so many times."""
    return privacy.compose(
        privacy.rdp(privacy.Event(each.l1, each.l2sq, each.total, n))
        for each, n in zip(charges, times, strict=True)
        if n
    )


@lru_cache(maxsize=4096)
def text(curve: privacy.Curve) -> str:
    """A curve as an entry holds it: decimal integers, one per order. JSON has no such numbers."""
    return " ".join(map(str, curve))


# --- entries: closed shapes, written as canonical JSON


class _Entry(_Closed):
    at: Seconds


class Opened(_Entry):
    """A ledger, or another identity key of the same city: a new key is never a new budget."""

    kind: Literal["opened"] = "opened"
    city: str
    key: str
    policy: Name
    dictionary: str


class PolicySet(_Entry):
    kind: Literal["policy"] = "policy"
    policy: Name


class CapSet(_Entry):
    """A cap from now on, with the order and the room that it was given when it was first written. `officers`: who signed."""

    kind: Literal["cap"] = "cap"
    scope: Scope
    epsilon: str
    delta: str
    order: int
    room: Big
    officers: tuple[str, ...]

    @cached_property
    def cap(self) -> Cap:
        return Cap(Decimal(self.epsilon), Decimal(self.delta), self.order, self.room)


class Approved(_Entry):
    """`rule`: the place in the policy that decided; `officers`: who said yes, where it asks for them, and `signed`: how. `facts`: by day,
    what the city stated of those that the study asks for."""

    kind: Literal["approved"] = "approved"
    study: Name
    dictionary: Name
    asker: str
    policy: Name
    rule: str
    officers: tuple[str, ...]
    cannot: tuple[str, ...]
    expires: Seconds
    signed: tuple[OfficerYes, ...] = ()
    facts: dict[str, dict[str, str]] = {}


class Declined(_Entry):
    kind: Literal["declined"] = "declined"
    study: Name
    asker: str
    codes: tuple[Code, ...]
    officers: tuple[str, ...]
    reason: str


class Reserved(_Entry):
    """`cost`: of this run at every order of `privacy.ORDERS`, in 2**-64, as `text` writes it. `sampler`: in 2**-176.

    `runs`: of a repeat, all that are held from here on, this one among them, each at this cost; `until` when.
    """

    kind: Literal["reserved"] = "reserved"
    claim: Claim
    cost: str
    sampler: Big
    runs: tuple[Annotated[int, Field(ge=1, lt=2**16)], ...] = ()
    until: Seconds = 0


class Lapsed(_Entry):
    """What a repeat holds for runs that nobody began is free again."""

    kind: Literal["lapsed"] = "lapsed"
    asker: str
    study: Name
    why: Why


class _Step(_Entry):
    conversation: str


class Rows(_Step):
    """`blocks`: which of the reservation's this round asks. `ask`: digest of what was asked; `cells`: how many, of a session, whose rounds
    differ; 0 of all else."""

    kind: Literal["rows"] = "rows"
    round: Number
    ask: Name
    blocks: tuple[int, ...]
    cells: Annotated[int, Field(ge=0)] = 0


class Spent(_Step):
    """`reply`: digest of the envelope that left, `y`: of the vector in it. `turned`: nothing left, a crash or an end came before."""

    kind: Literal["spent"] = "spent"
    run: int
    round: Number
    plan: Name
    snapshot: str
    sampler: Big
    reply: Name
    y: Name
    turned: bool


class Confirmed(_Step):
    kind: Literal["confirmed"] = "confirmed"
    round: Number
    cities: Ids
    u3: Name


class Revealed(_Step):
    kind: Literal["revealed"] = "revealed"
    round: Number


class Answered(_Step):
    """`receipt`: digest of the coordinator's signed receipt, which is kept."""

    kind: Literal["answered"] = "answered"
    round: Number
    sum: Name
    receipt: Name


class Void(_Step):
    """The conversation ended here. An exact set of cities that was never confirmed is forgotten: nothing of it can be opened."""

    kind: Literal["void"] = "void"
    why: Why


class ExactSet(_Step):
    """The cohort of an exact release was read and is large enough. `rows`: digest of its rows under a key of the city. `alone`: where
    questions have cohorts of their own, so that `rows` is of all of them, the digest of each by itself, that of the study first."""

    kind: Literal["exact"] = "exact"
    rows: str
    cells: int
    alone: tuple[str, ...] = ()

    @property
    def cohorts(self) -> tuple[str, ...]:
        """Digests of all cohorts of which it says sums, that of the study first."""
        return self.alone or (self.rows,)


Step = Rows | Spent | Confirmed | Revealed | Answered | Void | ExactSet  # of one conversation, after `reserved`


class LostHead(_Closed):
    seq: int
    head: str  # hex, as in the audit file


class LostCost(_Closed):
    """A reservation that is not in the ledger any more, as the audit file knows it. `events`, `sampler`: as there."""

    asker: str
    at: Seconds
    events: str
    sampler: Big

    @property
    def cost(self) -> Cost:
        blocks = [[int(number) for number in block.split(":")] for block in self.events.split()]
        return Cost(privacy.compose(privacy.rdp(privacy.Event(*block)) for block in blocks), self.sampler)


class Restored(_Entry):
    """An older copy of the ledger goes on. Entries `first` to `last` are missing: their numbers are never used again.

    `heads`: what the audit file knows of them, so that heads which this city signed are known again. `lost`: reservations among them; not
    `known`: there may be others, and every cap is used up. `exact`: some were of mode exact. `officers`: two, who signed for it.
    """

    kind: Literal["restored"] = "restored"
    first: Annotated[int, Field(ge=1)]
    last: int
    heads: tuple[LostHead, ...]
    lost: tuple[LostCost, ...]
    known: bool
    exact: bool
    officers: Annotated[tuple[str, ...], Field(min_length=2)]


Entry = Opened | PolicySet | CapSet | Approved | Declined | Reserved | Lapsed | Restored | Step
ENTRY: Final[TypeAdapter[Entry]] = TypeAdapter(Annotated[Entry, Field(discriminator="kind")])


# --- what they mean: tuples, which are quicker to make than dataclasses; a long ledger has some hundred thousand of them


class Round(NamedTuple):
    """How far one round of a conversation went. `spent_seq`: where in the chain it was charged."""

    rows: Rows
    spent: Spent | None = None
    spent_seq: int = 0
    confirmed: Confirmed | None = None
    revealed: bool = False
    answered: Answered | None = None

    @property
    def sent(self) -> bool:
        """A masked vector left this city."""
        return self.spent is not None and not self.spent.turned


class Reservation(NamedTuple):
    """One conversation and all that became of it."""

    seq: int
    at: int
    claim: Claim
    cost: Cost
    # In how many more rounds each block may be asked; in mode exact an entry for the sums and one for the own answer.
    left: tuple[int, ...]
    rounds: Mapping[int, Round]
    exact: ExactSet | None = None
    void: bool = False
    repeat: "Repeat | None" = None  # that it was held in, as it stood when this run was taken from it
    lost: bool = False  # the ledger was restored since: how far it went is not known, and all of it is spent

    @property
    def asker(self) -> str:
        return self.claim.asker

    @property
    def study(self) -> Name:
        return self.claim.study

    @property
    def year(self) -> int:
        """The year whose budget it uses: that in which it was made, or its repeat was."""
        return year_of(self.repeat.at if self.repeat else self.at)

    @property
    def unspent(self) -> tuple[int, ...]:
        """Rounds whose rows were read and that are not charged yet."""
        return tuple(number for number, each in self.rounds.items() if each.spent is None)

    @property
    def charged(self) -> Cost:
        """What it takes from every cap: all of it until it is void, then the rounds that were spent."""
        if not self.void or self.lost:
            return self.cost
        times = tuple(charge.rounds - left for charge, left in zip(self.claim.charges, self.left, strict=False))
        return Cost(_part(self.claim.charges, times), self.cost.sampler if any(times) else 0)

    @property
    def state(self) -> Literal["reserved", "read", "spent", "answered", "void"]:
        """The farthest that any of its rounds went."""
        if any(each.answered for each in self.rounds.values()) or (self.own is not None and not self.claim.summed):
            return "answered"
        if self.unspent:
            return "read"
        if self.rounds or self.lost:
            return "spent"
        return "void" if self.void else "reserved"

    @property
    def confirmed(self) -> bool:
        return any(each.confirmed for each in self.rounds.values())

    @property
    def attempted(self) -> bool:
        """Somebody may know an answer: a round was charged; in mode exact, its survivors were signed here."""
        if self.claim.mode == "exact":
            return self.confirmed or self.own is not None or self.lost
        return any(each.spent for each in self.rounds.values()) or self.lost

    @property
    def used_up(self) -> bool:
        """An exact session all of whose rounds were opened: the next one goes on from their sums."""
        opened = sum(each.confirmed is not None for each in self.rounds.values())
        return self.claim.mode == "exact" and self.claim.part == SESSION and opened == self.claim.rounds

    @property
    def own(self) -> Spent | None:
        """The charge of the city's own answer, once it has left."""
        found = self.rounds.get(COUNTED)
        return found.spent if found and found.sent else None

    @property
    def counts(self) -> bool:
        """Its set of cities counts for rule X1: it may still be opened, or it was confirmed. What a city answers alone has no set."""
        return self.claim.mode == "exact" and self.claim.summed and not self.void

    @property
    def releases(self) -> bool:
        """It is an exact release of its snapshot, or may become one."""
        return self.counts or (self.claim.mode == "exact" and (not self.void or self.own is not None))

    @property
    def frees(self) -> bool:
        """Ending it would change something: rounds are held that were not read, or an exact set could be forgotten."""
        if self.claim.mode == "exact":
            return not self.void and not self.confirmed and self.own is None and not self.lost
        return not self.void and any(times > 0 for times in self.left) and not self.lost

    def same_cohort(self, cohort_class: str, cohorts: Collection[str]) -> bool:
        """An equal filter; or one of these digests of cohorts, where rows are known of both."""
        known = () if self.exact is None else self.exact.cohorts
        return self.claim.cohort_class == cohort_class or not set(known).isdisjoint(cohorts)


class Gone(NamedTuple):
    """What a restored ledger counts as spent without knowing the study. `asker`: empty for what may be anybody's."""

    at: int
    asker: str
    charged: Cost
    study: Name = ""

    @property
    def year(self) -> int:
        return year_of(self.at)


class Repeat(NamedTuple):
    """What is held for runs of a repeat that have not begun: `cost` for each of `open`, until `until`. `at`: when it was held."""

    seq: int
    at: int
    until: int
    asker: str
    study: Name
    runs: tuple[int, ...]
    open: frozenset[int]
    cost: Cost

    @property
    def year(self) -> int:
        return year_of(self.at)

    @property
    def charged(self) -> Cost:
        return self.cost.times(len(self.open))

    @property
    def untouched(self) -> bool:
        """No run of it was taken, or every one came back unread."""
        return len(self.open) == len(self.runs)


def followed(held: Reservation, entry: Step, seq: int = 0) -> Reservation:
    """The reservation after one more entry of its conversation. Errors: `ValueError` where that entry cannot come next."""
    if isinstance(entry, Void):
        need(not held.void and not held.unspent and not (held.claim.mode == "exact" and held.confirmed))
        need(not held.lost)
        return held._replace(void=True)
    if isinstance(entry, ExactSet):
        need(held.claim.mode == "exact" and held.exact is None and not held.void)
        return held._replace(exact=entry)
    if isinstance(entry, Rows):
        asked = set(entry.blocks) if held.claim.charges else set(held.claim.blocks(own=entry.round == COUNTED))
        need(not held.void and not held.lost and entry.round not in held.rounds)
        need(len(asked) == max(1, len(entry.blocks)))
        need(asked <= {block for block, times in enumerate(held.left) if times > 0})
        left = tuple(times - (block in asked) for block, times in enumerate(held.left))
        return _at(held, left, entry.round, Round(entry))
    found = held.rounds.get(entry.round)
    if found is None:
        raise ValueError
    match entry:
        case Spent():
            need(found.spent is None)
            after = Round(found.rows, entry, seq)
        case Confirmed():
            need(found.sent and found.confirmed is None and not held.void)
            after = Round(found.rows, found.spent, found.spent_seq, entry)
        case Revealed():
            need(found.confirmed is not None and not found.revealed and not held.void)
            after = Round(found.rows, found.spent, found.spent_seq, found.confirmed, True)
        case Answered():
            need(found.sent and found.answered is None)
            after = Round(found.rows, found.spent, found.spent_seq, found.confirmed, found.revealed, entry)
        case _:
            assert_never(entry)
    return _at(held, held.left, entry.round, after)


def _at(held: Reservation, left: tuple[int, ...], number: int, after: Round) -> Reservation:
    """The same with one round gone further."""
    rounds = {**held.rounds, number: after}
    return Reservation(
        held.seq, held.at, held.claim, held.cost, left, rounds, held.exact, held.void, held.repeat, held.lost
    )


def need(holds: bool) -> None:
    """`ValueError` unless it holds."""
    if not holds:
        raise ValueError


@dataclass(frozen=True)
class Room:
    """One cap and how much of it is used, in 2**-64 at its order. `renews`: None for the total."""

    scope: Scope
    asker: str
    cap: Cap
    used: Cost
    renews: date | None

    @property
    def left(self) -> int:
        return privacy.left(self.cap, self.used)


@dataclass(frozen=True)
class View:
    """A ledger as a value. `waiting`: caps that the policy raises and that two officers have not signed."""

    head: Head
    policy: str
    rooms: tuple[Room, ...]
    waiting: tuple[Scope, ...]
    reservations: tuple[Reservation, ...]
    approvals: Mapping[str, Approved]
    declined: Mapping[str, Declined]
    caps: Mapping[Scope, Cap]
    repeats: tuple[Repeat, ...] = ()

    def room(self, scope: Scope, asker: str, now: int) -> Room:
        """A cap for an asker and the year of `now`, also where the asker has used nothing of it. Pre-condition: the caps are written."""
        for room in self.rooms:
            if (room.scope, room.asker) == (scope, asker if scope == "per_asker_year" else ""):
                return room
        return Room(scope, asker, self.caps[scope], FREE, date(year_of(now) + 1, 1, 1))


class Book:
    """All entries, folded one after the other."""

    def __init__(self) -> None:
        self.head = Head()
        self.at = 0  # of the last entry, Unix s
        self.opened: Opened | None = None
        self.policy = ""
        self.caps: dict[Scope, CapSet] = {}
        self.approvals: dict[str, Approved] = {}
        self.declined: dict[str, Declined] = {}
        self.reservations: dict[str, Reservation] = {}
        self.attempts: dict[Key, list[str]] = {}
        self.answers: dict[Key, str] = {}
        self.repeats: dict[tuple[str, str], Repeat] = {}  # by asker and study, until they lapse
        self.gone: list[Gone] = []
        self.gone_heads: dict[int, bytes] = {}
        self.gone_exact = 0  # when it was restored without releases of mode exact, Unix s; 0: never

    def apply(self, entry: Entry, head: Head) -> None:
        """Take in the next entry; `head` is the chain's after it. Errors: `ValueError` where it cannot follow, or states a wrong cost."""
        need(entry.at >= self.at and (self.opened is not None or isinstance(entry, Opened)))
        match entry:
            case Rows() | Spent() | Confirmed() | Revealed() | Answered() | Void() | ExactSet():
                need(entry.conversation in self.reservations)
                held = followed(self.reservations[entry.conversation], entry, head.seq)
                self.reservations[entry.conversation] = held
                if isinstance(entry, Answered):
                    self.answers[held.claim.key] = entry.conversation
                if isinstance(entry, Void) and not held.rounds:
                    self._returned(held)
            case Opened():
                self.opened, self.policy = entry, entry.policy
            case PolicySet():
                self.policy = entry.policy
            case CapSet():
                need(entry.order in privacy.ORDERS)
                self.caps[entry.scope] = entry
            case Approved():
                self.approvals[entry.study] = entry
                self.declined.pop(entry.study, None)
            case Declined():
                self.declined[entry.study] = entry
                self.approvals.pop(entry.study, None)
            case Reserved():
                self._reserved(entry, head.seq)
            case Restored():
                self._restored(entry, head.seq)
            case Lapsed():
                need((entry.asker, entry.study) in self.repeats)
                del self.repeats[entry.asker, entry.study]
            case _:
                assert_never(entry)
        self.head, self.at = head, entry.at

    def _reserved(self, entry: Reserved, seq: int) -> None:
        claim, cost = entry.claim, entry.claim.cost
        need(claim.conversation not in self.reservations and claim.key not in self.answers)
        need(entry.cost == text(cost.curve) and entry.sampler == cost.sampler)
        if entry.runs:
            need(claim.of_repeat not in self.repeats and claim.runs[0] in entry.runs)
            self.repeats[claim.of_repeat] = Repeat(
                seq, entry.at, entry.until, claim.asker, claim.study, entry.runs, frozenset(entry.runs), cost
            )
        repeat = self.repeats.get(claim.of_repeat)
        taken = repeat if repeat and claim.runs[0] in repeat.open else None
        if taken:
            self.repeats[claim.of_repeat] = taken._replace(open=taken.open - {claim.runs[0]})
        left = tuple(charge.rounds for charge in claim.charges) or (
            *(claim.rounds,) * claim.summed,
            *(1,) * claim.counted,
        )
        self.reservations[claim.conversation] = Reservation(seq, entry.at, claim, cost, left, {}, repeat=taken)
        self.attempts.setdefault(claim.key, []).append(claim.conversation)

    def _restored(self, entry: Restored, seq: int) -> None:
        """Nothing that was open goes on; nothing that is missing was free."""
        need(self.head.seq + 1 == entry.first <= entry.last == seq - 1)
        self.gone += [Gone(each.at, each.asker, each.cost) for each in entry.lost]
        if not entry.known:
            room = max((each.cap.room for each in self.caps.values()), default=0)
            self.gone.append(Gone(entry.at, "", Cost((room,) * len(privacy.ORDERS), 0)))
        self.gone_heads |= {each.seq: bytes.fromhex(each.head) for each in entry.heads}
        self.gone_exact = entry.at if entry.exact else self.gone_exact
        for name, held in self.reservations.items():
            if held.frees or held.unspent:
                self.reservations[name] = held._replace(lost=True)

    def _returned(self, held: Reservation) -> None:
        """A run that was taken from a repeat, and of which no row was read, is held in it again, unless that is over."""
        repeat = self.repeats.get(held.claim.of_repeat)
        if repeat and held.repeat and repeat.seq == held.repeat.seq:
            self.repeats[held.claim.of_repeat] = repeat._replace(open=repeat.open | {held.claim.runs[0]})

    def room(self, scope: Scope, asker: str, year: int, besides: str = "") -> Room:
        """A cap, and what is spent and reserved under it, for an asker and a year where it has these. `besides`: a study left out."""
        kept = Counter(
            each.charged
            for each in self._held()
            if (scope == "total" or each.year == year)
            and (scope != "per_asker_year" or each.asker in (asker, ""))
            and (not besides or each.study != besides)
        )
        used = FREE
        for cost, times in kept.items():
            used = used + cost.times(times)
        renews = None if scope == "total" else date(year + 1, 1, 1)
        return Room(scope, asker if scope == "per_asker_year" else "", self.caps[scope].cap, used, renews)

    def _held(self) -> Iterator[Reservation | Repeat | Gone]:
        yield from self.reservations.values()
        yield from self.repeats.values()
        yield from self.gone

    def view(self, now: int, waiting: tuple[Scope, ...] = ()) -> View:
        """The ledger as a value at `now`."""
        year = year_of(max(now, self.at))
        askers = sorted({each.asker for each in self._held() if each.year == year and each.asker})
        rooms = [self.room("per_asker_year", asker, year) for asker in askers]
        rooms += [self.room("per_year", "", year), self.room("total", "", year)] if self.caps else []
        held = tuple(self.reservations.values())
        caps = {scope: each.cap for scope, each in self.caps.items()}
        return View(
            self.head,
            self.policy,
            tuple(rooms),
            waiting,
            held,
            dict(self.approvals),
            dict(self.declined),
            caps,
            tuple(self.repeats.values()),
        )


def raised(caps: Mapping[Scope, CapSet], policy: Policy) -> tuple[Scope, ...]:
    """The caps that a policy would raise above those written down."""
    return raised_caps({scope: each.cap for scope, each in caps.items()}, policy)


def raised_caps(caps: Mapping[Scope, Cap], policy: Policy) -> tuple[Scope, ...]:
    """The same, of caps as a `View` holds them."""
    asked = {scope: getattr(policy.file.dp.caps, scope) for scope in SCOPES if scope in caps}
    return tuple(
        scope
        for scope, budget in asked.items()
        if budget.epsilon > caps[scope].epsilon or budget.delta > caps[scope].delta
    )
