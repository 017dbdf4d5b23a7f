"""What a dishonest coordinator can do with what it holds: one piece of arithmetic for all attacks on the aggregation."""

from collections.abc import Iterable, Mapping

import numpy as np
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from protocols import messages, ring
from protocols.messages import Advert, Kind, Matter, Outgoing, Plan, Reveal, Stamp, matter_of, seal
from protocols.ring import Vector
from protocols.secagg import keys, member, sharing
from protocols.secagg.masks import add_masks, pair_sign
from protocols.secagg.plan import shares_to_open
from tests.conversations.table import NOW, Seat, Table, identity, nobody, table_of


class Coordinator:
    """Signs anything as the coordinator, and remembers every share that it was given, of whatever set."""

    def __init__(self, table: Table) -> None:
        self.table = table
        self.b: dict[int, dict[int, bytes]] = {}
        self.s: dict[int, dict[int, bytes]] = {}
        self.seq = 10_000

    def says(self, to: int, body: messages.Body, matter: Matter | None = None) -> bytes:
        self.seq += 1
        return seal(
            body,
            identity=identity(0),
            to=to,
            roster=self.table.roster,
            matter=matter or matter_of(self.table.plan),
            seq=self.seq,
            now=NOW + 1,
        )

    def takes(self, sender: int, sent: Outgoing) -> messages.Body | None:
        """The body of a city's answer; of a Reveal, its shares are kept."""
        if not sent:
            return None
        content = sent[0][1]
        match messages.peek(content).kind:
            case Kind.REVEAL:
                reveal = Reveal.decode(messages.body_of(content))
                for held, shares in ((self.b, reveal.b_shares), (self.s, reveal.s_shares)):
                    for city, share in shares:
                        held.setdefault(city, {})[sender] = share
                return reveal
            case Kind.ABORT:
                return messages.Abort.decode(messages.body_of(content))
            case _:
                return messages.Confirm.decode(messages.body_of(content))

    def opened(self, held: Mapping[int, Mapping[int, bytes]], city: int) -> bytes:
        """A secret of a city, if the shares in hand suffice."""
        shares, k = held.get(city, {}), shares_to_open(self.table.plan)
        if len(shares) < k:
            return b""
        weights = sharing.Points(sorted(shares)[:k]).weights(sorted(shares)[:k])
        return sharing.secret(sharing.combine(weights, {i: int.from_bytes(share) for i, share in shares.items()}))

    def unmask(self, city: int, y: bytes, rctx: bytes, u2: Iterable[int], adverts: Mapping[int, Advert]) -> Vector:
        """What is left of a city's y when every mask whose key the coordinator can open is taken off."""
        plan: Plan = self.table.plan
        words = np.frombuffer(y, ring.zeros(0, plan.ring).dtype).copy()
        masks = []
        if b := self.opened(self.b, city):
            masks.append((keys.self_key(b, rctx, city), -1))
        if s := self.opened(self.s, city):
            secret = X25519PrivateKey.from_private_bytes(s)
            for other in u2:
                if other != city:
                    shared = keys.agree(secret, adverts[other].pairs[0][0])
                    masks.append((keys.pair_key(shared, rctx, city, other), -pair_sign(city, other)))
        add_masks(words, masks)
        return ring.centred(words)


def masked_table(ids: Iterable[int], **plan: object) -> tuple[Table, dict[int, bytes], dict[int, Advert], bytes]:
    """A table at which every city has sent its vector: the table, every y, every Advert, and rctx."""
    table = table_of(tuple(ids), **plan)  # type: ignore[arg-type]  # passed on as they are
    out = table.start()
    while messages.peek(out[0][1]).kind is not Kind.SURVIVORS:
        out = table.exchange(out, nobody)
    ys, rctx = {}, b""
    for content in table.sent(Kind.MASKED):
        masked = messages.Masked.decode(messages.body_of(content))
        ys[messages.peek(content).sender], rctx = bytes(masked.y), masked.rctx
    adverts = {
        messages.peek(content).sender: Advert.decode(messages.body_of(content)) for content in table.sent(Kind.ADVERT)
    }
    return table, ys, adverts, rctx


def answer(seat: Seat, state: member.State, content: bytes) -> tuple[member.State, Outgoing]:
    """One step of a city from any state of its own; the seat is left as it is."""
    return member.step(state, content, Stamp(NOW + 1, {0: seat.sent + 100}))


def confirm_of(city: int, table: Table, rctx: bytes, u3: Iterable[int]) -> bytes:
    """What a city that colludes signs: any set."""
    return seal(
        messages.Confirm(rctx, keys.u3_digest(rctx, u3)),
        identity=identity(city),
        to=0,
        roster=table.roster,
        matter=matter_of(table.plan),
        seq=1,
        now=NOW,
        in_reply_to=bytes(32),
    )
