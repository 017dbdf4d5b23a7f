"""A newer roster on its way to the cities: each is brought to it link by link, from the one that it holds.

A city reads a message under the roster that it holds, and accepts the one that follows. So each is asked under the newest first, then
under the one before, until it answers; what it holds stands in its answer, and from there it is given one link after the other.
"""

from collections.abc import Mapping, Sequence
from hashlib import sha256

from coordinator.exchange import Failure
from coordinator.rounds import Post
from protocols import messages
from protocols.errors import PeerError
from protocols.messages import Kind, Matter, open_envelope, seal
from protocols.roster import COORDINATOR, Roster

TIMEOUT_S = 60.0
LIFE_S = 3600


def spread(post: Post, chain: Sequence[Roster], cities: Sequence[int]) -> dict[int, int]:
    """The version of the roster that each city holds afterwards; 0 where it did not say.

    `chain`: every roster from the oldest that a city may hold to the newest, each following from the one before. Pre-condition: the last
    one is `post.roster`, and the cities are on the first.
    """
    holds = dict.fromkeys(cities, 0)
    under = dict.fromkeys(cities, len(chain) - 1)  # a guess, until a city has answered
    while asked := {city: at for city, at in under.items() if at >= 0}:
        found = _asked(post, chain, asked)
        for city, at in asked.items():
            held = found.get(city)
            if held is None:
                under[city] = at - 1 if not holds[city] else -1
            else:
                moved = held > holds[city]
                holds[city] = held
                below = [number for number, each in enumerate(chain) if each.entries.version == held]
                under[city] = below[0] if moved and below and below[0] < len(chain) - 1 else -1
    return holds


def _asked(post: Post, chain: Sequence[Roster], cities: Mapping[int, int]) -> dict[int, int]:
    """Show each city the roster that follows from the one it is believed to hold: the version that it says it holds now."""
    stamp = post.stamp()
    matter = Matter(stamp.now + LIFE_S)
    requests: dict[int, bytes] = {}
    for city, at in cities.items():
        shown = chain[min(at + 1, len(chain) - 1)]
        requests[city] = seal(
            messages.RosterFile(shown.file),
            identity=post.speaks(chain[at]),
            to=city,
            roster=chain[at],
            matter=matter,
            seq=stamp.seq[city],
            now=stamp.now,
            poll_s=stamp.poll_s,
        )
    found: dict[int, int] = {}
    for city, reply in post.send(Kind.ROSTER, tuple(requests.items()), TIMEOUT_S):
        if isinstance(reply, Failure):
            continue
        try:
            mark = messages.peek(reply).roster.sha256
            held = next((each for each in chain if each.sha256.hex() == mark), post.roster)
            answer = open_envelope(
                reply,
                me=COORDINATOR,
                roster=held,
                now=post.clock(),
                matter=matter,
                kind=Kind.ROSTER,
                in_reply_to=sha256(requests[city]).digest(),
            )
        except PeerError as fault:
            post.on_event("invalid_reply", {"city": post.roster.name(city), "code": fault.code})
            continue
        if answer.header.sender == city:
            found[city] = held.entries.version
    return found
