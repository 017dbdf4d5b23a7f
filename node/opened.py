"""A city's gate with its books open."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from node.desk import Desk
from node.gate import Gate
from node.ledger import Ledger
from node.policy import Policy
from node.station import Station
from protocols.entropy import Entropy


@contextmanager
def opened(
    here: Station,
    policy: Policy,
    present: Callable[[Desk, str, int, int], None],
    *,
    entropy: Entropy,
    ledger_entropy: Entropy,
    now: int,
) -> Iterator[Gate]:
    """The gate of a station, until the block is left. `present`: officers who are asked on the spot; `nobody` in a deployment.

    Errors: those of `Ledger.open`: locked, broken or rolled back.
    """
    desk = Desk(here.home, here.city.city, here.identity.public, present)
    days = policy.file.expiry.approval_days
    with Ledger.open(
        here.home / "ledger.sqlite",
        policy=policy,
        city=here.city.city,
        city_key=here.identity.public,
        now=now,
        entropy=ledger_entropy,
        dictionary=here.dictionary,
        officers=desk.raisers(policy.digest, days, now),
    ) as ledger:
        yield Gate(here, policy, ledger, entropy, desk)
