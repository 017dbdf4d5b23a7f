"""Messages of a dishonest coordinator, relay or city: how each is made, who gets it, and the code that it must end in."""

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from types import MappingProxyType
from typing import Any, Final

from protocols import messages
from protocols.errors import Refusal
from protocols.messages import Body, Kind, Matter, matter_of, seal
from protocols.roster import Roster
from protocols.secagg import collector, member
from tests.conversations.table import (
    NOW,
    QUESTION,
    ROSTERS,
    Table,
    identity,
    key_of,
    lost_at,
    question_of,
    roster_of,
    table_of,
)

IDS: Final = (1, 2, 3, 4)
VICTIM: Final = 2
Tamper = Callable[[Table, bytes], bytes]


@dataclass(frozen=True)
class Case:
    """`make` turns the honest message of `kind` to `victim` into the bad one."""

    name: str
    kind: Kind
    code: str
    make: Tamper
    victim: int = VICTIM
    table: dict[str, Any] = field(default_factory=dict)
    terms: Callable[[member.Terms], member.Terms] = lambda terms: terms
    lost: Mapping[str, Collection[int]] = field(default_factory=dict)

    def setting(self) -> tuple[Table, bytes, bytes]:
        """The table just before the message, the honest message, and the bad one."""
        table = table_of(
            IDS, terms=lambda terms: self.terms(terms) if terms.identity.id == self.victim else terms, **self.table
        )
        honest = before(table, self.kind, self.victim, self.lost)
        return table, honest, self.make(table, honest)


def before(table: Table, kind: Kind, to: int, lost: Mapping[str, Collection[int]] = MappingProxyType({})) -> bytes:
    """Run a table until a request of `kind` is about to reach city `to`, and give that request."""
    out = table.start()
    while out:
        for recipient, content in out:
            if recipient == to and messages.peek(content).kind is kind:
                return content
        out = table.exchange(out, lost_at(lost))
        if isinstance(table.state, collector.Summed) and kind is Kind.ASK:
            table.state, out = collector.ask(table.state, question_of(table.plan), table.stamp())
    raise AssertionError(f"no {kind} to {to}")


def resealed(
    content: bytes,
    body: Body,
    *,
    sender: int | None = None,
    to: int | None = None,
    matter: Matter | None = None,
    roster: Roster | None = None,
) -> bytes:
    """The same message with another body, or other fields, correctly signed by its (or another) sender."""
    header = messages.peek(content)
    about = matter or Matter(
        header.expires, bytes.fromhex(header.study), header.run, bytes.fromhex(header.conversation), header.round
    )
    return seal(
        body,
        identity=identity(header.sender if sender is None else sender),
        to=header.to if to is None else to,
        roster=roster or ROSTERS[header.roster.sha256],
        matter=about,
        seq=header.seq,
        now=header.issued,
        in_reply_to=bytes.fromhex(header.in_reply_to) if header.in_reply_to else None,
    )


def changed(kind: type[Body], **fields: Any) -> Tamper:
    """The honest message with some fields of its body replaced; a function gets the field's old value."""

    def make(_: Table, honest: bytes) -> bytes:
        body = kind.decode(messages.body_of(honest))
        new = {name: value(getattr(body, name)) if callable(value) else value for name, value in fields.items()}
        return resealed(honest, replace(body, **new))

    return make


BODY_AT: Final[dict[str, type[Body]]] = {
    "advert": messages.Advert,
    "shares": messages.Shares,
    "masked": messages.Masked,
    "confirm": messages.Confirm,
    "reveal": messages.Reveal,
}


def altered(step: str, **fields: Any) -> Tamper:
    """A reply of the step with fields of its body replaced, signed by its city."""
    return changed(BODY_AT[step], **fields)


def planned(**fields: Any) -> Tamper:
    """An Open over a plan with some fields replaced."""

    def make(table: Table, honest: bytes) -> bytes:
        plan = replace(table.plan, **fields)
        return resealed(honest, messages.Open(plan.encode(), b""), matter=matter_of(plan))

    return make


def flipped(content: bytes, at: int) -> bytes:
    return content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :]


def relayed(index: int, alter: Callable[[Table, bytes], bytes]) -> Tamper:
    """Adverts or Confirms with one of the relayed envelopes altered."""

    def make(table: Table, honest: bytes) -> bytes:
        kind: type[Any] = messages.Adverts if messages.peek(honest).kind is Kind.ADVERTS else messages.Confirms
        name = "adverts" if kind is messages.Adverts else "confirms"
        body = kind.decode(messages.body_of(honest))
        listed = list(getattr(body, name))
        listed[index] = alter(table, listed[index])
        return resealed(honest, replace(body, **{name: tuple(listed)}))

    return make


def listed(**fields: Callable[[tuple[bytes, ...]], tuple[bytes, ...]]) -> Tamper:
    """Adverts or Confirms with another list of envelopes."""

    def make(table: Table, honest: bytes) -> bytes:
        kind = messages.Adverts if "adverts" in fields else messages.Confirms
        return changed(kind, **fields)(table, honest)

    return make


def advert_of(content: bytes, **fields: Any) -> bytes:
    """An Advert of the same city with other fields, correctly signed by it."""
    advert = messages.Advert.decode(messages.body_of(content))
    return resealed(content, replace(advert, **fields))


def signed_as(name: str, kind: str) -> Tamper:
    """A relayed envelope that is correctly signed by its city, but with another field in its header."""

    def alter(table: Table, content: bytes) -> bytes:
        body: Body = (messages.Advert if kind == "adverts" else messages.Confirm).decode(messages.body_of(content))
        matter = matter_of(table.plan)
        match name:
            case "from":
                return resealed(content, body, sender=99)
            case "to":
                return resealed(content, body, to=VICTIM)
            case "kind":
                return resealed(
                    content, messages.Confirm(bytes(32), bytes(32)) if kind == "adverts" else messages.Ping(bytes(32))
                )
            case "study":
                return resealed(content, body, matter=replace(matter, study=bytes(32)))
            case "conversation":
                return resealed(content, body, matter=replace(matter, conversation=bytes(16)))
            case "round":
                return resealed(content, body, matter=replace(matter, round=1))
            case "roster":
                return resealed(content, body, roster=roster_of(IDS, 2))
            case "body":
                return flipped(content, len(content) - 70)
            case _:
                return bytes(messages.body_of(content))

    return relayed(-1, alter)


def other_conversation(**plan: Any) -> Table:
    """The same cities in another conversation, with other secrets."""
    return table_of(IDS, seed=b"other", conversation=bytes(range(16, 32)), **plan)


def box_of_other_conversation(table: Table, honest: bytes) -> bytes:
    other = messages.Deliver.decode(messages.body_of(before(other_conversation(), Kind.DELIVER, VICTIM)))
    return changed(messages.Deliver, boxes=other.boxes)(table, honest)


def swapped_direction(table: Table, honest: bytes) -> bytes:
    """The victim's own box to a city, shown as that city's box to the victim."""
    state = table.state
    assert isinstance(state, collector.Summing)
    shares = messages.Shares.decode(messages.body_of(table.sent(Kind.SHARES, VICTIM)[0]))
    return changed(messages.Deliver, boxes=shares.boxes)(table, honest)


def short_box(_: Table, honest: bytes) -> bytes:
    body = messages.Deliver.decode(messages.body_of(honest))
    content = body.encode()
    at = 34 + 4 * len(body.u2) + 2 + 4
    return resealed(honest, as_kind(Kind.DELIVER, content[:at] + content[at + 1 :]))


def as_kind(kind: Kind, content: bytes) -> Body:
    """Any bytes as the body of any kind."""
    named = type(kind.value.capitalize(), (Body,), {"encode": lambda _: content})
    made: Body = named()
    return made


def raw(alter: Callable[[bytes], bytes]) -> Tamper:
    """The honest body as bytes, altered and signed again."""

    def make(_: Table, honest: bytes) -> bytes:
        return resealed(honest, as_kind(messages.peek(honest).kind, alter(bytes(messages.body_of(honest)))))

    return make


def low_order() -> Iterator[bytes]:
    """u of low order (RFC 7748, section 6.1 asks to refuse their all-zero secret): 0, 1, -1 and one of order 8."""
    for u in (0, 1, 2**255 - 20, 325606250916557431795983626356110631294008115727848805560023387167927233504):
        yield u.to_bytes(32, "little")


def with_key(c_pk: bytes) -> Tamper:
    return lambda _, content: advert_of(content, c_pk=c_pk)


def objecting(name: str, code: str) -> Callable[[member.Terms], member.Terms]:
    return lambda terms: replace(terms, **{name: Refusal(code)})  # type: ignore[arg-type]  # an objection of that name


def few_can_map(terms: member.Terms) -> member.Terms:
    short = Refusal("POLICY_CITIES", count=2, limit=3, what_zh="", what_en="", or_none_zh="", or_none_en="")
    return replace(terms, able=short)


def wrong_date(terms: member.Terms) -> member.Terms:
    return replace(terms, snapshot=Refusal("SNAPSHOT_DATE", as_of="2022-05-31"))


def with_ask(alter: Callable[[messages.Ask], messages.Ask]) -> Tamper:
    """Deliver with another question in it."""

    def make(table: Table, honest: bytes) -> bytes:
        return changed(messages.Deliver, ask=lambda ask: alter(messages.Ask.decode(ask)).encode())(table, honest)

    return make


def in_round(number: int) -> Tamper:
    """The question of another round."""

    def make(table: Table, honest: bytes) -> bytes:
        ask = replace(messages.Ask.decode(messages.body_of(honest)), round=number)
        return resealed(honest, ask, matter=matter_of(table.plan, number))

    return make


def second_set(_: Table, honest: bytes) -> bytes:
    """Another list of survivors, to a city that has signed one."""
    confirms = messages.Confirms.decode(messages.body_of(honest))
    return resealed(honest, messages.Survivors(confirms.rctx, (1, 2, 3)))


EXACT: Final = {"exact": True}
TWO: Final = {"rounds": 2}
_O, _A, _D, _S, _C, _K = Kind.OPEN, Kind.ADVERTS, Kind.DELIVER, Kind.SURVIVORS, Kind.CONFIRMS, Kind.ASK
RELAY: Final = ("from", "to", "kind", "study", "conversation", "round", "roster", "body", "body_only")


@cache
def cases() -> tuple[Case, ...]:
    plan = [
        Case("bad_plan_suite", _O, "SECAGG_PLAN", planned(suite=2)),
        Case("bad_plan_mode", _O, "SECAGG_PLAN", planned(mode=3)),
        Case("bad_plan_ring_unknown", _O, "SECAGG_PLAN", planned(ring=33)),
        Case("bad_plan_cannot_of_a_stranger", _O, "SECAGG_PLAN", planned(cannot=((9, (1,)),))),
        Case("bad_plan_cannot_of_nothing", _O, "SECAGG_PLAN", planned(cannot=((1, ()),))),
        Case(
            "bad_plan_cohort_size",
            _O,
            "SECAGG_COHORT_SIZE",
            planned(cities=(1, 2), threshold=2, dropouts=0, colluders=0),
        ),
        Case("bad_plan_threshold", _O, "SECAGG_THRESHOLD", planned(threshold=2, dropouts=2)),
        Case("bad_plan_threshold_one", _O, "SECAGG_THRESHOLD", planned(threshold=1, dropouts=3)),
        Case("bad_plan_colluders", _O, "SECAGG_COLLUDERS", planned(colluders=3)),
        Case(
            "bad_plan_few_colluders", _O, "SECAGG_COLLUDERS", planned(), terms=lambda t: replace(t, least_colluders=2)
        ),
        Case("bad_plan_least_below_policy", _O, "SECAGG_THRESHOLD", planned(), terms=lambda t: replace(t, least=4)),
        Case("bad_plan_rounds", _O, "SECAGG_ROUNDS", planned(rounds=65)),
        Case("bad_plan_length", _O, "SECAGG_LENGTH", planned(length=0)),
        Case("bad_plan_exact_dropouts", _O, "SECAGG_THRESHOLD", planned(threshold=3, dropouts=1), table=EXACT),
        Case("bad_plan_not_mine", _O, "SECAGG_PLAN", planned(cities=(1, 3, 4), threshold=3, dropouts=0)),
        Case("bad_plan_unknown_city", _O, "SECAGG_PLAN", planned(cities=(1, 2, 3, 9))),
        Case(
            "bad_plan_other_study_in_the_header",
            _O,
            "SECAGG_PLAN",
            lambda t, m: resealed(m, messages.Open(t.plan.encode(), b""), matter=replace(matter_of(t.plan), run=7)),
        ),
        Case("bad_plan_old_roster", _O, "SECAGG_ROSTER", planned(roster=bytes(32))),
        Case("bad_plan_used_conversation", _O, "SECAGG_REPLAY", planned(), terms=objecting("history", "SECAGG_REPLAY")),
        Case(
            "bad_plan_run_answered",
            _O,
            "SECAGG_ALREADY_ANSWERED",
            planned(),
            terms=objecting("history", "SECAGG_ALREADY_ANSWERED"),
        ),
        Case("bad_plan_not_approved", _O, "SECAGG_NOT_APPROVED", planned(), terms=lambda t: replace(t, approved=None)),
        Case("bad_plan_other_study", _O, "SECAGG_NOT_APPROVED", planned(study=bytes(32))),
        Case("bad_plan_other_layout", _O, "SECAGG_NOT_APPROVED", planned(layout=bytes(32))),
        Case("bad_plan_expired", _O, "SECAGG_EXPIRED", planned(expires=NOW)),
        Case("bad_plan_wait", _O, "SECAGG_EXPIRED", planned(waits=(0, 60, 60, 60, 60))),
        Case("bad_plan_ring", _O, "SECAGG_RING", planned(ring=64)),
        Case("bad_plan_low_bound", _O, "SECAGG_RING", planned(bound=10)),
        Case(
            "bad_plan_more_rows_than_declared", _O, "SECAGG_BOUND", planned(), terms=objecting("size", "SECAGG_BOUND")
        ),
        Case("bad_plan_noise", _O, "SECAGG_NOISE", planned(noise=bytes(32))),
        Case("bad_plan_wrong_date", _O, "SNAPSHOT_DATE", planned(), terms=wrong_date),
        Case("bad_plan_own_cannot", _O, "POLICY_CITIES", planned(cannot=((VICTIM, (1,)),))),
        Case("bad_plan_few_can_map", _O, "POLICY_CITIES", planned(), terms=few_can_map),
        Case(
            "bad_plan_exact_kind", _O, "SECAGG_EXACT", planned(), table=EXACT, terms=objecting("exact", "SECAGG_EXACT")
        ),
        Case(
            "bad_plan_exact_set",
            _O,
            "SECAGG_COHORT_DIFFERENCE",
            planned(),
            table=EXACT,
            terms=objecting("exact", "SECAGG_COHORT_DIFFERENCE"),
        ),
        Case(
            "bad_plan_exact_set_open",
            _O,
            "SECAGG_COHORT_DIFFERENCE",
            planned(),
            table=EXACT,
            terms=objecting("budget", "SECAGG_COHORT_DIFFERENCE"),
        ),
        Case("bad_plan_budget", _O, "SECAGG_BUDGET", planned(), terms=objecting("budget", "SECAGG_BUDGET")),
    ]
    advert = [
        Case("bad_advert_signature", _A, "SECAGG_BAD_SIGNATURE", relayed(2, lambda _, c: flipped(c, len(c) - 1))),
        Case(
            "bad_advert_foreign_plan",
            _A,
            "SECAGG_FOREIGN_ADVERT",
            relayed(2, lambda _, c: advert_of(c, plan_digest=bytes(32))),
        ),
        Case("bad_advert_foreign_list", _A, "SECAGG_FOREIGN_ADVERT", changed(messages.Adverts, plan_digest=bytes(32))),
        Case(
            "bad_advert_two_rounds",
            _A,
            "SECAGG_FOREIGN_ADVERT",
            relayed(2, lambda _, c: advert_of(c, pairs=((bytes(32),) * 2,) * 2)),
        ),
        Case(
            "bad_advert_own_altered", _A, "SECAGG_OWN_ADVERT", relayed(1, lambda _, c: advert_of(c, c_pk=key_bytes(7)))
        ),
        Case("bad_advert_own_missing", _A, "SECAGG_OWN_ADVERT", listed(adverts=lambda a: (a[0], *a[2:]))),
        Case("bad_advert_stranger", _A, "SECAGG_FOREIGN_ADVERT", stranger, table={"also": (5,)}),
        Case("bad_advert_repeated_key", _A, "SECAGG_REPEATED_KEY", relayed(2, repeated_key)),
        *(
            Case(
                f"bad_advert_low_order_{n}",
                _A,
                "SECAGG_LOW_ORDER_KEY",
                relayed(2, with_key(u)),
            )
            for n, u in enumerate(low_order())
        ),
        Case(
            "bad_advert_low_order_s",
            _A,
            "SECAGG_LOW_ORDER_KEY",
            relayed(2, lambda _, c: advert_of(c, pairs=((bytes(32), bytes(32)),))),
        ),
        Case("bad_adverts_too_few", _A, "SECAGG_TOO_FEW", listed(adverts=lambda a: a[:2])),
        Case("bad_adverts_unsorted", _A, "SECAGG_BAD_SIGNATURE", listed(adverts=lambda a: a[::-1])),
    ]
    relay = [
        Case(f"bad_relay_{name}_in_{kind}", Kind(kind), "SECAGG_BAD_SIGNATURE", signed_as(name, kind))
        for kind in ("adverts", "confirms")
        for name in RELAY
    ]
    deliver = [
        Case("bad_deliver_other_context", _D, "SECAGG_BAD_U2", changed(messages.Deliver, ctx=bytes(32))),
        Case("bad_deliver_without_me", _D, "SECAGG_BAD_U2", changed(messages.Deliver, u2=(1, 3, 4))),
        Case("bad_deliver_stranger", _D, "SECAGG_BAD_U2", changed(messages.Deliver, u2=(1, 2, 3, 4, 9))),
        Case("bad_deliver_too_few", _D, "SECAGG_BAD_U2", changed(messages.Deliver, u2=(1, 2), boxes=lambda b: b[:1])),
        Case("bad_deliver_box_missing", _D, "SECAGG_BAD_U2", changed(messages.Deliver, boxes=lambda b: b[1:])),
        Case(
            "bad_box_flipped",
            _D,
            "SECAGG_BAD_BOX",
            changed(messages.Deliver, boxes=lambda b: ((b[0][0], flipped(b[0][1], 3)), *b[1:])),
        ),
        Case("bad_box_swapped_direction", _D, "SECAGG_BAD_BOX", swapped_direction),
        Case("bad_box_other_conversation", _D, "SECAGG_BAD_BOX", box_of_other_conversation),
        Case("bad_box_short", _D, "ENVELOPE_BODY", short_box),
        Case("bad_ask_round_reused", _D, "SECAGG_ROUND_USED", with_ask(lambda ask: replace(ask, round=1))),
        Case("bad_ask_other_context", _D, "SECAGG_ROUND_USED", with_ask(lambda ask: replace(ask, ctx=bytes(32)))),
        Case("bad_ask_too_long", _D, "SECAGG_FOREIGN_QUESTION", with_ask(lambda ask: replace(ask, length=8))),
        Case("bad_ask_shorter", _D, "SECAGG_FOREIGN_QUESTION", with_ask(lambda ask: replace(ask, length=6))),
        Case(
            "bad_ask_foreign_layout",
            _D,
            "SECAGG_FOREIGN_QUESTION",
            with_ask(lambda ask: replace(ask, layout=bytes(32))),
        ),
        Case("bad_ask_later_round_reused", _K, "SECAGG_ROUND_USED", changed(messages.Ask, round=0), table=TWO),
        Case("bad_ask_later_round_not_set_up", _K, "SECAGG_ROUND_USED", in_round(2), table=TWO),
        Case("bad_ask_later_other_context", _K, "SECAGG_ROUND_USED", changed(messages.Ask, ctx=bytes(32)), table=TWO),
        Case("bad_ask_later_too_long", _K, "SECAGG_FOREIGN_QUESTION", changed(messages.Ask, length=8), table=TWO),
        Case("bad_ask_later_empty", _K, "SECAGG_FOREIGN_QUESTION", changed(messages.Ask, length=0), table=TWO),
    ]
    survivors = [
        Case("bad_survivors_other_round", _S, "SECAGG_FOREIGN_ROUND", changed(messages.Survivors, rctx=bytes(32))),
        Case("bad_survivors_too_few", _S, "SECAGG_BAD_U3", changed(messages.Survivors, u3=(1, 2))),
        Case("bad_survivors_without_me", _S, "SECAGG_BAD_U3", changed(messages.Survivors, u3=(1, 3, 4))),
        Case("bad_survivors_stranger", _S, "SECAGG_BAD_U3", changed(messages.Survivors, u3=(1, 2, 3, 9))),
        Case(
            "bad_survivors_one_less_in_exact",
            _S,
            "SECAGG_BAD_U3",
            changed(messages.Survivors, u3=(1, 2, 3)),
            table=EXACT,
        ),
        Case("bad_survivors_second_set", _C, "SECAGG_OUT_OF_ORDER", second_set),
    ]
    confirms = [
        Case("bad_confirms_other_round", _C, "SECAGG_SPLIT_SURVIVORS", changed(messages.Confirms, rctx=bytes(32))),
        Case("bad_confirms_too_few", _C, "SECAGG_TOO_FEW", listed(confirms=lambda c: c[:1])),
        Case(
            "bad_confirms_other_set",
            _C,
            "SECAGG_SPLIT_SURVIVORS",
            relayed(
                2, lambda _, c: resealed(c, replace(messages.Confirm.decode(messages.body_of(c)), u3_digest=bytes(32)))
            ),
        ),
        Case("bad_confirms_outsider", _C, "SECAGG_BAD_SIGNATURE", outsider, lost={"masked": (4,)}),
        Case("bad_confirms_duplicate", _C, "SECAGG_BAD_SIGNATURE", listed(confirms=lambda c: (c[0], c[0], *c[1:]))),
        Case("bad_confirms_one_less_in_exact", _C, "SECAGG_TOO_FEW", listed(confirms=lambda c: c[:2]), table=EXACT),
    ]
    encoding = [
        Case("bad_encoding_trailing", _S, "ENVELOPE_BODY", raw(lambda body: body + b"\0")),
        Case("bad_encoding_short", _S, "ENVELOPE_BODY", raw(lambda body: body[:-1])),
        Case("bad_encoding_unsorted", _S, "ENVELOPE_BODY", changed(messages.Survivors, u3=(2, 1, 3, 4))),
        Case("bad_encoding_unknown_type", _O, "SECAGG_PLAN", planned(mode=3)),
        Case("bad_encoding_id_zero", _S, "ENVELOPE_BODY", changed(messages.Survivors, u3=(0, 1, 2, 3))),
        Case(
            "bad_encoding_huge_length",
            _D,
            "ENVELOPE_BODY",
            raw(lambda body: body[: -len(QUESTION) - 4] + b"\xff" * 4 + QUESTION),
        ),
        Case("bad_encoding_long_question", _D, "SECAGG_TOO_LONG", changed(messages.Deliver, ask=bytes((1 << 20) + 75))),
    ]
    return (*plan, *advert, *relay, *deliver, *survivors, *confirms, *encoding)


def key_bytes(number: int) -> bytes:
    """Some X25519 public key."""
    return key_of(f"x-{number}").public_key().public_bytes_raw()


def stranger(table: Table, honest: bytes) -> bytes:
    """A fifth city, on the roster but not in the plan, with a correct Advert for this plan."""
    body = messages.Adverts.decode(messages.body_of(honest))
    advert = messages.Advert(body.plan_digest, key_bytes(1), ((key_bytes(2), bytes(32)),))
    extra = seal(advert, identity=identity(5), to=0, roster=table.roster, matter=matter_of(table.plan), seq=1, now=NOW)
    return resealed(honest, replace(body, adverts=(*body.adverts, extra)), roster=table.roster)


def repeated_key(table: Table, content: bytes) -> bytes:
    """City 3 shows city 1's key in another spelling: the top bit does not count (RFC 7748, section 5)."""
    other = messages.Advert.decode(messages.body_of(table.sent(Kind.ADVERT, 1)[0]))
    return advert_of(content, c_pk=other.c_pk[:31] + bytes([other.c_pk[31] ^ 128]))


def outsider(_: Table, honest: bytes) -> bytes:
    """City 4, lost at masked, confirms with the survivors."""
    body = messages.Confirms.decode(messages.body_of(honest))
    last = body.confirms[-1]
    extra = resealed(last, messages.Confirm.decode(messages.body_of(last)), sender=4)
    return resealed(honest, replace(body, confirms=(*body.confirms, extra)))


@dataclass(frozen=True)
class CityCase:
    """A bad reply of city 2 at a step, and the code under which the coordinator names it. `twice`: beside the honest one."""

    name: str
    step: str
    code: str
    make: Tamper
    twice: bool = False


def one_more(shares: tuple[tuple[int, bytes], ...]) -> tuple[tuple[int, bytes], ...]:
    return ((shares[0][0], (int.from_bytes(shares[0][1]) + 1).to_bytes(33)), *shares[1:])


def city_cases() -> tuple[CityCase, ...]:
    return (
        CityCase("bad_masked_length", "masked", "SECAGG_FOREIGN_QUESTION", altered("masked", y=lambda y: bytes(y)[4:])),
        CityCase("bad_masked_other_round", "masked", "SECAGG_FOREIGN_ROUND", altered("masked", rctx=bytes(32))),
        CityCase(
            "bad_masked_equivocation",
            "masked",
            "SECAGG_EQUIVOCATION",
            altered("masked", y=lambda y: bytes(len(y))),
            True,
        ),
        CityCase("bad_reveal_share", "reveal", "SECAGG_BAD_SHARE", altered("reveal", b_shares=one_more)),
        CityCase("bad_reveal_other_round", "reveal", "SECAGG_FOREIGN_ROUND", altered("reveal", rctx=bytes(32))),
        CityCase(
            "bad_reveal_missing_city", "reveal", "SECAGG_BAD_U3", altered("reveal", b_shares=lambda shares: shares[1:])
        ),
    )
