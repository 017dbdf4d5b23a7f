"""THE ONLY ENVELOPE: every message between two parties, every body, one signature (docs/protocol.md).

`"HPFE" | u8 version | u32 header length | header (canonical JSON) | body | Ed25519 signature (64)`; the signature is
over `"hpfed/envelope/1" 00 | header`, and the header holds length and SHA-256 of the body: one hash and one
verification cover everything. A body is hashed once, when it is sealed and when it is opened; whatever else needs its
digest takes that of the header. Nothing else signs or verifies a message. Bodies are fixed binary records
(docs/protocol.md): big-endian integers, `LP(x)` = u32 length then x, a list = u16 count then
items in strictly ascending order.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cache, cached_property
from hashlib import sha256
from itertools import chain
from operator import ge
from struct import iter_unpack, pack, unpack
from typing import Annotated, Any, Final, Self, get_type_hints

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from pydantic import BaseModel, Field, ValidationError

from protocols.canonical import canonical, parse_canonical
from protocols.errors import CODES, PeerError
from protocols.roster import COORDINATOR, Roster, Seconds, Software
from protocols.yamltext import Record

VERSION: Final = 1
LARGEST: Final = 64 << 20  # bytes of an envelope
LARGEST_HEADER: Final = 4096
LARGEST_BODY: Final = 16 << 20  # of all kinds but Masked, Ask, Counted (`largest_body`)
LONGEST_LIFE_S: Final = 30 * 86_400
CLOCK_S: Final = 120  # how far two clocks may differ
REMEMBERED: Final = 256  # requests per sender that are told from replays

# --- records: how one field stands in a body


class _Reader:
    """Takes fields off the front of a record. `rounds`: R of the conversation, which the lengths of Advert and boxes follow from."""

    def __init__(self, content: memoryview, rounds: int) -> None:
        self.left, self.rounds = content, rounds

    def take(self, size: int) -> memoryview:
        if size > len(self.left):
            raise ValueError
        taken, self.left = self.left[:size], self.left[size:]
        return taken

    def whole(self, size: int) -> int:
        return int.from_bytes(self.take(size), "big")


@dataclass(frozen=True)
class _Form:
    write: Callable[[Any], bytes | memoryview]
    read: Callable[[_Reader], Any]


def u32(value: int) -> bytes:
    """Four bytes, big-endian."""
    return value.to_bytes(4, "big")


def lp(content: bytes | memoryview) -> bytes:
    """u32 length, then the content."""
    return b"".join((u32(len(content)), content))


def _uint(size: int) -> _Form:
    return _Form(lambda value: value.to_bytes(size, "big"), lambda reader: reader.whole(size))


def _fixed(size: int) -> _Form:
    return _Form(bytes, lambda reader: bytes(reader.take(size)))


def _identifier(reader: _Reader) -> int:
    if not (value := reader.whole(4)):
        raise ValueError
    return value


def _row(*forms: _Form) -> _Form:
    return _Form(
        lambda values: b"".join(form.write(value) for form, value in zip(forms, values, strict=True)),
        lambda reader: tuple(form.read(reader) for form in forms),
    )


def _many(item: _Form) -> _Form:
    """A list of items of any length."""
    return _Form(
        lambda values: b"".join((len(values).to_bytes(2, "big"), *map(item.write, values))),
        lambda reader: tuple(item.read(reader) for _ in range(reader.whole(2))),
    )


def _ascending(listed: _Form) -> _Form:
    """The list read strictly ascending, by its first column if it has many; ids are not 0."""

    def read(reader: _Reader) -> tuple[Any, ...]:
        found: tuple[Any, ...] = listed.read(reader)
        keys = [each[0] for each in found] if found and isinstance(found[0], tuple) else found
        if any(map(ge, keys, keys[1:])):
            raise ValueError
        return found

    return _Form(listed.write, read)


def _cities(size: Callable[[_Reader], int]) -> _Form:
    """A list of (id, `size` bytes): read and written in one go, since the protocol has a great many of them."""

    def read(reader: _Reader) -> tuple[tuple[int, bytes], ...]:
        many, long = reader.whole(2), size(reader)
        found = tuple(iter_unpack(f">I{long}s", reader.take(many * (4 + long))))
        if found and found[0][0] == 0:
            raise ValueError
        return found

    def write(rows: Sequence[tuple[int, bytes]]) -> bytes:
        return b"".join((len(rows).to_bytes(2, "big"), *chain.from_iterable((u32(id_), each) for id_, each in rows)))

    return _ascending(_Form(write, read))


def _read_ids(reader: _Reader) -> tuple[int, ...]:
    many = reader.whole(2)
    found: tuple[int, ...] = unpack(f">{many}I", reader.take(4 * many))
    if 0 in found:
        raise ValueError
    return found


def _rest(reader: _Reader) -> memoryview:
    return reader.take(len(reader.left))


_U16, _U32, _ID = _uint(2), _uint(4), _Form(u32, _identifier)
_LP = _Form(lp, lambda reader: bytes(reader.take(reader.whole(4))))
_VIEW = _Form(
    lambda content: content, lambda reader: reader.take(reader.whole(4))
)  # LP, neither written nor read as a copy

U8 = Annotated[int, _uint(1)]
U16 = Annotated[int, _U16]
U32 = Annotated[int, _U32]
U64 = Annotated[int, _uint(8)]
Sixteen = Annotated[bytes, _fixed(16)]
Digest = Annotated[bytes, _fixed(32)]
Sized = Annotated[bytes, _LP]
Rest = Annotated[bytes | memoryview, _Form(lambda content: content, _rest)]  # all that follows, not copied
View = Annotated[bytes | memoryview, _VIEW]
Ids = Annotated[tuple[int, ...], _ascending(_Form(lambda ids: pack(f">H{len(ids)}I", len(ids), *ids), _read_ids))]
Envelopes = Annotated[tuple[bytes, ...], _many(_LP)]  # they ascend by sender, which their reader sees on opening them
Boxes = Annotated[tuple[tuple[int, bytes], ...], _cities(lambda reader: 66 * reader.rounds + 16)]  # by peer
Shares33 = Annotated[tuple[tuple[int, bytes], ...], _cities(lambda _: 33)]
Digests = Annotated[tuple[tuple[int, bytes], ...], _cities(lambda _: 32)]
Kept = Annotated[tuple[tuple[int, bytes], ...], _ascending(_many(_row(_ID, _LP)))]  # (city, something of it)


@dataclass(frozen=True)
class Body:
    """A fixed binary record. `decode(encode(m)) == m`, and `encode(decode(b)) == b` for every b that decodes."""

    def encode(self) -> bytes:
        """The bytes of the record."""
        return b"".join(self.pieces())

    def pieces(self) -> list[bytes | memoryview]:
        """The bytes of the record one after the other: a vector among them is the caller's own, not a copy."""
        found: list[bytes | memoryview] = []
        for name, form in self._forms():
            written = form.write(getattr(self, name))
            found += (u32(len(written)), written) if form is _VIEW else (written,)
        return found

    @classmethod
    def decode(cls, content: bytes | memoryview, limit: int = LARGEST_BODY, rounds: int = 1) -> Self:
        """The record, or `PeerError` SECAGG_TOO_LONG (over `limit`, before anything is read) or ENVELOPE_BODY (not this record)."""
        if len(content) > limit:
            raise PeerError("SECAGG_TOO_LONG", step=cls.__name__.lower(), limit=limit)
        reader = _Reader(memoryview(content).toreadonly(), rounds)
        try:
            values = [form.read(reader) for _, form in cls._forms()]
            if reader.left:
                raise ValueError
        except ValueError:
            raise PeerError("ENVELOPE_BODY", kind=cls.__name__.lower()) from None
        return cls(*values)

    @classmethod
    @cache
    def _forms(cls) -> tuple[tuple[str, _Form], ...]:
        return tuple((name, hint.__metadata__[0]) for name, hint in get_type_hints(cls, include_extras=True).items())


# --- bodies of the secure aggregation (docs/protocol.md)


@dataclass(frozen=True)
class Plan(Body):
    """What one conversation is about. Symbols in brackets: docs/protocol.md."""

    suite: U8  # 1
    conversation: Sixteen
    study: Digest
    run: U16
    roster: Digest
    layout: Digest
    noise: Digest
    mode: U8  # 1 dp, 2 exact
    ring: U8  # [w] 32 or 64
    rounds: U16  # [R]
    length: U32  # [L] cells of the longest round
    bound: U64  # [B]
    support: U64  # [K]
    threshold: U16  # [t]
    colluders: U16  # [c]
    dropouts: U16  # [d]
    least: U16
    expires: U64  # Unix s
    waits: Annotated[tuple[int, ...], _row(*[_U32] * 5)]  # seconds: advert, shares, masked, confirm, reveal
    cities: Ids
    cannot: Annotated[
        tuple[tuple[int, tuple[int, ...]], ...], _ascending(_many(_row(_ID, _ascending(_many(_U16)))))
    ]  # city, positions of variables


@dataclass(frozen=True)
class Open(Body):
    plan: Sized
    ack: Sized  # the last Ack envelope of this city that the coordinator holds, or empty


@dataclass(frozen=True)
class Advert(Body):
    plan_digest: Digest
    c_pk: Digest
    pairs: Annotated[  # per round: s_pk, b_commit
        tuple[tuple[bytes, bytes], ...],
        _Form(
            lambda pairs: b"".join(s_pk + b_commit for s_pk, b_commit in pairs),
            lambda reader: tuple((bytes(reader.take(32)), bytes(reader.take(32))) for _ in range(reader.rounds)),
        ),
    ]


@dataclass(frozen=True)
class Adverts(Body):
    plan_digest: Digest
    adverts: Envelopes


@dataclass(frozen=True)
class Shares(Body):
    ctx: Digest
    boxes: Boxes  # by recipient


@dataclass(frozen=True)
class Deliver(Body):
    ctx: Digest
    u2: Ids
    boxes: Boxes  # by sender
    ask: Sized  # the Ask body of round 0


@dataclass(frozen=True)
class Ask(Body):
    ctx: Digest
    round: U16
    length: U32
    layout: Digest
    question: Sized


@dataclass(frozen=True)
class Masked(Body):
    rctx: Digest
    input_commit: Digest
    y: View  # little-endian words of the ring


@dataclass(frozen=True)
class Survivors(Body):
    rctx: Digest
    u3: Ids


@dataclass(frozen=True)
class Confirm(Body):
    rctx: Digest
    u3_digest: Digest


@dataclass(frozen=True)
class Confirms(Body):
    rctx: Digest
    confirms: Envelopes


@dataclass(frozen=True)
class Reveal(Body):
    rctx: Digest
    b_shares: Shares33  # of every city in U3
    s_shares: Shares33  # of every city in U2 \ U3


@dataclass(frozen=True)
class Receipt(Body):
    rctx: Digest
    sum_digest: Digest
    transcript: Digest
    inputs: Digests  # y_digest of every city in U3


@dataclass(frozen=True)
class Ack(Body):
    rctx: Digest
    receipt: Digest
    ledger_seq: U64
    ledger_head: Digest


@dataclass(frozen=True)
class Abort(Body):
    code: U16  # errors.ABORT_NUMBERS
    about: U32  # whose fault; 0 = the coordinator's


# --- bodies of everything else (docs/protocol.md)


@dataclass(frozen=True)
class Offer(Body):
    study: Sized
    signed: Sized  # the asker's signed file
    dictionary: Sized


@dataclass(frozen=True)
class Approval(Body):
    file: Rest


@dataclass(frozen=True)
class Pending(Body):
    """An officer decides."""


@dataclass(frozen=True)
class Count(Body):
    study: Digest
    run: U16
    layout: Digest
    noise: Digest


@dataclass(frozen=True)
class Counted(Body):
    layout: Digest
    cells: Rest  # little-endian int64; mode exact: -2^63 in the place of a cell that the city withholds


@dataclass(frozen=True)
class Attest(Body):
    """Asks for the attestation of the study in the header."""


@dataclass(frozen=True)
class Attestation(Body):
    file: Rest


@dataclass(frozen=True)
class RosterFile(Body):
    """Kind `roster`."""

    file: Rest


@dataclass(frozen=True)
class Cancel(Body):
    """The study stands in the header."""


@dataclass(frozen=True)
class Ping(Body):
    echo: Digest


class Reasons(Record):
    """What a refusal says: codes and the limits behind them. No free text."""

    codes: Annotated[tuple[str, ...], Field(min_length=1, max_length=64)]
    limits: Annotated[
        dict[Annotated[str, Field(pattern="^[a-z_]{1,40}$")], Annotated[int, Field(ge=-(2**53), le=2**53)]],
        Field(max_length=64),
    ] = Field(default_factory=dict)


@dataclass(frozen=True)
class Refusal(Body):
    """Canonical JSON of `Reasons`."""

    json: Rest

    @classmethod
    def of(cls, reasons: Reasons) -> "Refusal":
        return cls(canonical(reasons.model_dump()))

    def reasons(self) -> Reasons:
        """Errors: `PeerError` ENVELOPE_BODY, NOT_CANONICAL."""
        try:
            reasons = Reasons.model_validate_json(canonical(parse_canonical(bytes(self.json), "refusal")), strict=True)
        except ValidationError:
            raise PeerError("ENVELOPE_BODY", kind="refusal") from None
        if not all(code in CODES or code == "declined:disclosure" for code in reasons.codes):
            raise PeerError("ENVELOPE_BODY", kind="refusal")
        return reasons


class Kind(StrEnum):
    """What a message is."""

    OPEN = "open"
    ADVERT = "advert"
    ADVERTS = "adverts"
    SHARES = "shares"
    DELIVER = "deliver"
    ASK = "ask"
    MASKED = "masked"
    SURVIVORS = "survivors"
    CONFIRM = "confirm"
    CONFIRMS = "confirms"
    REVEAL = "reveal"
    RECEIPT = "receipt"
    ACK = "ack"
    ABORT = "abort"
    OFFER = "offer"
    APPROVAL = "approval"
    PENDING = "pending"
    COUNT = "count"
    COUNTED = "counted"
    ATTEST = "attest"
    ATTESTATION = "attestation"
    ROSTER = "roster"
    CANCEL = "cancel"
    PING = "ping"
    REFUSAL = "refusal"


_K = Kind
# From the coordinator only, always a request; from a city only, always a reply. The others go both ways.
REQUESTS: Final = frozenset(
    {_K.OPEN, _K.ADVERTS, _K.DELIVER, _K.ASK, _K.SURVIVORS, _K.CONFIRMS, _K.RECEIPT, _K.OFFER, _K.COUNT, _K.ATTEST}
)
REPLIES: Final = frozenset(
    {
        _K.ADVERT,
        _K.SHARES,
        _K.MASKED,
        _K.CONFIRM,
        _K.REVEAL,
        _K.ACK,
        _K.APPROVAL,
        _K.PENDING,
        _K.COUNTED,
        _K.ATTESTATION,
    }
)


def kind_of(body: Body) -> Kind:
    """The kind is the name of the body in small letters."""
    return Kind.ROSTER if isinstance(body, RosterFile) else Kind(type(body).__name__.lower())


def largest_body(kind: Kind, length: int = 1 << 22, width: int = 64) -> int:
    """Most bytes of a body. `length` cells of `width` bits: what the plan allows a Masked, or a layout a Counted."""
    match kind:
        case Kind.MASKED | Kind.COUNTED:
            return 68 + length * width // 8
        case Kind.ASK:
            return (1 << 20) + 74
        case _:
            return LARGEST_BODY


# --- the envelope

_PREFIX: Final = b"hpfed/envelope/1\x00"
_MAGIC: Final = b"HPFE" + bytes([VERSION])
_HEX64: Final = "^[0-9a-f]{64}$"
_Sha = Annotated[str, Field(pattern=_HEX64)]


class _Marks(BaseModel):
    """As strict as `Record`. Every text here has a pattern of its own, so none needs the look at its letters that people's files get."""

    model_config = Record.model_config


class _RosterMark(_Marks):
    version: Annotated[int, Field(ge=1, lt=2**31)]
    sha256: _Sha


class _BodyMark(_Marks):
    length: Annotated[int, Field(ge=0, le=LARGEST)]
    sha256: _Sha


class _SoftwareMark(_Marks):
    version: Annotated[str, Field(pattern="^[0-9A-Za-z.+-]{1,64}$")]
    sha256: _Sha


class Header(_Marks):
    """The signed part of a message."""

    body: _BodyMark
    consortium: Annotated[str, Field(pattern="^[a-z0-9-]{3,64}$")]
    conversation: Annotated[str, Field(pattern="^[0-9a-f]{32}$")]  # zeros outside a conversation
    expires: Seconds
    sender: Annotated[int, Field(alias="from", ge=0, lt=2**32)]
    in_reply_to: _Sha | None = None  # SHA-256 of the request's envelope
    issued: Seconds
    kind: Kind
    poll_s: Annotated[float, Field(ge=0.1, le=60)] | None = None  # a hint for the link, from the coordinator only
    roster: _RosterMark
    round: Annotated[int, Field(ge=0, lt=2**16)]
    run: Annotated[int, Field(ge=0, lt=2**16)]
    seq: Annotated[int, Field(ge=0, lt=2**53)]
    software: _SoftwareMark
    study: _Sha  # zeros where there is no study
    to: Annotated[int, Field(ge=0, lt=2**32)]


@dataclass(frozen=True)
class Matter:
    """What a message is about. The defaults stand outside any conversation or study; `expires` is then the sender's choice (None: any)."""

    expires: int | None = None
    study: bytes = bytes(32)
    run: int = 0
    conversation: bytes = bytes(16)
    round: int = 0


def is_about(header: Header, matter: Matter) -> bool:
    """Whether a header names exactly this matter."""
    named = (header.expires, header.study, header.run, header.conversation, header.round)
    return named == (matter.expires, matter.study.hex(), matter.run, matter.conversation.hex(), matter.round)


def matter_of(plan: Plan, round_: int = 0) -> Matter:
    """What the messages of a conversation are about."""
    return Matter(plan.expires, plan.study, plan.run, plan.conversation, round_)


@dataclass(frozen=True)
class Identity:
    """A party as it signs. `key` never shows."""

    id: int
    key: Ed25519PrivateKey = field(repr=False)
    software: Software

    @property
    def public(self) -> bytes:
        """The 32 bytes that the roster lists."""
        return self.key.public_key().public_bytes_raw()


@dataclass(frozen=True)
class Letter:
    """An envelope that was read and is not believed yet. `content`: the whole of it, as received; `signed`: what its signature is over."""

    header: Header
    body: memoryview
    content: bytes
    signed: bytes
    signature: bytes


@dataclass(frozen=True)
class Envelope:
    """A message that opened. `content` is the whole envelope as received, `key` the public key that it verified under."""

    header: Header
    body: memoryview
    content: bytes
    key: bytes

    @cached_property
    def sha256(self) -> bytes:
        """What `in_reply_to` of the answer names, and what a stored request is known by."""
        return sha256(self.content).digest()


def imprint(content: bytes | memoryview) -> bytes:
    """SHA-256 of an envelope without its body: what a message with a vector is known by.

    The header in it holds length and SHA-256 of the body, so two envelopes that open and have one imprint are one. Pre-condition: it opens.
    """
    start = 9 + int.from_bytes(content[5:9], "big")
    return sha256(b"".join((content[:start], content[-64:]))).digest()


@dataclass(frozen=True)
class Written:
    """A body as bytes, in pieces, hashed once for whatever needs its digest."""

    kind: Kind
    pieces: tuple[bytes | memoryview, ...]
    length: int
    sha256: bytes


def written(body: Body) -> Written:
    """A body that is to be sealed, once or for many recipients."""
    pieces = tuple(body.pieces())
    state = sha256()
    for piece in pieces:
        state.update(piece)
    return Written(kind_of(body), pieces, sum(map(len, pieces)), state.digest())


def seal(
    body: Body | Written,
    *,
    identity: Identity,
    to: int,
    roster: Roster,
    matter: Matter,
    seq: int,
    now: int,
    in_reply_to: bytes | None = None,
    poll_s: float | None = None,
) -> bytes:
    """One message as bytes. Pure: Ed25519 is deterministic, so the same arguments give the same bytes.

    Pre-condition: `matter.expires` is set. Errors: `PeerError` ENVELOPE_SIZE if it would be over the largest envelope.
    """
    content = body if isinstance(body, Written) else written(body)
    signed = _text(
        Header.model_construct(
            body=_BodyMark.model_construct(length=content.length, sha256=content.sha256.hex()),
            consortium=roster.entries.consortium,
            conversation=matter.conversation.hex(),
            expires=matter.expires or 0,
            sender=identity.id,
            in_reply_to=None if in_reply_to is None else in_reply_to.hex(),
            issued=now,
            kind=content.kind,
            poll_s=poll_s,
            roster=_RosterMark.model_construct(version=roster.entries.version, sha256=roster.sha256.hex()),
            round=matter.round,
            run=matter.run,
            seq=seq,
            software=_SoftwareMark.model_construct(version=identity.software.version, sha256=identity.software.sha256),
            study=matter.study.hex(),
            to=to,
        )
    )
    if 73 + len(signed) + content.length > LARGEST:
        raise PeerError("ENVELOPE_SIZE", limit=LARGEST)
    return b"".join((_MAGIC, u32(len(signed)), signed, *content.pieces, identity.key.sign(_PREFIX + signed)))


def body_of(content: bytes) -> memoryview:
    """The body of an envelope that was opened before and kept."""
    return memoryview(content)[9 + int.from_bytes(content[5:9], "big") : -64]


def peek(content: bytes) -> Header:
    """The header before anything is believed: only to find out whose message to open it as. Errors: `PeerError` ENVELOPE_…."""
    return read(content).header


def open_envelope(
    content: bytes | Letter,
    *,
    me: int,
    roster: Roster,
    now: int,
    matter: Matter | None = None,
    kind: Kind | None = None,
    in_reply_to: bytes | None = None,
    limit: int | None = None,
    newest: Roster | None = None,
    pinned: Mapping[int, bytes] | None = None,
    largest: int = LARGEST,
    relayed: bool = False,
) -> Envelope:
    """Believe a message, or say by which field it fails: `PeerError` ENVELOPE_<FIELD>, in the order of the lines below.

    `roster`: of the plan inside a conversation, else the newest held; `newest`: where that differs, on which the sender
    must be active and its key listed too. `matter`: study, run, conversation, round and expiry that are awaited; None (the first message
    about something): the caller looks at the header. `in_reply_to`: SHA-256 of the request that was sent; None: a
    request is awaited. `limit`: most bytes of the body (default: of its kind). `pinned`: keys under which parties first
    spoke in this conversation, which hold to its end. `relayed`: a message between two others, shown by one of them;
    its `seq`, `in_reply_to`, `issued` and `expires` belong to that pair, and what is in its body makes it fresh. `seq`
    is judged by the caller, who keeps a `Window` per sender.
    """
    letter = content if isinstance(content, Letter) else read(content, largest)  # size, version, header
    header, body, mark, kinds = letter.header, letter.body, letter.header.roster, letter.header.kind
    most = largest_body(kinds) if limit is None else limit

    def need(name: str, holds: bool) -> None:
        if not holds:
            raise PeerError("ENVELOPE_" + name, who=roster.name(header.sender), limit=most)

    need("SIZE", len(body) <= most)
    need("CONSORTIUM", header.consortium == roster.entries.consortium)
    need("ROSTER", mark.sha256 == roster.sha256.hex() and mark.version == roster.entries.version)
    from_coordinator = header.sender == COORDINATOR
    need("FROM", relayed or from_coordinator is not (me == COORDINATOR))  # cities do not speak to each other
    for held in (roster, newest or roster):
        need("FROM", from_coordinator or held.active(header.sender))
    need("TO", header.to == (COORDINATOR if relayed else me) and header.to != header.sender)
    if pinned is not None and header.sender in pinned:
        keys: tuple[bytes, ...] = (pinned[header.sender],)
    elif relayed:
        keys = tuple(bytes.fromhex(each.key) for each in roster.keys(header.sender))
    else:
        keys = roster.keys_at(header.sender, now)
    key = next((each for each in keys if _holds(each, letter.signed, letter.signature)), b"")
    need("SIGNATURE", key != b"" and (newest is None or newest.stands(header.sender, key)))
    need("BODY", header.body.sha256 == sha256(body).hexdigest())
    if not relayed:
        need("EXPIRES", now - CLOCK_S < header.expires <= header.issued + LONGEST_LIFE_S)
        need("ISSUED", header.issued < now + CLOCK_S)
    if matter is not None:
        need("EXPIRES", relayed or matter.expires in (None, header.expires))
        need("STUDY", header.study == matter.study.hex())
        need("RUN", header.run == matter.run)
        need("CONVERSATION", header.conversation == matter.conversation.hex())
        need("ROUND", header.round == matter.round)
    need("KIND", kinds not in (REPLIES if from_coordinator else REQUESTS) and kind in (None, kinds))
    need("POLL_S", header.poll_s is None or from_coordinator)
    if not relayed:
        awaited = None if in_reply_to is None else in_reply_to.hex()
        need("IN_REPLY_TO", header.in_reply_to == awaited and (awaited is None or kinds not in REQUESTS))
        need("IN_REPLY_TO", awaited is not None or kinds not in REPLIES)
    return Envelope(header, body, letter.content, key)


def open_kept(content: bytes, *, sender: int, roster: Roster) -> Envelope:
    """A message of a party to the coordinator that was answered long ago: it is shown again as it came, and judged without a clock.

    As `relayed` of `open_envelope`: the caller looks at what the body says. Errors: `PeerError` ENVELOPE_….
    """
    opened = open_envelope(content, me=COORDINATOR, roster=roster, now=0, relayed=True)
    if opened.header.sender != sender:
        raise PeerError("ENVELOPE_FROM", who=roster.name(sender))
    return opened


def open_echo(content: bytes, *, me: int, keys: tuple[bytes, ...]) -> Ack:
    """An own Ack that the coordinator shows again in Open: only the own signature counts. Errors: `PeerError` ENVELOPE_…."""
    letter = read(content)
    if letter.header.sender != me or not any(_holds(key, letter.signed, letter.signature) for key in keys):
        raise PeerError("ENVELOPE_SIGNATURE", who=str(me))
    if letter.header.body.sha256 != sha256(letter.body).hexdigest() or letter.header.kind is not Kind.ACK:
        raise PeerError("ENVELOPE_BODY", kind="ack")
    return Ack.decode(letter.body)


def _holds(key: bytes, signed: bytes, signature: bytes) -> bool:
    try:
        Ed25519PublicKey.from_public_bytes(key).verify(signature, signed)
    except InvalidSignature:
        return False
    return True


def _text(header: Header) -> bytes:
    """Canonical JSON (RFC 8785). No text of a header can hold what JSON would escape (its patterns), so the bytes are put down as they
    are, ten times as fast as a library does it; a test compares the two."""
    reply = "" if header.in_reply_to is None else f'"in_reply_to":"{header.in_reply_to}",'
    hint = "" if header.poll_s is None else f'"poll_s":{canonical(header.poll_s).decode()},'
    return (
        f'{{"body":{{"length":{header.body.length},"sha256":"{header.body.sha256}"}},"consortium":"{header.consortium}",'
        f'"conversation":"{header.conversation}","expires":{header.expires},"from":{header.sender},{reply}'
        f'"issued":{header.issued},"kind":"{header.kind.value}",{hint}'
        f'"roster":{{"sha256":"{header.roster.sha256}","version":{header.roster.version}}},"round":{header.round},'
        f'"run":{header.run},"seq":{header.seq},"software":{{"sha256":"{header.software.sha256}",'
        f'"version":"{header.software.version}"}},"study":"{header.study}","to":{header.to}}}'
    ).encode()


_NAMED: Final = {"consortium", "roster", "from", "to", "body", "issued", "expires", "study", "run", "conversation", "round"} | {
    "kind", "seq", "in_reply_to", "poll_s", "software"
}  # fmt: skip


def read(content: bytes, largest: int = LARGEST) -> Letter:
    """An envelope taken apart; nothing is verified. Looks at lengths before it looks at anything else. Errors: `PeerError` ENVELOPE_…."""
    size = int.from_bytes(content[5:9], "big")
    if not 73 <= len(content) <= largest or size > LARGEST_HEADER or 73 + size > len(content):
        raise PeerError("ENVELOPE_SIZE", limit=largest)
    if content[:5] != _MAGIC:
        raise PeerError("ENVELOPE_VERSION", speaks=VERSION)
    text = content[9 : 9 + size]
    try:
        header = Header.model_validate_json(text, strict=True)
    except ValidationError as fault:
        name = str((*fault.errors()[0]["loc"], "")[0])
        raise PeerError("ENVELOPE_" + (name.upper() if name in _NAMED else "HEADER")) from None
    if _text(header) != text:
        raise PeerError("ENVELOPE_HEADER")
    if header.body.length != len(content) - 73 - size:
        raise PeerError("ENVELOPE_SIZE", limit=largest)
    return Letter(header, memoryview(content)[9 + size : -64], content, _PREFIX + text, content[-64:])


@dataclass(frozen=True)
class Window:
    """Which requests of one sender were seen: the highest `seq`, and which of the 256 below it (bit k: `last` - k)."""

    last: int = -1
    seen: int = 0

    def admit(self, seq: int) -> "Window":
        """The window after a new request. Errors: `PeerError` ENVELOPE_SEQ for a seq that was seen or is too old to tell."""
        if seq > self.last:
            moved = self.seen << min(seq - self.last, REMEMBERED + 1)
            return Window(seq, (moved | 1) & ((2 << REMEMBERED) - 1))
        below = self.last - seq
        if below > REMEMBERED or self.seen >> below & 1:
            raise PeerError("ENVELOPE_SEQ")
        return Window(self.last, self.seen | 1 << below)


@dataclass(frozen=True)
class Stamp:
    """What the shell gives a pure step: the time (Unix s) and, per recipient, the next `seq`. A step sends one message per recipient.

    `poll_s`: how often the coordinator would have a city's link ask, where it says so.
    """

    now: int
    seq: Mapping[int, int]
    poll_s: float | None = None


Outgoing = tuple[tuple[int, bytes], ...]  # (recipient, envelope)
