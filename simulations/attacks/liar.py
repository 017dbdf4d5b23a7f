"""A coordinator that lies: it signs anything, remembers every share that it was given for whatever set, and does the arithmetic."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from protocols import messages, ring
from protocols.errors import ABORT_NUMBERS
from protocols.messages import Abort, Advert, Body, Confirm, Kind, Matter, Reveal, matter_of, seal
from protocols.ring import Vector
from protocols.secagg import keys, sharing
from protocols.secagg.masks import add_masks, pair_sign
from protocols.secagg.plan import shares_to_open
from simulations.attacks.parties import NOW, Sitting

CODES: Final = {number: code for code, number in ABORT_NUMBERS.items()}
BODIES: Final[Mapping[Kind, type[Body]]] = {
    Kind.ADVERT: Advert,
    Kind.SHARES: messages.Shares,
    Kind.MASKED: messages.Masked,
    Kind.CONFIRM: Confirm,
    Kind.REVEAL: Reveal,
    Kind.ABORT: Abort,
}


@dataclass
class Liar:
    """`b`, `s`: shares in hand, by round, dealer and who gave them. `codes`: with which words cities refused."""

    sitting: Sitting
    b: dict[tuple[int, int], dict[int, bytes]] = field(default_factory=dict)
    s: dict[tuple[int, int], dict[int, bytes]] = field(default_factory=dict)
    codes: set[str] = field(default_factory=set)
    number: int = 10_000

    def says(self, to: int, body: Body, round_: int = 0, matter: Matter | None = None) -> bytes:
        """Anything, in an envelope of the coordinator."""
        self.number += 1
        return seal(
            body,
            identity=self.sitting.identities[0],
            to=to,
            roster=self.sitting.roster,
            matter=matter or matter_of(self.sitting.plan, round_),
            seq=self.number,
            now=NOW + 1,
        )

    def asks(self, city: int, body: Body, round_: int = 0) -> tuple[Body | None, bytes]:
        """Say it to a city, and take its answer: the body and the envelope. Shares are kept, refusals noted."""
        return self.takes(city, self.sitting.seats[city].on(self.says(city, body, round_), NOW + 1))

    def takes(self, city: int, sent: messages.Outgoing) -> tuple[Body | None, bytes]:
        if not sent:
            return None, b""
        content = sent[0][1]
        header = messages.peek(content)
        body = BODIES[header.kind].decode(messages.body_of(content), messages.LARGEST, self.sitting.plan.rounds)
        if isinstance(body, Reveal):
            for held, shares in ((self.b, body.b_shares), (self.s, body.s_shares)):
                for dealer, share in shares:
                    held.setdefault((header.round, dealer), {})[city] = share
        if isinstance(body, Abort):
            self.codes.add(CODES[body.code].removeprefix("SECAGG_").lower())
        return body, content

    def survivors(self, u3: Sequence[int], of: Sequence[int], rctx: bytes, round_: int = 0) -> dict[int, bytes]:
        """Tell the cities `of` that these survived. Their Confirm envelopes."""
        answers = {city: self.asks(city, messages.Survivors(rctx, tuple(u3)), round_) for city in of}
        return {city: content for city, (body, content) in answers.items() if isinstance(body, Confirm)}

    def confirms(self, signed: Mapping[int, bytes], of: Sequence[int], rctx: bytes, round_: int = 0) -> list[int]:
        """Show the cities `of` what was signed. Who revealed."""
        listed = tuple(signed[city] for city in sorted(signed))
        answers = {city: self.asks(city, messages.Confirms(rctx, listed), round_)[0] for city in of}
        return [city for city, body in answers.items() if isinstance(body, Reveal)]

    def set_opened(self, u3: Sequence[int], rctx: bytes, round_: int = 0) -> list[int]:
        """Play a set of survivors to its end: who revealed for it."""
        signed = self.survivors(u3, u3, rctx, round_)
        return self.confirms(signed, list(signed), rctx, round_)

    def secret(self, held: Mapping[tuple[int, int], Mapping[int, bytes]], round_: int, city: int) -> bytes:
        """A secret of a city, if the shares in hand suffice; else nothing."""
        shares, k = held.get((round_, city), {}), shares_to_open(self.sitting.plan)
        if len(shares) < k:
            return b""
        chosen = sorted(shares)[:k]
        weights = sharing.Points(chosen).weights(chosen)
        values = {giver: int.from_bytes(share, "big") for giver, share in shares.items()}
        return sharing.secret(sharing.combine(weights, values))

    def left_of(self, city: int, round_: int = 0, keys_of: tuple[int, int] | None = None) -> Vector:
        """What is left of a city's y of a round when every mask whose secret is in hand is taken off.

        `keys_of`: the rounds whose b and s are tried on it; by default its own.
        """
        masked, plan = self.sitting.masked(city, round_), self.sitting.plan
        of_b, of_s = keys_of or (round_, round_)
        return unmasked(
            masked, city, plan.cities, self.sitting.adverts, plan.ring, round_,
            self.secret(self.b, of_b, city), self.secret(self.s, of_s, city),
        )  # fmt: skip


def unmasked(
    masked: messages.Masked,
    city: int,
    u2: Sequence[int],
    adverts: Mapping[int, Advert],
    bits: int,
    round_: int,
    b: bytes,
    s: bytes,
) -> Vector:
    """y without the masks that b and s give; either may be empty."""
    words, masks = np.frombuffer(masked.y, ring.zeros(0, bits).dtype).copy(), []
    if b:
        masks.append((keys.self_key(b, masked.rctx, city), -1))
    if s:
        secret = X25519PrivateKey.from_private_bytes(s)
        for other in u2:
            if other != city:
                shared = keys.agree(secret, adverts[other].pairs[round_][0])
                masks.append((keys.pair_key(shared, masked.rctx, city, other), -pair_sign(city, other)))
    add_masks(words, masks)
    return ring.centred(words)


def confirm_of(sitting: Sitting, city: int, rctx: bytes, u3: Sequence[int]) -> bytes:
    """What a city that colludes signs: any set."""
    return seal(
        Confirm(rctx, keys.u3_digest(rctx, u3)),
        identity=sitting.identities[city],
        to=0,
        roster=sitting.roster,
        matter=matter_of(sitting.plan),
        seq=1,
        now=NOW,
        in_reply_to=bytes(32),
    )
