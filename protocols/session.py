"""What the many-round questions of a run give over some cities: the plan of their session, and what each of its rounds asks.

A session is one conversation of up to 64 rounds. Its first exchange sets the keys of all of them up; each later round takes three. What
needs more rounds goes on in the next conversation, over the same cities, from the sums of all before. The one
round of all other questions has a conversation of its own, before it. As of everything in a plan, coordinator and cities derive it alike.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Final, Literal

from pydantic import Field, ValidationError

from protocols.canonical import canonical, digest, digest_bytes, parse_canonical
from protocols.errors import PeerError
from protocols.messages import Ask, Plan
from protocols.models import fixedpoint
from protocols.models.question import Setting
from protocols.models.session import Asks, Models, Progress, Round, Told, read_round, total_of
from protocols.noise import UNIT, largest_noise
from protocols.plan import WAITS_S, Agreement, Shape, drawn_up
from protocols.roster import Roster
from protocols.secagg import keys
from protocols.secagg.collector import Question
from protocols.secagg.plan import MOST_ROUNDS, NoiseBlock, noise_plan
from protocols.study import Study
from protocols.yamltext import Record

Hex64 = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
RING: Final = 64


@dataclass(frozen=True)
class Session:
    """The many-round questions of the study of an agreement, over its cities."""

    agreement: Agreement

    @property
    def study(self) -> Study:
        return self.agreement.study

    @property
    def cities(self) -> tuple[int, ...]:
        return self.agreement.cities

    @property
    def run(self) -> int:
        return self.agreement.run

    @cached_property
    def models(self) -> Models:
        """Errors: `ConfigError` of planning them for so many cities and rows."""
        study, agreement = self.study, self.agreement
        given = (study.domain, len(self.cities), agreement.most_rows, study.digest, study.file.confidence)
        setting = Setting(*given, labels=agreement.names)
        variances: dict[str, dict[str, float]] = {}
        for each in agreement.drawn:  # of all cities together
            variances.setdefault(each.question, {})[each.draw.name] = len(self.cities) * each.node_v20 / UNIT
        return Models.of(study.file.questions, setting, variances)

    @property
    def rounds(self) -> int:
        return min(MOST_ROUNDS, self.models.most_rounds)

    @property
    def following(self) -> int:
        """How many conversations may go on where one has used up its rounds."""
        return -(-self.models.most_rounds // MOST_ROUNDS) - 1

    @cached_property
    def declared(self) -> bytes:
        """Canonical JSON of what may be asked: what its digest names in the plan stands in place of a layout."""
        planned = [
            [name, self.models.questions[name].kind, each.most_rounds, each.most_cells, each.scope]
            for name, each in self.models.models.items()
        ]
        return canonical({"cities": len(self.cities), "most_rows": self.agreement.most_rows, "session": planned})

    @property
    def layout(self) -> str:
        return digest(self.declared)

    @property
    def bound(self) -> int:
        """Every city checks its own cells against this (`fixedpoint.py`), so that no sum of them wraps."""
        return (1 << fixedpoint.ROOM) // len(self.cities)

    @cached_property
    def noise(self) -> bytes:
        """The noise plan, canonical JSON: of each block that rounds release, in mode exact of each question."""
        if self.study.exact:
            models = self.models.models.items()
            return noise_plan([NoiseBlock(name, each.most_cells, 0, 0) for name, each in models], h=0)
        drawn, privacy = self.agreement.drawn, self.study.file.privacy
        return noise_plan(
            [NoiseBlock(each.name, each.draw.cells, 0, each.v20) for each in drawn],
            h=self.agreement.honest,
            accounting=self.study.accounting,
            epsilon=privacy.epsilon or "",
            delta=privacy.delta,
        )

    def released(self, asks: Asks) -> tuple[int, ...]:
        """What a round releases, by place among all that the agreement draws, in the order of its vector; nothing in mode exact."""
        place = {(each.question, each.draw.name): at for at, each in enumerate(self.agreement.drawn)}
        models = self.models.models
        return tuple(place[name, draw] for name, ask in asks.items() for draw in models[name].drawn(ask))

    def plan(
        self,
        *,
        conversation: bytes,
        roster: Roster,
        expires: int,
        cannot: Mapping[int, Sequence[str]],
        waits: Sequence[int] = WAITS_S,
    ) -> Plan:
        """The plan of the session. `cannot`: as of `Agreement.plan`."""
        shape = Shape(
            layout=self.layout,
            noise=self.noise,
            ring=RING,
            rounds=self.rounds,
            length=self.models.most_cells,
            bound=self.bound,
            support=max((largest_noise(each.node_v20) for each in self.agreement.drawn), default=0),
        )
        return drawn_up(
            self.agreement, shape, conversation=conversation, roster=roster, expires=expires, cannot=cannot, waits=waits
        )

    def question(self, at: Progress, before: Sequence[Told]) -> Question:
        """What the next round asks. Pre-condition: something is left to ask."""
        length, layout = self.models.length(at.asks), digest_bytes(self.models.layout(at.asks))
        return Question(length, layout, Round.of(at.asks, before).content)

    def asked(self, ask: Ask) -> tuple[Progress, Asks]:
        """The asks of a round, and what led to them.

        Errors: `PeerError` MODEL_ASK_FOREIGN, MODEL_NOT_REPLAYABLE: they do not follow from the totals that they come with;
        SECAGG_FOREIGN_QUESTION: the round is of another length or layout than theirs.
        """
        at, asks = self.models.replayed(read_round(bytes(ask.question)))
        if (ask.length, ask.layout) != (self.models.length(asks), digest_bytes(self.models.layout(asks))):
            raise PeerError("SECAGG_FOREIGN_QUESTION", who="coordinator", step="masked")
        return at, asks


# --- what is kept of it


class Heard(Record):
    """One round as it was asked and summed. `round`: of that conversation; `ctx`, `u2`: what binds its Ask to it (docs/protocol.md)."""

    conversation: Annotated[str, Field(pattern="^[0-9a-f]{32}$")]
    round: Annotated[int, Field(ge=0, lt=MOST_ROUNDS)]
    ctx: Hex64
    u2: tuple[Annotated[int, Field(ge=1, lt=2**32)], ...]
    told: Told


class Held(Record):
    """All rounds of the session of a run, from which everybody who has it can compute its answers again.

    `u3`, `reveals`: the cities of the last sum, and the digest of their Reveal envelopes, so that the digest which they signed names it.
    """

    format: Literal["hpf-session@1"] = "hpf-session@1"
    rounds: Annotated[tuple[Heard, ...], Field(min_length=1)]
    u3: tuple[Annotated[int, Field(ge=1, lt=2**32)], ...]
    reveals: Hex64

    @property
    def told(self) -> tuple[Told, ...]:
        return tuple(each.told for each in self.rounds)

    @property
    def content(self) -> bytes:
        return canonical(self.model_dump(mode="json"))


def read_held(content: bytes) -> Held:
    """Errors: `PeerError` NOT_CANONICAL, SESSION_INVALID."""
    try:
        return Held.model_validate_json(canonical(parse_canonical(content, "session")), strict=True)
    except ValidationError:
        raise PeerError("SESSION_INVALID") from None


def named(session: Session, held: Held) -> list[bytes]:
    """rctx of every round: what its Masked, and the attestation of every city, say that was asked. Earlier sums are in it.

    Errors: `PeerError MODEL_ASK_FOREIGN`.
    """
    found = []
    for number, each in enumerate(held.rounds):
        asks = session.models.parsed(each.told.asks)
        question = Round.of(asks, held.told[:number]).content
        length, layout = session.models.length(asks), digest_bytes(session.models.layout(asks))
        ask = Ask(bytes.fromhex(each.ctx), each.round, length, layout, question)
        u2, digest_ = keys.u2_digest(each.u2), keys.ask_digest(ask.encode())
        found.append(keys.rctx(ask.ctx, u2, each.round, digest_))
    return found


def last_sum(held: Held, rctx: bytes) -> bytes:
    """The digest of the last sum that the receipt named to every city. `rctx`: of that round."""
    total = total_of(held.rounds[-1].told).astype("<i8")
    return keys.sum_digest_of(rctx, keys.u3_digest(rctx, held.u3), bytes.fromhex(held.reveals), total.tobytes())


def of_plan(agreement: Agreement, plan: Plan) -> Agreement | Session:
    """Which of the two conversations of a run a plan is for: by its layout that of the session, else that of the one round."""
    session = Session(agreement)
    return session if agreement.study.many and plan.layout == digest_bytes(session.layout) else agreement
