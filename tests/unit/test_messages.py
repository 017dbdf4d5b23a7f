"""The envelope: each field wrong once, direct and relayed; records that decode to what was encoded; one place that signs."""

import ast
import json
import tracemalloc
from dataclasses import fields, replace
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import protocols
from protocols import messages
from protocols.canonical import canonical
from protocols.errors import CODES, PeerError
from protocols.messages import REPLIES, REQUESTS, Body, Identity, Kind, Matter, Window, open_envelope, seal
from protocols.roster import Roster, sign_roster
from tests.conversations.table import NOW, ROOT, SOFTWARE, entries_of, identity, key_of, plan_of, roster_of, valid

IDS: Final = (1, 2, 3)
ROSTER: Final = roster_of(IDS)
MATTER: Final = Matter(NOW + 600, b"s" * 32, 1, b"c" * 16, 0)
REQUEST: Final = b"q" * 32


def sent(body: Body | None = None, **changes: Any) -> bytes:
    """A sound Survivors from the coordinator to city 2, or with changes."""
    arguments: dict[str, Any] = {
        "identity": identity(0),
        "to": 2,
        "roster": ROSTER,
        "matter": MATTER,
        "seq": 5,
        "now": NOW,
    }
    return seal(body or messages.Survivors(bytes(32), (1, 2, 3)), **{**arguments, **changes})


def reply(body: Body | None = None, **changes: Any) -> bytes:
    """A sound Confirm from city 2."""
    arguments: dict[str, Any] = {"identity": identity(2), "to": 0, "in_reply_to": REQUEST}
    return sent(body or messages.Confirm(bytes(32), bytes(32)), **{**arguments, **changes})


def opened(content: bytes, **changes: Any) -> messages.Envelope:
    arguments: dict[str, Any] = {"me": 2, "roster": ROSTER, "now": NOW, "matter": MATTER}
    return open_envelope(content, **{**arguments, **changes})


def reheaded(content: bytes, **values: Any) -> bytes:
    """The message with another header, signed again by its sender: `_remove` names fields to leave out."""
    size = int.from_bytes(content[5:9])
    header = json.loads(content[9 : 9 + size])
    signer = key_of(header["from"])
    for name in values.pop("_remove", ()):
        del header[name]
    return enclosed(canonical({**header, **values}), content[9 + size : -64], signer)


def enclosed(header: bytes, body: bytes, signer: Any) -> bytes:
    signature: bytes = signer.sign(b"hpfed/envelope/1\0" + header)
    return b"HPFE\1" + len(header).to_bytes(4) + header + body + signature


# --- what opens


def test_a_message_opens_to_what_was_sealed() -> None:
    content = sent()
    envelope = opened(content)
    assert messages.Survivors.decode(envelope.body) == messages.Survivors(bytes(32), (1, 2, 3))
    assert envelope.content is content
    assert envelope.key == identity(0).public
    assert (envelope.header.sender, envelope.header.to, envelope.header.seq) == (0, 2, 5)
    assert envelope.header.software.model_dump() == SOFTWARE.model_dump()
    assert messages.is_about(envelope.header, MATTER)
    assert not messages.is_about(envelope.header, replace(MATTER, run=2))
    assert 500 < len(content) < 1000
    assert sent() == content  # sealing is a function of its arguments


def test_a_reply_opens_for_the_call_that_it_answers() -> None:
    assert opened(reply(), me=0, in_reply_to=REQUEST).header.in_reply_to == REQUEST.hex()


def test_a_hint_of_the_coordinator_is_carried() -> None:
    for poll in (0.1, 0.5, 5.0, 60.0):
        assert opened(sent(poll_s=poll)).header.poll_s == poll


def test_the_header_is_canonical_json_at_the_ends_of_what_it_may_hold() -> None:
    ends: dict[str, tuple[Any, ...]] = {
        "body": ({"length": 0, "sha256": "0" * 64}, {"length": messages.LARGEST, "sha256": "f" * 64}),
        "consortium": ("a-9", "z" * 64),
        "expires": (0, 2**53 - 1),
        "from": (0, 2**32 - 1),
        "in_reply_to": (None, "e" * 64),
        "kind": tuple(Kind),
        "poll_s": (None, 0.1, 1.0, 5, 59.999999999999),
        "run": (0, 2**16 - 1),
        "seq": (0, 2**53 - 1),
        "software": ({"version": "0.1.0+a-Z", "sha256": "0" * 64}, {"version": "9" * 64, "sha256": "0" * 64}),
    }
    size = int.from_bytes(sent()[5:9])
    plain = json.loads(sent()[9 : 9 + size])
    for name, values in ends.items():
        for value in values:
            header = {key: given for key, given in {**plain, name: value}.items() if given is not None}
            read = messages.Header.model_validate_json(canonical(header), strict=True)
            assert messages._text(read) == canonical(header)


def test_no_text_of_a_header_needs_escaping() -> None:
    """So a header may be written without looking at its letters."""
    for mark in map(chr, (*range(0x20), 0x22, 0x5C, 0x7F, 0xE9, 0x2028)):
        for changed in ({"consortium": f"ab{mark}c"}, {"software": {"version": f"1{mark}", "sha256": "0" * 64}}):
            with pytest.raises(PeerError):
                messages.peek(reheaded(sent(), **changed))


def test_an_imprint_tells_two_messages_apart_whatever_differs_between_them() -> None:
    """Without its body: the header in it binds that."""
    one = reply(messages.Masked(bytes(32), bytes(32), bytes(800)))
    others = [
        reply(messages.Masked(bytes(32), bytes(32), bytes(799) + b"\1")),
        reply(messages.Masked(bytes(32), bytes(32), bytes(800)), seq=6),
        one[:-1] + bytes([one[-1] ^ 1]),
    ]
    assert len({messages.imprint(each) for each in (one, *others)}) == 4
    assert messages.imprint(one) == sha256(one.replace(bytes(messages.body_of(one)), b"")).digest()


def test_a_body_written_once_seals_to_the_same_bytes() -> None:
    body = messages.Masked(bytes(32), bytes(32), memoryview(bytes(range(80))))
    assert messages.written(body).sha256 == sha256(body.encode()).digest()
    assert reply(body) == seal(
        messages.written(body), identity=identity(2), to=0, roster=ROSTER, matter=MATTER, seq=5, now=NOW, in_reply_to=REQUEST
    )  # fmt: skip


# --- each field wrong once

FIELD: Final[list[tuple[str, bytes, dict[str, Any]]]] = [
    ("SIZE", b"", {}),
    ("SIZE", b"HPFE\1", {}),
    ("SIZE", sent()[:-1], {}),
    ("SIZE", sent() + b"\0", {}),
    ("SIZE", b"HPFE\1\xff\xff\xff\xff" + sent()[9:], {}),
    ("SIZE", sent(), {"largest": 100}),
    ("SIZE", sent(), {"limit": 10}),
    ("VERSION", b"HPFE\2" + sent()[5:], {}),
    ("VERSION", b"HPFX\1" + sent()[5:], {}),
    ("HEADER", enclosed(b"[]", b"", key_of(0)), {}),
    ("HEADER", reheaded(sent(), extra=1), {}),
    (
        "HEADER",
        enclosed(
            sent()[9 : 9 + int.from_bytes(sent()[5:9])].replace(b'{"body"', b'{ "body"'),
            messages.body_of(sent()).tobytes(),
            key_of(0),
        ),
        {},
    ),
    ("HEADER", enclosed(b"\xff" * 20, b"", key_of(0)), {}),
    ("HEADER", reheaded(sent(), poll_s=None), {}),
    ("CONSORTIUM", reheaded(sent(), consortium="another"), {}),
    ("ROSTER", reheaded(sent(), roster={"version": 1, "sha256": "0" * 64}), {}),
    ("ROSTER", reheaded(sent(), roster={"version": 2, "sha256": ROSTER.sha256.hex()}), {}),
    ("ROSTER", sent(roster=roster_of(IDS, 2)), {}),
    ("ROSTER", reheaded(sent(), roster={"version": "1", "sha256": "0" * 64}), {}),
    ("FROM", reply(identity=identity(9)), {"me": 0, "in_reply_to": REQUEST}),
    ("FROM", reheaded(sent(), _remove=["from"]), {}),
    ("FROM", reply(), {"me": 0, "in_reply_to": REQUEST, "newest": roster_of((1, 3), 2)}),
    ("TO", sent(to=1), {}),
    ("TO", sent(to=2**32 - 1), {}),
    ("FROM", sent(to=0), {"me": 0}),
    ("FROM", sent(identity=identity(1)), {}),  # one city to another
    ("FROM", reply(), {"me": 3, "in_reply_to": REQUEST}),
    ("TO", sent(to=0), {"me": 0, "relayed": True}),
    ("SIGNATURE", sent()[:-1] + bytes([sent()[-1] ^ 1]), {}),
    ("SIGNATURE", sent(identity=Identity(0, key_of(1), SOFTWARE)), {}),
    ("SIGNATURE", sent(), {"pinned": {0: identity(1).public}}),
    ("SIGNATURE", sent(now=NOW - 2000), {"now": NOW - 2000}),
    ("BODY", sent()[:-70] + bytes([sent()[-70] ^ 1]) + sent()[-69:], {}),
    ("BODY", reheaded(sent(), body={"length": "50", "sha256": "0" * 64}), {}),
    ("ISSUED", sent(now=NOW + 120), {}),
    ("ISSUED", reheaded(sent(), issued=-1), {}),
    ("EXPIRES", sent(), {"now": NOW + 720}),
    ("EXPIRES", sent(matter=replace(MATTER, expires=NOW + 30 * 86_400 + 1)), {"matter": None}),
    ("EXPIRES", sent(), {"matter": replace(MATTER, expires=NOW + 601)}),
    ("STUDY", sent(), {"matter": replace(MATTER, study=bytes(32))}),
    ("STUDY", reheaded(sent(), study="S" * 64), {}),
    ("RUN", sent(), {"matter": replace(MATTER, run=2)}),
    ("RUN", reheaded(sent(), run=2**16), {}),
    ("CONVERSATION", sent(), {"matter": replace(MATTER, conversation=bytes(16))}),
    ("CONVERSATION", reheaded(sent(), conversation=""), {}),
    ("ROUND", sent(), {"matter": replace(MATTER, round=1)}),
    ("ROUND", reheaded(sent(), round=1.5), {}),
    ("KIND", sent(), {"kind": Kind.OPEN}),
    ("KIND", reheaded(sent(), kind="unknown"), {}),
    ("SEQ", reheaded(sent(), seq=-1), {}),
    ("IN_REPLY_TO", sent(in_reply_to=REQUEST), {}),
    ("IN_REPLY_TO", reply(), {"me": 0}),
    ("IN_REPLY_TO", reply(), {"me": 0, "in_reply_to": bytes(32)}),
    ("IN_REPLY_TO", reply(in_reply_to=None), {"me": 0}),
    ("IN_REPLY_TO", reply(in_reply_to=None), {"me": 0, "in_reply_to": REQUEST}),
    ("POLL_S", reply(poll_s=1.0), {"me": 0, "in_reply_to": REQUEST}),
    ("POLL_S", reheaded(sent(), poll_s=61), {}),
    ("SOFTWARE", reheaded(sent(), software={"version": "", "sha256": "0" * 64}), {}),
]


@pytest.mark.parametrize(
    ("field", "content", "reader"), FIELD, ids=[f"{name.lower()}-{n}" for n, (name, _, _) in enumerate(FIELD)]
)
def test_a_message_with_one_wrong_field_does_not_open_and_says_which(
    field: str, content: bytes, reader: dict[str, Any]
) -> None:
    with pytest.raises(PeerError) as failed:
        opened(content, **reader)
    assert failed.value.code == "ENVELOPE_" + field
    assert failed.value.text("zh")


def test_every_rule_of_the_envelope_was_broken_once() -> None:
    assert {"ENVELOPE_" + name for name, _, _ in FIELD} == {code for code in CODES if code.startswith("ENVELOPE_")}


BODIES: Final = {messages.kind_of(make): make for make in (
    messages.Open(b"", b""), messages.Advert(bytes(32), bytes(32), ()), messages.Adverts(bytes(32), ()),
    messages.Shares(bytes(32), ()), messages.Deliver(bytes(32), (), (), b""), messages.Ask(bytes(32), 0, 1, bytes(32), b""),
    messages.Masked(bytes(32), bytes(32), b""), messages.Survivors(bytes(32), ()), messages.Confirm(bytes(32), bytes(32)),
    messages.Confirms(bytes(32), ()), messages.Reveal(bytes(32), (), ()), messages.Receipt(bytes(32), bytes(32), bytes(32), ()),
    messages.Ack(bytes(32), bytes(32), 0, bytes(32)), messages.Abort(0, 0), messages.Offer(b"", b"", b""), messages.Approval(b""),
    messages.Pending(), messages.Count(bytes(32), 1, bytes(32), bytes(32)), messages.Counted(bytes(32), b""), messages.Attest(),
    messages.Attestation(b""), messages.RosterFile(b""), messages.Cancel(), messages.Ping(bytes(32)), messages.Refusal(b""),
)}  # fmt: skip


@pytest.mark.parametrize("kind", list(Kind))
def test_every_kind_opens_from_its_own_side_only(kind: Kind) -> None:
    body = BODIES[kind]
    if kind in REPLIES:
        assert opened(reply(body), me=0, in_reply_to=REQUEST).header.kind is kind
        with pytest.raises(PeerError, match="kind"):
            opened(sent(body))
    elif kind in REQUESTS:
        assert opened(sent(body)).header.kind is kind
        with pytest.raises(PeerError, match="kind"):
            opened(reply(body), me=0, in_reply_to=REQUEST)
    else:
        assert opened(sent(body)).header.kind is kind
        assert opened(reply(body), me=0, in_reply_to=REQUEST).header.kind is kind


def test_clocks_may_differ_by_two_minutes_and_no_more() -> None:
    for skew in (-119, 119):
        assert opened(sent(now=NOW + skew, matter=replace(MATTER, expires=NOW + 5)), matter=None)
    assert opened(sent(), now=NOW + 719)
    with pytest.raises(PeerError, match="future"):
        opened(sent(now=NOW + 121), matter=None)


def test_a_relayed_message_ignores_what_belongs_to_the_pair_and_nothing_else() -> None:
    content = reply(matter=replace(MATTER, expires=NOW + 9), now=NOW - 10**6, in_reply_to=b"x" * 32, seq=0)
    relay: dict[str, Any] = {"relayed": True, "kind": Kind.CONFIRM}
    assert opened(content, me=1, **relay).header.sender == 2
    assert opened(reply(in_reply_to=None), me=1, **relay)
    for wrong in (
        reply(identity=identity(9)),
        reply(to=1),
        reply(roster=roster_of(IDS, 2)),
        reply(matter=replace(MATTER, study=bytes(32))),
        reply(matter=replace(MATTER, run=9)),
        reply(matter=replace(MATTER, conversation=bytes(16))),
        reply(matter=replace(MATTER, round=1)),
        reply(messages.Masked(bytes(32), bytes(32), b"")),
        reply()[:-1] + b"\0",
        sent(),
    ):
        with pytest.raises(PeerError):
            opened(wrong, me=1, **relay)


def test_a_relayed_message_is_never_taken_for_a_request() -> None:
    with pytest.raises(PeerError, match="nothing to say to this party"):
        opened(reply())


def rotating(until: int) -> Roster:
    """City 2 with two keys: the old one until `until`."""
    entries = entries_of(IDS)
    old = valid(2).model_copy(update={"until": until})
    cities = tuple(
        city.model_copy(update={"identity": (old, valid("new"))}) if city.id == 2 else city for city in entries.cities
    )
    return sign_roster(entries.model_copy(update={"cities": cities}), ROOT)


def test_a_rotating_city_may_use_either_key_until_one_is_pinned_or_past() -> None:
    roster = rotating(NOW + 50)
    new = Identity(2, key_of("new"), SOFTWARE)
    for who in (identity(2), new):
        content = reply(identity=who, roster=roster)
        assert opened(content, me=0, roster=roster, in_reply_to=REQUEST).key == who.public
    old = reply(roster=roster, now=NOW + 60)
    with pytest.raises(PeerError, match="signature"):
        opened(old, me=0, roster=roster, now=NOW + 60, in_reply_to=REQUEST)
    pinned = {2: identity(2).public}  # a conversation opened under the old key finishes under it
    assert opened(old, me=0, roster=roster, now=NOW + 60, in_reply_to=REQUEST, pinned=pinned)
    with pytest.raises(PeerError, match="signature"):
        opened(reply(identity=new, roster=roster), me=0, roster=roster, in_reply_to=REQUEST, pinned=pinned)


def test_nothing_over_the_largest_envelope_is_sealed() -> None:
    with pytest.raises(PeerError) as failed:
        sent(messages.Masked(bytes(32), bytes(32), bytes(messages.LARGEST)))
    assert failed.value.code == "ENVELOPE_SIZE"


def test_flipping_any_byte_of_a_message_keeps_it_shut() -> None:
    content = sent()
    for at in range(len(content)):
        with pytest.raises(PeerError):
            opened(content[:at] + bytes([content[at] ^ 0x10]) + content[at + 1 :])


# --- records

_U = {size: st.integers(0, 2 ** (8 * size) - 1) for size in (1, 2, 4, 8)}
_ID = st.integers(1, 2**32 - 1)
_IDS = st.lists(_ID, unique=True, max_size=5).map(sorted).map(tuple)


def _b(size: int) -> st.SearchStrategy[bytes]:
    return st.binary(min_size=size, max_size=size)


def _rows(size: int) -> st.SearchStrategy[Any]:
    return _IDS.flatmap(lambda ids: st.tuples(*[st.tuples(st.just(i), _b(size)) for i in ids]))


_FREE = st.binary(max_size=40)
_LIST = st.lists(_FREE, max_size=4).map(tuple)
_CANNOT = _IDS.flatmap(
    lambda ids: st.tuples(
        *[st.tuples(st.just(i), st.lists(_U[2], unique=True, max_size=4).map(sorted).map(tuple)) for i in ids]
    )
)
_PAIRS = st.lists(st.tuples(_b(32), _b(32)), min_size=2, max_size=2).map(tuple)
RECORDS: Final[dict[type[Body], tuple[st.SearchStrategy[Any], ...]]] = {
    messages.Plan: (
        _U[1], _b(16), _b(32), _U[2], _b(32), _b(32), _b(32), _U[1], _U[1], _U[2], _U[4], _U[8], _U[8], _U[2], _U[2], _U[2], _U[2],
        _U[8], st.tuples(*[_U[4]] * 5), _IDS, _CANNOT,
    ),
    messages.Open: (_FREE, _FREE),
    messages.Advert: (_b(32), _b(32), _PAIRS),
    messages.Adverts: (_b(32), _LIST),
    messages.Shares: (_b(32), _rows(148)),
    messages.Deliver: (_b(32), _IDS, _rows(148), _FREE),
    messages.Ask: (_b(32), _U[2], _U[4], _b(32), _FREE),
    messages.Masked: (_b(32), _b(32), _FREE),
    messages.Survivors: (_b(32), _IDS),
    messages.Confirm: (_b(32), _b(32)),
    messages.Confirms: (_b(32), _LIST),
    messages.Reveal: (_b(32), _rows(33), _rows(33)),
    messages.Receipt: (_b(32), _b(32), _b(32), _rows(32)),
    messages.Ack: (_b(32), _b(32), _U[8], _b(32)),
    messages.Abort: (_U[2], _U[4]),
    messages.Offer: (_FREE, _FREE, _FREE),
    messages.Approval: (_FREE,),
    messages.Pending: (),
    messages.Count: (_b(32), _U[2], _b(32), _b(32)),
    messages.Counted: (_b(32), _FREE),
    messages.Attest: (),
    messages.Attestation: (_FREE,),
    messages.RosterFile: (_FREE,),
    messages.Cancel: (),
    messages.Ping: (_b(32),),
    messages.Refusal: (_FREE,),
}  # fmt: skip


@given(st.data())
@settings(max_examples=20)
def test_what_is_encoded_decodes_to_the_same(data: st.DataObject) -> None:
    """Two rounds, so that Adverts and boxes are longer than of one."""
    for record, parts in RECORDS.items():
        value = record(*data.draw(st.tuples(*parts), record.__name__))
        assert record.decode(value.encode(), rounds=2) == value


def test_every_body_has_its_record_and_every_record_its_kind() -> None:
    assert {messages.kind_of(body) for body in BODIES.values()} == set(Kind)
    assert {type(body) for body in BODIES.values()} | {messages.Plan} == set(RECORDS)


def decoded_again(record: type[Body], content: bytes, rounds: int) -> bytes:
    """The encoding of what decodes, else the code of the error."""
    try:
        return record.decode(content, rounds=rounds).encode()
    except PeerError as fault:
        return fault.code.encode()


@given(st.sampled_from(list(RECORDS)), st.binary(max_size=400), st.integers(1, 3))
def test_bytes_that_decode_are_encoded_to_the_same_bytes_and_others_are_typed_errors(
    record: type[Body], content: bytes, rounds: int
) -> None:
    assert decoded_again(record, content, rounds) in (content, b"ENVELOPE_BODY")


@given(st.data())
def test_mutated_records_decode_to_themselves_or_not_at_all(data: st.DataObject) -> None:
    record = data.draw(st.sampled_from(list(RECORDS)))
    content = bytearray(record(*data.draw(st.tuples(*RECORDS[record]))).encode())
    for _ in range(data.draw(st.integers(1, 3))):
        if content:
            content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(content)))
    for mutated in (bytes(content), bytes(content[:cut]), bytes(content) + b"\0"):
        assert decoded_again(record, mutated, 2) in (mutated, b"ENVELOPE_BODY")


def test_a_length_beyond_its_limit_is_refused_before_anything_is_read() -> None:
    with pytest.raises(PeerError) as failed:
        messages.Masked.decode(bytes(69), limit=68)
    assert failed.value.code == "SECAGG_TOO_LONG"
    huge = bytes(32) + b"\xff\xff" + b"\xff" * 40  # claims 65,535 ids
    tracemalloc.start()
    for record in RECORDS:
        assert decoded_again(record, huge, 2) in (huge, b"ENVELOPE_BODY")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1 << 20


def test_the_sizes_are_those_of_the_specification() -> None:
    plan = plan_of(ROSTER)
    n, z, rounds, q = 3, 2, 1, 11
    assert len(messages.Open(plan.encode(), b"").encode()) == 217 + 4 * n + z - 2 + 2
    advert = messages.Advert(bytes(32), bytes(32), ((bytes(32), bytes(32)),) * rounds).encode()
    assert len(advert) == 64 + 64 * rounds
    boxes = tuple((i, bytes(82)) for i in (1, 3))
    assert len(messages.Shares(bytes(32), boxes).encode()) == 34 + 2 * (20 + 66)
    ask = messages.Ask(bytes(32), 0, 7, bytes(32), b"q" * q).encode()
    assert len(ask) == 74 + q
    assert len(messages.Deliver(bytes(32), (1, 2, 3), boxes, ask).encode()) == 114 + q + 4 * 3 + 2 * 86
    assert len(messages.Masked(bytes(32), bytes(32), bytes(28)).encode()) == 68 + 28
    assert len(messages.Survivors(bytes(32), (1, 2, 3)).encode()) == 34 + 4 * 3
    assert len(messages.Reveal(bytes(32), ((1, bytes(33)),), ((2, bytes(33)),)).encode()) == 36 + 37 * 2
    assert len(messages.Receipt(bytes(32), bytes(32), bytes(32), ((1, bytes(32)),)).encode()) == 98 + 36
    assert len(messages.Ack(bytes(32), bytes(32), 0, bytes(32)).encode()) == 104
    assert len(messages.Abort(1, 0).encode()) == 6
    assert messages.largest_body(Kind.MASKED, 7, 32) == 68 + 28
    assert messages.largest_body(Kind.ASK) == (1 << 20) + 74
    assert messages.largest_body(Kind.OPEN) == 16 << 20


def test_a_refusal_says_known_codes_and_whole_limits_and_nothing_else() -> None:
    reasons = messages.Reasons(codes=("SECAGG_BUDGET", "declined:disclosure"), limits={"most_cells": 20})
    assert messages.Refusal.of(reasons).reasons() == reasons
    for wrong in (
        b"{}",
        b'{"codes":[],"limits":{}}',
        b'{"codes":["NOT_A_CODE"],"limits":{}}',
        b'{"codes":["SECAGG_BUDGET"],"limits":{"most":"many"}}',
        b'{"codes":["SECAGG_BUDGET"],"limits":{},"text":"see row 7"}',
        b'{"codes": ["SECAGG_BUDGET"],"limits":{}}',
    ):
        with pytest.raises(PeerError):
            messages.Refusal(wrong).reasons()


# --- the window of numbers


@given(st.lists(st.integers(0, 700), max_size=300))
def test_a_number_is_admitted_once_and_only_near_the_highest(numbers: list[int]) -> None:
    window, seen = Window(), set[int]()
    for seq in numbers:
        if seq not in seen and (not seen or seq >= max(seen) - 256):
            window = window.admit(seq)
            seen.add(seq)
        else:
            with pytest.raises(PeerError, match="replay"):
                window.admit(seq)


def test_a_number_far_ahead_costs_nothing() -> None:
    window = Window().admit(1).admit(2**52)
    assert window.seen.bit_length() <= 257
    assert window.admit(2**52 - 256)
    with pytest.raises(PeerError):
        window.admit(2**52 - 257)


# --- one envelope (threat model, R9)

ROOM: Final = Path(protocols.__file__).parents[1]


@cache
def product() -> tuple[tuple[str, ast.Module], ...]:
    """Every file of the product and its tree."""
    paths = sorted(
        p for room in ("protocols", "node", "coordinator", "simulations") for p in (ROOM / room).rglob("*.py")
    )
    return tuple((p.relative_to(ROOM).as_posix(), ast.parse(p.read_text(encoding="utf-8"))) for p in paths)


def test_messages_signs_in_one_place_and_verifies_in_one() -> None:
    tree = ast.parse((ROOM / "protocols/messages.py").read_text(encoding="utf-8"))
    called = [n.func.attr for n in ast.walk(tree) if isinstance(n, ast.Call) and isinstance(n.func, ast.Attribute)]
    assert called.count("sign") == 1
    assert called.count("verify") == 1


def test_every_field_of_the_protocol_s_messages_is_used_by_a_check_a_digest_or_arithmetic() -> None:
    """A field that nobody reads would be a way to carry something out. The header's are above. The Ack's answer covers the receipt's
    transcript by its digest, the gate compares the ledger's, and `input_commit` is for an inspector (section 13)."""
    read: set[str] = set()
    for name, tree in product():
        if name.startswith(("protocols/secagg/", "node/", "coordinator/")):
            read |= {
                node.attr
                for node in ast.walk(tree)
                if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load)
            }
    protocol = [kind for kind in BODIES.values() if messages.kind_of(kind) in list(Kind)[:14]]
    written = {field.name for body in [*map(type, protocol), messages.Plan] for field in fields(body)}
    assert written - read <= {"input_commit", "ledger_seq", "ledger_head", "transcript"}
