"""T23: a round of an exact model at chosen coefficients, which leave a few holders with weight, or that does not follow from its sums."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from coordinator import rounds
from protocols import messages
from protocols.entropy import Entropy, exactly
from protocols.messages import Kind, matter_of, seal
from protocols.models.session import Round, Told
from protocols.plan import agree
from protocols.ring import Vector
from protocols.secagg.collector import Summed
from protocols.session import Session
from simulations.attacks.doubles import any_step
from simulations.attacks.outcome import Outcome
from simulations.attacks.parties import Weaken, World
from simulations.attacks.towns import ABORTS, Towns, towns, word

THREAT: Final = "T23"
WHAT: Final = {"zh": "按选定系数询问的一轮", "en": "a round of an exact model at chosen coefficients"}
HOLDS: Final = {"zh": "协调方的密钥", "en": "the coordinator's key"}
WEAKENED: Final[tuple[Weaken, ...]] = (lambda world: replace(world, fits=any_step),)
QUESTION: Final = "kind: glm, family: poisson, outcome: age, terms: [sex]"
CHOSEN: Final = -15.0, 20.0  # on the log scale: the rows of one sex have all of the weight, and those of the other none
N: Final = 4  # a city for each ask, and one for the honest one


def run(world: World, entropy: Entropy) -> Outcome:
    """Asks that do not follow from the sum of the first round, each put to a city of its own, and answered with a vector."""
    with world.fits(), towns(world, entropy, N, rows=60, policy="policy: 1\n", aged=True) as place:
        first = opened(place, entropy)
        asks = list(chosen(*first))
        said = [put(place, city, *ask, first) for city, ask in enumerate(asks, 1)]
        session, talk = first
        following = Told.of(session.models.begin().asks, summed(talk).total)
        at = session.models.again([following])
        honest = put(place, len(asks) + 1, Round.of(at.asks, [following]), session.models.length(at.asks), first)
        assert not honest  # noqa: S101 a city that answers nothing would prove nothing
    return Outcome(said.count(""), 0, "messages", codes=frozenset(said) - {""})


First = tuple[Session, rounds.Conversation]


def opened(place: Towns, entropy: Entropy) -> First:
    """A session with the sum of its first round."""
    study = place.study("chosen", mode="exact", question=QUESTION)
    everyone = tuple(place.present.ids)
    answers = place.approved(study, everyone)
    session = Session(agree(study, everyone, place.post.roster))
    plan = session.plan(
        conversation=exactly(entropy, 16), roster=place.post.roster, expires=place.post.clock() + 3600, cannot={}
    )
    talk = rounds.Conversation.begin(
        place.post, plan, session.question(session.models.begin(), ()), {}, answers=answers
    )
    talk.play()
    return session, talk


def summed(talk: rounds.Conversation) -> Summed:
    assert isinstance(talk.state, Summed)  # noqa: S101 every city answered
    return talk.state


def chosen(session: Session, talk: rounds.Conversation) -> Iterator[tuple[Round, int]]:
    """What is asked, and how long its answer is: other coefficients than those that follow, no sums shown, and a sum made up."""
    total = summed(talk).total
    begun = session.models.begin().asks
    told = Told.of(begun, total)
    following = session.models.again([told]).asks
    length = session.models.length(following)
    aimed = {name: ask.model_copy(update={"point": CHOSEN}) for name, ask in following.items()}
    yield Round.of(aimed, [told]), length
    yield Round(round=1, asks=Round.of(following, [told]).asks), length
    made_up: Vector = total.copy()
    made_up[2:] //= 2
    yield Round.of(following, [Told.of(begun, made_up)]), length


def put(place: Towns, city: int, asked: Round, length: int, first: First) -> str:
    """Ask it of one city: the word of its refusal, nothing where a vector came."""
    session, talk = first
    post, ask = place.post, summed(talk).turn.ask
    layout = bytes.fromhex(session.models.layout(session.models.parsed(asked.asks)).removeprefix("sha256:"))
    stamp = post.stamp()
    content = seal(
        messages.Ask(ask.ctx, 1, length, layout, asked.content),
        identity=post.identity,
        to=city,
        roster=post.roster,
        matter=matter_of(summed(talk).talk.plan, 1),
        seq=stamp.seq[city],
        now=stamp.now,
    )
    reply = place.gate(city).answer(content, stamp.now)
    if reply is None:
        return "dropped"
    if messages.peek(reply).kind is Kind.MASKED:
        return ""
    return word(ABORTS[messages.Abort.decode(messages.body_of(reply)).code])
