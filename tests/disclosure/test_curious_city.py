"""T54 `curious-city`: a curious city that taps every line."""

from protocols import messages
from protocols.entropy import seeded
from protocols.messages import Kind
from simulations.attacks.parties import World, seated
from tests.disclosure.attacked import tried

NAME = "curious-city"


def test_the_attack_stays_within_its_limit() -> None:
    assert tried(NAME).outcome.held, tried(NAME).outcome.observed("en")


def test_with_the_guard_taken_out_the_same_attack_succeeds() -> None:
    assert tried(NAME).broken, [each.observed("en") for each in tried(NAME).controls]


def received(change: int) -> list[bytes]:
    """The bodies that city 1 receives before the receipt, when city 6's table is another."""
    table = seated(World(), seeded("curious"))
    table.tables[6][0] += change
    table.finish(table.start())
    mine = [c for _, to, c in table.wire if to == 1 and messages.peek(c).kind is not Kind.RECEIPT]
    return [bytes(messages.body_of(content)) for content in mine]


def test_what_a_city_receives_before_the_receipt_does_not_depend_on_what_others_hold() -> None:
    """Byte for byte, but for the Ed25519 signatures under which others confirmed, which stand over headers that name their requests."""
    one, other = received(0), received(1)
    assert len(one) == 5
    assert one == other
