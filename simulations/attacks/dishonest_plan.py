"""T59: plans that are not what the approved study gives: less noise, other bounds, fewer cities, another run, expired, too long."""

from collections.abc import Iterator
from dataclasses import replace
from hashlib import sha256
from typing import Final

from protocols import messages
from protocols.entropy import Entropy, exactly
from protocols.messages import Kind, Plan, matter_of, seal
from protocols.plan import Agreement, agree
from simulations.attacks.doubles import AgreeableGate, as_double
from simulations.attacks.outcome import Outcome
from simulations.attacks.parties import Weaken, World
from simulations.attacks.towns import ABORTS, Towns, towns, word

THREAT: Final = "T59"
WHAT: Final = {"zh": "与获批研究不符的方案", "en": "a plan that is not what the study gives"}
HOLDS: Final = {"zh": "协调方的密钥", "en": "the coordinator's key"}
WEAKENED: Final[tuple[Weaken, ...]] = (lambda world: replace(world, gate=as_double(AgreeableGate)),)
N: Final = 5


def run(world: World, entropy: Entropy) -> Outcome:
    """Dishonest plans that got a key out of a city. The honest plan of the same study gets one."""
    given, codes = 0, set[str]()
    with towns(world, entropy, N) as place:
        study = place.study("planned")
        everyone = tuple(range(1, N + 1))
        place.approved(study, everyone)
        agreement = agree(study, everyone, place.post.roster)
        honest = plan_of(place, agreement, entropy)
        for plan in dishonest(honest, entropy, place.post.clock()):
            code = offered(place, plan)
            given += not code
            codes |= {code} if code else set()
        assert not offered(place, honest)  # noqa: S101 a gate that refuses everything would prove nothing
        code = offered(place, replace(honest, conversation=exactly(entropy, 16), run=2))
        given += not code
    return Outcome(given, 0, "plans", codes=frozenset(codes))


def plan_of(place: Towns, agreement: Agreement, entropy: Entropy) -> Plan:
    return agreement.plan(
        conversation=exactly(entropy, 16),
        roster=place.post.roster,
        expires=place.post.clock() + 3600,
        cannot=dict.fromkeys(agreement.cities, ()),
    )


def dishonest(honest: Plan, entropy: Entropy, now: int) -> Iterator[Plan]:
    """Each differs from the honest plan in one thing."""
    other = sha256(b"other").digest()
    for changed in (
        {"noise": other},
        {"bound": honest.bound - 1},
        {"bound": 1},
        {"support": 1},
        {"ring": 96 - honest.ring},
        {"threshold": 3, "dropouts": 2},
        {"cities": (1, 2, 3), "threshold": 3, "dropouts": 0},
        {"colluders": 0},
        {"layout": other},
        {"length": honest.length + 1},
        {"rounds": 2},
        {"least": 2},
        {"mode": 2, "dropouts": 0, "threshold": 5},
        {"run": 2},
        {"study": other},
        {"expires": now - 1},
        {"expires": now + 31 * 86_400},
        {"waits": (0, 0, 0, 0, 0)},
        {"cannot": ((1, (0,)),)},
        {"roster": other},
    ):
        yield replace(honest, conversation=exactly(entropy, 16), **changed)


def offered(place: Towns, plan: Plan) -> str:
    """Open this plan at city 1: the word of its refusal, nothing where it gave its keys."""
    post = place.post
    stamp = post.stamp()
    content = seal(
        messages.Open(plan.encode(), b""),
        identity=post.identity,
        to=1,
        roster=post.roster,
        matter=matter_of(plan),
        seq=stamp.seq[1],
        now=stamp.now,
    )
    reply = place.gate(1).answer(content, stamp.now)
    if reply is None:
        return "dropped"
    if messages.peek(reply).kind is Kind.ADVERT:
        return ""
    return word(ABORTS[messages.Abort.decode(messages.body_of(reply)).code])
