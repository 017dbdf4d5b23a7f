"""T52: a city inflates its input. Nothing prevents it where a city runs other code; an inspector inside the city finds it.

The commitment in Masked binds snapshot and noise seed. From them, and from the round's own b and s, the inspector computes y again. What
a liar can still try is to explain its y afterwards by other noise: in a question of few cells another seed is soon found.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Final

import numpy as np
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from protocols import messages, ring
from protocols.entropy import Entropy, aes_stream, exactly
from protocols.messages import Kind
from protocols.noise import UNIT, skellam
from protocols.ring import Vector, Words
from protocols.secagg import keys, member
from protocols.secagg.masks import add_masks, pair_sign
from simulations.attacks.doubles import no_commitment
from simulations.attacks.outcome import Outcome
from simulations.attacks.parties import Sitting, Weaken, World, seated

THREAT: Final = "T52"
WHAT: Final = {"zh": "城市虚增自己的输入", "en": "a city inflates its input"}
HOLDS: Final = {"zh": "一个城市，运行别的代码", "en": "one city, running other code"}
WEAKENED: Final[tuple[Weaken, ...]] = (lambda world: replace(world, commitment=no_commitment),)
PREVENTED: Final = False  # found, not prevented
V20: Final = 100 * UNIT
CITY: Final = 3
TRIES: Final = 4096
Noise = Callable[[bytes, int], Vector]


@dataclass(frozen=True, repr=False)
class Openings:
    """What a city keeps of one round where its policy says so, and shows to an inspector."""

    salt: bytes
    snapshot: bytes
    seed: bytes
    b: bytes
    s: X25519PrivateKey


def run(world: World, entropy: Entropy) -> Outcome:
    """Lies that the inspector misses. An honest city's replay must match."""
    missed = 0
    for lie in (nothing, plainly, hidden_in_noise):
        cells = 1 if lie is hidden_in_noise else 16
        table = seated(world, entropy, 4, cells=cells)
        x, seed, salt = table.tables[CITY], exactly(entropy, 32), exactly(entropy, 32)
        x //= 2
        masked, kept = uploaded(world, table, x + noise(seed, cells), seed, salt)
        shown, told = lie(masked, kept, noise(seed, cells))
        matches = inspected(world, table, x, shown, told)
        missed += (not matches) if lie is nothing else matches
    return Outcome(missed, 0, "liars")


def noise(seed: bytes, cells: int) -> Vector:
    """The noise of a release is a function of its seed."""
    return skellam(aes_stream(seed), V20, cells)


def uploaded(
    world: World, table: Sitting, vector: Vector, seed: bytes, salt: bytes
) -> tuple[messages.Masked, Openings]:
    """The city's Masked, and what it keeps of the round."""
    seat = table.seats[CITY]
    sent = table.exchange(table.start())
    advertised = seat.state
    assert isinstance(advertised, member.Advertised)  # noqa: S101 as every city by now
    snapshot = sha256(table.tables[CITY].tobytes()).digest()

    def mask(
        state: member.Asked, _vector: Vector, _snapshot: bytes, _seed: bytes, _entropy: Entropy, stamp: messages.Stamp
    ) -> tuple[member.State, messages.Outgoing]:
        return member.mask(state, vector, snapshot, seed, lambda _size: salt, stamp)

    seat.world = replace(world, mask=mask)
    while messages.peek(sent[0][1]).kind is not Kind.SURVIVORS:
        sent = table.exchange(sent)
    masked = table.masked(CITY)
    commit = world.commitment(masked.rctx, salt, snapshot, seed)
    return replace(masked, input_commit=commit), Openings(salt, snapshot, seed, advertised.b[0], advertised.s[0])


def nothing(masked: messages.Masked, kept: Openings, _noise: Vector) -> tuple[messages.Masked, Openings]:
    """An honest city."""
    return masked, kept


def plainly(masked: messages.Masked, kept: Openings, drawn: Vector) -> tuple[messages.Masked, Openings]:
    """500 more in the first cell."""
    return replace(masked, y=_raised(masked.y, 500, drawn.size)), kept


def hidden_in_noise(masked: messages.Masked, kept: Openings, drawn: Vector) -> tuple[messages.Masked, Openings]:
    """12 more, and afterwards another seed, whose noise is just that much more."""
    raised = replace(masked, y=_raised(masked.y, 12, drawn.size))
    for at in range(TRIES):
        seed = sha256(kept.seed + messages.u32(at)).digest()
        if noise(seed, 1)[0] == drawn[0] + 12:
            return raised, replace(kept, seed=seed)
    return raised, kept


def _raised(y: bytes | memoryview, by: int, cells: int) -> bytes:
    words: Words = np.frombuffer(y, f"<u{len(y) // cells}").copy()
    words[0] += by
    return words.tobytes()


def inspected(world: World, table: Sitting, x: Vector, masked: messages.Masked, kept: Openings) -> bool:
    """What an inspector inside the city finds: whether commitment and y are those of its rows, its seed and its keys."""
    if world.commitment(masked.rctx, kept.salt, kept.snapshot, kept.seed) != masked.input_commit:
        return False
    if kept.snapshot != sha256(x.tobytes()).digest():
        return False
    words = ring.residues(x + noise(kept.seed, x.size), table.plan.ring)
    masks = [(keys.self_key(kept.b, masked.rctx, CITY), 1)]
    for other, advert in table.adverts.items():
        if other != CITY:
            shared = keys.agree(kept.s, advert.pairs[0][0])
            masks.append((keys.pair_key(shared, masked.rctx, CITY, other), pair_sign(CITY, other)))
    add_masks(words, masks)
    return words.tobytes() == bytes(masked.y)
